package xmpp

import (
	"iter"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
	"github.com/switchyard-im/switchyard/uniform"
)

// Append appends the stanza as it belongs into a stream whose default namespace it shares. Its children are written byte
// for byte as they are.
//
// Whatever the fields hold, the result is well-formed: characters that XML forbids become U+FFFD, and an entry of Attrs
// that cannot be written is left out (no name, an undeclared prefix, a name that is taken). A stanza without a Kind
// appends nothing.
func (s *Stanza) Append(dst []byte) []byte { return s.AppendFor(dst, s.space()) }

// AppendFor is Append for a stream whose content namespace is space. The one change to children: where one of them says
// explicitly that it is in the stanza's content namespace, as clients do with <body xmlns='jabber:client'>, it says space
// instead, or it would become a foreign element on the way. Deeper elements, such as forwarded stanzas, stay as they are.
func (s *Stanza) AppendFor(dst []byte, space string) []byte {
	name := s.Kind.String()
	if name == "" {
		return dst
	}
	if space == "" {
		space = NSServer
	}
	prefix := s.prefix()
	dst = appendName(append(dst, '<'), prefix, name)
	for name, value := range s.head(space) {
		dst = appendAttr(dst, name, value)
	}
	if len(s.Raw()) == 0 {
		return append(dst, "/>"...)
	}
	dst = s.appendChildren(append(dst, '>'), space)
	dst = append(dst, "</"...)
	return append(appendName(dst, prefix, name), '>')
}

// prefix returns the prefix of the element that is written.
func (s *Stanza) prefix() string {
	if s.Prefix == "" || s.Prefix == "xml" || s.Prefix == "xmlns" || !xmlscan.NCName(s.Prefix) {
		return ""
	}
	return s.Prefix
}

// head yields the attributes that are written into a stream with the given content namespace.
func (s *Stanza) head(space string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if from, ok := s.address("from", s.From); ok && !yield("from", from) {
			return
		}
		if to, ok := s.address("to", s.To); ok && !yield("to", to) {
			return
		}
		if s.ID != "" && !yield("id", s.ID) {
			return
		}
		if s.Type != "" && !yield("type", s.Type) {
			return
		}
		if s.Lang != "" && !yield("xml:lang", s.Lang) {
			return
		}
		for i := range s.Attrs {
			if s.mayWrite(i) && !yield(s.Attrs[i].Name, s.declaredFor(s.Attrs[i], space)) {
				return
			}
		}
		if prefix := s.prefix(); prefix != "" {
			if _, ok := s.bound(prefix); !ok {
				yield("xmlns:"+prefix, space)
			}
		}
	}
}

func appendName(dst []byte, prefix, local string) []byte {
	if prefix != "" {
		dst = append(append(dst, prefix...), ':')
	}
	return append(dst, local...)
}

// address returns the value of from or to, in the spelling of Attrs if that stands for the same address, or for none at all.
func (s *Stanza) address(name string, j uniform.JID) (value string, ok bool) {
	if spelt, ok := s.attr(name); ok {
		if same, _ := uniform.RelayJID(spelt); same == j {
			return spelt, true
		}
	}
	return j.String(), !j.IsZero()
}

// declaredFor returns the value of an attribute for a stream with the given content namespace: a declaration that puts the
// stanza itself, or a child, into its content namespace changes with the stream.
func (s *Stanza) declaredFor(a Attr, space string) string {
	own := s.space()
	prefix, ok := declares(a.Name)
	if !ok || space == own || a.Value != own {
		return a.Value
	}
	if prefix == s.prefix() {
		return space
	}
	for child := range s.Children() {
		n := child.node()
		if string(s.ix.Prefix(n)) == prefix && declaration(child, own) == nil && child.Is(own, string(s.ix.Local(n))) {
			return space
		}
	}
	return a.Value
}

// declaration returns the attribute of e that puts e itself into the namespace, or nil.
func declaration(e Element, space string) *xmlscan.Attr {
	n := e.node()
	if string(e.ix.Space(n.Space)) != space {
		return nil
	}
	attrs := e.ix.AttrsOf(n)
	for i := range attrs {
		if prefix, ok := e.ix.Declares(&attrs[i]); ok && string(prefix) == string(e.ix.Prefix(n)) {
			return &attrs[i]
		}
	}
	return nil
}

// DeclaresContent reports whether a child declares the content namespace of any stream, be it its own or not, as clients do
// with <body xmlns='jabber:client'>. That is what [Stanza.AppendFor] may have to change on the way to another stream.
func (s *Stanza) DeclaresContent() bool {
	if s.ix == nil || !s.ix.MayDeclare(NSServer) && !s.ix.MayDeclare(NSClient) && !s.ix.MayDeclare(NSAccept) {
		return false
	}
	for n := int32(1); n < int32(len(s.ix.Elements)); n = s.ix.Elements[n].Next {
		attrs := s.ix.AttrsOf(&s.ix.Elements[n])
		for i := range attrs {
			if a := &attrs[i]; a.Space == xmlscan.XMLNS && contentSpace(s.ix.Value(a)) != "" {
				return true
			}
		}
	}
	return false
}

// appendChildren appends the children for a stream with the given content namespace.
func (s *Stanza) appendChildren(dst []byte, space string) []byte {
	root := &s.ix.Elements[0]
	at := root.Inner
	if space != s.own {
		for child := range s.Children() {
			if a := declaration(child, s.own); a != nil {
				dst = append(append(dst, s.ix.Src[at:a.Value]...), space...)
				at = a.ValueEnd
			}
		}
	}
	return append(dst, s.ix.Src[at:root.InnerEnd]...)
}
