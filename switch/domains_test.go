package psycswitch_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

var (
	northDomains = []string{"north.example", "second.example", "rooms.north.example"}
	southDomains = []string{"south.example", "rooms.south.example"}
)

// everyPair sends one stanza each way between all domains of two routers, and checks that it arrives.
func everyPair(t *testing.T, north, south *yard) {
	t.Helper()
	for _, n := range northDomains {
		for _, s := range southDomains {
			id := n + " " + s
			north.send(chat("ada@"+n, "bob@"+s, id, "hello"))
			if got := south.next(); got.ID != id || got.From.String() != "ada@"+n || got.To.String() != "bob@"+s {
				t.Errorf("%s: got %s", id, got.Append(nil))
			}
			south.send(chat("bob@"+s, "ada@"+n, id, "hello"))
			if got := north.next(); got.ID != id || got.To.String() != "ada@"+n || got.From.String() != "bob@"+s {
				t.Errorf("%s: got %s", id, got.Append(nil))
			}
		}
	}
}

func protocols(y *yard) (all []psycswitch.Protocol) {
	for l := range y.Links() {
		all = append(all, l.Protocol)
	}
	return slices.Compact(all)
}

// Where dialback is the only proof, each pair has a circuit of its own, which serves both ways.
func TestManyDomainsByDialback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain(northDomains...), nil)
		south := w.add("10.0.0.2", plain(southDomains...), nil)
		w.start()
		everyPair(t, north, south)
		everyPair(t, north, south)
		for _, y := range w.yards {
			if p := protocols(y); y.links() != len(northDomains)*len(southDomains) || !slices.Equal(p, []psycswitch.Protocol{psycswitch.PSYC}) {
				t.Errorf("%d links at %s, %v", y.links(), y.ip, p)
			}
		}
	})
}

// Where certificates name all domains, one connection carries all pairs both ways, however it began and whoever sends first.
func TestManyDomainsByCertificate(t *testing.T) {
	for name, hint := range map[string]psycswitch.Hint{
		"STARTTLS":        {Protocol: psycswitch.XMPP},
		"direct TLS":      {Protocol: psycswitch.XMPP, DirectTLS: true},
		"PSYC over TLS":   {Protocol: psycswitch.PSYC, DirectTLS: true},
		"PSYC, TLS taken": {Protocol: psycswitch.PSYC},
	} {
		t.Run(name, func(t *testing.T) {
			for _, backwards := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t)
					ca := w.tls()
					north := w.add("10.0.0.1", with(ca.issue(northDomains...), northDomains...), nil)
					south := w.add("10.0.0.2", with(ca.issue(southDomains...), southDomains...), nil)
					for domain, hints := range w.resolver.Domains {
						hint.Addr = hints[0].Addr
						w.resolver.Domains[domain] = []psycswitch.Hint{hint}
					}
					w.start()
					if backwards {
						north.send(chat("ada@north.example", "bob@south.example", "first", "hello"))
						south.next()
						for _, s := range southDomains {
							for _, n := range northDomains {
								south.send(chat("bob@"+s, "ada@"+n, n+s, "hello"))
								if got := north.next(); got.ID != n+s {
									t.Errorf("got %s", got.Append(nil))
								}
							}
						}
					}
					everyPair(t, north, south)
					if n := w.net.dialled("10.0.0.1"+port) + w.net.dialled("10.0.0.2"+port); n != 1 {
						t.Errorf("%d connections", n)
					}
					for _, y := range w.yards {
						if p := protocols(y); !slices.Equal(p, []psycswitch.Protocol{psycswitch.PSYC}) {
							t.Errorf("links at %s speak %v", y.ip, p)
						}
					}
				})
			}
		})
	}
}

