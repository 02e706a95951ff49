package psycswitch

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// moduleFanOut is the protocol module of peers that take casts, see "Fan-out" in package transcode.
const moduleFanOut = "_switchyard_audience"

// A fanOut makes one packet of what a link sends to many, and many stanzas of what comes so. It belongs to a circuit, and what either side
// knows about audiences ends with that.
//
// What goes out is added and sent by whoever has the turn of the link; mu guards what the reading goroutine needs of it, and is
// never held while something waits for the connection. The reading goroutine never waits for the peer to read, or two peers would wait for
// each other: what it has to say is left to who has the turn next. Two timers send what has waited for its run, and give up waiting for
// the peer; both stop with the link.
type fanOut struct {
	link    *Link
	circuit *psyc.Circuit

	mu      sync.Mutex
	out     transcode.FanOut
	replies []*psyc.Packet // that the reading goroutine leaves to be sent
	flush   *time.Timer
	armed   bool // flush will fire, or flushDue waits for its turn
	over    bool // nothing more is taken

	stuck  *transcode.Parcel // taken out, and not taken by the circuit yet; of who has the turn
	failed []*queued         // taken out, and not taken by the circuit any more; likewise

	in       fanIn
	casts    atomic.Int64 // sent
	received atomic.Int64 // casts
}

// noFanOut stands for none: the peer does not take part.
var noFanOut = new(fanOut)

// fan returns the fan-out of the circuit, which has been established; nil if there is none. With begin one is made where the peer takes part.
func (l *Link) fan(circuit *psyc.Circuit, begin bool) *fanOut {
	switch f := l.fanOut.Load(); {
	case f == noFanOut:
		return nil
	case f != nil || !begin:
		return f
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fanOut.Load()
	if f == nil {
		f = l.newFanOut(circuit)
		l.fanOut.Store(f)
	}
	if f == noFanOut {
		return nil
	}
	return f
}

func (l *Link) newFanOut(circuit *psyc.Circuit) *fanOut {
	peer := circuit.Peer()
	if l.cfg.Casts.Off || !circuit.Profile() || circuit.Syntax() != psyc.PSYC10 || !slices.Contains(peer.Understands, moduleFanOut) {
		return noFanOut
	}
	f := &fanOut{link: l, circuit: circuit}
	ours := l.cfg.castLimits()
	f.in.init(f, ours)
	theirs := ours
	theirs.lower(peer.Vars)
	f.out = transcode.FanOut{
		Delay:        l.cfg.Casts.Delay,
		MessageDelay: l.cfg.Casts.MessageDelay,
		Limits:       theirs.AudienceLimits,
		Largest:      theirs.bytes,
		Burden:       theirs.copies,
	}
	f.flush = stopped(f.flushDue)
	return f
}

// stopped returns a timer that calls f once it is reset.
func stopped(f func()) *time.Timer {
	t := time.AfterFunc(time.Hour, f)
	t.Stop()
	return t
}

// grouped is the number of a stanza that waits for more copies: it gets one when they go.
const grouped = math.MaxUint64

// alone reports whether s need not go through the fan-out: it is nothing that many get, and nothing waits that it could overtake. It is
// the turn of the caller.
func (f *fanOut) alone(s *xmpp.Stanza) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stuck == nil && f.out.Alone(s)
}

// send takes s over for q, nil if it is nobody's: from then on it is on its way, or among what the link gives back. It is the turn of the
// caller. An error means that s has not been taken.
func (f *fanOut) send(ctx context.Context, s *xmpp.Stanza, q *queued) (uint64, error) {
	// What waits in here is bounded because nothing is added before there is room for all of it.
	if err := f.sendReady(ctx, nil); err != nil {
		return 0, err
	}
	lone := q == nil
	if lone {
		s = s.Clone()
		q = &queued{Stanza: s}
	}
	f.mu.Lock()
	over := f.over
	if !over {
		f.out.Add(time.Now(), s, q)
	}
	if lone { // nobody knows whether more will come
		f.out.Flush(time.Now())
	}
	f.mu.Unlock()
	if over {
		return 0, ErrClosed
	}
	if err := f.sendReady(ctx, q); err != nil && aboutStanza(err) {
		return 0, err // all others stay in here
	}
	return grouped, nil
}

// sendReady hands what is ready to the circuit. It is the turn of the caller. An error about own alone is returned; other stanzas that cannot be
// sent bounce. Other errors are those of ctx and of the circuit.
func (f *fanOut) sendReady(ctx context.Context, own *queued) (refused error) {
	for {
		parcel, err, found := f.next()
		if !found {
			return refused
		}
		var number uint64
		if err == nil {
			number, err = f.circuit.SendNumbered(ctx, parcel.Packet)
		}
		switch {
		case err == nil:
			f.sent(parcel, number)
		case aboutStanza(err):
			if parcel.Copies <= 1 && slices.Contains(queuedOf(parcel), own) {
				refused = err
				break
			}
			f.unsendable(parcel, err)
		case f.circuit.Err() == nil && ctx.Err() != nil:
			if f.stuck == nil {
				parcel.Packet = parcel.Packet.Clone()
				f.stuck = &parcel
			}
			f.wake(0)
			return err
		default:
			f.stuck = nil
			f.failed = append(f.failed, queuedOf(parcel)...)
			f.link.dead.Store(true)
			return err
		}
	}
}

