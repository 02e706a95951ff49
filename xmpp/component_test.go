package xmpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// componentSecret is what gossip.example shares with its server; moor.example is connected already.
func componentSecret(domain string) (string, error) {
	switch domain {
	case "gossip.example":
		return "s3cret", nil
	case "moor.example":
		return "", fmt.Errorf("another stream: %w", Conflict)
	case "empty.example":
		return "", nil
	}
	return "", errors.New("no such component")
}

func componentConfig(local string) *Config {
	return &Config{Local: local, Plaintext: true, Features: []Feature{Component(componentSecret)}}
}

const (
	gossip = prologue + `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='gossip.example'>`
	server = prologue + `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='gossip.example' id='c1'>`
	// SHA-1 of "c1s3cret".
	shaken = `<handshake>a0a499774085314c2187bcb637fb7056a34b35df</handshake>`
)

// Both roles against each other: stanzas flow both ways, in the namespace of components.
func TestComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		srv := Accept(theirs, componentConfig(""))
		cmp := Initiate(ours, componentConfig("gossip.example"))
		accepted := make(chan error, 1)
		go func() { accepted <- srv.Negotiate(t.Context()) }()
		if err := cmp.Negotiate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
		if srv.Remote() != "gossip.example" || !srv.Proven("any.example", "gossip.example") || srv.Proven("any.example", "hill.example") {
			t.Errorf("the server believes %q, %v", srv.Remote(), srv.Proofs())
		}
		if !cmp.Authorized("gossip.example", "hill.example") || cmp.Authorized("hill.example", "gossip.example") {
			t.Error("the component may send for the wrong domains")
		}
		if p := cmp.Proofs(); len(p) != 1 || p[0].By != ByHandshake || p[0].Remote != "" || p[0].Local != "gossip.example" {
			t.Errorf("the component's proofs: %v", p)
		}
		for name, s := range map[string]*Stream{"component": cmp, "server": srv} {
			if err := s.Send(t.Context(), chat("a@hill.example", "b@moor.example", "x")); !errors.Is(err, NotAuthorized) {
				t.Errorf("%s sends for others: %v", name, err)
			}
		}

		there := chat("rose@gossip.example", "romeo@dale.example/garden", "psst")
		back := chat("romeo@dale.example/garden", "rose@gossip.example", "what?")
		got := make(chan string, 2)
		for _, s := range []*Stream{cmp, srv} {
			go func() {
				for st, err := range s.Stanzas(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					if st.Space != NSAccept {
						t.Errorf("namespace %q", st.Space)
					}
					got <- st.Text("body")
				}
			}()
		}
		if err := cmp.Send(t.Context(), there); err != nil {
			t.Error(err)
		}
		if err := srv.Send(t.Context(), back); err != nil {
			t.Error(err)
		}
		if bodies := []string{<-got, <-got}; !slices.Contains(bodies, "psst") || !slices.Contains(bodies, "what?") {
			t.Errorf("got %q", bodies)
		}
		go srv.Close()
		if err := cmp.Close(); err != nil {
			t.Error(err)
		}
		<-srv.Done()
	})
}

// What a component may do wrong, and what the server says.
func TestComponentBadInput(t *testing.T) {
	header := func(attrs string) string {
		return `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' ` + attrs + `>`
	}
	for _, tt := range []struct {
		name string
		send string
		cond Condition
	}{
		{"a server's stream", dale, InvalidNamespace},
		{"no to", header(""), ImproperAddressing},
		{"unknown domain", header("to='hill.example'"), HostUnknown},
		{"no secret", header("to='empty.example'"), HostUnknown},
		{"connected already", header("to='moor.example'"), Conflict},
		{"wrong handshake", gossip + `<handshake>00</handshake>`, NotAuthorized},
		{"handshake for another stream id", gossip + shaken, NotAuthorized},
		{"empty handshake", gossip + `<handshake/>`, NotAuthorized},
		{"stanza first", gossip + `<message from='a@gossip.example' to='b@hill.example'/>`, NotAuthorized},
		{"something else", gossip + `<shake/>`, UnsupportedStanzaType},
		{"large", gossip + `<handshake>` + strings.Repeat("0", 9<<10), PolicyViolation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Accept(theirs, componentConfig(""))
				result := make(chan error, 1)
				go func() { result <- serveAll(t, s) }()
				sc := script{{send: tt.send}, {want: "<stream:error><" + string(tt.cond) + " "}, {want: "</stream:stream>"}}
				if got := sc.play(t, ours); strings.Contains(got, "<handshake/>") {
					t.Errorf("let in: %s", got)
				}
				var streamErr *StreamError
				if err := <-result; !errors.As(err, &streamErr) || !streamErr.Local || streamErr.Condition != tt.cond {
					t.Errorf("error %v, want %s of ours", err, tt.cond)
				}
			})
		})
	}
}

