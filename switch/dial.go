package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
)

// Dial connects local to remote by the best way that both have: PSYC where DNS offers it, a stream that switches to
// PSYC, or XMPP alone. When it returns, the peer has accepted the pair.
//
// One address may take half of the time that is left, so that others have their turn. A peer with which the switch failed is tried
// again without.
//
// The error wraps [ErrUnreachable], [ErrNotHosted] if local does not live here, and everything that was tried: a
// *[ResolveError] or *[DialError] for each hint.
func Dial(ctx context.Context, cfg *Config, local, remote string) (*Link, error) {
	if !cfg.hosted(local) {
		return nil, fmt.Errorf("psycswitch: dialling from %s: %w", local, ErrNotHosted)
	}
	d := dialling{cfg: cfg, caller: ctx, local: local, remote: remote, known: cfg.spoken}
	ctx, cancel := context.WithTimeout(ctx, cfg.dialTimeout())
	defer cancel()
	if d.known == nil {
		d.known = new(memory)
	}
	defer cfg.outlive(d.closing.Wait)
	_, known := d.known.recall(local, remote)
	// By a circuit the peer could send as well, which who leaves does not want any more.
	xmppAlone := known || !cfg.taking()
	for range 2 {
		if link := d.try(ctx, xmppAlone); link != nil {
			return link, nil
		}
		if xmppAlone {
			d.known.forget(local, remote)
		} else if _, learnt := d.known.recall(local, remote); !learnt {
			break
		}
		if ctx.Err() != nil {
			break
		}
		xmppAlone = !xmppAlone
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
	failures      []error
	closing       sync.WaitGroup // connections that were no good; a peer may take its time
}

// How long it is remembered that a peer speaks XMPP and nothing else.
const (
	switchFailedAge = time.Hour        // the switch failed: asking costs the connection
	noPSYCAge       = 10 * time.Minute // DNS offers PSYC, but only XMPP works
)

// try walks the hints, with xmppAlone those for XMPP, and returns the first link that comes about.
func (d *dialling) try(ctx context.Context, xmppAlone bool) *Link {
	connector := &Connector{Dialer: d.cfg.Dialer}
	noPSYC := false
	for conn, err := range connector.Connections(ctx, d.hints(ctx, xmppAlone)) {
		if err == nil {
			var link *Link
			if link, err = d.initiate(ctx, conn, !xmppAlone); err == nil {
				if _, circuit := link.carrier(); circuit == nil && noPSYC {
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
			if !yield(h, err) {
				return
			}
		}
	}
}

// initiate makes a link of a connection that we opened.
func (d *dialling) initiate(ctx context.Context, conn *Connection, maySwitch bool) (*Link, error) {
	ctx, cancel := halfTime(ctx)
	defer cancel()
	link := newLink(d.cfg, conn.Conn)
	link.dialled, link.local, link.remote = true, d.local, d.remote
	var err error
	// PSYC has no STARTTLS, but servers tell TLS by its first byte on any port.
	if conn.Hint.DirectTLS || conn.Hint.Protocol == PSYC && d.cfg.Insecure&Plaintext == 0 {
		err = link.startTLS(ctx, conn.Hint.Protocol)
	}
	if err == nil {
		switch conn.Hint.Protocol {
		case PSYC:
			err = link.initiateCircuit(ctx, takeover{conn: link.conn, syntax: psyc.PSYC10})
		default:
			err = link.initiateStream(ctx, maySwitch)
		}
	}
	if err != nil {
		d.closing.Go(func() { link.abandon(d.caller) })
		var failed *switchError
		if errors.As(err, &failed) {
			d.known.learn(d.local, d.remote, XMPP, switchFailedAge, failed.Error())
		}
		return nil, fmt.Errorf("psycswitch: %s to %s at %v: %w", d.local, d.remote, conn.RemoteAddr(), err)
	}
	return link, nil
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
		proved:   make(chan struct{}),
		released: make(chan struct{}),
	}
}
