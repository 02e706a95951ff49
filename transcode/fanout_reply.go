package transcode

import (
	"iter"
	"slices"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// aboutAudience reports whether p is what a receiver of casts says to their sender.
func aboutAudience(p *psyc.Packet) bool {
	if p.Routing.Get(varContext) != nil || p.Routing.Get(varTarget) == nil {
		return false
	}
	return p.Entity.Get(varAudience) != nil && (p.State == psyc.Resync || p.Entity.Get(varCasts) != nil ||
		psyc.Inherits(p.Method, methodAudienceRemoved))
}

// Handle takes in what the receiver says about audiences, and reports whether p was that. What has to be sent because of
// it is ready afterwards. Anything else is left to the caller.
func (f *FanOut) Handle(p *psyc.Packet) bool {
	if !aboutAudience(p) {
		return false
	}
	context := p.Routing.Get(varTarget).String()
	n, version, err := readAudience(p.Entity.Get(varAudience))
	if err != nil {
		return true
	}
	casts, err := number(p.Entity.Get(varCasts).String())
	switch {
	case p.State == psyc.Resync:
		f.answer(context, p.Routing.Get(varSource).String(), [2]uint64{n, version})
	case psyc.Inherits(p.Method, methodAudienceRemoved):
		f.forget(f.find(context, n))
	case err != nil:
	case psyc.Inherits(p.Method, methodAudienceStatus):
		f.Confirm(casts)
	case psyc.Inherits(p.Method, "_failure"), psyc.Inherits(p.Method, "_error"):
		f.refused(p.Method, context, n, casts)
	}
	return true
}

// Confirm tells that the receiver is through with all casts up to the number, so that none of them has to be repeated. A
// receiver says so by itself; where the session has acknowledgements, they may say it sooner.
func (f *FanOut) Confirm(casts uint64) {
	i := 0
	for i < len(f.pending) && f.pending[i].number <= casts {
		i++
	}
	f.pending = slices.Delete(f.pending, 0, i)
}

// Recall returns what a packet of this session stood for that a connection gives back unsent: the stanzas of a cast that the receiver
// has not confirmed, or nothing if p spoke of audiences alone. ok is false for any other packet. The parcel has no packet and
// no refs.
func (f *FanOut) Recall(p *psyc.Packet) (parcel Parcel, ok bool) {
	switch {
	case aboutAudience(p), answersQuestion(p), aboutContext(p) && p.Method == "":
		return Parcel{}, true
	case p.Entity.Get(varRepeat) != nil:
		if s, err := f.conv.Stanza(withoutRepeat(p)); err == nil {
			return Parcel{Copies: 1, stanza: s.Clone()}, true
		}
		return Parcel{}, true
	case !aboutContext(p):
		return Parcel{}, false
	}
	n, err := number(p.Entity.Get(varCasts).String())
	i := slices.IndexFunc(f.pending, func(r *castRecord) bool { return r.number == n })
	if err != nil || i < 0 {
		return Parcel{}, true
	}
	r := f.pending[i]
	return Parcel{Copies: len(r.to), Cast: n, stanza: r.stanza, to: r.to}, true
}

// find returns an audience that the sender keeps, nil if there is none.
func (f *FanOut) find(context string, n uint64) *audience {
	source, err := f.conv.book.jid([]byte(context), nil)
	if set := f.contexts[source]; err == nil && set != nil {
		for _, a := range set.audiences {
			if a.number == n {
				return a
			}
		}
	}
	return nil
}

// maxAnswers is how many answers may wait to be sent. A receiver that asks more than this asks for more sources than it should.
const maxAnswers = 64

// answer tells the members of an audience as they were for a cast that the receiver has not confirmed: it holds that cast
// and what came after it. Each cast is a reason for one answer, so that little questions do not make long answers.
func (f *FanOut) answer(context, who string, id [2]uint64) {
	waiting := 0
	for _, c := range f.ready {
		if c.answer {
			waiting++
		}
	}
	if waiting >= maxAnswers {
		return
	}
	op, members := psyc.Diminish, []uniform.JID(nil)
	for _, r := range f.pending {
		if r.context == context && r.id == id && !r.told {
			r.told = true
			op, members = psyc.Assign, r.members
			break
		}
	}
	p := f.change(context, id[0], id[1], op, members)
	p.Routing.Add(psyc.Set, varTarget, who)
	f.urgent(&consignment{packet: p, answer: true})
}

// urgent puts c in front of what is ready: the receiver holds back what the same source has sent since.
func (f *FanOut) urgent(c *consignment) { f.ready = slices.Insert(f.ready, 0, c) }

// refused repeats a cast to each of its recipients. The receiver has dropped the audience.
func (f *FanOut) refused(method, context string, n, cast uint64) {
	if psyc.Inherits(method, methodAudienceExhausted) {
		f.paused = pause
	}
	f.forget(f.find(context, n))
	i := slices.IndexFunc(f.pending, func(r *castRecord) bool { return r.number == cast && r.context == context })
	if i < 0 {
		return
	}
	r := f.pending[i]
	f.pending = slices.Delete(f.pending, i, i+1)
	f.urgent(&consignment{stanza: r.stanza, to: r.to, repeat: cast})
}

// Reset begins a new session: the receiver knows no audiences, and what the old session left unsettled is for the caller to add
// again, parcel by parcel (see [Parcel.Stanzas]). Reset yields, in order, what has been added and not yet been taken out,
// with its ref, which belongs behind that.
func (f *FanOut) Reset() iter.Seq2[*xmpp.Stanza, any] {
	f.FlushAll()
	var left []*consignment
	for _, c := range f.ready {
		if c.packet == nil && c.repeat == 0 {
			left = append(left, c)
		}
	}
	f.ready, f.pending, f.contexts, f.list = nil, nil, nil, audienceList{}
	f.casts, f.numbers, f.paused = 0, 0, 0
	return func(yield func(*xmpp.Stanza, any) bool) {
		for _, c := range left {
			to, refs := c.to, c.refs
			if to != nil {
				to, refs = to[c.at:], refs[c.at:]
			}
			for s, ref := range (Parcel{stanza: c.stanza, refs: refs, to: to}).Stanzas() {
				if !yield(s, ref) {
					return
				}
			}
		}
	}
}
