package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// IntakeLimits bounds the connections that others may open to a router. What goes beyond is closed as soon as it is accepted. Zero
// fields have the documented defaults, negative ones mean no bound.
type IntakeLimits struct {
	// Handshakes is how many connections at a time may have proved no domain yet; 1,000. Each of them ends after
	// Config.DialTimeout if it has not by then.
	Handshakes int

	// PerAddress is how many connections there may be from one IP address, or from one /64 of IPv6; 250. Those
	// from this machine (127.0.0.0/8 and ::1) are not counted.
	PerAddress int

	// Connections is how many there may be in all; 10,000.
	Connections int
}

const (
	defaultHandshakes  = 1000
	defaultPerAddress  = 250
	defaultConnections = 10_000
)

// A door counts the connections that a router has accepted.
type door struct {
	mu         sync.Mutex
	handshakes int
	all        int
	from       map[netip.Prefix]int
}

// A visit is a connection that has been let in.
type visit struct {
	door *door
	from netip.Prefix // not valid: not counted

	proved sync.Once
}

var errTooMany = errors.New("psycswitch: too many connections")

// enter lets a connection in, or says why not.
func (d *door) enter(addr net.Addr, lim IntakeLimits) (*visit, error) {
	beyond := func(n, limit, byDefault int) bool {
		if limit == 0 {
			limit = byDefault
		}
		return limit > 0 && n >= limit
	}
	from := origin(addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case beyond(d.all, lim.Connections, defaultConnections):
		return nil, errTooMany
	case beyond(d.handshakes, lim.Handshakes, defaultHandshakes):
		return nil, fmt.Errorf("%w in handshake", errTooMany)
	case from.IsValid() && beyond(d.from[from], lim.PerAddress, defaultPerAddress):
		return nil, fmt.Errorf("%w from %v", errTooMany, from)
	}
	d.all++
	d.handshakes++
	if from.IsValid() {
		if d.from == nil {
			d.from = make(map[netip.Prefix]int)
		}
		d.from[from]++
	}
	return &visit{door: d, from: from}, nil
}

// origin is what connections from addr are counted under: nothing valid for this machine, or where there is no IP address.
func origin(addr net.Addr) netip.Prefix {
	tcp, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := tcp.Addr().Unmap().WithZone(""), 32
	switch {
	case ip.IsLoopback():
		return netip.Prefix{}
	case ip.Is6():
		bits = 64
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}

// settle ends the handshake.
func (v *visit) settle() {
	v.proved.Do(func() {
		v.door.mu.Lock()
		defer v.door.mu.Unlock()
		v.door.handshakes--
	})
}

// leave ends the connection. Those that we dialled are no visits.
func (v *visit) leave() {
	if v == nil {
		return
	}
	v.settle()
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	v.door.all--
	if v.from.IsValid() {
		if v.door.from[v.from]--; v.door.from[v.from] == 0 {
			delete(v.door.from, v.from)
		}
	}
}

// accept takes connections from ln until the router closes it; their handshakes end with taking at the latest, which is when the
// router takes nothing new any more. What connects afterwards can have dialback keys of ours verified, and nothing else.
func (r *Router) accept(ctx, taking context.Context, ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			if r.hasClosed() {
				return nil
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				r.log(ctx, slog.LevelWarn, "accept failed", "listener", ln.Addr(), "error", err)
				if !pause(ctx, 100*time.Millisecond) {
					return nil
				}
				continue
			}
			return fmt.Errorf("psycswitch: accepting on %v: %w", ln.Addr(), err)
		}
		v, err := r.door.enter(conn.RemoteAddr(), r.Intake)
		if err != nil {
			conn.Close()
			r.log(ctx, slog.LevelWarn, "connection refused", "addr", conn.RemoteAddr(), "error", err)
			continue
		}
		if taking.Err() == nil {
			r.shaking.Go(func() { r.receive(taking, conn, v) })
		} else {
			r.reading.Go(func() { r.receive(ctx, conn, v) })
		}
	}
}

func (r *Router) hasClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == closed
}

// receive makes a link of a connection.
func (r *Router) receive(ctx context.Context, conn net.Conn, v *visit) {
	link := newLink(&r.Config, conn)
	r.arrivals.expect(link)
	if err := link.welcome(ctx); err != nil {
		v.leave()
		level := slog.LevelInfo
		for _, gone := range []error{xmpp.ErrClosed, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET} {
			if errors.Is(err, gone) {
				level = slog.LevelDebug // it came to have a dialback key verified, or to look in
			}
		}
		r.log(ctx, level, "link refused", "addr", conn.RemoteAddr(), "error", err)
		return
	}
	link.visit = v
	r.adopt(link)
	select {
	case <-link.proved:
		v.settle()
	default:
		r.reading.Go(func() {
			r.awaitProof(link)
			v.settle()
		})
	}
}

// awaitProof waits until the peer has proved a domain, and closes link if that takes too long.
func (r *Router) awaitProof(link *Link) {
	patience := time.NewTimer(r.dialTimeout())
	defer patience.Stop()
	select {
	case <-link.proved:
	case <-link.released:
	case <-patience.C:
		r.log(r.run, slog.LevelInfo, "nothing proved", link.attrs()...)
		link.Close()
	}
}
