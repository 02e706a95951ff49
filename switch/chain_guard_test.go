//go:build !race

package psycswitch_test

import "testing"

// TestChainAllocations guards the memory that a message needs on its way through all of the six routers. What is left are its id, which each of
// those that read it keeps, and what is shared by many messages. With the race detector a sync.Pool forgets a part of what it is given.
func TestChainAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("needs sockets")
	}
	const messages, limit = 5000, 8
	c := newChain(t)
	n := testing.AllocsPerRun(3, func() { c.relay(messages) }) / messages
	t.Logf("%.2f allocations a message", n)
	if n > limit {
		t.Errorf("%.2f allocations a message, want at most %d", n, limit)
	}
}
