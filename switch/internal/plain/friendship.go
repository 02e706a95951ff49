package plain

import (
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A friendship is what two people have agreed to, as far as we have seen it. PSYC has friends, and people who were asked; XMPP has
// two subscriptions, one for each direction, each asked for and granted by itself. So that neither side waits for ever:
//
//   - A request of theirs is pending until it is answered by a request: "subscribed" of ours becomes an implied one.
//   - Whoever gives up one direction while the other stands keeps the friendship; the last one ends it.
//   - Their consent comes with an implied request, which is their wish to see us: a "subscribe" here, while nothing
//     is pending there.
type friendship struct {
	asked  bool      // somebody here has asked, and was not answered
	wanted bool      // they have asked, and wait for an answer
	to     bool      // somebody here sees them
	from   bool      // they see somebody here
	mutual bool      // they have said that it is a friendship
	probed time.Time // when they last asked how somebody here is
}

func (p *Peer) friendship(key pair) friendship {
	f, _ := p.friends.Get(key)
	return f
}

func (p *Peer) setFriendship(key pair, f friendship) {
	if f == (friendship{}) {
		p.friends.Delete(key)
		return
	}
	p.friends.Put(key, f, time.Now().Add(peopleLife), maxPeople)
}

// Bodies of our packets about friendship; what they say of people stands in variables.
const (
	bodyFriendship = "[_nick] kindly asks to be your friend."
	bodyFriends    = "[_nick] is your friend."
	bodyProbe      = "[_nick] asks how you are."
	bodyUnfriend   = "[_nick] ends the friendship with you."
)

// about begins a packet about one of our people.
func (p *Peer) about(from, to uniform.JID, method, body string) *psyc.Packet {
	q := p.packet(from, to, method, body)
	q.Entity.Set("_nick", from.Local())
	if psyc.Inherits(method, "_notice_friendship_removed") {
		q.Entity.Set("_possessive", "the") // psyced's text has a place for it
	}
	return q
}

// outSubscription sends what somebody here wants or grants.
func (p *Peer) outSubscription(e *Effect, s *xmpp.Stanza) {
	key := pairOf(s.From, s.To)
	f := p.friendship(key)
	from, to := key.here, key.there
	switch s.Type {
	case "subscribe":
		if f.from && f.mutual {
			// What is one friendship there is granted already; to ask again would show them a request.
			f.to = true
			e.deliver(&xmpp.Stanza{Kind: xmpp.Presence, Type: "subscribed", From: to, To: from})
			p.learn(key).asked[from] = true
			e.send(p.about(from, to, "_request_status_person", bodyProbe))
			break
		}
		f.asked = true
		e.send(p.about(from, to, "_request_friendship", bodyFriendship))
	case "subscribed":
		if f.wanted {
			e.send(p.about(from, to, "_request_friendship_implied", bodyFriends))
		} else {
			e.send(p.about(from, to, "_notice_friendship_established", bodyFriends))
		}
		f.wanted, f.from = false, true
	case "unsubscribe":
		if !f.from && (f.to || f.asked || !f.wanted) {
			e.send(p.about(from, to, "_notice_friendship_removed", bodyUnfriend))
			f.mutual = false
		}
		f.asked, f.to = false, false
		p.unlearn(key)
	case "unsubscribed":
		switch {
		case f.wanted:
			e.send(p.about(from, to, "_notice_friendship_removed", bodyUnfriend))
		case f.to || f.asked:
		case !f.from && time.Since(f.probed) < time.Minute:
			// Not the end of anything: a server says this in answer to a probe of whom it does not know.
		default:
			e.send(p.about(from, to, "_notice_friendship_removed", bodyUnfriend))
		}
		f.wanted, f.from, f.mutual = false, false, false
	}
	p.setFriendship(key, f)
}

// befriend delivers what they want or grant.
func (p *Peer) befriend(e *Effect, m mail) error {
	key := pairOf(m.to, m.from)
	f := p.friendship(key)
	presence := func(typ string) {
		s := &xmpp.Stanza{Kind: xmpp.Presence, Type: typ, From: m.from, To: m.to}
		if nick := m.Entity.Get("_nick"); typ == "subscribe" && len(nick) > 0 {
			raw := xmpp.AppendText([]byte("<nick xmlns='http://jabber.org/protocol/nick'>"), nick.String())
			_ = s.SetRaw(append(raw, "</nick>"...))
		}
		e.deliver(s)
	}
	switch {
	case psyc.Inherits(m.Method, "_request_friendship_implied"):
		granted := f.asked
		if granted {
			presence("subscribed") // the same as the notice that came before it, or should have
		}
		f.asked, f.to, f.wanted = false, true, false
		p.learn(key)
		if !f.from {
			presence("subscribe")
		}
	case psyc.Inherits(m.Method, "_request_friendship"):
		f.wanted = true
		if f.asked { // both have asked: that is how they become friends there
			f.asked, f.to, f.wanted = false, true, false
			presence("subscribed")
			p.learn(key)
		}
		presence("subscribe")
	case m.is("_notice_friendship_established", "_status_friendship_established"):
		// It comes in answer to our consent as well, when nobody here has asked to see them.
		f.mutual = f.mutual || f.from
		f.asked, f.to, f.wanted = false, f.to || f.asked, false
		p.learn(key)
		presence("subscribed")
	case psyc.Inherits(m.Method, "_notice_friendship_removed"):
		if !psyc.Inherits(m.Method, "_notice_friendship_removed_implied") {
			q := p.about(key.here, key.there, "_notice_friendship_removed_implied", bodyUnfriend)
			e.send(q)
		}
		f = friendship{}
		p.unlearn(key)
		presence("unsubscribe")
		presence("unsubscribed")
	}
	p.setFriendship(key, f)
	return nil
}
