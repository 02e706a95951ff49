package plain

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A room is one of ours (XEP-0045) with people from there in it, to whom it is a place: node@domain is psyc://domain/@node. It is a
// context whose members have one route, so that what it says to all of them goes out once. Whether somebody may enter or speak is for
// the room to say; what is kept here is what the two protocols tell at different times.
type room struct {
	jid     uniform.JID            // node@domain
	members map[string]member      // everybody inside, by nick
	listed  bool                   // the room has said who is inside, so that members are all
	guests  map[uniform.JID]*guest // people there who are inside, or about to be, by bare address
	open    bool                   // everybody may know who everybody is: nobody is anonymous
	topic   string
	last    string               // what was cast last
	pending map[uniform.JID]bool // guests whose copies of that have not come yet
}

// A guest is somebody there in a room of ours.
type guest struct {
	who     uniform.JID // bare
	spelled string      // as the peer spells it
	nick    string
	named   bool // by itself or by the room; else nick is a guess
	since   time.Time
	inside  bool
	settled bool   // has had the subject, which ends the entering
	tag     string // of the request that is not answered yet, "" if it had none
	variant string // what the method of that request has behind _request_enter or _request_leave
	leaving bool

	// For those of whom we know less than they do, after a new start.
	inquired time.Time // when the last step was taken
	enters   bool      // is to be told by the room who is inside
	silent   bool      // has not asked for that, and knows the subject
	again    bool      // has asked to be let in
	curious  bool      // has asked who is inside
}

// guestResource is the client of a person there, as far as rooms know: PSYC has none, and rooms want a full address.
const guestResource = "psyc"

func (g *guest) full() uniform.JID {
	j, err := g.who.WithResource(guestResource)
	if err != nil {
		return g.who
	}
	return j
}

// A kind is what a domain of ours has turned out to be.
type kind struct {
	known bool
	rooms bool
	until time.Time
	held  []func(*Effect) // what waits until it is known
}

const (
	maxKinds   = 64
	maxHeld    = 32
	maxWaiting = 4 << 10 // bytes of each
	kindLife   = 24 * time.Hour
	kindWait   = 10 * time.Second
	noRoomLife = 10 * time.Minute // somebody may set up rooms
)

// hasRooms reports whether the domain is one of rooms. If that is not known yet the domain is asked, in the name of the peer's server, and then,
// which holds so many bytes, is called when it has answered, or kindWait has gone by: who says nothing has no rooms until it does. What is too
// much to be held has to do without.
func (p *Peer) hasRooms(e *Effect, domain, peer string, bytes int, then func(*Effect)) (rooms, known bool) {
	k, asked := p.kinds.Get(domain)
	switch {
	case k.known:
		return k.rooms, true
	case bytes > maxWaiting, len(k.held) >= maxHeld:
		return false, true
	case asked:
		k.held = append(k.held, then)
		p.kinds.Put(domain, k, k.until, maxKinds)
		return false, false
	}
	from, err := uniform.RelayJID(peer)
	if err != nil {
		return false, true
	}
	to, err := uniform.RelayJID(domain)
	if err != nil {
		return false, true
	}
	id := rand.Text()[:16]
	s := &xmpp.Stanza{Kind: xmpp.IQ, Type: "get", ID: id, From: from, To: to}
	_ = s.SetRaw(xmpp.DiscoInfo{}.Append(nil))
	learn := query{then: func(e *Effect, answer *xmpp.Stanza) { p.learnKind(e, domain, answer) }, patient: true}
	p.asking.Put(id, learn, time.Now().Add(noRoomLife), maxRows)
	until := time.Now().Add(kindWait + rowLife) // the answer has a way to go
	p.kinds.Put(domain, kind{until: until, held: []func(*Effect){then}}, until, maxKinds)
	if p.Answer != nil {
		silence := s.ErrorReply(xmpp.RemoteServerTimeout)
		time.AfterFunc(kindWait, func() { p.answerFor(domain, silence) })
	}
	e.deliver(s)
	return false, false
}

