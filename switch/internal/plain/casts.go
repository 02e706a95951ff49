package plain

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// fromPlace does what a place says: to everybody of ours in it, or to the one whom it names.
func (p *Peer) fromPlace(e *Effect, m mail) error {
	pl := p.places[m.from.Bare()]
	switch {
	case m.is("_echo_place_enter"):
		return p.entered(e, m, pl)
	case complains(m.Method):
		return p.placeFailed(e, m, pl)
	case pl == nil:
		if m.is("_message", "_notice_invitation") && !m.to.IsZero() {
			s, err := p.stanza(m, m.from, m.to)
			if err == nil {
				e.deliver(s)
			}
			return err
		}
		return nil // a place that nobody of ours is in, any more
	}
	pl.early = pl.early || p.syntax == psyc.PSYC10
	if m.to.IsZero() && pl.early && pl.again(m.Packet) {
		return nil
	}
	if m.Entity.Get("_time_place") == nil && !m.is("_status_place_topic") {
		pl.tellSubject(e.deliver) // there is no more history
	}
	switch {
	case m.is("_message_public", "_message"):
		return p.speech(e, m, pl)
	case m.is("_notice_place_enter"):
		pl.come(e, m)
		return nil
	case m.is("_notice_place_leave", "_echo_place_leave"):
		p.goes(e, m, pl)
		return nil
	case m.is("_notice_place_topic", "_status_place_topic"):
		pl.topic = ""
		if !m.is("_notice_place_topic_removed") { // which names the old one
			pl.topic = m.Entity.Get("_topic").String()
		}
		nick := ""
		if m.is("_notice_place_topic") && !m.is("_notice_place_topic_official") {
			nick = nickOf(m)
		}
		for _, o := range pl.audience(m.to) {
			o.told = true
			e.deliver(o.subject(nick, pl.topic))
		}
		return nil
	case m.is("_request_status_person", "_request_ping", "_request_version", "_request_list", "_request_description"):
		return p.question(e, m)
	case m.is("_echo", "_status", "_warning", "_info", "_request"):
		return nil // lists that nobody asked for in these words
	}
	s, err := p.stanza(m, m.from, pl.jid)
	if err != nil {
		return err
	}
	for _, o := range pl.audience(m.to) {
		copied := s.Clone()
		copied.Kind, copied.Type, copied.From, copied.To = xmpp.Message, "groupchat", o.room, o.full
		e.deliver(copied)
	}
	return nil
}

// again reports whether a cast is one more copy of one before. In 1.0 psyced casts once for each member, and sends
// all copies at once; in 0.9 it casts once for all of us. It may have more members of ours than we know, who have never left because
// we broke down, or cast in both ways, to those who have entered by one of our circuits and by its own.
func (pl *place) again(q *psyc.Packet) bool {
	content := q.Clone()
	content.Routing = nil
	content.Entity = slices.DeleteFunc(content.Entity, func(v psyc.Var) bool { return psyc.Inherits(v.Name, "_tag") }) // on one copy alone
	slices.SortStableFunc(content.Entity, func(a, b psyc.Var) int { return strings.Compare(a.Name, b.Name) })          // in no order
	wire, err := content.Append(nil, psyc.PSYC10)
	if err != nil {
		return false
	}
	key := sha256.Sum256([]byte(q.Routing.Get("_source_relay").String() + "\x00" + string(wire)))
	last := &pl.last
	for len(last.lines) > 0 && (len(last.lines) == maxCopied || time.Since(last.lines[0].since) >= copyTime) {
		copy(last.counts[1:], last.counts[:])
		last.counts[0] = last.lines[0].all
		last.lines = last.lines[1:]
	}
	at := slices.IndexFunc(last.lines, func(l copied) bool { return l.content == key })
	if at < 0 {
		at = len(last.lines)
		last.lines = append(last.lines, copied{content: key, since: time.Now()})
	}
	line := &last.lines[at]
	line.all++
	if line.n < line.of {
		line.n++
		return true
	}
	people := make(map[uniform.JID]bool)
	for _, o := range pl.occupants {
		if o.inside {
			people[o.full.Bare()] = true
		}
	}
	line.n, line.of = 1, max(len(people), slices.Min(last.counts[:]))
	return false
}

// audience returns the clients to which something goes: those of one person, or all, in the order of their addresses.
func (pl *place) audience(one uniform.JID) []*occupant {
	var all []*occupant
	for _, o := range pl.occupants {
		if o.inside && (one.IsZero() || o.full.Bare() == one.Bare()) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *occupant) int { return byAddress(a.full, b.full) })
	return all
}

// nickOf returns the nick in the place of whom a packet is about.
func nickOf(m mail) string {
	if nick := m.Entity.Get("_nick_local"); len(nick) > 0 {
		return nick.String()
	}
	return m.Entity.Get("_nick").String()
}

// speaker returns who a packet of a place is about, as the place says.
func speaker(m mail) uniform.JID {
	j, err := address(m.Routing.Get("_source_relay").String())
	if err != nil {
		return uniform.JID{}
	}
	return j.Bare()
}

