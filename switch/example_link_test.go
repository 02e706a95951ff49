package psycswitch_test

import (
	"context"
	"fmt"
	"log"
	"net"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Dial says one thing to a domain, without a router. Whoever is at the other end finds us by DNS to verify who we are; here
// that is a router, and we answer its question with Accept.
func ExampleDial() {
	there, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
		"there.example": {{Addr: there.Addr().String()}},
		"here.example":  {{Addr: here.Addr().String()}},
	}}
	heard := make(chan string)
	router := &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    psycswitch.StaticHosts{"there.example": nil},
			Resolver: resolver,
			Insecure: psycswitch.Plaintext,
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			heard <- s.Text("body")
			return nil
		}),
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- router.Serve(ctx, there) }()

	cfg := &psycswitch.Config{
		Hosts:    psycswitch.StaticHosts{"here.example": nil},
		Resolver: resolver,
		Insecure: psycswitch.Plaintext,
	}
	go func() {
		conn, err := here.Accept()
		if err != nil {
			log.Fatal(err)
		}
		psycswitch.Accept(ctx, cfg, conn) // the peer only asks about our dialback key, so that no link comes of it
	}()

	link, err := psycswitch.Dial(ctx, cfg, "here.example", "there.example")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the link speaks", link.Info().Protocol)
	hello := &xmpp.Stanza{
		Kind: xmpp.Message,
		From: uniform.MustParseJID("ada@here.example"),
		To:   uniform.MustParseJID("bob@there.example"),
	}
	hello.SetText("body", "hello")
	if err := link.Send(ctx, hello); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)
	if err := link.Close(); err != nil {
		log.Fatal(err)
	}
	stop()
	if err := <-served; err != nil {
		log.Fatal(err)
	}
	// Output:
	// the link speaks PSYC
	// hello
}

// Accept takes a connection that somebody opened; what the peer may say is what it proves.
func ExampleAccept() {
	cfg := &psycswitch.Config{
		Hosts:    psycswitch.StaticHosts{"here.example": nil},
		Insecure: psycswitch.Plaintext,
	}
	ours, theirs := net.Pipe()
	go func() {
		// A peer begins with PSYC, but says nothing that it could prove.
		fmt.Fprint(theirs, "|\n\n_notice_circuit_established\n|\n\n_request_circuit_shutdown\n|\n")
		for b := make([]byte, 1024); ; {
			if _, err := theirs.Read(b); err != nil {
				return
			}
		}
	}()
	ctx := context.Background()
	link, err := psycswitch.Accept(ctx, cfg, ours)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the peer speaks", link.Info().Protocol)
	for s, err := range link.Stanzas(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.From, "says", s.Text("body"))
	}
	link.Close()
	fmt.Println("the peer has closed the link")
	// Output:
	// the peer speaks PSYC
	// the peer has closed the link
}
