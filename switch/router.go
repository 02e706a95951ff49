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

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A Router federates any number of domains: it keeps links to other servers, dials where there is none, keeps the
// order of stanzas between two domains, and tells senders what could not be delivered. Set its fields before Serve.
//
// A router is made of outboxes, one for each (hosted domain, foreign domain), and links, which carry any number of them. mu guards
// both; an outbox is drained and a link read by one goroutine each, which call the handler without holding mu.
type Router struct {
	Config

	// Handler gets what arrives; nil refuses everything, for routers that only send.
	Handler Handler

	// Grace is how long the end of Serve may take until links are no longer closed in order; 10 s.
	Grace time.Duration

	// Idle is how long a link may carry nothing before it is closed; 15 min, negative: for ever. XMPP streams that
	// others dialled are theirs to close.
	Idle time.Duration

	// Queue bounds what waits for a link.
	Queue QueueLimits

	// Store keeps what Send has taken until it is delivered or bounced; nil: only this process does. What it holds when Serve
	// begins is sent again, marked as such by a delay element (XEP-0203).
	Store Store

	// Lifetimes bound how long anything waits for a link, and Persist has a domain that cannot be reached tried again, after ever longer
	// pauses of a minute at most, until what waits for it has become too old. Otherwise all of it bounces as soon as the domain is given up.
	Lifetimes Lifetimes
	Persist   bool

	// Intake bounds what others may open.
	Intake IntakeLimits

	// Barriers tell how much has arrived at XMPP servers that do not acknowledge.
	Barriers Barriers

	// NoSessions has circuits to other Switchyards count no packets, and streams not take up what others have left, nor send barriers, so that
	// what is in flight when a link breaks is lost. It is for comparisons and for peers that count wrongly. Otherwise
	// Config.PSYC.Sessions is used for circuits, or one with the default limits.
	NoSessions bool

	mu        sync.Mutex
	state     routerState
	run       context.Context // life of links and outboxes
	taking    context.Context // ends when nothing new is taken from peers any more
	turnAway  context.CancelFunc
	listeners []net.Listener
	outboxes  map[route]*outbox
	queued    int64            // bytes in all outboxes
	queuedFor map[string]int64 // of those, for each domain that they go to
	links     linkTable

	restoring sync.Once
	restored  error // why what was stored could not be had

	door    door
	shaking tally // connections accepted, until they are links
	reading tally // links being read, and other goroutines of theirs
	work    tally // outboxes being drained
}

type routerState uint8

const (
	idle      routerState = iota // before Serve
	serving                      // taking and sending
	quiescing                    // taking nothing new from peers, sending what handlers still produce
	closed                       // taking nothing at all
)

const defaultGrace = 10 * time.Second

// A Sender sends; *[Router] and *[Link] are Senders.
type Sender interface {
	Send(ctx context.Context, s *xmpp.Stanza) error
}

// A Handler gets what arrives for the hosted domains: one call at a time and in order for what comes by one link,
// and so for the errors about stanzas from one of our domains to one foreign domain. Different links have it called at the same time.
//
// s is the handler's to change until it returns. The error that it returns goes back to the sender of s where the
// protocol allows an answer; a [xmpp.Condition] or *[xmpp.StanzaError] says which. out is the router; what is sent by it in answer to
// an error about something that could not be delivered is refused with [ErrQueueFull] rather than wait.
//
// A handler that does not return keeps its link from being read, so that the peer has to wait, and Serve from returning:
// when ctx ends it has to give up.
type Handler interface {
	HandleStanza(ctx context.Context, out Sender, s *xmpp.Stanza) error
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ctx context.Context, out Sender, s *xmpp.Stanza) error

// HandleStanza calls f.
func (f HandlerFunc) HandleStanza(ctx context.Context, out Sender, s *xmpp.Stanza) error {
	return f(ctx, out, s)
}

