package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// Dial connects local to remote by the best way that both have: PSYC where DNS offers it, a stream that switches to
// PSYC, or XMPP alone. When it returns, the peer has accepted the pair.
//
// One address may take half of the time that is left, so that others have their turn. A peer with which the switch failed is tried
// again without. Where PSYC fails at a server whose greeting offers XMPP as well, that is tried too, after what DNS says.
//
// The error wraps [ErrUnreachable], [ErrNotHosted] if local does not live here, and everything that was tried: a
// *[ResolveError] or *[DialError] for each hint.
func Dial(ctx context.Context, cfg *Config, local, remote string) (*Link, error) {
	return dial(ctx, cfg, route{local, remote}, nil, nil)
}

// dial is Dial. The link takes up the session of old, if there is one and the peer still has it; then it is an XMPP stream. dial asks wait,
// if there is one, about the first hint, and fails with errLinked if that finds a link.
func dial(ctx context.Context, cfg *Config, key route, old *xmpp.Stream, wait func(context.Context, Hint) (linked bool)) (*Link, error) {
	local, remote := key.local, key.remote
	if !cfg.hosted(local) {
		return nil, fmt.Errorf("psycswitch: dialling from %s: %w", local, ErrNotHosted)
	}
	d := dialling{cfg: cfg, caller: ctx, local: local, remote: remote, known: cfg.spoken, old: old, wait: wait}
	ctx, cancel := context.WithTimeout(ctx, cfg.dialTimeout())
	defer cancel()
	if d.known == nil {
		d.known = new(memory)
	}
	defer cfg.outlive(d.closing.Wait)
	before, known := d.known.recall(local, remote)
	// By a circuit the peer could send as well, which who leaves does not want any more.
	w := way{xmppAlone: known && before.protocol == XMPP || old != nil || !cfg.taking(), noALPN: known}
	for range 3 {
		if link := d.try(ctx, w); link != nil {
			return link, nil
		}
		if d.linked {
			return nil, errLinked
		}
		next := way{}
		if learnt, ok := d.known.recall(local, remote); ok && !w.xmppAlone {
			next = way{xmppAlone: learnt.protocol == XMPP, noALPN: true}
		} else {
			d.known.forget(local, remote)
		}
		if ctx.Err() != nil || next == w || next == (way{}) && !w.xmppAlone {
			break
		}
		w = next
	}
	if err := context.Cause(ctx); err != nil {
		d.failures = append(d.failures, err)
	}
	return nil, fmt.Errorf("psycswitch: dialling %s for %s: %w: %w", remote, local, ErrUnreachable, errors.Join(d.failures...))
}

// A dialling is one call of Dial.
type dialling struct {
	cfg           *Config
	caller        context.Context
	local, remote string
	known         *memory
	old           *xmpp.Stream
	failures      []error
	offered       []Hint         // by servers that speak PSYC, but not with us
	closing       sync.WaitGroup // connections that were no good; a peer may take its time

	wait   func(context.Context, Hint) (linked bool) // nil when it has been asked
	linked bool                                      // what it said
}

// A way says what is not tried, because it failed.
type way struct {
	xmppAlone bool // no PSYC at all
	noALPN    bool // PSYC as DNS offers it or by the switch, but not by what TLS agrees on
	patient   bool // who does not answer at once inside TLS is waited for
}

// How long it is remembered that a way failed.
const (
	switchFailedAge = time.Hour        // the switch, or PSYC that TLS agreed on: asking costs the connection
	noPSYCAge       = 10 * time.Minute // DNS offers PSYC, but only XMPP works
)

// try walks the hints, then what servers offered meanwhile, and returns the first link that comes about.
func (d *dialling) try(ctx context.Context, w way) *Link {
	d.offered = nil
	if link := d.walk(ctx, d.hints(ctx, w.xmppAlone), w); link != nil || len(d.offered) == 0 {
		return link
	}
	offered := d.offered
	return d.walk(ctx, func(yield func(Hint, error) bool) {
		for _, h := range offered {
			if !yield(h, nil) {
				return
			}
		}
	}, w)
}

func (d *dialling) walk(ctx context.Context, hints iter.Seq2[Hint, error], w way) *Link {
	connector := &Connector{Dialer: d.cfg.Dialer}
	noPSYC := false
	for conn, err := range connector.Connections(ctx, hints) {
		if err == nil {
			var link *Link
			if link, err = d.approach(ctx, conn, w); err == nil {
				switch _, circuit := link.carrier(); {
				case circuit != nil:
					d.known.works(d.local, d.remote)
				case noPSYC && !d.known.worked(d.local, d.remote):
					d.known.learn(d.local, d.remote, XMPP, noPSYCAge, "no PSYC hint led to a link")
				}
				return link
			}
			err = &DialError{Hint: conn.Hint, Err: err}
		}
		var failed *DialError
		noPSYC = noPSYC || errors.As(err, &failed) && failed.Hint.Protocol == PSYC
		d.failures = append(d.failures, err)
	}
	return nil
}

