package xmpp

import (
	"encoding/xml"
	"iter"
	"slices"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// NSXML is the namespace of xml:lang; its prefix is always bound.
const NSXML = xmlscan.XMLSpace

// An Element is a view of one element inside a stanza or stream; it borrows like the stanza. It costs nothing to make and
// to copy. The zero value has no name, attributes or content.
type Element struct {
	ix   *xmlscan.Index
	n    int32 // number in ix
	base int32 // where the raw children begin that it was found in
}

// IsZero reports whether e is the zero value.
func (e Element) IsZero() bool { return e.ix == nil }

func (e Element) node() *xmlscan.Element { return &e.ix.Elements[e.n] }

// Name returns the expanded name. Names that XMPP servers see often cost no allocation; [Element.Is] never does.
func (e Element) Name() xml.Name {
	if e.ix == nil {
		return xml.Name{}
	}
	n := e.node()
	return xml.Name{Space: intern(e.ix.Space(n.Space)), Local: intern(e.ix.Local(n))}
}

// Is reports whether e has the expanded name.
func (e Element) Is(space, local string) bool {
	if e.ix == nil {
		return false
	}
	n := e.node()
	return string(e.ix.Local(n)) == local && string(e.ix.Space(n.Space)) == space
}

// Local returns the name of e without prefix and namespace; it borrows like the element.
func (e Element) Local() []byte {
	if e.ix == nil {
		return nil
	}
	return e.ix.Local(e.node())
}

// Space returns the namespace of e, empty if it is in none; it borrows like the element.
func (e Element) Space() []byte {
	if e.ix == nil {
		return nil
	}
	return e.ix.Space(e.node().Space)
}

// Attr returns an attribute without namespace.
func (e Element) Attr(local string) (value string, ok bool) {
	return e.attr(xmlscan.NoSpace, "", local)
}

// AttrBytes is Attr without a copy: the value borrows like the element.
func (e Element) AttrBytes(local string) (value []byte, ok bool) {
	if a := e.find(xmlscan.NoSpace, "", local); a != nil {
		return e.ix.Value(a), true
	}
	return nil, false
}

// AttrNS returns an attribute of a namespace; xml:lang is AttrNS(NSXML, "lang").
func (e Element) AttrNS(space, local string) (value string, ok bool) {
	return e.attr(-1, space, local)
}

func (e Element) attr(id int32, space, local string) (string, bool) {
	if a := e.find(id, space, local); a != nil {
		return string(e.ix.Value(a)), true
	}
	return "", false
}

// find returns the attribute of that local name in a namespace, given by number or, if that is negative, by name; nil if
// there is none.
func (e Element) find(id int32, space, local string) *xmlscan.Attr {
	if e.ix == nil {
		return nil
	}
	attrs := e.ix.AttrsOf(e.node())
	for i := range attrs {
		a := &attrs[i]
		if string(e.ix.AttrLocal(a)) == local && (a.Space == id || id < 0 && string(e.ix.Space(a.Space)) == space) {
			return a
		}
	}
	return nil
}

// Attrs yields all attributes as they are spelt, namespace declarations included, in order.
func (e Element) Attrs() iter.Seq[Attr] {
	return func(yield func(Attr) bool) {
		if e.ix == nil {
			return
		}
		attrs := e.ix.AttrsOf(e.node())
		for i := range attrs {
			a := &attrs[i]
			if !yield(Attr{intern(e.ix.AttrQName(a)), string(e.ix.Value(a))}) {
				return
			}
		}
	}
}

// AttrsBytes is Attrs without copies: names and values borrow like the element.
func (e Element) AttrsBytes() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if e.ix == nil {
			return
		}
		attrs := e.ix.AttrsOf(e.node())
		for i := range attrs {
			if !yield(e.ix.AttrQName(&attrs[i]), e.ix.Value(&attrs[i])) {
				return
			}
		}
	}
}

