package psycswitch

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

// Two servers that dial each other at the same moment have two circuits, of which each carries both directions. Both servers tell in the
// same way which of them stays, and the one that has dialled the other closes that, as in BGP (RFC 4271 section 6.8, "connection
// collision detection").

// A precedence says which of the circuits between two servers stays. Both of them know all of it, and in the same form.
type precedence struct {
	plain  bool   // without TLS
	caller string // host of the root entity by which the side greets that has dialled
}

// before reports whether p stays rather than q. A circuit without TLS never stays for one with it; otherwise the smaller name decides, byte
// by byte.
func (p precedence) before(q precedence) bool {
	if p.plain != q.plain {
		return q.plain
	}
	return p.caller < q.caller
}

// precedence is that of a circuit to another Switchyard; false if the side that has dialled gives no name.
func (l *Link) precedence() (p precedence, ok bool) {
	_, circuit := l.carrier()
	root := circuit.Peer().Root
	if l.dialled {
		root = rootEntity(l.local)
	}
	u, err := uniform.Parse(root)
	return precedence{plain: l.Info().TLS == nil, caller: u.Host()}, err == nil
}

// peer returns the instance of the Switchyard to which the link is a circuit; "" if it is something else, or about to end.
func (l *Link) peer() string {
	_, circuit := l.carrier()
	if circuit == nil || !l.alive() || !circuit.Profile() {
		return ""
	}
	return circuit.Peer().Instance
}

// collided is called when the peer of link, who has dialled it, has been let send something more by it: circuits that we have dialled to the
// same peer may be superfluous.
func (r *Router) collided(link *Link) {
	link.heard.Store(true)
	peer := link.peer()
	if peer == "" {
		return
	}
	for _, l := range r.snapshot() {
		if l.dialled && l.peer() == peer {
			r.yield(l)
		}
	}
}

// yield closes link, which we have dialled, if circuits that the same peer has dialled stay rather than this one, and carry all that it does.
// It does not wait for that.
func (r *Router) yield(link *Link) {
	if link.collisions.Add(1) > 1 {
		return // who is at it looks again
	}
	r.reading.Go(func() {
		for seen := int64(1); ; seen = link.collisions.Load() {
			if r.calm(r.taking, link) && r.replaced(r.taking, link) {
				r.log(r.run, slog.LevelDebug, "link superfluous", link.attrs()...)
				link.yielded.Store(true)
				link.Close() // what it has taken goes before all that its routes take from now on, see retire
				return
			}
			if link.collisions.CompareAndSwap(seen, 0) {
				return
			}
		}
	})
}

// calmTime is how long nothing comes or goes by a circuit that is closed because another one replaces it.
const calmTime = time.Second

// calm waits until all that has come or gone by link has been handled, and nothing does any more. Before that servers that have more to do than they can
// would not come to the end of the circuit in time, and then not know what has arrived. It reports whether link still lasts, and there is one that
// stays rather than it.
func (r *Router) calm(ctx context.Context, link *Link) bool {
	for before := int64(-1); len(r.preceding(link)) > 0 && pause(ctx, calmTime); {
		n := link.taken.Load() + link.given.Load()
		if n == before && !link.busy.Load() && link.flight.sentBefore(time.Now()) == 0 {
			return true
		}
		before = n
	}
	return false
}

// replaced reports whether other circuits carry all that goes and comes by link. What they do not carry yet the peer is asked for, once.
func (r *Router) replaced(ctx context.Context, link *Link) bool {
	asked := make(map[route]bool)
	for ctx.Err() == nil {
		others := r.preceding(link)
		if len(others) == 0 {
			return false
		}
		var keys []route
		for _, key := range append(r.routesOf(link), r.arrivals.routesOf(link)...) {
			if !asked[key] && r.hosted(key.local) {
				asked[key] = true
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			return true
		}
		if !r.askAll(ctx, keys, others) {
			return false
		}
	}
	return false
}

// preceding returns the circuits that the peer of link has dialled and that stay rather than link, the first one first. Those by which it
// has not been let send anything yet are none of them: it may not have proved who it is, and nobody may be reading what it answers.
func (r *Router) preceding(link *Link) (others []*Link) {
	peer := link.peer()
	if peer == "" {
		return nil
	}
	own, ok := link.precedence()
	if !ok {
		return nil
	}
	ranks := make(map[*Link]precedence)
	for _, l := range r.snapshot() {
		if !l.heard.Load() || l.peer() != peer {
			continue
		}
		if p, ok := l.precedence(); ok && p.before(own) {
			ranks[l] = p
			others = append(others, l)
		}
	}
	slices.SortFunc(others, func(a, b *Link) int { return cmp.Compare(ranks[a].caller, ranks[b].caller) })
	return others
}

// askAll asks the peer to let each of the keys go by one of links, and reports whether it does.
func (r *Router) askAll(ctx context.Context, keys []route, links []*Link) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var refused atomic.Bool
	var asking sync.WaitGroup
	for _, key := range keys {
		asking.Go(func() {
			if !r.askOne(ctx, key, links) {
				refused.Store(true)
				cancel()
			}
		})
	}
	asking.Wait()
	return !refused.Load()
}

// askOne is askAll for one key. The link by which it comes the other way is the best guess.
func (r *Router) askOne(ctx context.Context, key route, links []*Link) bool {
	if back := slices.IndexFunc(links, func(l *Link) bool { return r.arrivals.claimed(l, key) }); back > 0 {
		links = slices.Insert(slices.Clone(links), 0, links[back])
	}
	for _, l := range links[:min(len(links), maxAsked)] {
		err := l.ask(ctx, key)
		if err == nil {
			return true
		}
		r.log(ctx, slog.LevelDebug, "pair not authorized", append(l.attrs(), "error", err)...)
	}
	return false
}
