package transcode

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// ErrOutOfStep means that sender and receiver of casts do not come to agree: the session has to end, and what is unsettled
// begins again in the next one, where all audiences are empty.
var ErrOutOfStep = errors.New("transcode: fan-out out of step")

// A FanIn is the receiving half of fan-out on one session, see [FanOut]. It makes a stanza for each recipient of a cast,
// and converts all other packets like a [Converter].
//
// It knows no clock, starts no goroutine, and is for one at a time. A new session begins with a new FanIn.
//
//	for s, err := range f.Receive(now, p) { ... } // every packet from the peer that is no circuit packet, in order
//	for s, err := range f.Expire(now) { ... }     // at f.Due()
//	for _, p := range f.Replies() { ... }         // after either: to be sent to the peer
//
// The loops have to be run to their ends. A stanza is good until the next one, and may be changed until then.
type FanIn struct {
	// Root is the uniform that speaks for the receiver, such as psyc://north.example/; the peer must have reason to believe us that we
	// are it.
	Root string
	// Admit decides whether the peer may send from the domain remote to the domain local: whether the one is proved and the
	// other hosted. nil admits everything. An error that wraps a [xmpp.Condition] or is a *[Error] says what the peer is told.
	Admit func(local, remote string) error
	// Charge is told of every cast how many copies and bytes it is about to become; an error refuses it, and the sender
	// falls back to a packet each. nil refuses nothing.
	Charge func(copies, bytes int) error
	// Limits is what is remembered. Of audiences in excess the least recently used one is dropped and the sender told.
	Limits AudienceLimits
	// Hold bounds what waits while an audience is in doubt.
	Hold HoldLimits
	// InOrder has everything wait then, and not only what comes from the same address: for sessions whose acknowledgement is the
	// number of packets that have been received, in which what overtakes comes again if the connection breaks.
	InOrder bool
	// Space is the content namespace of the stanzas; xmpp.NSServer if empty.
	Space string

	conv      Converter
	audiences map[audienceKey]*audience
	list      audienceList
	holds     map[string]*hold // by the uniform of the bare source
	received  uint64           // packets given to Receive
	casts     uint64           // number of the last one
	reported  uint64           // the sender has been told that casts are settled up to this one
	replies   []*psyc.Packet

	change   change
	stripped psyc.Packet
	spans    []span
	copy     xmpp.Stanza
	attrs    []xmpp.Attr
}

// audienceKey tells audiences apart.
type audienceKey struct {
	context string
	number  uint64
}

// reportEvery is how many casts are settled until the sender is told. It must be well below its window.
const reportEvery = 16

// Receive takes a packet and yields the stanzas that are due: none, one, or those of a whole audience; also those that had to wait
// for this packet. An error is about one packet, which the peer has been sent an answer about by way of [FanIn.Replies]; only [ErrOutOfStep]
// ends the session. Errors of packets are of type *[Error].
func (f *FanIn) Receive(now time.Time, p *psyc.Packet) iter.Seq2[*xmpp.Stanza, error] {
	return func(yield func(*xmpp.Stanza, error) bool) { f.receive(now, p, yield) }
}

func (f *FanIn) receive(now time.Time, p *psyc.Packet, yield func(*xmpp.Stanza, error) bool) {
	f.received++
	a := arrival{p: p, number: f.received}
	if answersQuestion(p) {
		if h := f.holds[string(f.lane(p))]; h != nil {
			f.answered(now, h, p, yield)
		}
		return
	}
	if aboutContext(p) && p.Method != "" {
		n, err := number(p.Entity.Get(varCasts).String())
		if err != nil || n <= f.casts {
			yield(nil, fmt.Errorf("cast %q after %d: %w", cut(p.Entity.Get(varCasts)), f.casts, ErrOutOfStep))
			return
		}
		f.casts, a.cast = n, n
	}
	if len(f.holds) > 0 {
		if h := f.holds[string(f.lane(p))]; h != nil {
			f.keep(now, h, a, yield)
			return
		}
	}
	if !f.process(now, a, false, yield) && len(f.holds) > f.Hold.withDefaults().Sources {
		yield(nil, fmt.Errorf("%d sources wait: %w", len(f.holds), ErrOutOfStep))
	}
}

// An arrival is a packet from the peer.
type arrival struct {
	p      *psyc.Packet
	number uint64 // of packets received
	cast   uint64 // of casts, 0 if it is none
}

// bareSource returns the uniform of the bare source of p.
func bareSource(p *psyc.Packet) []byte {
	if context := p.Routing.Get(varContext); len(context) > 0 {
		return context
	}
	return p.Routing.Get(varSource)
}

// lane returns what has to wait for each other: packets with the same.
func (f *FanIn) lane(p *psyc.Packet) []byte {
	if f.InOrder {
		return nil
	}
	return bareSource(p)
}

