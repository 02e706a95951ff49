package psycswitch_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A meter counts what is written to and read from the connections that a dialer opens.
type meter struct {
	psycswitch.Dialer
	bytes *atomic.Int64
}

func (m meter) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := m.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return meteredConn{c, m.bytes}, nil
}

type meteredConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c meteredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.bytes.Add(int64(n))
	return n, err
}

func (c meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

// announce sends a presence of Ada to some people at south.example, from one number to the one before another.
func announce(y *yard, show string, from, to int) {
	for i := from; i < to; i++ {
		y.send(stanza(y.town.t, fmt.Sprintf("<presence from='ada@north.example/desk' to='c%d@south.example'><show>%s</show></presence>", i, show)))
	}
}

// heard waits until n people have got the same, checks that nobody has got it twice, and returns when that was.
func heard(y *yard, n int, show string) time.Time {
	y.town.t.Helper()
	y.await("all copies", func() bool { return len(y.got) >= n })
	y.mu.Lock()
	defer y.mu.Unlock()
	seen := make(map[string]bool)
	for _, s := range y.got {
		if to := s.To.String(); seen[to] || s.Text("show") != show || s.From.String() != "ada@north.example/desk" {
			y.town.t.Errorf("got %s", s.Append(nil))
		}
		seen[s.To.String()] = true
	}
	if len(seen) != n {
		y.town.t.Errorf("%d people have got it, not %d", len(seen), n)
	}
	y.got = nil
	return time.Now()
}

// TestPresenceAtConstantCost: between two routers that speak PSYC a change of presence costs the same for 1 and for 1,000 people, and
// everybody gets it; one more or one fewer costs his name. Acknowledgements are counted, too.
func TestPresenceAtConstantCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bytes atomic.Int64
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Dialer = meter{y.Dialer, &bytes} })
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		north.send(chat("ada@north.example/desk", "c0@south.example", "first", "the link comes up"))
		south.next()
		shows := 0
		cost := func(from, to int) int {
			time.Sleep(time.Second)
			before, show := bytes.Load(), []string{"away", "dnd"}[shows%2]
			shows++
			announce(north, show, from, to)
			heard(south, to-from, show)
			time.Sleep(time.Second)
			return int(bytes.Load() - before)
		}
		var costs []int
		for _, n := range []int{1, 10, 100, 1000} {
			cost(0, n)
			costs = append(costs, cost(0, n))
		}
		t.Logf("bytes for 1, 10, 100, 1000: %v", costs)
		if slices.Max(costs)-slices.Min(costs) > 200 {
			t.Errorf("bytes for 1, 10, 100, 1000: %v", costs)
		}
		more, again, fewer, last := cost(0, 1001), cost(0, 1001), cost(1, 1001), cost(1, 1001)
		t.Logf("one more: %d bytes, then %d; one fewer: %d, then %d", more, again, fewer, last)
		for _, n := range []int{more, again, fewer, last} {
			if n >= costs[3]+200 {
				t.Errorf("one more: %d bytes, then %d; one fewer: %d, then %d", more, again, fewer, last)
			}
		}
	})
}

// TestEventsAtConstantCost: what is said in a room to many, and events of one person to many, go as one packet each where the server
// behind is quick enough, or the link is told to wait for it.
func TestEventsAtConstantCost(t *testing.T) {
	const event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:avatar:metadata'/></event>"
	for kind, text := range map[string]string{
		"groupchat": "<message type='groupchat' from='room@north.example/eve' to='c%d@south.example/x' id='%d'><body>hello everybody</body></message>",
		"headline":  "<message type='headline' from='ada@north.example' to='c%d@south.example/x' id='%d'>" + event + "</message>",
	} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bytes atomic.Int64
				w := newTown(t)
				north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
					y.Dialer = meter{y.Dialer, &bytes}
					y.Casts.MessageDelay = time.Millisecond
				})
				south := w.add("10.0.0.2", plain("south.example"), nil)
				w.start()
				var costs []int64
				for round, n := range []int{300, 300, 3, 3} {
					before := bytes.Load()
					for i := range n {
						north.send(stanza(t, fmt.Sprintf(text, i, round)))
					}
					south.await("all copies", func() bool { return len(south.got) == n })
					south.mu.Lock()
					for i, s := range south.got {
						if got, sent := string(s.Append(nil)), string(stanza(t, fmt.Sprintf(text, i, round)).Append(nil)); got != sent {
							t.Errorf("got %s\nof %s", got, sent)
						}
					}
					south.got = nil
					south.mu.Unlock()
					time.Sleep(time.Second)
					costs = append(costs, bytes.Load()-before)
				}
				if t.Logf("bytes: %v", costs); costs[1] > costs[3]+200 {
					t.Errorf("bytes: %v", costs)
				}
			})
		})
	}
}

