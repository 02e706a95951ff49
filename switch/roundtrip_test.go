package psycswitch_test

import (
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// How long the first stanza takes to a domain that has never been dialled, in round trips of a network on which every connection
// counts them: TCP, TLS, all that is negotiated, and what the peer does meanwhile to have a key verified. The table in the package
// documentation has these figures. The stanza itself takes half a one.
func TestRoundTrips(t *testing.T) {
	const roundTrip = time.Second
	psyc, xmpp := psycswitch.PSYC, psycswitch.XMPP
	for _, test := range []struct {
		name   string
		hint   psycswitch.Hint
		secure bool
		proof  string // "EXTERNAL": both have certificates; "dialback": that of the first is not accepted
		speaks psycswitch.Protocol
		want   int
		back   int // for an answer; the first has a hint for STARTTLS, and the certificate of the second is accepted
	}{
		{"PSYC hint, plain", psycswitch.Hint{Protocol: psyc}, false, "address", psyc, 2, 1},
		{"PSYC hint, TLS", psycswitch.Hint{Protocol: psyc, DirectTLS: true}, true, "EXTERNAL", psyc, 3, 1},
		{"direct TLS, ALPN", psycswitch.Hint{Protocol: xmpp, DirectTLS: true}, true, "EXTERNAL", psyc, 3, 1},
		{"direct TLS, XMPP alone", psycswitch.Hint{Protocol: xmpp, DirectTLS: true}, true, "EXTERNAL", xmpp, 5, 7},
		{"STARTTLS, switch", psycswitch.Hint{Protocol: xmpp}, true, "EXTERNAL", psyc, 8, 1},
		{"STARTTLS, XMPP alone", psycswitch.Hint{Protocol: xmpp}, true, "EXTERNAL", xmpp, 7, 7},
		{"STARTTLS, dialback, switch", psycswitch.Hint{Protocol: xmpp}, true, "dialback", psyc, 13, 1},
		{"STARTTLS, dialback, XMPP alone", psycswitch.Hint{Protocol: xmpp}, true, "dialback", xmpp, 12, 7},
		{"plain, dialback, switch", psycswitch.Hint{Protocol: xmpp}, false, "dialback", psyc, 7, 1},
		{"plain, dialback, XMPP alone", psycswitch.Hint{Protocol: xmpp}, false, "dialback", xmpp, 6, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.net.delay = roundTrip / 2
				northHosts, southHosts := plain("north.example"), plain("south.example")
				if test.secure {
					ca, other := w.tls(), newAuthority(t)
					northHosts, southHosts = with(ca.issue("north.example"), "north.example"), with(ca.issue("south.example"), "south.example")
					if test.proof == "dialback" {
						northHosts = with(other.issue("north.example"), "north.example")
					}
				}
				test.hint.Addr = "10.0.0.2" + port
				w.resolver.Domains["south.example"] = []psycswitch.Hint{test.hint}
				north := w.add("10.0.0.1", northHosts, nil)
				south := w.add("10.0.0.2", southHosts, func(y *yard) {
					if test.speaks == xmpp {
						y.Protocols = xmpp
					}
				})
				if test.proof == "address" {
					south.Insecure |= psycswitch.Addresses
				}
				w.start()
				synctest.Wait()
				start := time.Now()
				north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
				south.next()
				took := time.Since(start)
				if got := protocols(north); len(got) != 1 || got[0] != test.speaks {
					t.Errorf("links speak %v", got)
				}
				if want := time.Duration(test.want)*roundTrip + roundTrip/2; took != want {
					t.Errorf("the first stanza took %v, want %v", took, want)
				}
				start = time.Now()
				south.send(chat("bob@south.example", "ada@north.example", "2", "hello"))
				north.next()
				took = time.Since(start)
				if want := time.Duration(test.back)*roundTrip + roundTrip/2; took != want {
					t.Errorf("the answer took %v, want %v", took, want)
				}
			})
		})
	}
}
