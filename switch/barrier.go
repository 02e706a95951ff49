package psycswitch

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/internal/expiring"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Barriers are pings (XEP-0199) to XMPP servers that have no stream management: a server works a stream in order, so its answer, be it a
// result or an error, acknowledges all that was sent before. The answer comes by a stream that the peer opens, and the Handler does not see it.
// Zero fields have the documented defaults.
//
// What is sent behind the last barrier that was answered is in doubt when the link breaks. A peer that leaves one unanswered for
// 30 seconds gets no more from the same local domain for an hour, or until it answers after all. A router that has no listeners sends none, and
// psyced (Config.Psyced), which asks by another element, gets none.
type Barriers struct {
	// Stanzas is how many are sent until a barrier is; 64, negative: there are no barriers.
	Stanzas int

	// Delay is how long after a stanza a barrier is sent at the latest; 200 ms, negative: there are no barriers.
	Delay time.Duration
}

const (
	defaultBarrierStanzas = 64
	defaultBarrierDelay   = 200 * time.Millisecond

	// barrierAnswer is how long an answer may take, silentAge how long a peer is spared that has not given one.
	barrierAnswer = 30 * time.Second
	silentAge     = time.Hour

	// maxOpen is how many barriers of a link may be without an answer. It is known for barrierAge that an answer is one, and of maxBarriers
	// in all: that long it goes nowhere else.
	maxOpen     = 16
	barrierAge  = 10 * time.Minute
	maxBarriers = 20_000
)

// A barrier is a ping that somebody has been sent.
type barrier struct {
	key    route
	number uint64 // among the stanzas of its link
	sent   time.Time
	link   *Link // until it ends, and then
	tail   *tail // what it has left
}

// fences are the barriers of a link, the lock is that of all barriers of the router.
type fences struct {
	behind int        // stanzas since the last barrier that call for another
	due    time.Time  // when that is sent at the latest; zero if none is called for
	open   []*barrier // without an answer, oldest first
	timer  *time.Timer
	over   bool // the link has ended
}

// barriers are those of a router.
type barriers struct {
	stanzas int
	delay   time.Duration
	taking  context.Context // then no answers come any more
	spawn   func(func())    // a goroutine of the router
	log     func(context.Context, slog.Level, string, ...any)

	mu     sync.Mutex
	asked  expiring.Map[string, *barrier] // by id
	silent expiring.Map[route, bool]      // peers that do not answer
}

// newBarriers returns nil if there are to be none.
func (r *Router) newBarriers(taking context.Context, listeners int) *barriers {
	if r.NoSessions || r.Barriers.Stanzas < 0 || r.Barriers.Delay < 0 || listeners == 0 {
		return nil
	}
	return &barriers{
		stanzas: positive(r.Barriers.Stanzas, defaultBarrierStanzas),
		delay:   positive(r.Barriers.Delay, defaultBarrierDelay),
		taking:  taking,
		spawn:   r.reading.Go,
		log:     r.log,
	}
}

// fenced reports whether barriers of l mean anything: it is a stream, and its peer does not acknowledge otherwise.
func (b *barriers) fenced(l *Link) (key route, ok bool) {
	if b == nil || !l.dialled {
		return key, false
	}
	stream, _ := l.carrier()
	if stream == nil || stream.Managed() {
		return key, false
	}
	key = route{stream.Local(), stream.Remote()}
	if l.cfg.psyced(key.remote) {
		return key, false // its pings are not those of XEP-0199
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	silent, _ := b.silent.Get(key)
	return key, !silent
}

// passed is told of what l has taken, and sends a barrier behind it if one is due. Where ctx has ended it does not wait, and the barrier follows
// a little later.
func (b *barriers) passed(ctx context.Context, l *Link, s *xmpp.Stanza) {
	if _, ok := b.fenced(l); !ok || isAnswer(s) {
		return // two servers whose answers to barriers called for barriers would never come to an end
	}
	b.mu.Lock()
	f := &l.fences
	f.behind++
	if f.due.IsZero() {
		f.due = time.Now().Add(b.delay)
		b.schedule(l)
	}
	due, later := f.behind >= b.stanzas && f.claim(), ctx.Err() != nil
	if due && later {
		b.spawn(func() { b.send(b.taking, l) }) // as in tick
	}
	b.mu.Unlock()
	if due && !later {
		b.send(ctx, l)
	}
}

// isAnswer reports whether s is the result of an iq, or an error instead.
func isAnswer(s *xmpp.Stanza) bool {
	return s.Kind == xmpp.IQ && (s.Type == "result" || s.Type == "error")
}

// claim makes it the caller's task to send the next barrier, if there may be one.
func (f *fences) claim() bool {
	if f.over || len(f.open) >= maxOpen {
		return false
	}
	f.behind, f.due = 0, time.Time{}
	return true
}

// schedule sets the timer of l. b.mu is held.
func (b *barriers) schedule(l *Link) {
	f := &l.fences
	var next time.Time
	if len(f.open) < maxOpen {
		next = f.due
	}
	if len(f.open) > 0 && (next.IsZero() || f.open[0].overdue().Before(next)) {
		next = f.open[0].overdue()
	}
	switch {
	case f.over:
	case next.IsZero() && f.timer != nil:
		f.timer.Stop()
	case next.IsZero():
	case f.timer == nil:
		f.timer = time.AfterFunc(time.Until(next), func() { b.tick(l) })
	default:
		f.timer.Reset(time.Until(next))
	}
}

// overdue returns when there should have been an answer.
func (bar *barrier) overdue() time.Time { return bar.sent.Add(barrierAnswer) }

// tick is called by the timer of l.
func (b *barriers) tick(l *Link) {
	if b.taking.Err() != nil {
		return
	}
	b.mu.Lock()
	f, now := &l.fences, time.Now()
	silent := len(f.open) > 0 && !now.Before(f.open[0].overdue())
	switch {
	case silent:
		b.silent.Put(f.open[0].key, true, now.Add(silentAge), maxTroubles)
		f.open, f.behind, f.due = nil, 0, time.Time{}
	case !f.due.IsZero() && !now.Before(f.due) && f.claim():
		b.spawn(func() { b.send(b.taking, l) }) // with b.mu, so that the link, and the router, still last
	}
	b.schedule(l)
	b.mu.Unlock()
	if silent {
		b.log(b.taking, slog.LevelInfo, "barrier unanswered", l.attrs()...)
	}
}

// send sends a barrier by l.
func (b *barriers) send(ctx context.Context, l *Link) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return
	}
	key, ok := b.fenced(l)
	if !ok {
		return
	}
	ping, err := newPing(key)
	if err != nil {
		return
	}
	bar := &barrier{key: key, number: l.numbered + 1, sent: time.Now(), link: l}
	if !b.open(ping.ID, bar) {
		return
	}
	stream, _ := l.carrier()
	if err := stream.Send(ctx, ping); err != nil {
		b.withdraw(ping.ID, bar) // what the link is still good for its next stanza will tell
		return
	}
	l.numbered++
}