// A PSYC hint means that XMPP is not tried; where nothing comes of PSYC it is.
func TestPSYCFirst(t *testing.T) {
	for _, test := range []struct {
		name   string
		psyc   string              // address of the PSYC hint
		south  psycswitch.Protocol // what the peer speaks
		names  []string            // in north's certificate
		xmpp   bool                // tried
		speaks psycswitch.Protocol
	}{
		{name: "works", psyc: "10.0.0.2" + port, names: []string{"north.example"}, speaks: psycswitch.PSYC},
		{name: "refused", psyc: "10.9.9.9:4404", names: []string{"north.example"}, xmpp: true, speaks: psycswitch.PSYC},
		{name: "no answer", psyc: "192.0.2.1:4404", names: []string{"north.example"}, xmpp: true, speaks: psycswitch.PSYC},
		{name: "not spoken", psyc: "10.0.0.2" + port, south: psycswitch.XMPP, names: []string{"north.example"}, xmpp: true, speaks: psycswitch.XMPP},
		// The peer finds no proof on the circuit, but by dialback.
		{name: "not proved", psyc: "10.0.0.2" + port, names: []string{"other.example"}, xmpp: true, speaks: psycswitch.PSYC},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const xmppAddr = "10.0.0.2:5270"
				w := newTown(t)
				ca := w.tls()
				w.resolver.Domains["south.example"] = []psycswitch.Hint{
					{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: test.psyc},
					{Protocol: psycswitch.XMPP, Addr: xmppAddr},
				}
				north := w.add("10.0.0.1", with(ca.issue(test.names...), "north.example"), nil)
				south := w.add("10.0.0.2", with(ca.issue("south.example"), "south.example"), func(y *yard) { y.Protocols = test.south })
				w.start()
				w.pass(xmppAddr, "10.0.0.2"+port)
				north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
				if got := south.next(); got.ID != "1" {
					t.Errorf("got %s", got.Append(nil))
				}
				if tried := w.net.dialled(xmppAddr) > 0; tried != test.xmpp {
					t.Errorf("XMPP tried: %v", tried)
				}
				if p := protocols(north); !slices.Contains(p, test.speaks) {
					t.Errorf("links speak %v", p)
				}
			})
		})
	}
}

// pass makes addr another address of what listens at target.
func (w *town) pass(addr, target string) {
	l := w.net.listen(addr)
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			w.net.mu.Lock()
			there := w.net.listeners[target]
			w.net.mu.Unlock()
			if there == nil {
				conn.Close()
				continue
			}
			there.backlog <- conn.(*memConn)
		}
	}()
}

// What TLS agreed on by ALPN is what has to be spoken.
func TestALPN(t *testing.T) {
	const (
		xmlFirst  = "<?xml version='1.0'?><stream:stream" + streamNS + " from='peer.example' to='north.example'>"
		psycFirst = greeting
	)
	for _, test := range []struct {
		offer []string
		say   string
		want  string // "" means that the connection is closed without a word
		fails bool   // in the handshake
	}{
		{nil, xmlFirst, "</stream:features>", false},
		{nil, psycFirst, "_status_circuit\n", false},
		{[]string{"xmpp-server"}, xmlFirst, "</stream:features>", false},
		{[]string{"psyc"}, psycFirst, "_status_circuit\n", false},
		{[]string{"psyc", "xmpp-server"}, psycFirst, "_status_circuit\n", false},
		{[]string{"xmpp-server"}, psycFirst, "", false},
		{[]string{"psyc"}, xmlFirst, "", false},
		{[]string{"h2"}, "", "", true},
		{nil, "GET / HTTP/1.1\r\n\r\n", "", false},
		{nil, "\x16\x03\x01", "", false}, // TLS within TLS
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			ca := w.tls()
			w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
			w.start()
			if test.fails {
				c := w.dial("10.0.0.7", "10.0.0.1"+port)
				err := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, NextProtos: test.offer, ServerName: "north.example"}).HandshakeContext(t.Context())
				if err == nil || !strings.Contains(err.Error(), "no application protocol") {
					t.Errorf("%v: %v", test.offer, err)
				}
				return
			}
			c := w.dialTLS("10.0.0.7", "10.0.0.1"+port, ca.issue("peer.example"), test.offer...)
			c.send(test.say)
			if test.want != "" {
				c.expect(test.want)
			} else if got := c.rest(); got != "" {
				t.Errorf("%v, %q: answer %q", test.offer, test.say, got)
			}
		})
	}
}

// Plaintext is for those who allow it.
func TestPlaintextIsRefused(t *testing.T) {
	for _, say := range []string{greeting, "GET / HTTP/1.1\r\n\r\n", "\x00"} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			ca := w.tls()
			w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
			w.start()
			c := w.dial("10.0.0.7", "10.0.0.1"+port)
			c.send(say)
			if got := c.rest(); got != "" {
				t.Errorf("%q: answer %q", say, got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
		north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
		w.start()
		far := w.net.listen("10.0.0.9" + port)
		north.send(chat("ada@north.example", "bob@far.example", "1", "hello"))
		c := far.accept(t)
		c.expect("xml:lang='en'>")
		c.send("<?xml version='1.0'?><stream:stream" + streamNS + " id='s1'><stream:features>" + dialbackOn + psycOffer + "</stream:features>")
		c.expect("<policy-violation ")
		if got := north.next(); errorCondition(got) != string(xmpp.RemoteServerTimeout) {
			t.Errorf("got %s", got.Append(nil))
		}
	})
}

