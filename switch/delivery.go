package psycswitch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A queued is a stanza that a router has taken, until it is delivered or bounced. It is in an outbox, or in flight on a link, or both
// for the moment between. Who drains the outbox of its route has it.
type queued struct {
	*xmpp.Stanza
	at  time.Time // when it was taken
	key string    // in the store; "" if it is not there

	superseded bool // something newer stands behind it in its outbox; Router.mu guards it

	tail   *tail  // a link that has broken had taken it; nil: nobody has, or nobody got it
	number uint64 // in the session of that link
	again  bool   // it may have arrived before
	doubts int    // how often it went again because of that

	copied *xmpp.StanzaBuffer // where Stanza lies, nil if nobody else has that memory
	left   atomic.Int32       // see leave
}

// A flight is what a link has taken and its peer has not acknowledged, in the order in which it was written.
type flight struct {
	mu    sync.Mutex
	items []flying // from head on
	head  int
	acked uint64
	tail  *tail     // not nil: the link has ended, and items are no longer here
	spare []*queued // memory for acknowledge, nil while somebody has it
}

type flying struct {
	number uint64
	sent   time.Time
	*queued
}

// add notes that q was taken as number. After the end of the link it is q's bearer who has to care for it, and the tail is returned.
func (f *flight) add(number uint64, q *queued, sent time.Time) (over *tail, acknowledged bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case number <= f.acked:
		return nil, true
	case f.tail != nil:
		return f.tail, false
	}
	at := len(f.items) // who writes and who notes it are not always in the same order
	for at > f.head && f.items[at-1].number > number {
		at--
	}
	f.items = slices.Insert(f.items, at, flying{number, sent, q})
	return nil, false
}

// acknowledge takes out what has a number up to n, if anything. The caller gives the slice back by done.
func (f *flight) acknowledge(n uint64) (delivered []*queued) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked = max(f.acked, n)
	if f.head == len(f.items) || f.items[f.head].number > n {
		return nil
	}
	delivered, f.spare = f.spare[:0], nil
	for ; f.head < len(f.items) && f.items[f.head].number <= n; f.head++ {
		delivered = append(delivered, f.items[f.head].queued)
		f.items[f.head] = flying{}
	}
	if f.head >= len(f.items)/2 { // what is left moves seldom, however much it is
		f.items = slices.Delete(f.items, 0, f.head)
		f.head = 0
	}
	return delivered
}

// done takes back what acknowledge returned.
func (f *flight) done(delivered []*queued) {
	clear(delivered)
	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(delivered) <= maxSpare {
		f.spare = delivered
	}
}

// sentBefore returns the number of the last stanza that was sent before t, 0 if there is none.
func (f *flight) sentBefore(t time.Time) (number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, item := range f.items[f.head:] {
		if !item.sent.Before(t) {
			break
		}
		number = item.number
	}
	return number
}

// end takes out all there is.
func (f *flight) end(t *tail) []flying {
	f.mu.Lock()
	defer f.mu.Unlock()
	items := f.items[f.head:]
	f.items, f.head, f.tail = nil, 0, t
	for _, item := range items {
		item.stay()
	}
	t.received = max(t.received, f.acked)
	return items
}

// A tail is what the peer of a link had not acknowledged when that ended. It is settled when the peer has said, on another
// one, how much of it has arrived, or when it is clear that nobody will know.
type tail struct {
	session psyc.Session
	since   time.Time
	base    uint64        // what had arrived before the link
	unsent  uint64        // the first number that was not written; 0: any may have been
	turn    chan struct{} // held by who asks the peer; guards the rest

	stream   *xmpp.Stream // of whose session this is the tail, nil for that of a circuit, or when it is settled
	settled  bool
	known    bool   // the peer has said how much arrived
	received uint64 // how much that is, at least
	once     bool   // what is in doubt does not go again
}

const (
	// doubtTime is how long it may take to find out what has arrived of a tail, once there is a link again.
	doubtTime = time.Minute

	// askAgain is the pause before the next question.
	askAgain = time.Second

	// maxSpare is how many acknowledged stanzas there is room for in memory that is used again.
	maxSpare = 1024
)

// give has the link take q, and keeps q until the peer has acknowledged it.
func (l *Link) give(ctx context.Context, q *queued) error {
	number, err := l.transmit(ctx, q.outgoing(time.Now()), q)
	if number == grouped {
		q.stay() // the fan-out has it as well, even when it has arrived
	}
	if err != nil || number == grouped {
		return err
	}
	if err = l.noted(number, q, time.Now()); err == nil {
		l.cfg.barriers.passed(ctx, l, q.Stanza)
	}
	return err
}

