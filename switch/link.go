package psycswitch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A Link carries stanzas between domains over an XMPP stream, which goes one way, or over a PSYC circuit, which goes
// both. A stream may become a circuit while the link is in use.
//
// One goroutine ranges over Stanzas; any number call the other methods. The link owns its connection.
type Link struct {
	cfg     *Config
	dialled bool
	local   string // the pair it was dialled for; "" if accepted
	remote  string
	since   time.Time
	conn    net.Conn

	turn chan struct{} // held by sending to it; guards out
	out  transcode.Converter

	in       transcode.Converter // of the goroutine that ranges over Stanzas
	taken    atomic.Int64
	given    atomic.Int64
	dead     atomic.Bool
	released chan struct{} // closed by the router that has adopted the link, when nothing of it is left

	mu      sync.Mutex
	stream  *xmpp.Stream // nil after the switch
	circuit *psyc.Circuit
	next    *takeover       // what the switch left, until the circuit is made
	peers   map[string]bool // domains that the peer has proved, or that we dialled
}

// Dial connects local to remote by the best way that both have: PSYC where DNS offers it, a stream that switches to
// PSYC, or XMPP alone. When it returns, the peer has accepted the pair.
//
// The error wraps [ErrUnreachable], [ErrNotHosted] if local does not live here, and everything that was tried: a
// *[ResolveError] or *[DialError] for each hint.
func Dial(ctx context.Context, cfg *Config, local, remote string) (*Link, error) {
	if !cfg.hosted(local) {
		return nil, fmt.Errorf("psycswitch: dialling from %s: %w", local, ErrNotHosted)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.dialTimeout())
	defer cancel()
	var failures []error
	connector := &Connector{Dialer: cfg.Dialer}
	for conn, err := range connector.Connections(ctx, cfg.hints(ctx, remote)) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		link, err := cfg.initiate(ctx, conn, local, remote)
		if err == nil {
			return link, nil
		}
		failures = append(failures, &DialError{Hint: conn.Hint, Err: err})
	}
	if err := context.Cause(ctx); err != nil {
		failures = append(failures, err)
	}
	return nil, fmt.Errorf("psycswitch: dialling %s for %s: %w: %w", remote, local, ErrUnreachable, errors.Join(failures...))
}

// hints yields the ways to domain that we can go.
func (c *Config) hints(ctx context.Context, domain string) iter.Seq2[Hint, error] {
	return func(yield func(Hint, error) bool) {
		for h, err := range c.resolver().Hints(ctx, domain) {
			if h.Protocol != 0 && !c.speaks(h.Protocol) {
				continue
			}
			c.Trace.resolved(domain, h, err)
			if !yield(h, err) {
				return
			}
		}
	}
}

// initiate makes a link of a connection that we opened.
func (c *Config) initiate(ctx context.Context, conn *Connection, local, remote string) (*Link, error) {
	link := newLink(c, conn.Conn)
	link.dialled, link.local, link.remote = true, local, remote
	var err error
	// PSYC has no STARTTLS, but servers tell TLS by its first byte on any port.
	if conn.Hint.DirectTLS || conn.Hint.Protocol == PSYC && c.Insecure&Plaintext == 0 {
		err = link.startTLS(ctx, conn.Hint.Protocol)
	}
	if err == nil {
		switch conn.Hint.Protocol {
		case PSYC:
			err = link.initiateCircuit(ctx, takeover{conn: link.conn, syntax: psyc.PSYC10})
		default:
			err = link.initiateStream(ctx)
		}
	}
	if err != nil {
		link.Close()
		return nil, fmt.Errorf("psycswitch: %s to %s at %v: %w", local, remote, conn.RemoteAddr(), err)
	}
	return link, nil
}

// Accept takes a connection that somebody opened to us: its first byte tells XMPP, PSYC or TLS, and after TLS the first
// byte tells again. When it returns, the peer has proved a first domain, or speaks PSYC, where proofs come with what
// is proved. The connection is closed if there is an error.
func Accept(ctx context.Context, cfg *Config, conn net.Conn) (*Link, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.dialTimeout())
	defer cancel()
	link := newLink(cfg, conn)
	if err := link.accept(ctx); err != nil {
		link.Close()
		return nil, fmt.Errorf("psycswitch: accepting from %v: %w", conn.RemoteAddr(), err)
	}
	return link, nil
}

