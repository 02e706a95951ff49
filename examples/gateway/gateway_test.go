package main

import (
	"context"
	"crypto/x509"
	"iter"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Domains of the tests in which no real server takes part: home is behind the gateway, away is not.
const (
	home = "home.example"
	away = "away.example"
)

// A neighbour is a router in the place of a server: the one behind the gateway, or one in the world.
type neighbour struct {
	*psycswitch.Router
	domain   string
	listener net.Listener
	got      chan *xmpp.Stanza
	stop     context.CancelFunc
	done     chan struct{}
}

// toAddr finds every domain at one address.
type toAddr string

func (a toAddr) Hints(context.Context, string) iter.Seq2[psycswitch.Hint, error] {
	return func(yield func(psycswitch.Hint, error) bool) {
		yield(psycswitch.Hint{Protocol: psycswitch.XMPP, Addr: string(a)}, nil)
	}
}

// newNeighbour makes a server that finds all others at the address next. What it gets goes to its channel unless its
// Handler is changed.
func newNeighbour(t *testing.T, domain string, protocols psycswitch.Protocol) *neighbour {
	t.Helper()
	n := &neighbour{domain: domain, listener: listen(t), got: make(chan *xmpp.Stanza, 100), done: make(chan struct{})}
	n.Router = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:     psycswitch.StaticHosts{domain: nil},
			Protocols: protocols,
			Insecure:  psycswitch.Plaintext,
			Logger:    testLogger(domain),
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			n.got <- s.Clone()
			return nil
		}),
	}
	return n
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serve runs the server until the test ends or end is called.
func (n *neighbour) serve(t *testing.T, next string) {
	t.Helper()
	n.Resolver = toAddr(next)
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	go func() {
		defer close(n.done)
		if err := n.Serve(ctx, n.listener); err != nil {
			t.Errorf("%s: %v", n.domain, err)
		}
	}()
	t.Cleanup(n.end)
}

// patience is for what must happen, on a machine that has other things to do.
const patience = time.Minute

func (n *neighbour) end() {
	n.stop()
	<-n.done
}

// A front is a gateway with a server behind it and one in the world.
type front struct {
	gateway    *Gateway
	roots      *x509.CertPool // of the gateway
	home, away *neighbour
	stop       context.CancelFunc
	done       chan error // gets what Run returned
}

// newFront runs a gateway for home. change may alter its configuration, and the servers, before.
func newFront(t *testing.T, protocols psycswitch.Protocol, logger *slog.Logger, change func(*front, *Config)) *front {
	t.Helper()
	f := &front{
		home: newNeighbour(t, home, psycswitch.XMPP),
		away: newNeighbour(t, away, protocols),
		done: make(chan error, 1),
	}
	cfg := DefaultConfig()
	cfg.World = World{Listen: []Address{mustAddress("127.0.0.1:0")}, Plaintext: true}
	cfg.PSYC.Listen = nil
	cfg.Local.Listen = mustAddress("127.0.0.1:0")
	cfg.Servers = []Server{{Name: "home", S2S: mustAddress(f.home.listener.Addr().String()), Domains: []string{home}}}
	cfg.Routes = []Route{{Domain: away, XMPP: []string{f.away.listener.Addr().String()}}}
	cfg.DNS.Servers = []NameServer{{mustAddress(dnstest.Start(t).Addr()).AddrPort}} // which knows nothing
	if change != nil {
		change(f, cfg)
	}
	f.gateway = NewGateway(cfg, logger)
	f.gateway.Roots = f.roots
	if err := f.gateway.Listen(); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, f.stop = context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.done <- f.gateway.Run(ctx)
	}()
	t.Cleanup(func() { f.stop(); <-ended })
	f.home.serve(t, f.gateway.localListener.Addr().String())
	f.away.serve(t, f.gateway.worldListeners[0].Addr().String())
	return f
}

func chat(from, to, id, body string) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "chat", ID: id, From: uniform.MustParseJID(from), To: uniform.MustParseJID(to)}
	s.SetText("body", body)
	return s
}

// receive waits for something.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
