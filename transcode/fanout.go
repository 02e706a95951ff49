package transcode

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A FanOut is the sending half of fan-out on one session between profile peers that speak PSYC 1.0 (see the section about it in
// the package documentation). Stanzas go in, packets come out, and a run of stanzas that differ in to alone is one
// packet where that is shorter. The zero value is ready.
//
// It knows no clock: the caller says what time it is. It starts no goroutine, and is for one at a time.
//
//	f.Add(now, s, ref)          // whatever is to be sent, in order
//	f.Flush(now)                // when there is nothing more to add for the moment, and at f.Due()
//	f.Handle(p)                 // what the receiver says about audiences
//	for parcel, err := range f.Parcels() { ... }
//
// The order of stanzas from one bare address to another is kept; what goes out between other addresses may change places.
type FanOut struct {
	// Delay is how long a run of presence waits for one more copy; 20 ms, negative: not at all. As long as they keep coming it
	// waits ten times as long.
	Delay time.Duration
	// MessageDelay is the same for headlines and groupchat; 0: until the next Flush, but no longer than Delay.
	MessageDelay time.Duration
	// Limits is what the receiver is expected to remember; what exceeds it is taken back by telling the receiver.
	Limits AudienceLimits
	// Runs is how many runs may be open; 1,024.
	Runs int
	// Window is how many casts may be unconfirmed, see [FanOut.Confirm]; 256. In excess of it packets are for one recipient each.
	Window int
	// Largest is the length in bytes of the longest cast; 256 KiB.
	Largest int
	// Burden is how many bytes the copies of one cast may be together, about; 16 MiB.
	Burden int

	conv     Converter
	runs     map[uniform.JID]*run // by bare source
	order    []*run               // in the order in which they were opened
	ready    []*consignment
	contexts map[uniform.JID]*senderContext
	list     audienceList
	pending  []*castRecord // that the receiver has not confirmed, ascending
	casts    uint64        // so far
	numbers  uint64        // audiences numbered so far: none is ever mistaken for another
	paused   int           // runs to be sent without casts, after the receiver refused one for being too much

	p       psyc.Packet
	buf     []byte
	scratch []byte
	where   []int
	wire    []byte
}

// pause is how many runs are sent to each recipient by itself after the receiver has said that casts are too much for it.
const pause = 64

// audiencesPerContext is how many audiences of one sender are kept apart: presence, events, moderators of a room.
const audiencesPerContext = 8

// A senderContext is the audiences of one bare source.
type senderContext struct{ audiences []*audience }

// A castRecord is a cast that may have to be repeated.
type castRecord struct {
	number  uint64
	stanza  *xmpp.Stanza
	to      []uniform.JID
	context string
	id      [2]uint64     // number and version of the audience
	members []uniform.JID // of the audience, after the change that the cast made
	told    bool          // the members have been repeated
}

// A consignment is what waits to be taken out by Parcels.
type consignment struct {
	stanza *xmpp.Stanza
	refs   []any         // of the stanza, or of the copies; none if a cast is repeated
	to     []uniform.JID // of a run; nil: the stanza as it is
	run    *run          // until it is decided how to send it
	at     int           // next of to
	repeat uint64        // cast that is repeated
	packet *psyc.Packet  // without any stanza
	answer bool          // to a question
}

// A Parcel is a packet for the wire together with the stanzas that it stands for.
type Parcel struct {
	Packet *psyc.Packet // good until the next parcel is taken or a stanza added; nil beside an error
	Copies int          // how many stanzas it stands for; 0 if it speaks of audiences, or repeats part of a refused cast
	Cast   uint64       // number of the cast in the session, 0 if it is none

	stanza *xmpp.Stanza
	refs   []any // as long as to, or one; nil if they are not known any more
	to     []uniform.JID
}

// Stanzas yields what the parcel stands for, each good until the next one, with what Add was given beside it. Who has to send
// it again in another session, where the audiences that the packet relies on are not known, begins with these.
func (p Parcel) Stanzas() iter.Seq2[*xmpp.Stanza, any] {
	return func(yield func(*xmpp.Stanza, any) bool) {
		if p.stanza == nil {
			return
		}
		s := *p.stanza
		if p.to == nil {
			yield(&s, p.ref(0))
			return
		}
		for i, j := range p.to {
			s = *p.stanza
			s.To = j
			if !yield(&s, p.ref(i)) {
				return
			}
		}
	}
}

// Refs yields what Add was given beside the stanzas of the parcel, in their order.
func (p Parcel) Refs() iter.Seq[any] { return slices.Values(p.refs) }

func (p Parcel) ref(i int) any {
	if p.refs == nil {
		return nil
	}
	return p.refs[i]
}

func (f *FanOut) delay(s *xmpp.Stanza) time.Duration {
	d := f.Delay
	switch {
	case s.Kind != xmpp.Presence:
		d = f.MessageDelay
	case d == 0:
		d = 20 * time.Millisecond
	}
	return max(d, 0)
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

func (f *FanOut) largest() int { return orDefault(f.Largest, 256<<10) }

// Alone reports whether s may be sent past f, by a Converter, as if it had been added: it is of a kind that has one recipient,
// and nothing is waiting that it could overtake.
func (f *FanOut) Alone(s *xmpp.Stanza) bool {
	return len(f.ready) == 0 && !Broadcast(s) && (len(f.runs) == 0 || f.runs[s.From.Bare()] == nil)
}

// Add takes s, which the caller must not change any more; ref is what the caller knows it by. Unless s goes on with the open run of its
// bare sender, that run ends first; s then waits for more of the kind, or, if it is of a kind that has one recipient, is
// ready at once.
func (f *FanOut) Add(now time.Time, s *xmpp.Stanza, ref any) {
	f.expire(now)
	source := s.From.Bare()
	r := f.runs[source]
	if !castable(s) {
		f.end(r)
		f.ready = append(f.ready, &consignment{stanza: s, refs: []any{ref}})
		return
	}
	if r != nil && r.takes(s, f.Limits.WithDefaults().Entries) {
		r.add(s.To, ref)
		r.due = earlier(now.Add(f.delay(s)), r.opened.Add(patience*f.delay(s)))
		return
	}
	f.end(r)
	if len(f.order) >= orDefault(f.Runs, 1024) {
		f.end(f.order[0])
	}
	r = &run{stanza: s, opened: now, due: now.Add(f.delay(s))}
	r.add(s.To, ref)
	if f.runs == nil {
		f.runs = make(map[uniform.JID]*run)
	}
	f.runs[source] = r
	f.order = append(f.order, r)
}

// end makes an open run ready; nil is none.
func (f *FanOut) end(r *run) {
	if r == nil {
		return
	}
	delete(f.runs, r.stanza.From.Bare())
	f.order = slices.Delete(f.order, slices.Index(f.order, r), slices.Index(f.order, r)+1)
	r.seen = nil
	f.ready = append(f.ready, &consignment{stanza: r.stanza, refs: r.refs, to: r.to, run: r})
}

// patience is how many delays a run may last.
const patience = 10

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// expire ends the runs that should have been flushed long ago.
func (f *FanOut) expire(now time.Time) {
	slack := f.delay(&xmpp.Stanza{Kind: xmpp.Presence})
	for len(f.order) > 0 && now.Sub(f.order[0].due) > slack {
		f.end(f.order[0])
	}
}

// Due returns when Flush will have something to do: the past if that is now, the zero time if not before the next Add.
func (f *FanOut) Due() (due time.Time) {
	for _, r := range f.order {
		if due.IsZero() || r.due.Before(due) {
			due = r.due
		}
	}
	return due
}

// Flush makes ready what need not wait any longer at now.
func (f *FanOut) Flush(now time.Time) {
	for _, r := range slices.Clone(f.order) {
		if !r.due.After(now) {
			f.end(r)
		}
	}
}

// FlushAll makes everything ready, for the end of a link.
func (f *FanOut) FlushAll() { f.Flush(time.Unix(math.MaxInt32, 0).AddDate(1000, 0, 0)) }

// Parcels yields what is ready, in order, until nothing is; what the loop leaves stays. An error is a *[Error] about the
// stanza of the parcel that comes with it, which has no packet and cannot be sent.
func (f *FanOut) Parcels() iter.Seq2[Parcel, error] {
	return func(yield func(Parcel, error) bool) {
		for len(f.ready) > 0 {
			parcel, err := f.next()
			if (err != nil || parcel.Packet != nil) && !yield(parcel, err) {
				return
			}
		}
	}
}

// next takes one packet out of the first consignment.
func (f *FanOut) next() (Parcel, error) {
	c := f.ready[0]
	done := func() { f.ready[0] = nil; f.ready = f.ready[1:] }
	switch {
	case c.packet != nil:
		done()
		return Parcel{Packet: c.packet}, nil
	case c.to == nil:
		done()
		p, err := f.conv.Packet(c.stanza)
		return Parcel{Packet: p, Copies: 1, stanza: c.stanza, refs: c.refs}, err
	case c.run != nil:
		r := c.run
		c.run = nil
		if p, ok := f.castRun(r); ok {
			done()
			return p, nil
		}
		return Parcel{}, nil
	}
	s := *c.stanza
	if c.at == len(c.to) { // all copies of a refused cast are on their way, as far as they can be
		done()
		return Parcel{Packet: f.repeated(c.repeat, s.From)}, nil
	}
	s.To = c.to[c.at]
	c.at++
	p, err := f.conv.Packet(&s)
	switch {
	case c.repeat == 0:
		if c.at == len(c.to) {
			done()
		}
		return Parcel{Packet: p, Copies: 1, stanza: &s, refs: c.refs[c.at-1 : c.at]}, err
	case err != nil:
		return Parcel{stanza: &s}, err
	}
	p.Entity = append(psyc.Vars{repeats(c.repeat, len(c.to)-c.at+1)}, p.Entity...)
	return Parcel{Packet: p}, nil
}

// repeats returns the variable of a packet that repeats a part of a cast.
func repeats(cast uint64, left int) psyc.Var {
	return psyc.Var{Op: psyc.Set, Name: varRepeat, Value: psyc.AppendList(nil, "", element(cast), element(uint64(left)))}
}

// repeated returns the packet that says that a cast has been repeated. It has no target, for which the peer might refuse it.
func (f *FanOut) repeated(cast uint64, from uniform.JID) *psyc.Packet {
	p := &psyc.Packet{Entity: psyc.Vars{repeats(cast, 0)}}
	p.Routing.Add(psyc.Set, varContext, f.conv.book.uniform(from.Bare()))
	return p
}

func element(n uint64) psyc.Element {
	return psyc.Element{Value: strconv.AppendUint(nil, n, 10)}
}

// castRun makes one packet of r. It reports false where every recipient needs one.
func (f *FanOut) castRun(r *run) (Parcel, bool) {
	if len(r.to) < 2 || len(f.pending) >= orDefault(f.Window, 256) {
		return Parcel{}, false
	}
	if f.paused > 0 {
		f.paused--
		return Parcel{}, false
	}
	s := *r.stanza
	s.To = uniform.JID{}
	p, err := f.conv.Packet(&s)
	if err != nil || p.Method == "" || p.Routing.Get(varSource) == nil || p.Entity.Get(varCasts) != nil {
		return Parcel{}, false // as one packet each they are what they are
	}
	f.wire, err = p.Append(f.wire[:0], psyc.PSYC10)
	if err != nil || burden(&s, r.to) > orDefault(f.Burden, 16<<20) {
		return Parcel{}, false
	}
	best := f.choose(r, len(f.wire))
	if best == nil {
		return Parcel{}, false
	}
	f.commit(r, best, p)
	if f.wire, err = f.p.Append(f.wire[:0], psyc.PSYC10); err != nil || len(f.wire) > f.largest() {
		f.forget(best.a) // the receiver has it in another version, or not at all
		return Parcel{}, false
	}
	a := best.a
	to := r.to
	if slices.Equal(to, a.members) {
		to = a.members
	}
	f.pending = append(f.pending, &castRecord{
		number: f.casts, stanza: r.stanza, to: to, context: a.context, id: [2]uint64{a.number, a.version}, members: a.members,
	})
	f.trim()
	return Parcel{Packet: &f.p, Copies: len(to), Cast: f.casts, stanza: r.stanza, refs: r.refs, to: to}, true
}

// commit carries the plan out and makes f.p the cast.
func (f *FanOut) commit(r *run, best *plan, p *psyc.Packet) {
	source := r.stanza.From.Bare()
	a := best.a
	if best.assign {
		a = f.room(source)
		best.a = a
		f.list.use(a)
		f.list.resize(a, slices.Clip(r.to))
		a.version++
		for _, other := range f.contexts[source].audiences {
			other.spent = 0
		}
	} else {
		f.list.use(a)
	}
	if !best.assign && len(best.add)+len(best.drop) > 0 {
		members := make([]uniform.JID, 0, len(a.members)+len(best.add)-len(best.drop))
		gone := make(map[uniform.JID]bool, len(best.drop))
		for _, j := range best.drop {
			gone[j] = true
		}
		for _, j := range a.members {
			if !gone[j] {
				members = append(members, j)
			}
		}
		f.list.resize(a, append(members, best.add...))
		a.version++
	}
	f.p = psyc.Packet{Routing: f.p.Routing[:0], Entity: f.p.Entity[:0], Method: p.Method, Body: p.Body}
	for _, v := range p.Routing {
		if v.Name == varSource {
			v.Name = varContext
		}
		f.p.Routing = append(f.p.Routing, v)
	}
	f.buf = f.buf[:0]
	f.casts++
	f.variable(psyc.Set, varAudience, func(dst []byte) []byte { return appendAudience(dst, a.number, a.version) })
	f.variable(psyc.Set, varCasts, func(dst []byte) []byte { return strconv.AppendUint(dst, f.casts, 10) })
	if len(best.drop) > 0 {
		f.members(psyc.Diminish, best.drop)
	}
	if best.assign {
		f.members(psyc.Assign, a.members)
	} else if len(best.add) > 0 {
		f.members(psyc.Augment, best.add)
	}
	if len(best.narrow) > 0 {
		name := varOnly
		if best.without {
			name = varWithout
		}
		before := len(f.buf)
		f.variable(psyc.Set, name, func(dst []byte) []byte { return appendSpans(dst, best.narrow) })
		a.spent += len(name) + len(f.buf) - before
	}
	f.p.Entity = append(f.p.Entity, p.Entity...)
}

// variable appends an entity variable to f.p, whose value lies in f.buf.
func (f *FanOut) variable(op psyc.Op, name string, value func([]byte) []byte) {
	n := len(f.buf)
	f.buf = value(f.buf)
	f.p.Entity = append(f.p.Entity, psyc.Var{Op: op, Name: name, Value: f.buf[n:len(f.buf):len(f.buf)]})
}

func (f *FanOut) members(op psyc.Op, members []uniform.JID) {
	f.variable(op, varMembers, func(dst []byte) []byte { return f.appendMembers(dst, members) })
}

func (f *FanOut) appendMembers(dst []byte, members []uniform.JID) []byte {
	for _, j := range members {
		dst = appendMember(dst, j, &f.conv.book, &f.scratch)
	}
	return dst
}

// room returns an audience of source that is free to be assigned: a new one, or the one used least recently.
func (f *FanOut) room(source uniform.JID) *audience {
	set := f.contexts[source]
	if set == nil {
		set = new(senderContext)
		if f.contexts == nil {
			f.contexts = make(map[uniform.JID]*senderContext)
		}
		f.contexts[source] = set
	}
	if len(set.audiences) < audiencesPerContext {
		f.numbers++
		a := &audience{source: source, context: f.conv.book.uniform(source), number: f.numbers}
		set.audiences = append(set.audiences, a)
		return a
	}
	return slices.MinFunc(set.audiences, func(a, b *audience) int { return cmp.Compare(a.used, b.used) })
}

// forget drops an audience without telling the receiver.
func (f *FanOut) forget(a *audience) {
	if a == nil || a.recent == nil {
		return
	}
	f.list.remove(a)
	set := f.contexts[a.source]
	if set.audiences = slices.DeleteFunc(set.audiences, func(b *audience) bool { return a == b }); len(set.audiences) == 0 {
		delete(f.contexts, a.source)
	}
}

// trim drops audiences that are more than the receiver is expected to remember, and tells it.
func (f *FanOut) trim() {
	for a := f.list.excess(f.Limits.WithDefaults()); a != nil; a = f.list.excess(f.Limits.WithDefaults()) {
		f.forget(a)
		f.ready = append(f.ready, &consignment{packet: f.change(a.context, a.number, a.version, psyc.Diminish, nil)})
	}
}

// change returns a packet without a stanza that changes an audience.
func (f *FanOut) change(context string, number, version uint64, op psyc.Op, members []uniform.JID) *psyc.Packet {
	p := new(psyc.Packet)
	p.Routing.Add(psyc.Set, varContext, context)
	p.Entity = psyc.Vars{
		{Op: psyc.Set, Name: varAudience, Value: appendAudience(nil, number, version)},
		{Op: op, Name: varMembers, Value: f.appendMembers(nil, members)},
	}
	return p
}
