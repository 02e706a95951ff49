package xmpp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

const bidiFeatures = `<stream:features><bidi xmlns='urn:xmpp:features:bidi'/><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>`

// plainBidi adds Bidi in front of the features, without TLS.
func plainBidi(cfg *Config) *Config {
	cfg.Features = slices.Insert(cfg.Features, 0, Bidi(BidiConfig{ByName: true}))
	return cfg
}

// Both roles against each other, with all that can prove the accepting side.
func TestBidi(t *testing.T) {
	always := func(context.Context, string, string, string, string) error { return nil }
	for _, tt := range []struct {
		name     string
		names    []string // in hill's certificate; nil: no TLS
		external bool
		by       Mechanism // that proves hill to dale; 0: the stream goes one way
	}{
		{"EXTERNAL", []string{"hill.example"}, true, ByServerCertificate},
		{"dialback in TLS", []string{"hill.example"}, false, ByServerCertificate},
		{"plaintext", nil, false, ByName},
		{"certificate of somebody else", []string{"moor.example"}, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := newTestCA(t)
				from := tlsSide{external: tt.external, roots: ca.pool}
				to := tlsSide{external: tt.external, roots: ca.pool, dialback: DialbackConfig{Verify: always}}
				from.certs = map[string]*tls.Certificate{"dale.example": ca.issue(t, []string{"dale.example"})}
				if tt.names != nil {
					to.certs = map[string]*tls.Certificate{"hill.example": ca.issue(t, tt.names)}
				}
				with := func(side tlsSide) []Feature {
					bidi := Bidi(BidiConfig{Verify: side.verify, ByName: true})
					if tt.names == nil {
						return []Feature{bidi, Dialback(side.dialback)}
					}
					return slices.Insert(side.features(), 1, bidi)
				}
				ours, theirs := net.Pipe()
				i := Initiate(ours, &Config{
					Local: "dale.example", Remote: "hill.example", Features: with(from), Plaintext: tt.names == nil,
				})
				a := Accept(theirs, &Config{
					Features: with(to), Plaintext: tt.names == nil,
					Hosted: func(d string) bool { return d == "hill.example" },
				})
				accepted := make(chan error, 1)
				go func() { accepted <- a.Negotiate(t.Context()) }()
				if err := i.Negotiate(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := <-accepted; err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				both := tt.by != 0
				if i.State()&Bidirectional != 0 != both || a.State()&Bidirectional != 0 != both {
					t.Errorf("states %b, %b", i.State(), a.State())
				}
				if i.Proven("dale.example", "hill.example") != both || a.Authorized("hill.example", "dale.example") != both {
					t.Error("wrong pairs")
				}
				if p := i.Proofs(); both && (len(p) != 1 || p[0].By != tt.by || p[0].Until.IsZero() == (tt.names != nil)) {
					t.Errorf("proofs %v", p)
				}
				back := chat("b@hill.example", "a@dale.example", "back")
				if !both {
					if err := a.Send(t.Context(), back); !errors.Is(err, NotAuthorized) {
						t.Errorf("Send against the direction: %v", err)
					}
				}
				got := make(chan string, 2)
				for _, s := range []*Stream{i, a} {
					go func() {
						for st, err := range s.Stanzas(t.Context()) {
							if err != nil {
								t.Error(err)
								return
							}
							got <- st.Text("body")
						}
					}()
				}
				if err := i.Send(t.Context(), chat("a@dale.example", "b@hill.example", "there")); err != nil {
					t.Error(err)
				}
				want := "there"
				if both {
					if err := a.Send(t.Context(), back); err != nil {
						t.Error(err)
					}
					want = "back there"
				}
				synctest.Wait()
				close(got)
				var bodies []string
				for body := range got {
					bodies = append(bodies, body)
				}
				slices.Sort(bodies)
				if strings.Join(bodies, " ") != want {
					t.Errorf("got %q", bodies)
				}
				go a.Close()
				i.Close()
				<-a.Done()
			})
		})
	}
}

