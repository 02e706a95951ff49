package psycswitch_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"sync"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A federating server in one function: echo answers for a domain. The example runs it beside a server that talks to it;
// the two have no certificates, and find each other without DNS.
func ExampleRouter() {
	echo := func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
		switch s.Kind {
		case xmpp.Message:
			if s.Type == "error" || s.Text("body") == "" {
				return nil
			}
			s.From, s.To = s.To, s.From
			return out.Send(ctx, s)
		case xmpp.Presence:
			switch s.Type {
			case "subscribe":
				return out.Send(ctx, s.Reply("subscribed"))
			case "probe":
				return out.Send(ctx, s.Reply(""))
			}
			return nil
		default:
			if _, ok := s.Child("urn:xmpp:ping", "ping"); ok && s.Type == "get" {
				return out.Send(ctx, s.Reply("result"))
			}
			return xmpp.ServiceUnavailable // the router makes the error of it
		}
	}
	answers := make(chan *xmpp.Stanza)
	client := func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
		answers <- s.Clone()
		return nil
	}

	listeners := make(map[string]net.Listener)
	resolver := &psycswitch.StaticResolver{Domains: make(map[string][]psycswitch.Hint)}
	for _, domain := range []string{"echo.example", "home.example"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		listeners[domain] = ln
		resolver.Domains[domain] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: ln.Addr().String()}}
	}
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	serve := func(domain string, handler psycswitch.HandlerFunc) *psycswitch.Router {
		router := &psycswitch.Router{
			Config: psycswitch.Config{
				Hosts:    psycswitch.StaticHosts{domain: nil},
				Resolver: resolver,
				Insecure: psycswitch.Plaintext,
			},
			Handler: handler,
		}
		served.Go(func() { router.Serve(ctx, listeners[domain]) })
		return router
	}
	serve("echo.example", echo)
	home := serve("home.example", client)

	me, it := uniform.MustParseJID("me@home.example/desk"), uniform.MustParseJID("echo.example")
	chat := &xmpp.Stanza{Kind: xmpp.Message, Type: "chat", From: me, To: it}
	chat.SetText("body", "hello?")
	ping := &xmpp.Stanza{Kind: xmpp.IQ, Type: "get", ID: "p1", From: me, To: it}
	ping.SetRaw([]byte("<ping xmlns='urn:xmpp:ping'/>"))
	clock := &xmpp.Stanza{Kind: xmpp.IQ, Type: "get", ID: "t1", From: me, To: it}
	clock.SetRaw([]byte("<time xmlns='urn:xmpp:time'/>"))
	for _, s := range []*xmpp.Stanza{chat, ping, clock} {
		if err := home.Send(ctx, s); err != nil {
			log.Fatal(err)
		}
		answer := <-answers
		if err := answer.Error(); err != nil {
			fmt.Println(answer.Kind, answer.ID, "failed:", string(err.Condition))
		} else {
			fmt.Println(answer.Kind, answer.Type, answer.Text("body"))
		}
	}
	for link := range home.Links() {
		fmt.Println("over", link.Protocol)
	}
	stop()
	served.Wait()
	// Output:
	// message chat hello?
	// iq result
	// iq t1 failed: service-unavailable
	// over PSYC
}
