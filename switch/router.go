package psycswitch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// A Router federates any number of domains: it keeps links to other servers, dials where there is none, keeps the
// order of stanzas between two domains, and tells senders what could not be delivered. Set its fields before Serve.
//
// A router is made of outboxes, one for each (hosted domain, foreign domain), and links. The router owns both: mu
// guards the maps and the state, every outbox guards itself, and a link is read by one goroutine of its own.
type Router struct {
	Config

	// Handler gets what arrives; nil refuses everything, for routers that only send.
	Handler Handler

	// Grace is how long what is queued may take when Serve ends; 10 s.
	Grace time.Duration

	// Queue bounds what waits for a link.
	Queue QueueLimits

	mu        sync.Mutex
	state     routerState
	run       context.Context // life of links and outboxes
	outboxes  map[route]*outbox
	links     map[*Link]bool
	listeners []net.Listener
	queued    int64 // bytes in all outboxes

	intake tally // loops that call the handler with what peers send
	work   tally // outboxes being drained
}

// QueueLimits bounds the stanzas that wait for a link; zero fields have the documented defaults.
type QueueLimits struct {
	Stanzas int   // for one pair of domains; 10,000
	Bytes   int64 // in all; 64 MiB
}

type routerState uint8

const (
	idle      routerState = iota // before Serve
	serving                      // taking and sending
	quiescing                    // taking nothing new from peers, sending what handlers still produce
	closing                      // sending what is queued
	closed
)

// A Sender sends; *[Router] and *[Link] are Senders.
type Sender interface {
	Send(ctx context.Context, s *xmpp.Stanza) error
}

// A Handler gets what arrives for the hosted domains: one call at a time and in order for what comes by one link,
// and so for the errors about stanzas from one of our domains to one foreign domain.
//
// s is the handler's to change until it returns. The error that it returns goes back to the sender of s where the
// protocol allows an answer; a [xmpp.Condition] or *[xmpp.StanzaError] says which.
type Handler interface {
	HandleStanza(ctx context.Context, out Sender, s *xmpp.Stanza) error
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ctx context.Context, out Sender, s *xmpp.Stanza) error

// HandleStanza calls f.
func (f HandlerFunc) HandleStanza(ctx context.Context, out Sender, s *xmpp.Stanza) error {
	return f(ctx, out, s)
}

