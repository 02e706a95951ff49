package xmpp

import (
	"fmt"
	"slices"
)

// Check reports as a *[StanzaError] what RFC 6120 section 8.2.3 and RFC 6121 forbid but [Parse] lets pass, since it does not
// keep a stanza from being relayed: an iq has an id, one of four types, one child in a request and at most one in a result;
// an error has an error child; a presence has a type that exists. Who answers stanzas checks them.
func (s *Stanza) Check() error {
	bad := func(text string) error { return &StanzaError{Condition: BadRequest, Text: text} }
	children := 0
	for range s.Children() {
		children++
	}
	if s.Type == "error" {
		if _, ok := s.Child("", "error"); !ok {
			return bad("error without an error child")
		}
	}
	switch s.Kind {
	case Presence:
		types := []string{"", "error", "probe", "subscribe", "subscribed", "unavailable", "unsubscribe", "unsubscribed"}
		if _, empty := s.attr("type"); empty || !slices.Contains(types, s.Type) {
			return bad(fmt.Sprintf("type %q of a presence", s.Type))
		}
	case IQ:
		if _, empty := s.attr("id"); s.ID == "" && !empty {
			return bad("iq without an id")
		}
		switch s.Type {
		case "get", "set":
			if children != 1 {
				return bad(fmt.Sprintf("%d children in an iq of type %s", children, s.Type))
			}
		case "result":
			if children > 1 {
				return bad(fmt.Sprintf("%d children in an iq of type result", children))
			}
		case "error":
		default:
			return bad(fmt.Sprintf("type %q of an iq", s.Type))
		}
	}
	return nil
}

// Allow compares a stanza that is about to be written with the limits of the next hop, whose server may end the whole stream
// over one stanza that exceeds them. The error is a *[StanzaError], policy-violation.
func (l Limits) Allow(s *Stanza) error {
	l = l.orDefault()
	violation := func(n int, of string, most int) error {
		return &StanzaError{Condition: PolicyViolation, Text: fmt.Sprintf("%d %s, %d are allowed", n, of, most)}
	}
	attrs := 0
	for range s.head(s.space()) {
		attrs++
	}
	depth, elements := 1, 1
	if s.ix != nil {
		elements = len(s.ix.Elements)
		var ends []int32 // of the open elements
		for i := range s.ix.Elements[1:] {
			e := &s.ix.Elements[i+1]
			attrs = max(attrs, int(e.Attrs))
			for len(ends) > 0 && ends[len(ends)-1] <= int32(i+1) {
				ends = ends[:len(ends)-1]
			}
			ends = append(ends, e.Next)
			depth = max(depth, 1+len(ends))
		}
	}
	switch size := len(s.Append(nil)); {
	case size > l.Stanza:
		return violation(size, "bytes", l.Stanza)
	case depth > l.Depth:
		return violation(depth, "levels of elements", l.Depth)
	case elements > l.Elements:
		return violation(elements, "elements", l.Elements)
	case attrs > l.Attrs:
		return violation(attrs, "attributes", l.Attrs)
	}
	return nil
}
