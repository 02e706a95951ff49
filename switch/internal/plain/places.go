package plain

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	nsMUC      = "http://jabber.org/protocol/muc"
	nsMUCUser  = nsMUC + "#user"
	nsMUCAdmin = nsMUC + "#admin"
	nsPing     = "urn:xmpp:ping"
)

// A place is one of theirs with somebody of ours in it. A person is in a place once, whatever the number of clients; each client is an
// occupant of a room.
type place struct {
	jid       uniform.JID               // *name@domain
	members   map[string]member         // by nick, as far as known
	occupants map[uniform.JID]*occupant // clients here, by full address
	said      map[uniform.JID][]said    // by bare address: what the place has not cast yet
	topic     string
	early     bool // has cast in 1.0
	last      copies
}

// copies are what was cast last, oldest first, and how often what was cast before that.
type copies struct {
	lines  []copied
	counts [enoughCounts]int // 0 where there is none yet
}

// copied is something that a place casts.
type copied struct {
	content [sha256.Size]byte
	since   time.Time
	all     int // how many have come
	n, of   int // how many since the last was taken for something new, of how many
}

const (
	copyTime  = time.Second // between the first copy and the last: they come by two circuits
	maxCopied = 16          // things that somebody says within that time
	// enoughCounts is how many things have to come more often than there are people of ours before it is believed that the place has more
	// members: what somebody says twice comes twice as often.
	enoughCounts = 3
)

// A member is somebody in a place.
type member struct {
	jid  uniform.JID // zero if the place did not say
	duty string
}

// An occupant is a client of somebody here.
type occupant struct {
	place  *place
	full   uniform.JID
	room   uniform.JID // the place as the client spells it, bare
	nick   string
	inside bool
	told   bool // the subject, which comes behind the history
}

// maxMembers bounds what is remembered of one place.
const maxMembers = 5000

// isPlace reports whether j is a place: psyc://host/@name.
func isPlace(j uniform.JID) bool {
	return len(j.Local()) > 1 && j.Local()[0] == '*'
}

// canonicalPlace returns *name@domain for either spelling of a room.
func canonicalPlace(room uniform.JID) (uniform.JID, error) {
	if isPlace(room) {
		return room.Bare(), nil
	}
	return uniform.NewJID("*"+room.Local(), room.Domain(), "")
}

// placeOf returns the place that room is the address of, whether there is somebody in it or not; nil if it is none.
func (p *Peer) placeOf(room uniform.JID) *place {
	for _, spelling := range [...]func(uniform.JID) (uniform.JID, error){
		func(j uniform.JID) (uniform.JID, error) { return j.Bare(), nil },
		canonicalPlace,
	} {
		j, err := spelling(room)
		if err != nil || room.Local() == "" {
			continue
		}
		if pl := p.places[j]; pl != nil {
			return pl
		}
	}
	if isPlace(room) {
		return &place{jid: room.Bare()}
	}
	return nil
}

// placeFor returns the place that a presence is for: also one that somebody wants to enter as a room by the name that a person
// would have.
func (p *Peer) placeFor(s *xmpp.Stanza) *place {
	room := s.To.Bare()
	if pl := p.placeOf(room); pl != nil {
		return pl
	}
	if _, joins := s.Child(nsMUC, "x"); !joins || s.To.Resource() == "" || room.Local() == "" {
		return nil
	}
	j, err := canonicalPlace(room)
	if err != nil {
		return nil
	}
	return &place{jid: j}
}

// inside returns an occupant of pl of the person j who is inside, nil if there is none.
func (pl *place) inside(j uniform.JID) *occupant {
	for _, o := range pl.occupants {
		if o.inside && o.full.Bare() == j.Bare() {
			return o
		}
	}
	return nil
}

// enter makes an occupant of the client full.
func (p *Peer) enter(pl *place, full, room uniform.JID, nick string) *occupant {
	if o := pl.occupants[full]; o != nil {
		o.nick, o.room = nick, room
		return o
	}
	if p.inPlaces >= maxInPlaces || p.places[pl.jid] == nil && len(p.places) >= maxPlaces {
		return nil
	}
	if p.places == nil {
		p.places = make(map[uniform.JID]*place)
	}
	if pl.occupants == nil {
		pl.occupants = make(map[uniform.JID]*occupant)
		pl.members = make(map[string]member)
		pl.said = make(map[uniform.JID][]said)
	}
	p.places[pl.jid] = pl
	o := &occupant{place: pl, full: full, room: room, nick: nick}
	pl.occupants[full] = o
	p.inPlaces++
	return o
}

