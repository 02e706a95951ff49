package psycswitch

import (
	"context"
	"fmt"

	"github.com/switchyard-im/switchyard/transcode"
)

// Held says what a router holds beside its trouble with domains; "" if nothing.
func Held(r *Router) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.door.mu.Lock()
	defer r.door.mu.Unlock()
	n := len(r.outboxes) + int(r.queued) + len(r.queuedFor) + len(r.links.all) + len(r.links.byRoute) + r.arrivals.held() + r.door.all + r.door.handshakes + len(r.door.from)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d outboxes with %d bytes, %d links for %d routes out and %d in, %d connections, %d in handshake, from %d networks",
		len(r.outboxes), r.queued, len(r.links.all), len(r.links.byRoute), r.arrivals.held(), r.door.all, r.door.handshakes, len(r.door.from))
}

// Presences is how many presences wait that newer ones may take the place of.
func Presences(r *Router) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.outboxes {
		n += len(o.presence)
	}
	return n
}

// Troubles is the number of routes with which a router remembers trouble.
func Troubles(r *Router) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.links.trouble.Len()
}

// MaxTroubles is the most that Troubles can be.
const MaxTroubles = maxTroubles

// InFlight is the number of stanzas that links have taken and peers have not acknowledged.
func InFlight(r *Router) (n int) {
	for _, l := range r.snapshot() {
		l.flight.mu.Lock()
		n += len(l.flight.items)
		l.flight.mu.Unlock()
	}
	return n
}

// EndLinks closes all links of a router in order, and returns when everything that came by them has been handled.
func EndLinks(ctx context.Context, r *Router) { r.end(ctx, func(*Link) bool { return true }) }

// Rest has all links of a router give up what they do not need while nothing comes, which they do after a while by themselves.
func Rest(r *Router) {
	for _, l := range r.snapshot() {
		l.rest()
	}
}

// ForgetAudiences has the circuits of a router lose what their peers have told them about audiences, as by a mistake.
func ForgetAudiences(r *Router) {
	for _, l := range r.snapshot() {
		if f := l.fanOut.Load(); f != nil && f != noFanOut {
			f.in.turn <- struct{}{}
			if f.in.in.Held() == 0 {
				f.in.in = transcode.FanIn{
					Root: f.in.in.Root, Admit: f.in.in.Admit, Charge: f.in.in.Charge, Limits: f.in.in.Limits, Hold: f.in.in.Hold, InOrder: true,
				}
			}
			<-f.in.turn
		}
	}
}
