package psycswitch_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/tap"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A sequence is what came of numbered messages from one sender to one recipient over connections that break. A message comes at
// most once and after those that were sent before it. What is missing was in flight when a connection broke: a run of
// messages, one for each break at most, no longer than what the network and the reader hold.
type sequence struct {
	mu    sync.Mutex
	last  int // the last message that came
	came  int
	gaps  int
	most  int // messages missing in one gap
	wrong error
}

func newSequence() *sequence { return &sequence{last: -1} }

func (q *sequence) take(s *xmpp.Stanza) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := strconv.Atoi(s.ID)
	switch {
	case q.wrong != nil:
	case err != nil || s.Type == "error":
		q.wrong = fmt.Errorf("message %s came back: %s", s.ID, errorCondition(s))
	case n <= q.last:
		q.wrong = fmt.Errorf("message %d after message %d", n, q.last)
	case n > q.last+1:
		q.gaps++
		q.most = max(q.most, n-q.last-1)
	}
	q.last = n
	q.came++
	return q.came
}

func (q *sequence) check(t *testing.T, sent, breaks, inFlight int) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wrong != nil {
		t.Error(q.wrong)
	}
	if q.last != sent-1 {
		t.Errorf("the last of %d messages is not there, but %d", sent, q.last)
	}
	if q.gaps > breaks || q.most > inFlight {
		t.Errorf("%d gaps after %d breaks, up to %d messages long", q.gaps, breaks, q.most)
	}
	t.Logf("%d of %d messages came; %d gaps, up to %d messages long, after %d breaks", q.came, sent, q.gaps, q.most, breaks)
}

// Links that break in the middle of floods both ways: what the connection has not taken goes by the next one, in its place. Where packets
// are counted, or stanzas, all the rest does, too.
func TestCuts(t *testing.T) {
	const messages, size = 3000, 1000
	for name, test := range map[string]struct {
		protocol   psycswitch.Protocol
		noSessions bool
		missing    int // messages in flight
	}{
		"PSYC":           {0, false, 0},
		"PSYC uncounted": {0, true, 2 * pipeSize / size}, // the network holds 64 KiB in one direction, and a reader as much that it has not parsed
		"XMPP":           {psycswitch.XMPP, false, 0},
		"XMPP uncounted": {psycswitch.XMPP, true, 2 * pipeSize / size},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 2 {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(uint64(seed), 0))
					w := newTown(t)
					cuts, next := 0, 200
					var over atomic.Bool
					var north, south *yard
					count := func(q *sequence) func(y *yard) {
						return func(y *yard) {
							y.Protocols, y.NoSessions = test.protocol, test.noSessions
							y.Queue.Stanzas = 500 // or the floods are over before the first cut
							y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
								if came := q.take(s); y == south && came >= next && s.ID != "0" && !over.Load() {
									cuts++
									next = came + 100 + random.IntN(500)
									north.cut()
									south.cut()
								}
								if s.ID == "0" || s.ID == strconv.Itoa(messages) {
									y.take(s)
								}
								return nil
							})
						}
					}
					there, back := newSequence(), newSequence()
					north = w.add("10.0.0.1", plain("north.example"), count(back))
					south = w.add("10.0.0.2", plain("south.example"), count(there))
					w.start()
					// Once a link has worked, failures to get another one are borne for a while.
					north.send(chat("ada@north.example", "bob@south.example", "0", "first"))
					south.send(chat("bob@south.example", "ada@north.example", "0", "first"))
					south.next()
					north.next()
					synctest.Wait() // sessions of streams have to be answered before they can be taken up
					body := strings.Repeat("x", size)
					var floods sync.WaitGroup
					flood := func(y *yard, from, to string) {
						for i := 1; i < messages; i++ {
							y.send(chat(from, to, strconv.Itoa(i), body))
						}
					}
					floods.Go(func() { flood(north, "ada@north.example", "bob@south.example") })
					floods.Go(func() { flood(south, "bob@south.example", "ada@north.example") })
					floods.Wait()
					over.Store(true)
					north.send(chat("ada@north.example", "bob@south.example", strconv.Itoa(messages), "last"))
					south.send(chat("bob@south.example", "ada@north.example", strconv.Itoa(messages), "last"))
					south.next()
					north.next()
					there.check(t, messages+1, cuts, test.missing)
					back.check(t, messages+1, cuts, test.missing)
					if cuts == 0 {
						t.Error("nothing has been cut")
					}
				})
			}
		})
	}
}

