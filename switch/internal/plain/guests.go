package plain

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// forRoom does what m wants of a room of ours, and reports whether it was for one, or may be.
func (p *Peer) forRoom(e *Effect, m mail) (bool, error) {
	domain := m.to.Domain()
	switch {
	case m.context || m.to.Local() == "":
		return false, nil
	case p.knownRooms(domain):
	case isPlace(m.to) && (m.is("_request", "_message") && !m.is("_message_echo")):
		later := m
		later.Packet = m.Clone()
		rooms, known := p.hasRooms(e, domain, m.from.Domain(), weight(m.Packet), func(e *Effect) {
			_ = p.receive(e, later) // who asked is told as well as may be
		})
		if !known {
			return true, nil
		}
		if !rooms {
			return false, nil
		}
	default:
		return false, nil
	}
	return true, p.toRoom(e, m, p.roomAt(roomAddress(m.to)))
}

// weight returns about how many bytes a packet has.
func weight(q *psyc.Packet) int {
	n := len(q.Body)
	for _, v := range slices.Concat(q.Routing, q.Entity) {
		n += len(v.Name) + len(v.Value)
	}
	return n
}

// toRoom does what somebody there wants of a room of ours.
func (p *Peer) toRoom(e *Effect, m mail, r *room) error {
	g := r.guests[m.from.Bare()]
	if g != nil {
		g.spelled = m.source
		if nick := nickOf(m); !g.named && nick != "" {
			g.nick, g.named = nick, true
		}
	}
	switch {
	case m.is("_request_enter", "_request_context_enter"):
		p.enterRoom(e, m, r)
	case m.is("_request_leave", "_request_context_leave"):
		p.leaveRoom(e, m, r, g)
	case m.is("_message_echo"):
		// A guest has read what an occupant wrote in private.
	case m.is("_echo_ping"):
		if g != nil && g.named {
			p.next(e, r, g)
		}
	case m.is("_message"):
		if g == nil && nickOf(m) != "" {
			// Who speaks may be inside since before we were started: then the room says so.
			if g = p.guest(r, m.from); g != nil {
				g.spelled, g.nick, g.named = m.source, nickOf(m), true
			}
		}
		return p.sayInRoom(e, m, r)
	case m.is("_request_set_topic"):
		p.setTopic(e, m, r, firstOf(m, "_topic", "_value"))
	case m.is("_request_kick"):
		p.kick(e, m, r, firstOf(m, "_person", "_value"))
	case m.is("_request_execute"):
		return p.execute(e, m, r)
	case m.is("_request_invitation"):
		return p.inviteTo(e, m, r)
	case m.is("_request_members", "_request_status"):
		p.tellMembers(e, m, r, g)
	case m.is("_request"):
		asked := m
		asked.to = r.jid
		return p.question(e, asked)
	case m.is("_failure", "_error") && g != nil && g.inside:
		// What a room says cannot be delivered: the guest is gone.
		e.deliver(p.parting(r, g))
	}
	return nil
}

// firstOf returns the first of the variables that is there.
func firstOf(m mail, names ...string) string {
	for _, name := range names {
		if v := m.Entity.Get(name); v != nil {
			return v.String()
		}
	}
	return ""
}

// execute does what psyced's people type in a place, as far as a room has it: psyced sends the line as it is.
func (p *Peer) execute(e *Effect, m mail, r *room) error {
	command, rest, _ := strings.Cut(strings.TrimSpace(string(m.Body)), " ")
	rest = strings.TrimSpace(rest)
	switch command {
	case "topic", "topi", "top", "to", "t":
		p.setTopic(e, m, r, rest)
	case "kick":
		p.kick(e, m, r, rest)
	default:
		q := r.answers(&guest{spelled: m.source, tag: m.Tag()}, "_failure_unsupported_execute_place_command", "[_nick_place] does not know that command.")
		e.send(q)
	}
	return nil
}

// noTopic is what is written to psyced, and by its people, to remove a topic. Without any it tells what the topic is.
const noTopic = "-"

