package psycswitch_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// With RequireCertificate a server is refused that shows none for its domain, whatever it speaks; without it DNS is believed.
func TestRequireCertificate(t *testing.T) {
	for _, test := range []struct {
		name  string
		names []string // in the certificate of the server; nil: no TLS
		hint  psycswitch.Hint
		ok    bool
	}{
		{"STARTTLS", []string{"south.example"}, psycswitch.Hint{Protocol: psycswitch.XMPP}, true},
		{"STARTTLS, other name", []string{"other.example"}, psycswitch.Hint{Protocol: psycswitch.XMPP}, false},
		{"direct TLS", []string{"south.example"}, psycswitch.Hint{Protocol: psycswitch.XMPP, DirectTLS: true}, true},
		{"direct TLS, other name", []string{"other.example"}, psycswitch.Hint{Protocol: psycswitch.XMPP, DirectTLS: true}, false},
		{"PSYC in TLS, other name", []string{"other.example"}, psycswitch.Hint{Protocol: psycswitch.PSYC, DirectTLS: true}, false},
		{"XMPP in plain", nil, psycswitch.Hint{Protocol: psycswitch.XMPP}, false},
		{"PSYC in plain", nil, psycswitch.Hint{Protocol: psycswitch.PSYC}, false},
	} {
		for _, strict := range []bool{true, false} {
			t.Run(test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t)
					ca := w.tls()
					test.hint.Addr = "10.0.0.2" + port
					w.resolver.Domains["south.example"] = []psycswitch.Hint{test.hint}
					north, south := plain("north.example"), plain("south.example")
					if test.names != nil {
						north, south = with(ca.issue("north.example"), "north.example"), with(ca.issue(test.names...), "south.example")
					}
					w.add("10.0.0.1", north, nil)
					w.add("10.0.0.2", south, nil)
					for _, y := range w.yards {
						if test.names == nil {
							y.Insecure = psycswitch.Plaintext
						}
					}
					w.yards[0].RequireCertificate = strict
					w.start()
					synctest.Wait()
					link, err := psycswitch.Dial(t.Context(), &w.yards[0].Config, "north.example", "south.example")
					switch {
					case test.ok && err != nil:
						t.Error(err)
					case strict && !test.ok && err == nil, strict && test.names != nil && !test.ok && !errors.Is(err, psycswitch.ErrNotProven):
						t.Errorf("strict: %v", err)
					case !strict && err != nil && test.name != "PSYC in plain":
						t.Errorf("not strict: %v", err)
					}
					if err == nil {
						link.Close()
					}
				})
			})
		}
	}
}

// A peer that never reads takes no more of the room than is left for others.
func TestQueueIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		for _, domain := range []string{"deaf.example", "mute.example", "third.example"} {
			w.resolver.Domains[domain] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "192.0.2.1" + port}}
		}
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Queue.Bytes = 60 * 20_000 })
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.start()
		fill := func(domain string) (n int) {
			for {
				err := north.Send(t.Context(), chat("ada@north.example", "bob@"+domain, "1", strings.Repeat("x", 19_300)))
				if errors.Is(err, psycswitch.ErrQueueFull) {
					return n
				}
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		for _, want := range []struct {
			domain string
			n      int
		}{{"deaf.example", 30}, {"mute.example", 15}, {"third.example", 8}} {
			if got := fill(want.domain); got != want.n {
				t.Errorf("%d stanzas wait for %s, want %d", got, want.domain, want.n)
			}
		}
		north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
		south.next()
	})
}