// AboutAudiences reports whether p is a cast, or repeats a part of one, or speaks of audiences in another way. As long as nothing is held any other
// packet need not go through a FanIn: it is what a [Converter] makes of it.
func AboutAudiences(p *psyc.Packet) bool {
	for i := range p.Entity {
		if name := p.Entity[i].Name; name == varAudience || strings.HasPrefix(name, varMembers) {
			return true
		}
	}
	return false
}

// aboutContext reports whether p is a cast, or changes an audience.
func aboutContext(p *psyc.Packet) bool {
	return len(p.Routing.Get(varContext)) > 0 && p.Routing.Get(varSource) == nil && p.Routing.Get(varTarget) == nil &&
		p.Entity.Get(varAudience) != nil
}

// answersQuestion reports whether p tells of an audience because it was asked for.
func answersQuestion(p *psyc.Packet) bool {
	return p.Method == "" && len(p.Routing.Get(varContext)) > 0 && p.Routing.Get(varSource) == nil &&
		p.Routing.Get(varTarget) != nil && p.Entity.Get(varAudience) != nil
}

// process deals with a packet that nothing is in the way of. It reports false if from now on other packets have to wait
// for what becomes of this one. unknown says that an audience which is not known is not asked for.
func (f *FanIn) process(now time.Time, a arrival, unknown bool, yield func(*xmpp.Stanza, error) bool) bool {
	if !aboutContext(a.p) {
		f.single(a.p, yield)
		return true
	}
	err := f.change.read(a.p)
	if err == nil && a.cast == 0 {
		err = f.apply(a.p)
		if errors.Is(err, errDoubt) {
			err = errUntold
		}
		if err != nil {
			f.refuse(a, err)
			yield(nil, err)
		}
		return true
	}
	if err == nil {
		err = f.apply(a.p)
	}
	if errors.Is(err, errDoubt) {
		if !unknown {
			f.ask(now, a)
			return false
		}
		err = errUntold
	}
	if err == nil {
		err = f.deliver(a.p, yield)
	}
	if err != nil {
		f.refuse(a, err)
		f.await(now, a, unknown)
		yield(nil, err)
		return false
	}
	f.report(a.p)
	return true
}

// single yields the stanza that a packet is which has one recipient.
func (f *FanIn) single(p *psyc.Packet, yield func(*xmpp.Stanza, error) bool) {
	if p.Entity.Get(varRepeat) != nil {
		if p = withoutRepeat(p); p.Method == "" {
			return // the end of copies
		}
	}
	f.conv.Space = f.Space
	s, err := f.conv.Stanza(p)
	switch {
	case err != nil:
	case s.From.IsZero() || s.To.IsZero():
		err = &Error{xmpp.ImproperAddressing, methodInvalidUniform, errors.New("no source or no target")}
	default:
		err = f.admit(s.To.Domain(), s.From.Domain())
	}
	if err != nil {
		f.complain(p, err)
		yield(nil, err)
		return
	}
	yield(s, nil)
}

// withoutRepeat returns a copy of a cast as if there were no casts.
func withoutRepeat(p *psyc.Packet) *psyc.Packet {
	q := *p
	q.Entity = slices.DeleteFunc(slices.Clone(p.Entity), func(v psyc.Var) bool { return v.Name == varRepeat })
	return &q
}

// admit asks whether a pair of domains is in order.
func (f *FanIn) admit(local, remote string) error {
	if f.Admit == nil {
		return nil
	}
	err := f.Admit(local, remote)
	if err == nil {
		return nil
	}
	e := &Error{xmpp.NotAuthorized, methodAudienceRelay, fmt.Errorf("from %s to %s: %w", remote, local, err)}
	var own *Error
	if errors.As(err, &own) {
		e.Condition, e.Method = own.Condition, own.Method
	}
	return e
}

// complain answers a packet that is no stanza for somebody here, unless it is a complaint itself.
func (f *FanIn) complain(p *psyc.Packet, err error) {
	if psyc.InheritsAny(p.Method, "_error", "_failure", "_warning") {
		return
	}
	q := p.Reply(methodOf(err))
	q.Body = []byte("This packet cannot be delivered.")
	f.reply(q)
}

// reply queues a packet for the peer, unless what it sent does not even allow that.
func (f *FanIn) reply(p *psyc.Packet) {
	for _, v := range p.Routing {
		if !plain(v.Value.String(), maxValue) {
			return
		}
	}
	f.replies = append(f.replies, p)
}

func methodOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Method != "" {
		return e.Method
	}
	return methodAudienceInvalid
}

