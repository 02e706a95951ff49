package psycswitch

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// A route is the way from a domain that lives here to another. Order is kept per route, and proofs hold for routes.
type route struct{ local, remote string }

func (k route) String() string { return k.local + " to " + k.remote }

// An outbox keeps, in order, what goes one route until a link takes it. At most one goroutine drains it at a time; it
// lives only while there is something to send. mu guards everything below it.
type outbox struct {
	route

	mu       sync.Mutex
	items    []*xmpp.Stanza
	draining bool
	link     *Link
	broken   int       // links in a row that failed before they took anything
	failed   error     // why the last attempt to reach the domain failed
	retry    time.Time // no new attempt before
	backoff  time.Duration
	changed  chan struct{} // closed and replaced when items leave
}

const (
	defaultQueueStanzas = 10_000
	defaultQueueBytes   = 64 << 20

	firstBackoff = time.Second
	lastBackoff  = time.Minute

	// maxBroken is how many links in a row may come up and take nothing before the domain counts as not reached.
	maxBroken = 3

	// stanzaOverhead is what a queued stanza costs in memory beside its children.
	stanzaOverhead = 256
)

func (q QueueLimits) stanzas() int {
	if q.Stanzas > 0 {
		return q.Stanzas
	}
	return defaultQueueStanzas
}

func (q QueueLimits) bytes() int64 {
	if q.Bytes > 0 {
		return q.Bytes
	}
	return defaultQueueBytes
}

// cost is what s counts for in QueueLimits.Bytes.
func cost(s *xmpp.Stanza) int64 { return int64(len(s.Raw())) + stanzaOverhead }

// enqueue puts s, which is the router's from now on, into the outbox of its route.
func (r *Router) enqueue(ctx context.Context, key route, s *xmpp.Stanza) error {
	for {
		full, err := r.tryEnqueue(key, s)
		if full == nil {
			return err
		}
		select {
		case <-full:
		case <-ctx.Done():
			return fmt.Errorf("psycswitch: %v: %w: %w", key, ErrQueueFull, context.Cause(ctx))
		}
	}
}

// tryEnqueue returns a channel to wait on where the outbox is full but its link is moving.
func (r *Router) tryEnqueue(key route, s *xmpp.Stanza) (full <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == closed {
		return nil, fmt.Errorf("psycswitch: %v: %w", key, ErrClosed)
	}
	o := r.outbox(key)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) >= r.Queue.stanzas() || r.queued+cost(s) > r.Queue.bytes() {
		if o.link != nil && len(o.items) > 0 {
			return o.changed, nil
		}
		return nil, fmt.Errorf("psycswitch: %v: %d stanzas wait: %w", key, len(o.items), ErrQueueFull)
	}
	o.items = append(o.items, s)
	r.queued += cost(s)
	r.wake(o)
	return nil, nil
}

// outbox returns the outbox of a route; r.mu is held.
func (r *Router) outbox(key route) *outbox {
	if r.outboxes == nil {
		r.outboxes = make(map[route]*outbox)
	}
	o := r.outboxes[key]
	if o == nil {
		o = &outbox{route: key, changed: make(chan struct{})}
		r.outboxes[key] = o
	}
	return o
}

// wake starts draining o unless that is under way, or Serve has yet to begin; r.mu and o.mu are held.
func (r *Router) wake(o *outbox) {
	if !o.draining && r.state != idle {
		o.draining = true
		r.work.Go(func() { r.drain(r.run, o) })
	}
}

// requeue puts what a link took and did not write at the head of its outboxes, for the next link. A router that has
// closed has no next link, and bounces.
func (r *Router) requeue(ctx context.Context, unsent []*xmpp.Stanza) {
	byRoute := make(map[route][]*xmpp.Stanza)
	for _, s := range unsent {
		key := route{s.From.Domain(), s.To.Domain()}
		byRoute[key] = append(byRoute[key], s)
	}
	r.mu.Lock()
	if r.state == closed {
		r.mu.Unlock()
		for _, s := range unsent {
			r.bounce(ctx, s, ErrClosed)
		}
		return
	}
	defer r.mu.Unlock()
	for key, stanzas := range byRoute {
		o := r.outbox(key)
		o.mu.Lock()
		o.items = append(stanzas, o.items...)
		for _, s := range stanzas {
			r.queued += cost(s)
		}
		o.link = nil
		r.wake(o)
		o.mu.Unlock()
	}
}

