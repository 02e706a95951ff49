package psycswitch_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Two servers that dial each other at the same moment have one circuit in the end, the one dialled by the smaller name, however it has come about.
// What both send all the while comes once and in order.
func TestSimultaneousDials(t *testing.T) {
	const burst, messages = 300, 1500 // the rest of them one a millisecond
	for _, entry := range []struct {
		name string
		hint psycswitch.Hint
		tls  bool
	}{
		{"PSYC", psycswitch.Hint{Protocol: psycswitch.PSYC}, false},
		{"PSYC on TLS", psycswitch.Hint{Protocol: psycswitch.PSYC, DirectTLS: true}, true},
		{"ALPN", psycswitch.Hint{Protocol: psycswitch.XMPP, DirectTLS: true}, true},
		{"switch after EXTERNAL", psycswitch.Hint{Protocol: psycswitch.XMPP}, true},
		{"switch after dialback", psycswitch.Hint{Protocol: psycswitch.XMPP}, false},
	} {
		for name, noSessions := range map[string]bool{"": false, ", uncounted": true} {
			t.Run(entry.name+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t)
					w.net.delay = 20 * time.Millisecond
					seen := new(tide)
					change := func(y *yard) {
						y.NoSessions = noSessions
						y.Insecure |= psycswitch.Addresses
						y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
							seen.take(s)
							return nil
						})
					}
					north, south := w.pair(entry.hint, entry.tls, change)
					w.start()
					var floods sync.WaitGroup
					flood := func(y *yard, from, to string) {
						for i := range messages {
							y.send(chat(from, to, strconv.Itoa(i), "message "+strconv.Itoa(i)))
							if i >= burst {
								time.Sleep(time.Millisecond)
							}
						}
					}
					floods.Go(func() { flood(north, "ada@north.example", "bob@south.example") })
					floods.Go(func() { flood(south, "bob@south.example", "ada@north.example") })
					floods.Wait()
					time.Sleep(10 * time.Second)
					if err := seen.check(2, messages); err != nil {
						t.Error(err)
					}
					w.expectOne(t, north, south)
				})
			})
		}
	}
}

// pair makes two routers that are found by the same kind of hint.
func (w *town) pair(hint psycswitch.Hint, secure bool, change func(*yard)) (north, south *yard) {
	hosts := func(domain string) psycswitch.StaticHosts { return plain(domain) }
	if secure {
		ca := w.tls()
		hosts = func(domain string) psycswitch.StaticHosts { return with(ca.issue(domain), domain) }
	}
	add := func(ip, domain string) *yard {
		hint.Addr = ip + port
		w.resolver.Domains[domain] = []psycswitch.Hint{hint}
		return w.add(ip, hosts(domain), change)
	}
	return add("10.0.0.1", "north.example"), add("10.0.0.2", "south.example")
}

// expectOne checks that there have been two circuits, and that there is one now: the one that north has dialled.
func (w *town) expectOne(t *testing.T, north, south *yard) {
	t.Helper()
	for _, y := range []*yard{north, south} {
		if lost, _ := y.accounts(); y.hadLinks() < 2 || len(lost) > 0 {
			t.Errorf("at %s: %d links have come up, %d stanzas bounced", y.ip, y.hadLinks(), len(lost))
		}
		n := 0
		for info := range y.Links() {
			n++
			if info.Protocol != psycswitch.PSYC || info.Dialled != (y == north) {
				t.Errorf("at %s: %v, dialled: %v", y.ip, info.Protocol, info.Dialled)
			}
		}
		if n != 1 {
			t.Errorf("at %s: %d links", y.ip, n)
		}
	}
	if n := w.net.open(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// Many pairs of domains begin at the same moment on both sides. What stays is as few circuits as what can be proved on them allows.
func TestSimultaneousDialsOfManyPairs(t *testing.T) {
	for _, test := range []struct {
		name  string
		hint  psycswitch.Hint
		certs func(ca *authority, domains []string) psycswitch.StaticHosts // nil: no TLS
		links int
	}{
		{"a certificate for all", psycswitch.Hint{Protocol: psycswitch.PSYC, DirectTLS: true}, func(ca *authority, domains []string) psycswitch.StaticHosts {
			return with(ca.issue(domains...), domains...)
		}, 1},
		{"a certificate for each", psycswitch.Hint{Protocol: psycswitch.PSYC, DirectTLS: true}, func(ca *authority, domains []string) psycswitch.StaticHosts {
			hosts := make(psycswitch.StaticHosts)
			for _, d := range domains {
				hosts[d] = ca.issue(d)
			}
			return hosts
		}, 1},
		{"dialback", psycswitch.Hint{Protocol: psycswitch.XMPP}, nil, len(northDomains) * len(southDomains)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.net.delay = 20 * time.Millisecond
				certs := func(domains []string) psycswitch.StaticHosts { return plain(domains...) }
				if test.certs != nil {
					ca := w.tls()
					certs = func(domains []string) psycswitch.StaticHosts { return test.certs(ca, domains) }
				}
				for ip, domains := range map[string][]string{"10.0.0.1": northDomains, "10.0.0.2": southDomains} {
					test.hint.Addr = ip + port
					for _, d := range domains {
						w.resolver.Domains[d] = []psycswitch.Hint{test.hint}
					}
				}
				seen := new(tide)
				change := func(y *yard) {
					y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
						seen.take(s)
						return nil
					})
				}
				north, south := w.add("10.0.0.1", certs(northDomains), change), w.add("10.0.0.2", certs(southDomains), change)
				w.start()
				const messages = 1000
				for i := range messages {
					for _, n := range northDomains {
						for _, s := range southDomains {
							north.send(chat("ada@"+n, "bob@"+s, strconv.Itoa(i), "hello"))
							south.send(chat("bob@"+s, "ada@"+n, strconv.Itoa(i), "hello"))
						}
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(10 * time.Second)
				if err := seen.check(2*len(northDomains)*len(southDomains), messages); err != nil {
					t.Error(err)
				}
				if n, m, open := north.links(), south.links(), w.net.open(); n != test.links || m != n || open != n {
					t.Errorf("%d and %d links, %d connections, want %d", n, m, open, test.links)
				}
				for _, y := range w.yards {
					if lost, _ := y.accounts(); len(lost) > 0 {
						t.Errorf("bounced at %s: %v", y.ip, lost)
					}
				}
			})
		})
	}
}

