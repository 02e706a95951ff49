package psycswitch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/switchyard-im/switchyard/internal/expiring"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A linkTable holds the links of a router; Router.mu guards it.
type linkTable struct {
	all     map[*Link]bool
	byRoute map[route]*Link // what goes a route goes by this link until its end
	trouble expiring.Map[route, trouble]
	broken  map[route]*xmpp.Stream // whose sessions may be taken up

	dialling map[string]*turn // by the address that is dialled
	ups      int              // links so far
}

// trouble is what went wrong on a route, for as long as that is a reason to be slow.
type trouble struct {
	err     error     // why the domain was given up
	retry   time.Time // no attempt before
	backoff time.Duration

	hope  time.Time // a link worked not long ago: until then nothing is given up
	tries int       // that failed since
}

const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute

	// maxTries is how many links in a row may come up and end at once, without having taken anything, before the domain counts as not
	// reached. Between tries there are pauses, which double.
	maxTries   = 4
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second

	// atOnce is how soon a link has to end for that.
	atOnce = 10 * time.Second

	// hopeTime is how long a domain is tried again whose last link has worked.
	hopeTime = 30 * time.Second

	// troubleAge is how long trouble is remembered, and maxTroubles for how many routes.
	troubleAge  = 10 * time.Minute
	maxTroubles = 10_000

	// maxAsked is how many links are asked to carry one more route before a new one is dialled, askTimeout what each of them may
	// take to answer.
	maxAsked   = 3
	askTimeout = 10 * time.Second

	// maxLinkAge is when a link that we dialled is closed, to be dialled anew by what we send next: what either side has
	// proved holds for proofLife.
	maxLinkAge = 23 * time.Hour
	proofLife  = 24 * time.Hour

	defaultIdle = 15 * time.Minute
)

var errBreaks = errors.New("psycswitch: links end as soon as they are up")

// adopt makes link one of the router's, and reads it.
func (r *Router) adopt(link *Link) {
	r.mu.Lock()
	r.links.all[link] = true
	r.links.ups++
	late := r.state == closed || r.state == quiescing && !link.dialled
	r.mu.Unlock()
	for _, key := range link.incoming() {
		r.arrivals.claim(link, key)
	}
	link.adopted.Store(true)
	r.Trace.linkUp(link.Info())
	r.log(r.run, slog.LevelInfo, "link up", link.attrs()...)
	r.goOn(link)
	if link.dialled {
		r.yield(link)
	}
	if late {
		// The peer could not know, and may have sent something already.
		r.reading.Go(func() { link.Close() })
	}
}

// errRest ends a loop over the stanzas of a link by which nothing comes, for another one to begin.
var errRest = errors.New("psycswitch: link at rest")

// goOn reads link in a new goroutine, until the link ends or is to rest.
func (r *Router) goOn(link *Link) {
	ctx, rest := context.WithCancelCause(r.run)
	link.reading.Store(&rest)
	r.reading.Go(func() {
		defer rest(nil)
		if err := r.read(ctx, link); errors.Is(err, errRest) {
			r.goOn(link)
		} else {
			r.finish(link, err)
		}
	})
}

// read hands what comes by link to the handler until the link or ctx ends.
func (r *Router) read(ctx context.Context, link *Link) error {
	for s, err := range link.Stanzas(ctx) {
		if err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		r.take(link, s)
	}
	return nil
}

// take hands what has come by link to the handler.
func (r *Router) take(link *Link, s *xmpp.Stanza) {
	if r.moved(r.run, link, s) {
		return
	}
	link.busy.Store(true)
	r.arrive(r.run, link, route{local: s.To.Domain(), remote: s.From.Domain()})
	r.deliver(r.run, s, r, insist)
	link.busy.Store(false)
}

// finish ends a link by which nothing comes any more; err is why.
func (r *Router) finish(link *Link, err error) {
	defer link.visit.leave()
	defer close(link.released)
	defer r.arrivals.departed(link)
	r.retire(r.run, link)
	r.Trace.linkDown(link.Info(), err)
	r.log(r.run, slog.LevelInfo, "link down", append(link.attrs(), "error", err)...)
}

