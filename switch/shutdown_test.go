package psycswitch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A ledger says what became of messages.
type ledger struct {
	mu      sync.Mutex
	taken   []string // by Send
	arrived map[string]int
	bounced map[string]int
}

func newLedger() *ledger {
	return &ledger{arrived: make(map[string]int), bounced: make(map[string]int)}
}

// watch has the ledger count what arrives at the routers, errors at the sender and all else at the recipient.
func (l *ledger) watch(y *yard) {
	handle := y.Handler
	y.Handler = psycswitch.HandlerFunc(func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
		l.mu.Lock()
		if s.Type == "error" {
			l.bounced[s.ID]++
		} else {
			l.arrived[s.ID]++
		}
		l.mu.Unlock()
		return handle.HandleStanza(ctx, out, s)
	})
}

// flood sends until the router refuses or n are sent.
func (l *ledger) flood(y *yard, from, to string, n int) {
	for i := range n {
		id := y.ip + " " + strconv.Itoa(i)
		err := y.Send(context.Background(), chat(from, to, id, "message "+strconv.Itoa(i)))
		if errors.Is(err, psycswitch.ErrClosed) {
			return
		}
		if err != nil {
			y.town.t.Error(err)
			return
		}
		l.mu.Lock()
		l.taken = append(l.taken, id)
		l.mu.Unlock()
	}
}

// settle checks that each message has arrived or come back, once.
func (l *ledger) settle(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := 0
	for _, id := range l.taken {
		if n := l.arrived[id] + l.bounced[id]; n != 1 {
			if wrong++; wrong < 10 {
				t.Errorf("message %s: arrived %d times, bounced %d times", id, l.arrived[id], l.bounced[id])
			}
		}
	}
	t.Logf("%d taken, %d arrived, %d bounced, %d wrong", len(l.taken), len(l.arrived), len(l.bounced), wrong)
	if len(l.arrived) == 0 {
		t.Error("nothing arrived")
	}
}

// One of two servers ends in the middle of floods both ways: whatever has been taken by either arrives or bounces, once.
func TestShutdownUnderLoad(t *testing.T) {
	for name, protocol := range map[string]psycswitch.Protocol{"PSYC": 0, "XMPP": psycswitch.XMPP} {
		for _, after := range []int{1, 100, 2000} {
			t.Run(fmt.Sprintf("%s after %d", name, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t)
					all := newLedger()
					north := w.add("10.0.0.1", plain("north.example"), all.watch)
					south := w.add("10.0.0.2", plain("south.example"), func(y *yard) { y.Protocols = protocol; all.watch(y) })
					w.start()
					var floods sync.WaitGroup
					floods.Go(func() { all.flood(north, "ada@north.example", "bob@south.example", 4000) })
					floods.Go(func() { all.flood(south, "bob@south.example", "ada@north.example", 4000) })
					south.await("some", func() bool { return len(south.got) >= after })
					start := time.Now()
					south.stop()
					if took := time.Since(start); took > 10*time.Second {
						t.Errorf("it took %v", took)
					}
					floods.Wait()
					north.stop()
					all.settle(t)
				})
			})
		}
	}
}

// Both end at the same time.
func TestShutdownOfBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		all := newLedger()
		north, south := w.add("10.0.0.1", plain("north.example"), all.watch), w.add("10.0.0.2", plain("south.example"), all.watch)
		w.start()
		var floods sync.WaitGroup
		floods.Go(func() { all.flood(north, "ada@north.example", "bob@south.example", 4000) })
		floods.Go(func() { all.flood(south, "bob@south.example", "ada@north.example", 4000) })
		south.await("some", func() bool { return len(south.got) >= 500 })
		var ends sync.WaitGroup
		ends.Go(north.stop)
		ends.Go(south.stop)
		ends.Wait()
		floods.Wait()
		all.settle(t)
	})
}

// After Quiesce nothing comes from peers, but sending goes on until Serve ends, and Serve goes on until it is told to end.
func TestQuiesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north, south := w.add("10.0.0.1", plain("north.example"), nil), w.add("10.0.0.2", plain("south.example"), nil)
		north.Quiesce(t.Context()) // before Serve there is nothing to stop
		w.start()
		north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
		south.next()
		north.Quiesce(t.Context())
		if north.links() != 0 {
			t.Errorf("%d links", north.links())
		}
		north.send(chat("ada@north.example", "bob@south.example", "2", "hello"))
		if got := south.next(); got.ID != "2" {
			t.Errorf("got %s", got.ID)
		}
		time.Sleep(time.Hour)
		north.send(chat("ada@north.example", "bob@south.example", "3", "hello"))
		if got := south.next(); got.ID != "3" {
			t.Errorf("got %s", got.ID)
		}
		south.send(chat("bob@south.example", "ada@north.example", "back", "hello"))
		if got := south.next(); got.ID != "back" || errorCondition(got) == "" {
			t.Errorf("got %s", got.Append(nil))
		}
		north.stop()
		if err := north.Send(t.Context(), chat("ada@north.example", "bob@south.example", "4", "hello")); !errors.Is(err, psycswitch.ErrClosed) {
			t.Errorf("Send after Serve: %v", err)
		}
		if err := north.Serve(t.Context()); err == nil {
			t.Error("served twice")
		}
	})
}

