package psycswitch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A town is a network in memory with routers on it, for tests in a synctest bubble. Whatever runs longer than the routers makes
// the bubble fail.
type town struct {
	t        *testing.T
	net      *memNet
	resolver *psycswitch.StaticResolver // filled before the routers start
	roots    *x509.CertPool             // nil: plaintext
	yards    []*yard
}

func newTown(t *testing.T) *town {
	return &town{t: t, net: newMemNet(), resolver: &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{}}}
}

// A yard is a router of a town and what happened to it.
type yard struct {
	*psycswitch.Router
	town   *town
	ip     string
	dialer *memDialer
	stop   func() // ends Serve and waits for it
	err    error  // of Serve

	mu    sync.Mutex
	got   []*xmpp.Stanza
	ups   []psycswitch.LinkInfo
	downs []error
	lost  []error // of stanzas that bounced
	heard chan struct{}
}

// port is where the routers of a town listen for XMPP, and psycPort for PSYC as well.
const port = ":5269"

// add makes a router at an IP address, for domains with or without certificates. It is found by XMPP, unless the resolver knows the
// domains already. change, if any, gets it before it serves.
func (w *town) add(ip string, hosts psycswitch.StaticHosts, change func(*yard)) *yard {
	y := &yard{town: w, ip: ip, dialer: w.net.from(ip), heard: make(chan struct{}, 1)}
	y.Router = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    hosts,
			Resolver: w.resolver,
			Dialer:   y.dialer,
			Roots:    w.roots,
			Trace: &psycswitch.Trace{
				LinkUp:   func(info psycswitch.LinkInfo) { y.note(func() { y.ups = append(y.ups, info) }) },
				LinkDown: func(_ psycswitch.LinkInfo, err error) { y.note(func() { y.downs = append(y.downs, err) }) },
				Bounced:  func(_ *xmpp.Stanza, err error) { y.note(func() { y.lost = append(y.lost, err) }) },
			},
		},
	}
	y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
		y.take(s)
		return nil
	})
	if w.roots == nil {
		y.Insecure = psycswitch.Plaintext
	}
	if os.Getenv("SWITCHYARD_LOG") != "" {
		y.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", ip)
	}
	for domain := range hosts {
		if _, known := w.resolver.Domains[domain]; !known {
			w.resolver.Domains[domain] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: ip + port}}
		}
	}
	if change != nil {
		change(y)
	}
	w.yards = append(w.yards, y)
	return y
}

// start makes all routers serve until the test ends. All listen before the first serves, which may have something to send at once.
func (w *town) start() {
	listeners := make([]net.Listener, len(w.yards))
	for i, y := range w.yards {
		listeners[i] = w.net.listen(y.ip + port)
	}
	for i, y := range w.yards {
		w.serve(y, listeners[i])
	}
}

// startOne makes one router listen and serve until the test ends.
func (w *town) startOne(y *yard) { w.serve(y, w.net.listen(y.ip+port)) }

func (w *town) serve(y *yard, ln net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { y.err = y.Serve(ctx, ln) })
	y.stop = func() {
		cancel()
		served.Wait()
	}
	w.t.Cleanup(func() {
		y.stop()
		if y.err != nil {
			w.t.Errorf("Serve at %s: %v", y.ip, y.err)
		}
		if held := psycswitch.Held(y.Router); held != "" {
			w.t.Errorf("left at %s: %s", y.ip, held)
		}
	})
}

// stop ends all routers at the same time.
func (w *town) stop() {
	var ending sync.WaitGroup
	for _, y := range w.yards {
		ending.Go(y.stop)
	}
	ending.Wait()
}

func (y *yard) note(f func()) {
	y.mu.Lock()
	f()
	y.mu.Unlock()
	select {
	case y.heard <- struct{}{}:
	default:
	}
}

// take keeps a stanza that arrived.
func (y *yard) take(s *xmpp.Stanza) {
	s = s.Clone()
	y.note(func() { y.got = append(y.got, s) })
}

