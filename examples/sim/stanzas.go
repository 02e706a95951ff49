package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// number36 writes a number as names do.
func number36(n uint64) string { return strconv.FormatUint(n, 36) }

// name returns a name of a given length: a letter and a number.
func name(letter string, n uint64, length int) string {
	digits := number36(n)
	return letter + strings.Repeat("0", max(length-1-len(digits), 0)) + digits
}

func domain(server int) string { return name("s", uint64(server), 5) + ".example" }

// address returns the JID of a user, with the resource of a client if that is not negative.
func (g *graph) address(user uint32, client int) uniform.JID {
	resource := ""
	if client >= 0 {
		resource = name("c", uint64(client), g.ResourceBytes)
	}
	return jid(g.nick(user), domain(g.server(user)), resource)
}

// nick is the name of a user in rooms, too.
func (g *graph) nick(user uint32) string { return name("u", uint64(user), g.NameBytes) }

// place returns the JID of a room, or of an occupant.
func (g *graph) place(x *room, nick string) uniform.JID {
	return jid(name("r", uint64(x.number), g.NameBytes), "rooms."+domain(x.server), nick)
}

func jid(local, domain, resource string) uniform.JID {
	j, err := uniform.NewJID(local, domain, resource)
	if err != nil {
		panic(err) // names are letters and digits
	}
	return j
}

// An author writes stanzas as common clients and servers do. They have no recipient yet.
type author struct {
	*Model
	parsed map[string]*xmpp.Stanza // what has children that come again and again, by its children
}

func newAuthor(m *Model) *author {
	return &author{m, make(map[string]*xmpp.Stanza)}
}

// stanza returns a stanza with children that occur often.
func (a *author) stanza(kind xmpp.Kind, typ string, from uniform.JID, children string) *xmpp.Stanza {
	s := a.parsed[children]
	if s == nil {
		s = with(&xmpp.Stanza{}, children)
		a.parsed[children] = s
	}
	made := *s
	made.Kind, made.Type, made.From, made.Lang = kind, typ, from, "en"
	return &made
}

func with(s *xmpp.Stanza, children string) *xmpp.Stanza {
	if err := s.SetRaw([]byte(children)); err != nil {
		panic(err) // all there is stands in this file
	}
	return s
}

const (
	caps      = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://client.example/' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"
	member    = "<item affiliation='member' role='participant'/>"
	occupant  = "<x xmlns='http://jabber.org/protocol/muc#user'>" + member + "</x>"
	myself    = "<x xmlns='http://jabber.org/protocol/muc#user'>" + member + "<status code='110'/></x>"
	joining   = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='%d'/></x>"
	composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
	received  = "<received xmlns='urn:xmpp:receipts' id='%s'/>"
	asks      = "<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>"
	delayed   = "<delay xmlns='urn:xmpp:delay' from='%s' stamp='%s'/>"
	topic     = "<subject>What this room is about</subject>"
)

// shows are what a presence changes between.
var shows = []string{"", "away", "dnd", "xa"}

// state returns the children of a presence: the n-th since the user logged on.
func (a *author) state(n int) string {
	children := ""
	if show := shows[n%len(shows)]; show != "" {
		children = "<show>" + show + "</show>"
	}
	if a.StatusBytes > 0 {
		children += "<status>" + sentence(a.StatusBytes) + "</status>"
	}
	if a.Caps {
		children += caps
	}
	return children
}

// presence returns the n-th presence of a client since it logged on.
func (a *author) presence(from uniform.JID, n int) *xmpp.Stanza {
	return a.stanza(xmpp.Presence, "", from, a.state(n))
}

// absence returns what is said when a client logs off.
func (a *author) absence(from uniform.JID) *xmpp.Stanza {
	return a.stanza(xmpp.Presence, "unavailable", from, "")
}

// probe asks for somebody's presence.
func (a *author) probe(from uniform.JID) *xmpp.Stanza {
	return a.stanza(xmpp.Presence, "probe", from.Bare(), "")
}

// answer is what a probe is answered with.
func (a *author) answer(from uniform.JID, at time.Duration) *xmpp.Stanza {
	s := a.stanza(xmpp.Presence, "", from, "")
	return with(s, a.state(int(at/time.Second))+delay(from.String(), at))
}

func delay(from string, at time.Duration) string {
	return fmt.Sprintf(delayed, from, time.Unix(0, 0).UTC().Add(at).Format("2006-01-02T15:04:05Z"))
}

// composing returns a chat state.
func (a *author) composing(from uniform.JID) *xmpp.Stanza {
	return a.stanza(xmpp.Message, "chat", from, composing)
}

// chat returns a message that asks for a receipt.
func (a *author) chat(from uniform.JID, id string, size int) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "chat", From: from, ID: id, Lang: "en"}
	return with(s, "<body>"+sentence(size)+"</body>"+asks)
}

// receipt returns the receipt for the message with this id.
func (a *author) receipt(from uniform.JID, id string) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "chat", From: from, ID: "r" + id, Lang: "en"}
	return with(s, fmt.Sprintf(received, id))
}

// join returns what somebody enters a room with.
func (a *author) join(from uniform.JID, n int) *xmpp.Stanza {
	return a.stanza(xmpp.Presence, "", from, a.state(n)+fmt.Sprintf(joining, a.History))
}

// about returns what a room says about an occupant, typ being that of a presence. self is for the occupant itself.
func (a *author) about(occ uniform.JID, typ string, n int, self bool) *xmpp.Stanza {
	children := occupant
	if self {
		children = myself
	}
	if typ == "" {
		children = a.state(n) + children
	}
	return a.stanza(xmpp.Presence, typ, occ, children)
}

// said returns what is said in a room: what a user sends there, and what the room sends on.
func (a *author) said(from uniform.JID, id string, size int) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "groupchat", From: from, ID: id, Lang: "en"}
	return with(s, "<body>"+sentence(size)+"</body>")
}

// history returns what was said before somebody entered.
func (a *author) history(from uniform.JID, id string, size int, at time.Duration) *xmpp.Stanza {
	s := &xmpp.Stanza{Kind: xmpp.Message, Type: "groupchat", From: from, ID: id, Lang: "en"}
	return with(s, "<body>"+sentence(size)+"</body>"+delay(from.Bare().String(), at))
}

// topic returns the subject of a room.
func (a *author) topic(from uniform.JID) *xmpp.Stanza {
	return a.stanza(xmpp.Message, "groupchat", from, topic)
}

// words is what texts are cut from: neither all the same nor noise.
const words = "the quick brown fox jumps over the lazy dog while nobody looks and then it sits down to think about what comes next before lunch "

// sentence returns a text of so many bytes.
func sentence(size int) string {
	at := size * 7 % len(words)
	text := words[at:] + strings.Repeat(words, size/len(words)+1)
	return text[:size]
}
