package xmpp

import (
	"strconv"

	"github.com/switchyard-im/switchyard/uniform"
)

const nsMUCUser = "http://jabber.org/protocol/muc#user"

// MUCUser is what a room says of an occupant (XEP-0045 section 17.3, element x of muc#user).
type MUCUser struct {
	Items  []MUCItem
	Status []int // codes, such as 110 for one's own presence; what is no number is left out
}

// A MUCItem is one occupant or affiliation. JID is zero where the room does not tell it.
type MUCItem struct {
	Affiliation, Role, Nick string
	JID                     uniform.JID
	Reason                  string
}

// Has reports whether the status code is there.
func (m MUCUser) Has(code int) bool {
	for _, c := range m.Status {
		if c == code {
			return true
		}
	}
	return false
}

// MUCUser returns the muc#user element.
func (s *Stanza) MUCUser() (m MUCUser, ok bool) {
	x, ok := s.Child(nsMUCUser, "x")
	if !ok {
		return MUCUser{}, false
	}
	for e := range x.Children() {
		switch {
		case e.Is(nsMUCUser, "item"):
			var i MUCItem
			i.Affiliation, _ = e.Attr("affiliation")
			i.Role, _ = e.Attr("role")
			i.Nick, _ = e.Attr("nick")
			i.JID = e.jid("jid")
			reason, _ := e.Child(nsMUCUser, "reason")
			i.Reason = reason.Text()
			m.Items = append(m.Items, i)
		case e.Is(nsMUCUser, "status"):
			code, _ := e.Attr("code")
			if n, err := strconv.Atoi(code); err == nil {
				m.Status = append(m.Status, n)
			}
		}
	}
	return m, true
}