// choking connections fail when a stanza is written.
type choking struct{ psycswitch.Dialer }

func (d choking) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &chokingConn{conn}, nil
}

type chokingConn struct{ net.Conn }

func (c *chokingConn) Write(b []byte) (int, error) {
	if at := bytes.Index(b, []byte("<message")); at >= 0 {
		n, _ := c.Conn.Write(b[:at+1])
		c.Close()
		return n, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// Links that come up and take nothing are not dialled for ever: after some tries the domain counts as not reached.
func TestLinksThatTakeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Dialer = choking{y.Dialer} })
		w.add("10.0.0.2", plain("south.example"), func(y *yard) { y.Protocols = psycswitch.XMPP })
		w.start()
		start := time.Now()
		for i := range 10 {
			north.send(chat("ada@north.example", "bob@south.example", strconv.Itoa(i), "hello"))
		}
		for i := range 10 {
			if got := north.next(); got.ID != strconv.Itoa(i) || errorCondition(got) != string(xmpp.RemoteServerTimeout) {
				t.Errorf("got %s", got.Append(nil))
			}
		}
		if n, took := w.net.dialled("10.0.0.2"+port), time.Since(start); n != 4 || took > time.Minute {
			t.Errorf("dialled %d times in %v", n, took)
		}
	})
}

// What comes by a new link waits for what is left of the one before, even if the handler takes its time.
func TestNewLinkDoesNotOvertake(t *testing.T) {
	for name, protocol := range map[string]psycswitch.Protocol{"PSYC": 0, "XMPP": psycswitch.XMPP} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Protocols = protocol })
				seen := newSequence()
				south := w.add("10.0.0.2", plain("south.example"), func(y *yard) {
					y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
						time.Sleep(10 * time.Millisecond)
						seen.take(s)
						return nil
					})
				})
				w.start()
				const messages = 300
				for i := range messages {
					north.send(chat("ada@north.example", "bob@south.example", strconv.Itoa(i), "hello"))
					time.Sleep(time.Millisecond)
					if i%100 == 50 {
						south.cut()
					}
				}
				time.Sleep(10 * time.Second)
				seen.check(t, messages, 3, messages)
			})
		})
	}
}

// The same over TCP, through a tap that cuts the connections: there the kernel takes more than the peer may ever see.
func TestTapCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("needs sockets")
	}
	const messages = 8000
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	verify, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wire, err := tap.Listen("127.0.0.1:0", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
		"north.example": {{Addr: verify.Addr().String()}},
		"south.example": {{Addr: wire.Addr()}},
	}}
	seen := newSequence()
	progress, all := make(chan struct{}, 1), make(chan struct{})
	routers := make(map[string]*psycswitch.Router)
	for domain, handler := range map[string]func(*xmpp.Stanza){
		"north.example": func(s *xmpp.Stanza) { t.Errorf("came back: %s", s.Append(nil)) },
		"south.example": func(s *xmpp.Stanza) {
			seen.take(s)
			select {
			case progress <- struct{}{}:
			default:
			}
			if s.ID == strconv.Itoa(messages-1) {
				close(all)
			}
		},
	} {
		routers[domain] = &psycswitch.Router{
			Config: psycswitch.Config{Hosts: plain(domain), Resolver: resolver, Insecure: psycswitch.Plaintext},
			Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				handler(s)
				return nil
			}),
			Grace: time.Second,
			Queue: psycswitch.QueueLimits{Stanzas: messages},
		}
	}
	before := ourGoroutines()
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { routers["north.example"].Serve(ctx, verify) })
	served.Go(func() { routers["south.example"].Serve(ctx, listener) })
	cuts := 0
	for i := range messages {
		if i%(messages/4) == messages/8 {
			select {
			case <-progress:
			case <-time.After(10 * time.Second):
				t.Error("no progress")
			}
			wire.Cut()
			cuts++
		}
		if err := routers["north.example"].Send(t.Context(), chat("ada@north.example", "bob@south.example", strconv.Itoa(i), "message "+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-all: // the last one was taken after the last cut
	case <-time.After(30 * time.Second):
		t.Error("the last message does not come")
	}
	stop()
	served.Wait()
	seen.check(t, messages, cuts, messages)
	ourGoroutinesEnd(t, before)
}
