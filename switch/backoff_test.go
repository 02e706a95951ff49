package psycswitch

import (
	"testing"
	"time"
)

// Routers that have lost the same server do not all come back at the same moment, and none of them later than it says.
func TestJitter(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 100 {
		d := jittered(time.Minute)
		if d < 45*time.Second || d > time.Minute {
			t.Errorf("%v instead of a minute", d)
		}
		seen[d] = true
	}
	if len(seen) < 10 {
		t.Errorf("only %d different times", len(seen))
	}
}