// accounts returns what has been given up, and what has arrived.
func (y *yard) accounts() (lost []error, got []*xmpp.Stanza) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.lost), slices.Clone(y.got)
}

// await waits until cond holds of the yard, a minute at most.
func (y *yard) await(what string, cond func() bool) {
	y.town.t.Helper()
	over := time.After(time.Minute)
	for {
		y.mu.Lock()
		ok := cond()
		y.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-y.heard:
		case <-over:
			y.mu.Lock()
			defer y.mu.Unlock()
			y.town.t.Fatalf("at %s: %s: not in time; %d stanzas came, %d bounced, links ended with %v", y.ip, what, len(y.got), len(y.lost), y.downs)
		}
	}
}

// next waits for the next stanza that arrives.
func (y *yard) next() *xmpp.Stanza {
	y.town.t.Helper()
	y.await("a stanza", func() bool { return len(y.got) > 0 })
	y.mu.Lock()
	defer y.mu.Unlock()
	s := y.got[0]
	y.got = y.got[1:]
	return s
}

func (y *yard) send(s *xmpp.Stanza) {
	y.town.t.Helper()
	if err := y.Send(y.town.t.Context(), s); err != nil {
		y.town.t.Fatalf("Send at %s: %v", y.ip, err)
	}
}

// links returns how many links there are.
func (y *yard) links() (n int) {
	for range y.Links() {
		n++
	}
	return n
}

// hadLinks returns how many links have come up so far; one that switches comes up twice.
func (y *yard) hadLinks() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.ups)
}

// cut breaks the connections that have been made to the router.
func (y *yard) cut() { y.town.net.cut(y.ip + port) }

// tls makes the town one with certificates.
func (w *town) tls() *authority {
	ca := newAuthority(w.t)
	w.roots = ca.pool
	return ca
}

// plain are hosts without certificates.
func plain(domains ...string) psycswitch.StaticHosts {
	hosts := make(psycswitch.StaticHosts)
	for _, d := range domains {
		hosts[d] = nil
	}
	return hosts
}

// with are hosts that share a certificate.
func with(cert *tls.Certificate, domains ...string) psycswitch.StaticHosts {
	hosts := make(psycswitch.StaticHosts)
	for _, d := range domains {
		hosts[d] = cert
	}
	return hosts
}

func chat(from, to, id, body string) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "chat", ID: id, From: uniform.MustParseJID(from), To: uniform.MustParseJID(to)}
	s.SetText("body", body)
	return s
}

// stanza parses XML.
func stanza(t *testing.T, text string) *xmpp.Stanza {
	t.Helper()
	s, err := xmpp.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// errorCondition returns the condition of an error stanza, "" if it is none.
func errorCondition(s *xmpp.Stanza) string {
	e, ok := s.Child("", "error")
	if !ok || s.Type != "error" {
		return ""
	}
	for c := range e.Children() {
		if c.Name().Space == xmpp.NSStanzaErrors && c.Name().Local != "text" {
			return c.Name().Local
		}
	}
	return ""
}

// A tide counts numbered stanzas of several senders: each must come once and in order.
type tide struct {
	mu   sync.Mutex
	next map[string]int // by sender and target
	err  error
}

// take counts a stanza whose id is its number.
func (d *tide) take(s *xmpp.Stanza) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next == nil {
		d.next = make(map[string]int)
	}
	key := s.From.String() + " " + s.To.String()
	n, err := strconv.Atoi(s.ID)
	if (err != nil || n != d.next[key]) && d.err == nil {
		d.err = fmt.Errorf("%s: %q where %d was due", key, s.ID, d.next[key])
	}
	d.next[key]++
}

// check reports what has gone wrong, and whether n from each of so many senders have come.
func (d *tide) check(senders, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	if len(d.next) != senders {
		return fmt.Errorf("%d senders instead of %d", len(d.next), senders)
	}
	for key, came := range d.next {
		if came != n {
			return fmt.Errorf("%s: %d of %d came", key, came, n)
		}
	}
	return nil
}
