package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A kind is what traffic is about.
type kind int

const (
	presence    kind = iota // broadcast to contacts
	probes                  // and what they are answered with
	chats                   // with chat states and receipts
	inRooms                 // presence in rooms
	talk                    // what is said in rooms, with topics and history
	kinds       = int(talk) + 1
	firstOfRoom = inRooms
)

func (k kind) String() string {
	return [...]string{"presence to contacts", "probes and answers", "chats and receipts", "presence in rooms", "talk in rooms"}[k]
}

// An event is what one entity sends to one server at one moment: a stanza, once for each recipient.
type event struct {
	at     time.Duration
	unit   int // what it is counted for
	kind   kind
	stanza *xmpp.Stanza // with the address of nobody
	to     []uniform.JID
}

// A journal collects the events of one link.
type journal struct {
	*graph
	author   *author
	r, other *source
	events   []event
}

func newJournal(g *graph) *journal {
	return &journal{graph: g, author: newAuthor(g.Model), r: newSource(), other: newSource()}
}

// add notes an event if there is anybody to hear of it.
func (j *journal) add(at time.Duration, unit int, k kind, s *xmpp.Stanza, to ...uniform.JID) {
	if len(to) > 0 {
		j.events = append(j.events, event{at, unit, k, s, to})
	}
}

// sort puts the events in the order in which they happen.
func (j *journal) sort() {
	slices.SortStableFunc(j.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
}

// A company is a user and the contacts that it has on one foreign server.
type company struct {
	unit     int
	user     uint32
	contacts []uint32
	before   int // contacts of the user that stand before these in the order of chats
	all      int // contacts of the user everywhere
}

// out notes what the server of the user sends to that of the contacts.
func (j *journal) out(c company) {
	var to []uniform.JID
	for _, contact := range c.contacts {
		to = append(to, j.address(contact, -1))
	}
	sessions := j.sessions(j.r, c.user)
	for i := range sessions {
		s := &sessions[i]
		from := j.address(c.user, s.client)
		j.add(s.start, c.unit, presence, j.author.presence(from, 0), to...)
		if j.alone(sessions, i) {
			probe := j.author.probe(from)
			for _, contact := range to {
				j.add(s.start, c.unit, probes, probe, contact)
			}
		}
		for n, at := range s.changes {
			j.add(at, c.unit, presence, j.author.presence(from, n+1), to...)
		}
		j.add(s.end(), c.unit, presence, j.author.absence(from), to...)
	}
	for n, said := range j.chats(j.r, c.user, c.all) {
		if i := said.contact - c.before; i >= 0 && i < len(to) {
			from := j.address(c.user, 0)
			j.add(said.at, c.unit, chats, j.author.composing(from), to[i])
			j.add(said.at+typing, c.unit, chats, j.author.chat(from, messageID(c.user, n), said.size), to[i])
		}
	}
}

// typing is how long it takes to write a message.
const typing = 10 * time.Second

// alone reports whether no other client is logged on when session i begins: then the server does not know yet what the
// contacts are doing.
func (j *journal) alone(sessions []session, i int) bool {
	for k := range sessions {
		if k != i && sessions[k].covers(sessions[i].start) {
			return false
		}
	}
	return true
}

// back notes what the server of the contacts sends to that of the user.
func (j *journal) back(c company) {
	sessions := j.sessions(j.r, c.user)
	bare := j.address(c.user, -1)
	for i := range sessions {
		if !j.alone(sessions, i) {
			continue
		}
		at := sessions[i].start
		for _, contact := range c.contacts {
			for _, client := range online(j.sessions(j.other, contact), at) {
				j.add(at, c.unit, probes, j.author.answer(j.address(contact, client), at), bare)
			}
		}
	}
	for n, said := range j.chats(j.r, c.user, c.all) {
		if i := said.contact - c.before; i >= 0 && i < len(c.contacts) {
			from := j.address(c.contacts[i], 0)
			j.add(said.at+typing+time.Second, c.unit, chats, j.author.receipt(from, messageID(c.user, n)), j.address(c.user, 0))
		}
	}
}

// messageID is as long as the identifiers of common clients.
func messageID(subject uint32, n int) string { return fmt.Sprintf("%012x-%08x", subject, n) }

// A visit is a room and a foreign server on which some of its users live.
type visit struct {
	unit   int
	room   *room
	server int
}

// coming notes what the server of the users sends to the room.
func (j *journal) coming(v visit) {
	x := v.room
	for n, e := range x.day {
		user := x.users[e.who]
		if j.server(user) != v.server {
			continue
		}
		from := j.address(user, 0)
		to := j.place(x, j.nick(user))
		switch e.what {
		case enters:
			j.add(e.at, v.unit, inRooms, j.author.join(from, n), to)
		case changes:
			j.add(e.at, v.unit, inRooms, j.author.presence(from, n), to)
		case leaves:
			j.add(e.at, v.unit, inRooms, j.author.absence(from), to)
		case speaks:
			j.add(e.at, v.unit, talk, j.author.said(from, messageID(x.number, n), e.size), to.Bare())
		}
	}
}

// telling notes what the room sends to the server of the users.
func (j *journal) telling(v visit) {
	x := v.room
	seats := make([]uniform.JID, len(x.users)) // the rooms' side of everybody
	there := make([]uniform.JID, len(x.users)) // the users' side of those who live on the server
	for who, user := range x.users {
		seats[who] = j.place(x, j.nick(user))
		if j.server(user) == v.server {
			there[who] = j.address(user, 0)
		}
	}
	for n, e := range x.day {
		var others []uniform.JID
		for _, who := range e.in {
			if !there[who].IsZero() && (who != e.who || e.what == speaks) {
				others = append(others, there[who])
			}
		}
		if e.what == speaks {
			j.add(e.at, v.unit, talk, j.author.said(seats[e.who], messageID(x.number, n), e.size), others...)
			continue
		}
		typ := ""
		if e.what == leaves {
			typ = "unavailable"
		}
		self := there[e.who]
		if e.what == enters && !self.IsZero() {
			for _, who := range e.in {
				j.add(e.at, v.unit, inRooms, j.author.about(seats[who], "", n+who, false), self)
			}
		}
		j.add(e.at, v.unit, inRooms, j.author.about(seats[e.who], typ, n, false), others...)
		if self.IsZero() {
			continue
		}
		j.add(e.at, v.unit, inRooms, j.author.about(seats[e.who], typ, n, true), self)
		if e.what == enters {
			j.past(v, e.at, seats, self)
		}
	}
}

// past notes what a room tells of the time before somebody entered.
func (j *journal) past(v visit, at time.Duration, seats []uniform.JID, to uniform.JID) {
	for i := range min(j.History, int(j.Talk)) {
		size := j.text(j.other.about(j.Seed, chanceRooms, uint64(i)))
		j.add(at, v.unit, talk, j.author.history(seats[i%len(seats)], messageID(v.room.number, i), size, at), to)
	}
	j.add(at, v.unit, talk, j.author.topic(seats[0].Bare()), to)
}