// Serve runs the router: it accepts links on the listeners, if any, and dials where Send asks for it. It is called once.
//
// When ctx ends it takes nothing new (see [Router.Quiesce]), sends what is queued, closes all links in order, bounces what is left, and
// returns nil. Within Grace that is done in peace; what takes longer is cut off. A listener that fails ends it in the same way,
// with that error. Every goroutine of the router lives inside Serve.
func (r *Router) Serve(ctx context.Context, listeners ...net.Listener) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	taking, turnAway := context.WithCancel(run)
	defer turnAway()
	err := r.restore(run)
	if err != nil {
		return err
	}
	if err := r.start(run, taking, turnAway, listeners); err != nil {
		return err
	}
	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		r.reading.Go(func() {
			if err := r.accept(run, taking, ln); err != nil {
				failed <- err
			}
		})
	}
	r.reading.Go(func() { r.tend(run) })
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
	half(bounded, r.Quiesce)
	half(bounded, r.work.Wait)
	r.close(bounded)
	stop()
	r.neighbours.close()
	for _, t := range []*tally{&r.shaking, &r.work, &r.reading} {
		t.Wait(context.Background())
	}
	return err
}

// half calls f with half of the time that ctx has left.
func half(ctx context.Context, f func(context.Context)) {
	ctx, cancel := halfTime(ctx)
	defer cancel()
	f(ctx)
}

func (r *Router) start(run, taking context.Context, turnAway context.CancelFunc, listeners []net.Listener) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != idle {
		return errors.New("psycswitch: Serve called twice")
	}
	if r.Hosts == nil {
		return errors.New("psycswitch: Router without Hosts")
	}
	r.state = serving
	r.run, r.taking, r.turnAway, r.listeners = run, taking, turnAway, listeners
	r.links.all = make(map[*Link]bool)
	r.links.byRoute = make(map[route]*Link)
	r.links.dialling = make(map[string]*turn)
	r.links.broken = make(map[route]*xmpp.Stream)
	r.arrivals = new(arrivals)
	if r.PSYC.Instance == ([16]byte{}) {
		rand.Read(r.PSYC.Instance[:]) // two routers of one process are not one another
	}
	switch {
	case r.NoSessions:
		r.PSYC.Sessions = nil
	case r.PSYC.Sessions == nil:
		r.PSYC.Sessions = new(psyc.Sessions)
	}
	r.delivered = func(done []*queued) {
		r.forget(done...)
		for _, q := range done {
			q.leave()
		}
	}
	r.unsendable = func(q *queued, err error) { r.bounce(run, q, err) }
	r.allowed = r.collided
	feature := r.newDialback(r.Secret == nil)
	r.dialback = &feature
	management := newManagement(!r.NoSessions)
	r.management = &management
	r.barriers = r.newBarriers(taking, len(listeners))
	r.spoken = new(memory)
	r.verifying = make(chan struct{}, maxVerifying)
	r.behind = r.reading.Go
	r.leaving = func() bool { return taking.Err() != nil }
	r.answer = func(reply *xmpp.Stanza) { r.reply(run, reply, insist) }
	r.inject = func(s *xmpp.Stanza) { r.deliver(run, s, draining{r}, force) }
	late := func(do func(*xmpp.Stanza)) func(*xmpp.Stanza) {
		return func(s *xmpp.Stanza) {
			if run.Err() == nil {
				r.reading.Go(func() { do(s) })
			}
		}
	}
	r.neighbours = &neighbours{late: late(r.inject), answer: late(r.answer)}
	for _, o := range r.outboxes {
		r.wake(o)
	}
	return nil
}

