package rig_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
)

// recordedTB is a TB whose end can be looked at.
type recordedTB struct {
	testing.TB
	end string
}

func (r *recordedTB) Helper() {}

func (r *recordedTB) Fatalf(format string, args ...any) {
	r.end = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recordedTB) Skipf(format string, args ...any) {
	r.end = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// run runs f as a test and returns how it ended.
func run(t *testing.T, f func(rig.TB)) string {
	r := &recordedTB{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.end
}

func TestOnce(t *testing.T) {
	var (
		once   rig.Once
		starts int
		dir    string
		undone []int
	)
	for range 3 {
		end := run(t, func(tb rig.TB) {
			once.Do(tb, func(tb rig.TB) {
				starts++
				dir = tb.TempDir()
				tb.Cleanup(func() { undone = append(undone, 1) })
				tb.Cleanup(func() { undone = append(undone, 2) })
			})
		})
		if end != "" {
			t.Errorf("the test %s", end)
		}
	}
	if starts != 1 || undone != nil {
		t.Errorf("%d starts, undone %v before Close", starts, undone)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	once.Close()
	if want := []int{2, 1}; !slices.Equal(undone, want) {
		t.Errorf("undone %v, want %v", undone, want)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("temporary directory after Close: %v", err)
	}
}

// Later tests must end as the first did, and what was started before must not stay.
func TestOnceThatEnds(t *testing.T) {
	for want, end := range map[string]func(rig.TB){
		"skipped: no 1": func(tb rig.TB) { tb.Skipf("no %d", 1) },
		"failed: bad 2": func(tb rig.TB) { tb.Fatalf("bad %d", 2) },
	} {
		var once rig.Once
		undone := 0
		for range 2 {
			got := run(t, func(tb rig.TB) {
				once.Do(tb, func(tb rig.TB) {
					tb.Cleanup(func() { undone++ })
					end(tb)
				})
			})
			if got != want {
				t.Errorf("the test %s, want %s", got, want)
			}
		}
		if undone != 1 {
			t.Errorf("undone %d times", undone)
		}
	}
}

func TestMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, test := range []struct{ required, want string }{
		{"", "skipped: no-such-program is not installed"},
		{"required", "failed: SWITCHYARD_REAL_PEERS=required, but no-such-program is not installed"},
	} {
		t.Setenv(rig.RequiredEnv, test.required)
		if got := run(t, func(tb rig.TB) { rig.Program(tb, "no-such-program") }); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}