// deliver yields the copies of a cast, whose audience f.change has found. All is checked before the first one.
func (f *FanIn) deliver(p *psyc.Packet, yield func(*xmpp.Stanza, error) bool) error {
	c := &f.change
	a := c.audience
	f.stripped = psyc.Packet{Routing: append(f.stripped.Routing[:0], p.Routing...), Entity: c.rest, Method: p.Method, Body: p.Body, Size: p.Size}
	for i := range f.stripped.Routing {
		if v := &f.stripped.Routing[i]; v.Name == varContext {
			v.Name = varSource
		}
	}
	f.conv.Space = f.Space
	s, err := f.conv.Stanza(&f.stripped)
	if err != nil {
		return err
	}
	if s.From.IsZero() || !s.To.IsZero() || !Broadcast(s) {
		return audienceError(methodAudienceInvalid, "%s is not for many", p.Method)
	}
	f.spans = f.spans[:0]
	switch {
	case c.only != nil:
		f.spans, err = readSpans(f.spans, c.only, len(a.members))
	case c.without != nil:
		f.spans, err = readSpans(f.spans, c.without, len(a.members))
		n := len(f.spans)
		f.spans = complement(f.spans, f.spans[:n:n], len(a.members))[n:]
	default:
		f.spans = append(f.spans, span{0, len(a.members)})
	}
	if err != nil {
		return err
	}
	copies, bytes, domain := 0, 0, ""
	for _, r := range f.spans {
		for i := range a.members[r.from:r.to] {
			if d := a.members[r.from+i].Domain(); d != domain || i == 0 {
				if err := f.admit(d, s.From.Domain()); err != nil {
					return err
				}
				domain = d
			}
		}
		copies += r.to - r.from
		bytes += burden(s, a.members[r.from:r.to])
	}
	if f.Charge != nil {
		if err := f.Charge(copies, bytes); err != nil {
			return &Error{xmpp.ResourceConstraint, methodAudienceExhausted, fmt.Errorf("%d copies: %w", copies, err)}
		}
	}
	for _, r := range f.spans {
		if !f.yieldCopies(s, a.members[r.from:r.to], yield) {
			return nil
		}
	}
	return nil
}

// yieldCopies yields a copy of s for each of to. Whoever gets one may change it: the next one is made of s.
func (f *FanIn) yieldCopies(s *xmpp.Stanza, to []uniform.JID, yield func(*xmpp.Stanza, error) bool) bool {
	for i := range to {
		f.copy = *s
		if len(s.Attrs) > 0 {
			f.attrs = append(f.attrs[:0], s.Attrs...)
			f.copy.Attrs = f.attrs
		}
		f.copy.To = to[i]
		if !yield(&f.copy, nil) {
			return false
		}
	}
	return true
}

// stanzaOverhead is about what an element takes on a stream beside its addresses and children.
const stanzaOverhead = 60

// burden is about how many bytes copies of s for all of to are on a stream.
func burden(s *xmpp.Stanza, to []uniform.JID) int {
	n := len(to) * (len(s.Raw()) + len(s.From.String()) + stanzaOverhead)
	for i := range to {
		n += len(to[i].String())
	}
	return n
}

// Replies returns what has to be sent to the peer, in order, and forgets it.
func (f *FanIn) Replies() []*psyc.Packet {
	out := f.replies
	f.replies = nil
	return out
}

// tell appends a reply about an audience to its context.
func (f *FanIn) tell(context string, id []byte, method string, vars ...psyc.Var) *psyc.Packet {
	p := &psyc.Packet{Method: method}
	p.Routing.Add(psyc.Set, varSource, f.Root)
	p.Routing.Add(psyc.Set, varTarget, context)
	p.Entity = append(psyc.Vars{{Op: psyc.Set, Name: varAudience, Value: bytes.Clone(id)}}, vars...)
	f.reply(p)
	return p
}

func castsVar(n uint64) psyc.Var {
	return psyc.Var{Op: psyc.Set, Name: varCasts, Value: strconv.AppendUint(nil, n, 10)}
}

// refuse tells the sender that a cast, or a change without one, is not taken. The audience is dropped: what the sender thinks of
// it and what is here may differ from now on.
func (f *FanIn) refuse(a arrival, err error) {
	context, id := a.p.Routing.Get(varContext).String(), a.p.Entity.Get(varAudience)
	if n, _, err := readAudience(id); err == nil {
		f.drop(f.audiences[audienceKey{context, n}])
	}
	q := f.tell(context, id[:min(len(id), 64)], methodOf(err), castsVar(a.cast))
	q.Body = []byte("This cannot be delivered to an audience.")
}

// report tells the sender from time to time how far casts are settled; p is the last one.
func (f *FanIn) report(p *psyc.Packet) {
	if f.casts-f.reported < reportEvery {
		return
	}
	if n := f.settled(); n >= f.reported+reportEvery {
		f.reported = n
		f.tell(p.Routing.Get(varContext).String(), p.Entity.Get(varAudience), methodAudienceStatus, castsVar(n))
	}
}

// settled returns the number of the last cast such that it and all before it are settled.
func (f *FanIn) settled() uint64 {
	n := f.casts
	for _, h := range f.holds {
		if h.repeat > 0 {
			n = min(n, h.repeat-1)
		}
		for _, a := range h.arrivals {
			if a.cast > 0 {
				n = min(n, a.cast-1)
				break
			}
		}
	}
	return n
}
