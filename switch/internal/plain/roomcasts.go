package plain

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

const nsMUCOwner = nsMUC + "#owner"

// A room tells each occupant everything by itself. What it tells of somebody who comes or goes is news once; what is said is the same for
// each until somebody hears it again.

// fromRoom sends what a room of ours says to somebody there, and reports whether it was one that spoke, or may be.
func (p *Peer) fromRoom(e *Effect, s *xmpp.Stanza) (bool, error) {
	domain := s.From.Domain()
	if s.Kind == xmpp.IQ || s.From.Local() == "" || s.To.Local() == "" || isPlace(s.To) {
		return false, nil
	}
	if !p.knownRooms(domain) {
		if !roomLike(s) {
			return false, nil
		}
		later := s.Clone()
		rooms, known := p.hasRooms(e, domain, s.To.Domain(), len(s.Raw()), func(e *Effect) {
			_ = p.dispatch(e, later) // its sender has gone on
		})
		if !known {
			return true, nil
		}
		if !rooms {
			return false, nil
		}
	}
	r := p.roomAt(roomAddress(s.From))
	if s.Kind == xmpp.Presence {
		p.roomPresence(e, s, r)
		return true, nil
	}
	return true, p.roomMessage(e, s, r)
}

// roomLike reports whether a stanza is of the kind that rooms send.
func roomLike(s *xmpp.Stanza) bool {
	if s.Kind == xmpp.Message && s.Type == "groupchat" {
		return true
	}
	_, ok := s.Child(nsMUCUser, "x")
	return ok
}

// refusals are what a room may answer to somebody who wants to enter, in psyced's words, and for people.
var refusals = map[string]string{
	"_error_place_enter_necessary_password":   "it takes a password.",
	"_error_place_enter_necessary_invitation": "it is for members.",
	"_error_place_enter_restricted":           "it does not want you.",
	"_error_place_enter_necessary_nick":       "it takes another nick.",
	"_error_unavailable_nick_place":           "somebody else is called that.",
	"_error_place_enter_exhausted":            "it is full.",
	"_error_unknown_name_place":               "there is no such place.",
}

// refusalOf are those by the condition that XEP-0045 section 7.2 has for them.
var refusalOf = map[xmpp.Condition]string{
	xmpp.NotAuthorized:        "_error_place_enter_necessary_password",
	xmpp.RegistrationRequired: "_error_place_enter_necessary_invitation",
	xmpp.Forbidden:            "_error_place_enter_restricted",
	xmpp.NotAllowed:           "_error_place_enter_restricted",
	xmpp.NotAcceptable:        "_error_place_enter_necessary_nick",
	xmpp.JIDMalformed:         "_error_place_enter_necessary_nick",
	xmpp.Conflict:             "_error_unavailable_nick_place",
	xmpp.ServiceUnavailable:   "_error_place_enter_exhausted",
	xmpp.ItemNotFound:         "_error_unknown_name_place",
}

// partings are the ways to leave a room that are nobody's own wish: the status code, and psyced's word.
var partings = []struct {
	code    int
	variant string
}{
	{301, "_banned"},
	{307, "_banned"}, // which is what a place calls a kick
	{332, "_shutdown"},
}

// roomPresence tells of somebody in a room, to those inside or to the one who enters or leaves.
func (p *Peer) roomPresence(e *Effect, s *xmpp.Stanza, r *room) {
	nick, who := s.From.Resource(), s.To.Bare()
	g := r.guests[who]
	x, _ := s.MUCUser()
	own := x.Has(110)
	switch {
	case s.Type == "error":
		p.notEntered(e, s, r, g)
	case s.Type == "unavailable" && own:
		if g != nil && !x.Has(303) {
			p.left(e, s, r, g)
		}
	case s.Type == "unavailable":
		// Of guests their own copy tells: they are to hear it before the others.
		if _, known := r.members[nick]; (known || !r.listed) && r.byNick(nick) == nil {
			if g != nil && g.inside {
				p.announce(e, r, parted(x, nick), nick)
			}
			delete(r.members, nick)
		}
	case s.Type != "" || nick == "":
	case own:
		if g = p.guest(r, who); g != nil {
			p.enteredRoom(e, r, g, nick, x)
		}
	default:
		if g == nil && p.stays(r, who) == nil {
			return
		}
		p.joined(e, r, r.guests[who], nick, memberOf(x))
	}
}

