package psycswitch_test

import (
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// Pairs of domains that begin at the same moment wait for one connection where it may carry them all, and no longer than for that.
func TestOneDialsForAll(t *testing.T) {
	const roundTrip = 100 * time.Millisecond
	for _, test := range []struct {
		name        string
		hint        psycswitch.Hint
		each        bool // a certificate for each domain
		xmpp        bool // all that the second server speaks
		connections int
		took        time.Duration // until everything has come
	}{
		{"PSYC", psycswitch.Hint{Protocol: psycswitch.PSYC, DirectTLS: true}, false, false, 1, 9 * roundTrip / 2},
		{"PSYC, proofs of hosts", psycswitch.Hint{Protocol: psycswitch.PSYC, DirectTLS: true}, true, false, 1, 11 * roundTrip / 2},
		{"direct TLS", psycswitch.Hint{Protocol: psycswitch.XMPP, DirectTLS: true}, false, false, 1, 9 * roundTrip / 2},
		{"STARTTLS", psycswitch.Hint{Protocol: psycswitch.XMPP}, false, false, 1, 19 * roundTrip / 2},
		{"XMPP alone", psycswitch.Hint{Protocol: psycswitch.XMPP}, false, true, 6, 29 * roundTrip / 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.net.delay = roundTrip / 2
				ca := w.tls()
				certs := func(domains []string) psycswitch.StaticHosts {
					hosts := with(ca.issue(domains...), domains...)
					for _, d := range domains {
						if test.each {
							hosts[d] = ca.issue(d)
						}
					}
					return hosts
				}
				north := w.add("10.0.0.1", certs(northDomains), nil)
				south := w.add("10.0.0.2", certs(southDomains), func(y *yard) {
					if test.xmpp {
						y.Protocols = psycswitch.XMPP
					}
				})
				for _, d := range southDomains {
					h := test.hint
					h.Addr = "10.0.0.2" + port
					w.resolver.Domains[d] = []psycswitch.Hint{h}
				}
				w.start()
				start := time.Now()
				allWrite(north)
				for range len(northDomains) * len(southDomains) {
					south.next()
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if n := w.net.dialled("10.0.0.2" + port); n != test.connections {
					t.Errorf("%d connections, want %d", n, test.connections)
				}
			})
		})
	}
}

// allWrite sends a message for each pair of domains.
func allWrite(north *yard) {
	for _, n := range northDomains {
		for _, s := range southDomains {
			north.send(chat("ada@"+n, "bob@"+s, n+s, "hello"))
		}
	}
}

// A server that does not answer keeps nobody waiting for much longer than it would keep each.
func TestNobodyWaitsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		north := w.add("10.0.0.1", with(ca.issue(northDomains...), northDomains...), func(y *yard) { y.DialTimeout = 20 * time.Second })
		for _, d := range southDomains {
			w.resolver.Domains[d] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: "192.0.2.1:9404"}}
		}
		w.start()
		start := time.Now()
		allWrite(north)
		for range len(northDomains) * len(southDomains) {
			if got := north.next(); errorCondition(got) != "remote-server-timeout" {
				t.Errorf("got %s", got.Append(nil))
			}
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
