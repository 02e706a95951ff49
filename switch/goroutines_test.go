package psycswitch_test

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// ourGoroutines counts the goroutines in which code of the module runs that is no test's. Tests in a synctest bubble need no counting:
// the bubble fails if anything is left in it.
func ourGoroutines() (n int) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		for frame := range strings.Lines(g) {
			if strings.HasPrefix(frame, "github.com/switchyard-im/switchyard/") && !strings.Contains(frame, "_test.") && !strings.Contains(frame, "/internal/") {
				n++
				break
			}
		}
	}
	return n
}

// ourGoroutinesEnd fails the test if there are more of them than before. One that has done its last work may need a moment to go.
func ourGoroutinesEnd(t *testing.T, before int) {
	t.Helper()
	for over := time.Now().Add(time.Second); ourGoroutines() > before; runtime.Gosched() {
		if time.Now().After(over) {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines more than before:\n%s", ourGoroutines()-before, buf[:runtime.Stack(buf, true)])
			return
		}
	}
}
