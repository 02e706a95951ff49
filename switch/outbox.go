package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// A route is the way from a domain that lives here to another. Order is kept per route, and proofs hold for routes.
type route struct{ local, remote string }

func (k route) String() string { return k.local + " to " + k.remote }

func routeOf(s *xmpp.Stanza) route { return route{s.From.Domain(), s.To.Domain()} }

// An outbox keeps, in order, what goes one route until a link has taken it. At most one goroutine drains it at a time; it
// and the outbox live only while there is something to send. Router.mu guards all of it.
//
// The first stanza stays in the outbox while a link is given it: what an earlier link took and gives back meanwhile goes in
// front of it.
type outbox struct {
	route
	items    []*queued
	draining bool
	room     chan struct{} // closed when items leave; nil while nobody waits for that

	presence map[pairOfUsers]*queued // the newest among items
}

// QueueLimits bounds the stanzas that wait for a link; zero fields have the documented defaults. Errors that the router makes
// because a handler refused something may take as much again.
type QueueLimits struct {
	Stanzas int   // for one pair of domains; 10,000
	Bytes   int64 // in all; 64 MiB. No domain that they go to has more of it than is left for all others
}

const (
	defaultQueueStanzas = 10_000
	defaultQueueBytes   = 64 << 20

	// stanzaOverhead is what a queued stanza costs in memory beside its texts.
	stanzaOverhead = 512

	// stall is how long Send waits for a link that takes nothing. Two servers whose handlers wait for each other would
	// wait for ever.
	stall = 10 * time.Second
)

// withDefaults fills in what is not set.
func (q QueueLimits) withDefaults() QueueLimits {
	if q.Stanzas <= 0 {
		q.Stanzas = defaultQueueStanzas
	}
	if q.Bytes <= 0 {
		q.Bytes = defaultQueueBytes
	}
	return q
}

// cost is what s counts for in QueueLimits.Bytes.
func cost(s *xmpp.Stanza) int64 {
	n := len(s.Raw()) + len(s.From.String()) + len(s.To.String()) + len(s.ID) + stanzaOverhead
	for _, a := range s.Attrs {
		n += len(a.Name) + len(a.Value)
	}
	return int64(n)
}

// A patience says what happens to a stanza for whose outbox there is no room.
type patience uint8

const (
	refuse patience = iota // it is not taken
	wait                   // its sender waits while a link takes what is in front
	insist                 // there is more room for it, and its sender waits for a link too: it tells of something that is lost
	force                  // it is taken: it replaces one that has just left another outbox
)