// noted keeps q, which has been sent as number, until that is acknowledged.
func (l *Link) noted(number uint64, q *queued, sent time.Time) error {
	if number == 0 { // nobody will tell
		l.cfg.delivered([]*queued{q})
		return nil
	}
	over, acknowledged := l.flight.add(number, q, sent)
	if stream, _ := l.carrier(); stream != nil {
		l.told(stream, uint64(max(0, int64(number)-maxInFlight)))
	}
	switch {
	case over != nil:
		q.tail, q.number = over, number
		l.dead.Store(true)
		return errEnded
	case acknowledged:
		l.cfg.delivered([]*queued{q})
	}
	return nil
}

var errEnded = errors.New("psycswitch: link has ended")

// acknowledged is told by the circuit how many of its packets have arrived.
func (l *Link) acknowledged(n uint64) {
	if delivered := l.flight.acknowledge(n); len(delivered) > 0 {
		if l.cfg.delivered != nil {
			l.cfg.delivered(delivered)
		}
		l.flight.done(delivered)
	}
}

// undelivered returns, after the end of the link, what it took and what its peer may not have: it goes first by the next one. unsent is
// how much of it has not been written. doubt gets what may have arrived or not, and does not go again.
func (l *Link) undelivered(doubt func(*queued)) (left []*queued, unsent int) {
	l.turn <- struct{}{} // who is about to send finds that the link has ended, or has counted what it sent
	numbered := l.numbered
	<-l.turn
	given := l.unsent()
	waiting := l.ungroup()
	if _, circuit := l.carrier(); circuit != nil {
		if session, ok := circuit.Session(); ok {
			l.acknowledged(session.Acknowledged)
			t := &tail{session: session, since: time.Now(), turn: make(chan struct{}, 1)}
			if session.Final {
				t.settled, t.known, t.received = true, true, session.Acknowledged
			}
			for _, f := range l.flight.end(t) {
				f.tail, f.queued.number = t, f.number
				left = append(left, f.queued)
			}
			return append(left, waiting...), len(given) + len(waiting)
		}
	}
	if stream, _ := l.carrier(); stream != nil {
		left = l.streamed(stream, numbered-min(numbered, uint64(len(given))), len(given) == 0, doubt)
		return left, len(given) - l.cfg.barriers.among(given)
	}
	for _, s := range given {
		left = append(left, &queued{Stanza: s, at: time.Now()})
	}
	return append(left, waiting...), len(given) + len(waiting)
}

const (
	// maxInFlight is how many stanzas are kept that a server without stream management (XEP-0198) has been sent. Those before are
	// taken to have arrived: buffers do not hold as many.
	maxInFlight = 10_000

	// presumed is how long they are kept.
	presumed = time.Minute
)

// presume takes stanzas to have arrived that a server was sent long ago, so that a link that is idle keeps none.
func (l *Link) presume(now time.Time) {
	if stream, circuit := l.carrier(); circuit == nil && stream != nil {
		l.told(stream, l.flight.sentBefore(now.Add(-presumed)))
	}
}

// A fate is what is known of a stanza that a link had taken.
type fate uint8

const (
	absent   fate = iota // it has not arrived
	arrived              // it has
	doubtful             // nobody can tell, or has told yet
	spent                // nobody can tell, and it does not go again
)

// fate returns what is known of q.
func (q *queued) fate(ctx context.Context) fate {
	t := q.tail
	if t == nil {
		return absent
	}
	select {
	case t.turn <- struct{}{}:
	default: // somebody asks the peer
		select {
		case t.turn <- struct{}{}:
		case <-ctx.Done():
			return doubtful
		}
	}
	defer func() { <-t.turn }()
	return t.fate(q.number)
}

// fate is what is known of a number; turn is held.
func (t *tail) fate(number uint64) fate {
	switch {
	case number <= t.received:
		return arrived
	case t.known, t.unsent > 0 && number >= t.unsent:
		return absent
	case t.once:
		return spent
	}
	return doubtful
}