// The end of a link waits for its peer as long as CloseTimeout says.
func TestCloseTimeout(t *testing.T) {
	for _, test := range []struct {
		hint    psycswitch.Protocol
		timeout time.Duration
		want    time.Duration
	}{
		{psycswitch.XMPP, 0, 5 * time.Second},
		{psycswitch.XMPP, 300 * time.Millisecond, 300 * time.Millisecond},
		{psycswitch.PSYC, 0, time.Second},
		{psycswitch.PSYC, 300 * time.Millisecond, 300 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: test.hint, Addr: "10.0.0.9" + port}}
			north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.CloseTimeout = test.timeout })
			far := w.net.listen("10.0.0.9" + port)
			go func() {
				c := far.accept(t)
				if test.hint == psycswitch.XMPP {
					c.acceptStream(dialbackOn)
				} else {
					c.acceptCircuit()
				}
				io.Copy(io.Discard, c) // and never an answer to the end
			}()
			link, err := psycswitch.Dial(t.Context(), &north.Config, "north.example", "far.example")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for range link.Stanzas(t.Context()) {
				}
			}()
			synctest.Wait()
			start := time.Now()
			link.Close()
			if took := time.Since(start); took != test.want {
				t.Errorf("%v, CloseTimeout %v: Close took %v", test.hint, test.timeout, took)
			}
			synctest.Wait()
		})
	}
}

// lockedBuffer is written by many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Peers that come to have a key verified, and those that go without a word, are no news.
func TestVisitorsAreNotNews(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*wire)
		news bool
	}{
		{"in order", func(c *wire) { c.send("</stream:stream>"); c.rest() }, false},
		{"hang-up", func(c *wire) { c.Close() }, false},
		{"reset", func(c *wire) { c.Conn.(*memConn).Reset() }, false},
		{"an error", func(c *wire) { c.send("<message/>"); c.rest(); c.Close() }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				w := newTown(t)
				w.add("10.0.0.1", plain("north.example"), func(y *yard) {
					y.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
				})
				w.start()
				c := w.dial("10.0.0.7", "10.0.0.1"+port)
				c.openStream("peer.example", "north.example")
				c.send("<db:verify from='peer.example' to='north.example' id='1'>key</db:verify>")
				c.expect("type='invalid'/>")
				test.end(c)
				synctest.Wait()
				if got := strings.Contains(log.String(), "link refused"); got != test.news {
					t.Errorf("logged: %s", log.String())
				}
			})
		})
	}
}

// What rests on a proof ends with it: a stream that others dialled after 24 hours, a circuit with the certificate.
func TestProofsEnd(t *testing.T) {
	t.Run("stream by dialback", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			w.resolver.Domains["peer.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.7" + port}}
			w.vouch("10.0.0.7" + port)
			north := w.add("10.0.0.1", plain("north.example"), nil)
			w.start()
			c := w.dial("10.0.0.7", "10.0.0.1"+port)
			c.dialback("peer.example", "north.example")
			start := time.Now()
			for time.Since(start) < 24*time.Hour {
				c.send("<message from='x@peer.example' to='y@north.example'><body>hello</body></message>")
				north.next()
				time.Sleep(59 * time.Minute)
			}
			c.expect("</stream:stream>")
		})
	})
	t.Run("circuit by certificate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			ca := w.tls()
			north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
			short := ca.issueUntil(time.Now().Add(2*time.Hour), "south.example")
			renewed := ca.issue("south.example")
			start := time.Now()
			south := w.add("10.0.0.2", psycswitch.StaticHosts{}, func(y *yard) {
				y.Hosts = psycswitch.HostsFunc(func(domain string) (*certificate, error) {
					switch {
					case domain != "south.example":
						return nil, psycswitch.ErrNotHosted
					case time.Since(start) < time.Hour:
						return short, nil
					}
					return renewed, nil
				})
			})
			w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.2" + port}}
			w.start()
			for range 18 {
				north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
				south.next()
				time.Sleep(10 * time.Minute)
			}
			if n := w.net.dialled("10.0.0.2" + port); n != 2 {
				t.Errorf("%d connections around the end of a certificate", n)
			}
		})
	})
	t.Run("circuit that the peer dialled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			ca := w.tls()
			north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
			south := w.add("10.0.0.2", with(ca.issueUntil(time.Now().Add(2*time.Hour), "south.example"), "south.example"), nil)
			w.start()
			south.send(chat("bob@south.example", "ada@north.example", "1", "hello"))
			north.next()
			for i := range 17 {
				north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
				if i < 12 {
					south.next()
				}
				time.Sleep(10 * time.Minute)
			}
			north.mu.Lock()
			defer north.mu.Unlock()
			if len(north.downs) == 0 {
				t.Error("the circuit outlives the certificate of its peer")
			}
		})
	})
}