// What the initiating side may do wrong.
func TestBidiBadInput(t *testing.T) {
	const bidi = `<bidi xmlns='urn:xmpp:bidi'/>`
	for _, tt := range []struct {
		name string
		sc   script
		cond Condition
	}{
		{"twice", script{{send: dale + bidi + bidi}}, UnsupportedStanzaType},
		{"after authentication", script{{send: dale + prove}, {want: isProven}, {send: bidi}}, UnsupportedStanzaType},
		{"something else", script{{send: dale + `<both xmlns='urn:xmpp:bidi'/>`}}, UnsupportedStanzaType},
		{"the feature's name", script{{send: dale + `<bidi xmlns='urn:xmpp:features:bidi'/>`}}, UnsupportedStanzaType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Accept(theirs, plainBidi(acceptPlain()))
				result := make(chan error, 1)
				go func() { result <- serveAll(t, s) }()
				append(tt.sc, line{want: "<stream:error><" + string(tt.cond) + " "}, line{want: "</stream:stream>"}).play(t, ours)
				if err := <-result; !errors.Is(err, tt.cond) {
					t.Errorf("error %v, want %s", err, tt.cond)
				}
			})
		})
	}
}

// What the accepting side may send, and what it may not.
func TestBidiBadStanzas(t *testing.T) {
	for _, tt := range []struct {
		name     string
		features string
		send     string
		cond     Condition
	}{
		{"not agreed on", features, `<message from='b@hill.example' to='a@dale.example'/>`, NotAuthorized},
		{"another domain", bidiFeatures, `<message from='b@rooms.hill.example' to='a@dale.example'/>`, InvalidFrom},
		{"to a domain not here", bidiFeatures, `<message from='b@hill.example' to='a@moor.example'/>`, HostUnknown},
		{"bidi from the accepting side", bidiFeatures, `<bidi xmlns='urn:xmpp:bidi'/>`, UnsupportedStanzaType},
		{"dialback against the direction", features, `<db:result from='rooms.hill.example' to='dale.example'>k</db:result>`, UnsupportedStanzaType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Initiate(theirs, plainBidi(initiatePlain()))
				result := make(chan error, 1)
				go func() { result <- serveAll(t, s) }()
				script{
					{want: "from='dale.example'"},
					{send: hill + tt.features},
					{want: "</db:result>"},
					{send: authorized + tt.send},
					{want: "<stream:error><" + string(tt.cond) + " "},
				}.play(t, ours)
				if err := <-result; !errors.Is(err, tt.cond) {
					t.Errorf("error %v, want %s", err, tt.cond)
				}
			})
		})
	}
}

// On a stream that goes both ways the accepting side may have further pairs authorized by dialback (XEP-0288 section 2.2).
func TestBidiDialback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan string, 10)
		dale := plainBidi(initiatePlain())
		dale.Features[1] = Dialback(DialbackConfig{Verify: func(_ context.Context, local, remote, _, _ string) error {
			asked <- remote + " to " + local
			if remote == "liar.example" {
				return ErrInvalidKey
			}
			return nil
		}})
		dale.Hosted = func(d string) bool { return d == "dale.example" || d == "moor.example" }
		ours, theirs := net.Pipe()
		i, a := Initiate(ours, dale), Accept(theirs, plainBidi(acceptPlain()))
		accepted := make(chan error, 1)
		go func() { accepted <- a.Negotiate(t.Context()) }()
		if err := errors.Join(i.Negotiate(t.Context()), <-accepted); err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 2)
		for _, s := range []*Stream{i, a} {
			go func() {
				for st, err := range s.Stanzas(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					got <- st.Text("body")
				}
			}()
		}
		for _, tt := range []struct {
			local, remote string
			want          error
			asked         string
		}{
			{"rooms.hill.example", "dale.example", nil, "rooms.hill.example to dale.example"},
			{"rooms.hill.example", "dale.example", nil, ""},                             // once is enough
			{"liar.example", "dale.example", Forbidden, "liar.example to dale.example"}, // the good pairs stay
			{"hill.example", "moor.example", NotAuthorized, ""},                         // which has not been proved
		} {
			if err := a.Authorize(t.Context(), tt.local, tt.remote); !errors.Is(err, tt.want) {
				t.Errorf("%s to %s: %v, want %v", tt.local, tt.remote, err, tt.want)
			}
			asking := ""
			select {
			case asking = <-asked:
			default:
			}
			if asking != tt.asked {
				t.Errorf("%s to %s: asked about %q", tt.local, tt.remote, asking)
			}
		}
		for _, s := range []struct {
			stream        *Stream
			local, remote string
		}{{a, "rooms.hill.example", "dale.example"}, {i, "dale.example", "rooms.hill.example"}} {
			if !s.stream.Authorized(s.local, s.remote) || !s.stream.Proven(s.local, s.remote) {
				t.Errorf("%s to %s: one way only", s.local, s.remote)
			}
			if err := s.stream.Send(t.Context(), chat("a@"+s.local, "b@"+s.remote, s.local)); err != nil {
				t.Error(err)
			} else if body := <-got; body != s.local {
				t.Errorf("got %q", body)
			}
		}
		go a.Close()
		i.Close()
		<-a.Done()
	})
}