// newPing returns a ping (XEP-0199) from one domain to another.
func newPing(key route) (*xmpp.Stanza, error) {
	from, err := uniform.RelayJID(key.local)
	if err != nil {
		return nil, err
	}
	to, err := uniform.RelayJID(key.remote)
	if err != nil {
		return nil, err
	}
	ping := &xmpp.Stanza{Kind: xmpp.IQ, Type: "get", ID: rand.Text(), From: from, To: to}
	return ping, ping.SetRaw([]byte("<ping xmlns='urn:xmpp:ping'/>"))
}

// open notes that bar is about to be sent; it reports whether its link still lasts.
func (b *barriers) open(id string, bar *barrier) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &bar.link.fences
	if f.over {
		return false
	}
	b.asked.Put(id, bar, bar.sent.Add(barrierAge), maxBarriers)
	f.open = append(f.open, bar)
	b.schedule(bar.link)
	return true
}

// withdraw forgets a barrier that could not be sent.
func (b *barriers) withdraw(id string, bar *barrier) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked.Delete(id)
	if bar.link != nil {
		f := &bar.link.fences
		f.open = slices.DeleteFunc(f.open, func(other *barrier) bool { return other == bar })
		b.schedule(bar.link)
	}
}

// answered takes in s if it is the answer to a barrier, and reports whether it is.
func (b *barriers) answered(s *xmpp.Stanza) bool {
	if b == nil || !isAnswer(s) {
		return false
	}
	b.mu.Lock()
	bar, ok := b.asked.Get(s.ID)
	if !ok || s.From.String() != bar.key.remote || s.To.String() != bar.key.local {
		b.mu.Unlock()
		return false
	}
	b.silent.Delete(bar.key)
	link, tail := bar.link, bar.tail
	bar.link, bar.tail = nil, nil
	b.asked.Put(s.ID, bar, time.Now().Add(iqLife), maxBarriers) // the answer may come again
	if link != nil {
		f := &link.fences
		f.open = slices.Delete(f.open, 0, slices.Index(f.open, bar)+1)
		b.schedule(link)
	}
	b.mu.Unlock()
	switch {
	case link != nil:
		link.acknowledged(bar.number)
	case tail != nil:
		tail.learn(bar.number)
	}
	return true
}

// end is told that l has ended and left t. Answers that come now still tell how much of that has arrived.
func (b *barriers) end(l *Link, t *tail) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &l.fences
	for _, bar := range f.open {
		bar.link, bar.tail = nil, t
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.open, f.over = nil, true
}

// among returns how many of these stanzas are barriers.
func (b *barriers) among(stanzas []*xmpp.Stanza) (n int) {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range stanzas {
		if _, ok := b.asked.Get(s.ID); ok {
			n++
		}
	}
	return n
}

// learn takes in that the peer has handled so many after all. It comes too late for what has been settled.
func (t *tail) learn(number uint64) {
	t.turn <- struct{}{}
	t.received = max(t.received, number)
	<-t.turn
}