// stays returns who is inside as the room says, of which we may not know, after a new start; nil if there are too many.
func (p *Peer) stays(r *room, who uniform.JID) *guest {
	g := p.guest(r, who)
	if g != nil {
		g.inside = true
	}
	return g
}

// joined takes what the room says to g of an occupant.
func (p *Peer) joined(e *Effect, r *room, g *guest, nick string, m member) {
	_, known := r.members[nick]
	if !known && len(r.members) >= maxMembers {
		return
	}
	r.members[nick] = m
	if other := r.guests[m.jid]; other != nil && !other.named {
		other.nick, other.named = nick, true
	}
	if !known && g.inside && r.listed { // else it may be inside for long
		p.announce(e, r, &psyc.Packet{Method: "_notice_place_enter", Body: []byte(bodyEnters)}, nick)
	}
	if g.inside {
		p.inquire(e, r, g)
	}
}

const (
	bodyTopic  = "The topic of [_nick_place] is: [_topic]"
	bodyEnters = "[_nick] enters [_nick_place]."
	bodyLeaves = "[_nick] leaves [_nick_place]."
)

func parted(x xmpp.MUCUser, nick string) *psyc.Packet {
	q := &psyc.Packet{Method: "_notice_place_leave", Body: []byte(bodyLeaves)}
	for _, way := range partings {
		if x.Has(way.code) {
			q.Method += way.variant
			break
		}
	}
	q.Entity.Set("_nick", nick)
	return q
}

// memberOf returns what a room says of an occupant.
func memberOf(x xmpp.MUCUser) (m member) {
	for _, item := range x.Items {
		m.jid, m.duty = item.JID.Bare(), duty(item.Affiliation)
	}
	return m
}

// duty is the reverse of affiliation.
func duty(affiliation string) string {
	if affiliation == "admin" {
		return "administrator"
	}
	return affiliation
}

// enteredRoom tells those inside that g comes, and g who is there.
func (p *Peer) enteredRoom(e *Effect, r *room, g *guest, nick string, x xmpp.MUCUser) {
	m := memberOf(x)
	m.jid = g.who
	if g.inside || !g.enters {
		if g.named && g.nick != nick {
			delete(r.members, g.nick)
		}
		g.inside, g.nick, g.named, r.members[nick] = true, nick, true, m
		if !g.enters {
			p.inquire(e, r, g)
			return
		}
		r.listed = true
		p.answerGuest(e, r, g)
		return
	}
	r.open, r.listed = x.Has(100), true
	_, told := r.members[nick]
	if r.members[nick] = m; !told && len(r.audience()) > 0 {
		p.announce(e, r, &psyc.Packet{Method: "_notice_place_enter" + g.variant, Body: []byte(bodyEnters)}, nick)
	}
	g.inside, g.settled, g.nick, g.named = true, false, nick, true
	p.answerGuest(e, r, g)
	if x.Has(201) {
		// The room is new and closed until its first occupant says what it is to be: as usual (XEP-0045 section 10.1.2).
		s := fromGuest(g.who, r.jid, xmpp.IQ, "set")
		s.ID = rand.Text()[:16]
		_ = s.SetRaw([]byte("<query xmlns='" + nsMUCOwner + "'><x xmlns='jabber:x:data' type='submit'/></query>"))
		e.deliver(s)
	}
}

// entry is what a place says to who has come in.
func (p *Peer) entry(r *room, g *guest) *psyc.Packet {
	q := r.answers(g, "_echo_place_enter"+g.variant, bodyEnters)
	q.Entity.Set("_nick", g.nick)
	q.Entity.Set("_duty", r.members[g.nick].duty)
	if r.topic != "" {
		q.Entity.Set("_topic", r.topic)
	}
	p.listMembers(q, r, g)
	return q
}