// retire closes link if it is not closed yet, and puts what it has not written back into the outboxes. When it returns, all
// that has been done, whoever did it.
func (r *Router) retire(ctx context.Context, link *Link) {
	if !link.retiring.CompareAndSwap(false, true) {
		<-link.retired
		return
	}
	defer close(link.retired)
	link.Close()
	var lost []*queued
	left, unsent := link.undelivered(func(q *queued) { lost = append(lost, q) })
	r.unacknowledged(ctx, link.attrs(), lost...)
	for _, q := range lost {
		r.forget(q)
	}
	r.keepSession(link)
	r.requeue(ctx, left) // as long as the routes are the link's, nobody sends by another one
	broken := link.given.Load() <= int64(unsent) && time.Since(link.since) < atOnce && link.dialled && !link.yielded.Load()
	r.mu.Lock()
	delete(r.links.all, link)
	for key, l := range r.links.byRoute {
		if l != link {
			continue
		}
		delete(r.links.byRoute, key)
		t, _ := r.links.trouble.Get(key)
		switch {
		case broken:
			t.tries++
		case len(left) > 0 && t.tries < maxTries:
			t.hope = time.Now().Add(hopeTime) // whether anything has arrived the next link will tell
		case len(left) > 0:
		default:
			t = trouble{hope: time.Now().Add(hopeTime)}
		}
		r.note(key, t)
	}
	r.mu.Unlock()
}

// note remembers trouble; r.mu is held.
func (r *Router) note(key route, t trouble) {
	r.links.trouble.Put(key, t, time.Now().Add(troubleAge), maxTroubles)
}

// linkFor returns the link that what goes by key has to take: the one that it took before, another one that may carry it, or a
// new one. It returns neither a link nor an error when the caller has to begin anew: the link before has just been retired, and may
// have given back what goes first, or there is still hope.
func (r *Router) linkFor(ctx context.Context, key route) (*Link, error) {
	r.mu.Lock()
	link, ups, over := r.links.byRoute[key], r.links.ups, r.state == closed
	r.mu.Unlock()
	switch {
	case over:
		return nil, ErrClosed
	case !r.hosted(key.local):
		return nil, fmt.Errorf("psycswitch: sending from %s: %w", key.local, ErrNotHosted)
	case link != nil && link.alive() && link.upholds(key):
		return link, nil
	case link != nil && link.alive():
		r.unassign(key, link)
	case link != nil:
		r.retire(ctx, link)
		return nil, nil
	}
	if link = r.find(ctx, key); link != nil {
		return link, nil
	}
	r.mu.Lock()
	t, _ := r.links.trouble.Get(key)
	hope := r.state == serving && time.Now().Before(t.hope)
	r.mu.Unlock()
	if t.err != nil && time.Now().Before(t.retry) {
		return nil, t.err
	}
	var err error
	if t.tries >= maxTries && !hope {
		err = fmt.Errorf("psycswitch: %v: %w: %w", key, ErrUnreachable, errBreaks)
	} else {
		if t.tries > 0 {
			pause(ctx, jittered(min(firstPause<<min(t.tries-1, 10), lastPause)))
		}
		if link = r.near(ctx, key); link != nil {
			return link, nil
		}
		mine := &turn{r: r, key: key, ups: ups}
		defer mine.end()
		if link, err = dial(ctx, &r.Config, key, r.brokenStream(key), mine.take); errors.Is(err, errLinked) {
			return nil, nil
		}
	}
	r.mu.Lock()
	if err != nil {
		if hope && !notFound(err) {
			t.tries++
			r.note(key, t)
			r.mu.Unlock()
			return nil, nil
		}
		t.tries, t.hope, t.backoff = 0, time.Time{}, min(max(2*t.backoff, firstBackoff), lastBackoff)
		t.err, t.retry = err, time.Now().Add(jittered(t.backoff))
		r.note(key, t)
		r.mu.Unlock()
		return nil, err
	}
	t.err, t.backoff = nil, 0
	r.note(key, t)
	r.links.byRoute[key] = link
	r.mu.Unlock()
	r.adopt(link)
	return link, nil
}

