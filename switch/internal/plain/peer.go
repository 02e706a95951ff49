// Package plain keeps what has to be remembered in the conversation with a PSYC server that did not agree to the profile of
// Switchyard, psyced first. Package transcode converts each packet and each stanza by itself; that is not enough where
// the two protocols count differently:
//
//   - psyced repeats a tag on whatever it sends next, and knows no resources. A request goes out under a tag of our own, and
//     only the entity that was asked can answer it ([Peer] keeps the rows).
//   - psyced returns each message to its sender as an echo, and shows people their own words only when the echo comes.
//   - It knows people by the spelling under which it met them, and is a stranger to the same person under another.
//   - Its friendships are symmetric, and a request is answered only by a request in return.
//   - It casts presence once for each friend that it keeps under another scheme, to a context without naming anybody.
//   - Its places announce members in lists and in casts; a room of XMPP speaks to each occupant. That is so for our people in
//     its places, and for its people in our rooms.
//
// All tables are bounded, and what waits for an answer ends in time.
package plain

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/internal/expiring"
	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Bounds of the tables of one peer.
const (
	maxRows     = 4096 // requests in each direction that wait for their answers
	maxPeople   = 8192 // local people whose spelling is remembered, pairs of friends, senders of messages
	maxPlaces   = 1024
	maxInPlaces = 8192 // our people in places, their people in our rooms, counted once for each place
	maxSaid     = 32   // messages of one person to another that wait for the echo

	rowLife    = 60 * time.Second
	peopleLife = 30 * 24 * time.Hour
)

// An Effect is what a stanza or a packet leads to.
type Effect struct {
	Packets []*psyc.Packet // to the peer, in order
	Stanzas []*xmpp.Stanza // to the people here
	After   []*psyc.Packet // to the peer once the stanzas have been handled
}

func (e *Effect) send(p *psyc.Packet)    { e.Packets = append(e.Packets, p) }
func (e *Effect) deliver(s *xmpp.Stanza) { e.Stanzas = append(e.Stanzas, s) }

// A Peer is a domain beyond the profile, and what we remember of the conversation with it, on whatever circuits it takes place:
// psyced answers on the one and casts on the other. It is safe for concurrent use. It has no goroutine; while requests wait for
// their answers, or somebody has just entered a place, it has a timer.
type Peer struct {
	// Late gets what is due without a packet: the errors about requests that were not answered in time, and the subject of a place
	// that has no more history. It is called without locks. It may be nil: then there are no such errors, and the subject comes first.
	Late func(*xmpp.Stanza)
	// Answer gets what a domain here has not said in time to a question of our own, to be sent to the peer like any stanza of that
	// domain. It is called without locks. If it is nil, what depends on the question is forgotten when nobody answers it.
	Answer func(*xmpp.Stanza)

	mu      sync.Mutex
	out, in transcode.Converter

	asked    map[string]*row             // by the tag that we gave
	asking   expiring.Map[string, query] // what the peer asks, by the id that we gave
	timer    *time.Timer
	said     expiring.Map[pair, []said]
	spelled  expiring.Map[pair, bool] // whether somebody there calls somebody here xmpp:; a zero there is the last of all
	friends  expiring.Map[pair, friendship]
	online   expiring.Map[pair, clients]
	contacts map[uniform.JID]*contact // people there, and who here hears of them
	places   map[uniform.JID]*place
	rooms    map[uniform.JID]*room      // ours, with somebody of theirs in it
	kinds    expiring.Map[string, kind] // domains here
	syntax   psyc.Syntax                // of the packet at hand
	inPlaces int                        // occupants and guests
	closing  bool
}

// A pair is somebody here and somebody there, both bare.
type pair struct{ here, there uniform.JID }

func pairOf(here, there uniform.JID) pair { return pair{here.Bare(), there.Bare()} }

// Out returns what becomes of a stanza that goes to the peer. Errors are those of transcode and of package xmpp: about this
// stanza, for its sender. s is not kept.
func (p *Peer) Out(s *xmpp.Stanza, syntax psyc.Syntax) (Effect, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.Syntax, p.out.Plain = syntax, true
	var e Effect
	err := p.dispatch(&e, s)
	e.adapt(syntax)
	return e, err
}