// setTopic changes the topic of a room, or says what it is.
func (p *Peer) setTopic(e *Effect, m mail, r *room, topic string) {
	if topic == "" {
		p.tellTopic(e, m, r)
		return
	}
	s := fromGuest(m.from, r.jid, xmpp.Message, "groupchat")
	if s.SetText("subject", topic); topic == noTopic {
		_ = s.SetRaw([]byte("<subject/>"))
	}
	e.deliver(s)
}

// tellTopic says what the topic is to somebody who is in the room.
func (p *Peer) tellTopic(e *Effect, m mail, r *room) {
	g := r.guests[m.from.Bare()]
	if g == nil || !g.inside {
		p.strange(e, m, r)
		return
	}
	g.tag = m.Tag()
	q := r.answers(g, "_status_place_topic_none", "[_nick_place] has no topic.")
	if r.topic != "" {
		q.Method, q.Body = "_status_place_topic", []byte(bodyTopic)
		q.Entity.Set("_topic", r.topic)
	}
	e.send(q)
}

// variant returns what a method has behind the one of the roots that it inherits from.
func variant(method string, roots ...string) string {
	for _, root := range roots {
		if v, ok := strings.CutPrefix(method, root); ok {
			return v
		}
	}
	return ""
}

// fromGuest begins a stanza of somebody there to a room, or somebody in it.
func fromGuest(who, to uniform.JID, k xmpp.Kind, typ string) *xmpp.Stanza {
	g := guest{who: who.Bare()}
	return &xmpp.Stanza{Kind: k, Type: typ, From: g.full(), To: to}
}

// enterRoom asks the room to let somebody in. Who is inside already is told so, which is what psyced wants after it has been away.
func (p *Peer) enterRoom(e *Effect, m mail, r *room) {
	g := p.guest(r, m.from)
	if g == nil {
		refused := &guest{spelled: m.source, tag: m.Tag()}
		e.send(r.answers(refused, "_failure_exhausted_place", "There is no room for [_nick] in [_nick_place]."))
		return
	}
	g.spelled, g.tag = m.source, m.Tag()
	g.variant = variant(m.Method, "_request_enter", "_request_context_enter")
	if g.inside {
		if g.again = true; r.listed {
			p.answerGuest(e, r, g)
		} else {
			p.next(e, r, g)
		}
		return
	}
	if nick := nickOf(m); nick != "" {
		g.nick = nick
	}
	at, err := r.jid.WithResource(g.nick)
	if err != nil || g.nick == "" {
		e.send(p.refusal(r, g, "_error_place_enter_necessary_nick"))
		p.dismiss(r, g)
		return
	}
	g.enters, g.again, g.silent = true, true, false
	s := fromGuest(g.who, at, xmpp.Presence, "")
	var wishes []byte
	if most := m.Entity.Get("_amount_history").String(); number(most) {
		wishes = append(wishes, "<history maxstanzas='"+most+"'/>"...)
	}
	if password := m.Entity.Get("_password").String(); password != "" {
		wishes = append(xmpp.AppendText(append(wishes, "<password>"...), password), "</password>"...)
	}
	_ = s.SetRaw(slices.Concat([]byte("<x xmlns='"+nsMUC+"'>"), wishes, []byte("</x>")))
	e.deliver(s)
}

// leaveRoom takes somebody out of the room, whose answer takes the guest out of the place.
func (p *Peer) leaveRoom(e *Effect, m mail, r *room, g *guest) {
	out := variant(m.Method, "_request_leave", "_request_context_leave")
	if g == nil || !g.inside {
		if g == nil {
			g = &guest{who: m.from.Bare(), nick: nickOf(m)}
		}
		g.spelled, g.tag = m.source, m.Tag()
		e.send(r.answers(g, "_echo_place_leave_invalid", "You are not in [_nick_place]."))
	} else {
		g.tag, g.variant, g.leaving = m.Tag(), out, true
	}
	e.deliver(p.parting(r, g)) // also for a room that knows better than we who is in it
}

// parting is the presence by which a guest leaves.
func (p *Peer) parting(r *room, g *guest) *xmpp.Stanza {
	at, err := r.jid.WithResource(g.nick)
	if err != nil {
		at = r.jid
	}
	return fromGuest(g.who, at, xmpp.Presence, "unavailable")
}