// leave forgets an occupant, and the place with its last.
func (p *Peer) leave(o *occupant) {
	pl := o.place
	if pl.occupants[o.full] != o {
		return
	}
	delete(pl.occupants, o.full)
	p.inPlaces--
	if len(pl.occupants) == 0 {
		delete(p.places, pl.jid)
	}
}

// forgetJoin forgets an occupant who could not enter.
func (p *Peer) forgetJoin(o *occupant) {
	if o != nil && !o.inside {
		p.leave(o)
	}
}

// outPlacePresence enters or leaves a place.
func (p *Peer) outPlacePresence(e *Effect, s *xmpp.Stanza, pl *place) error {
	nick := s.To.Resource()
	o := pl.occupants[s.From]
	switch {
	case s.Type == "unavailable" && o == nil, s.Type != "" && s.Type != "unavailable":
		return nil
	case s.Type == "unavailable":
		p.outLeave(e, s, o)
		return nil
	case nick == "":
		return xmpp.JIDMalformed
	case o != nil && o.inside && o.nick != nick:
		return xmpp.NotAcceptable // a nick is for as long as one is in
	}
	_, joins := s.Child(nsMUC, "x")
	if o != nil && o.inside && !joins {
		e.deliver(o.presence(o.nick, "", self)) // places know presence of persons alone
		return nil
	}
	other := pl.inside(s.From)
	if other != nil && other.full != s.From && other.nick != nick {
		return &xmpp.StanzaError{Condition: xmpp.Conflict, Text: "another client is in as " + other.nick}
	}
	if o = p.enter(pl, s.From, s.To.Bare(), nick); o == nil {
		return xmpp.ResourceConstraint
	}
	o.inside, o.told = false, false // who enters again wants to be told again who is there
	q := p.packet(s.From, pl.jid, "_request_enter", "")
	tag := p.ask(s, pl.jid, o)
	if tag == "" {
		p.forgetJoin(o)
		return xmpp.ResourceConstraint
	}
	q.Routing.Set("_tag", tag)
	q.Entity.Set("_nick", nick)
	if x, ok := s.Child(nsMUC, "x"); ok {
		if h, ok := x.Child(nsMUC, "history"); ok {
			if most, _ := h.Attr("maxstanzas"); number(most) {
				q.Entity.Set("_amount_history", most)
			}
		}
		if password := text(x, "password"); password != "" {
			q.Entity.Set("_password", password)
		}
	}
	e.send(q)
	return nil
}

func number(s string) bool {
	return s != "" && len(s) < 6 && strings.Trim(s, "0123456789") == ""
}

// outLeave takes a client out of its room, and with the last one the person out of the place.
func (p *Peer) outLeave(e *Effect, s *xmpp.Stanza, o *occupant) {
	for _, other := range o.place.occupants {
		if other != o && other.full.Bare() == o.full.Bare() {
			e.deliver(o.presence(o.nick, "unavailable", p.parted()...))
			p.leave(o)
			return
		}
	}
	q := p.packet(s.From, o.place.jid, "_request_leave", "")
	if tag := p.ask(s, o.place.jid, nil); tag != "" {
		q.Routing.Set("_tag", tag)
	}
	q.Entity.Set("_nick", o.nick)
	e.send(q)
	// The place tells everybody, and those who have gone by then no more.
	e.deliver(o.presence(o.nick, "unavailable", p.parted()...))
	p.leave(o)
}

// Leave returns the stanzas, for the peer, by which the stays of our people in its places end, since nobody else knows which client it is
// that entered. Each client hears that it was not its own wish. Guests of our rooms stay: what their rooms say makes them known again.
func (p *Peer) Leave() (all []*xmpp.Stanza) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	for _, pl := range p.places {
		for _, o := range pl.audience(uniform.JID{}) {
			all = append(all, &xmpp.Stanza{Kind: xmpp.Presence, Type: "unavailable", From: o.full, To: o.at(o.nick)})
		}
	}
	return all
}

// parted are the status codes of one's own leaving.
func (p *Peer) parted() []string {
	if p.closing {
		return []string{self, "332"} // nobody's wish: the client may come again later
	}
	return []string{self}
}

