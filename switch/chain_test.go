package psycswitch_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A chain is a server that sends messages, two gateways with a circuit between them, and a server that gets what is sent, all on sockets.
type chain struct {
	t       testing.TB
	from    *psycswitch.Router
	window  chan struct{} // holds one for each message under way
	message *xmpp.Stanza
}

// chainWindow is how many messages may be under way.
const chainWindow = 500

func newChain(t testing.TB) *chain {
	c := &chain{t: t, window: make(chan struct{}, chainWindow), message: &xmpp.Stanza{
		Kind: xmpp.Message, Type: "chat", ID: "7Jz2f",
		From: uniform.MustParseJID("romeo@a.example/balcony"), To: uniform.MustParseJID("juliet@b.example/chamber"),
	}}
	c.message.SetText("body", strings.Repeat("x", 100))
	var listeners []net.Listener
	var addrs []string
	for range 6 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners, addrs = append(listeners, ln), append(addrs, ln.Addr().String())
	}
	arrives := psycswitch.HandlerFunc(func(context.Context, psycswitch.Sender, *xmpp.Stanza) error {
		<-c.window
		return nil
	})
	// In the order of the listeners: a server, the two sides of its gateway, and the same backwards.
	routers := []*psycswitch.Router{
		chainRouter("a.example", psycswitch.XMPP, "", addrs[1]),
		chainRouter("", psycswitch.XMPP, "a.example", addrs[0]),
		chainRouter("a.example", psycswitch.PSYC|psycswitch.XMPP, "", addrs[3]),
		chainRouter("b.example", psycswitch.PSYC|psycswitch.XMPP, "", addrs[2]),
		chainRouter("", psycswitch.XMPP, "b.example", addrs[5]),
		chainRouter("b.example", psycswitch.XMPP, "", addrs[4]),
	}
	c.from = routers[0]
	routers[5].Handler = arrives
	for _, join := range [][2]int{{1, 2}, {3, 4}} {
		one, other := routers[join[0]], routers[join[1]]
		one.Handler, other.Handler = sendBy(other), sendBy(one)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	for i, r := range routers {
		serving.Go(func() {
			if err := r.Serve(ctx, listeners[i]); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); serving.Wait() })
	c.relay(1) // which has the links made
	for link := range routers[2].Links() {
		if link.Protocol != psycswitch.PSYC {
			t.Fatalf("the gateways speak %v", link.Protocol)
		}
	}
	return c
}

// chainRouter hosts one domain, or all but away, and finds all others at addr.
func chainRouter(home string, speaks psycswitch.Protocol, away, addr string) *psycswitch.Router {
	return &psycswitch.Router{Config: psycswitch.Config{
		Hosts: psycswitch.HostsFunc(func(domain string) (*tls.Certificate, error) {
			if home == "" && domain != away || domain == home {
				return nil, nil
			}
			return nil, psycswitch.ErrNotHosted
		}),
		Resolver: &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
			"a.example": {{Protocol: psycswitch.XMPP, Addr: addr}}, "b.example": {{Protocol: psycswitch.XMPP, Addr: addr}},
		}},
		Protocols: speaks,
		Insecure:  psycswitch.Plaintext,
	}}
}

func sendBy(r *psycswitch.Router) psycswitch.Handler {
	return psycswitch.HandlerFunc(func(ctx context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error { return r.Send(ctx, s) })
}

// relay sends n messages and waits until they have arrived.
func (c *chain) relay(n int) {
	for range n {
		c.window <- struct{}{}
		if err := c.from.Send(context.Background(), c.message); err != nil {
			c.t.Fatal(err)
		}
	}
	for range chainWindow {
		c.window <- struct{}{}
	}
	for range chainWindow {
		<-c.window
	}
}

// BenchmarkChain is what a message costs all of the six routers together.
func BenchmarkChain(b *testing.B) {
	c := newChain(b)
	b.ReportAllocs()
	b.ResetTimer()
	c.relay(b.N)
}
