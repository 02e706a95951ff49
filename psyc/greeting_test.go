package psyc

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/shared"
)

const (
	greetingB10 = "|\n\n" + // the first line; a packet without routing header
		":_uniform_source\tpsyc://b.example/\n:_implementation\tSwitchyard\n" +
		":_instance\t62000000000000000000000000000001\n_notice_circuit_established\nThis is [_implementation].\n|\n" +
		"\n:_using_characters\tUTF-8\n_status_circuit\n|\n"
	greetingB09 = ".\n:_source\tpsyc://b.example/\n\n" +
		":_implementation\tSwitchyard\n" +
		":_instance\t62000000000000000000000000000001\n_notice_circuit_established\nThis is [_implementation].\n.\n" +
		":_source\tpsyc://b.example/\n\n:_using_characters\tUTF-8\n_status_circuit\n.\n"
	croakInitialization = "\n_error_syntax_initialization\nA circuit begins with a line that holds nothing but a dot or a vertical bar.\n.\n"

	// What a psyced says, in other words.
	psycedGreeting = ".\n:_source\tpsyc://p.example/\n:_target_peer\tpsyc://192.0.2.7:-4711/\n\n" +
		":_implementation\tpsyced/0.99 driver/3.5\n_notice_circuit_established\nWelcome, [_target_peer].\nThis is [_source].\n.\n" +
		":_source\tpsyc://p.example/\n\n:_available_protocols\tPSYC/0.9 TCP IP/4;XMPP-S2S/1;IRC/2\n" +
		":_understand_modules\t_context;_encrypt\n:_using_modules\t_context\n_status_circuit\nWe have [_available_protocols].\n.\n"
)

// withLengths gives the packets of a 1.0 greeting the lengths that the renderer writes.
func render10(t *testing.T, wire string) string {
	t.Helper()
	d := NewDecoder(strings.NewReader(wire))
	d.Syntax = PSYC10
	var out []byte
	for p, err := range d.Packets() {
		if err != nil {
			t.Fatal(err)
		}
		if out, err = p.Append(out, PSYC10); err != nil {
			t.Fatal(err)
		}
	}
	return string(out)
}

func TestAcceptGreeting(t *testing.T) {
	for _, test := range []struct {
		name     string
		switched bool
		send     string
		want     string
		fault    string // method of the error, if the handshake fails
	}{
		{name: "0.9", send: ".\n", want: greetingB09},
		{name: "0.9 CRLF", send: ".\r\n", want: greetingB09},
		{name: "1.0", send: "|\n", want: greetingB10},
		{name: "0.9 switched", switched: true, send: ".\n", want: greetingB09},
		{name: "empty line and XML before", switched: true, send: "\n </stream:stream>\r\n<?xml version='1.0'?>.\n", want: greetingB09},
		{name: "XML before without switch", send: "<?xml version='1.0'?>.\n", want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "empty line without switch", send: "\n.\n", want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "packet without first line", send: ":_source\tpsyc://a.example/\n", want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "HTTP", send: "GET / HTTP/1.0\r\n\r\n", want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "TLS", send: "\x16\x03\x01", want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "dot and more", send: ".x\n", want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "bar CRLF", send: "|\r\n", want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "XML without end", switched: true, send: "<" + strings.Repeat("x", maxResidue+1), want: croakInitialization, fault: "_error_syntax_initialization"},
		{name: "white space without end", switched: true, send: strings.Repeat(" ", maxResidue+1), want: croakInitialization, fault: "_error_syntax_initialization"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, w := newWire(t)
				cfg := config("b.example")
				cfg.Switched = test.switched
				c := Accept(conn, cfg)
				failed := make(chan error, 1)
				go func() { failed <- c.Handshake(context.Background()) }()
				time.Sleep(time.Second)
				w.want("") // not before the peer
				w.send(test.send)
				if strings.HasPrefix(test.want, "|") {
					test.want = render10(t, test.want)
				}
				w.want(test.want)
				err := <-failed
				switch {
				case test.fault == "" && err != nil:
					t.Error(err)
				case test.fault != "" && !errors.Is(err, &Error{Method: test.fault}):
					t.Errorf("handshake: %v", err)
				}
				if test.fault == "" {
					c.Close()
				}
				<-c.Done()
				if !w.closed() {
					t.Error("connection left open")
				}
			})
		})
	}
}

