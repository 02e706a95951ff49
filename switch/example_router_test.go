package psycswitch_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"sync"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// echo sends chats back, welcomes everybody, answers pings, and leaves the rest to the router.
func echo(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
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
		return xmpp.ServiceUnavailable
	}
}

// The smallest federating server that is still correct, and another one that talks to it. The program in examples/echo is
// this server with certificates.
func ExampleRouter() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	home, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{ // in place of DNS
		"echo.example": {{Addr: ln.Addr().String()}},
		"home.example": {{Addr: home.Addr().String()}},
	}}
	server := &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    psycswitch.StaticHosts{"echo.example": nil},
			Resolver: resolver,
			Insecure: psycswitch.Plaintext, // as there are no certificates
		},
		Handler: psycswitch.HandlerFunc(echo),
	}
	answers := make(chan string)
	other := &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    psycswitch.StaticHosts{"home.example": nil},
			Resolver: resolver,
			Insecure: psycswitch.Plaintext,
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			answers <- string(s.Append(nil))
			return nil
		}),
	}
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { server.Serve(ctx, ln) })
	served.Go(func() { other.Serve(ctx, home) })

	for _, text := range []string{
		"<message from='ada@home.example' to='echo.example' type='chat'><body>hello</body></message>",
		"<iq from='ada@home.example/a' to='echo.example' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq from='ada@home.example/a' to='echo.example' id='2' type='get'><query xmlns='jabber:iq:version'/></iq>",
		"<presence from='ada@home.example' to='echo.example' type='subscribe'/>",
		"<message from='ada@home.example' to='nobody.example' id='3'><body>hello</body></message>",
	} {
		s, err := xmpp.Parse([]byte(text))
		if err != nil {
			log.Fatal(err)
		}
		if err := other.Send(ctx, s); err != nil {
			log.Fatal(err)
		}
		fmt.Println(<-answers)
	}
	stop()
	served.Wait()
	// Output:
	// <message from='echo.example' to='ada@home.example' type='chat'><body>hello</body></message>
	// <iq from='echo.example' to='ada@home.example/a' id='1' type='result'/>
	// <iq from='echo.example' to='ada@home.example/a' id='2' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>
	// <presence from='echo.example' to='ada@home.example' type='subscribed'/>
	// <message from='nobody.example' to='ada@home.example' id='3' type='error'><body>hello</body><error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>
}
