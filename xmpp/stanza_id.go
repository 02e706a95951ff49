package xmpp

import "github.com/switchyard-im/switchyard/uniform"

const (
	nsStanzaID = "urn:xmpp:sid:0"
	nsNick     = "http://jabber.org/protocol/nick"
)

// A StanzaID is a lasting id that the entity By has given to a message (XEP-0359). It counts only if By is the receiver's
// own server or room: anybody can write one for anybody.
type StanzaID struct {
	ID string
	By uniform.JID
}

// StanzaIDs returns the stanza-id elements.
func (s *Stanza) StanzaIDs() []StanzaID {
	var ids []StanzaID
	for e := range s.Children() {
		if e.Is(nsStanzaID, "stanza-id") {
			id, _ := e.Attr("id")
			ids = append(ids, StanzaID{id, e.jid("by")})
		}
	}
	return ids
}

// OriginID returns the id that the sender's client has given to a message (XEP-0359), or "".
func (s *Stanza) OriginID() string {
	e, _ := s.Child(nsStanzaID, "origin-id")
	id, _ := e.Attr("id")
	return id
}

// Nick returns the name that the sender calls itself (XEP-0172), or "".
func (s *Stanza) Nick() string {
	e, _ := s.Child(nsNick, "nick")
	return e.Text()
}
