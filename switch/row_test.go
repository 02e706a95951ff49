package psycswitch_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A stream that proves a second domain stands in front of a later one for that domain as well, even if nothing of that domain has
// been read when the later one comes.
func TestSecondDomainKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		for _, domain := range []string{"one.example", "two.example"} {
			w.resolver.Domains[domain] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.7" + port}}
		}
		w.vouch("10.0.0.7" + port)
		release := make(chan struct{})
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				if s.From.Domain() == "one.example" {
					<-release
				}
				y.take(s)
				return nil
			})
		})
		w.start()
		send := func(c *wire, from string, id int) {
			c.send("<message id='" + strconv.Itoa(id) + "' from='x@" + from + "' to='y@north.example'><body>hello</body></message>")
		}
		first := w.dial("10.0.0.7", "10.0.0.1"+port)
		first.dialback("one.example", "north.example")
		first.send("<db:result from='two.example' to='north.example'>key</db:result>")
		first.expect("type='valid'/>")
		send(first, "one.example", 0) // the handler is at work on that
		send(first, "two.example", 1)
		send(first, "two.example", 2)
		first.send("</stream:stream>")
		synctest.Wait()
		second := w.dial("10.0.0.7", "10.0.0.1"+port)
		second.dialback("two.example", "north.example")
		send(second, "two.example", 3)
		synctest.Wait()
		close(release)
		for want := range 4 {
			if got := north.next(); got.ID != strconv.Itoa(want) {
				t.Errorf("stanza %s where %d was due", got.ID, want)
			}
		}
	})
}
