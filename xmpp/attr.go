package xmpp

import (
	"bytes"
	"strings"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// An Attr is an attribute of the stanza element as it was spelt: Name with its prefix ("e:to", "xmlns:e", "xmlns"), Value
// unescaped.
type Attr struct{ Name, Value string }

// attr returns the value in Attrs.
func (s *Stanza) attr(name string) (value string, ok bool) {
	for i := range s.Attrs {
		if s.Attrs[i].Name == name {
			return s.Attrs[i].Value, true
		}
	}
	return "", false
}

// mentions reports whether raw has a word that begins with the prefix and a colon, be it a name, a value or text: a
// qualified name in a value needs its declaration as much as the name of an element.
func mentions[T string | []byte](raw []byte, prefix T) bool {
	for at := 0; ; at++ { // colons are rare, and found fast
		n := bytes.IndexByte(raw[at:], ':')
		if n < 0 {
			return false
		}
		at += n
		start := at - len(prefix)
		if start >= 0 && string(raw[start:at]) == string(prefix) && (start == 0 || !xmlscan.InName(raw[start-1])) {
			return true
		}
	}
}

// appendAttr appends an attribute with the white space before it.
func appendAttr(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, ' '), name...), "='"...)
	return append(AppendValue(dst, value), '\'')
}

// declared returns what s.Attrs binds a prefix to; the prefix "" is the default namespace.
func (s *Stanza) declared(prefix string) (space string, ok bool) {
	for i := range s.Attrs {
		if p, ok := declares(s.Attrs[i].Name); ok && p == prefix {
			return s.Attrs[i].Value, true
		}
	}
	return "", false
}

// declares returns the prefix that an attribute of this name declares, "" for the default namespace.
func declares(name string) (prefix string, ok bool) {
	if name == "xmlns" {
		return "", true
	}
	return strings.CutPrefix(name, "xmlns:")
}

// mayWrite reports whether s.Attrs[i] can be an attribute of the stanza: its name is one, its prefix declared, no other
// attribute has the name, and a declaration is legal and leaves the stanza in its namespace.
func (s *Stanza) mayWrite(i int) bool {
	a := &s.Attrs[i]
	switch a.Name {
	case "from", "to":
		return false // written with the fields
	case "id":
		return s.ID == "" && !s.earlier(i)
	case "type":
		return s.Type == "" && !s.earlier(i)
	case "xml:lang":
		return s.Lang == "" && !s.earlier(i)
	}
	prefix, local, ok := xmlscan.QName(a.Name)
	if !ok || s.earlier(i) {
		return false
	}
	if declared, ok := declares(a.Name); ok {
		reserved := a.Value == xmlscan.XMLNSSpace || declared == "xmlns"
		switch {
		case declared == "":
			return !reserved && a.Value != NSXML && (s.prefix() != "" || a.Value == s.space())
		case declared == s.prefix():
			return !reserved && a.Value == s.space()
		}
		return !reserved && a.Value != "" && (declared == "xml") == (a.Value == NSXML)
	}
	if prefix == "" || prefix == "xml" {
		return true
	}
	space, ok := s.bound(prefix)
	if !ok {
		return false
	}
	for j := range s.Attrs[:i] {
		p, l, ok := xmlscan.QName(s.Attrs[j].Name)
		if ok && l == local && p != "" && p != prefix {
			if other, ok := s.bound(p); ok && other == space {
				return false
			}
		}
	}
	return true
}

// bound returns the namespace of a prefix by a declaration that is written.
func (s *Stanza) bound(prefix string) (space string, ok bool) {
	for i := range s.Attrs {
		if p, ok := declares(s.Attrs[i].Name); ok && p == prefix && p != "" && s.mayWrite(i) {
			return s.Attrs[i].Value, true
		}
	}
	return "", false
}

// earlier reports whether an attribute before s.Attrs[i] has its name.
func (s *Stanza) earlier(i int) bool {
	for j := range s.Attrs[:i] {
		if s.Attrs[j].Name == s.Attrs[i].Name {
			return true
		}
	}
	return false
}