// Quiesce stops the intake: it asks the peers to finish, takes what they have already sent, and returns when the handler has been called
// for the last time with something that a peer sent, or when ctx ends. Send goes on, and for its sake the listeners stay open: other
// servers may want to verify that we are who we say. Serve does this by itself; a program that joins two routers calls it on both before it
// ends either, so that what one has taken still finds the other open.
func (r *Router) Quiesce(ctx context.Context) {
	r.mu.Lock()
	was := r.state
	switch was {
	case idle:
		r.mu.Unlock()
		return
	case serving:
		r.state = quiescing
		r.turnAway()
	}
	r.mu.Unlock()
	if was == serving {
		r.takeLeave(ctx)
	}
	r.shaking.Wait(ctx)
	// First what only comes in, so that circuits, which go both ways, can still take what that leads to.
	r.end(ctx, func(l *Link) bool { return l.receives() && !l.sends() })
	for ended := 1; ended > 0 && ctx.Err() == nil; {
		// A domain that cannot be reached must not take the time that the others need.
		half(ctx, r.work.Wait)
		ended = r.end(ctx, (*Link).receives)
	}
}

// deliver hands s to the handler and its error back to the sender of s.
func (r *Router) deliver(ctx context.Context, s *xmpp.Stanza, out Sender, p patience) {
	asked := *s // the handler may change the addresses
	err := r.handle(ctx, out, s)
	if err == nil || !answerable(&asked) {
		return
	}
	if reply := asked.ErrorReply(answerTo(err)); reply != nil {
		r.reply(ctx, reply, p)
	}
}

func (r *Router) handle(ctx context.Context, out Sender, s *xmpp.Stanza) error {
	if r.Handler == nil {
		return xmpp.ServiceUnavailable
	}
	return r.Handler.HandleStanza(ctx, out, s)
}

// reply sends an error that answers something.
func (r *Router) reply(ctx context.Context, reply *xmpp.Stanza, p patience) {
	if err := r.send(ctx, reply, p); err != nil {
		r.log(ctx, slog.LevelWarn, "answer not sent", "from", reply.From, "to", reply.To, "error", err)
	}
}

// Send takes s over: it is delivered, or its sender gets an error by way of the Handler where the protocol allows
// one. s may be reused. A stanza from one hosted domain to another goes to the Handler as well. What is sent before
// Serve waits for it.
//
// Errors are the caller's mistakes, or say that s was not taken: [xmpp.ImproperAddressing] without addresses,
// [ErrNotHosted] from a domain that does not live here, [ErrClosed] after Serve, and [ErrQueueFull]. Where a link is up and
// slower than the caller, Send waits until ctx ends or the link has taken nothing for 10 seconds; where there is none yet it does not wait.
func (r *Router) Send(ctx context.Context, s *xmpp.Stanza) error { return r.send(ctx, s, wait) }

func (r *Router) send(ctx context.Context, s *xmpp.Stanza, p patience) error {
	if s.From.IsZero() || s.To.IsZero() {
		return fmt.Errorf("psycswitch: sending a %v: %w", s.Kind, xmpp.ImproperAddressing)
	}
	if local := s.From.Domain(); !r.hosted(local) {
		return fmt.Errorf("psycswitch: sending from %s: %w", local, ErrNotHosted)
	}
	q := newQueued(s)
	if err := r.keep(ctx, q); err != nil {
		return err
	}
	if r.pass(q) {
		return nil
	}
	return r.put(ctx, q, p)
}

// put is enqueue after pass. A link that has ended meanwhile may have taken q: then its sender must not be told that it was not taken.
func (r *Router) put(ctx context.Context, q *queued, p patience) error {
	if q.tail == nil {
		err := r.enqueue(ctx, q, p)
		if err != nil {
			r.forget(q)
		}
		return err
	}
	if err := r.enqueue(ctx, q, force); err != nil {
		r.bounceAll(ctx, []*queued{q}, err)
	}
	return nil
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
	for _, o := range r.outboxes {
		r.left(o, 0) // nobody need wait for room any more
	}
	for _, ln := range r.listeners {
		ln.Close()
	}
	r.mu.Unlock()
	r.end(ctx, func(*Link) bool { return true })
}
