package psycswitch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// movingHosts are hosts that come and go.
type movingHosts struct {
	mu    sync.Mutex
	certs psycswitch.StaticHosts
}

func (h *movingHosts) Certificate(domain string) (*tls.Certificate, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.certs.Certificate(domain)
}

func (h *movingHosts) set(domain string, cert *tls.Certificate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.certs[domain] = cert
}

func (h *movingHosts) remove(domain string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.certs, domain)
}

// moving makes the hosts of a yard such that they come and go.
func (y *yard) moving() *movingHosts {
	h := &movingHosts{certs: maps.Clone(y.Hosts.(psycswitch.StaticHosts))}
	y.Hosts = h
	return h
}

// A stream of numbered messages between two yards, which nothing may disturb. stop ends it and tells how many there were.
func flow(t *testing.T, from, to *yard, sender, target string) (tides *tide, stop func() int) {
	tides = new(tide)
	done := make(chan struct{})
	var sent int
	var sending sync.WaitGroup
	sending.Go(func() {
		for ; ; sent++ {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if err := from.Send(context.Background(), chat(sender, target, strconv.Itoa(sent), "hello")); err != nil {
				t.Errorf("message %d: %v", sent, err)
				return
			}
		}
	})
	return tides, func() int {
		close(done)
		sending.Wait()
		return sent
	}
}

// A thousand domains with a certificate each come to a circuit that is in use, one round trip each beside that for the pair, and leave it again.
func TestThousandDomains(t *testing.T) {
	const (
		roundTrip = 100 * time.Millisecond
		domains   = 1000
	)
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.net.delay = roundTrip / 2
		ca := w.tls()
		var hosts *movingHosts
		north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), func(y *yard) { hosts = y.moving() })
		south := w.add("10.0.0.2", with(ca.issue("south.example"), "south.example"), nil)
		w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: "10.0.0.2" + port}}
		delete(w.resolver.Domains, "north.example") // no way back but the circuit
		var tides *tide
		south.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			if s.From.Domain() == "north.example" {
				tides.take(s)
			} else {
				south.take(s)
			}
			return nil
		})
		tides, stop := flow(t, north, south, "ada@north.example", "bob@south.example")
		w.start()
		time.Sleep(10 * roundTrip)

		name := func(i int) string { return fmt.Sprintf("domain%d.example", i) }
		for i := range domains {
			hosts.set(name(i), ca.issue(name(i)))
		}
		took := func(f func()) time.Duration {
			start := time.Now()
			f()
			return time.Since(start)
		}
		for i := range 20 {
			there := took(func() {
				north.send(chat("ada@"+name(i), "bob@south.example", "1", "hello"))
				south.next()
			})
			again := took(func() {
				north.send(chat("ada@"+name(i), "bob@south.example", "2", "hello"))
				south.next()
			})
			back := took(func() {
				south.send(chat("bob@south.example", "ada@"+name(i), "3", "hello"))
				north.next()
			})
			if there != 5*roundTrip/2 || again != roundTrip/2 || back != 3*roundTrip/2 {
				t.Errorf("%s: %v, then %v, and %v back", name(i), there, again, back)
			}
		}
		all := took(func() {
			for i := 20; i < domains; i++ {
				north.send(chat("ada@"+name(i), "bob@south.example", "1", "hello"))
			}
			for range domains - 20 {
				south.next()
			}
		})
		t.Logf("%d domains at once took %v, with a round trip of %v", domains-20, all, roundTrip)

		// One leaves: its stanzas are neither sent nor taken any more.
		hosts.remove(name(3))
		if err := north.Withdraw(name(3)); err != nil {
			t.Error(err)
		}
		if err := north.Send(t.Context(), chat("ada@"+name(3), "bob@south.example", "4", "hello")); !errors.Is(err, psycswitch.ErrNotHosted) {
			t.Errorf("sent from a domain that has left: %v", err)
		}
		south.send(chat("bob@south.example", "ada@"+name(3), "5", "hello")) // still on its way when south hears of it, or not sent
		time.Sleep(2 * roundTrip)
		south.send(chat("bob@south.example", "ada@"+name(3), "6", "hello"))
		if got := south.next(); got.ID != "6" || errorCondition(got) != "remote-server-not-found" {
			t.Errorf("got %s", got.Append(nil))
		}
		for _, i := range []int{2, 4, 999} {
			south.send(chat("bob@south.example", "ada@"+name(i), name(i), "hello"))
			if got := north.next(); got.ID != name(i) {
				t.Errorf("got %s", got.Append(nil))
			}
		}
		// It comes back.
		hosts.set(name(3), ca.issue(name(3)))
		north.send(chat("ada@"+name(3), "bob@south.example", "7", "hello"))
		if got := south.next(); got.ID != "7" {
			t.Errorf("got %s", got.Append(nil))
		}
		if err := north.Withdraw(name(3)); err == nil {
			t.Error("withdrawn while it lives here")
		}

		n := stop()
		time.Sleep(10 * roundTrip)
		tides.mu.Lock()
		defer tides.mu.Unlock()
		if got := tides.next["ada@north.example bob@south.example"]; got != n || tides.err != nil {
			t.Errorf("%d of %d messages came meanwhile, %v", got, n, tides.err)
		}
		if dials := w.net.dialled("10.0.0.1"+port) + w.net.dialled("10.0.0.2"+port); dials != 1 || north.links() != 1 || south.links() != 1 || len(north.downs) > 0 {
			t.Errorf("%d connections, %d links, ended: %v", dials, north.links(), north.downs)
		}
	})
}