func newLink(cfg *Config, conn net.Conn) *Link {
	return &Link{
		cfg:      cfg,
		conn:     conn,
		since:    time.Now(),
		turn:     make(chan struct{}, 1),
		released: make(chan struct{}),
		peers:    make(map[string]bool),
	}
}

// Send hands s to the link and returns when s may be reused. The link must carry the pair of domains: the one that it
// was dialled for, or one that [Link.Authorize] added.
//
// An error about s alone, such as one that the peer's limits or its protocol exclude, leaves the link as it is.
func (l *Link) Send(ctx context.Context, s *xmpp.Stanza) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	stream, circuit := l.carrier()
	var err error
	switch {
	case circuit != nil:
		var p *psyc.Packet
		if p, err = l.out.Packet(s); err != nil {
			break
		}
		err = circuit.Send(ctx, p)
		l.lives(circuit.Err())
	case stream != nil:
		err = stream.Send(ctx, s)
		l.lives(stream.Err())
	default:
		err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("psycswitch: sending from %s to %s: %w", s.From, s.To, err)
	}
	l.given.Add(1)
	return nil
}

// lives notes that the carrier has ended.
func (l *Link) lives(err error) {
	if err != nil {
		l.dead.Store(true)
	}
}

// alive reports whether the link may still take stanzas.
func (l *Link) alive() bool { return !l.dead.Load() }

func (l *Link) carrier() (*xmpp.Stream, *psyc.Circuit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream, l.circuit
}

// carries reports whether stanzas may go from key.local to key.remote by this link now.
func (l *Link) carries(key route) bool {
	stream, circuit := l.carrier()
	switch {
	case !l.alive():
		return false
	case circuit != nil:
		return circuit.Authorized(key.local, key.remote)
	case stream != nil:
		return stream.Authorized(key.local, key.remote)
	}
	return false
}

// mayCarry reports whether it is worth asking the peer to let key go by this link: it is a circuit to that domain.
func (l *Link) mayCarry(key route) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alive() && l.circuit != nil && l.peers[key.remote]
}

// Authorize asks the peer to let the link carry one more pair of domains. It refuses a domain of ours that it has no
// proof of, with an error that wraps [ErrNotProven]; the link goes on.
func (l *Link) Authorize(ctx context.Context, local, remote string) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.dialTimeout())
	defer cancel()
	stream, circuit := l.carrier()
	var err error
	switch {
	case circuit != nil:
		err = circuit.Authorize(ctx, local, remote)
	case stream != nil && l.dialled:
		err = stream.Authorize(ctx, local, remote)
	default:
		err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("psycswitch: authorizing %s to %s: %w: %w", local, remote, ErrNotProven, err)
	}
	return nil
}

// Stanzas yields what the peer sends from domains that it has proved to domains hosted here. A stanza is good until
// the next one. The loop ends silently when the peer closes the link in order, and otherwise with an error.
func (l *Link) Stanzas(ctx context.Context) iter.Seq2[*xmpp.Stanza, error] {
	return func(yield func(*xmpp.Stanza, error) bool) {
		stream, circuit := l.carrier()
		if stream != nil {
			for s, err := range stream.Stanzas(ctx) {
				if errors.Is(err, xmpp.ErrHijacked) && l.takeover() != nil {
					break
				}
				if err == nil {
					l.taken.Add(1)
				}
				if !yield(s, err) || err != nil {
					return
				}
			}
			t := l.takeover()
			if t == nil {
				return
			}
			if err := l.acceptCircuit(ctx, *t); err != nil {
				yield(nil, err)
				return
			}
			_, circuit = l.carrier()
			l.cfg.Trace.linkUp(l.Info())
			l.cfg.log(ctx, slog.LevelInfo, "link switched", l.attrs()...)
		}
		if circuit != nil {
			l.packets(ctx, circuit, yield)
		}
	}
}