// entered tells a client that it is in: who else is there, itself, and the subject.
func (p *Peer) entered(e *Effect, m mail, pl *place) error {
	if pl == nil {
		return nil
	}
	members, nicks := list(m.Entity, "_list_members"), list(m.Entity, "_list_members_nicks")
	for i, nick := range nicks {
		if _, known := pl.members[nick]; known || len(pl.members) >= maxMembers {
			continue
		}
		var known member
		if i < len(members) {
			known.jid = memberAddress(members[i], pl.jid.Domain())
		}
		pl.members[nick] = known
	}
	for _, o := range pl.occupants {
		if o.inside || o.full.Bare() != m.to.Bare() {
			continue
		}
		codes := []string{self}
		if nick := nickOf(m); nick != "" && nick != o.nick {
			o.nick = nick
			codes = append(codes, "210") // the place has chosen another
		}
		o.inside = true
		pl.members[o.nick] = member{o.full.Bare(), m.Entity.Get("_duty").String()}
		for _, nick := range nicks {
			if nick != o.nick {
				e.deliver(o.presence(nick, ""))
			}
		}
		e.deliver(o.presence(o.nick, "", codes...))
		pl.topic = m.Entity.Get("_topic").String()
	}
	if p.Late == nil {
		pl.tellSubject(e.deliver)
		return nil
	}
	time.AfterFunc(historyWait, func() { p.endHistory(pl) })
	return nil
}

// historyWait is how long the history of a place may take, which comes right behind the echo and has no end.
const historyWait = 300 * time.Millisecond

// endHistory tells the subject to those who have entered pl a while ago.
func (p *Peer) endHistory(pl *place) {
	var told []*xmpp.Stanza
	p.mu.Lock()
	pl.tellSubject(func(s *xmpp.Stanza) { told = append(told, s) })
	p.mu.Unlock()
	for _, s := range told {
		p.Late(s)
	}
}

// tellSubject tells the subject to who has not heard it. It ends the history (XEP-0045 section 7.2.15).
func (pl *place) tellSubject(deliver func(*xmpp.Stanza)) {
	for _, o := range pl.audience(uniform.JID{}) {
		if !o.told {
			o.told = true
			deliver(o.subject("", pl.topic))
		}
	}
}

// memberAddress returns who an element of a list of members is, zero if that cannot be told. In 1.0 psyced shows its own people as
// objects of its own, net/tn/user#name.
func memberAddress(element, domain string) uniform.JID {
	if _, name, own := strings.Cut(element, "#"); own && !strings.Contains(element, ":") {
		element = "psyc://" + uniform.ASCIIDomain(domain) + "/~" + name
	}
	j, err := address(element)
	if err != nil {
		return uniform.JID{}
	}
	return j.Bare()
}

// come tells of somebody who enters.
func (pl *place) come(e *Effect, m mail) {
	nick := nickOf(m)
	if nick == "" || len(pl.members) >= maxMembers {
		return
	}
	who := speaker(m)
	own := !who.IsZero() && pl.inside(who) != nil // of ours, who has heard it in the echo
	if !own {
		pl.members[nick] = member{jid: who}
	}
	for _, o := range pl.audience(uniform.JID{}) {
		if o.nick != nick && !(own && o.full.Bare() == who) {
			e.deliver(o.presence(nick, ""))
		}
	}
}

// goes tells of somebody who leaves, or has to.
func (p *Peer) goes(e *Effect, m mail, pl *place) {
	nick, who := nickOf(m), speaker(m)
	var codes []string
	switch {
	case m.is("_notice_place_leave_banned"):
		codes = []string{"307"} // which is what a place calls a kick
	case m.is("_notice_place_leave_shutdown", "_notice_place_leave_netburp"):
		codes = []string{"332"}
	}
	everybody := nick == "" && m.to.IsZero() && (who.IsZero() || who == pl.jid) // so say places that shut down
	var gone []*occupant
	for _, o := range pl.audience(uniform.JID{}) {
		own := everybody || o.full.Bare() == who || who.IsZero() && o.nick == nick
		if !own {
			if nick != "" {
				e.deliver(o.presence(nick, "unavailable", codes...))
			}
			continue
		}
		e.deliver(o.presence(o.nick, "unavailable", append([]string{self}, codes...)...))
		gone = append(gone, o)
	}
	delete(pl.members, nick)
	for _, o := range gone {
		p.leave(o)
	}
}

// speech delivers what is said in a place, now or, if it has a time, at some time before. What was said before is nobody's echo.
func (p *Peer) speech(e *Effect, m mail, pl *place) error {
	s, err := p.stanza(m, m.from, pl.jid)
	if err != nil {
		return err
	}
	nick := nickOf(m)
	if who, known := speaker(m), pl.members[nick]; known.jid.IsZero() && !who.IsZero() && len(pl.members) < maxMembers {
		known.jid = who
		pl.members[nick] = known
	}
	if m.Entity.Get("_time_place") == nil {
		s.ID = pl.reflected(m, nick)
	}
	for _, o := range pl.audience(m.to) {
		copied := s.Clone()
		copied.Kind, copied.Type, copied.From, copied.To = xmpp.Message, "groupchat", o.at(nick), o.full
		e.deliver(copied)
	}
	return nil
}

// reflected returns the id of what somebody of ours has said, when the place casts it.
func (pl *place) reflected(m mail, nick string) string {
	content := string(m.Body) + "\x00" + m.Entity.Get("_action").String()
	for who, waiting := range pl.said {
		o := pl.inside(who)
		if o == nil || o.nick != nick {
			continue
		}
		for i, sent := range waiting {
			if sent.body == content {
				if waiting = waiting[i+1:]; len(waiting) == 0 {
					delete(pl.said, who)
				} else {
					pl.said[who] = waiting
				}
				return sent.id
			}
		}
	}
	return ""
}

// placeFailed tells whoever said something in a place that it was in vain.
func (p *Peer) placeFailed(e *Effect, m mail, pl *place) error {
	if m.to.IsZero() {
		return nil
	}
	if pl != nil && len(pl.said[m.to]) > 0 {
		sent := pl.said[m.to][0]
		pl.said[m.to] = pl.said[m.to][1:]
		room := m.from
		if o := pl.occupants[sent.from]; o != nil {
			room = o.room
		}
		e.deliver(bounce(sent, room, complaintError(m)))
		return nil
	}
	return p.failed(e, m)
}
