package xmpp

import (
	"slices"

	"github.com/switchyard-im/switchyard/uniform"
)

const (
	nsDiscoInfo  = "http://jabber.org/protocol/disco#info"
	nsDiscoItems = "http://jabber.org/protocol/disco#items"
	nsCaps       = "http://jabber.org/protocol/caps"
	nsPing       = "urn:xmpp:ping"
)

// DiscoInfo is what an entity is and can do (XEP-0030 section 3), or the question for it.
type DiscoInfo struct {
	Node       string
	Identities []Identity
	Features   []string
}

// An Identity is one thing that an entity is.
type Identity struct{ Category, Type, Name, Lang string }

// Has reports whether the feature is there.
func (d DiscoInfo) Has(feature string) bool { return slices.Contains(d.Features, feature) }

// DiscoInfo returns the disco#info query of an iq.
func (s *Stanza) DiscoInfo() (d DiscoInfo, ok bool) {
	query, ok := s.Child(nsDiscoInfo, "query")
	if !ok {
		return DiscoInfo{}, false
	}
	d.Node, _ = query.Attr("node")
	for e := range query.Children() {
		switch {
		case e.Is(nsDiscoInfo, "identity"):
			var i Identity
			i.Category, _ = e.Attr("category")
			i.Type, _ = e.Attr("type")
			i.Name, _ = e.Attr("name")
			i.Lang, _ = e.AttrNS(NSXML, "lang")
			d.Identities = append(d.Identities, i)
		case e.Is(nsDiscoInfo, "feature"):
			feature, _ := e.Attr("var")
			d.Features = append(d.Features, feature)
		}
	}
	return d, true
}

// Append appends the query element.
func (d DiscoInfo) Append(dst []byte) []byte {
	dst = append(dst, "<query xmlns='"+nsDiscoInfo+"'"...)
	if d.Node != "" {
		dst = appendAttr(dst, "node", d.Node)
	}
	if len(d.Identities)+len(d.Features) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(dst, '>')
	for _, i := range d.Identities {
		dst = appendAttr(append(dst, "<identity"...), "category", i.Category)
		dst = appendAttr(dst, "type", i.Type)
		if i.Name != "" {
			dst = appendAttr(dst, "name", i.Name)
		}
		if i.Lang != "" {
			dst = appendAttr(dst, "xml:lang", i.Lang)
		}
		dst = append(dst, "/>"...)
	}
	for _, f := range d.Features {
		dst = append(appendAttr(append(dst, "<feature"...), "var", f), "/>"...)
	}
	return append(dst, "</query>"...)
}

// A DiscoItem is one item of an entity (XEP-0030 section 4). JID is zero where the item has no address that can be read.
type DiscoItem struct {
	JID        uniform.JID
	Node, Name string
}

// DiscoItems returns the items of the disco#items query of an iq, and its node.
func (s *Stanza) DiscoItems() (items []DiscoItem, node string, ok bool) {
	query, ok := s.Child(nsDiscoItems, "query")
	if !ok {
		return nil, "", false
	}
	node, _ = query.Attr("node")
	for e := range query.Children() {
		if e.Is(nsDiscoItems, "item") {
			var i DiscoItem
			i.JID = e.jid("jid")
			i.Node, _ = e.Attr("node")
			i.Name, _ = e.Attr("name")
			items = append(items, i)
		}
	}
	return items, node, true
}

// jid returns an attribute as an address, or the zero JID.
func (e Element) jid(local string) uniform.JID {
	s, _ := e.Attr(local)
	j, _ := uniform.RelayJID(s)
	return j
}

// Caps names what disco#info would tell (XEP-0115).
type Caps struct{ Node, Ver, Hash string }

// Caps returns the entity capabilities of a presence.
func (s *Stanza) Caps() (c Caps, ok bool) {
	e, ok := s.Child(nsCaps, "c")
	if !ok {
		return Caps{}, false
	}
	c.Node, _ = e.Attr("node")
	c.Ver, _ = e.Attr("ver")
	c.Hash, _ = e.Attr("hash")
	return c, true
}

// IsPing reports whether s asks for an empty result (XEP-0199).
func (s *Stanza) IsPing() bool {
	_, ok := s.Child(nsPing, "ping")
	return ok && s.Kind == IQ && s.Type == "get"
}
