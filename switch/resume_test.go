package psycswitch_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A gate lets connections through while it is open.
type gate struct {
	psycswitch.Dialer
	shut atomic.Bool
}

func (g *gate) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if g.shut.Load() {
		return nil, syscall.ENETUNREACH
	}
	return g.Dialer.DialContext(ctx, network, addr)
}

// gatedTown has two yards that speak XMPP, with a gate between them and a delay, so that what has just been sent is lost when a
// connection is cut.
func gatedTown(t *testing.T, change func(*yard)) (w *town, north, south *yard, between *gate) {
	w = newTown(t)
	w.net.delay = 50 * time.Millisecond
	between = new(gate)
	north = w.add("10.0.0.1", plain("north.example"), func(y *yard) {
		y.Protocols = psycswitch.XMPP
		change(y)
		between.Dialer, y.Dialer = y.Dialer, between
	})
	south = w.add("10.0.0.2", plain("south.example"), func(y *yard) {
		y.Protocols = psycswitch.XMPP
		y.pings(pong)
	})
	w.start()
	north.send(chat("ada@north.example", "bob@south.example", "first", "hello"))
	south.next()
	time.Sleep(5 * time.Second) // and both have streams to each other, if barriers are answered
	return w, north, south, between
}

// A session goes on after minutes, but what nobody waits for any more does not go again.
func TestResumedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, north, south, between := gatedTown(t, func(y *yard) {
			y.Persist = true
			y.Trace.Unacknowledged = func(s *xmpp.Stanza) {
				if s.ID != "q" {
					t.Errorf("in doubt: %s", s.Append(nil))
				}
			}
		})
		for _, text := range []string{
			"<message id='one' type='chat' from='ada@north.example/x' to='bob@south.example'><body>hello</body></message>",
			"<iq type='get' id='q' from='ada@north.example/x' to='bob@south.example/y'><ping xmlns='urn:xmpp:ping'/></iq>",
			"<presence id='old' from='ada@north.example/x' to='bob@south.example'/>",
			"<message id='two' type='chat' from='ada@north.example/x' to='bob@south.example'><body>hello</body></message>",
		} {
			north.send(stanza(t, text))
		}
		time.Sleep(w.net.delay / 2)
		between.shut.Store(true)
		south.cut()
		time.Sleep(2 * time.Minute)
		if s := north.next(); s.ID != "q" || errorCondition(s) != string(xmpp.RemoteServerTimeout) {
			t.Errorf("came back: %s", s.Append(nil))
		}
		between.shut.Store(false)
		for _, want := range []string{"one", "old", "two"} {
			if s := south.next(); s.ID != want || sentAgain(s) {
				t.Errorf("%s came, not %q", s.Append(nil), want)
			}
		}
		time.Sleep(time.Minute)
		if _, got := south.accounts(); len(got) != 0 {
			t.Errorf("came as well: %s", got[0].Append(nil))
		}
	})
}

// A stanza over which the peer breaks every link goes again twice, and comes back then. What is behind it goes on.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), unresumable)
		south := w.add("10.0.0.2", plain("south.example"), func(y *yard) {
			handler := y.Handler
			y.Handler = psycswitch.HandlerFunc(func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
				if s.ID == "poison" {
					y.cut()
				}
				return handler.HandleStanza(ctx, out, s)
			})
		})
		w.start()
		north.send(chat("ada@north.example", "bob@south.example", "poison", "hello"))
		for i := range 3 {
			if s := south.next(); s.ID != "poison" || sentAgain(s) != (i > 0) {
				t.Errorf("%d: got %s", i, s.Append(nil))
			}
		}
		s := north.next()
		if text := s.Error().Text; errorCondition(s) != string(xmpp.RemoteServerTimeout) || text != "It may have arrived." {
			t.Errorf("came back: %s", s.Append(nil))
		}
		north.send(chat("ada@north.example", "bob@south.example", "next", "hello"))
		if s := south.next(); s.ID != "next" {
			t.Errorf("got %s", s.Append(nil))
		}
	})
}

// acknowledgements are the ways in which a router learns over XMPP what has arrived.
var acknowledgements = map[string]func(*yard){
	"resumed":     func(*yard) {},
	"not resumed": unresumable,
	"barriers":    unmanagedXMPP,
}

// A router that ends with something in doubt says so to the senders.
func TestStopInDoubt(t *testing.T) {
	for name, change := range acknowledgements {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, north, south, between := gatedTown(t, change)
				north.send(chat("ada@north.example", "bob@south.example", "lost", "hello"))
				time.Sleep(w.net.delay / 2)
				between.shut.Store(true)
				south.cut()
				time.Sleep(time.Second)
				north.stop()
				s := north.next()
				if text := s.Error().Text; s.ID != "lost" || text != "It may have arrived." {
					t.Errorf("came back: %s", s.Append(nil))
				}
			})
		})
	}
}

// An orderly end leaves nothing in doubt, whoever begins it and however much is in flight.
func TestStopInOrder(t *testing.T) {
	for name, change := range acknowledgements {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, north, south, _ := gatedTown(t, func(y *yard) {
					change(y)
					y.Trace.Unacknowledged = func(s *xmpp.Stanza) { t.Errorf("in doubt: %s", s.Append(nil)) }
				})
				north.send(chat("ada@north.example", "bob@south.example", "last", "hello"))
				north.stop()
				if s := south.next(); s.ID != "last" || sentAgain(s) {
					t.Errorf("got %s", s.Append(nil))
				}
				if lost, _ := north.accounts(); len(lost) != 0 {
					t.Errorf("bounced: %v", lost)
				}
			})
		})
	}
}

// A server that closes a stream has to read on until we have closed it, too. One that acknowledges is believed to do that; what another one has not
// been heard to have read goes again.
func TestPeerClosesFirst(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*yard)
		again  bool
	}{
		"resumed":     {func(*yard) {}, false},
		"not resumed": {unresumable, false},
		"barriers":    {unmanagedXMPP, true},
		"no barriers": {func(y *yard) { unmanagedXMPP(y); y.Barriers.Delay = -1 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, north, south, _ := gatedTown(t, test.change)
				north.send(chat("ada@north.example", "bob@south.example", "crossing", "hello"))
				time.Sleep(w.net.delay / 2)
				psycswitch.EndLinks(t.Context(), south.Router)
				if s := south.next(); s.ID != "crossing" || sentAgain(s) {
					t.Errorf("got %s", s.Append(nil))
				}
				time.Sleep(time.Minute)
				_, got := south.accounts()
				if test.again {
					if len(got) != 1 || got[0].ID != "crossing" || !sentAgain(got[0]) {
						t.Errorf("%d came again", len(got))
					}
				} else if len(got) != 0 {
					t.Errorf("came again: %s", got[0].Append(nil))
				}
			})
		})
	}
}
