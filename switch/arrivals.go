package psycswitch

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// A peer that has lost a link, or closed it, sends on by another one while we may still be at work on what came by the first.
// What comes by the second waits until then, or it would overtake. A link takes its place in the row as soon as the peer may send by it,
// which may be before the router has it: while it is being dialled or accepted.

const (
	// silence is how long nothing may have come by a link that has not ended, for another one to go on: all that was on its way has
	// been read by then.
	silence = 100 * time.Millisecond

	// tailTime is how long the links before it may keep a link waiting.
	tailTime = 5 * time.Second
)

// arrivals are the links of a router in the order in which they began to carry what comes in.
type arrivals struct {
	mu sync.Mutex

	// rows has the links of each route, first come first; a link leaves when it has ended, or when another one has waited for it.
	rows map[route][]*Link

	// streams are the accepted links that may be XMPP streams, whose proofs nobody announces, in the order of their connections.
	streams []*Link
}

// expect notes that link has been accepted, before the peer can prove anything by it.
func (a *arrivals) expect(link *Link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams = append(a.streams, link)
}

// claim gives link its place among those by which key comes in, behind streams whose peers may send by key already.
func (a *arrivals) claim(link *Link, key route) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if link.claims[key] || link.gone {
		return
	}
	for _, other := range a.streams {
		if other != link && !other.claims[key] && other.receivesFrom(key) {
			a.append(other, key)
		}
	}
	a.append(link, key)
}

// append needs the lock.
func (a *arrivals) append(link *Link, key route) {
	if link.claims == nil {
		link.claims = make(map[route]bool)
	}
	link.claims[key] = true
	if a.rows == nil {
		a.rows = make(map[route][]*Link)
	}
	a.rows[key] = append(a.rows[key], link)
}

// claimed reports whether link has a place among those by which key comes in.
func (a *arrivals) claimed(link *Link, key route) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return link.claims[key]
}

// routesOf returns what comes by link, or may.
func (a *arrivals) routesOf(link *Link) []route {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(link.claims))
}

// before returns the links in front of link, first come first.
func (a *arrivals) before(link *Link, key route) []*Link {
	a.mu.Lock()
	defer a.mu.Unlock()
	row := a.rows[key]
	return slices.Clone(row[:max(slices.Index(row, link), 0)])
}

// pass takes the links in front of link out of the row: nothing has to wait for them any more.
func (a *arrivals) pass(link *Link, key route) {
	a.mu.Lock()
	defer a.mu.Unlock()
	row := a.rows[key]
	if at := slices.Index(row, link); at > 0 {
		a.rows[key] = slices.Delete(row, 0, at)
	}
}

// departed takes a link by which nothing comes any more out of all rows.
func (a *arrivals) departed(link *Link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	link.gone = true
	if at := slices.Index(a.streams, link); at >= 0 {
		a.streams = slices.Delete(a.streams, at, at+1)
	}
	for key := range link.claims {
		row := a.rows[key]
		if at := slices.Index(row, link); at >= 0 {
			row = slices.Delete(row, at, at+1)
		}
		if len(row) == 0 {
			delete(a.rows, key)
		} else {
			a.rows[key] = row
		}
	}
}

// held returns how much there is.
func (a *arrivals) held() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.rows) + len(a.streams)
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
	r.arrivals.claim(link, key)
	if before := r.arrivals.before(link, key); len(before) > 0 {
		ctx, cancel := context.WithTimeout(ctx, tailTime)
		defer cancel()
		for _, l := range before {
			l.awaitTail(ctx)
		}
		r.arrivals.pass(link, key)
	}
}

// awaitTail waits until the link has ended and all of it is handled, or until nothing comes by it any more.
func (l *Link) awaitTail(ctx context.Context) {
	for {
		taken := l.taken.Load()
		quiet := time.NewTimer(silence)
		select {
		case <-quiet.C:
			if l.adopted.Load() && l.taken.Load() == taken && !l.busy.Load() {
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