// What the accepting side may not have authorized.
func TestBidiDialbackRefused(t *testing.T) {
	for _, tt := range []struct{ name, send, want string }{
		{
			"for a domain that we do not use here", `<db:result from='rooms.hill.example' to='moor.example'>k</db:result>`,
			`<db:result from='moor.example' to='rooms.hill.example' type='error'><error type='cancel'><not-allowed `,
		},
		{
			"without anybody to ask", `<db:result from='rooms.hill.example' to='dale.example'>k</db:result>`,
			`<db:result from='dale.example' to='rooms.hill.example' type='error'><error type='auth'><not-authorized `,
		},
		{
			"by itself", `<db:result from='dale.example' to='rooms.hill.example' type='valid'/>` +
				`<message from='b@rooms.hill.example' to='a@dale.example'/>`,
			"<stream:error><invalid-from ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Initiate(theirs, plainBidi(initiatePlain()))
				result := make(chan error, 1)
				go func() { result <- serveAll(t, s) }()
				script{
					{want: "from='dale.example'"},
					{send: hill + bidiFeatures},
					{want: "</db:result>"},
					{send: authorized + tt.send},
					{want: tt.want},
					{send: "</stream:stream>"},
				}.play(t, ours)
				<-result
			})
		})
	}
}

// Before authentication the accepting side may not send, whatever was agreed on.
func TestBidiBeforeAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Initiate(theirs, plainBidi(initiatePlain()))
		go script{
			{want: "from='dale.example'"},
			{send: hill + bidiFeatures},
			{want: "<bidi xmlns='urn:xmpp:bidi'/><db:result "},
			{send: `<message from='b@hill.example' to='a@dale.example'/>`},
		}.play(t, ours)
		if err := serveAll(t, s); !errors.Is(err, NotAuthorized) {
			t.Errorf("error %v", err)
		}
	})
}

// What is said in clear does not count inside TLS.
func TestBidiInClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newTestCA(t)
		side := tlsSide{roots: ca.pool, external: true}
		side.certs = map[string]*tls.Certificate{"hill.example": ca.issue(t, []string{"hill.example"})}
		ours, theirs := net.Pipe()
		a := Accept(theirs, &Config{
			Features: slices.Insert(side.features(), 1, Bidi(BidiConfig{})), Plaintext: true,
			Hosted: func(d string) bool { return d == "hill.example" },
		})
		result := make(chan error, 1)
		go func() { result <- serveAll(t, a) }()
		read := func(until string) {
			for b, all := make([]byte, 1), ""; !strings.HasSuffix(all, until); all += string(b) {
				if _, err := ours.Read(b); err != nil {
					t.Fatal(err)
				}
			}
		}
		go fmt.Fprint(ours, dale+`<bidi xmlns='urn:xmpp:bidi'/><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
		read("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
		if a.State()&Bidirectional == 0 {
			t.Error("not agreed on at all")
		}
		cert := ca.issue(t, []string{"dale.example"})
		client := tls.Client(ours, &tls.Config{Certificates: []tls.Certificate{*cert}, InsecureSkipVerify: true})
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		p := newPeer(client)
		p.send(dale)
		p.want("</stream:features>")
		p.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`)
		p.want("<success ")
		p.send(dale)
		p.want("</stream:features>")
		synctest.Wait()
		if a.State()&Bidirectional != 0 || a.Authorized("hill.example", "dale.example") {
			t.Error("may send to whoever spoke in clear")
		}
		p.send("</stream:stream>")
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