func TestInitiateGreeting(t *testing.T) {
	for _, test := range []struct {
		name     string
		syntax   Syntax
		switched bool
		profile  bool
		send     string
		took     time.Duration
		fault    error
		peer     string
	}{
		{name: "0.9 psyced", syntax: PSYC09, send: psycedGreeting, peer: "psyc://p.example/"},
		{name: "0.9 switched psyced", syntax: PSYC09, switched: true},
		{name: "0.9 switched Switchyard", syntax: PSYC09, switched: true, profile: true, send: greetingB09, peer: "psyc://b.example/"},
		{name: "0.9 without greeting", syntax: PSYC09, send: ".\n", took: 2 * time.Second},
		{name: "0.9 packet instead of greeting", syntax: PSYC09, send: ".\n:_source\tpsyc://b.example/\n:_target\tpsyc://a.example/\n\n_message\n.\n"},
		{name: "0.9 silent", syntax: PSYC09, took: 30 * time.Second, fault: ErrHandshakeTimeout},
		{name: "0.9 half a line", syntax: PSYC09, send: ":_sou", took: 30 * time.Second, fault: ErrHandshakeTimeout},
		{name: "0.9 croak", syntax: PSYC09, send: "\n:_circuit_encryption_cipher\tTLS_AES\n_error_circuit_encryption_cipher\nNo.\n.\n", fault: &Error{Method: "_error_circuit_encryption"}},
		{name: "1.0 Switchyard", syntax: Auto, send: greetingB10, peer: "psyc://b.example/"},
		{name: "1.0 switched Switchyard", syntax: PSYC10, switched: true, profile: true, send: greetingB10, peer: "psyc://b.example/"},
		{name: "1.0 psyced", syntax: PSYC10, send: "|\n", took: 2 * time.Second},
		{name: "1.0 silent", syntax: PSYC10, took: 30 * time.Second, fault: ErrHandshakeTimeout},
		{name: "1.0 answered in 0.9", syntax: PSYC10, send: croakInitialization, fault: &Error{Method: "_error_syntax_initialization"}},
		{name: "1.0 answered with dot", syntax: PSYC10, send: ".\n", fault: &Error{Method: "_error_syntax_initialization"}},
		{name: "1.0 croak", syntax: PSYC10, send: "|\n\n_error_dispatch\nNo.\n|\n", fault: &Error{Method: "_error_dispatch"}},
		{name: "myself", syntax: PSYC10, send: strings.Replace(greetingB10, "6200", "6100", 1), fault: ErrSelf},
		{name: "my name without instance", syntax: PSYC09, send: strings.ReplaceAll(psycedGreeting, "p.example", "A.example"), fault: ErrSelf},
		{name: "my name, other instance", syntax: PSYC09, send: strings.ReplaceAll(greetingB09, "b.example", "a.example"), peer: "psyc://a.example/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, w := newWire(t)
				cfg := config("a.example")
				cfg.Syntax, cfg.Switched, cfg.Profile = test.syntax, test.switched, test.profile
				c := Initiate(conn, cfg)
				defer func() {
					c.Close()
					if !w.closed() {
						t.Error("connection left open")
					}
				}()
				start := time.Now()
				failed := make(chan error, 1)
				go func() { failed <- c.Handshake(context.Background()) }()
				first := "|\n"
				if test.syntax == PSYC09 {
					first = ".\n:_source\tpsyc://a.example/\n\n:_implementation\tSwitchyard\n"
				}
				if got := w.read(); !strings.HasPrefix(got, first) || strings.Contains(got, "_target") {
					t.Errorf("greeting %q", got)
				}
				if test.send != "" {
					w.send(test.send)
				}
				err := <-failed
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if test.fault != nil {
					if !errors.Is(err, test.fault) {
						t.Errorf("handshake: %v, want %v", err, test.fault)
					}
					if err := c.Send(t.Context(), &Packet{}); !errors.Is(err, test.fault) {
						t.Errorf("send after failed handshake: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := c.Peer().Root; got != test.peer {
					t.Errorf("peer %q, want %q", got, test.peer)
				}
				if err := c.Send(t.Context(), &Packet{}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestHandshakeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, w := newWire(t)
		c := Accept(conn, config("b.example"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := c.Handshake(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-c.Done()
		if !w.closed() {
			t.Error("connection left open")
		}
	})
}

func TestHandshakeHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, w := newWire(t)
		c := Initiate(conn, config("a.example"))
		out := collect(c)
		synctest.Wait()
		w.Close()
		if r := <-out; !errors.Is(r.err, io.ErrUnexpectedEOF) {
			t.Errorf("loop ended with %v", r.err)
		}
		<-c.Done()
	})
}

func TestSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(nil, nil)
		accepted := make(chan error, 1)
		go func() { accepted <- b.Handshake(context.Background()) }()
		if err := a.Handshake(t.Context()); !errors.Is(err, ErrSelf) {
			t.Errorf("initiator: %v", err)
		}
		if err := <-accepted; !errors.Is(err, ErrSelf) {
			t.Errorf("acceptor: %v", err)
		}
		<-a.Done()
		<-b.Done()
	})
}

