package psyc_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/switchyard-im/switchyard/psyc"
)

// Two servers meet on a connection. Each has to prove which hosts it speaks for; here the one that was dialled takes
// the other's word for it. Because both live in this one process, one of them needs an instance of its own, or they
// would notice that they talk to themselves.
func ExampleCircuit() {
	near, far := net.Pipe()
	ctx := context.Background()

	b := psyc.Accept(far, &psyc.Config{
		Self: "psyc://b.example/",
		Prove: func(ctx context.Context, host string) (psyc.Proof, error) {
			if host != "a.example" {
				return psyc.Proof{}, errors.New("never heard of it")
			}
			return psyc.Proof{Kind: psyc.ProofAddress}, nil
		},
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p, err := range b.Packets(ctx) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("%s: %s\n", p.Routing.Get("_source"), p.Body)
		}
		fmt.Println("the end")
	}()

	a := psyc.Initiate(near, &psyc.Config{Self: "psyc://a.example/", Instance: [16]byte{1}})
	p := &psyc.Packet{Method: "_message_private", Body: []byte("Hello, Bea.")}
	p.Routing.Set("_source", "psyc://a.example/~ada")
	p.Routing.Set("_target", "psyc://b.example/~bea")
	if err := a.Send(ctx, p); err != nil {
		fmt.Println(err)
	}
	p.Routing.Set("_source", "psyc://c.example/~cyd")
	if err := a.Send(ctx, p); err != nil {
		fmt.Println(err)
	}
	a.Close()
	<-done
	// Output:
	// psyc://a.example/~ada: Hello, Bea.
	// the end
}

// Before its first packet between two domains a server asks whether it will be taken.
func ExampleCircuit_Authorize() {
	near, far := net.Pipe()
	ctx := context.Background()

	b := psyc.Accept(far, &psyc.Config{Self: "psyc://b.example/"})
	b.AddProof("a.example", psyc.Proof{Kind: psyc.ProofDialback}) // from the stream before the switch
	go b.Serve(ctx, new(psyc.Mux))

	a := psyc.Initiate(near, &psyc.Config{Self: "psyc://a.example/", Instance: [16]byte{1}})
	go a.Serve(ctx, new(psyc.Mux))
	fmt.Println(a.Authorize(ctx, "a.example", "b.example"))
	fmt.Println(a.Authorize(ctx, "other.example", "b.example"))
	a.Close()
	<-b.Done()
	// Output:
	// <nil>
	// psyc: authorize other.example to send to b.example: psyc: _error_invalid_uniform_source: You have not proved that you speak for psyc://other.example/.
}

// A handler answers requests for the version and welcomes whoever says something; everything else is refused by the Mux.
func ExampleMux() {
	var mux psyc.Mux
	mux.Handle("_request_version", psyc.HandlerFunc(func(ctx context.Context, c *psyc.Circuit, p *psyc.Packet) error {
		reply := p.Reply("_status_version")
		reply.Entity.Set("_version", "example/1")
		return c.Send(ctx, reply)
	}))
	mux.Handle("_message", psyc.HandlerFunc(func(ctx context.Context, c *psyc.Circuit, p *psyc.Packet) error {
		fmt.Printf("%s says %q\n", p.Routing.Get("_source"), p.Body)
		return nil
	}))

	near, far := net.Pipe()
	ctx := context.Background()
	b := psyc.Accept(far, &psyc.Config{Self: "psyc://b.example/"})
	b.AddProof("a.example", psyc.Proof{Kind: psyc.ProofCertificate})
	go b.Serve(ctx, &mux)

	a := psyc.Initiate(near, &psyc.Config{Self: "psyc://a.example/", Instance: [16]byte{1}})
	a.AddProof("b.example", psyc.Proof{Kind: psyc.ProofDialled})
	go a.Serve(ctx, new(psyc.Mux))
	for _, method := range []string{"_message_private", "_request_version", "_request_coffee"} {
		p := &psyc.Packet{Method: method}
		p.Routing.Set("_source", "psyc://a.example/")
		p.Routing.Set("_target", "psyc://b.example/")
		if psyc.Inherits(method, "_message") {
			p.Body = []byte("Good morning.")
			a.Send(ctx, p)
			continue
		}
		reply, err := a.Request(ctx, p)
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(reply.Method, reply.Entity.Get("_version"))
	}
	a.Close()
	<-b.Done()
	// Output:
	// psyc://a.example/ says "Good morning."
	// _status_version example/1
	// _error_unsupported_method
}
