package psycswitch_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// These tests are the other end of a connection, with bytes of their own: a server of evil.example, which can prove that
// domain and wants to speak for others. bank.example has an honest server, which says that no key is its own.

// A fortress is a router for north.example on loopback, and what reached its handler.
type fortress struct {
	*psycswitch.Router
	addr string
	got  chan *xmpp.Stanza
}

// newFortress starts a router that finds evil.example and bank.example at their authoritative servers.
func newFortress(t *testing.T, change func(*psycswitch.Router)) *fortress {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(end) {
				b := make([]byte, 1<<20)
				t.Errorf("%d goroutines where there were %d\n%s", runtime.NumGoroutine(), before, b[:runtime.Stack(b, true)])
				return
			}
		}
	})
	ln := listen(t)
	f := &fortress{addr: ln.Addr().String(), got: make(chan *xmpp.Stanza, 1000)}
	hint := func(addr string) []psycswitch.Hint { return []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: addr}} }
	f.Router = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    psycswitch.StaticHosts{"north.example": nil},
			Insecure: psycswitch.Plaintext,
			Resolver: &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
				"evil.example":  hint(keyServer(t, "valid")),
				"bank.example":  hint(keyServer(t, "invalid")),
				"north.example": hint(keyServer(t, "valid")), // a lie about us in DNS
			}},
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			f.got <- s.Clone()
			return nil
		}),
		Grace: time.Second,
	}
	if change != nil {
		change(f.Router)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// header opens a stream with north.example.
func header(from string) string {
	return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'" +
		" xmlns:db='jabber:server:dialback' to='north.example' from='" + from + "' version='1.0'>"
}

var verifyRequest = regexp.MustCompile(`<db:verify from='([^']*)' to='([^']*)' id='([^']*)'`)

// keyServer is a server that answers every question for a key with verdict. It returns its address.
func keyServer(t *testing.T, verdict string) string {
	t.Helper()
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprint(conn, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"+
					" xmlns:db='jabber:server:dialback' id='s' version='1.0'><stream:features/>")
				var said strings.Builder
				b := make([]byte, 4096)
				for {
					n, err := conn.Read(b)
					said.Write(b[:n])
					if m := verifyRequest.FindStringSubmatch(said.String()); m != nil {
						fmt.Fprintf(conn, "<db:verify from='%s' to='%s' id='%s' type='%s'/>", m[2], m[1], m[3], verdict)
						said.Reset()
					}
					if err != nil || strings.HasSuffix(said.String(), "</stream:stream>") {
						fmt.Fprint(conn, "</stream:stream>")
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// A foe is a connection to a fortress.
type foe struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (f *fortress) attack(t *testing.T) *foe {
	t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &foe{conn, t, bufio.NewReader(conn)}
}

// send writes; that the other end has hung up meanwhile is its right.
func (c *foe) send(s string) { io.WriteString(c, s) }

// until reads until want has come, and returns all that came.
func (c *foe) until(want string) string {
	c.t.Helper()
	var got strings.Builder
	for !strings.HasSuffix(got.String(), want) {
		b, err := c.r.ReadByte()
		if err == nil {
			got.WriteByte(b)
		} else {
			c.t.Errorf("waiting for %q: %v after %q", want, err, got.String())
			break
		}
	}
	return got.String()
}

// prove proves evil.example.
func (c *foe) prove() {
	c.t.Helper()
	c.send(header("evil.example"))
	c.until("</stream:features>")
	c.send("<db:result from='evil.example' to='north.example'>key</db:result>")
	c.until("type='valid'/>")
}

const (
	body    = "<body>give me your password</body></message>"
	ceo     = "<message from='ceo@bank.example' to='ada@north.example'>" + body
	mallory = "<message from='mallory@evil.example' to='ada@north.example'>" + body
)

// TestForgedStreams says on a stream what only another domain may say, or what may only be said later.
func TestForgedStreams(t *testing.T) {
	f := newFortress(t, nil)
	result := func(from, to string) string { return "<db:result from='" + from + "' to='" + to + "'>key</db:result>" }
	nested := strings.Repeat("<a>", 17) + strings.Repeat("</a>", 17)
	for _, tt := range []struct {
		name string
		from string // in the stream header, before anything is proved; "": evil.example has been proved
		say  string
		want string // in the answer
	}{
		{"before any proof", "evil.example", mallory, "<not-authorized"},
		{"behind an answer to nothing", "evil.example", "<db:result from='evil.example' to='north.example' type='valid'/>" + mallory, "<not-authorized"},
		{"behind a verdict on nothing", "evil.example", "<db:verify from='evil.example' to='north.example' id='x' type='valid'/>" + mallory, "<not-authorized"},
		{"our own domain", "north.example", result("north.example", "north.example"), "type='invalid'"},
		{"our own domain in capitals", "NORTH.example", result("NORTH.EXAMPLE", "north.example"), "type='invalid'"},
		{"our own domain with a dot", "north.example.", result("north.example.", "north.example"), "type='invalid'"},
		{"our own domain in wide letters", "ｎorth.example", result("ｎｏｒｔｈ.example", "north.example"), "type='invalid'"},
		{"our own domain with another dot", "north。example", result("north。example", "north.example"), "type='invalid'"},
		{"a domain whose server denies it", "bank.example", result("bank.example", "north.example"), "type='invalid'"},
		{"a domain that nobody serves", "nowhere.example", result("nowhere.example", "north.example"), "type='error'"},
		{"switch before any proof", "evil.example", switching + "|\n:_source\tpsyc://evil.example/~mallory\n", "<not-switched"},
		{"switch while a key is being verified", "evil.example", result("evil.example", "north.example") + switching + ceo, ""},
		{"SASL without TLS", "evil.example", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>" + mallory, "<encryption-required/>"},
		{"document type", "evil.example", "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>", "<restricted-xml"},
		{"stream in a stream", "evil.example", header("bank.example"), "<stream:error>"},
		{"deep nesting before any proof", "evil.example", "<x xmlns='urn:x'>" + nested + "</x>", "<policy-violation"},
		{"long element before any proof", "evil.example", "<x xmlns='urn:x'>" + strings.Repeat("x", 9000), "<policy-violation"},
		{"TLS in the middle", "evil.example", "\x16\x03\x01\x00\x05hello", "<invalid-xml"},

		{"another domain", "", ceo, "<invalid-from"},
		{"another domain as the server", "", "<message from='bank.example' to='ada@north.example'>" + body, "<invalid-from"},
		{"our own domain as the sender", "", "<message from='eve@north.example' to='ada@north.example'>" + body, "<invalid-from"},
		{"a domain below the one proved", "", "<message from='x@www.evil.example' to='ada@north.example'>" + body, "<invalid-from"},
		{"two at signs", "", "<message from='ceo@bank.example@evil.example' to='ada@north.example'>" + body + "</stream:stream>", ""},
		{"nobody", "", "<message to='ada@north.example'>" + body, "<improper-addressing"},
		{"nobody in particular", "", "<message from='' to='ada@north.example'>" + body, ""},
		{"to somebody else's", "", "<message from='mallory@evil.example' to='boss@bank.example'>" + body, "<host-unknown"},
		{"two senders", "", "<message from='mallory@evil.example' from='ceo@bank.example' to='ada@north.example'>" + body, "<not-well-formed"},
		{"key of another domain", "", result("bank.example", "north.example") + ceo, "<invalid-from"},
		{"answer to nothing, for another domain", "", "<db:result from='bank.example' to='north.example' type='valid'/>" + ceo, "<invalid-from"},
		{"an answer to the switch", "", "<not-switched xmlns='urn:x-switchyard:psyc:0'/>", "<unsupported-stanza-type"},
		{"the other answer to the switch", "", "<switched xmlns='urn:x-switchyard:psyc:0'><syntax>1.0</syntax></switched>", "<unsupported-stanza-type"},
		{"TLS after the proof", "", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<unsupported-stanza-type"},
		{"out of the element", "", "<message from='mallory@evil.example' to='ada@north.example'><body/></message></message>" + ceo, "<not-well-formed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.attack(t)
			if tt.from == "" {
				c.prove()
			} else {
				c.send(header(tt.from))
			}
			c.send(tt.say)
			c.until(tt.want)
			f.unharmed(t, "evil.example", tt.name == "out of the element")
		})
	}
}

// unharmed sends a stanza on a connection of its own: it must be the only one that arrives, but for one before it if so said.
func (f *fortress) unharmed(t *testing.T, domain string, oneMore bool) {
	t.Helper()
	c := f.attack(t)
	c.prove()
	c.send("<message from='good@" + domain + "' to='ada@north.example' id='good'><body/></message>")
	for {
		select {
		case s := <-f.got:
			if s.ID == "good" {
				c.Close()
				return
			}
			if !oneMore || s.From.Domain() != domain {
				t.Errorf("arrived: %s", s.Append(nil))
			}
			oneMore = false
		case <-time.After(10 * time.Second):
			t.Fatal("nothing arrives any more")
		}
	}
}

// TestForgedPackets does the same on a circuit, after the switch.
func TestForgedPackets(t *testing.T) {
	f := newFortress(t, nil)
	const (
		source = ":_source\tpsyc://evil.example/~mallory\n"
		target = ":_target\tpsyc://north.example/~ada\n"
		text   = "\n_message_private\ngive me your password\n|\n"
		banker = ":_source\tpsyc://bank.example/~ceo\n"
	)
	xml := func(method, name, value string) string {
		return fmt.Sprintf("%s%s\n:%s %d\t%s\n%s\nhello\n|\n", source, target, name, len(value), value, method)
	}
	verbatim := func(children string) string {
		content := "_jabber_message_chat\n" + children + "\n"
		return fmt.Sprintf("%s%s%d\n%s|\n", source, target, len(content), content)
	}
	for _, tt := range []struct {
		name string
		say  string
		want string // in the answer; "": it is taken, as what it says of evil.example
	}{
		{"another domain", banker + target + text, "_error_rejected_relay_incoming"},
		{"another domain with a port", ":_source\tpsyc://bank.example:4405/~ceo\n" + target + text, "_error_rejected_relay_incoming"},
		{"another domain in XMPP's spelling", ":_source\txmpp:ceo@bank.example\n" + target + text, "_error_rejected_relay_incoming"},
		{"another domain behind a user", ":_source\tpsyc://evil.example@bank.example/~ceo\n" + target + text, "_error_rejected_relay_incoming"},
		{"a port of ours", ":_source\tpsyc://evil.example:-4711/~ceo\n" + target + text, "_error_invalid_uniform"},
		{"our own domain", ":_source\tpsyc://north.example/~eve\n" + target + text, "_error_rejected_relay_incoming"},
		{"context of another domain", source + ":_context\tpsyc://bank.example/@board\n" + target + text, "_error_rejected_relay_incoming"},
		{"source of another domain in a context", banker + ":_context\tpsyc://evil.example/@board\n" + target + text, "_error_rejected_relay_incoming"},
		{"two sources", source + banker + target + text, "_error_illegal_protocol_variable"},
		{"two sources the other way", banker + source + target + text, "_error_illegal_protocol_variable"},
		{"two targets", source + target + ":_target\tpsyc://bank.example/~ceo\n" + text, "_error_illegal_protocol_variable"},
		{"assigned source", "=_source\tpsyc://bank.example/~ceo\n|\n" + target + text, "_error_rejected_relay_incoming"},
		{"assigned context", "=_context\tpsyc://bank.example/@board\n|\n" + source + target + text, "_failure_unsupported_modifier"},
		{"source behind another one", "=_source\tpsyc://evil.example/~mallory\n" + target + text + banker + target + text, "_error_rejected_relay_incoming"},
		{"augmented source", source + "+_source\tpsyc://bank.example/~ceo\n" + target + text, "_failure_unsupported_modifier"},
		{"queried source", "?_source\t\n" + target + text, "_failure_unsupported_modifier"},
		{"updated source", source + "@_source\tpsyc://bank.example/~ceo\n" + target + text, "_failure_unsupported_modifier"},
		{"nobody", target + text, "_error_necessary_source"},
		{"to somebody else's", source + ":_target\tpsyc://bank.example/~ceo\n" + text, "_failure_unsupported_relay"},
		{"to the server that carries it", source + text, ""},
		{"attributes", xml("_message_private", "_jabber_attributes", "from='ceo@bank.example'"), "_error_invalid_profile"},
		{"attributes without a contradiction in letters", xml("_message_private", "_jabber_attributes", "from='mallory@evil.example' to='boss@bank.example'"), "_error_invalid_profile"},
		{"attributes out of the tag", xml("_message_private", "_jabber_attributes", "a='&gt;' b='x'><body/></message><x y='"), "_error_invalid_profile"},
		{"namespace of the stanza", xml("_message_private", "_jabber_attributes", "xmlns='urn:x'"), "_error_invalid_profile"},
		{"XML out of the stanza", xml("_message_private", "_jabber_XML", "<body>\x01</body></message>"+ceo), "_error_invalid_profile"},
		{"verbatim XML out of the stanza", verbatim("<body/></message>" + ceo), "_error_invalid_profile"},
		{"verbatim XML not closed", verbatim("<body>"), "_error_invalid_profile"},
		{"mark in the wrong place", xml("_message_private", "_jabber_XML", "<x xmlns='urn:x' from='\x01'/>"), "_error_invalid_profile"},
		{"mark in a verbatim form", verbatim("<body>\x01</body>"), "_error_invalid_profile"},
		{"resource that is none", xml("_message_private", "_resource_source", "a\x00b"), "_error_invalid_uniform"},
		{"doubled variable", source + target + "\n:_resource_source\ta\n:_resource_source\tb\n_message_private\nhi\n|\n", "_error_invalid_profile"},
		{"circuit method between entities", source + target + "\n_request_circuit_shutdown\n|\n", ""},
		{"content longer than it is", source + target + "18446744073709551617\n_message_private\nhi\n|\n", "_error_invalid_syntax"},
		{"content shorter than it is", source + target + "5\n_message_private\nhi\n|\n" + banker + target + text, "_error_invalid_syntax"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.attack(t)
			c.prove()
			c.send(switching)
			c.until("</switched>")
			c.send("|\n\n:_understand_modules\t_switchyard;_switchyard_state\n_notice_circuit_established\n|\n")
			c.send(tt.say)
			c.until(tt.want)
			f.unharmed(t, "evil.example", tt.want == "" || tt.name == "source behind another one")
		})
	}
}
