package psycswitch

import (
	"context"
	"errors"
	"time"
)

// maxTurn is how long a route waits for another one that dials the same server.
const maxTurn = 5 * time.Second

// errLinked says that a route need not dial any more.
var errLinked = errors.New("psycswitch: another link carries it")

// A turn keeps the routes of a router from dialling one server all at the same moment: the link that the first of them gets may be
// a circuit, which carries the others, too.
type turn struct {
	r    *Router
	key  route
	ups  int           // links that there had been when the route looked for one
	addr string        // whose turn it is, "" if it has none
	over chan struct{} // closed at its end
}

// take waits while another route dials the server that h names, and reports whether a link has come about meanwhile that carries the route as
// well. If not, the route dials, and has the turn unless another one has. Only the first hint counts: who has a turn never waits.
func (t *turn) take(ctx context.Context, h Hint) (linked bool) {
	if !t.r.mayShare(t.key, h) {
		return false
	}
	t.r.mu.Lock()
	other, looked := t.r.links.dialling[h.Addr], t.r.links.ups == t.ups
	if other == nil {
		t.addr, t.over = h.Addr, make(chan struct{})
		t.r.links.dialling[h.Addr] = t
	}
	t.r.mu.Unlock()
	switch {
	case other != nil:
		patience := time.NewTimer(maxTurn)
		defer patience.Stop()
		select {
		case <-other.over:
		case <-patience.C:
		case <-ctx.Done():
		}
	case looked:
		return false
	}
	return t.r.find(ctx, t.key) != nil || t.r.near(ctx, t.key) != nil
}

// end lets the others go on.
func (t *turn) end() {
	if t.addr == "" {
		return
	}
	t.r.mu.Lock()
	delete(t.r.links.dialling, t.addr)
	t.r.mu.Unlock()
	close(t.over)
}

// mayShare reports whether what comes of dialling h for key may carry more: on circuits domains are proved by certificate, or by the address
// from which, or at which, the other end was dialled. psyced wants a circuit for each proof.
func (r *Router) mayShare(key route, h Hint) bool {
	if !r.speaks(PSYC) || r.psyced(key.remote) {
		return false
	}
	cert, err := r.Hosts.Certificate(key.local)
	return h.Protocol == PSYC || err == nil && cert != nil
}
