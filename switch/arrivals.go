package psycswitch

import (
	"context"
	"time"
)

// A peer that has lost a link, or closed it, sends on by another one while we may still be at work on what came by the first.
// What comes by the second waits until then, or it would overtake. A link takes its place in the row as soon as the peer may send by it.

const (
	// silence is how long nothing may have come by a link that has not ended, for another one to go on: all that was on its way has
	// been read by then.
	silence = 100 * time.Millisecond

	// tailTime is how long the end of one link may keep another one waiting.
	tailTime = 5 * time.Second
)

// claim gives link its place among those by which key comes in.
func (r *Router) claim(link *Link, key route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := link.before[key]; known || link.gone {
		return
	}
	if link.before == nil {
		link.before = make(map[route]*Link)
	}
	link.before[key] = r.links.arrivals[key]
	r.links.arrivals[key] = link
}

// arrive waits, before the first stanza of a route that comes by link, for what has come by others. Only the goroutine that reads link
// calls it.
func (r *Router) arrive(ctx context.Context, link *Link, key route) {
	if key == link.arriving || link.arrived[key] {
		link.arriving = key
		return
	}
	if link.arrived == nil {
		link.arrived = make(map[route]bool)
	}
	link.arrived[key], link.arriving = true, key
	r.claim(link, key)
	for before := r.predecessor(link, key); before != nil; before = r.predecessor(before, key) {
		before.awaitTail(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	link.before[key] = nil // lets go of links that have gone
}

func (r *Router) predecessor(link *Link, key route) *Link {
	r.mu.Lock()
	defer r.mu.Unlock()
	return link.before[key]
}

// departed takes a link by which nothing comes any more out of all rows.
func (r *Router) departed(link *Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	link.gone = true
	for key, before := range link.before {
		if r.links.arrivals[key] != link {
			continue
		}
		for before != nil && before.gone {
			before = before.before[key]
		}
		if before != nil {
			r.links.arrivals[key] = before
		} else {
			delete(r.links.arrivals, key)
		}
	}
}

// awaitTail waits until the link has ended and all of it is handled, or until nothing comes by it any more.
func (l *Link) awaitTail(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tailTime)
	defer cancel()
	for {
		taken := l.taken.Load()
		quiet := time.NewTimer(silence)
		select {
		case <-quiet.C:
			if l.taken.Load() == taken && !l.busy.Load() {
				return
			}
		case <-l.released:
			quiet.Stop()
			return
		case <-ctx.Done():
			quiet.Stop()
			return
		}
	}
}