// takeover returns what the switch left of the stream, if it has switched.
func (l *Link) takeover() *takeover {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// packets is Stanzas of a circuit.
func (l *Link) packets(ctx context.Context, circuit *psyc.Circuit, yield func(*xmpp.Stanza, error) bool) {
	for p, err := range circuit.Packets(ctx) {
		if err != nil {
			yield(nil, fmt.Errorf("psycswitch: from %v: %w", l.conn.RemoteAddr(), err))
			return
		}
		if p.Routing.Get("_source") == nil && p.Routing.Get("_context") == nil {
			continue // a complaint about something of ours, which the circuit has logged
		}
		s, err := l.in.Stanza(p)
		if err == nil && (s.From.IsZero() || s.To.IsZero()) {
			err = &transcode.Error{Condition: xmpp.ImproperAddressing, Method: "_error_invalid_uniform", Err: errors.New("no source or no target")}
		}
		if err != nil {
			l.refuse(ctx, circuit, p, err)
			continue
		}
		l.taken.Add(1)
		if !yield(s, nil) {
			return
		}
	}
}

// refuse tells the peer that p cannot become a stanza.
func (l *Link) refuse(ctx context.Context, circuit *psyc.Circuit, p *psyc.Packet, err error) {
	source, method := p.Routing.Get("_source").String(), "_error_invalid_packet"
	l.cfg.log(ctx, slog.LevelWarn, "packet refused", append(l.attrs(), "from", source, "error", err)...)
	var refusal *transcode.Error
	if errors.As(err, &refusal) && refusal.Method != "" {
		method = refusal.Method
	}
	for _, family := range []string{"_error", "_failure", "_warning"} {
		if psyc.Inherits(p.Method, family) {
			return // an answer to a complaint would make a loop
		}
	}
	reply := p.Reply(method)
	reply.Body = []byte("This packet cannot be delivered.")
	if err := circuit.Send(ctx, reply); err != nil {
		l.cfg.log(ctx, slog.LevelDebug, "refusal not sent", append(l.attrs(), "error", err)...)
	}
}

// receives and sends report what a link is good for: streams go one way.
func (l *Link) receives() bool {
	_, circuit := l.carrier()
	return circuit != nil || !l.dialled
}

func (l *Link) sends() bool {
	_, circuit := l.carrier()
	return circuit != nil || l.dialled
}

// unsent returns, after Close, what Send took and the connection did not.
func (l *Link) unsent() []*xmpp.Stanza {
	stream, circuit := l.carrier()
	switch {
	case circuit != nil:
		var back []*xmpp.Stanza
		for _, p := range circuit.Unsent() {
			if s, err := l.in.Stanza(p); err == nil {
				back = append(back, s.Clone())
			}
		}
		return back
	case stream != nil:
		return stream.Unsent()
	}
	return nil
}

// Close writes what is queued, closes the link in order, and then the connection.
func (l *Link) Close() error {
	stream, circuit := l.carrier()
	l.dead.Store(true)
	switch {
	case circuit != nil:
		return circuit.Close()
	case stream != nil:
		if err := stream.Close(); !errors.Is(err, xmpp.ErrHijacked) {
			return err
		}
	}
	return l.conn.Close()
}

// LinkInfo describes a link at one moment.
type LinkInfo struct {
	Protocol   Protocol
	Dialled    bool     // we opened the connection
	Local      string   // the pair that it was opened for, as far as known
	Remote     string   //
	Addr       net.Addr // of the other end
	TLS        *tls.ConnectionState
	StanzasIn  int64
	StanzasOut int64
	Since      time.Time
}

// Info returns a snapshot.
func (l *Link) Info() LinkInfo {
	stream, circuit := l.carrier()
	info := LinkInfo{
		Protocol:   XMPP,
		Dialled:    l.dialled,
		Local:      l.local,
		Remote:     l.remote,
		Addr:       l.conn.RemoteAddr(),
		StanzasIn:  l.taken.Load(),
		StanzasOut: l.given.Load(),
		Since:      l.since,
	}
	var conn net.Conn = l.conn
	switch {
	case circuit != nil:
		info.Protocol = PSYC
		conn = circuit.Conn()
	case stream != nil:
		if !l.dialled {
			info.Local, info.Remote = stream.Local(), stream.Remote()
		}
		if cs, ok := stream.ConnectionState(); ok {
			info.TLS = &cs
		}
	}
	if t, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		cs := t.ConnectionState()
		info.TLS = &cs
	}
	return info
}

// attrs describes the link in a log line.
func (l *Link) attrs() []any {
	info := l.Info()
	secure := "none"
	if info.TLS != nil {
		secure = tls.VersionName(info.TLS.Version) + " " + tls.CipherSuiteName(info.TLS.CipherSuite)
	}
	return []any{"protocol", info.Protocol.String(), "local", info.Local, "remote", info.Remote, "addr", info.Addr.String(), "dialled", info.Dialled, "tls", secure}
}