// drain sends what is in o until nothing waits.
func (r *Router) drain(ctx context.Context, o *outbox) {
	for {
		s, ok := r.next(o)
		if !ok {
			return
		}
		if r.hosted(o.remote) {
			r.deliver(ctx, s)
			continue
		}
		link, err := r.linkFor(ctx, o)
		if err != nil {
			r.giveUp(ctx, o, s, err)
			continue
		}
		if err := link.Send(ctx, s); err != nil {
			if link.alive() && ctx.Err() == nil {
				// This stanza cannot go by this link; what follows can.
				r.bounce(ctx, s, err)
				continue
			}
			<-link.released // so that what it had taken comes before s
			if o.broke() > maxBroken {
				r.giveUp(ctx, o, s, err)
				continue
			}
			r.requeue(ctx, []*xmpp.Stanza{s})
			continue
		}
		o.moved()
	}
}

// broke counts a link that failed, and moved forgets them because one has taken a stanza.
func (o *outbox) broke() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken++
	return o.broken
}

func (o *outbox) moved() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = 0
}

// next takes the first stanza out of o, or ends the draining and forgets an outbox of which nothing is left.
func (r *Router) next(o *outbox) (*xmpp.Stanza, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) == 0 {
		o.draining = false
		if o.failed == nil {
			delete(r.outboxes, o.route)
		}
		return nil, false
	}
	s := o.items[0]
	o.items[0] = nil
	o.items = o.items[1:]
	r.shrunk(o, cost(s))
	return s, true
}

// shrunk lets size bytes of o go; r.mu and o.mu are held.
func (r *Router) shrunk(o *outbox, size int64) {
	r.queued -= size
	close(o.changed)
	o.changed = make(chan struct{})
}

// linkFor returns the link that o uses, one that is up and may carry the route, or a new one.
func (r *Router) linkFor(ctx context.Context, o *outbox) (*Link, error) {
	o.mu.Lock()
	link, failed, retry := o.link, o.failed, o.retry
	o.mu.Unlock()
	if link != nil && link.alive() {
		return link, nil
	}
	if link = r.find(ctx, o.route); link == nil {
		if failed != nil && time.Now().Before(retry) {
			return nil, failed
		}
		var err error
		if link, err = r.dial(ctx, o.route); err != nil {
			return nil, err
		}
	}
	o.mu.Lock()
	o.link, o.failed, o.backoff = link, nil, 0
	o.mu.Unlock()
	return link, nil
}

// find returns a link that carries key already, or that the peer lets carry it.
func (r *Router) find(ctx context.Context, key route) *Link {
	r.mu.Lock()
	var may []*Link
	for l := range r.links {
		if l.carries(key) {
			r.mu.Unlock()
			return l
		}
		if l.mayCarry(key) {
			may = append(may, l)
		}
	}
	r.mu.Unlock()
	for _, l := range may {
		if l.Authorize(ctx, key.local, key.remote) == nil {
			return l
		}
	}
	return nil
}

// dial opens a link for key and has it read.
func (r *Router) dial(ctx context.Context, key route) (*Link, error) {
	link, err := Dial(ctx, &r.Config, key.local, key.remote)
	if err != nil {
		return nil, err
	}
	r.intake.Go(func() { r.adopt(ctx, link) })
	return link, nil
}

// giveUp bounces s and all that waits in o, and puts the next attempt off.
func (r *Router) giveUp(ctx context.Context, o *outbox, s *xmpp.Stanza, err error) {
	r.mu.Lock()
	o.mu.Lock()
	waiting := append([]*xmpp.Stanza{s}, o.items...)
	var size int64
	for _, s := range o.items {
		size += cost(s)
	}
	o.items = nil
	if o.failed == nil || !time.Now().Before(o.retry) {
		o.backoff = min(max(2*o.backoff, firstBackoff), lastBackoff)
		o.failed, o.retry = err, time.Now().Add(o.backoff)
	}
	r.shrunk(o, size)
	o.mu.Unlock()
	r.mu.Unlock()
	r.log(ctx, slog.LevelWarn, "domain not reached", "local", o.local, "remote", o.remote, "stanzas", len(waiting), "error", err)
	for _, s := range waiting {
		r.bounce(ctx, s, err)
	}
}

// bounce tells the sender of s, who is one of ours, that s did not arrive.
func (r *Router) bounce(ctx context.Context, s *xmpp.Stanza, err error) {
	r.Trace.bounced(s, err)
	if !answerable(s) {
		return
	}
	if reply := s.ErrorReply(condition(err)); reply != nil {
		r.deliver(ctx, reply)
	}
}