// Domains that share a server need no connection each, whichever side they are on and however the circuit came about: DNS tells which
// one leads there, and the peer proves the rest.
func TestDomainsOfOneServer(t *testing.T) {
	for name, hint := range map[string]psycswitch.Hint{
		"STARTTLS":      {Protocol: psycswitch.XMPP},
		"direct TLS":    {Protocol: psycswitch.XMPP, DirectTLS: true},
		"PSYC over TLS": {Protocol: psycswitch.PSYC, DirectTLS: true},
	} {
		for _, backwards := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, backwards %v", name, backwards), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t)
					ca := w.tls()
					each := func(domains ...string) psycswitch.StaticHosts {
						hosts := make(psycswitch.StaticHosts)
						for _, d := range domains {
							hosts[d] = ca.issue(d)
						}
						return hosts
					}
					north := w.add("10.0.0.1", each(northDomains...), nil)
					south := w.add("10.0.0.2", each(southDomains...), nil)
					for domain, hints := range w.resolver.Domains {
						hint.Addr = hints[0].Addr
						w.resolver.Domains[domain] = []psycswitch.Hint{hint}
					}
					w.start()
					if backwards {
						south.send(chat("bob@south.example", "ada@north.example", "first", "hello"))
						north.next()
					}
					everyPair(t, north, south)
					if n := w.net.dialled("10.0.0.1"+port) + w.net.dialled("10.0.0.2"+port); n != 1 {
						t.Errorf("%d connections", n)
					}
				})
			})
		}
	}
}

// A domain that leaves is refused at once on XMPP streams, too, and the peer can go on for others.
func TestWithdrawnFromStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		var hosts *movingHosts
		north := w.add("10.0.0.1", plain("north.example", "second.example"), func(y *yard) { hosts = y.moving() })
		south := w.add("10.0.0.2", plain("south.example"), func(y *yard) { y.Protocols = psycswitch.XMPP })
		w.start()
		for _, id := range []string{"1", "2"} {
			south.send(chat("bob@south.example", "ada@second.example", id, "hello"))
			north.next()
		}
		hosts.remove("second.example")
		south.send(chat("bob@south.example", "ada@second.example", "3", "hello"))
		synctest.Wait()
		if err := north.Withdraw("second.example"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		south.send(chat("bob@south.example", "ada@second.example", "4", "hello"))
		if got := south.next(); got.ID != "4" || errorCondition(got) != "remote-server-not-found" {
			t.Errorf("got %s", got.Append(nil))
		}
		south.send(chat("bob@south.example", "ada@north.example", "5", "hello"))
		if got := north.next(); got.ID != "5" {
			t.Errorf("got %s", got.Append(nil))
		}
	})
}

