package psycswitch_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// dialTLS is dial with TLS from the first byte.
func (w *town) dialTLS(from, to string, cert *tls.Certificate, alpn ...string) *wire {
	w.t.Helper()
	c := w.dial(from, to)
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: alpn, ServerName: "north.example"}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	t := tls.Client(c.Conn, cfg)
	if err := t.HandshakeContext(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	c.Conn = t
	return c
}

// tls is the accepting side of direct TLS.
func (c *wire) tls(cert *tls.Certificate, alpn ...string) *wire {
	c.t.Helper()
	t := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: alpn})
	if err := t.HandshakeContext(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.Conn = t
	return c
}

const (
	goodMessage = "<message id='good' from='x@peer.example' to='y@north.example'><body>hello</body></message>"
	goodPacket  = ":_source\tpsyc://peer.example/~x\n:_target\tpsyc://north.example/~y\n:_tag\tgood\n\n_message_private\nhello\n|\n"
)

// What a peer that has proved peer.example must not say on a stream: it is told so, its stream ends and nothing of that arrives, and
// nobody else is harmed.
func TestStreamRefusals(t *testing.T) {
	message := func(attrs string) string { return "<message " + attrs + "><body>forged</body></message>" }
	for _, test := range []struct {
		name, say, want string
	}{
		{"source not proved", message("from='ceo@bank.example' to='y@north.example'"), "<invalid-from "},
		{"source of ours", message("from='ceo@north.example' to='y@north.example'"), "<invalid-from "},
		{"source a subdomain", message("from='ceo@rooms.peer.example' to='y@north.example'"), "<invalid-from "},
		{"target not hosted", message("from='x@peer.example' to='y@bank.example'"), "<host-unknown "},
		{"target a subdomain", message("from='x@peer.example' to='y@rooms.north.example'"), "<host-unknown "},
		{"target of the peer's", message("from='x@peer.example' to='y@peer.example'"), "<host-unknown "},
		{"no source", message("to='y@north.example'"), "<improper-addressing "},
		{"no target", message("from='x@peer.example'"), "<improper-addressing "},
		{"neither", message(""), "<improper-addressing "},
		{"not well-formed", "<message from='x@peer.example' to='y@north.example'><body>forged</message>", "<not-well-formed "},
		{"prefix not bound", "<p:message/>", "<bad-namespace-prefix "},
		{"not UTF-8", message("id='\xff' from='x@peer.example' to='y@north.example'"), "<stream:error>"},
		{"DTD", "<!DOCTYPE x [<!ENTITY y 'z'>]>", "<stream:error>"},
		{"comment", "<!-- x -->", "<restricted-xml "},
		{"another namespace", "<message xmlns='urn:x' from='x@peer.example' to='y@north.example'/>", "<unsupported-stanza-type "},
		{"stream within", "<stream:stream to='north.example'/>", "<unsupported-stanza-type "},
		{"too deep", "<message from='x@peer.example' to='y@north.example'>" + strings.Repeat("<a>", 300), "<policy-violation "},
		{"too large", "<message from='x@peer.example' to='y@north.example'><body>" + strings.Repeat("large ", 100_000), "<policy-violation "},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.resolver.Domains["peer.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.7" + port}}
				w.vouch("10.0.0.7" + port)
				north := w.add("10.0.0.1", plain("north.example"), nil)
				south := w.add("10.0.0.2", plain("south.example"), nil)
				w.start()
				south.send(chat("bob@south.example", "ada@north.example", "before", "hello"))
				north.next()
				c := w.dial("10.0.0.7", "10.0.0.1"+port)
				c.dialback("peer.example", "north.example")
				c.send(goodMessage)
				c.send(test.say)
				if got := c.rest(); !strings.Contains(got, test.want) || !strings.HasSuffix(got, "</stream:stream>") {
					t.Errorf("answer %q", got)
				}
				c.Close()
				north.await("the end of the link", func() bool { return len(north.downs) == 1 && north.downs[0] != nil })
				south.send(chat("bob@south.example", "ada@north.example", "after", "hello"))
				for _, want := range []string{"good", "after"} {
					if got := north.next(); got.ID != want {
						t.Errorf("got %s", got.Append(nil))
					}
				}
				if n := w.net.dialled("10.0.0.1" + port); n != 2 {
					t.Errorf("%d connections: the other link has not survived", n)
				}
			})
		})
	}
}