// Text returns the character data directly inside.
func (e Element) Text() string {
	if e.ix == nil {
		return ""
	}
	n := e.node()
	if n.Next == e.n+1 {
		raw := e.ix.Src[n.Inner:n.InnerEnd]
		if xmlscan.Plain(raw) {
			return string(raw)
		}
	}
	return string(e.AppendText(nil))
}

// AppendText appends what Text returns.
func (e Element) AppendText(dst []byte) []byte {
	if e.ix == nil {
		return dst
	}
	n := e.node()
	at := n.Inner
	for i := e.n + 1; i < n.Next; {
		child := &e.ix.Elements[i]
		dst = xmlscan.AppendText(dst, e.ix.Src[at:child.Start])
		at, i = child.End, child.Next
	}
	return xmlscan.AppendText(dst, e.ix.Src[at:n.InnerEnd])
}

// Children yields the child elements.
func (e Element) Children() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		if e.ix == nil {
			return
		}
		end := e.node().Next
		for i := e.n + 1; i < end; i = e.ix.Elements[i].Next {
			if !yield(Element{e.ix, i, e.base}) {
				return
			}
		}
	}
}

// Child returns the first child element of that name.
func (e Element) Child(space, local string) (child Element, ok bool) {
	for c := range e.Children() {
		if c.Is(space, local) {
			return c, true
		}
	}
	return Element{}, false
}

// Raw returns the element's own bytes, tags included. Prefixes in it may be declared further out.
func (e Element) Raw() []byte {
	if e.ix == nil {
		return nil
	}
	n := e.node()
	return e.ix.Src[n.Start:n.End:n.End]
}

// AppendComplete appends the element's own bytes, its start tag completed by the declarations that it has from further out:
// the default namespace, and each prefix that occurs in it. It then means the same anywhere.
func (e Element) AppendComplete(dst []byte) []byte {
	if e.ix == nil {
		return dst
	}
	n := e.node()
	name := n.Start + 1 + int32(n.Name)
	dst = append(dst, e.ix.Src[n.Start:name]...)
	for _, d := range e.inherited() {
		dst = appendAttr(dst, d.Name, d.Value)
	}
	return append(dst, e.ix.Src[name:n.End]...)
}

// inherited returns the declarations that e needs from further out.
func (e Element) inherited() []Attr {
	raw, own := e.Raw(), e.ix.AttrsOf(e.node())
	declared := func(prefix []byte) bool {
		for i := range own {
			if p, ok := e.ix.Declares(&own[i]); ok && string(p) == string(prefix) {
				return true
			}
		}
		return false
	}
	var needed []Attr
	for prefix, space := range e.ix.InScope(e.n) {
		if declared(prefix) || len(prefix) > 0 && !mentions(raw, prefix) {
			continue
		}
		name := "xmlns"
		if len(prefix) > 0 {
			name += ":" + string(prefix)
		}
		i := slices.IndexFunc(needed, func(a Attr) bool { return a.Name == name })
		if i < 0 {
			i = len(needed)
			needed = append(needed, Attr{Name: name})
		}
		needed[i].Value = intern(space)
	}
	if len(needed) > 0 && needed[0] == (Attr{Name: "xmlns"}) {
		needed = needed[1:]
	}
	return needed
}

// Clone returns a copy that borrows nothing.
func (e Element) Clone() Element {
	if e.ix == nil {
		return e
	}
	return Element{e.ix.Clone(), e.n, e.base}
}

// Inner returns the bytes between the tags.
func (e Element) Inner() []byte {
	if e.ix == nil {
		return nil
	}
	n := e.node()
	return e.ix.Src[n.Inner:n.InnerEnd:n.InnerEnd]
}

// Span returns where the element's tags and content lie in the raw children it was found in, which are those of a stanza,
// or else of the first-level element itself: Raw is [start:end], its content [inner:innerEnd].
func (e Element) Span() (start, inner, innerEnd, end int) {
	if e.ix == nil {
		return 0, 0, 0, 0
	}
	n := e.node()
	return int(n.Start - e.base), int(n.Inner - e.base), int(n.InnerEnd - e.base), int(n.End - e.base)
}
