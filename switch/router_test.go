package psycswitch_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A yard is a router under test on loopback, and what its handler got.
type yard struct {
	*psycswitch.Router
	domain string
	addr   string
	got    chan *xmpp.Stanza
	infos  chan psycswitch.LinkInfo
	stop   func()
}

// yards starts routers that find each other by a static resolver.
func yards(t *testing.T, change func(*psycswitch.Router), domains ...string) []*yard {
	t.Helper()
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{}}
	var all []*yard
	var listeners []net.Listener
	for _, domain := range domains {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		resolver.Domains[domain] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: ln.Addr().String()}}
	}
	for i, domain := range domains {
		y := &yard{domain: domain, addr: listeners[i].Addr().String(), got: make(chan *xmpp.Stanza, 10000), infos: make(chan psycswitch.LinkInfo, 100)}
		y.Router = &psycswitch.Router{
			Config: psycswitch.Config{
				Hosts:    psycswitch.StaticHosts{domain: nil},
				Resolver: resolver,
				Insecure: psycswitch.Plaintext,
				Trace:    &psycswitch.Trace{LinkUp: func(info psycswitch.LinkInfo) { y.infos <- info }},
			},
			Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				y.got <- s.Clone()
				return nil
			}),
			Grace: 5 * time.Second,
		}
		if testing.Verbose() && os.Getenv("SWITCHYARD_LOG") != "" {
			y.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", domain)
		}
		if change != nil {
			change(y.Router)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- y.Serve(ctx, listeners[i]) }()
		stopped := false
		y.stop = func() {
			if stopped {
				return
			}
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve of %s: %v", domain, err)
			}
		}
		t.Cleanup(y.stop)
		all = append(all, y)
	}
	return all
}

func chat(from, to, id, body string) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "chat", ID: id, From: uniform.MustParseJID(from), To: uniform.MustParseJID(to)}
	s.SetText("body", body)
	return s
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func send(t *testing.T, y *yard, s *xmpp.Stanza) {
	t.Helper()
	if err := y.Send(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func TestRouterSwitches(t *testing.T) {
	ys := yards(t, nil, "north.example", "south.example")
	north, south := ys[0], ys[1]
	send(t, north, chat("ada@north.example/a", "bob@south.example", "1", "hello"))
	got := next(t, south.got)
	if got.Text("body") != "hello" || got.ID != "1" || got.From.String() != "ada@north.example/a" {
		t.Errorf("got %s", got.Append(nil))
	}
	if info := next(t, north.infos); info.Protocol != psycswitch.PSYC {
		t.Errorf("link of north is %v", info.Protocol)
	}
	// The answer comes by the same circuit.
	send(t, south, chat("bob@south.example/b", "ada@north.example/a", "2", "hello yourself"))
	if got := next(t, north.got); got.ID != "2" {
		t.Errorf("got %s", got.Append(nil))
	}
	n := 0
	for range north.Links() {
		n++
	}
	if n != 1 {
		t.Errorf("%d links", n)
	}
}
