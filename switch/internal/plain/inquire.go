package plain

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// A new start finds guests in rooms, who see no reason to enter again: psyced keeps them as members whatever becomes of a circuit. They
// are known again by what they say, or by what the room says to them. What else is to be known is found out then, step by step: a guest by
// what nick it goes, which psyced says to a ping, the room whether it is inside (XEP-0410), and who else is (XEP-0045 section 7.2.3), which
// rooms tell to those who enter once more.

// inquire takes the next step for g, unless everything is known or the step before is still under way.
func (p *Peer) inquire(e *Effect, r *room, g *guest) {
	if g.leaving || g.inside && r.listed || time.Since(g.inquired) < kindWait {
		return
	}
	g.inquired = time.Now()
	at, err := r.jid.WithResource(g.nick)
	switch {
	case !g.named || err != nil:
		q := r.says(g, "_request_ping", "")
		q.Routing.Set("_tag", rand.Text()[:16])
		e.send(q)
	case !g.inside:
		s := fromGuest(g.who, at, xmpp.IQ, "get")
		s.ID = rand.Text()[:16]
		_ = s.SetRaw([]byte("<ping xmlns='" + nsPing + "'/>"))
		p.asking.Put(s.ID, query{then: func(e *Effect, answer *xmpp.Stanza) { p.pinged(e, r, g, answer) }}, time.Now().Add(kindWait), maxRows)
		e.deliver(s)
	default:
		g.enters, g.settled, g.silent = true, false, !g.again
		s := fromGuest(g.who, at, xmpp.Presence, "")
		_ = s.SetRaw([]byte("<x xmlns='" + nsMUC + "'><history maxstanzas='0'/></x>"))
		e.deliver(s)
	}
}

// next is inquire when a step has been answered.
func (p *Peer) next(e *Effect, r *room, g *guest) {
	g.inquired = time.Time{}
	p.inquire(e, r, g)
}

// pinged takes the answer of a room to the question whether g is inside.
func (p *Peer) pinged(e *Effect, r *room, g *guest, answer *xmpp.Stanza) {
	if r.guests[g.who] != g {
		return
	}
	err := answer.Error()
	// Who is inside may be asked in turn, and psyced need not know the question.
	if g.inside = g.inside || err == nil || slices.Contains([]xmpp.Condition{xmpp.ServiceUnavailable, xmpp.FeatureNotImplemented}, err.Condition); !g.inside {
		p.unanswered(e, r, g)
		p.dismiss(r, g)
		return
	}
	if r.listed {
		p.answerGuest(e, r, g)
		return
	}
	p.next(e, r, g)
}

// unanswered tells g that what it has asked for is not for those outside.
func (p *Peer) unanswered(e *Effect, r *room, g *guest) {
	if g.curious {
		e.send(r.answers(g, "_error_necessary_membership", bodyMembership))
	}
	g.curious, g.enters, g.again = false, false, false
}

// answerGuest answers what g has asked for while nobody knew it.
func (p *Peer) answerGuest(e *Effect, r *room, g *guest) {
	if g.again {
		e.send(p.entry(r, g))
	}
	if g.curious {
		q := r.answers(g, "_status_place_members", "In [_nick_place]: [_list_members_nicks].")
		p.listMembers(q, r, g)
		e.send(q)
	}
	g.curious, g.enters, g.again = false, false, false
}
