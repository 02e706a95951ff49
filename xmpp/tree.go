package xmpp

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/beevik/etree"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// Tree returns the stanza as a tree to edit: the element as Append writes it, with its namespace declared. It is a copy, and
// SetTree takes it back. CDATA sections are kept as such.
func (s *Stanza) Tree() *etree.Element {
	root := &etree.Element{Space: s.prefix(), Tag: s.Kind.String()}
	for name, value := range s.head(s.space()) {
		root.CreateAttr(name, value)
	}
	if root.SelectAttr("xmlns") == nil {
		root.CreateAttr("xmlns", s.space())
	}
	if s.ix != nil {
		newPlanter(s.ix, 0, 0).content(root, 0)
	}
	return root
}

// Tree returns the element as a tree. It is a copy, and complete in its namespaces like what AppendComplete appends.
func (e Element) Tree() *etree.Element {
	if e.ix == nil {
		return new(etree.Element)
	}
	inherited := e.inherited()
	p := newPlanter(e.ix, e.n, len(inherited))
	root := &take(&p.elements, 1)[:1][0]
	p.element(root, e.n, len(inherited))
	for _, a := range inherited {
		root.CreateAttr(a.Name, a.Value)
	}
	return root
}

// SetTree replaces the children by those of e. Its namespace declarations, without which prefixes in the children would mean
// nothing, go to Attrs; its name and other attributes are not looked at. An error, as from [Stanza.SetRaw], leaves the stanza
// as it was: for comments, names that are none, and whatever else XMPP does not allow.
func (s *Stanza) SetTree(e *etree.Element) error {
	before := s.Attrs
	s.Attrs = slices.Clone(s.Attrs)
	for _, a := range e.Attr {
		name := a.FullKey()
		prefix, ok := declares(name)
		switch {
		case !ok || prefix == "xml":
		case prefix == "" && s.Prefix == "":
			if a.Value != s.space() {
				s.Attrs = before
				return &StreamError{
					Condition: InvalidNamespace, Local: true,
					Err: fmt.Errorf("children of a stanza in namespace %q", a.Value),
				}
			}
		default:
			s.setAttr(name, a.Value)
		}
	}
	var b bytes.Buffer
	settings := etree.WriteSettings{CanonicalText: true, CanonicalAttrVal: true}
	for _, c := range e.Child {
		c.WriteTo(&b, &settings)
	}
	if err := s.SetRaw(b.Bytes()); err != nil {
		s.Attrs = before
		return err
	}
	return nil
}

// setAttr changes or adds an entry of Attrs.
func (s *Stanza) setAttr(name, value string) {
	for i := range s.Attrs {
		if s.Attrs[i].Name == name {
			s.Attrs[i].Value = value
			return
		}
	}
	s.Attrs = append(s.Attrs, Attr{name, value})
}

// A planter builds trees from an index. Everything is taken from a few slabs, and strings are parts of one: etree itself
// would allocate each of them.
type planter struct {
	ix       *xmlscan.Index
	src      string
	at       int32 // offset of src in the bytes of ix
	elements []etree.Element
	texts    []etree.CharData
	attrs    []etree.Attr
	tokens   []etree.Token
	scratch  []byte // for what is spelt with references
}

// newPlanter returns a planter for element n and what is inside, with room for more attributes.
func newPlanter(ix *xmlscan.Index, n int32, more int) *planter {
	e := &ix.Elements[n]
	elements := int(e.Next - n)
	attrs, texts := more, 0
	for i := n; i < e.Next; i++ {
		inside := &ix.Elements[i]
		attrs += int(inside.Attrs)
		if inside.Inner < inside.InnerEnd && isText(ix.Src[inside.Inner:]) {
			texts++
		}
		if i > n && isText(ix.Src[inside.End:]) {
			texts++
		}
	}
	return &planter{
		ix:       ix,
		src:      string(ix.Src[e.Start:e.End]),
		at:       e.Start,
		elements: make([]etree.Element, elements),
		texts:    make([]etree.CharData, texts),
		attrs:    make([]etree.Attr, attrs),
		tokens:   make([]etree.Token, elements+texts),
	}
}