// A circuit without TLS never takes the place of one with it, whichever name is the smaller.
func TestSimultaneousDialsWithAndWithoutTLS(t *testing.T) {
	for name, northDialsTLS := range map[string]bool{"the smaller name dials TLS": true, "the larger name dials TLS": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.net.delay = 20 * time.Millisecond
				ca := w.tls()
				open := func(y *yard) { y.Insecure = psycswitch.Plaintext | psycswitch.Addresses }
				north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), open)
				south := w.add("10.0.0.2", with(ca.issue("south.example"), "south.example"), open)
				w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: northDialsTLS, Addr: south.ip + port}}
				w.resolver.Domains["north.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: !northDialsTLS, Addr: north.ip + port}}
				w.start()
				for i := range 1000 {
					north.send(chat("ada@north.example", "bob@south.example", strconv.Itoa(i), "hello"))
					south.send(chat("bob@south.example", "ada@north.example", strconv.Itoa(i), "hello"))
					time.Sleep(time.Millisecond)
				}
				time.Sleep(10 * time.Second)
				for _, y := range w.yards {
					if _, got := y.accounts(); len(got) != 1000 || y.hadLinks() != 2 || y.links() != 1 {
						t.Errorf("at %s: %d stanzas, %d links have come up, %d are", y.ip, len(got), y.hadLinks(), y.links())
					}
					for info := range y.Links() {
						if info.TLS == nil {
							t.Errorf("at %s: without TLS", y.ip)
						}
					}
				}
			})
		})
	}
}

// A circuit stays if the other one does not prove what is proved on it: here by dialback, for one pair of domains each.
func TestSimultaneousDialsForDifferentDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.net.delay = 20 * time.Millisecond
		seen := new(tide)
		change := func(y *yard) {
			y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				seen.take(s)
				return nil
			})
		}
		north, south := w.add("10.0.0.1", plain("north.example"), change), w.add("10.0.0.2", plain("a.south.example", "b.south.example"), change)
		w.start()
		dialled := func() int { return w.net.dialled(north.ip+port) + w.net.dialled(south.ip+port) }
		before := 0
		for i := range 2000 {
			north.send(chat("ada@north.example", "bob@a.south.example", strconv.Itoa(i), "hello"))
			south.send(chat("bob@b.south.example", "ada@north.example", strconv.Itoa(i), "hello"))
			time.Sleep(time.Millisecond)
			if i == 1000 {
				before = dialled()
			}
		}
		time.Sleep(10 * time.Second)
		if err := seen.check(2, 2000); err != nil {
			t.Error(err)
		}
		if n, m, after := north.links(), south.links(), dialled(); n != 2 || m != 2 || after != before {
			t.Errorf("%d and %d links, dialled %d times, then %d", n, m, before, after)
		}
	})
}

// One of two servers that have dialled each other ends while one of the circuits takes the place of the other.
func TestShutdownAtSimultaneousDials(t *testing.T) {
	const roundTrip = 40 * time.Millisecond
	for _, entry := range []struct {
		hint psycswitch.Hint
		up   time.Duration // both circuits
	}{
		{psycswitch.Hint{Protocol: psycswitch.PSYC, DirectTLS: true}, 3 * roundTrip},
		{psycswitch.Hint{Protocol: psycswitch.XMPP}, 7 * roundTrip},
	} {
		for i := range 6 {
			end := entry.up + time.Duration(i)*roundTrip/3
			t.Run(fmt.Sprintf("%v after %v", entry.hint.Protocol, end), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t)
					w.net.delay = roundTrip / 2
					all := newLedger()
					north, south := w.pair(entry.hint, entry.hint.DirectTLS, all.watch)
					w.start()
					var floods sync.WaitGroup
					floods.Go(func() { all.flood(north, "ada@north.example", "bob@south.example", 3000) })
					floods.Go(func() { all.flood(south, "bob@south.example", "ada@north.example", 3000) })
					time.Sleep(end)
					if i%2 == 0 {
						south.stop()
					} else {
						north.stop()
					}
					floods.Wait()
					w.stop()
					all.settle(t)
				})
			})
		}
	}
}
