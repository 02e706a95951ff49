package psycswitch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// closed reports whether the peer has closed the connection.
func (c *wire) closed() bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 4096))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// Connections that say nothing are let in up to a number, and not for ever.
func TestSilentConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Intake = psycswitch.IntakeLimits{Handshakes: 3} })
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		south.send(chat("bob@south.example", "ada@north.example", "1", "hello")) // links that are up do not count
		north.next()
		synctest.Wait() // who accepted it knows that it is up
		var silent []*wire
		for i := range 3 {
			silent = append(silent, w.dial(fmt.Sprintf("10.0.1.%d", i), "10.0.0.1"+port))
		}
		synctest.Wait()
		if c := w.dial("10.0.2.1", "10.0.0.1"+port); !c.closed() {
			t.Error("one too many is let in")
		}
		for i, c := range silent {
			if c.closed() {
				t.Errorf("connection %d is closed", i)
			}
		}
		time.Sleep(30 * time.Second)
		for i, c := range silent {
			if !c.closed() {
				t.Errorf("connection %d is open", i)
			}
		}
		if c := w.dial("10.0.2.1", "10.0.0.1"+port); c.closed() {
			t.Error("there is room, and nobody is let in")
		}
		if north.links() != 1 {
			t.Errorf("%d links", north.links())
		}
	})
}

func TestConnectionLimits(t *testing.T) {
	for _, test := range []struct {
		name    string
		limits  psycswitch.IntakeLimits
		from    []string
		refused []bool
	}{
		{"address", psycswitch.IntakeLimits{PerAddress: 2}, []string{"10.1.0.1", "10.1.0.1", "10.1.0.1", "10.1.0.2"}, []bool{false, false, true, false}},
		{"IPv6 network", psycswitch.IntakeLimits{PerAddress: 2}, []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"}, []bool{false, false, true, false}},
		{"this machine", psycswitch.IntakeLimits{PerAddress: 1}, []string{"127.0.0.1", "127.0.0.1", "::1", "::1", "::ffff:127.0.0.1"}, make([]bool, 5)},
		{"mapped", psycswitch.IntakeLimits{PerAddress: 1}, []string{"10.1.0.1", "::ffff:10.1.0.1"}, []bool{false, true}},
		{"all", psycswitch.IntakeLimits{Connections: 2}, []string{"10.1.0.1", "10.1.0.2", "10.1.0.3"}, []bool{false, false, true}},
		{"none", psycswitch.IntakeLimits{PerAddress: -1, Connections: -1, Handshakes: -1}, make255("10.1.0.1"), make([]bool, 255)},
		{"default", psycswitch.IntakeLimits{}, make255("10.1.0.1"), append(make([]bool, 250), true, true, true, true, true)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Intake = test.limits })
				w.start()
				for round := range 2 { // what is closed makes room
					var conns []*wire
					for i, from := range test.from {
						c := w.dial(from, "10.0.0.1"+port)
						synctest.Wait()
						if got := c.closed(); got != test.refused[i] {
							t.Errorf("round %d: connection %d from %s refused: %v", round, i, from, got)
						}
						conns = append(conns, c)
					}
					for _, c := range conns {
						c.Close()
					}
					synctest.Wait()
				}
			})
		})
	}
}

func make255(from string) (all []string) {
	for range 255 {
		all = append(all, from)
	}
	return all
}

// A circuit on which nothing is proved is closed, however lively it is; one proof lets it stay.
func TestUnprovedCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
		w.start()
		mute := w.dialTLS("10.0.0.7", "10.0.0.1"+port, nil, "psyc")
		good := w.dialTLS("10.0.0.8", "10.0.0.1"+port, ca.issue("peer.example"), "psyc")
		mute.send(greeting)
		good.send(greeting + goodPacket)
		north.next()
		for range 7 {
			time.Sleep(5 * time.Second)
			if mute.closed() {
				break
			}
			mute.send("|\n")
		}
		if !mute.closed() {
			t.Error("the circuit without a proof is open")
		}
		mute.Close()
		time.Sleep(time.Minute)
		good.send(goodPacket)
		north.next()
	})
}

