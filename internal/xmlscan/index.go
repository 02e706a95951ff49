package xmlscan

import (
	"iter"
	"slices"
)

// An Index describes one scanned element, or one piece of content, by offsets into its bytes.
type Index struct {
	Src      []byte    // what was scanned; offsets count from its start
	Elements []Element // in document order; the first is the root
	Attrs    []Attr    // of all elements, each element's in one run

	spaces []span
	arena  []byte    // namespace names that were spelt with references
	outer  []byte    // prefixes and namespace names in scope around the root; never written to once set
	around []binding // the prefixes among them; never written to once set
	dflt   int32     // default namespace around the root

	copied   []byte // what Src and arena of a copy lie in
	declared uint64 // the bits of the namespaces declared inside
}

// An Element is one element. Its content holds the elements from its own number + 1 up to Next, not included.
type Element struct {
	Start    int32 // of the start tag; the qualified name begins one byte later
	Inner    int32 // of the content
	InnerEnd int32 // start of the end tag; Inner if the element is one empty-element tag
	End      int32 // behind the end tag
	Next     int32 // number of the first element behind this one's descendants
	Attr     int32 // number of the first attribute
	Space    int32 // namespace, for [Index.Space]
	Attrs    uint16
	Prefix   uint16 // bytes of the prefix, 0 if there is none
	Name     uint16 // bytes of the qualified name
}

// An Attr is one attribute or namespace declaration.
type Attr struct {
	Name     int32 // where the qualified name begins
	Value    int32 // where the value lies, without its quotes
	ValueEnd int32
	Space    int32 // namespace; [NoSpace] without prefix, [XMLNS] of a declaration
	NameLen  uint16
	Prefix   uint16 // bytes of the prefix, 0 if there is none
	Escaped  bool   // the value is not what is spelt: AppendValue decodes it
}

// Numbers of namespaces that are the same in every index.
const (
	NoSpace int32 = iota // no namespace
	XML                  // http://www.w3.org/XML/1998/namespace
	XMLNS                // http://www.w3.org/2000/xmlns/, which declarations are in
	reserved
)

// Namespace names that cannot be declared anew (Namespaces in XML 1.0, section 3).
const (
	XMLSpace   = "http://www.w3.org/XML/1998/namespace"
	XMLNSSpace = "http://www.w3.org/2000/xmlns/"
)

// A span is where some bytes lie.
type span struct {
	lo, hi int32
	in     source
}

type source uint8

const (
	inSrc source = iota
	inArena
	inOuter
)

func (ix *Index) bytes(s span) []byte {
	switch s.in {
	case inArena:
		return ix.arena[s.lo:s.hi]
	case inOuter:
		return ix.outer[s.lo:s.hi]
	}
	return ix.Src[s.lo:s.hi]
}

// Space returns the namespace name with the given number; it borrows from the index.
func (ix *Index) Space(n int32) []byte { return ix.bytes(ix.spaces[n]) }

// Prefix returns the prefix of an element.
func (ix *Index) Prefix(e *Element) []byte {
	return ix.Src[e.Start+1 : e.Start+1+int32(e.Prefix)]
}

// QName returns the qualified name of an element.
func (ix *Index) QName(e *Element) []byte {
	return ix.Src[e.Start+1 : e.Start+1+int32(e.Name)]
}

// Local returns the name of an element without its prefix.
func (ix *Index) Local(e *Element) []byte {
	return local(ix.QName(e), e.Prefix)
}

// AttrQName returns the qualified name of an attribute.
func (ix *Index) AttrQName(a *Attr) []byte {
	return ix.Src[a.Name : a.Name+int32(a.NameLen)]
}

// AttrLocal returns the name of an attribute without its prefix.
func (ix *Index) AttrLocal(a *Attr) []byte {
	return local(ix.AttrQName(a), a.Prefix)
}

