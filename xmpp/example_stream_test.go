package xmpp_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Two servers meet over dialback: capulet.example does not know who is calling, so it asks the server of montague.example,
// which it finds by itself.
func ExampleStream() {
	ctx := context.Background()

	// Here the network is a pipe to whoever serves a domain.
	servers := make(map[string]*xmpp.Config)
	dial := func(domain string) net.Conn {
		here, there := net.Pipe()
		go serve(ctx, there, servers[domain])
		return here
	}
	verify := func(ctx context.Context, local, remote, id, key string) error {
		s := xmpp.Initiate(dial(remote), &xmpp.Config{Local: local, Remote: remote, Plaintext: true})
		defer s.Close()
		if err := s.Negotiate(ctx); err != nil {
			return err
		}
		return s.Verify(ctx, local, remote, id, key)
	}
	for _, domain := range []string{"montague.example", "capulet.example"} {
		servers[domain] = &xmpp.Config{
			Hosted:    func(d string) bool { return d == domain },
			Features:  []xmpp.Feature{xmpp.Dialback(xmpp.DialbackConfig{Verify: verify})},
			Plaintext: true, // the pipe needs no TLS
		}
	}

	cfg := *servers["montague.example"]
	cfg.Local, cfg.Remote = "montague.example", "capulet.example"
	s := xmpp.Initiate(dial("capulet.example"), &cfg)
	if err := s.Negotiate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	msg := &xmpp.Stanza{
		Kind: xmpp.Message,
		From: uniform.MustParseJID("romeo@montague.example"),
		To:   uniform.MustParseJID("juliet@capulet.example"),
	}
	msg.SetText("body", "But soft!")
	if err := s.Send(ctx, msg); err != nil {
		fmt.Println(err)
	}
	if err := s.Close(); err != nil { // waits until capulet.example has read it all
		fmt.Println(err)
	}
	// Output:
	// montague.example has been proved by dialback
	// romeo@montague.example says: But soft!
}

// serve is the accepting side of ExampleStream.
func serve(ctx context.Context, conn net.Conn, cfg *xmpp.Config) {
	s := xmpp.Accept(conn, cfg)
	defer s.Close()
	if err := s.Negotiate(ctx); err != nil {
		return // a peer that only asks about a key closes its stream: xmpp.ErrClosed
	}
	for _, p := range s.Proofs() {
		fmt.Println(p.Remote, "has been proved by", p.By)
	}
	for st, err := range s.Stanzas(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(st.From, "says:", st.Text("body"))
	}
}