// answerFor answers for a domain that has not said yet what it is.
func (p *Peer) answerFor(domain string, silence *xmpp.Stanza) {
	p.mu.Lock()
	k, asked := p.kinds.Get(domain)
	p.mu.Unlock()
	if asked && !k.known {
		p.Answer(silence)
	}
}

// learnKind takes what a domain says of itself.
func (p *Peer) learnKind(e *Effect, domain string, s *xmpp.Stanza) {
	info, ok := s.DiscoInfo()
	k, _ := p.kinds.Get(domain)
	held := k.held
	k = kind{known: true, rooms: ok && s.Type == "result" && info.Has(nsMUC) && slices.ContainsFunc(info.Identities, func(i xmpp.Identity) bool {
		return i.Category == "conference"
	})}
	life := kindLife
	switch err := s.Error(); {
	case err != nil && err.Condition != xmpp.RemoteServerTimeout:
		life = kindWait
	case !k.rooms:
		life = noRoomLife
	}
	p.kinds.Put(domain, k, time.Now().Add(life), maxKinds)
	for _, do := range held {
		do(e)
	}
}

// knownRooms reports whether the domain is known to be one of rooms.
func (p *Peer) knownRooms(domain string) bool {
	k, _ := p.kinds.Get(domain)
	return k.known && k.rooms
}

// roomAddress returns node@domain for either spelling of a room of ours.
func roomAddress(j uniform.JID) uniform.JID {
	if !isPlace(j) {
		return j.Bare()
	}
	room, err := uniform.NewJID(j.Local()[1:], j.Domain(), "")
	if err != nil {
		return j.Bare()
	}
	return room
}

// roomUniform returns psyc://domain/@node.
func roomUniform(room uniform.JID) string {
	place, err := canonicalPlace(room)
	if err != nil {
		return room.Uniform().String()
	}
	return place.Uniform().String()
}

// isRoom reports whether a packet is from a room of ours.
func isRoom(q *psyc.Packet) bool {
	j, err := address(q.Routing.Get("_source").String())
	return err == nil && isPlace(j)
}

// roomAt returns the room, to be kept when there is a guest in it.
func (p *Peer) roomAt(j uniform.JID) *room {
	if r := p.rooms[j]; r != nil {
		return r
	}
	return &room{jid: j, members: make(map[string]member), guests: make(map[uniform.JID]*guest)}
}

// guest returns the guest of r, who is made one; nil if there are too many.
func (p *Peer) guest(r *room, who uniform.JID) *guest {
	who = who.Bare()
	if g := r.guests[who]; g != nil {
		return g
	}
	full := func() bool {
		return p.inPlaces >= maxInPlaces || p.rooms[r.jid] == nil && len(p.rooms) >= maxPlaces
	}
	if full() {
		p.dismissUnanswered()
	}
	if full() {
		return nil
	}
	if p.rooms == nil {
		p.rooms = make(map[uniform.JID]*room)
	}
	p.rooms[r.jid] = r
	p.inPlaces++
	g := &guest{who: who, spelled: who.Uniform().String(), nick: who.Local(), since: time.Now()}
	r.guests[who] = g
	return g
}

// dismissUnanswered forgets those to whom their rooms have not answered.
func (p *Peer) dismissUnanswered() {
	for _, r := range p.rooms {
		for _, g := range r.guests {
			if !g.inside && time.Since(g.since) > rowLife {
				p.dismiss(r, g)
			}
		}
	}
}

// dismiss forgets a guest, and the room with the last one.
func (p *Peer) dismiss(r *room, g *guest) {
	if r.guests[g.who] != g {
		return
	}
	delete(r.guests, g.who)
	delete(r.pending, g.who)
	p.inPlaces--
	if len(r.guests) == 0 {
		delete(p.rooms, r.jid)
	}
}

