package psycswitch_test

import (
	"strconv"
	"testing"
	"testing/synctest"
)

// A link that is up has what is sent when Send returns, and the order is kept.
func TestPassAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north, south := w.add("10.0.0.1", plain("north.example"), nil), w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		for n := int64(1); n <= 5; n++ {
			north.send(chat("ada@north.example/a", "bob@south.example", strconv.FormatInt(n, 10), "hello"))
			if n == 1 {
				synctest.Wait() // until there is a link
			}
			for info := range north.Links() {
				if info.StanzasOut != n {
					t.Errorf("%d sent after %d", info.StanzasOut, n)
				}
			}
		}
		for n := 1; n <= 5; n++ {
			if got := south.next(); got.ID != strconv.Itoa(n) {
				t.Errorf("got %s, want %d", got.ID, n)
			}
		}
	})
}