// Names in A-labels, as TLS has them, find the certificates of domains in U-labels.
func TestInternationalDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		north := w.add("10.0.0.1", with(ca.issue("xn--nrd-0na.example"), "nørd.example"), nil)
		south := w.add("10.0.0.2", with(ca.issue("xn--sd-xka.example"), "süd.example"), nil)
		w.start()
		north.send(chat("ada@nørd.example", "bob@süd.example", "1", "hello"))
		if got := south.next(); got.From.String() != "ada@nørd.example" {
			t.Errorf("got %s", got.Append(nil))
		}
		south.send(chat("bob@süd.example", "ada@nørd.example", "2", "hello"))
		if got := north.next(); got.To.String() != "ada@nørd.example" {
			t.Errorf("got %s", got.Append(nil))
		}
		if n := w.net.dialled("10.0.0.1"+port) + w.net.dialled("10.0.0.2"+port); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Dial and Accept without a router; the link carries what it was dialled for and what was authorized later.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.2" + port}}
		config := func(ip string, domains ...string) *psycswitch.Config {
			c := &psycswitch.Config{Hosts: with(ca.issue(domains...), domains...), Resolver: w.resolver, Dialer: w.net.from(ip), Roots: w.roots}
			copy(c.PSYC.Instance[:], ip)
			return c
		}
		north, south := config("10.0.0.1", "north.example", "second.example"), config("10.0.0.2", "south.example")
		ln := w.net.listen("10.0.0.2" + port)
		defer ln.Close()
		got, ended := make(chan string, 10), make(chan error, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				ended <- err
				return
			}
			link, err := psycswitch.Accept(t.Context(), south, conn)
			if err != nil {
				ended <- err
				return
			}
			defer link.Close()
			for s, err := range link.Stanzas(t.Context()) {
				if err != nil {
					ended <- err
					return
				}
				got <- s.ID
			}
			ended <- nil
		}()
		if _, err := psycswitch.Dial(t.Context(), north, "third.example", "south.example"); err == nil {
			t.Error("dialled for a domain that is not hosted")
		}
		link, err := psycswitch.Dial(t.Context(), north, "north.example", "south.example")
		if err != nil {
			t.Fatal(err)
		}
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			for range link.Stanzas(t.Context()) {
			}
		}()
		for i, test := range []struct{ from, to, want string }{
			{"a@north.example", "b@south.example", ""},
			{"a@second.example", "b@south.example", "not-authorized"},
			{"a@north.example", "b@third.example", "not-authorized"},
			{"a@north.example", "b@south.example", ""},
		} {
			err := link.Send(t.Context(), chat(test.from, test.to, fmt.Sprint(i), "hello"))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s to %s: %v", test.from, test.to, err)
			}
		}
		if err := link.Send(t.Context(), &xmpp.Stanza{Kind: xmpp.Message}); err == nil {
			t.Error("sent a stanza without addresses")
		}
		if err := link.Authorize(t.Context(), "second.example", "south.example"); err != nil {
			t.Error(err)
		}
		if err := link.Authorize(t.Context(), "foreign.example", "south.example"); err == nil {
			t.Error("authorized a domain that is not ours")
		}
		if err := link.Send(t.Context(), chat("a@second.example", "b@south.example", "last", "hello")); err != nil {
			t.Error(err)
		}
		if err := link.Close(); err != nil {
			t.Error(err)
		}
		if err := link.Send(t.Context(), chat("a@north.example", "b@south.example", "late", "hello")); err == nil {
			t.Error("sent by a closed link")
		}
		<-reading
		if err := <-ended; err != nil {
			t.Error(err)
		}
		close(got)
		var ids []string
		for id := range got {
			ids = append(ids, id)
		}
		if want := []string{"0", "3", "last"}; !slices.Equal(ids, want) {
			t.Errorf("got %q", ids)
		}
	})
}

// A context that ends is the end of Dial and of Accept, without delay and with its cause.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
		cfg := &psycswitch.Config{Hosts: plain("north.example"), Resolver: w.resolver, Dialer: w.net.from("10.0.0.1"), Insecure: psycswitch.Plaintext}
		far := w.net.listen("10.0.0.9" + port)
		defer far.Close()
		for name, block := range map[string]func(context.Context) error{
			"Dial": func(ctx context.Context) error {
				_, err := psycswitch.Dial(ctx, cfg, "north.example", "far.example")
				return err
			},
			"Accept": func(ctx context.Context) error {
				conn, err := w.net.from("10.0.0.1").DialContext(ctx, "tcp", "10.0.0.9"+port)
				if err != nil {
					return err
				}
				_, err = psycswitch.Accept(ctx, cfg, conn)
				if _, read := conn.Read(make([]byte, 1)); read == nil || read == io.EOF {
					t.Errorf("the connection is open: %v", read)
				}
				return err
			},
		} {
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() { done <- block(ctx) }()
			synctest.Wait()
			cancel(io.ErrNoProgress)
			synctest.Wait()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), io.ErrNoProgress.Error()) {
					t.Errorf("%s: %v", name, err)
				}
			default:
				t.Errorf("%s goes on", name)
				<-done
			}
		}
	})
}
