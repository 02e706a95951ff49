package transcode

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// HoldLimits bounds what a receiver keeps back in order while an audience is in doubt. Zero fields have the defaults given.
type HoldLimits struct {
	Packets int           // of one bare source, or with InOrder of all; 64
	Bytes   int           // likewise; 256 KiB
	Sources int           // that are waited for at a time; 64
	Time    time.Duration // that an answer may take; 10 s
}

func (l HoldLimits) withDefaults() HoldLimits {
	l.Packets, l.Bytes, l.Sources = orDefault(l.Packets, 64), orDefault(l.Bytes, 256<<10), orDefault(l.Sources, 64)
	if l.Time <= 0 {
		l.Time = 10 * time.Second
	}
	return l
}

// A hold keeps what came from a bare source since the cast that cannot be delivered, so that order is kept. It waits for the
// answer to a question about the audience of its first arrival; or for the copies of a refused cast, one by one.
type hold struct {
	arrivals []arrival
	bytes    int
	until    time.Time
	context  string    // of the first arrival
	asked    [2]uint64 // number and version, unless repeat is set
	repeat   uint64    // number of the refused cast
	refused  uint64    // number of the packet that it came in
	unknown  bool      // the question was not answered, and is not asked again about what is held

	copy *xmpp.Stanza  // of the refused cast, with InOrder: they all go when the last one is there, so that none goes twice
	to   []uniform.JID // whom it is for
}

// Held returns how many packets are kept back, together with refused casts whose copies have yet to come. While there are
// any, nothing that came from the same sources since is settled.
func (f *FanIn) Held() (n int) {
	for _, h := range f.holds {
		n += len(h.arrivals)
		if h.repeat > 0 {
			n++
		}
	}
	return n
}

// Unsettled returns how many of the packets that Receive was given last are not settled: from the first one on that is kept back. With
// InOrder nothing that they say has been yielded, so that all of them may come again in another session.
func (f *FanIn) Unsettled() int {
	first := f.received + 1
	for _, h := range f.holds {
		if h.repeat > 0 {
			first = min(first, h.refused)
		} else {
			first = min(first, h.arrivals[0].number)
		}
	}
	return int(f.received + 1 - first)
}

// Skip takes notice of a packet of the session that is not for Receive, such as one that [FanOut.Handle] took, so that Unsettled stays right
// while something is kept back.
func (f *FanIn) Skip() { f.received++ }

// Due returns when Expire will have something to do, the zero time if nothing is waited for.
func (f *FanIn) Due() (due time.Time) {
	for _, h := range f.holds {
		if due.IsZero() || h.until.Before(due) {
			due = h.until
		}
	}
	return due
}

// Expire gives up waiting for answers that should have come by now, and yields as [FanIn.Receive] does.
func (f *FanIn) Expire(now time.Time) iter.Seq2[*xmpp.Stanza, error] {
	return func(yield func(*xmpp.Stanza, error) bool) {
		for lane, h := range f.holds {
			if h.until.After(now) {
				continue
			}
			if h.repeat > 0 {
				delete(f.holds, lane) // there is nothing more to wait for
				yield(nil, fmt.Errorf("no copies of a refused cast from %.100q: %w", h.context, ErrOutOfStep))
				return
			}
			f.unanswered(now, h, errUntold, yield)
		}
	}
}

// holdUp makes what comes from the source of a wait.
func (f *FanIn) holdUp(now time.Time, a arrival, h *hold) {
	h.until = now.Add(f.Hold.withDefaults().Time)
	h.context = a.p.Routing.Get(varContext).String()
	if f.holds == nil {
		f.holds = make(map[string]*hold)
	}
	f.holds[string(f.lane(a.p))] = h
}

// ask holds a, and asks the sender for the audience of it.
func (f *FanIn) ask(now time.Time, a arrival) {
	c := &f.change
	h := &hold{asked: [2]uint64{c.number, c.version}}
	f.holdUp(now, a, h)
	h.append(a)
	f.tell(a.p.Routing.Get(varContext).String(), a.p.Entity.Get(varAudience), "").State = psyc.Resync
}

// await waits for the copies of a cast that has been refused.
func (f *FanIn) await(now time.Time, a arrival, unknown bool) {
	f.holdUp(now, a, &hold{repeat: a.cast, refused: a.number, unknown: unknown})
}

func (h *hold) append(a arrival) {
	a.p = a.p.Clone()
	h.arrivals = append(h.arrivals, a)
	h.bytes += packetSize(a.p)
}

// packetSize is about what p takes in memory.
func packetSize(p *psyc.Packet) int {
	n := 100 + len(p.Body)
	for _, vars := range [...]psyc.Vars{p.Routing, p.Entity} {
		for i := range vars {
			n += 50 + len(vars[i].Value)
		}
	}
	return n
}

