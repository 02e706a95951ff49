package psycswitch

import (
	"testing"
	"time"
)

// A pause is as long as it is said to be or up to a quarter shorter, and anything between.
func TestJitter(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := jittered(time.Minute)
		least, most = min(least, d), max(most, d)
	}
	if least < 45*time.Second || least > 46*time.Second || most < 59*time.Second || most > time.Minute {
		t.Errorf("from %v to %v instead of a minute", least, most)
	}
}
