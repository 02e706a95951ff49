package psycswitch

import (
	"context"
	"errors"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Lifetimes are how old a stanza may become, from Send on, until it is given up: nobody waits for it any more. Its sender hears of it as of
// any other that cannot be delivered. Zero fields have the documented defaults, negative ones mean for ever.
type Lifetimes struct {
	IQ       time.Duration // 1 min
	Presence time.Duration // 5 min; subscriptions count as messages
	Message  time.Duration // 1 h
}

const (
	iqLife       = time.Minute
	presenceLife = 5 * time.Minute
	messageLife  = time.Hour

	// forEver is longer than anything waits.
	forEver = 1 << 62
)

var errExpired = errors.New("psycswitch: waited for too long")

// of returns the lifetime of s.
func (l *Lifetimes) of(s *xmpp.Stanza) time.Duration {
	life, byDefault := l.Message, messageLife
	switch {
	case s.Kind == xmpp.IQ:
		life, byDefault = l.IQ, iqLife
	case s.Kind == xmpp.Presence && (available(s) || s.Type == "probe" || s.Type == "error"):
		life, byDefault = l.Presence, presenceLife
	}
	switch {
	case life < 0:
		return forEver
	case life == 0:
		return byDefault
	}
	return life
}

// available reports whether s says that somebody is available or not.
func available(s *xmpp.Stanza) bool {
	return s.Kind == xmpp.Presence && (s.Type == "" || s.Type == "unavailable")
}

// expire gives q up, which is first in o, if it is too old.
func (r *Router) expire(ctx context.Context, o *outbox, q *queued) bool {
	if time.Since(q.at) < r.Lifetimes.of(q.Stanza) {
		return false
	}
	r.remove(o, q)
	r.bounce(ctx, q, errExpired)
	return true
}

// expired takes out of o what is too old, wherever it stands, and returns when the next will be.
func (r *Router) expired(o *outbox) (old []*queued, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, kept := time.Now(), o.items[:0]
	var size int64
	for _, q := range o.items {
		switch end := q.at.Add(r.Lifetimes.of(q.Stanza)); {
		case !now.Before(end):
			old = append(old, q)
			o.forgetPresence(q)
			size += cost(q.Stanza)
			continue
		case next.IsZero() || end.Before(next):
			next = end
		}
		kept = append(kept, q)
	}
	clear(o.items[len(kept):])
	o.items = kept
	r.left(o, size)
	return old, next
}

// persist waits for the next attempt to reach the domain of o, which has failed, and gives up what is too old meanwhile. It reports whether
// there is to be one.
func (r *Router) persist(ctx context.Context, o *outbox, err error) bool {
	r.mu.Lock()
	t, _ := r.links.trouble.Get(o.route)
	serves, taking := r.state == serving, r.taking
	r.mu.Unlock()
	if !r.Persist || !serves || notFound(err) || !errors.Is(err, ErrUnreachable) {
		return false
	}
	old, next := r.expired(o)
	r.bounceAll(ctx, old, err)
	wait := time.Until(t.retry)
	if !next.IsZero() {
		wait = min(wait, time.Until(next))
	}
	pause(taking, max(wait, 0))
	return true
}

// A pairOfUsers is what presence is replaced for.
type pairOfUsers struct{ from, to uniform.JID }

// supersede notes that q, which is about to be put into o, is the newest presence of its sender to its target: those before need not be sent.
// Presence to a full address may be a step in a conversation with a room, and stays. Router.mu is held.
func (o *outbox) supersede(q *queued) {
	if !available(q.Stanza) || q.To.Resource() != "" {
		return
	}
	key := pairOfUsers{q.From, q.To}
	if older := o.presence[key]; older != nil {
		older.superseded = true
	}
	if o.presence == nil {
		o.presence = make(map[pairOfUsers]*queued)
	}
	o.presence[key] = q
}

// forgetPresence is called for what leaves o. Router.mu is held.
func (o *outbox) forgetPresence(q *queued) {
	if o.presence == nil || !available(q.Stanza) {
		return
	}
	if key := (pairOfUsers{q.From, q.To}); o.presence[key] == q {
		delete(o.presence, key)
	}
}