// keep deals with a packet from a source that is held up.
func (f *FanIn) keep(now time.Time, h *hold, a arrival, yield func(*xmpp.Stanza, error) bool) {
	if h.repeat > 0 {
		if cast, left, ok := repeated(a.p); ok && cast == h.repeat {
			switch {
			case left == 0:
				f.repeated(h, yield)
				f.release(now, h, a.p, yield)
			case f.InOrder:
				f.single(a.p, func(s *xmpp.Stanza, err error) bool { return f.gather(h, s, err, yield) })
			default:
				f.single(a.p, yield)
			}
			return
		}
	}
	h.append(a)
	limit := f.Hold.withDefaults()
	if h.repeat == 0 && (len(h.arrivals) > limit.Packets || h.bytes > limit.Bytes) {
		f.unanswered(now, h, errUntold, yield)
	}
	if len(h.arrivals) > 2*limit.Packets || h.bytes > 2*limit.Bytes {
		yield(nil, fmt.Errorf("%d packets wait for %.100q: %w", len(h.arrivals), bareSource(a.p), ErrOutOfStep))
	}
}

// gather keeps a copy of a refused cast.
func (f *FanIn) gather(h *hold, s *xmpp.Stanza, err error, yield func(*xmpp.Stanza, error) bool) bool {
	switch {
	case err != nil:
		return yield(nil, err)
	case h.copy == nil:
		h.copy = s.Clone()
	case !alikeButTo(h.copy, s) || len(h.to) >= max(f.Limits.Entries, defaultEntries):
		return yield(nil, fmt.Errorf("copies of a refused cast from %.100q: %w", h.context, ErrOutOfStep))
	}
	h.to = append(h.to, s.To)
	return true
}

// repeated yields what gather has kept.
func (f *FanIn) repeated(h *hold, yield func(*xmpp.Stanza, error) bool) {
	if h.copy != nil {
		f.yieldCopies(h.copy, h.to, yield)
		h.copy, h.to = nil, nil
	}
}

// answered goes on with what p says about the audience that h waits for; an answer to no question of now is too late.
func (f *FanIn) answered(now time.Time, h *hold, p *psyc.Packet, yield func(*xmpp.Stanza, error) bool) {
	if h.repeat > 0 || f.change.read(p) != nil || h.asked != [2]uint64{f.change.number, f.change.version} ||
		h.context != p.Routing.Get(varContext).String() {
		return
	}
	err := f.apply(p)
	if errors.Is(err, errDoubt) || err == nil && (len(f.change.ops) == 0 || f.change.ops[0].Op != psyc.Assign) {
		err = errUntold // it is no answer
	}
	if err != nil {
		f.unanswered(now, h, err, yield)
		return
	}
	f.release(now, h, p, yield)
}

// repeated reads which cast p is a copy of, and how many copies there are from this one on: 0 at their end.
func repeated(p *psyc.Packet) (cast, left uint64, ok bool) {
	v := p.Entity.Get(varRepeat)
	if v == nil || len(v) > 64 {
		return 0, 0, false
	}
	a, b, _ := strings.Cut(strings.TrimPrefix(v.String(), "| "), "| ")
	cast, err := number(a)
	if err == nil {
		left, err = number(b)
	}
	return cast, left, err == nil
}

// errUntold means that nobody says who an audience is.
var errUntold = audienceError(methodAudienceUnknown, "members have not been told")

// unanswered refuses the cast that h waits with, for lack of its audience.
func (f *FanIn) unanswered(now time.Time, h *hold, err error, yield func(*xmpp.Stanza, error) bool) {
	a := h.arrivals[0]
	h.arrivals = h.arrivals[1:]
	h.bytes -= packetSize(a.p)
	h.repeat, h.refused, h.unknown = a.cast, a.number, h.unknown || err == error(errUntold)
	h.until = now.Add(f.Hold.withDefaults().Time)
	f.refuse(a, err)
	yield(nil, err)
}

// release lets go what was held, up to the next cast that cannot be delivered.
func (f *FanIn) release(now time.Time, h *hold, p *psyc.Packet, yield func(*xmpp.Stanza, error) bool) {
	lane := string(f.lane(p))
	h.repeat = 0
	for len(h.arrivals) > 0 {
		a := h.arrivals[0]
		h.arrivals = h.arrivals[1:] // what is left counts as held until it is its turn
		if f.process(now, a, h.unknown, yield) {
			continue
		}
		again := f.holds[lane]
		for _, b := range h.arrivals {
			again.arrivals = append(again.arrivals, b)
			again.bytes += packetSize(b.p)
		}
		return
	}
	delete(f.holds, lane)
}
