package plain

import (
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Unsent returns the stanza of a packet of [Peer.Out] that never reached the peer, with the id and the addresses that it had. What
// was an answer or an echo is nothing any more; known then tells that there is no stanza to look for.
func (p *Peer) Unsent(q *psyc.Packet) (s *xmpp.Stanza, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.Routing.Get("_tag_reply") != nil || q.Routing.Get("_tag_relay") != nil || psyc.Inherits(q.Method, "_message_echo") {
		return nil, true
	}
	p.in.Plain = true
	if context := q.Routing.Get("_context"); context != nil {
		return p.uncast(q, context.String()), true
	}
	tag := q.Routing.Get("_tag").String()
	r := p.asked[tag]
	if r == nil {
		return p.unsaid(q), false
	}
	delete(p.asked, tag)
	request := r.request
	if r.join != nil {
		_ = request.SetRaw([]byte("<x xmlns='" + nsMUC + "'/>"))
		p.forgetJoin(r.join)
		return &request, true
	}
	converted, err := p.in.Stanza(q)
	if err != nil || converted.Kind != xmpp.IQ {
		return request.ErrorReply(xmpp.RemoteServerTimeout), true
	}
	s = converted.Clone()
	s.ID, s.From, s.To = request.ID, request.From, request.To
	return s, true
}

// uncast returns what was said in a room of ours, as the copy of one guest: sent again, it is cast again.
func (p *Peer) uncast(q *psyc.Packet, context string) *xmpp.Stanza {
	place, err := address(context)
	if err != nil || !psyc.Inherits(q.Method, "_message") {
		return nil
	}
	r := p.rooms[roomAddress(place)]
	if r == nil || len(r.audience()) == 0 {
		return nil
	}
	converted, err := p.in.Stanza(q)
	if err != nil {
		return nil
	}
	s := converted.Clone()
	s.Type, s.From, s.To = "groupchat", r.jid, r.audience()[0].full()
	if at, err := r.jid.WithResource(q.Entity.Get("_nick").String()); err == nil {
		s.From = at
	}
	r.last = ""
	return s
}

// unsaid returns a message with its id, nil if q is none of which the echo is awaited.
func (p *Peer) unsaid(q *psyc.Packet) *xmpp.Stanza {
	if !psyc.Inherits(q.Method, "_message") {
		return nil
	}
	from, err := address(q.Routing.Get("_source").String())
	if err != nil {
		return nil
	}
	to, err := address(q.Routing.Get("_target").String())
	if err != nil {
		return nil
	}
	key := pairOf(from, to)
	waiting, _ := p.said.Get(key)
	for i, m := range waiting {
		if body, _, _ := strings.Cut(m.body, "\x00"); body != string(q.Body) {
			continue
		}
		converted, err := p.in.Stanza(q)
		if err != nil {
			return nil
		}
		s := converted.Clone()
		s.From, s.ID, s.Type = m.from, m.id, m.typ
		p.keep(key, append(waiting[:i:i], waiting[i+1:]...))
		return s
	}
	return nil
}