// TestForgottenAudience: a receiver that has lost what it was told knows after one round trip, for all contexts at once, and has everything in
// order.
func TestForgottenAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 50 * time.Millisecond
		w := newTown(t)
		w.net.delay = delay
		north := w.add("10.0.0.1", plain("north.example"), nil)
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		announce(north, "away", 0, 100)
		heard(south, 100, "away")
		time.Sleep(time.Second)
		psycswitch.ForgetAudiences(south.Router)
		start := time.Now()
		announce(north, "dnd", 0, 100)
		if took, grouping := heard(south, 100, "dnd").Sub(start), 20*time.Millisecond; took != 3*delay+grouping {
			t.Errorf("it took %v", took)
		}
	})
}

// TestReceiverRestarts: a receiver that is killed knows no audiences. The next one is told them with the first cast, and gets again what had not been
// acknowledged, marked.
func TestReceiverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), nil)
		stuck := make(chan struct{})
		south := w.add("10.0.0.2", plain("south.example"), func(y *yard) {
			y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				y.take(s)
				if s.Text("show") == "dnd" && s.To.Local() == "c7" {
					<-stuck
				}
				return nil
			})
		})
		w.start()
		announce(north, "away", 0, 20)
		heard(south, 20, "away")
		time.Sleep(time.Second)
		announce(north, "dnd", 0, 20)
		heard(south, 8, "dnd")
		w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.3" + port}}
		south.cut()
		close(stuck)
		heir := w.add("10.0.0.3", plain("south.example"), nil)
		w.startOne(heir)
		heir.await("what was in doubt", func() bool { return len(heir.got) == 20 })
		for _, s := range heir.got {
			if d, marked := s.Delay(); !marked || !strings.HasPrefix(d.Reason, "Sent again") {
				t.Errorf("got %s", s.Append(nil))
			}
		}
		heir.got = nil
		announce(north, "xa", 0, 20)
		heard(heir, 20, "xa")
	})
}

// TestCastLimits: what a receiver takes stands in its greeting, and the sender keeps to it.
func TestCastLimits(t *testing.T) {
	for name, test := range map[string]struct {
		north, south psycswitch.Casts
		casts        int64 // for 3 times 100 people
	}{
		"none":            {psycswitch.Casts{}, psycswitch.Casts{}, 3},
		"off there":       {psycswitch.Casts{}, psycswitch.Casts{Off: true}, 0},
		"off here":        {psycswitch.Casts{Off: true}, psycswitch.Casts{}, 0},
		"entries there":   {psycswitch.Casts{}, psycswitch.Casts{Audiences: transcode.AudienceLimits{Entries: 50}}, 6},
		"entries here":    {psycswitch.Casts{Audiences: transcode.AudienceLimits{Entries: 25}}, psycswitch.Casts{}, 12},
		"copies there":    {psycswitch.Casts{}, psycswitch.Casts{Copies: 1000}, 0},
		"no delay":        {psycswitch.Casts{Delay: -1}, psycswitch.Casts{}, 0},
		"audiences there": {psycswitch.Casts{}, psycswitch.Casts{Audiences: transcode.AudienceLimits{Audiences: 1, Members: 1}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				log := &choir{logged: make(map[string]int)}
				both := func(c psycswitch.Casts) func(y *yard) {
					return func(y *yard) { y.Casts, y.Logger = c, slog.New(log) }
				}
				north := w.add("10.0.0.1", plain("north.example"), both(test.north))
				south := w.add("10.0.0.2", plain("south.example"), both(test.south))
				w.start()
				for _, show := range []string{"away", "dnd", "xa"} {
					announce(north, show, 0, 100)
					heard(south, 100, show)
					time.Sleep(time.Second)
				}
				for info := range north.Links() {
					if info.CastsOut != test.casts && name != "no delay" {
						t.Errorf("%d casts", info.CastsOut)
					}
				}
				log.mu.Lock()
				defer log.mu.Unlock()
				if n := log.logged["packet refused"] + log.logged["audience in doubt"]; n > 0 {
					t.Errorf("%d refusals and questions", n)
				}
			})
		})
	}
}