// left tells g that it is outside, and then those who are inside.
func (p *Peer) left(e *Effect, s *xmpp.Stanza, r *room, g *guest) {
	x, _ := s.MUCUser()
	gone := parted(x, g.nick)
	inside := g.inside
	g.inside = false
	method, body := "_echo"+variant(gone.Method, "_notice"), "You are taken out of [_nick_place]."
	switch {
	case g.leaving:
		method, body = "_echo_place_leave"+g.variant, "You leave [_nick_place]."
	case method != "_echo_place_leave_banned":
		method = "_echo_place_leave_netburp" // of those that psyced knows
	}
	q := r.answers(g, method, body)
	q.Entity.Set("_nick", g.nick)
	e.send(q)
	if inside && len(r.audience()) > 0 {
		p.announce(e, r, gone, g.nick)
	}
	delete(r.members, g.nick)
	p.dismiss(r, g)
}

// notEntered tells somebody that the room does not let them in.
func (p *Peer) notEntered(e *Effect, s *xmpp.Stanza, r *room, g *guest) {
	switch {
	case g == nil:
		return
	case g.inside:
		if g.enters {
			p.answerGuest(e, r, g) // as well as may be
		}
		return
	}
	condition := xmpp.UndefinedCondition
	if err := s.Error(); err != nil {
		condition = err.Condition
	}
	method, ok := refusalOf[condition]
	if !ok {
		method = transcode.Failure(condition)
	}
	e.send(p.refusal(r, g, method))
	p.dismiss(r, g)
}

// roomMessage sends what is said in a room, or about it.
func (p *Peer) roomMessage(e *Effect, s *xmpp.Stanza, r *room) error {
	who := s.To.Bare()
	switch {
	case s.Type == "error":
		p.unsaidInRoom(e, s, r)
		return nil
	case s.Type != "groupchat" && s.From.Resource() == "":
		if invite, ok := invitation(s); ok {
			e.send(p.invited(s, r, invite))
		}
		return nil // all else that a room says to one person is about forms
	case s.Type != "groupchat":
		return p.whisper(e, s, r)
	}
	x, _ := s.MUCUser()
	switch { // XEP-0045 section 10.2.1
	case x.Has(172):
		r.open = true
	case x.Has(173), x.Has(174):
		r.open = false
	}
	g := p.stays(r, who)
	if g == nil {
		return nil
	}
	defer p.inquire(e, r, g)
	nick := s.From.Resource()
	_, late := s.Delay()
	if subject, ok := s.Child("", "subject"); ok {
		if _, talks := s.Child("", "body"); !talks {
			p.topic(e, s, r, g, subject.Text())
			return nil
		}
	}
	if !late && !r.news(s, who) {
		return nil
	}
	q, err := p.spoken(s, r)
	if err != nil || q == nil {
		return err
	}
	if late {
		p.fromContext(r, q, nick, g)
		e.send(q)
		return nil
	}
	p.announce(e, r, q, nick)
	return nil
}

// news reports whether a stanza says something new, and not what another guest has had a copy of.
func (r *room) news(s *xmpp.Stanza, who uniform.JID) bool {
	content := s.From.String() + "\x00" + s.ID + "\x00" + string(s.Raw())
	if r.last == content && r.pending[who] {
		delete(r.pending, who)
		return false
	}
	r.last, r.pending = content, make(map[uniform.JID]bool)
	for _, g := range r.audience() {
		if g.who != who {
			r.pending[g.who] = true
		}
	}
	return true
}

// spoken returns what somebody in the room says as a packet, nil if there is nothing to read in it.
func (p *Peer) spoken(s *xmpp.Stanza, r *room) (*psyc.Packet, error) {
	place, err := canonicalPlace(r.jid)
	if err != nil {
		return nil, err
	}
	public := *s
	public.From = place
	if at, err := place.WithResource(s.From.Resource()); err == nil && s.From.Resource() != "" {
		public.From = at
	}
	q, err := p.convert(&public)
	if err != nil || verbatim(q) {
		return nil, err
	}
	if s.From.Resource() == "" {
		q.Entity.Set("_nick", r.jid.Local())
	}
	return q, nil
}