// enqueue puts q, which is the router's from now on, into the outbox of its route.
func (r *Router) enqueue(ctx context.Context, q *queued, p patience) error {
	for {
		room, stuck, err := r.tryEnqueue(q, p, false)
		if room == nil && err != nil && p == wait && r.hosted(q.To.Domain()) {
			room, stuck, err = r.tryEnqueue(q, p, true) // our own handler takes what is in front
		}
		if room == nil {
			return err
		}
		patience := time.NewTimer(stuck)
		select {
		case <-room:
			patience.Stop()
		case <-patience.C:
			return err
		case <-ctx.Done():
			patience.Stop()
			return fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// tryEnqueue takes q and returns nil, or says why q is refused. Where p allows that there is a channel to wait on as well, and how long.
// here says that q stays here.
func (r *Router) tryEnqueue(q *queued, p patience, here bool) (room <-chan struct{}, stuck time.Duration, err error) {
	key, size, limit := routeOf(q.Stanza), cost(q.Stanza), r.Queue.withDefaults()
	if p == insist {
		limit.Stanzas, limit.Bytes = 2*limit.Stanzas, 2*limit.Bytes
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == closed {
		return nil, 0, fmt.Errorf("psycswitch: %v: %w", key, ErrClosed)
	}
	o, waiting := r.outboxes[key], 0
	if o != nil {
		waiting = len(o.items)
	}
	// A domain whose server does not read gets half of the room, two a third each, and so on: there is always some for the next.
	fair := r.queuedFor[key.remote]+size <= limit.Bytes-r.queued
	if p == force || waiting < limit.Stanzas && fair {
		o = r.outbox(key)
		o.supersede(q)
		o.items = append(o.items, q)
		r.count(o, size)
		r.wake(o)
		return nil, 0, nil
	}
	err = fmt.Errorf("psycswitch: %v: %d stanzas wait: %w", key, waiting, ErrQueueFull)
	stuck = stall
	switch flows := here && r.state != idle || r.flows(key); {
	case waiting == 0 || p == refuse || p == wait && !flows:
		return nil, 0, err // nothing here will make room, or not soon
	case !flows:
		stuck += r.dialTimeout() // by then there is a link, or the domain is given up
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room, stuck, err
}

// flows reports whether a link takes what goes by key, or did a moment ago; r.mu is held.
func (r *Router) flows(key route) bool {
	if r.links.byRoute[key] != nil {
		return true
	}
	t, _ := r.links.trouble.Get(key)
	return time.Now().Before(t.hope)
}

// outbox returns the outbox of a route; r.mu is held.
func (r *Router) outbox(key route) *outbox {
	if r.outboxes == nil {
		r.outboxes = make(map[route]*outbox)
	}
	o := r.outboxes[key]
	if o == nil {
		o = &outbox{route: key}
		r.outboxes[key] = o
	}
	return o
}

// wake starts draining o unless that is under way, or Serve has yet to begin; r.mu is held.
func (r *Router) wake(o *outbox) {
	if !o.draining && r.state != idle {
		o.draining = true
		r.work.Go(func() { r.drain(r.run, o) })
	}
}

// head returns the first stanza of o, which stays there, or ends the draining and forgets the outbox.
func (r *Router) head(o *outbox) (first *queued, ok bool) {
	first, _, ok = r.follow(o, nil)
	return first, ok
}

// follow is head after sent, which a link has taken, has been taken out of o; nil: nothing has. The link is the usual one.
func (r *Router) follow(o *outbox, sent *queued) (first *queued, link *Link, ok bool) {
	r.mu.Lock()
	if sent != nil {
		r.pull(o, sent)
	}
	var dropped []*queued
	for len(o.items) > 0 && o.items[0].superseded {
		dropped = append(dropped, o.items[0])
		r.takeOut(o, 0)
	}
	if ok = len(o.items) > 0; ok {
		first, link = o.items[0], r.usual(o.route)
	} else {
		o.draining = false
		delete(r.outboxes, o.route)
	}
	r.mu.Unlock()
	if len(dropped) > 0 {
		r.forget(dropped...)
	}
	return first, link, ok
}

// usual returns the link that a route takes, nil if there is none of which it is certain that it still carries the route. r.mu is held.
func (r *Router) usual(key route) *Link {
	link := r.links.byRoute[key]
	if link == nil || r.state == closed || !link.alive() || link.changed.Load() {
		return nil
	}
	return link
}

// remove takes q, which has been first, out of o.
func (r *Router) remove(o *outbox, q *queued) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pull(o, q)
}

// pull is remove; r.mu is held.
func (r *Router) pull(o *outbox, q *queued) {
	at := 0
	if o.items[0] != q {
		at = slices.Index(o.items, q)
	}
	r.takeOut(o, at)
}

// takeOut is remove for what stands at a place; r.mu is held.
func (r *Router) takeOut(o *outbox, at int) {
	q := o.items[at]
	if at == 0 {
		o.items[0] = nil
		o.items = o.items[1:]
	} else {
		o.items = slices.Delete(o.items, at, at+1)
	}
	o.forgetPresence(q)
	r.left(o, cost(q.Stanza))
}

// empty takes everything out of o.
func (r *Router) empty(o *outbox) []*queued {
	r.mu.Lock()
	defer r.mu.Unlock()
	items := o.items
	o.items, o.presence = nil, nil
	var size int64
	for _, q := range items {
		size += cost(q.Stanza)
	}
	r.left(o, size)
	return items
}

// count notes that size bytes more wait in o; r.mu is held.
func (r *Router) count(o *outbox, size int64) {
	if r.queuedFor == nil {
		r.queuedFor = make(map[string]int64)
	}
	r.queued += size
	if r.queuedFor[o.remote] += size; r.queuedFor[o.remote] == 0 {
		delete(r.queuedFor, o.remote)
	}
}

// left notes that size bytes have left o; r.mu is held.
func (r *Router) left(o *outbox, size int64) {
	r.count(o, -size)
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// requeue puts what a link took and did not write at the head of its outboxes, for the next link. A router that has
// closed has no next link, and bounces.
func (r *Router) requeue(ctx context.Context, unsent []*queued) {
	if len(unsent) == 0 {
		return
	}
	byRoute := make(map[route][]*queued)
	for _, q := range unsent {
		byRoute[routeOf(q.Stanza)] = append(byRoute[routeOf(q.Stanza)], q)
	}
	r.mu.Lock()
	over := r.state == closed
	if !over {
		for key, stanzas := range byRoute {
			o := r.outbox(key)
			o.items = append(stanzas, o.items...)
			for _, q := range stanzas {
				r.count(o, cost(q.Stanza))
			}
			r.wake(o)
		}
	}
	r.mu.Unlock()
	if over {
		r.bounceAll(ctx, unsent, ErrClosed)
	}
}

// drain sends what is in o until nothing waits.
func (r *Router) drain(ctx context.Context, o *outbox) {
	var link *Link
	var sent *queued // taken by link, and still in o
	for {
		q, usual, ok := r.follow(o, sent)
		if sent != nil {
			sent.leave()
			sent = nil
		}
		if !ok {
			if link != nil {
				link.lull(ctx)
			}
			return
		}
		if r.hosted(o.remote) {
			r.remove(o, q)
			r.deliver(ctx, q.Stanza, draining{r}, force)
			r.forget(q)
			continue
		}
		if q.tail == nil && r.expire(ctx, o, q) {
			continue
		}
		if link = usual; link == nil || q.tail != nil || !r.hosted(o.local) {
			var err error
			if link, err = r.linkFor(ctx, o.route); err != nil {
				if !r.persist(ctx, o, err) {
					r.giveUp(ctx, o, err)
				}
				continue
			}
			if link == nil {
				continue
			}
			if q, ok = r.head(o); !ok { // a link that ended meanwhile may have given back what goes first
				return
			}
			if q.tail != nil && !r.settle(ctx, o, q, link) || r.expire(ctx, o, q) {
				continue
			}
		}
		err := link.give(ctx, q)
		switch {
		case err == nil:
			sent = q
		case link.alive() && ctx.Err() == nil:
			// This stanza cannot go by this link; what follows can.
			r.remove(o, q)
			r.bounce(ctx, q, err)
		default:
			r.retire(ctx, link)
		}
	}
}

// giveUp bounces all that waits in o.
func (r *Router) giveUp(ctx context.Context, o *outbox, err error) {
	waiting := r.empty(o)
	r.log(ctx, slog.LevelWarn, "domain not reached", "local", o.local, "remote", o.remote, "stanzas", len(waiting), "error", err)
	r.bounceAll(ctx, waiting, err)
}

// bounceAll bounces what has not arrived. Of what may have arrived the sender hears just that.
func (r *Router) bounceAll(ctx context.Context, waiting []*queued, err error) {
	var doubt []*queued
	for _, q := range waiting {
		switch q.fate(ctx) {
		case absent:
			r.bounce(ctx, q, err)
		case doubtful:
			doubt = append(doubt, q)
			q.again = true
			r.bounce(ctx, q, err)
		case spent:
			doubt = append(doubt, q)
			r.forget(q)
		case arrived:
			r.forget(q)
		}
	}
	if len(doubt) > 0 {
		key := routeOf(doubt[0].Stanza)
		r.unacknowledged(ctx, []any{"local", key.local, "remote", key.remote}, doubt...)
	}
}

// bounce tells the sender of q, who is one of ours, that it did not arrive. It is called where stanzas are drained.
func (r *Router) bounce(ctx context.Context, q *queued, err error) {
	if q.key != "" && errors.Is(err, ErrClosed) {
		return // the store keeps it for the next start
	}
	if q.again {
		err = &doubtError{err}
	}
	r.Trace.bounced(q.Stanza, err)
	if reply := bounced(q.Stanza, err); reply != nil {
		r.deliver(ctx, reply, draining{r}, force)
	}
	r.forget(q)
}

// draining is the Sender of a handler that is called where an outbox is drained. It never waits for room: that might be room
// in the very outbox.
type draining struct{ r *Router }

func (d draining) Send(ctx context.Context, s *xmpp.Stanza) error { return d.r.send(ctx, s, refuse) }
