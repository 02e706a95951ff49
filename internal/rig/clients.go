package rig

import (
	"context"
	"strings"
)

// Account is what a user logs in with.
type Account struct {
	// JID is bare, or full to ask for a resource.
	JID      string
	Password string
	// Addr is the server's "IP:PORT" for clients.
	Addr string
}

// Clients logs users in. [Slixmpp] and [Native] make one.
type Clients interface {
	// Login opens a session. The user is not available yet: send presence for that.
	Login(ctx context.Context, account Account) (User, error)
}

// User is a session of a logged-in user. Its methods may be called at the same time. It answers pings (XEP-0199) by itself, other
// requests only if its software knows them.
type User interface {
	// JID is the full JID that the server assigned.
	JID() string
	// Send sends one stanza as it is.
	Send(ctx context.Context, stanza string) error
	// Expect returns the first stanza received and not yet returned for which want holds, and waits for it if there is none. All
	// others stay in order for later calls. want may be called more than once with the same stanza.
	Expect(ctx context.Context, want func(Stanza) bool) (Stanza, error)
	// Unexpected returns the stanzas received that no Expect has returned.
	Unexpected() []Stanza

	// DiscoInfo, Version and Ping ask an entity by XEP-0030, XEP-0092 and XEP-0199.
	DiscoInfo(ctx context.Context, to string) (DiscoInfo, error)
	Version(ctx context.Context, to string) (Version, error)
	Ping(ctx context.Context, to string) error
	// Join enters a room (XEP-0045) and waits until it is entered.
	Join(ctx context.Context, room, nick string) error

	// Close ends the session and waits until it has ended.
	Close(ctx context.Context) error
}

// Stanza is a stanza received.
type Stanza struct {
	*Element
	// XML is the text that Element was parsed from.
	XML string
}

// Is says whether the stanza is a "message", "presence" or "iq".
func (s Stanza) Is(kind string) bool { return s.Name.Space == nsClient && s.Name.Local == kind }

// From says whether the stanza comes from a JID; a bare one stands for all of its resources.
func (s Stanza) From(jid string) bool {
	from := s.Attribute("from")
	return from == jid || bare(from) == jid
}

// DiscoInfo is an answer to disco#info, without extended forms.
type DiscoInfo struct {
	Identities []Identity
	Features   []string
}

// Identity is an identity of DiscoInfo.
type Identity struct{ Category, Type, Name string }

// Version is an answer to jabber:iq:version.
type Version struct{ Name, Version, OS string }

// bare cuts the resource off.
func bare(jid string) string {
	jid, _, _ = strings.Cut(jid, "/")
	return jid
}