// audience returns the guests inside, in the order of their addresses.
func (r *room) audience() []*guest {
	var all []*guest
	for _, g := range r.guests {
		if g.inside {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *guest) int { return byAddress(a.who, b.who) })
	return all
}

// byNick returns the guest with that nick, nil if it is not theirs.
func (r *room) byNick(nick string) *guest {
	for _, g := range r.guests {
		if g.inside && g.nick == nick {
			return g
		}
	}
	return nil
}

// uniformOf returns who has that nick, for the guest to: the address of the occupant where the room does not tell everybody the
// real one. To guests themselves they are who they are, or psyced would not know them.
func (p *Peer) uniformOf(r *room, nick string, to *guest) string {
	if g := r.byNick(nick); g != nil && (r.open || g == to) {
		return g.spelled
	}
	if m := r.members[nick]; r.open && !m.jid.IsZero() && r.byNick(nick) == nil {
		return p.spell(m.jid, uniform.JID{})
	}
	return r.occupant(nick)
}

// occupant returns the address of who has that nick, as far as rooms tell.
func (r *room) occupant(nick string) string {
	if nick == "" {
		return roomUniform(r.jid)
	}
	return "xmpp:" + r.jid.String() + "/" + url.PathEscape(nick)
}

// says begins a packet of the room to one guest.
func (r *room) says(g *guest, method, body string) *psyc.Packet {
	q := &psyc.Packet{Method: method, Body: []byte(body)}
	q.Routing.Set("_source", roomUniform(r.jid))
	q.Routing.Set("_target", g.spelled)
	q.Entity.Set("_nick_place", r.jid.Local())
	return q
}

// answers is says for the answer to what the guest asked.
func (r *room) answers(g *guest, method, body string) *psyc.Packet {
	q := r.says(g, method, body)
	if g.tag != "" {
		q.Routing.Set("_tag_relay", g.tag)
	}
	g.tag = ""
	return q
}

// longestRelay bounds _source_relay, like any value in the routing header.
const longestRelay = 256

// fromContext makes q a packet of the context, about who has that nick: to one guest or, if g is nil, to all.
func (p *Peer) fromContext(r *room, q *psyc.Packet, nick string, g *guest) {
	q.Routing = nil
	q.Routing.Set("_context", roomUniform(r.jid))
	to := g
	if all := r.audience(); g == nil && len(all) == 1 {
		to = all[0]
	}
	if relay := p.uniformOf(r, nick, to); nick != "" && len(relay) <= longestRelay {
		q.Routing.Set("_source_relay", relay)
	}
	if g != nil {
		q.Routing.Set("_target", g.spelled)
	}
	if nick != "" {
		q.Entity.Set("_nick", nick)
	}
	q.Entity.Set("_nick_place", r.jid.Local())
}

// announce tells all guests something about who has that nick: in one packet, unless one of them may know more than the others.
func (p *Peer) announce(e *Effect, r *room, q *psyc.Packet, nick string) {
	all := r.audience()
	if r.open || r.byNick(nick) == nil || len(all) < 2 {
		p.fromContext(r, q, nick, nil)
		e.send(q)
		return
	}
	for _, g := range all {
		one := q.Clone()
		p.fromContext(r, one, nick, g)
		e.send(one)
	}
}

// blanks makes a nick the element of a list: psyced makes a table of a list that has a blank in it.
func blanks(nick string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return '\u00A0'
		}
		return r
	}, nick)
}

// maxListed is how many members psyced lists itself; of more it says how many.
const maxListed = 44

// listMembers says who is in the room.
func (p *Peer) listMembers(q *psyc.Packet, r *room, to *guest) {
	nicks := sortedNicks(r.members)
	if len(nicks) > maxListed {
		q.Entity.Set("_amount_members", strconv.Itoa(len(nicks)))
		return
	}
	var who, shown []string
	for _, nick := range nicks {
		who = append(who, p.uniformOf(r, nick, to))
		shown = append(shown, blanks(nick))
	}
	setList(q, "_list_members", who)
	setList(q, "_list_members_nicks", shown)
}