func local(qname []byte, prefix uint16) []byte {
	if prefix == 0 {
		return qname
	}
	return qname[prefix+1:]
}

// AttrsOf returns the attributes of an element, declarations included, in the order of the tag.
func (ix *Index) AttrsOf(e *Element) []Attr {
	return ix.Attrs[e.Attr : e.Attr+int32(e.Attrs)]
}

// Declares reports whether a is a namespace declaration, and of which prefix; "" is the default namespace.
func (ix *Index) Declares(a *Attr) (prefix []byte, ok bool) {
	switch {
	case a.Space != XMLNS:
		return nil, false
	case a.Prefix == 0:
		return nil, true
	}
	return ix.AttrLocal(a), true
}

// Value returns the value of an attribute: a slice of Src if it is what is spelt, otherwise a new one.
func (ix *Index) Value(a *Attr) []byte {
	raw := ix.Src[a.Value:a.ValueEnd]
	if !a.Escaped {
		return raw
	}
	return AppendValue(nil, raw)
}

// MayDeclare reports whether an element may declare the namespace, as the default or for a prefix: whether one declares a
// namespace that looks like it at first sight.
func (ix *Index) MayDeclare(space string) bool { return ix.declared&bitOf(space) != 0 }

// bitOf returns a bit for a name, which many other names have as well, but few in one stanza.
func bitOf[T string | []byte](name T) uint64 {
	if len(name) == 0 {
		return 1
	}
	return 1 << ((8*int(name[0]) + len(name)) & 63)
}

// Default returns the default namespace around the root.
func (ix *Index) Default() []byte { return ix.Space(ix.dflt) }

// InScope yields the declarations in force around element n, not counting its own, from the outermost on; of two for the
// same prefix the later one holds. The default namespace has the prefix "", and is "" where there is none.
func (ix *Index) InScope(n int32) iter.Seq2[[]byte, []byte] {
	return func(yield func(prefix, space []byte) bool) {
		if !yield(nil, ix.Default()) {
			return
		}
		for _, b := range ix.around {
			if !yield(ix.bytes(b.prefix), ix.Space(b.space)) {
				return
			}
		}
		for i := int32(0); i < n; {
			e := &ix.Elements[i]
			if e.Next <= n {
				i = e.Next // a neighbour of an ancestor
				continue
			}
			attrs := ix.AttrsOf(e)
			for j := range attrs {
				if prefix, ok := ix.Declares(&attrs[j]); ok && string(prefix) != "xml" && !yield(prefix, ix.Value(&attrs[j])) {
					return
				}
			}
			i++
		}
	}
}

// Clone returns a copy that shares no memory with ix but what never changes.
func (ix *Index) Clone() *Index {
	// Most stanzas are small, and then their parts are one piece of memory, not above 512 bytes, from where on pieces cost more.
	c := &struct {
		Index
		elements [3]Element
		attrs    [4]Attr
		names    [8]span
	}{}
	c.Elements, c.Attrs, c.spaces = c.elements[:0], c.attrs[:0], c.names[:0]
	ix.CopyTo(&c.Index)
	return &c.Index
}

// CopyTo makes dst a copy like that of Clone, in the memory of the copy that it has been before. dst is the zero Index, or one that nothing but
// CopyTo has written to.
func (ix *Index) CopyTo(dst *Index) {
	n := len(ix.Src)
	text := append(slices.Grow(dst.copied[:0], n+len(ix.arena)), ix.Src...)
	text = append(text, ix.arena...)
	*dst = Index{
		Src:      text[:n:n],
		Elements: append(dst.Elements[:0], ix.Elements...),
		Attrs:    append(dst.Attrs[:0], ix.Attrs...),
		spaces:   append(dst.spaces[:0], ix.spaces...),
		arena:    text[n:],
		outer:    ix.outer,
		around:   ix.around,
		dflt:     ix.dflt,
		copied:   text,
		declared: ix.declared,
	}
}
