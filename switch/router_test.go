package psycswitch_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

func TestRouterSwitches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north, south := w.add("10.0.0.1", plain("north.example"), nil), w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		north.send(chat("ada@north.example/a", "bob@south.example", "1", "hello"))
		got := south.next()
		if got.Text("body") != "hello" || got.ID != "1" || got.From.String() != "ada@north.example/a" {
			t.Errorf("got %s", got.Append(nil))
		}
		// The answer comes by the same circuit.
		south.send(chat("bob@south.example/b", "ada@north.example/a", "2", "hello yourself"))
		if got := north.next(); got.ID != "2" {
			t.Errorf("got %s", got.Append(nil))
		}
		synctest.Wait()
		for _, y := range w.yards {
			for info := range y.Links() {
				if info.Protocol != psycswitch.PSYC || info.StanzasIn != 1 || info.StanzasOut != 1 || info.Local == "" || info.Remote == "" {
					t.Errorf("link of %s: %+v", y.ip, info)
				}
			}
			if y.links() != 1 {
				t.Errorf("%d links at %s", y.links(), y.ip)
			}
		}
	})
}

// Everything that several senders send in both directions while the links come up and switch arrives once and in order, with
// XMPP alone as well.
func TestFlood(t *testing.T) {
	const senders, each = 4, 1500
	for _, test := range []struct {
		name     string
		protocol psycswitch.Protocol // of the second server
	}{{"switch", 0}, {"XMPP", psycswitch.XMPP}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				var flood tide
				count := func(y *yard) {
					y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
						flood.take(s)
						y.take(s)
						return nil
					})
				}
				north := w.add("10.0.0.1", plain("north.example"), count)
				south := w.add("10.0.0.2", plain("south.example"), func(y *yard) { count(y); y.Protocols = test.protocol })
				w.start()
				var sending sync.WaitGroup
				for i := range senders {
					for _, dir := range []struct {
						y        *yard
						from, to string
					}{{north, "north.example", "south.example"}, {south, "south.example", "north.example"}} {
						sending.Go(func() {
							for n := range each {
								s := chat(fmt.Sprintf("u%d@%s/r", i, dir.from), "all@"+dir.to, strconv.Itoa(n), "message "+strconv.Itoa(n))
								if err := dir.y.Send(t.Context(), s); err != nil {
									t.Error(err)
									return
								}
							}
						})
					}
				}
				sending.Wait()
				for _, y := range w.yards {
					y.await("all", func() bool { return len(y.got) == senders*each })
				}
				if flood.err != nil {
					t.Error(flood.err)
				}
				for y, info := range map[*yard]psycswitch.Protocol{north: psycswitch.PSYC, south: psycswitch.PSYC} {
					if test.protocol != 0 {
						info = test.protocol
					}
					for l := range y.Links() {
						if l.Protocol != info {
							t.Errorf("a link speaks %v", l.Protocol)
						}
					}
				}
			})
		})
	}
}