// A circuit outlives the certificates on it: those that follow are proved before they end, and asked for when they are needed.
func TestCertificatesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		hour := func(domain string) *tls.Certificate { return ca.issueUntil(time.Now().Add(time.Hour), domain) }
		var northHosts, southHosts *movingHosts
		north := w.add("10.0.0.1", psycswitch.StaticHosts{"north.example": hour("north.example"), "second.example": hour("second.example")},
			func(y *yard) { northHosts = y.moving(); y.Idle = -1 })
		south := w.add("10.0.0.2", psycswitch.StaticHosts{"south.example": hour("south.example")},
			func(y *yard) { southHosts = y.moving(); y.Idle = -1 })
		w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: "10.0.0.2" + port}}
		w.start()
		talk := func(id string) {
			for _, n := range []string{"north.example", "second.example"} {
				north.send(chat("ada@"+n, "bob@south.example", id, "hello"))
				if got := south.next(); got.ID != id {
					t.Errorf("got %s", got.Append(nil))
				}
				south.send(chat("bob@south.example", "ada@"+n, id, "hello"))
				if got := north.next(); got.ID != id {
					t.Errorf("got %s", got.Append(nil))
				}
			}
		}
		talk("first")
		time.Sleep(10 * time.Minute)
		for range 5 {
			time.Sleep(40 * time.Minute)
			northHosts.set("north.example", hour("north.example"))
			northHosts.set("second.example", hour("second.example"))
			southHosts.set("south.example", hour("south.example"))
			time.Sleep(4 * time.Minute)
			talk("before the end")
			time.Sleep(10 * time.Minute)
			talk("after the end")
		}
		if n := w.net.dialled("10.0.0.1"+port) + w.net.dialled("10.0.0.2"+port); n != 1 {
			t.Errorf("%d connections", n)
		}
		// Without a successor the domain ends, and nothing else.
		northHosts.set("north.example", hour("north.example"))
		southHosts.set("south.example", hour("south.example"))
		time.Sleep(70 * time.Minute)
		northHosts.set("north.example", hour("north.example"))
		southHosts.set("south.example", hour("south.example"))
		north.send(chat("ada@second.example", "bob@south.example", "late", "hello"))
		if got := north.next(); errorCondition(got) == "" {
			t.Errorf("got %s", got.Append(nil))
		}
		north.mu.Lock()
		defer north.mu.Unlock()
		if len(south.got) > 0 {
			t.Errorf("south got %s", south.got[0].Append(nil))
		}
	})
}

