package psyc

import "testing"

// A writer that is signalled while it falls asleep looks again, and sleeps then: it neither misses the signal nor stays awake for good.
func TestSignalledWhileFallingAsleep(t *testing.T) {
	started := make(chan struct{}, 1)
	var o outbox
	o.init(1<<10, func() { started <- struct{}{} })
	o.drowsy = true
	o.signal()
	if o.sleep() {
		t.Fatal("asleep with a signal waiting")
	}
	select {
	case <-o.wake:
	default:
		t.Fatal("the signal is gone, and nobody has looked")
	}
	if !o.sleep() {
		t.Fatal("awake with nothing to do")
	}
	o.signal()
	<-started
}
