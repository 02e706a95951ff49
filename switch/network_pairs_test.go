package psycswitch_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// A thousand pairs of domains go by one circuit, in both directions. One more pair costs one round trip before its first stanza, and
// nothing after that.
func TestThousandPairs(t *testing.T) {
	const (
		roundTrip    = 100 * time.Millisecond
		norths       = 40
		souths       = 25
		oneAtATime   = 30 // pairs that are timed each
		inFlight     = 16 // that a router asks for at a time
		wantTogether = (norths*souths - oneAtATime + inFlight - 1) / inFlight * roundTrip
	)
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.net.delay = roundTrip / 2
		ca := w.tls()
		names := func(what string, n int) (domains []string) {
			for i := range n {
				domains = append(domains, fmt.Sprintf("%s%d.example", what, i))
			}
			return domains
		}
		northNames, southNames := names("north", norths), names("south", souths)
		north := w.add("10.0.0.1", with(ca.issue(northNames...), northNames...), nil)
		south := w.add("10.0.0.2", with(ca.issue(southNames...), southNames...), nil)
		for _, d := range southNames {
			w.resolver.Domains[d] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: "10.0.0.2" + port}}
		}
		w.start()
		connections := func() int { return w.net.dialled("10.0.0.1"+port) + w.net.dialled("10.0.0.2"+port) }

		for _, way := range []struct {
			from, to       *yard
			fromNames      []string
			toNames        []string
			sender, target string
		}{
			{north, south, northNames, southNames, "ada@", "bob@"},
			{south, north, southNames, northNames, "bob@", "ada@"},
		} {
			send := func(i int, id string) {
				way.from.send(chat(way.sender+way.fromNames[i%len(way.fromNames)], way.target+way.toNames[i/len(way.fromNames)], id, "hello"))
			}
			took := func(f func()) time.Duration {
				start := time.Now()
				f()
				return time.Since(start)
			}
			send(0, "first")
			way.to.next()
			for i := 1; i <= oneAtATime; i++ {
				first := took(func() { send(i, "1"); way.to.next() })
				again := took(func() { send(i, "2"); way.to.next() })
				if first != 3*roundTrip/2 || again != roundTrip/2 {
					t.Errorf("pair %d: the first stanza took %v, the next one %v", i, first, again)
				}
			}
			together := took(func() {
				for i := oneAtATime + 1; i < norths*souths; i++ {
					send(i, "1")
				}
				for i := oneAtATime + 1; i < norths*souths; i++ {
					way.to.next()
				}
			})
			if together > wantTogether+roundTrip/2 {
				t.Errorf("%d pairs at once took %v", norths*souths-oneAtATime-1, together)
			}
		}
		if n := connections(); n != 1 || north.links() != 1 || south.links() != 1 {
			t.Errorf("%d connections, %d and %d links", n, north.links(), south.links())
		}
	})
}