func (p *Peer) dispatch(e *Effect, s *xmpp.Stanza) error {
	if done, err := p.fromRoom(e, s); done || err != nil {
		return err
	}
	switch s.Kind {
	case xmpp.Message:
		return p.outMessage(e, s)
	case xmpp.Presence:
		return p.outPresence(e, s)
	}
	return p.outIQ(e, s)
}

// In returns what becomes of a packet of the peer, which the circuit has admitted: its source is proved and its target hosted here.
// Errors are about this packet. q is not kept.
func (p *Peer) In(q *psyc.Packet, syntax psyc.Syntax) (Effect, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in.Plain, p.syntax = true, syntax
	var e Effect
	m, err := p.readMail(q)
	if err == nil {
		err = p.receive(&e, m)
	}
	e.adapt(syntax)
	return e, err
}

// adapt writes packets as peers outside the profile have it: the tags of answers in 0.9, and lists in 1.0.
func (e *Effect) adapt(syntax psyc.Syntax) {
	for _, q := range slices.Concat(e.Packets, e.After) {
		if syntax != psyc.PSYC09 {
			for i := range q.Entity {
				if psyc.Inherits(q.Entity[i].Name, "_list") {
					q.Entity[i].Value = earlyList(q.Entity[i].Value)
				}
			}
			continue
		}
		for i := range q.Routing {
			if q.Routing[i].Name == "_tag_relay" {
				q.Routing[i].Name = "_tag_reply"
			}
		}
	}
}

// earlyList writes a list as [psyc.Value.EarlyList] reads it, the only form that psyced takes. It has no escape for a bar.
func earlyList(v psyc.Value) psyc.Value {
	var early psyc.Value
	for element, err := range v.List() {
		if err != nil {
			return v
		}
		early = append(append(early, '|'), bytes.ReplaceAll(element.Value, []byte("|"), []byte("\u00A6"))...)
	}
	return early
}

