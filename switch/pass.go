package psycswitch

import (
	"context"

	"github.com/switchyard-im/switchyard/transcode"
)

// hurried is the context of who must not wait: it has ended.
var hurried = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// pass has the link that the route of q takes take q at once, in the goroutine of its sender, and reports whether it has done so. It does not
// where anything else waits to go there, nor where it would have to wait itself. What one sender sends stays in order: where nothing is in
// the outbox, links have all that was there.
func (r *Router) pass(q *queued) bool {
	key := routeOf(q.Stanza)
	r.mu.Lock()
	link, waiting := r.usual(key), r.outboxes[key] != nil
	r.mu.Unlock()
	if link == nil || waiting || r.hosted(key.remote) || !link.offer(q) {
		return false
	}
	q.leave()
	return true
}

// offer is give for who must not wait. It reports whether the link has taken q; if not, q may have a tail.
func (l *Link) offer(q *queued) bool {
	select {
	case l.turn <- struct{}{}:
	default:
		return false
	}
	if l.waits(q) {
		<-l.turn
		return false
	}
	number, err := l.carry(hurried, q.Stanza, q)
	<-l.turn
	if err != nil || l.noted(number, q, q.at) != nil {
		return false
	}
	l.cfg.barriers.passed(hurried, l, q.Stanza)
	return true
}

// waits reports whether sending q may take longer than it takes to find room: packets to psyced keep their distance, and the fan-out waits for
// more of its kind. It is the turn of the caller.
func (l *Link) waits(q *queued) bool {
	_, circuit := l.carrier()
	if circuit == nil {
		return false
	}
	f := l.fanOut.Load()
	return !circuit.Profile() || transcode.Broadcast(q.Stanza) || f != nil && f != noFanOut && !f.alone(q.Stanza)
}