// next takes out what is to be sent next, if there is anything; otherwise it sees to it that what waits is not forgotten.
func (f *fanOut) next() (parcel transcode.Parcel, err error, found bool) {
	if f.stuck != nil {
		return *f.stuck, nil, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for parcel, err = range f.out.Parcels() {
		return parcel, err, true
	}
	if due := f.out.Due(); !f.armed && !f.over && !due.IsZero() {
		wait := time.Until(due)
		if wait <= 0 {
			wait = lullTime // lull comes before
		}
		f.armed = true
		f.flush.Reset(wait)
	}
	return parcel, nil, false
}

// lullTime is how long more of what need not wait may come without a pause.
const lullTime = 5 * time.Millisecond

// wake has flushDue called, unless that will happen anyway.
func (f *fanOut) wake(after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.armed = true
		f.flush.Reset(after)
	}
}

// queuedOf returns whose stanzas a parcel stands for.
func queuedOf(parcel transcode.Parcel) (all []*queued) {
	for ref := range parcel.Refs() {
		all = append(all, ref.(*queued))
	}
	return all
}

// sent notes that the circuit has taken a parcel: what it stands for is acknowledged together.
func (f *fanOut) sent(parcel transcode.Parcel, number uint64) {
	f.stuck = nil
	if parcel.Cast > 0 {
		f.casts.Add(1)
	}
	if f.link.cfg.delivered == nil {
		return // nobody wants to know
	}
	now := time.Now()
	for ref := range parcel.Refs() {
		f.link.noted(number, ref.(*queued), now)
	}
}

// unsendable bounces what cannot be sent.
func (f *fanOut) unsendable(parcel transcode.Parcel, err error) {
	f.stuck = nil
	cfg, lost := f.link.cfg, queuedOf(parcel)
	for s := range parcel.Stanzas() {
		cfg.log(context.Background(), slog.LevelWarn, "stanza not sent", append(f.link.attrs(), "from", s.From, "to", s.To, "error", err)...)
	}
	if cfg.unsendable != nil && len(lost) > 0 {
		cfg.outlive(func() {
			for _, q := range lost {
				cfg.unsendable(q, err)
			}
		})
	}
}

// lull tells the link that nothing more waits for it at the moment.
func (l *Link) lull(ctx context.Context) {
	f := l.fanOut.Load()
	if f == nil || f == noFanOut || !f.due(time.Now()) {
		return
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
		f.flushNow(ctx)
	case <-ctx.Done():
	}
}

// due reports whether something need not wait any longer.
func (f *fanOut) due(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := f.out.Due()
	return !due.IsZero() && !due.After(now)
}

// flushDue sends what has waited long enough, and what the reading goroutine has left.
func (f *fanOut) flushDue() {
	select {
	case f.link.turn <- struct{}{}:
		defer func() { <-f.link.turn }()
	case <-f.circuit.Done():
		return // it comes back
	}
	f.mu.Lock()
	f.armed = false
	over := f.over
	f.mu.Unlock()
	if !over {
		f.flushNow(context.Background()) // what it waits for ends with the circuit
	}
}

// flushNow sends what need not wait. It is the turn of the caller.
func (f *fanOut) flushNow(ctx context.Context) {
	f.mu.Lock()
	f.out.Flush(time.Now())
	replies := f.replies
	f.replies = nil
	f.mu.Unlock()
	for i, p := range replies {
		if _, err := f.circuit.SendNumbered(ctx, p); err != nil {
			if f.circuit.Err() == nil && !aboutStanza(err) {
				f.mu.Lock()
				f.replies = append(slices.Clip(replies[i:]), f.replies...)
				f.mu.Unlock()
				f.wake(0)
				return
			}
			f.link.cfg.log(ctx, slog.LevelDebug, "refusal not sent", append(f.link.attrs(), "error", err)...)
		}
	}
	f.sendReady(ctx, nil)
}

// finishTime is how long the end of a link waits for room for what still waits for more copies.
const finishTime = time.Second

// finish sends all that waits, at the end of the link.
func (f *fanOut) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	select {
	case f.link.turn <- struct{}{}:
		defer func() { <-f.link.turn }()
	case <-f.circuit.Done():
		return
	case <-ctx.Done():
		return
	}
	if f.end() {
		f.flushNow(ctx)
	}
}

// end takes nothing more, and has what waits ready. It reports whether it is the first to do so. It is the turn of the caller.
func (f *fanOut) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	f.over = true
	f.flush.Stop()
	f.in.expire.Stop()
	f.out.FlushAll()
	return true
}

// ungroup ends the fan-out of a link whose circuit has ended, and returns what the circuit has not taken, in order.
func (l *Link) ungroup() (left []*queued) {
	f := l.fanOut.Load()
	if f == nil || f == noFanOut {
		return nil
	}
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	f.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	left, f.failed = f.failed, nil
	if f.stuck != nil {
		left = append(left, queuedOf(*f.stuck)...)
		f.stuck = nil
	}
	for _, ref := range f.out.Reset() {
		left = append(left, ref.(*queued))
	}
	return left
}

// recall returns what a packet stood for that the circuit gives back, if that is not just one stanza.
func (l *Link) recall(p *psyc.Packet) (back []*xmpp.Stanza, ok bool) {
	f := l.fanOut.Load()
	if f == nil || f == noFanOut {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	parcel, ok := f.out.Recall(p)
	for s := range parcel.Stanzas() {
		back = append(back, s.Clone())
	}
	return back, ok
}
