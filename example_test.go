package switchyard_test

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

// Two servers meet. The first only knows how to reach the second by XMPP; they switch to PSYC on the way, and the
// second answers by the same connection.
func Example() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	verify, err := net.Listen("tcp", "127.0.0.1:0") // where the second asks whether the first is who it says
	if err != nil {
		log.Fatal(err)
	}
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
		"south.example": {{Protocol: psycswitch.XMPP, Addr: ln.Addr().String()}},
		"north.example": {{Protocol: psycswitch.XMPP, Addr: verify.Addr().String()}},
	}}
	ctx, stop := context.WithCancel(context.Background())
	answered := make(chan string)

	north := &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    psycswitch.StaticHosts{"north.example": nil},
			Resolver: resolver,
			Insecure: psycswitch.Plaintext, // without certificates, for the example
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			answered <- fmt.Sprintf("%s says: %s", s.From, s.Text("body"))
			return nil
		}),
	}
	south := &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    psycswitch.StaticHosts{"south.example": nil},
			Resolver: resolver,
			Insecure: psycswitch.Plaintext,
		},
		Handler: psycswitch.HandlerFunc(func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
			s.From, s.To = s.To, s.From
			return out.Send(ctx, s)
		}),
	}
	var served sync.WaitGroup
	served.Go(func() { north.Serve(ctx, verify) })
	served.Go(func() { south.Serve(ctx, ln) })

	hello := &xmpp.Stanza{
		Kind: xmpp.Message, Type: "chat",
		From: uniform.MustParseJID("ada@north.example/desk"),
		To:   uniform.MustParseJID("echo@south.example"),
	}
	hello.SetText("body", "is anybody there?")
	if err := north.Send(ctx, hello); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-answered)
	for link := range north.Links() {
		fmt.Println("north has a link that speaks", link.Protocol)
	}
	stop()
	served.Wait()
	// Output:
	// echo@south.example says: is anybody there?
	// north has a link that speaks PSYC
}