// longestTopic keeps the line of a topic within what psyced takes for one.
const longestTopic = 1000

// topic tells the subject: to who has come in, or to all when it has changed.
func (p *Peer) topic(e *Effect, s *xmpp.Stanza, r *room, g *guest, subject string) {
	subject = oneLine(subject)
	if len(subject) > longestTopic {
		subject = strings.ToValidUTF8(subject[:longestTopic], "") + "..."
	}
	if !g.settled {
		g.settled, r.topic = true, subject
		if subject != "" && !g.silent {
			q := r.says(g, "_status_place_topic", bodyTopic)
			q.Entity.Set("_topic", subject)
			e.send(q)
		}
		return
	}
	if !r.news(s, g.who) {
		return
	}
	r.topic = subject
	q := &psyc.Packet{Method: "_notice_place_topic", Body: []byte("[_nick] sets the topic of [_nick_place]: [_topic]")}
	if subject == "" {
		q.Method, q.Body = "_notice_place_topic_removed", []byte("[_nick] removes the topic of [_nick_place].")
	}
	q.Entity.Set("_topic", subject)
	p.announce(e, r, q, s.From.Resource())
}

// whisper sends what an occupant says to one guest, who can answer to the address of the occupant.
func (p *Peer) whisper(e *Effect, s *xmpp.Stanza, r *room) error {
	q, err := p.convert(s)
	if err != nil || !psyc.Inherits(q.Method, "_message") {
		return err
	}
	q.Method = "_message_private" // psyced has no other word for it
	q.Routing.Set("_source", r.occupant(s.From.Resource()))
	q.Entity.Set("_nick", s.From.Resource())
	e.send(q)
	return nil
}

// invitation returns who invites, if s is an invitation that a room passes on.
func invitation(s *xmpp.Stanza) (by uniform.JID, ok bool) {
	x, _ := s.Child(nsMUCUser, "x")
	if x.IsZero() {
		return by, false
	}
	invite, ok := x.Child(nsMUCUser, "invite")
	if !ok {
		return by, false
	}
	from, _ := invite.Attr("from")
	by, _ = uniform.RelayJID(from)
	return by, true
}

// invited is an invitation of somebody there to a room.
func (p *Peer) invited(s *xmpp.Stanza, r *room, by uniform.JID) *psyc.Packet {
	q := p.packet(s.From, s.To, "_notice_invitation", "[_nick] invites you to [_nick_place].")
	nick := by.Local()
	if by.Bare() == r.jid && by.Resource() != "" {
		nick = by.Resource() // an occupant, of whom the room says no more
	}
	if nick == "" {
		nick = r.jid.Local()
	}
	q.Entity.Set("_nick", nick)
	q.Entity.Set("_place", roomUniform(r.jid))
	inviteToPlace(q, s.To)
	return q
}

// unsaidInRoom tells a guest that what it said is not for the room.
func (p *Peer) unsaidInRoom(e *Effect, s *xmpp.Stanza, r *room) {
	g := r.guests[s.To.Bare()]
	if g == nil {
		g = &guest{who: s.To.Bare(), spelled: s.To.Uniform().String()}
	}
	condition := xmpp.UndefinedCondition
	if err := s.Error(); err != nil {
		condition = err.Condition
	}
	method, body := transcode.Failure(condition), "[_nick_place] does not take that."
	switch condition {
	case xmpp.NotAcceptable:
		method, body = "_error_necessary_membership", bodyMembership
		if s.From.Resource() == "" {
			p.dismiss(r, g) // whatever we believed
		}
	case xmpp.Forbidden:
		method, body = "_error_place_silent", "You may not do that in [_nick_place]."
	}
	if !g.inside {
		p.dismiss(r, g)
	}
	q := r.says(g, method, body)
	if nick := s.From.Resource(); nick != "" {
		q.Routing.Set("_source", r.occupant(nick))
		q.Entity.Set("_nick_target", nick)
	}
	e.send(q)
}

func sortedNicks(members map[string]member) []string { return slices.Sorted(maps.Keys(members)) }