// The greeting of a psyced arrives in pieces, byte by byte, and with the packets of its queue behind it.
func TestGreetingInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, w := newWire(t)
		cfg := config("b.example")
		cfg.Buffered = []byte(psycedGreeting[:1])
		c := Accept(conn, cfg)
		c.AddProof("p.example", Proof{})
		out := collect(c)
		for _, b := range []byte(psycedGreeting[1:] + ":_source\tpsyc://p.example/~pia\n:_target\txmpp:bea@b.example\n\n_message_private\nhello\n.\n") {
			w.send(string(b))
		}
		w.Close()
		r := <-out
		if r.err != nil || len(r.packets) != 1 || string(r.packets[0].Body) != "hello" {
			t.Errorf("got %v, %v", r.packets, r.err)
		}
		g := c.Peer()
		if g.Root != "psyc://p.example/" || strings.Join(g.Understands, " ") != "_context _encrypt" || strings.Join(g.Uses, " ") != "_context" ||
			strings.Join(g.Protocols, "|") != "PSYC/0.9 TCP IP/4|XMPP-S2S/1|IRC/2" || c.Profile() {
			t.Errorf("greeting %+v, profile %v", g, c.Profile())
		}
		if c.Err() != io.EOF {
			t.Errorf("ended with %v", c.Err())
		}
	})
}

// What a real psyced sent, as the recorded sessions have it.
func TestPsycedSessions(t *testing.T) {
	for _, test := range []struct {
		file     string
		initiate bool
		skip     string // the stream starts behind this
		packets  []string
	}{
		{file: "10-psyc09-outgoing-circuit.in1", packets: []string{"_failure_unsupported_function_root", "_message_private", "_message_private"}},
		{file: "10-psyc09-outgoing-circuit.in4", packets: []string{"_message_private"}},
		{file: "13-psyc09-first-packet-rule.in1", packets: []string{"_status_version"}},
		{file: "09-xmpp-s2s-outgoing-switch", skip: "</switching>", packets: []string{"_message_private", "_message_echo_private", "_message_private"}},
		{file: "13-psyc09-first-packet-rule", initiate: true},
		{file: "01-psyc09-greeting", initiate: true},
	} {
		t.Run(test.file, func(t *testing.T) {
			recorded, err := io.ReadAll(shared.Open(t, "transcripts/psyced/"+test.file+".s2c.bin"))
			if err != nil {
				t.Fatal(err)
			}
			stream := string(recorded)
			if test.skip != "" {
				_, stream, _ = strings.Cut(stream, test.skip)
			}
			synctest.Test(t, func(t *testing.T) {
				conn, w := newWire(t)
				cfg := config("peer.test")
				cfg.Syntax = PSYC09
				cfg.Hosted = func(host string) bool { return strings.HasSuffix(host, ".test") }
				cfg.Switched = test.skip != ""
				c := Accept(conn, cfg)
				if test.initiate {
					c = Initiate(conn, cfg)
				}
				c.AddProof("psyced.test", Proof{Kind: ProofAddress})
				out := collect(c)
				io.WriteString(w, stream)
				w.Close()
				r := <-out
				if r.err != nil && !errors.Is(r.err, &Error{Method: "_error_syntax"}) {
					t.Error(r.err)
				}
				var methods []string
				for _, p := range r.packets {
					methods = append(methods, p.Method)
				}
				if test.packets != nil && strings.Join(methods, " ") != strings.Join(test.packets, " ") {
					t.Errorf("packets %v", methods)
				}
				g := c.Peer()
				if g.Root != "psyc://psyced.test/" || !strings.HasPrefix(g.Implementation, "psyced/0.99") ||
					strings.Join(g.Understands, " ") != "_context _encrypt" || len(g.Protocols) != 9 {
					t.Errorf("greeting %+v", g)
				}
			})
		})
	}
}