// What a component may do wrong once it is connected, or a server to a component.
func TestComponentBadStanzas(t *testing.T) {
	const message = `<message from='%s' to='%s'/>`
	for _, tt := range []struct {
		name     string
		from, to string
		server   bool // who sends it
		cond     Condition
	}{
		{"another domain's address", "a@hill.example", "b@dale.example", false, InvalidFrom},
		{"a subdomain's address", "a@x.gossip.example", "b@dale.example", false, InvalidFrom},
		{"for another domain", "a@hill.example", "b@dale.example", true, HostUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				bad := fmt.Sprintf(message, tt.from, tt.to)
				if tt.server {
					s := Initiate(theirs, componentConfig("gossip.example"))
					go script{
						{want: "to='gossip.example'>"},
						{send: server},
						{want: shaken},
						{send: "<handshake/>" + bad},
						{want: "<stream:error><" + string(tt.cond) + " "},
					}.play(t, ours)
					if err := serveAll(t, s); !errors.Is(err, tt.cond) {
						t.Errorf("error %v", err)
					}
					return
				}
				s := Accept(theirs, componentConfig(""))
				result := make(chan error, 1)
				go func() { result <- serveAll(t, s) }()
				p := newPeer(ours)
				p.send(gossip)
				p.want("from='gossip.example' id=")
				c := component{componentSecret}
				handshake, _ := c.handshake("gossip.example", s.ID())
				// Upper case is hexadecimal, too.
				p.send("<handshake>" + strings.ToUpper(handshake) + "</handshake>")
				if err := p.want("<handshake/>"); err != nil {
					t.Error(err)
				}
				p.send(bad)
				if err := p.want("<stream:error><" + string(tt.cond) + " "); err != nil {
					t.Error(err)
				}
				p.rest()
				if err := <-result; !errors.Is(err, tt.cond) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// What a server may say to a component instead of letting it in.
func TestComponentRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		send string
		want error
	}{
		{"stream error", server + `<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`, NotAuthorized},
		{"as somebody else", strings.Replace(server, "gossip", "moor", 1), InvalidFrom},
		{"no id", strings.Replace(server, "id='c1'", "", 1), BadFormat},
		{"no id, but an error", strings.Replace(server, "id='c1'", "id=''", 1) +
			`<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`, HostUnknown},
		{"something else", server + `<message/>`, UnsupportedStanzaType},
		{"closed", server + `</stream:stream>`, ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Initiate(theirs, componentConfig("gossip.example"))
				go script{{want: "to='gossip.example'>"}, {send: tt.send}}.play(t, ours)
				if err := serveAll(t, s); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if s.State()&(Authenticated|Ready) != 0 {
					t.Error("authenticated nevertheless")
				}
			})
		})
	}
}

// Without TLS on the connection, a stream of a component needs Config.Plaintext.
func TestComponentPlaintext(t *testing.T) {
	for name, send := range map[string]string{"server": gossip, "component": server} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				cfg := componentConfig("gossip.example")
				cfg.Plaintext = false
				s := Accept(theirs, cfg)
				if name == "component" {
					s = Initiate(theirs, cfg)
				}
				p := newPeer(ours)
				go p.send(send)
				if err := s.Negotiate(context.Background()); !errors.Is(err, PolicyViolation) {
					t.Errorf("error %v", err)
				}
				s.Close()
				if got := p.rest(); strings.Contains(got, "handshake") || !strings.Contains(got, "<policy-violation ") {
					t.Errorf("sent %s", got)
				}
			})
		})
	}
}