// Close forgets what waits for answers.
func (p *Peer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = nil
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

// A mail is a packet and its addresses.
type mail struct {
	*psyc.Packet
	from    uniform.JID // the context, or the source
	to      uniform.JID // bare; zero in a cast
	source  string      // as the peer spelt it
	target  string
	context bool
}

// is reports whether the method is of one of the families.
func (m mail) is(families ...string) bool { return psyc.InheritsAny(m.Method, families...) }

func (p *Peer) readMail(q *psyc.Packet) (mail, error) {
	m := mail{Packet: q, target: q.Routing.Get("_target").String()}
	speaker := q.Routing.Get("_context")
	if m.context = len(speaker) > 0; !m.context {
		speaker = q.Routing.Get("_source")
	}
	m.source = speaker.String()
	var err error
	if m.from, err = address(m.source); err != nil {
		return m, err
	}
	if m.target == "" {
		return m, nil
	}
	// psyced folds the case of resources and does not know which of them are there.
	if m.to, err = address(m.target); err != nil {
		return m, err
	}
	m.to = m.to.Bare()
	if m.to.Local() != "" {
		old, until := strings.HasPrefix(m.target, "xmpp:"), time.Now().Add(peopleLife)
		p.spelled.Put(pairOf(m.to, m.from), old, until, maxPeople)
		p.spelled.Put(pair{here: m.to}, old, until, maxPeople)
	}
	return m, nil
}

// address returns the JID of a uniform.
func address(u string) (uniform.JID, error) {
	parsed, err := uniform.Parse(u)
	if err != nil {
		return uniform.JID{}, &transcode.Error{Condition: xmpp.JIDMalformed, Method: "_error_invalid_uniform", Err: err}
	}
	j, err := parsed.JID("")
	if err != nil {
		// A protocol root speaks for its server.
		if parsed == parsed.Root() && parsed.Port() == 0 {
			return uniform.RelayJID(parsed.Host())
		}
		return uniform.JID{}, &transcode.Error{Condition: xmpp.JIDMalformed, Method: "_error_invalid_uniform", Err: err}
	}
	return j, nil
}

// spell returns the uniform under which somebody there knows somebody here: the one in which they were last addressed, by them or
// else by anybody there. To psyced the two spellings are two people.
func (p *Peer) spell(here, there uniform.JID) string {
	if here.Local() != "" && p.knownRooms(here.Domain()) {
		return roomUniform(here.Bare())
	}
	old, known := p.spelled.Get(pairOf(here, there))
	if !known {
		old, _ = p.spelled.Get(pair{here: here.Bare()})
	}
	if old {
		return "xmpp:" + here.Bare().String()
	}
	return here.Uniform().String()
}

// packet begins a packet to the peer.
func (p *Peer) packet(from, to uniform.JID, method, body string) *psyc.Packet {
	q := &psyc.Packet{Method: method, Body: []byte(body)}
	q.Routing.Set("_source", p.spell(from, to))
	q.Routing.Set("_target", to.Uniform().String())
	return q
}

// convert returns the native packet of s, without a tag.
func (p *Peer) convert(s *xmpp.Stanza) (*psyc.Packet, error) {
	converted, err := p.out.Packet(s)
	if err != nil {
		return nil, err
	}
	q := converted.Clone()
	q.Routing = slices.DeleteFunc(q.Routing, func(v psyc.Var) bool { return strings.HasPrefix(v.Name, "_tag") })
	q.Routing.Set("_source", p.spell(s.From, s.To))
	return q, nil
}

// stanza returns the stanza of a packet, with other addresses.
func (p *Peer) stanza(m mail, from, to uniform.JID) (*xmpp.Stanza, error) {
	s, err := p.in.Stanza(m.Packet)
	if err != nil {
		return nil, err
	}
	s = s.Clone()
	s.From, s.To = from, to
	if s.Kind != xmpp.IQ {
		s.ID = "" // a tag on anything but a question is one of long ago
	}
	return s, nil
}

// verbatim reports whether a packet has no words for what it carries: it would mean nothing to the peer.
func verbatim(q *psyc.Packet) bool { return psyc.Inherits(q.Method, "_jabber") }

// receive does what a packet of the peer asks for.
func (p *Peer) receive(e *Effect, m mail) error {
	if m.to.IsZero() && !m.context {
		return nil // to our server: news of theirs
	}
	if r := p.answered(m); r != nil {
		return p.settle(e, m, r)
	}
	if done, err := p.forRoom(e, m); done || err != nil {
		return err
	}
	switch {
	case isPlace(m.from):
		return p.fromPlace(e, m)
	case m.context && m.to.IsZero():
		return p.cast(e, m)
	}
	switch {
	case m.is("_message_echo"):
		p.echoed(pairOf(m.to, m.from), string(m.Body))
		return nil
	case m.is("_message"):
		return p.message(e, m)
	case m.is("_request_friendship", "_notice_friendship", "_status_friendship"):
		return p.befriend(e, m)
	case m.is("_notice_invitation"):
		return p.invite(e, m)
	case m.is("_notice_presence", "_status_presence", "_status_person"):
		return p.unicastPresence(e, m)
	case m.is("_request_status_person", "_request_status", "_request_presence", "_request_notification_subscribe"):
		return p.probed(e, m)
	case m.is("_request"):
		return p.question(e, m)
	case m.is("_error", "_failure"):
		return p.failed(e, m)
	case m.is("_echo", "_warning", "_status", "_info"):
		return nil // about something that is over, or for nobody in particular
	}
	s, err := p.stanza(m, m.from, m.to)
	if err == nil {
		e.deliver(s)
	}
	return err
}

// list returns a list variable in whatever form it came.
func list(vars psyc.Vars, name string) []string {
	var found []string
	for _, v := range vars {
		if v.Name != name || len(v.Value) == 0 {
			continue
		}
		ok := true
		var strict []string
		for element, err := range v.Value.List() {
			if ok = err == nil; !ok {
				break
			}
			strict = append(strict, element.Value.String())
		}
		switch {
		case ok && len(strict) > 0:
			found = append(found, strict...)
		case bytes.HasPrefix(v.Value, []byte("|")):
			for element, err := range v.Value.EarlyList() {
				if err != nil {
					break
				}
				found = append(found, element.String())
			}
		default:
			found = append(found, v.Value.String())
		}
	}
	return found
}