// outPlaceMessage says something in a place.
func (p *Peer) outPlaceMessage(e *Effect, s *xmpp.Stanza, pl *place) error {
	if s.Type == "error" {
		return nil
	}
	if nick := s.To.Resource(); nick != "" && s.Type != "groupchat" {
		m, ok := pl.members[nick]
		if !ok || m.jid.IsZero() {
			return xmpp.ItemNotFound
		}
		private := *s
		private.To = m.jid
		q, err := p.convert(&private)
		if err != nil || verbatim(q) {
			return err
		}
		e.send(q)
		return nil
	}
	subject, has := s.Child("", "subject")
	if _, talks := s.Child("", "body"); has && !talks {
		q := p.about(s.From, pl.jid, "_request_set_topic", "")
		topic := oneLine(subject.Text())
		if topic == "" {
			topic = noTopic
		}
		q.Entity.Set("_topic", topic)
		e.send(q)
		return nil
	}
	public := *s
	public.To, public.Type = pl.jid, "groupchat"
	q, err := p.convert(&public)
	if err != nil {
		return err
	}
	if verbatim(q) {
		return nil
	}
	nick := s.From.Local()
	if o := pl.inside(s.From); o != nil {
		nick = o.nick
	}
	q.Entity.Set("_nick", nick)
	sent := said{s.From, s.ID, s.Type, string(q.Body) + "\x00" + q.Entity.Get("_action").String()}
	if pl.said != nil {
		pl.said[s.From.Bare()] = push(pl.said[s.From.Bare()], sent)
	} else {
		p.note(pairOf(s.From, pl.jid), sent)
	}
	e.send(q)
	return nil
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, s)
}

// outRoomIQ does what a room of XMPP is asked for and a place is not, and reports whether that was all.
func (p *Peer) outRoomIQ(e *Effect, s *xmpp.Stanza, pl *place) bool {
	child, _ := firstChild(s)
	switch {
	case s.To.Resource() != "" && child.Is(nsPing, "ping") && s.Type == "get":
		// XEP-0410: am I still in?
		if o := pl.occupants[s.From]; o != nil && o.inside && o.nick == s.To.Resource() {
			e.deliver(s.Reply("result"))
		} else {
			e.deliver(s.ErrorReply(xmpp.NotAcceptable))
		}
		return true
	case child.Is(nsMUCAdmin, "query") && s.Type == "set":
		item, _ := child.Child(nsMUCAdmin, "item")
		nick, _ := item.Attr("nick")
		role, _ := item.Attr("role")
		m, known := pl.members[nick]
		if role != "none" || !known || m.jid.IsZero() {
			e.deliver(s.ErrorReply(xmpp.FeatureNotImplemented))
			return true
		}
		q := p.about(s.From, pl.jid, "_request_kick", "")
		q.Entity.Set("_person", m.jid.Uniform().String())
		if tag := p.ask(s, pl.jid, nil); tag != "" {
			q.Routing.Set("_tag", tag)
		}
		e.send(q)
		return true
	}
	return false
}

// affiliation returns the affiliation that PSYC calls a duty.
func affiliation(duty string) string {
	switch duty {
	case "owner", "member":
		return duty
	case "administrator":
		return "admin"
	}
	return "none"
}

// self is the status code of one's own presence.
const self = "110"

// presence returns what a room says of an occupant with that nick to the client o.
func (o *occupant) presence(nick, typ string, codes ...string) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Presence, Type: typ, To: o.full}
	s.From = o.at(nick)
	m := o.place.members[nick]
	role := "participant"
	if typ != "" {
		role = "none"
	}
	raw := append([]byte(nil), "<x xmlns='"+nsMUCUser+"'><item affiliation='"+affiliation(m.duty)+"' role='"+role+"'"...)
	if !m.jid.IsZero() {
		raw = append(xmpp.AppendValue(append(raw, " jid='"...), m.jid.String()), '\'')
	}
	raw = append(raw, "/>"...)
	for _, code := range codes {
		raw = append(raw, "<status code='"+code+"'/>"...)
	}
	_ = s.SetRaw(append(raw, "</x>"...))
	return s
}

// at returns the address of somebody in the room as o spells it; that of the room for a nick that is no resource.
func (o *occupant) at(nick string) uniform.JID {
	if j, err := o.room.WithResource(nick); err == nil && nick != "" {
		return j
	}
	return o.room
}

// subject returns the subject of the room.
func (o *occupant) subject(nick, topic string) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "groupchat", From: o.at(nick), To: o.full}
	s.SetText("subject", topic)
	if topic == "" {
		_ = s.SetRaw([]byte("<subject/>"))
	}
	return s
}