// Nobody proves one of our own domains to us, whoever vouches for it, and nobody proves anything to a domain that is not ours.
func TestOwnDomainsAreNotProved(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"north.example", "north.example", "type='invalid'"},
		{"rooms.north.example", "north.example", "type='invalid'"},
		{"peer.example", "bank.example", "<item-not-found "},
		{"peer.example", "peer.example", "<item-not-found "},
		{"far.example", "north.example", "<remote-server-timeout "},
		{"nowhere.example", "north.example", "<remote-server-not-found "},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			here := []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.7" + port}}
			w.resolver.Domains["peer.example"] = here
			w.resolver.Domains["north.example"] = here
			w.resolver.Domains["rooms.north.example"] = here
			w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.9.9.9" + port}}
			w.vouch("10.0.0.7" + port)
			w.add("10.0.0.1", plain("north.example", "rooms.north.example"), nil)
			w.start()
			c := w.dial("10.0.0.7", "10.0.0.1"+port)
			c.openStream("peer.example", "north.example")
			c.send("<db:result from='" + test.from + "' to='" + test.to + "'>key</db:result>")
			if got := c.expect(test.want); strings.Contains(got, "type='valid'") {
				t.Errorf("%s to %s: %q", test.from, test.to, got)
			}
		})
	}
}

// Not even a certificate proves one of our own domains to us, on a stream or on a circuit; the same certificate is good for others.
func TestOwnDomainsAreNotCertified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
		w.start()
		stolen := ca.issue("north.example", "peer.example")
		c := w.dialTLS("10.0.0.7", "10.0.0.1"+port, stolen, "xmpp-server")
		if got := c.openStream("north.example", "north.example"); strings.Contains(got, "EXTERNAL") {
			t.Errorf("offered %q", got)
		}
		c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
		c.expect("<not-authorized/>")
		c.send("<db:result from='north.example' to='north.example'>key</db:result>")
		c.expect("type='invalid'")

		c = w.dialTLS("10.0.0.7", "10.0.0.1"+port, stolen, "psyc")
		c.send(greeting + strings.ReplaceAll(goodPacket, "peer.example", "north.example"))
		c.expect("_error_rejected_relay_incoming\n")

		c = w.dialTLS("10.0.0.7", "10.0.0.1"+port, stolen, "xmpp-server")
		c.external("peer.example", "north.example")
		c.send(goodMessage)
		if got := north.next(); got.ID != "good" || len(north.got) > 0 {
			t.Errorf("got %s", got.Append(nil))
		}
	})
}