// hints yields the ways to the domain that we can go.
func (d *dialling) hints(ctx context.Context, xmppAlone bool) iter.Seq2[Hint, error] {
	return func(yield func(Hint, error) bool) {
		hints := d.cfg.resolver().Hints(ctx, d.remote)
		if xmppAlone {
			hints = HintsOf(ctx, d.cfg.resolver(), d.remote, XMPP)
		}
		for h, err := range hints {
			if h.Protocol != 0 && !d.cfg.speaks(h.Protocol) {
				continue
			}
			d.cfg.Trace.resolved(d.remote, h, err)
			if err == nil && d.wait != nil && !xmppAlone {
				d.linked, d.wait = d.wait(ctx, h), nil
				if d.linked {
					return
				}
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

// initiate makes a link of a connection that we opened.
func (d *dialling) initiate(ctx context.Context, conn *Connection, w way, m manners) (*Link, error) {
	ctx, cancel := halfTime(ctx)
	defer cancel()
	link := newLink(d.cfg, conn.Conn)
	link.dialled, link.local, link.remote, link.manners, link.old = true, d.local, d.remote, m, d.old
	link.patient = w.patient
	agreed, err := "", error(nil)
	switch {
	case conn.Hint.Protocol == PSYC && (conn.Hint.DirectTLS || d.cfg.Insecure&Plaintext == 0):
		// PSYC has no STARTTLS, but servers tell TLS by its first byte on any port.
		_, err = link.initiateTLS(ctx, alpnPSYC)
	case conn.Hint.DirectTLS:
		agreed, err = link.initiateTLS(ctx, d.alpn(w)...)
	}
	switch {
	case err != nil:
	case conn.Hint.Protocol == PSYC || agreed == alpnPSYC:
		err = link.initiateCircuit(ctx, takeover{conn: link.conn, syntax: m.syntax()})
	default:
		err = link.initiateStream(ctx, !w.xmppAlone)
	}
	if err == nil {
		err = link.secured()
	}
	if err != nil {
		d.failed(link, conn.Hint, agreed, err)
		return nil, fmt.Errorf("psycswitch: %s to %s at %v: %w", d.local, d.remote, conn.RemoteAddr(), err)
	}
	return link, nil
}

// alpn returns the protocols for direct TLS at an XMPP port. The server chooses; two that speak PSYC need not switch later. A circuit
// proves us by certificate alone, so there has to be one.
func (d *dialling) alpn(w way) []string {
	cert, err := d.cfg.Hosts.Certificate(d.local)
	if w.xmppAlone || w.noALPN || !d.cfg.speaks(PSYC) || err != nil || cert == nil {
		return []string{alpnXMPP}
	}
	return []string{alpnPSYC, alpnXMPP}
}

// failed gives a link up that did not come about, and learns from it.
func (d *dialling) failed(link *Link, hint Hint, agreed string, err error) {
	if _, circuit := link.carrier(); circuit != nil && hint.Protocol == PSYC && d.cfg.speaks(XMPP) {
		d.offered = append(d.offered, offeredXMPP(hint, circuit.Peer().Protocols)...)
	}
	d.closing.Go(func() { link.abandon(d.caller) })
	var failed *SwitchError
	switch {
	case d.known.worked(d.local, d.remote):
	case errors.As(err, &failed):
		d.known.learn(d.local, d.remote, XMPP, switchFailedAge, failed.Error())
	case agreed == alpnPSYC:
		d.known.learn(d.local, d.remote, PSYC, switchFailedAge, "PSYC by ALPN failed: "+err.Error())
	}
}

// offeredXMPP returns the hint for XMPP that the greeting of a server gives: "XMPP-S2S", with a version and a port or without. It is at
// the address where the server answered; another one could be anybody's.
func offeredXMPP(at Hint, protocols []string) []Hint {
	host, _, err := net.SplitHostPort(at.Addr)
	if err != nil {
		return nil
	}
	for _, p := range protocols {
		scheme, _, _ := strings.Cut(p, " ") // then what it runs over
		scheme, port, _ := strings.Cut(scheme, ":")
		if name, _, _ := strings.Cut(scheme, "/"); !strings.EqualFold(name, "XMPP-S2S") {
			continue
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			port = strconv.Itoa(PortXMPP)
		}
		return []Hint{{Protocol: XMPP, Target: at.Target, Addr: net.JoinHostPort(host, port)}}
	}
	return nil
}

// halfTime leaves half of the time that ctx has for what may have to be done after this.
func halfTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/2)
}

func newLink(cfg *Config, conn net.Conn) *Link {
	return &Link{
		cfg:      cfg,
		conn:     conn,
		since:    time.Now(),
		turn:     make(chan struct{}, 1),
		pairs:    make(chan struct{}, maxPairs),
		proved:   make(chan struct{}),
		released: make(chan struct{}),
		retired:  make(chan struct{}),
	}
}