// isText reports whether b, inside an element, begins with character data.
func isText(b []byte) bool {
	return len(b) > 0 && (b[0] != '<' || len(b) > 1 && b[1] == '!')
}

// take cuts room for n elements to append off a slab. Where a CDATA section makes more of a text than the slab was made for,
// there is another.
func take[T any](slab *[]T, n int) []T {
	if len(*slab) < n {
		*slab = make([]T, n)
	}
	t := (*slab)[:0:n]
	*slab = (*slab)[n:]
	return t
}

// str returns bytes of the source as a string.
func (p *planter) str(from, to int32) string { return p.src[from-p.at : to-p.at] }

// element makes into what element n is, with room for more attributes.
func (p *planter) element(into *etree.Element, n int32, more int) {
	e := &p.ix.Elements[n]
	name := e.Start + 1
	into.Tag = p.str(name, name+int32(e.Name))
	if e.Prefix > 0 {
		into.Space, into.Tag = into.Tag[:e.Prefix], into.Tag[e.Prefix+1:]
	}
	into.Attr = take(&p.attrs, int(e.Attrs)+more)
	attrs := p.ix.AttrsOf(e)
	for i := range attrs {
		a := &attrs[i]
		value := p.str(a.Value, a.ValueEnd)
		if a.Escaped {
			p.scratch = xmlscan.AppendValue(p.scratch[:0], p.ix.Src[a.Value:a.ValueEnd])
			value = string(p.scratch)
		}
		into.CreateAttr(p.str(a.Name, a.Name+int32(a.NameLen)), value)
	}
	p.content(into, n)
}

// content gives into the content of element n.
func (p *planter) content(into *etree.Element, n int32) {
	e := &p.ix.Elements[n]
	tokens := 0
	at := e.Inner
	for i := n + 1; i < e.Next; i = p.ix.Elements[i].Next {
		if p.ix.Elements[i].Start > at {
			tokens++
		}
		tokens++
		at = p.ix.Elements[i].End
	}
	if e.InnerEnd > at {
		tokens++
	}
	into.Child = take(&p.tokens, tokens)
	at = e.Inner
	for i := n + 1; i < e.Next; i = p.ix.Elements[i].Next {
		child := &p.ix.Elements[i]
		p.text(into, at, child.Start)
		t := &take(&p.elements, 1)[:1][0]
		p.element(t, i, 0)
		into.AddChild(t)
		at = child.End
	}
	p.text(into, at, e.InnerEnd)
}

// text adds character data, CDATA sections as tokens of their own.
func (p *planter) text(into *etree.Element, from, to int32) {
	if from == to {
		return
	}
	raw := p.ix.Src[from:to]
	if xmlscan.Plain(raw) {
		p.plain(into, p.str(from, to))
		return
	}
	begin, end := []byte("<![CDATA["), []byte("]]>")
	for len(raw) > 0 {
		text, rest, found := bytes.Cut(raw, begin)
		if len(text) > 0 {
			p.plain(into, p.decode(text))
		}
		if !found {
			return
		}
		section, after, _ := bytes.Cut(rest, end)
		whole := len(begin) + len(section) + len(end)
		into.AddChild(etree.NewCData(p.decode(raw[len(text) : len(text)+whole])))
		raw = after
	}
}

// decode returns what text, with references and sections, stands for.
func (p *planter) decode(raw []byte) string {
	p.scratch = xmlscan.AppendText(p.scratch[:0], raw)
	return string(p.scratch)
}

func (p *planter) plain(into *etree.Element, text string) {
	t := &take(&p.texts, 1)[:1][0]
	t.SetData(text)
	into.AddChild(t)
}
