package plain

import (
	"slices"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// said is a message that the peer has not echoed yet. Messages have no tag: the echo and the error come in their order.
type said struct {
	from uniform.JID // full
	id   string
	typ  string
	body string
}

// saidLife is how long an error may be about a message.
const saidLife = 2 * time.Minute

// outMessage sends what somebody here says.
func (p *Peer) outMessage(e *Effect, s *xmpp.Stanza) error {
	if pl := p.placeOf(s.To.Bare()); pl != nil {
		return p.outPlaceMessage(e, s, pl)
	}
	q, err := p.convert(s)
	if err != nil {
		return err
	}
	if verbatim(q) {
		return nil // it has nothing to read in it, and the peer no word for it
	}
	if psyc.Inherits(q.Method, "_notice_invitation") {
		inviteToPlace(q, s.To)
	}
	if psyc.Inherits(q.Method, "_error_unknown_name_user") {
		q.Entity.Set("_nick_target", s.From.Local()) // which psyced shows
	}
	if s.Type != "error" {
		p.note(pairOf(s.From, s.To), said{s.From, s.ID, s.Type, string(q.Body)})
	}
	e.send(q)
	return nil
}

func (p *Peer) note(key pair, m said) {
	waiting, _ := p.said.Get(key)
	p.keep(key, push(waiting, m))
}

// push appends m to what waits for its echo, of which the oldest gives way if there is too much.
func push(waiting []said, m said) []said {
	return append(slices.Clone(waiting[max(len(waiting)-maxSaid+1, 0):]), m)
}

// echoed settles the message that the peer has taken: the first with that text, and those before it, of which nothing was heard.
func (p *Peer) echoed(key pair, body string) {
	waiting, _ := p.said.Get(key)
	for i, m := range waiting {
		if m.body == body {
			p.keep(key, waiting[i+1:])
			return
		}
	}
}

func (p *Peer) keep(key pair, waiting []said) {
	if len(waiting) == 0 {
		p.said.Delete(key)
		return
	}
	p.said.Put(key, waiting, time.Now().Add(saidLife), maxPeople)
}

// first takes out the oldest message of which nothing was heard.
func (p *Peer) first(key pair) (m said, ok bool) {
	waiting, _ := p.said.Get(key)
	if len(waiting) == 0 {
		return said{}, false
	}
	p.keep(key, waiting[1:])
	return waiting[0], true
}

// failed tells the sender of a message that it was in vain.
func (p *Peer) failed(e *Effect, m mail) error {
	sent, ok := p.first(pairOf(m.to, m.from))
	if !ok {
		return nil // about presence or something that is long over
	}
	e.deliver(bounce(sent, m.from, complaintError(m)))
	return nil
}

// bounce returns the error about a message to somebody there.
func bounce(sent said, to uniform.JID, err error) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: sent.typ, ID: sent.id, From: sent.from, To: to}
	return s.ErrorReply(err)
}

// message delivers a message to somebody here, and returns it to its sender as an echo.
func (p *Peer) message(e *Effect, m mail) error {
	s, err := p.stanza(m, m.from, m.to)
	if err != nil {
		return err
	}
	e.deliver(s)
	if m.context || m.to.Local() == "" || !psyc.Inherits(m.Method, "_message_private") && m.Method != "_message" {
		return nil
	}
	e.After = append(e.After, echo(m))
	return nil
}

// echo returns a message to its sender, who sees it only then.
func echo(m mail) *psyc.Packet {
	echo := &psyc.Packet{Method: "_message_echo" + strings.TrimPrefix(m.Method, "_message"), Body: m.Body}
	echo.Routing.Set("_source", m.target)
	echo.Routing.Set("_target", m.source)
	for _, v := range m.Entity {
		if v.Op == psyc.Set && !strings.HasPrefix(v.Name, "_tag") && !strings.HasPrefix(v.Name, "_INTERNAL") {
			echo.Entity = append(echo.Entity, v)
		}
	}
	if tag := m.Tag(); tag != "" {
		echo.Routing.Set("_tag_relay", tag)
	}
	return echo.Clone()
}

// inviteToPlace makes the room of an invitation (XEP-0249) a place, and says what psyced shows of it.
func inviteToPlace(q *psyc.Packet, invited uniform.JID) {
	j, err := address(q.Entity.Get("_place").String())
	if err != nil || j.Local() == "" {
		return
	}
	place := roomUniform(j)
	q.Entity.Set("_place", place)
	q.Entity.Set("_nick_place", place) // which is what they have to enter
	q.Entity.Set("_nick_target", invited.Local())
}

// invite delivers an invitation. One to a room of ours comes from the room as well, if a guest invites.
func (p *Peer) invite(e *Effect, m mail) error {
	place, err := address(m.Entity.Get("_place").String())
	if err == nil && isPlace(place) && (place.Domain() == m.to.Domain() || strings.HasSuffix(place.Domain(), "."+m.to.Domain())) {
		later := m
		later.Packet = m.Clone()
		rooms, known := p.hasRooms(e, place.Domain(), m.from.Domain(), weight(m.Packet), func(e *Effect) { _ = p.receive(e, later) })
		if !known {
			return nil
		}
		if rooms {
			room := roomAddress(place)
			if r := p.rooms[room]; r != nil && r.guests[m.from.Bare()] != nil {
				return nil
			}
			m = later
			m.Entity.Set("_place", room.Uniform().String())
		}
	}
	s, err := p.stanza(m, m.from, m.to)
	if err == nil {
		e.deliver(s)
	}
	return err
}