// A domain that an end cannot prove is refused alone, whichever end that is, with an error that says why; the circuit carries the others.
func TestDomainsNotProved(t *testing.T) {
	long := func(cert *tls.Certificate) *tls.Certificate {
		for len(cert.Certificate) < 9 {
			cert.Certificate = append(cert.Certificate, cert.Certificate[0])
		}
		return cert
	}
	for _, test := range []struct {
		name   string
		host   string // instead of x.example
		cert   func(ca, other *authority) *tls.Certificate
		method string
	}{
		{name: "good", cert: func(ca, _ *authority) *tls.Certificate { return ca.issue("x.example") }},
		{name: "wildcard", host: "a.x.example", cert: func(ca, _ *authority) *tls.Certificate { return ca.issue("*.x.example") }},
		{name: "expired", method: "_error_invalid_uniform_source_proof_certificate_time", cert: func(ca, _ *authority) *tls.Certificate {
			return ca.issueUntil(time.Now().Add(-time.Minute), "x.example")
		}},
		{name: "wrong name", method: "_error_invalid_uniform_source_proof_certificate_name", cert: func(ca, _ *authority) *tls.Certificate {
			return ca.issue("y.example")
		}},
		{name: "unknown authority", method: "_error_invalid_uniform_source_proof_certificate_authority", cert: func(_, other *authority) *tls.Certificate {
			return other.issue("x.example")
		}},
		{name: "self-signed", method: "_error_invalid_uniform_source_proof_certificate_authority", cert: func(ca, _ *authority) *tls.Certificate {
			cert, key := ca.sign(&x509.Certificate{DNSNames: []string{"x.example"}}, nil)
			return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
		}},
		{name: "wrong key", method: "_error_invalid_uniform_source_proof_signature", cert: func(ca, _ *authority) *tls.Certificate {
			cert := ca.issue("x.example")
			cert.PrivateKey = ca.issue("x.example").PrivateKey
			return cert
		}},
		{name: "truncated", method: "_error_invalid_uniform_source_proof_chain", cert: func(ca, _ *authority) *tls.Certificate {
			cert := ca.issue("x.example")
			cert.Certificate[0] = cert.Certificate[0][:100]
			return cert
		}},
		{name: "oversized", method: "_error_invalid_uniform_source", cert: func(ca, _ *authority) *tls.Certificate { return long(ca.issue("x.example")) }},
		{name: "no certificate", method: "_error_invalid_uniform_source", cert: func(*authority, *authority) *tls.Certificate { return nil }},
		{name: "hosted by the verifier", host: "both.example", method: "_error_invalid_uniform_source", cert: func(ca, _ *authority) *tls.Certificate {
			return ca.issue("both.example")
		}},
	} {
		for _, acceptor := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, acceptor %v", test.name, acceptor), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ca, other := newAuthority(t), newAuthority(t)
					host := test.host
					if host == "" {
						host = "x.example"
					}
					hosts := map[bool]psycswitch.StaticHosts{
						false: with(ca.issue("north.example"), "north.example"),
						true:  with(ca.issue("south.example"), "south.example"),
					}
					hosts[acceptor][host] = test.cert(ca, other)
					hosts[!acceptor]["both.example"] = nil
					links := pairOfLinks(t, ca, hosts[false], hosts[true])
					prover, verifier, local, remote := links[0], links[1], "north.example", "south.example"
					if acceptor {
						prover, verifier, local, remote = verifier, prover, remote, local
					}
					if err := prover.Authorize(t.Context(), local, remote); err != nil {
						t.Fatal(err)
					}
					err := prover.Authorize(t.Context(), host, remote)
					var fault *psyc.Error
					switch {
					case test.method == "":
						if err != nil {
							t.Error(err)
						}
					case !errors.Is(err, psycswitch.ErrNotProven) || !errors.As(err, &fault) || fault.Method != test.method:
						t.Errorf("%v, want %s", err, test.method)
					}
					for _, from := range []string{host, local} {
						err := prover.Send(t.Context(), chat("ada@"+from, "bob@"+remote, from, "hello"))
						if refused := errors.Is(err, xmpp.NotAuthorized); refused != (from == host && test.method != "") || err != nil && !refused {
							t.Errorf("sending from %s: %v", from, err)
						}
					}
					synctest.Wait()
					in := verifier.Info().StanzasIn
					if want := int64(1); test.method != "" && in != want || test.method == "" && in != 2 {
						t.Errorf("%d stanzas arrived", in)
					}
				})
			})
		}
	}
}

// pairOfLinks returns both ends of a circuit on TLS, which are read until the test ends.
func pairOfLinks(t *testing.T, ca *authority, north, south psycswitch.Hosts) [2]*psycswitch.Link {
	t.Helper()
	network := newMemNet()
	ln := network.listen("10.0.0.2" + port)
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
		"south.example": {{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: "10.0.0.2" + port}},
	}}
	config := func(ip string, hosts psycswitch.Hosts) *psycswitch.Config {
		return &psycswitch.Config{
			Hosts: hosts, Resolver: resolver, Dialer: network.from(ip), Roots: ca.pool,
			PSYC: psyc.Config{Instance: [16]byte([]byte(ip + ", an instance."))},
		}
	}
	var reading sync.WaitGroup
	read := func(l *psycswitch.Link) {
		reading.Go(func() {
			for range l.Stanzas(context.Background()) {
			}
		})
	}
	accepted := make(chan *psycswitch.Link, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		l, err := psycswitch.Accept(t.Context(), config("10.0.0.2", south), conn)
		if err != nil {
			t.Error(err)
			return
		}
		read(l)
		accepted <- l
	}()
	dialled, err := psycswitch.Dial(t.Context(), config("10.0.0.1", north), "north.example", "south.example")
	if err != nil {
		t.Fatal(err)
	}
	read(dialled)
	links := [2]*psycswitch.Link{dialled, <-accepted}
	t.Cleanup(func() {
		for _, l := range links {
			l.Close()
		}
		reading.Wait()
	})
	return links
}