// sayInRoom says something to all in a room or, by the address of an occupant, to one.
func (p *Peer) sayInRoom(e *Effect, m mail, r *room) error {
	to, typ := r.jid, "groupchat"
	if target, err := address(m.target); err == nil && target.Resource() != "" {
		nick := target.Resource()
		if plain, err := url.PathUnescape(nick); err == nil {
			nick = plain // which r.occupant has escaped
		}
		if to, err = r.jid.WithResource(r.nickLike(nick)); err != nil {
			return err
		}
		typ = "chat"
	}
	from := guest{who: m.from.Bare()}
	s, err := p.stanza(m, from.full(), to)
	if err != nil {
		return err
	}
	s.Type, s.ID = typ, rand.Text()[:16]
	e.deliver(s)
	if typ == "chat" {
		e.After = append(e.After, echo(m))
	}
	return nil
}

// nickLike returns the nick that psyced has folded the case of.
func (r *room) nickLike(folded string) string {
	for nick := range r.members {
		if strings.EqualFold(nick, folded) {
			return nick
		}
	}
	return folded
}

// kick asks the room to take somebody out, whom psyced names by uniform or nick.
func (p *Peer) kick(e *Effect, m mail, r *room, person string) {
	nick := r.nickLike(person)
	if j, err := address(person); err == nil {
		for n, member := range r.members {
			if known := member.jid.Bare(); known == j.Bare() && !known.IsZero() || j.Bare() == r.jid && strings.EqualFold(n, j.Resource()) {
				nick = n
			}
		}
	}
	s := fromGuest(m.from, r.jid, xmpp.IQ, "set")
	raw := xmpp.AppendValue([]byte("<query xmlns='"+nsMUCAdmin+"'><item role='none' nick='"), nick)
	_ = s.SetRaw(append(raw, "'/></query>"...))
	s.ID = p.wait(m, "_request_kick")
	e.deliver(s)
}

// inviteTo passes an invitation on to the room, which tells the invited and lets them in.
func (p *Peer) inviteTo(e *Effect, m mail, r *room) error {
	invited, err := address(m.Entity.Get("_invitation").String())
	if err != nil {
		return err
	}
	s := fromGuest(m.from, r.jid, xmpp.Message, "")
	raw := xmpp.AppendValue([]byte("<x xmlns='"+nsMUCUser+"'><invite to='"), invited.Bare().String())
	_ = s.SetRaw(append(raw, "'/></x>"...))
	e.deliver(s)
	return nil
}

// tellMembers says who is in the room to somebody who is.
func (p *Peer) tellMembers(e *Effect, m mail, r *room, g *guest) {
	if g == nil {
		if g = p.guest(r, m.from); g == nil {
			p.strange(e, m, r)
			return
		}
		g.spelled = m.source
		if nick := nickOf(m); nick != "" {
			g.nick, g.named = nick, true
		}
	}
	g.tag, g.curious = m.Tag(), true
	if g.inside && r.listed {
		p.answerGuest(e, r, g)
		return
	}
	p.inquire(e, r, g)
}

// strange tells somebody that what they ask for is not for those outside.
func (p *Peer) strange(e *Effect, m mail, r *room) {
	e.send(r.answers(&guest{spelled: m.source, tag: m.Tag()}, "_error_necessary_membership", bodyMembership))
}

// wait keeps who is to hear the answer to m, which asks for method, and returns the id of the question.
func (p *Peer) wait(m mail, method string) string {
	id := rand.Text()[:16]
	p.asking.Put(id, query{method: method, source: m.source, target: m.target, tag: m.Tag()}, time.Now().Add(rowLife), maxRows)
	return id
}

// bodyMembership and the like are what people read whose client has no words for the method.
const bodyMembership = "You have to enter [_nick_place] first."

// refusal says why somebody is not let in.
func (p *Peer) refusal(r *room, g *guest, method string) *psyc.Packet {
	q := r.answers(g, method, "[_nick_place] does not let you in: "+refusals[method])
	q.Entity.Set("_nick", g.nick)
	if method == "_error_unavailable_nick_place" {
		q.Entity.Set("_other", r.occupant(g.nick)) // psyced's text has a place for it
	}
	return q
}