// Serve runs the router: it accepts links on the listeners, if any, and dials where Send asks for it.
//
// When ctx ends it takes nothing new (see [Router.Quiesce]), sends what is queued within Grace, closes all links in
// order and returns nil. A listener that fails ends it in the same way, with that error. Every goroutine of the
// router lives inside Serve.
func (r *Router) Serve(ctx context.Context, listeners ...net.Listener) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := r.start(run, listeners); err != nil {
		return err
	}
	failed := make(chan error, len(listeners))
	var accepting sync.WaitGroup
	for _, ln := range listeners {
		accepting.Go(func() { failed <- r.accept(run, ln) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	grace := r.Grace
	if grace <= 0 {
		grace = defaultGrace
	}
	bounded, cancel := context.WithTimeout(run, grace)
	defer cancel()
	r.Quiesce(bounded)
	accepting.Wait()
	r.work.Wait(bounded)
	r.close(bounded)
	stop()
	r.intake.Wait(context.Background())
	r.work.Wait(context.Background())
	return err
}

const defaultGrace = 10 * time.Second

func (r *Router) start(run context.Context, listeners []net.Listener) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != idle {
		return errors.New("psycswitch: Serve called twice")
	}
	if r.Hosts == nil {
		return errors.New("psycswitch: Router without Hosts")
	}
	r.state = serving
	r.run = run
	r.listeners = listeners
	r.links = make(map[*Link]bool)
	if r.PSYC.Instance == ([16]byte{}) {
		rand.Read(r.PSYC.Instance[:]) // two routers of one process are not one another
	}
	feature := r.newDialback(r.Secret == nil)
	r.dialback = &feature
	r.answer = func(reply *xmpp.Stanza) { r.Send(run, reply) }
	for _, o := range r.outboxes {
		o.mu.Lock()
		r.wake(o)
		o.mu.Unlock()
	}
	return nil
}

// Quiesce stops the intake: it closes the listeners, asks the peers to finish, takes what they have already sent,
// and returns when the handler has been called for the last time with something that a peer sent, or when ctx ends.
// Send goes on. Serve does this by itself; a program that joins two routers calls it on both before it ends either,
// so that what one has taken still finds the other open.
func (r *Router) Quiesce(ctx context.Context) {
	r.mu.Lock()
	if r.state == serving {
		r.state = quiescing
		for _, ln := range r.listeners {
			ln.Close()
		}
	}
	r.mu.Unlock()
	// First what only comes in, so that circuits, which go both ways, can still take what that leads to.
	r.end(ctx, func(l *Link) bool { return l.receives() && !l.sends() })
	r.work.Wait(ctx)
	r.end(ctx, (*Link).receives)
}

// end closes links in order and waits until all that came by them has been handled, or until ctx ends.
func (r *Router) end(ctx context.Context, which func(*Link) bool) {
	var ending []*Link
	for _, l := range r.snapshot() {
		if which(l) {
			ending = append(ending, l)
			go l.Close()
		}
	}
	for _, l := range ending {
		select {
		case <-l.released:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Router) snapshot() []*Link {
	r.mu.Lock()
	defer r.mu.Unlock()
	links := make([]*Link, 0, len(r.links))
	for l := range r.links {
		links = append(links, l)
	}
	return links
}

// accept takes connections from ln until it is closed.
func (r *Router) accept(ctx context.Context, ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
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
		r.intake.Go(func() {
			link, err := Accept(ctx, &r.Config, conn)
			if err != nil {
				r.log(ctx, slog.LevelInfo, "link refused", "addr", conn.RemoteAddr(), "error", err)
				return
			}
			r.adopt(ctx, link)
		})
	}
}

// pause waits for d and reports whether it was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// adopt makes link one of the router's and reads it until it ends.
func (r *Router) adopt(ctx context.Context, link *Link) {
	defer close(link.released)
	r.mu.Lock()
	state := r.state
	if state < closed {
		r.links[link] = true
	}
	r.mu.Unlock()
	if state == closed || state == quiescing && !link.dialled {
		r.mu.Lock()
		delete(r.links, link)
		r.mu.Unlock()
		link.Close()
		return
	}
	r.Trace.linkUp(link.Info())
	r.log(ctx, slog.LevelInfo, "link up", link.attrs()...)
	var last error
	for s, err := range link.Stanzas(ctx) {
		if err != nil {
			last = err
			break
		}
		r.deliver(ctx, s)
	}
	r.mu.Lock()
	delete(r.links, link)
	r.mu.Unlock()
	link.Close()
	r.requeue(ctx, link.unsent())
	r.Trace.linkDown(link.Info(), last)
	r.log(ctx, slog.LevelInfo, "link down", append(link.attrs(), "error", last)...)
}

// deliver hands s to the handler and its error back to the sender of s.
func (r *Router) deliver(ctx context.Context, s *xmpp.Stanza) {
	asked := *s // the handler may change the addresses
	err := r.handle(ctx, s)
	if err == nil {
		return
	}
	if reply := asked.ErrorReply(err); reply != nil && answerable(&asked) {
		if err := r.Send(ctx, reply); err != nil {
			r.log(ctx, slog.LevelDebug, "answer not sent", "from", reply.From, "to", reply.To, "error", err)
		}
	}
}

func (r *Router) handle(ctx context.Context, s *xmpp.Stanza) error {
	if r.Handler == nil {
		return xmpp.ServiceUnavailable
	}
	return r.Handler.HandleStanza(ctx, r, s)
}

// Send takes s over: it is delivered, or its sender gets an error by way of the Handler where the protocol allows
// one. s may be reused. A stanza from one hosted domain to another goes to the Handler as well.
//
// Errors are the caller's mistakes, or say that s was not taken: [xmpp.ImproperAddressing] without addresses,
// [ErrNotHosted] from a domain that does not live here, [ErrQueueFull], [ErrClosed] after Serve. What is sent before
// Serve waits for it. Where a link is up and slower than the caller, Send waits, as long as ctx allows.
func (r *Router) Send(ctx context.Context, s *xmpp.Stanza) error {
	if s.From.IsZero() || s.To.IsZero() {
		return fmt.Errorf("psycswitch: sending a %v: %w", s.Kind, xmpp.ImproperAddressing)
	}
	key := route{s.From.Domain(), s.To.Domain()}
	if !r.hosted(key.local) {
		return fmt.Errorf("psycswitch: sending from %s: %w", key.local, ErrNotHosted)
	}
	return r.enqueue(ctx, key, s.Clone())
}

// Links yields a snapshot of every link.
func (r *Router) Links() iter.Seq[LinkInfo] {
	return func(yield func(LinkInfo) bool) {
		for _, l := range r.snapshot() {
			if !yield(l.Info()) {
				return
			}
		}
	}
}

// close takes nothing more and closes all links; what they could not write bounces.
func (r *Router) close(ctx context.Context) {
	r.mu.Lock()
	r.state = closed
	r.mu.Unlock()
	r.end(ctx, func(*Link) bool { return true })
}