// find returns a link that carries key already, or that the peer lets carry it, and has key take it from now on.
func (r *Router) find(ctx context.Context, key route) *Link {
	var may, others []*Link
	for _, l := range r.snapshot() {
		switch {
		case l.carries(key):
			if r.assign(key, l) {
				return l
			}
		case l.mayCarry(key):
			may = append(may, l)
		default:
			others = append(others, l)
		}
	}
	for _, l := range others {
		if len(may) == 0 && l.certified(key.remote) {
			may = append(may, l)
		}
	}
	for _, l := range may[:min(len(may), maxAsked)] {
		if err := l.ask(ctx, key); err != nil {
			r.log(ctx, slog.LevelDebug, "pair not authorized", append(l.attrs(), "error", err)...)
			continue
		}
		if r.assign(key, l) {
			return l
		}
	}
	return nil
}

// assign has key take link from now on, unless that is no link of the router's any more.
func (r *Router) assign(key route, link *Link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.links.all[link] {
		return false
	}
	r.links.byRoute[key] = link
	if _, circuit := link.carrier(); circuit != nil {
		r.spoken.works(key.local, key.remote)
	}
	return true
}

// end closes links in order and waits until all that came by them has been handled, or until ctx ends. It returns how many
// there were.
func (r *Router) end(ctx context.Context, which func(*Link) bool) int {
	var ending []*Link
	for _, l := range r.snapshot() {
		if which(l) {
			ending = append(ending, l)
			r.reading.Go(func() { l.Close() })
		}
	}
	for _, l := range ending {
		select {
		case <-l.released:
		case <-ctx.Done():
			return len(ending)
		}
	}
	return len(ending)
}

func (r *Router) snapshot() []*Link {
	r.mu.Lock()
	defer r.mu.Unlock()
	links := make([]*Link, 0, len(r.links.all))
	for l := range r.links.all {
		links = append(links, l)
	}
	return links
}

// tend closes links that carry nothing any more, those that are too old, and those whose proofs have ended, until ctx ends.
func (r *Router) tend(ctx context.Context) {
	idle := r.Idle
	if idle == 0 {
		idle = defaultIdle
	}
	every := time.Minute
	if idle > 0 {
		every = min(every, max(idle/4, time.Millisecond))
	}
	for pause(ctx, every) {
		r.forgetSessions()
		for _, l := range r.snapshot() {
			l.presume(time.Now())
			quiet := l.quiet(time.Now())
			if quiet > 0 {
				l.rest()
			}
			switch {
			case idle > 0 && quiet >= idle && l.sends():
			case l.dialled && time.Since(l.since) >= maxLinkAge:
			case l.outlived(time.Now()), !r.stillCarries(l):
			default:
				r.renew(ctx, l)
				continue
			}
			r.log(ctx, slog.LevelDebug, "link closed", append(l.attrs(), "idle", quiet)...)
			r.reading.Go(func() { l.Close() })
		}
	}
}

// routesOf returns what goes by link.
func (r *Router) routesOf(link *Link) (keys []route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, l := range r.links.byRoute {
		if l == link {
			keys = append(keys, key)
		}
	}
	return keys
}

// stillCarries reports whether what goes by link may still do so: the peer's proofs hold, or it proves itself anew.
func (r *Router) stillCarries(link *Link) bool {
	for _, key := range r.routesOf(link) {
		switch {
		case link.carries(key), link.certified(key.remote) && link.carries(key):
		case link.changed.Load():
			r.unassign(key, link) // it goes on for the others
		default:
			return false
		}
	}
	return true
}

// jittered returns d or up to a quarter less, so that not everybody who has lost the same server tries again at the same moment.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

// pause waits for d and reports whether it was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