// settle finds out what has become of q, which is first in o and was taken by a link that has ended. It reports whether q is to
// be sent by link, for the first time or again.
func (r *Router) settle(ctx context.Context, o *outbox, q *queued, link *Link) bool {
	t := q.tail
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return false
	}
	if !t.settled && !r.ask(ctx, t, link, o.route) {
		return false
	}
	switch t.fate(q.number) {
	case absent:
		q.tail = nil
		return true
	case arrived:
		r.remove(o, q)
		r.forget(q)
		return false
	case spent:
		r.remove(o, q)
		r.unacknowledged(ctx, link.attrs(), q)
		r.forget(q)
		return false
	}
	r.unacknowledged(ctx, link.attrs(), q)
	q.doubts++
	if asks := q.Kind == xmpp.IQ && (q.Type == "get" || q.Type == "set"); asks || q.doubts > maxDoubts {
		// Who asks will ask again if it is safe to do so.
		q.again = q.again || !asks
		r.remove(o, q)
		r.bounce(ctx, q, xmpp.RemoteServerTimeout)
		return false
	}
	q.tail, q.again = nil, true
	return true
}

// ask asks the peer of link how much of t has arrived. It reports whether t is settled. t.turn is held.
func (r *Router) ask(ctx context.Context, t *tail, link *Link, key route) bool {
	_, circuit := link.carrier()
	if t.stream != nil {
		return r.takeUp(ctx, t, link, key)
	}
	if circuit == nil {
		t.settled = true // it speaks another protocol now
		return true
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	received, err := circuit.Resume(asking, t.session)
	switch {
	case err == nil:
		t.settled, t.known, t.received = true, true, received
		r.progress(key, received > t.session.Acknowledged || received > 0)
	case errors.Is(err, psyc.ErrSessionUnknown), errors.Is(err, &psyc.Error{Method: "_error"}):
		t.settled = true
	case ctx.Err() != nil:
	case circuit.Err() != nil, errors.Is(err, psyc.ErrClosed):
		link.dead.Store(true)
	case time.Since(t.since) >= doubtTime:
		t.settled = true
	default:
		pause(ctx, askAgain)
	}
	if t.settled && !t.known {
		r.log(ctx, slog.LevelWarn, "session lost", append(link.attrs(), "stanzas", t.session.Sent-t.session.Acknowledged, "error", err)...)
	}
	return t.settled
}

// progress notes whether anything arrived by the link before. Links that never get anything through count as links that
// cannot be had.
func (r *Router) progress(key route, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, _ := r.links.trouble.Get(key)
	if any {
		t.tries, t.hope = 0, time.Now().Add(hopeTime)
	} else {
		t.tries++
	}
	r.note(key, t)
}

// unacknowledged tells that some of what was sent may have arrived or not, which nobody will know. where says by what link, or what way.
func (r *Router) unacknowledged(ctx context.Context, where []any, lost ...*queued) {
	if len(lost) == 0 {
		return
	}
	for _, q := range lost {
		r.Trace.unacknowledged(q.Stanza)
	}
	first := lost[0]
	r.log(ctx, slog.LevelWarn, "stanzas unacknowledged", append(where, "stanzas", len(lost), "from", first.From, "to", first.To, "kind", first.Kind.String(), "id", first.ID)...)
}

// refusal sends a packet that tells the peer of a refusal, and keeps it, as a stanza, until it is acknowledged.
func (l *Link) refusal(ctx context.Context, circuit *psyc.Circuit, p *psyc.Packet) error {
	number, err := circuit.SendNumbered(ctx, p)
	if err != nil || number == 0 {
		return err
	}
	in := transcode.Converter{Plain: !circuit.Profile()}
	s, err := in.Stanza(p)
	if err != nil || s.From.IsZero() || s.To.IsZero() {
		return nil // it has no form in which another link could carry it
	}
	now := time.Now()
	l.flight.add(number, &queued{Stanza: s.Clone(), at: now}, now)
	return nil
}

const (
	// lateAfter is how old a message has to be for its recipient to be told.
	lateAfter = time.Minute

	againReason = "Sent again: it may have arrived before."
)

// outgoing returns q as it is sent: with a delay element (XEP-0203) if it may have arrived before, or if it is a message and late.
func (q *queued) outgoing(now time.Time) *xmpp.Stanza {
	late := q.Kind == xmpp.Message && now.Sub(q.at) >= lateAfter
	again := q.again && q.Kind != xmpp.IQ
	if !again && !late {
		return q.Stanza
	}
	if _, marked := q.Delay(); marked && !again {
		return q.Stanza
	}
	d := xmpp.Delay{From: q.From.Domain(), Stamp: q.at}
	if again {
		d.Reason = againReason
	}
	s := q.Clone()
	if s.SetRaw(d.Append(slices.Clone(q.Raw()))) != nil {
		return q.Stanza
	}
	return s
}