// A feature of one's own: the initiating side asks for the time when it has been authenticated.
func ExampleFeature() {
	clock := xmpp.Feature{
		Name:     xml.Name{Space: "urn:example:clock", Local: "clock"},
		Requires: xmpp.Authenticated,
		Offer: func(_ *xmpp.Stream, dst []byte) []byte {
			return append(dst, "<clock xmlns='urn:example:clock'/>"...)
		},
		Start: func(ctx context.Context, s *xmpp.Stream, _ xmpp.Element) (xmpp.State, error) {
			if err := s.WriteRaw(ctx, []byte("<now xmlns='urn:example:clock'/>")); err != nil {
				return 0, err
			}
			e, err := s.ReadElement(ctx)
			if err != nil {
				return 0, err
			}
			fmt.Println("it is", e.Text())
			return 0, nil
		},
		Serve: func(ctx context.Context, s *xmpp.Stream, _ xmpp.Element) (xmpp.State, error) {
			return 0, s.WriteRaw(ctx, []byte("<now xmlns='urn:example:clock'>dawn</now>"))
		},
	}

	ctx := context.Background()
	believe := func(_ context.Context, local, remote, id, key string) error { return nil }
	cfg := &xmpp.Config{
		Local: "montague.example", Remote: "capulet.example",
		Hosted:    func(domain string) bool { return domain == "capulet.example" },
		Features:  []xmpp.Feature{xmpp.Dialback(xmpp.DialbackConfig{Verify: believe}), clock},
		Plaintext: true,
	}
	here, there := net.Pipe()
	go func() {
		s := xmpp.Accept(there, cfg)
		defer s.Close()
		if s.Negotiate(ctx) == nil {
			for range s.Stanzas(ctx) {
			}
		}
	}()
	s := xmpp.Initiate(here, cfg)
	defer s.Close()
	if err := s.Negotiate(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: it is dawn
}

// One stream for both directions. Without TLS, the initiating side has no more than the name that it dialled to tell
// who answers; it has to say that this is enough.
func ExampleBidi() {
	ctx := context.Background()
	believe := func(_ context.Context, local, remote, id, key string) error { return nil }
	cfg := &xmpp.Config{
		Local: "montague.example", Remote: "capulet.example",
		Hosted: func(domain string) bool { return true },
		Features: []xmpp.Feature{
			xmpp.Bidi(xmpp.BidiConfig{ByName: true}),
			xmpp.Dialback(xmpp.DialbackConfig{Verify: believe}),
		},
		Plaintext: true,
	}
	here, there := net.Pipe()
	go func() {
		s := xmpp.Accept(there, cfg)
		defer s.Close()
		if s.Negotiate(ctx) != nil {
			return
		}
		for st, err := range s.Stanzas(ctx) {
			if err != nil {
				return
			}
			reply := st.Reply("result")
			if err := s.Send(ctx, reply); err != nil {
				fmt.Println(err)
			}
		}
	}()

	s := xmpp.Initiate(here, cfg)
	defer s.Close()
	if err := s.Negotiate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	ping := &xmpp.Stanza{
		Kind: xmpp.IQ, Type: "get", ID: "1",
		From: uniform.MustParseJID("montague.example"),
		To:   uniform.MustParseJID("capulet.example"),
	}
	if err := ping.SetRaw([]byte("<ping xmlns='urn:xmpp:ping'/>")); err != nil {
		fmt.Println(err)
	}
	if err := s.Send(ctx, ping); err != nil {
		fmt.Println(err)
	}
	for st, err := range s.Stanzas(ctx) {
		if err == nil {
			fmt.Println(st.From, "answers", st.Type, st.ID)
		}
		break
	}
	// Output: capulet.example answers result 1
}

// A component in a server: whatever is sent to an address of its domain comes out of the stream, and it answers on the
// same one.
func ExampleComponent() {
	secret := func(domain string) (string, error) {
		if domain != "echo.capulet.example" {
			return "", xmpp.HostUnknown
		}
		return "wherefore", nil
	}
	ctx := context.Background()
	here, there := net.Pipe()
	go func() {
		s := xmpp.Initiate(there, &xmpp.Config{
			Local:     "echo.capulet.example",
			Features:  []xmpp.Feature{xmpp.Component(secret)},
			Plaintext: true, // XEP-0114 has no TLS of its own
		})
		defer s.Close()
		if err := s.Negotiate(ctx); err != nil {
			fmt.Println(err)
			return
		}
		for st, err := range s.Stanzas(ctx) {
			if err != nil {
				return
			}
			reply := st.Reply(st.Type)
			reply.SetText("body", st.Text("body")+"!")
			if err := s.Send(ctx, reply); err != nil {
				return
			}
		}
	}()

	s := xmpp.Accept(here, &xmpp.Config{Features: []xmpp.Feature{xmpp.Component(secret)}, Plaintext: true})
	defer s.Close()
	if err := s.Negotiate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	msg := &xmpp.Stanza{
		Kind: xmpp.Message,
		From: uniform.MustParseJID("romeo@montague.example"),
		To:   uniform.MustParseJID("any@echo.capulet.example"),
	}
	msg.SetText("body", "But soft")
	if err := s.Send(ctx, msg); err != nil {
		fmt.Println(err)
	}
	for st, err := range s.Stanzas(ctx) {
		if err == nil {
			fmt.Println(st.From, "says:", st.Text("body"))
		}
		break
	}
	// Output: any@echo.capulet.example says: But soft!
}

// A connection breaks, and the next one goes on where it left off.
func ExampleStream_Resume() {
	ctx := context.Background()
	believe := func(_ context.Context, local, remote, id, key string) error { return nil }
	cfg := &xmpp.Config{
		Local: "montague.example", Remote: "capulet.example",
		Hosted: func(domain string) bool { return domain == "capulet.example" },
		Features: []xmpp.Feature{
			xmpp.Dialback(xmpp.DialbackConfig{Verify: believe}),
			xmpp.Management(xmpp.ManagementConfig{Queue: 1}), // so that Send waits for one acknowledgement after the other
		},
		Plaintext: true,
	}
	got := make(chan string, 2)
	connect := func(old *xmpp.Stream) (*xmpp.Stream, net.Conn) {
		here, there := net.Pipe()
		go func() {
			s := xmpp.Accept(there, cfg)
			defer s.Close()
			if s.Negotiate(ctx) != nil {
				return
			}
			for st, err := range s.Stanzas(ctx) {
				if err != nil {
					return
				}
				got <- st.Text("body")
			}
		}()
		s := xmpp.Initiate(here, cfg)
		if old != nil {
			s.Resume(old)
		}
		if err := s.Negotiate(ctx); err != nil {
			fmt.Println(err)
		}
		go func() {
			for range s.Stanzas(ctx) { // acknowledgements arrive here
			}
		}()
		return s, here
	}
	send := func(s *xmpp.Stream, body string) {
		msg := &xmpp.Stanza{
			Kind: xmpp.Message,
			From: uniform.MustParseJID("romeo@montague.example"),
			To:   uniform.MustParseJID("juliet@capulet.example"),
		}
		msg.SetText("body", body)
		if err := s.Send(ctx, msg); err != nil {
			fmt.Println(err)
		}
	}

	s, conn := connect(nil)
	send(s, "But soft!")
	send(s, "What light?")
	conn.Close() // who knows how far that came
	<-s.Done()
	again, _ := connect(s)
	defer again.Close()
	fmt.Println("resumed:", again.Resumed())
	fmt.Println(<-got)
	fmt.Println(<-got)
	// Output:
	// resumed: true
	// But soft!
	// What light?
}