// Links without traffic are closed by who dialled, and by either side of a circuit.
func TestIdleLinks(t *testing.T) {
	for _, test := range []struct {
		name     string
		idle     time.Duration // Router.Idle
		protocol psycswitch.Protocol
		every    time.Duration // between stanzas
		dials    int           // after 3 stanzas
	}{
		{"PSYC busy", 0, 0, 14 * time.Minute, 1},
		{"PSYC idle", 0, 0, 17 * time.Minute, 3},
		{"XMPP idle", 0, psycswitch.XMPP, 17 * time.Minute, 3},
		{"XMPP busy", 0, psycswitch.XMPP, 14 * time.Minute, 1},
		{"shorter", time.Minute, 0, 2 * time.Minute, 3},
		{"never", -1, 0, 5 * time.Hour, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Idle = test.idle })
				south := w.add("10.0.0.2", plain("south.example"), func(y *yard) { y.Protocols, y.Idle = test.protocol, -1 })
				w.start()
				for range 3 {
					north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
					south.next()
					time.Sleep(test.every)
				}
				if n := w.net.dialled("10.0.0.2" + port); n != test.dials {
					t.Errorf("%d connections", n)
				}
				north.mu.Lock()
				defer north.mu.Unlock()
				for _, err := range north.downs {
					if err != nil {
						t.Errorf("a link ended with %v", err)
					}
				}
			})
		})
	}
}

// A link is renewed before the proofs end, and nothing is lost or overtakes.
func TestLinkAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		var order tide
		north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
		south := w.add("10.0.0.2", with(ca.issue("south.example"), "south.example"), func(y *yard) {
			y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				order.take(s)
				return nil
			})
		})
		w.start()
		const rounds = 50 * 12
		for i := range rounds {
			north.send(chat("ada@north.example", "bob@south.example", fmt.Sprint(i), "hello"))
			time.Sleep(5 * time.Minute)
		}
		synctest.Wait()
		order.mu.Lock()
		defer order.mu.Unlock()
		if order.err != nil || order.next["ada@north.example bob@south.example"] != rounds {
			t.Errorf("%v after %v", order.err, order.next)
		}
		if n := w.net.dialled("10.0.0.2" + port); n != 3 {
			t.Errorf("%d connections in 50 hours", n)
		}
		south.mu.Lock()
		defer south.mu.Unlock()
		if len(south.downs) != 2 || len(north.lost) != 0 {
			t.Errorf("links ended: %v; lost: %v", south.downs, north.lost)
		}
	})
}

// What waits for a domain that does not answer is bounded; room comes back when it is given up.
func TestQueueFull(t *testing.T) {
	for name, limits := range map[string]psycswitch.QueueLimits{"stanzas": {Stanzas: 5}, "bytes": {Bytes: 10 * 20_000}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "192.0.2.1" + port}}
				north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Queue = limits })
				w.start()
				for round := range 2 {
					start := time.Now()
					taken := 0
					for i := range 10 {
						err := north.Send(t.Context(), chat("ada@north.example", "bob@far.example", fmt.Sprint(i), strings.Repeat("x", 19_000)))
						switch {
						case err == nil:
							taken++
						case !errors.Is(err, psycswitch.ErrQueueFull) || time.Since(start) > 0:
							t.Errorf("%v after %v", err, time.Since(start))
						}
					}
					if taken != 5 {
						t.Errorf("round %d: %d taken", round, taken)
					}
					for range taken {
						if got := north.next(); errorCondition(got) != string(xmpp.RemoteServerTimeout) {
							t.Errorf("got %s", got.Append(nil))
						}
					}
					time.Sleep(2 * time.Minute)
				}
			})
		})
	}
}

// Stanzas to ever new domains leave nothing behind but a bounded memory of what went wrong.
func TestNothingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			y.Handler = psycswitch.HandlerFunc(func(context.Context, psycswitch.Sender, *xmpp.Stanza) error { return nil })
			y.Trace = nil
		})
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		for i := range psycswitch.MaxTroubles + 1000 {
			north.send(chat("ada@north.example", fmt.Sprintf("bob@d%d.example", i), "1", "hello"))
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		north.send(chat("ada@north.example", "ada@north.example", "1", "hello"))
		north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
		south.next()
		synctest.Wait()
		if n := psycswitch.Troubles(north.Router); n == 0 || n > psycswitch.MaxTroubles {
			t.Errorf("trouble with %d routes", n)
		}
		time.Sleep(time.Hour) // links have gone
		for _, y := range w.yards {
			if held := psycswitch.Held(y.Router); held != "" {
				t.Errorf("left at %s: %s", y.ip, held)
			}
		}
	})
}