// What is sent before Serve waits for it, within bounds.
func TestSendBeforeServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		south, north := w.add("10.0.0.2", plain("south.example"), nil), w.add("10.0.0.1", plain("north.example"), nil)
		north.Queue.Stanzas = 2
		for i, want := range []error{nil, nil, psycswitch.ErrQueueFull} {
			if err := north.Send(t.Context(), chat("ada@north.example", "bob@south.example", strconv.Itoa(i), "hello")); !errors.Is(err, want) {
				t.Errorf("stanza %d: %v", i, err)
			}
		}
		if err := north.Send(t.Context(), chat("ada@other.example", "bob@south.example", "x", "hello")); !errors.Is(err, psycswitch.ErrNotHosted) {
			t.Errorf("from elsewhere: %v", err)
		}
		if err := north.Send(t.Context(), &xmpp.Stanza{Kind: xmpp.Message}); !errors.Is(err, xmpp.ImproperAddressing) {
			t.Errorf("without addresses: %v", err)
		}
		if err := new(psycswitch.Router).Send(t.Context(), chat("a@a.example", "b@b.example", "1", "")); !errors.Is(err, psycswitch.ErrNotHosted) {
			t.Errorf("without Hosts: %v", err)
		}
		w.start()
		for i := range 2 {
			if got := south.next(); got.ID != strconv.Itoa(i) {
				t.Errorf("got %s", got.ID)
			}
		}
	})
}

// A domain that does not answer cannot keep a router from ending, nor take the time that others need; what waits for it bounces.
func TestEndWithDeadDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "192.0.2.1" + port}}
		all := newLedger()
		north, south := w.add("10.0.0.1", plain("north.example"), all.watch), w.add("10.0.0.2", plain("south.example"), all.watch)
		w.start()
		all.flood(north, "ada@north.example", "bob@south.example", 100)
		south.await("some", func() bool { return len(south.got) >= 10 })
		north.send(chat("ada@north.example", "bob@far.example", "far", "hello"))
		start := time.Now()
		north.stop()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		all.settle(t)
		if len(south.got) != 100 || all.bounced["far"] != 1 {
			t.Errorf("%d arrived; %v bounced", len(south.got), all.bounced)
		}
	})
}

// A peer that does not answer the end of a link, and a handler that does not return, are waited for within Grace and no longer.
func TestEndWithUncooperativePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["peer.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.7" + port}}
		w.vouch("10.0.0.7" + port)
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			y.Grace = 2 * time.Second
			y.Handler = psycswitch.HandlerFunc(func(ctx context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				y.take(s)
				<-ctx.Done()
				return nil
			})
		})
		w.start()
		for range 2 {
			c := w.dial("10.0.0.7", "10.0.0.1"+port)
			c.dialback("peer.example", "north.example")
			c.send(goodMessage)
			north.next()
		}
		w.dial("10.0.0.8", "10.0.0.1"+port).openStream("peer.example", "north.example")
		w.dial("10.0.0.9", "10.0.0.1"+port)
		start := time.Now()
		north.stop()
		if took := time.Since(start); took < 2*time.Second || took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// failing is a listener that fails.
type failing struct {
	net.Listener
	fail chan error
}

func (l failing) Accept() (net.Conn, error) { return nil, <-l.fail }
func (l failing) Close() error              { return nil }
func (l failing) Addr() net.Addr            { return tcpAddr("10.0.0.1:1") }

type temporary struct{ error }

func (temporary) Temporary() bool { return true }

// A listener that fails for good ends Serve in order; a failure that passes does not.
func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north, south := w.add("10.0.0.1", plain("north.example"), nil), w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		south.send(chat("bob@south.example", "ada@north.example", "1", "hello"))
		north.next()
		bad := failing{fail: make(chan error, 2)}
		third := w.add("10.0.0.3", plain("third.example"), nil)
		done := make(chan error, 1)
		go func() { done <- third.Serve(t.Context(), w.net.listen("10.0.0.3"+port), bad) }()
		bad.fail <- temporary{errors.New("too many open files")}
		third.send(chat("eva@third.example", "ada@north.example", "2", "hello"))
		north.next()
		time.Sleep(time.Second)
		third.send(chat("eva@third.example", "ada@north.example", "3", "hello"))
		broken := errors.New("broken")
		bad.fail <- broken
		if err := <-done; !errors.Is(err, broken) || !strings.Contains(err.Error(), "10.0.0.1:1") {
			t.Errorf("Serve: %v", err)
		}
		north.next()
		if err := new(psycswitch.Router).Serve(t.Context()); err == nil {
			t.Error("served without Hosts")
		}
	})
}