// The same on a circuit, where only what is not allowed is refused, and the circuit goes on.
func TestCircuitRefusals(t *testing.T) {
	packet := func(routing ...string) string {
		return ":" + strings.Join(routing, "\n:") + "\n\n_message_private\nforged\n|\n"
	}
	const (
		proved    = "_source\tpsyc://peer.example/~x"
		forged    = "_source\tpsyc://bank.example/~ceo"
		ours      = "_source\tpsyc://north.example/~ceo"
		hosted    = "_target\tpsyc://north.example/~y"
		notHosted = "_target\tpsyc://bank.example/~y"
		relay     = "_error_rejected_relay_incoming\n"
		authorize = "_request_authorization\n|\n"
	)
	for _, test := range []struct {
		name, say, want string // nothing of it arrives
		closes          bool
	}{
		{name: "source not proved", say: packet(forged, hosted), want: relay},
		{name: "source of ours", say: packet(ours, hosted), want: relay},
		{name: "source a subdomain", say: packet("_source\tpsyc://rooms.peer.example/~x", hosted), want: relay},
		{name: "source by XMPP", say: packet("_source\txmpp:ceo@bank.example", hosted), want: relay},
		{name: "context not proved", say: packet("_context\tpsyc://bank.example/@x", hosted), want: relay},
		{name: "context not proved, source proved", say: packet(proved, "_context\tpsyc://bank.example/@x", hosted), want: relay},
		{name: "source not proved, context proved", say: packet(forged, "_context\tpsyc://peer.example/@x", hosted), want: relay},
		{name: "target not hosted", say: packet(proved, notHosted), want: "_failure_unsupported_relay\n"},
		{name: "target by XMPP not hosted", say: packet(proved, "_target\txmpp:y@bank.example"), want: "_failure_unsupported_relay\n"},
		{name: "target of the peer's", say: packet(proved, "_target\tpsyc://peer.example/~y"), want: "_failure_unsupported_relay\n"},
		{name: "two sources", say: packet(proved, forged, hosted), want: "_error"},
		{name: "two targets", say: packet(proved, hosted, notHosted), want: "_error"},
		{name: "no source", say: packet(hosted), want: "_error_necessary_source\n"},
		{name: "relay alone", say: packet("_source_relay\tpsyc://peer.example/~x", hosted), want: "_error_necessary_source\n"},
		{name: "not an address", say: packet("_source\tpeer", hosted), want: "_error_invalid_uniform\n"},
		{name: "port of another", say: packet("_source\tpsyc://peer.example:4405/~x", hosted), want: "_error_invalid_uniform"},
		{name: "source in the attributes", say: ":" + proved + "\n:" + hosted + "\n\n:_jabber_attributes\tfrom='ceo@bank.example'\n_message_private\nforged\n|\n", want: "_error_invalid_profile\n"},
		{name: "target in the attributes", say: ":" + proved + "\n:" + hosted + "\n\n:_jabber_attributes\tto='ceo@bank.example'\n_message_private\nforged\n|\n", want: "_error_invalid_profile\n"},
		{name: "broken XML", say: ":" + proved + "\n:" + hosted + "\n\n_jabber_iq_get\n<broken\n|\n", want: "_error_invalid_profile\n"},
		{name: "authorization not proved", say: "\n:_uniform_source\tpsyc://bank.example/\n:_uniform_target\tpsyc://north.example/\n" + authorize, want: "_error_invalid_uniform_source\n"},
		{name: "authorization of ours", say: "\n:_uniform_source\tpsyc://north.example/\n:_uniform_target\tpsyc://north.example/\n" + authorize, want: "_error_invalid_uniform_source\n"},
		{name: "authorization not hosted", say: "\n:_uniform_source\tpsyc://peer.example/\n:_uniform_target\tpsyc://bank.example/\n" + authorize, want: "_error_invalid_uniform_target\n"},
		{name: "unparsable", say: "this is no packet\n|\n", want: "_error", closes: true},
		{name: "length that lies", say: ":" + proved + "\n:" + hosted + "\n\n_message_private 3\nforged\n|\n", want: "_error", closes: true},
		{name: "XML", say: "<?xml version='1.0'?><stream:stream>", want: "_error", closes: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ca := w.tls()
				north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
				south := w.add("10.0.0.2", with(ca.issue("south.example"), "south.example"), nil)
				w.start()
				south.send(chat("bob@south.example", "ada@north.example", "before", "hello"))
				north.next()
				c := w.dialTLS("10.0.0.7", "10.0.0.1"+port, ca.issue("peer.example"), "psyc")
				c.send(strings.ReplaceAll(greeting, "far.example", "peer.example") + goodPacket)
				c.expect("_status_circuit\n")
				if got := north.next(); got.Text("body") != "hello" || got.From.String() != "x@peer.example" {
					t.Errorf("got %s", got.Append(nil))
				}
				c.send(test.say)
				c.expect(test.want)
				if test.closes {
					c.rest()
					north.await("the end of the link", func() bool { return len(north.downs) == 1 && north.downs[0] != nil })
				} else {
					c.send(goodPacket)
					if got := north.next(); got.Text("body") != "hello" {
						t.Errorf("got %s", got.Append(nil))
					}
				}
				south.send(chat("bob@south.example", "ada@north.example", "after", "hello"))
				if got := north.next(); got.ID != "after" {
					t.Errorf("got %s", got.Append(nil))
				}
				if n := w.net.dialled("10.0.0.1" + port); n != 2 {
					t.Errorf("%d connections: the other link has not survived", n)
				}
			})
		})
	}
}

// Variables that speak of others neither make a packet theirs nor bring it elsewhere.
func TestRelayVariablesAreData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
		w.start()
		c := w.dialTLS("10.0.0.7", "10.0.0.1"+port, ca.issue("peer.example"), "psyc")
		c.send(greeting)
		for _, extra := range []string{
			":_source_relay\tpsyc://bank.example/~ceo",
			":_source_identification\tpsyc://bank.example/~ceo",
			":_target_relay\tpsyc://bank.example/~y",
			":_source_redirect\tpsyc://bank.example/~ceo",
			":_tag_relay\tx",
		} {
			c.send(":_source\tpsyc://peer.example/~x\n:_target\tpsyc://north.example/~y\n" + extra + "\n\n_message_private\nhello\n|\n")
			if got := north.next(); got.From.Bare().String() != "x@peer.example" || got.To.String() != "y@north.example" {
				t.Errorf("%s: got %s", extra, got.Append(nil))
			}
		}
	})
}
