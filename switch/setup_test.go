//go:build unix && !race

package psycswitch_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A setUp is two routers in memory and a way between them.
type setUp struct {
	name     string
	hint     psycswitch.Hint
	protocol psycswitch.Protocol // of the second server; 0: both
	secure   bool
	proof    string // "EXTERNAL", "dialback" or "address"

	network      *memNet
	north, south *psycswitch.Router
	heard        chan struct{}
}

func setUps() []*setUp {
	psyc, xmpp := psycswitch.PSYC, psycswitch.XMPP
	return []*setUp{
		{name: "PSYC, plain", hint: psycswitch.Hint{Protocol: psyc}, proof: "address"},
		{name: "XMPP, plain, dialback", hint: psycswitch.Hint{Protocol: xmpp}, protocol: xmpp, proof: "dialback"},
		{name: "switch, plain, dialback", hint: psycswitch.Hint{Protocol: xmpp}, proof: "dialback"},
		{name: "PSYC, TLS", hint: psycswitch.Hint{Protocol: psyc, DirectTLS: true}, secure: true, proof: "EXTERNAL"},
		{name: "PSYC by ALPN", hint: psycswitch.Hint{Protocol: xmpp, DirectTLS: true}, secure: true, proof: "EXTERNAL"},
		{name: "XMPP, STARTTLS, EXTERNAL", hint: psycswitch.Hint{Protocol: xmpp}, protocol: xmpp, secure: true, proof: "EXTERNAL"},
		{name: "switch, STARTTLS, EXTERNAL", hint: psycswitch.Hint{Protocol: xmpp}, secure: true, proof: "EXTERNAL"},
		{name: "XMPP, STARTTLS, dialback", hint: psycswitch.Hint{Protocol: xmpp}, protocol: xmpp, secure: true, proof: "dialback"},
	}
}

// start makes the routers serve until the test ends.
func (u *setUp) start(t testing.TB) {
	u.network, u.heard = newMemNet(), make(chan struct{}, 1)
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{}}
	router := func(ip, domain string) *psycswitch.Router {
		h := u.hint
		h.Addr = ip + port
		resolver.Domains[domain] = []psycswitch.Hint{h}
		r := &psycswitch.Router{Config: psycswitch.Config{Hosts: plain(domain), Resolver: resolver, Dialer: u.network.from(ip), Protocols: u.protocol}}
		if !u.secure {
			r.Insecure = psycswitch.Plaintext
		}
		if u.proof == "address" {
			r.Insecure |= psycswitch.Addresses
		}
		return r
	}
	u.north, u.south = router("10.0.0.1", "north.example"), router("10.0.0.2", "south.example")
	u.north.Handler = psycswitch.HandlerFunc(func(context.Context, psycswitch.Sender, *xmpp.Stanza) error {
		u.heard <- struct{}{}
		return nil
	})
	u.south.Handler = psycswitch.HandlerFunc(func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
		s.From, s.To = s.To, s.From
		return out.Send(ctx, s)
	})
	if u.secure {
		ca := newAuthority(t)
		u.north.Roots, u.south.Roots = ca.pool, ca.pool
		if u.proof == "dialback" {
			ca = newAuthority(t)
		}
		u.north.Hosts = with(ca.issue("north.example"), "north.example")
		u.south.Hosts = with(ca.issue("south.example"), "south.example")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	for ip, r := range map[string]*psycswitch.Router{"10.0.0.1": u.north, "10.0.0.2": u.south} {
		ln := u.network.listen(ip + port)
		served.Go(func() { r.Serve(ctx, ln) })
	}
	t.Cleanup(func() {
		cancel()
		served.Wait()
	})
	u.converse(t) // what is done once
}

// converse has the first router send a stanza and waits for the answer, with links that are made for it. Then it ends the links.
func (u *setUp) converse(t testing.TB) {
	if err := u.north.Send(context.Background(), chat("ada@north.example", "bob@south.example", "1", "hello")); err != nil {
		t.Fatal(err)
	}
	<-u.heard
	psycswitch.EndLinks(context.Background(), u.north)
	psycswitch.EndLinks(context.Background(), u.south)
}

// What a first stanza and its answer cost both ends together, links included.
func BenchmarkSetUp(b *testing.B) {
	for _, u := range setUps() {
		b.Run(u.name, func(b *testing.B) {
			u.start(b)
			b.ReportAllocs()
			for b.Loop() {
				u.converse(b)
			}
		})
	}
}

// processorTime is what the process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// TestSetUpCost guards that PSYC takes less of the processors' time than XMPP for a first stanza, its answer, and all that
// has to be set up and taken down for them: XMPP needs a stream for each direction. On a quiet machine it is a quarter to a half; the limits
// leave room for others. Rounds of all kinds take turns, and the
// best counts: on a loaded machine all of them find a quiet moment sooner or later.
func TestSetUpCost(t *testing.T) {
	if testing.Short() || testing.CoverMode() != "" {
		t.Skip("measures time")
	}
	all := setUps()
	for _, u := range all {
		u.start(t)
	}
	comparisons := []struct {
		psyc, xmpp string
		limit      float64
	}{
		{"PSYC, plain", "XMPP, plain, dialback", 0.75},
		{"PSYC, TLS", "XMPP, STARTTLS, dialback", 0.5},
		{"PSYC, TLS", "XMPP, STARTTLS, EXTERNAL", 0.75}, // nearly all is TLS, which XMPP does twice
		{"PSYC by ALPN", "XMPP, STARTTLS, EXTERNAL", 0.75},
	}
	best := make(map[string]time.Duration)
	ratio := func(psyc, xmpp string) float64 { return float64(best[psyc]) / float64(best[xmpp]) }
	for range 20 {
		const batch = 25
		for _, u := range all {
			start := processorTime(t)
			for range batch {
				u.converse(t)
			}
			took := (processorTime(t) - start) / batch
			if b, ok := best[u.name]; !ok || took < b {
				best[u.name] = took
			}
		}
		enough := true
		for _, c := range comparisons {
			enough = enough && ratio(c.psyc, c.xmpp) <= c.limit
		}
		if enough {
			break
		}
	}
	for _, u := range all {
		t.Logf("%-28s %v", u.name, best[u.name])
	}
	for _, c := range comparisons {
		r := ratio(c.psyc, c.xmpp)
		t.Logf("%s takes %.2f of %s", c.psyc, r, c.xmpp)
		if r > c.limit {
			t.Errorf("%s takes %.2f of %s, limit %.2f", c.psyc, r, c.xmpp, c.limit)
		}
	}
}
