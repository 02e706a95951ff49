package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/url"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// An Endpoint is an end of the way that is measured: it sends for one domain and gets what is sent there. Connect first, then
// Receive, which returns when its context ends; Send may be called by many goroutines.
type Endpoint interface {
	Domain() string
	Connect(ctx context.Context) error
	Receive(ctx context.Context, take func(*xmpp.Stanza)) error
	Send(ctx context.Context, s *xmpp.Stanza) error
}

// ParseEndpoint reads an endpoint as the command line has it: "component://DOMAIN:SECRET@IP:PORT" is an external component
// of the server that listens there, "server://DOMAIN@IP:PORT?peer=IP:PORT" a server of its own, which listens at the first address,
// finds every other domain at the second, and speaks XMPP in plaintext with dialback; with "&psyc" it switches to PSYC where the peer can.
func ParseEndpoint(text string, logger *slog.Logger) (Endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL") // the error of url.Parse would show the secret
	}
	domain, err := uniform.Domain(u.User.Username())
	if err != nil {
		return nil, fmt.Errorf("%s://: %w", u.Scheme, err)
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		return nil, fmt.Errorf("%s: %w", domain, err)
	}
	switch u.Scheme {
	case "component":
		secret, _ := u.User.Password()
		return &component{domain: domain, addr: u.Host, secret: secret, logger: logger}, nil
	case "server":
		return newServer(domain, u.Host, u.Query(), logger)
	}
	return nil, fmt.Errorf("%s: %q is neither component nor server", domain, u.Scheme)
}

// A component is a stream of XEP-0114.
type component struct {
	domain, addr, secret string
	logger               *slog.Logger
	stream               *xmpp.Stream
}

func (c *component) Domain() string { return c.domain }

func (c *component) Connect(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.stream = xmpp.Initiate(conn, &xmpp.Config{
		Local: c.domain, Plaintext: true, Logger: c.logger,
		Features: []xmpp.Feature{xmpp.Component(func(string) (string, error) { return c.secret, nil })},
	})
	if err := c.stream.Negotiate(ctx); err != nil {
		c.stream.Close()
		return fmt.Errorf("component %s at %s: %w", c.domain, c.addr, err)
	}
	return nil
}

func (c *component) Send(ctx context.Context, s *xmpp.Stanza) error { return c.stream.Send(ctx, s) }

func (c *component) Receive(ctx context.Context, take func(*xmpp.Stanza)) error {
	defer c.stream.Close()
	for s, err := range c.stream.Stanzas(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("component %s: %w", c.domain, err)
		}
		take(s)
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("component %s: the server closed the stream: %w", c.domain, io.ErrUnexpectedEOF)
}

// A server is a router of its own, so that a gateway or a server can be measured from the side of S2S.
type server struct {
	domain   string
	router   psycswitch.Router
	take     func(*xmpp.Stanza)
	listener net.Listener
	addr     string
}

func newServer(domain, addr string, options url.Values, logger *slog.Logger) (*server, error) {
	peer := options.Get("peer")
	if _, _, err := net.SplitHostPort(peer); err != nil {
		return nil, fmt.Errorf("%s: peer: %w", domain, err)
	}
	s := &server{domain: domain, addr: addr}
	s.router.Config = psycswitch.Config{
		Hosts:     psycswitch.StaticHosts{domain: nil},
		Resolver:  everywhere{psycswitch.Hint{Protocol: psycswitch.XMPP, Addr: peer}},
		Insecure:  psycswitch.Plaintext,
		Protocols: psycswitch.XMPP,
		Logger:    logger,
	}
	if options.Has("psyc") {
		s.router.Protocols |= psycswitch.PSYC
	}
	s.router.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, st *xmpp.Stanza) error {
		s.take(st)
		return nil
	})
	return s, nil
}

// everywhere finds every domain at one place.
type everywhere struct{ hint psycswitch.Hint }

func (e everywhere) Hints(context.Context, string) iter.Seq2[psycswitch.Hint, error] {
	return func(yield func(psycswitch.Hint, error) bool) { yield(e.hint, nil) }
}

func (s *server) Domain() string { return s.domain }

func (s *server) Connect(ctx context.Context) (err error) {
	var l net.ListenConfig
	s.listener, err = l.Listen(ctx, "tcp", s.addr)
	return err
}

func (s *server) Send(ctx context.Context, st *xmpp.Stanza) error { return s.router.Send(ctx, st) }

func (s *server) Receive(ctx context.Context, take func(*xmpp.Stanza)) error {
	s.take = take
	return s.router.Serve(ctx, s.listener)
}