// Where the link is up but its peer does not read, Send waits while there is hope, and no longer than its context.
func TestSendWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Queue.Stanzas = 5 })
		w.start()
		far := w.net.listen("10.0.0.9" + port)
		send := func(ctx context.Context) error {
			return north.Send(ctx, chat("ada@north.example", "bob@far.example", "1", strings.Repeat("x", 50_000)))
		}
		if err := send(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := far.accept(t)
		c.acceptStream(dialbackOn)
		c.expect("xxx")
		start := time.Now()
		for time.Since(start) == 0 {
			if err := send(t.Context()); err != nil {
				if !errors.Is(err, psycswitch.ErrQueueFull) || time.Since(start) != 10*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			}
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := send(ctx); !errors.Is(err, psycswitch.ErrQueueFull) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		waiting := make(chan error, 1)
		go func() { waiting <- send(t.Context()) }()
		synctest.Wait()
		for range 10 { // the peer goes on
			c.expect("</message>")
		}
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	})
}

// Two servers whose handlers send back what comes, with queues that are too small for all of that, do not wait for each other for ever:
// what there is no room for comes to an end as an error, and the rest goes on.
func TestNoDeadlockOfHandlers(t *testing.T) {
	const rounds = 6
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		type end struct{ id, how string }
		ends := make(chan end, 1000)
		echo := func(y *yard) {
			y.Queue.Stanzas = 3
			seen := make(map[string]int)
			y.Handler = psycswitch.HandlerFunc(func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
				y.mu.Lock()
				seen[s.ID]++
				n := seen[s.ID]
				y.mu.Unlock()
				switch {
				case s.Type == "error":
					ends <- end{s.ID, errorCondition(s)}
				case n == rounds:
					ends <- end{s.ID, ""}
				default:
					s.From, s.To = s.To, s.From
					return out.Send(ctx, s)
				}
				return nil
			})
		}
		north, south := w.add("10.0.0.1", plain("north.example"), echo), w.add("10.0.0.2", plain("south.example"), echo)
		w.start()
		big := strings.Repeat("x", 100_000)
		sent := make(map[string]bool)
		for i := range 8 {
			for y, names := range map[*yard][2]string{north: {"north.example", "south.example"}, south: {"south.example", "north.example"}} {
				id := fmt.Sprint(names[0], i)
				err := y.Send(t.Context(), chat("ada@"+names[0], "bob@"+names[1], id, big))
				if err == nil {
					sent[id] = true
				} else if !errors.Is(err, psycswitch.ErrQueueFull) {
					t.Error(err)
				}
			}
		}
		whole, refused := 0, 0
		for over := time.After(10 * time.Minute); len(sent) > 0; {
			select {
			case e := <-ends:
				switch {
				case !sent[e.id]:
					t.Errorf("%s ends twice", e.id)
				case e.how == "":
					whole++
				case e.how == string(xmpp.ResourceConstraint):
					refused++
				default:
					t.Errorf("%s ends with %s", e.id, e.how)
				}
				delete(sent, e.id)
			case <-over:
				t.Fatalf("%d are under way for ever; %d made all rounds, %d were refused", len(sent), whole, refused)
			}
		}
		if whole == 0 {
			t.Error("nothing went on")
		}
	})
}

// A handler that answers every bounce with more of the same can neither block the queue that it is called from nor fill the memory.
func TestHandlerAnswersBounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		var refused int
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			y.Queue.Stanzas = 5
			left := 100
			y.Handler = psycswitch.HandlerFunc(func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
				y.take(s)
				for range 3 {
					if left--; left < 0 {
						break
					}
					if errors.Is(out.Send(ctx, chat("ada@north.example", "bob@far.example", "again", "hello")), psycswitch.ErrQueueFull) {
						y.note(func() { refused++ })
					}
				}
				return nil
			})
		})
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.9.9.9" + port}}
		w.start()
		start := time.Now()
		north.send(chat("ada@north.example", "bob@far.example", "1", "hello"))
		north.await("all", func() bool { return len(north.got) == 101-refused })
		if refused == 0 || time.Since(start) > 0 {
			t.Errorf("%d refused in %v", refused, time.Since(start))
		}
	})
}
