package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/tap"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	northDomain = "north.example"
	southDomain = "south.example"
)

// A world is a name server and two chat servers, with a tap on the way to each.
type world struct {
	names        *dnstest.Server
	north, south *server

	cancel context.CancelFunc
	served sync.WaitGroup

	mu       sync.Mutex
	failures []error
	seen     []string // hints, as north got them
}

// A server is a domain with a router of its own. What arrives for its users can be read from inbox.
type server struct {
	domain string
	router *psycswitch.Router
	tap    *tap.Tap
	inbox  chan *xmpp.Stanza
}

func newWorld() (*world, error) {
	w := &world{names: dnstest.New()}
	if _, err := w.names.Listen("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("starting the name server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	var err error
	if w.north, err = w.start(ctx, northDomain); err == nil {
		w.south, err = w.start(ctx, southDomain)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// start makes a server that others find by DNS.
func (w *world) start(ctx context.Context, domain string) (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", domain, err)
	}
	s := &server{domain: domain, inbox: make(chan *xmpp.Stanza, 16)}
	if s.tap, err = tap.Listen("127.0.0.1:0", ln.Addr().String()); err != nil {
		ln.Close()
		return nil, fmt.Errorf("starting %s: %w", domain, err)
	}
	_, port, err := net.SplitHostPort(s.tap.Addr())
	if err != nil {
		return nil, err
	}
	w.names.Add(
		fmt.Sprintf("_xmpp-server._tcp.%s. 300 IN SRV 10 5 %s host.%s.", domain, port, domain),
		fmt.Sprintf("host.%s. 300 IN A 127.0.0.1", domain),
	)
	s.router = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    psycswitch.StaticHosts{domain: nil},
			Resolver: &psycswitch.DNS{Servers: []string{w.names.Addr()}},
			Insecure: psycswitch.Plaintext, // so that there is something to see on the wire
			Trace: &psycswitch.Trace{Resolved: func(_ string, h psycswitch.Hint, err error) {
				if domain == northDomain && err == nil {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.seen = append(w.seen, h.String())
				}
			}},
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, st *xmpp.Stanza) error {
			s.inbox <- st.Clone()
			return nil
		}),
		Grace: 5 * time.Second,
	}
	w.served.Go(func() {
		if err := s.router.Serve(ctx, ln); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failures = append(w.failures, err)
		}
	})
	return s, nil
}

// exchange sends a stanza by one server and returns it with what the other one gets.
func (w *world) exchange(ctx context.Context, from, to *server, about, text string) (exchange, error) {
	s, err := parse(text)
	if err != nil {
		return exchange{}, fmt.Errorf("%s: %w", about, err)
	}
	if err := from.router.Send(ctx, s); err != nil {
		return exchange{}, err
	}
	select {
	case got := <-to.inbox:
		return exchange{about: about, sent: s, got: got, forward: from == w.north}, nil
	case back := <-from.inbox:
		return exchange{}, fmt.Errorf("%s came back: %s", about, back.Append(nil))
	case <-ctx.Done():
		return exchange{}, fmt.Errorf("waiting for %s: %w", about, ctx.Err())
	}
}

// parse reads one stanza as it stands in a stream between servers.
func parse(text string) (*xmpp.Stanza, error) {
	d := xmpp.NewDecoder(strings.NewReader(text))
	d.Space = xmpp.NSServer
	for s, err := range d.Stanzas() {
		if err != nil {
			return nil, err
		}
		return s.Clone(), nil
	}
	return nil, io.ErrUnexpectedEOF
}

// questions returns what north asked about south.
func (w *world) questions() []string {
	var asked []string
	for _, q := range w.names.Questions() {
		if q.Name != "host."+southDomain && q.Name != "_xmpp-server._tcp."+southDomain && q.Name != "_psyc._tcp."+southDomain {
			continue
		}
		result := "no such record"
		if q.Name == "_xmpp-server._tcp."+southDomain || q.Name == "host."+southDomain && q.Type == "A" {
			result = "found"
		}
		asked = append(asked, fmt.Sprintf("%-4s %-34s %s", q.Type, q.Name, result))
	}
	return asked
}

func (w *world) hints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// stop ends the servers in order.
func (w *world) stop() error {
	w.cancel()
	w.served.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.failures...)
}

// close ends all that is still there.
func (w *world) close() {
	w.stop()
	for _, s := range []*server{w.north, w.south} {
		if s != nil {
			s.tap.Close()
		}
	}
	w.names.Close()
}
