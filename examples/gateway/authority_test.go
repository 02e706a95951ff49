package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A besieged gateway has one server behind it, a router for fort.example. In DNS, the domains of others lead back into it:
// mirror.example to its world side, cellar.example to its local side, gate.example to the server's own port.
type besieged struct {
	gateway      *Gateway
	fort         *psycswitch.Router
	got          chan *xmpp.Stanza
	world, local string
}

func newBesieged(t *testing.T) *besieged {
	t.Helper()
	b := &besieged{got: make(chan *xmpp.Stanza, 100)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.local = taken.Addr().String()
	taken.Close() // the gateway takes it
	worldListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.world = worldListener.Addr().String()
	worldListener.Close()

	cfg := DefaultConfig()
	cfg.World = World{Listen: []Address{mustAddress(b.world)}, Plaintext: true}
	cfg.PSYC.Listen = nil
	cfg.Local.Listen = mustAddress(b.local)
	cfg.Servers = []Server{{Name: "fort", S2S: mustAddress(ln.Addr().String()), Domains: []string{"fort.example"}}}
	cfg.Routes = []Route{
		{Domain: "mirror.example", XMPP: []string{b.world}, PSYC: []string{b.world}},
		{Domain: "cellar.example", XMPP: []string{b.local}},
		{Domain: "gate.example", XMPP: []string{ln.Addr().String()}},
	}
	cfg.DNS.Servers = []NameServer{{mustAddress(dnstest.Start(t).Addr()).AddrPort}} // which knows nothing
	b.gateway = NewGateway(cfg, nil)
	if err := b.gateway.Listen(); err != nil {
		t.Fatal(err)
	}
	b.fort = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:     psycswitch.StaticHosts{"fort.example": nil},
			Protocols: psycswitch.XMPP,
			Insecure:  psycswitch.Plaintext,
			Resolver: &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
				"mirror.example": {{Protocol: psycswitch.XMPP, Addr: b.local}},
				"cellar.example": {{Protocol: psycswitch.XMPP, Addr: b.local}},
				"gate.example":   {{Protocol: psycswitch.XMPP, Addr: b.local}},
			}},
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			b.got <- s.Clone()
			return nil
		}),
		Grace: time.Second,
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- b.gateway.Run(ctx) }()
	go func() { done <- b.fort.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return b
}

// TestAuthority claims to the gateway, from both of its sides, to be somebody else: a domain of our own, towards the world or
// towards the server, and any other, towards the server. To either side the gateway stands for the whole other one, so
// that each must believe only those who prove what they say at the place that is configured for them.
func TestAuthority(t *testing.T) {
	b := newBesieged(t)
	for _, tt := range []struct {
		name, side, from, to string
		verify               bool // ask for our word on a key, instead of showing one
		want                 string
	}{
		{"our domain towards the world", b.local, "fort.example", "bank.example", false, "type='invalid'"},
		{"a foreign domain where all of them live", b.local, "bank.example", "other.example", false, "type='invalid'"},
		{"a foreign domain towards our server", b.local, "bank.example", "fort.example", false, "<host-unknown"},
		{"a key of a foreign domain", b.local, "fort.example", "bank.example", true, "type='invalid'"},
		{"our domain towards ourselves", b.world, "fort.example", "fort.example", false, "type='invalid'"},
		{"a key of our domain", b.world, "bank.example", "fort.example", true, "type='invalid'"},
		{"a domain whose server we are", b.world, "mirror.example", "fort.example", false, "type='error'"},
		{"a domain whose server is our local side", b.world, "cellar.example", "fort.example", false, "type='invalid'"},
		{"a domain whose server is our server", b.world, "gate.example", "fort.example", false, "type='error'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", tt.side)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			fmt.Fprintf(conn, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"+
				" xmlns:db='jabber:server:dialback' from='%s' to='%s' version='1.0'>", tt.from, tt.to)
			if tt.verify {
				fmt.Fprintf(conn, "<db:verify from='%s' to='%s' id='x'>%064d</db:verify>", tt.from, tt.to, 0)
			} else {
				fmt.Fprintf(conn, "<db:result from='%s' to='%s'>%064d</db:result>", tt.from, tt.to, 0)
			}
			var got strings.Builder
			for r := bufio.NewReader(conn); !strings.Contains(got.String(), tt.want); {
				c, err := r.ReadByte()
				if err != nil {
					t.Fatalf("answer %q, want %s", got.String(), tt.want)
				}
				got.WriteByte(c)
			}
			// Whatever was said, nothing may be sent.
			fmt.Fprintf(conn, "<message from='ceo@%s' to='ada@%s'><body/></message>", tt.from, tt.to)
			if rest, _ := io.ReadAll(conn); strings.Contains(string(rest), "type='valid'") {
				t.Errorf("answer %q", rest)
			}
			select {
			case s := <-b.got:
				t.Errorf("arrived: %s", s.Append(nil))
			default:
			}
		})
	}
}

// TestLoop sends to domains that name servers lead back to us. Each stanza must come back, once, as an error.
func TestLoop(t *testing.T) {
	b := newBesieged(t)
	for _, domain := range []string{"mirror.example", "cellar.example", "gate.example"} {
		s := &xmpp.Stanza{Kind: xmpp.IQ, Type: "get", ID: domain, From: uniform.MustParseJID("ada@fort.example/x"), To: uniform.MustParseJID("x@" + domain)}
		if err := s.SetRaw([]byte("<ping xmlns='urn:xmpp:ping'/>")); err != nil {
			t.Fatal(err)
		}
		if err := b.fort.Send(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-b.got:
			if got.ID != domain || got.Type != "error" {
				t.Errorf("%s: got %s", domain, got.Append(nil))
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: nothing came back", domain)
		}
	}
	select {
	case got := <-b.got:
		t.Errorf("another one: %s", got.Append(nil))
	default:
	}
}