// TestPresenceInOrder: what a person says, asks and announces arrives in the order in which it was sent, also when both sides
// announce at a time.
func TestPresenceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), nil)
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		const rounds, contacts = 20, 30
		for _, side := range []struct {
			here, there *yard
			from, to    string
		}{{north, south, "ada@north.example", "south.example"}, {south, north, "bob@south.example", "north.example"}} {
			go func() {
				for r := range rounds {
					for c := range contacts {
						side.here.send(stanza(t, fmt.Sprintf("<presence from='%s/desk' to='c%d@%s/x'><status>%d</status></presence>", side.from, c, side.to, 2*r)))
					}
					side.here.send(chat(side.from+"/phone", fmt.Sprintf("c%d@%s", r, side.to), strconv.Itoa(2*r+1), "hello"))
				}
			}()
		}
		for _, y := range []*yard{north, south} {
			y.await("everything", func() bool { return len(y.got) == rounds*(contacts+1) })
			last := map[string]int{}
			for _, s := range y.got {
				n, err := strconv.Atoi(s.Text("status") + s.ID)
				key := s.From.Bare().String() + " " + s.To.Bare().String()
				if before, ok := last[key]; err != nil || ok && n <= before {
					t.Fatalf("%s after %d", s.Append(nil), before)
				}
				last[key] = n
			}
		}
	})
}

// TestPresenceAfterCut: the next link begins without audiences, and nothing of what waited is lost.
func TestPresenceAfterCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), nil)
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		for _, show := range []string{"away", "dnd", "xa"} {
			announce(north, show, 0, 20)
			heard(south, 20, show)
			south.cut()
			time.Sleep(time.Second)
		}
		announce(north, "chat", 0, 20)
		north.stop() // in order: what still waits for more of its kind goes out
		south.await("the last copies", func() bool { return len(south.got) == 20 })
	})
}

// TestForgedCast: a cast reaches nobody for whom the peer may not send, nor comes from anybody whom it has not proved.
func TestForgedCast(t *testing.T) {
	cast := ":_context\tpsyc://%s/~x\n\n:_audience\t1 1\n:_amount_casts\t1\n=_list_audience\t%s\n:_degree_availability\t3\n_notice_presence_away\n|\n"
	for _, test := range []struct{ name, wire, want string }{
		{"to many", fmt.Sprintf(cast, "peer.example", "| psyc://north.example/~y| psyc://north.example/~z"), ""},
		{"from a bank", fmt.Sprintf(cast, "bank.example", "| psyc://north.example/~y"), "_error_rejected_relay_incoming"},
		{"to a bank", fmt.Sprintf(cast, "peer.example", "| psyc://north.example/~y| psyc://bank.example/~z"), "_error_rejected_relay_audience"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ca := w.tls()
				north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
				w.start()
				c := w.dialTLS("10.0.0.7", "10.0.0.1"+port, ca.issue("peer.example"), "psyc")
				hello := strings.ReplaceAll(greeting, "far.example", "peer.example")
				c.send(strings.ReplaceAll(hello, "_understand_modules\t_switchyard", "_understand_modules\t_switchyard;_switchyard_audience") + goodPacket)
				c.expect("_status_circuit\n")
				north.next()
				c.send(test.wire)
				if test.want != "" {
					c.expect(test.want)
					time.Sleep(time.Minute)
					if n := len(north.got); n > 0 {
						t.Errorf("%d copies", n)
					}
					return
				}
				for _, want := range []string{"y@north.example", "z@north.example"} {
					if s := north.next(); s.To.String() != want || s.Text("show") != "away" {
						t.Errorf("got %s", s.Append(nil))
					}
				}
			})
		})
	}
}
