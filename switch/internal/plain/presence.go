package plain

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A contact is somebody there and who here hears of them.
type contact struct {
	last   *psyc.Packet              // the last presence that was cast
	heard  map[uniform.JID]signature // who hears of them, and what they heard last
	asked  map[uniform.JID]bool      // those whose probe has not been answered
	latest time.Time
}

// A signature is what a presence says, for telling repetitions.
type signature struct{ method, degree, description string }

func signatureOf(q *psyc.Packet) signature {
	return signature{q.Method, q.Entity.Get("_degree_availability").String(), q.Entity.Get("_description_presence").String()}
}

// learn notes that key.here hears of key.there.
func (p *Peer) learn(key pair) *contact {
	c := p.contacts[key.there]
	if c == nil {
		c = p.newContact(key.there)
	}
	if _, known := c.heard[key.here]; !known && len(c.heard) < maxPeople {
		c.heard[key.here] = signature{}
	}
	return c
}

func (p *Peer) newContact(there uniform.JID) *contact {
	if p.contacts == nil {
		p.contacts = make(map[uniform.JID]*contact)
	}
	if len(p.contacts) >= maxPeople {
		// Whoever gives way is learnt again from the next probe.
		oldest := there
		for j, c := range p.contacts {
			if oldest == there || c.latest.Before(p.contacts[oldest].latest) {
				oldest = j
			}
		}
		delete(p.contacts, oldest)
	}
	c := &contact{heard: make(map[uniform.JID]signature), asked: make(map[uniform.JID]bool), latest: time.Now()}
	p.contacts[there] = c
	return c
}

// unlearn is the reverse of learn.
func (p *Peer) unlearn(key pair) {
	if c := p.contacts[key.there]; c != nil {
		delete(c.heard, key.here)
		delete(c.asked, key.here)
		if len(c.heard) == 0 && c.last == nil {
			delete(p.contacts, key.there)
		}
	}
}

// cast delivers presence that psyced sends to the context of a person, once to each who hears of them. psyced casts once for each
// of its friends that it keeps under another scheme, and names nobody.
func (p *Peer) cast(e *Effect, m mail) error {
	there := m.from.Bare()
	c := p.contacts[there]
	if !m.is("_notice_presence", "_status_presence") {
		if c == nil {
			return nil
		}
		return p.toAll(e, m, c) // a message to friends
	}
	if c == nil {
		c = p.newContact(there)
	}
	c.last, c.latest = m.Clone(), time.Now()
	is := signatureOf(m.Packet)
	for _, here := range sorted(c.heard) {
		if c.heard[here] == is {
			continue
		}
		c.heard[here] = is
		if err := p.deliverPresence(e, m, here); err != nil {
			return err
		}
	}
	return nil
}

// sorted makes the order of deliveries that of the addresses.
func sorted(heard map[uniform.JID]signature) []uniform.JID {
	return slices.SortedFunc(maps.Keys(heard), byAddress)
}

func byAddress(a, b uniform.JID) int { return strings.Compare(a.String(), b.String()) }

func (p *Peer) toAll(e *Effect, m mail, c *contact) error {
	for _, here := range sorted(c.heard) {
		s, err := p.stanza(m, m.from, here)
		if err != nil {
			return err
		}
		e.deliver(s)
	}
	return nil
}

func (p *Peer) deliverPresence(e *Effect, m mail, here uniform.JID) error {
	s, err := p.stanza(m, m.from.Bare(), here)
	if err == nil && s.Kind == xmpp.Presence {
		e.deliver(s)
	}
	return err
}

// unicastPresence delivers presence that names who is to hear of it.
func (p *Peer) unicastPresence(e *Effect, m mail) error {
	key := pairOf(m.to, m.from)
	c := p.contacts[key.there]
	known := c != nil
	if known {
		_, known = c.heard[key.here]
	}
	if psyc.Inherits(m.Method, "_status_person_absent") && !known {
		return nil // what is said after a message to somebody who is out
	}
	c = p.learn(key)
	c.latest = time.Now()
	is := signatureOf(m.Packet)
	if c.heard[key.here] == is && !c.asked[key.here] {
		return nil // psyced answers what it is told as well as what it is asked
	}
	if !psyc.Inherits(m.Method, "_notice_presence") {
		delete(c.asked, key.here)
	}
	if _, room := c.heard[key.here]; room {
		c.heard[key.here] = is
	}
	return p.deliverPresence(e, m, key.here)
}

// probed asks somebody here how they are.
func (p *Peer) probed(e *Effect, m mail) error {
	p.probe(e, pairOf(m.to, m.from))
	return nil
}

// probe asks the server of somebody here how they are.
func (p *Peer) probe(e *Effect, key pair) {
	f := p.friendship(key)
	f.probed = time.Now()
	p.setFriendship(key, f)
	e.deliver(&xmpp.Stanza{Kind: xmpp.Presence, Type: "probe", From: key.there, To: key.here})
}

// A resource is a client of somebody here that is there, as one of their contacts was told.
type resource struct {
	name string
	last *psyc.Packet
}

// clients are those of one person. Before the first of them has gone there may be others, from before we were started.
type clients struct {
	there  []resource
	all    bool
	probed time.Time // when our own server was asked for the others
}

// probeTime is how long the answer of our own server to our own probe may take.
const probeTime = 10 * time.Second

// maxResources is how many clients of one person are told apart.
const maxResources = 16

// outPresence sends presence, or what somebody here wants or grants.
func (p *Peer) outPresence(e *Effect, s *xmpp.Stanza) error {
	if pl := p.placeFor(s); pl != nil {
		return p.outPlacePresence(e, s, pl)
	}
	key := pairOf(s.From, s.To)
	switch s.Type {
	case "subscribe", "subscribed", "unsubscribe", "unsubscribed":
		p.outSubscription(e, s)
		return nil
	case "error":
		return nil
	case "probe":
		c := p.learn(key)
		if _, room := c.heard[key.here]; room {
			c.asked[key.here] = true
		}
		e.send(p.about(key.here, key.there, "_request_status_person", bodyProbe))
		if c.last == nil {
			return nil
		}
		c.heard[key.here] = signatureOf(c.last)
		return p.deliverPresence(e, mail{Packet: c.last, from: key.there}, key.here)
	}
	q, err := p.convert(s)
	if err != nil {
		return err
	}
	if verbatim(q) {
		return nil
	}
	if q.Entity.Get("_description_presence") == nil {
		q.Entity.Set("_description_presence", "") // psyced shows its template with the name in it otherwise
	}
	if s.To.Local() == "" {
		e.send(q)
		return nil
	}
	p.oneOfMany(e, key, s, q)
	return nil
}

// client returns a client of key.here that can be asked what only clients know, the latest of which key.there was told; key.here if there is none.
func (p *Peer) client(key pair) uniform.JID {
	known, _ := p.online.Get(key)
	if n := len(known.there); n > 0 {
		if full, err := key.here.WithResource(known.there[n-1].name); err == nil {
			return full
		}
	}
	return key.here
}

// oneOfMany sends the presence of one client of a person whom the peer knows without clients: whoever goes offline with one is still
// there with the others.
func (p *Peer) oneOfMany(e *Effect, key pair, s *xmpp.Stanza, q *psyc.Packet) {
	known, _ := p.online.Get(key)
	online := known.there
	others := slices.DeleteFunc(slices.Clone(online), func(r resource) bool { return r.name == s.From.Resource() })
	switch {
	case s.Type == "":
		others = append(others, resource{s.From.Resource(), q})
		if len(others) > maxResources {
			others = others[1:]
		}
	case s.From.Resource() == "":
		if others, known.all = nil, true; time.Since(known.probed) < probeTime {
			known.probed, q = time.Time{}, nil // which the peer has heard
		}
	case len(others) > 0:
		if rest := others[len(others)-1].last; len(others) < len(online) && online[len(online)-1].name == s.From.Resource() {
			q = rest
		} else {
			q = nil // the peer was told of another client last
		}
	case !known.all:
		known.all, known.probed = true, time.Now()
		p.probe(e, key)
	}
	known.there = others
	p.online.Put(key, known, time.Now().Add(peopleLife), maxPeople)
	if q != nil {
		e.send(q)
	}
}
