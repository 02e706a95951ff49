package xmpp

import (
	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// An editor scans children that are set. It is kept with the stanza, so that setting them again costs no allocation.
type editor struct {
	owner  *Stanza            // a copy of the stanza by assignment must not scan into the index of the original
	scan   [2]xmlscan.Scanner // one holds the index in use, which a failed attempt must not touch
	around [2]surroundings
	spare  int // the other one
}

// surroundings is what a scanner of an editor has been told of; prefixes are not remembered.
type surroundings struct {
	dflt     string
	prefixes bool
}

// SetRaw replaces the children by XML, which is checked with the declarations in Attrs and Space in scope; the default
// [Limits] apply. An error is a *[StreamError] that says what is wrong where, and leaves the stanza as it was.
// The stanza borrows children.
func (s *Stanza) SetRaw(children []byte) error {
	return s.setChildren(children, &usualLimits)
}

func (s *Stanza) setChildren(children []byte, lim *Limits) error {
	if len(children) > lim.Stanza {
		return tooLong(lim.Stanza, 0)
	}
	if s.edit == nil || s.edit.owner != s {
		s.edit = &editor{owner: s}
	}
	ed := s.edit
	scan, around := &ed.scan[ed.spare], surroundings{dflt: s.defaultSpace()}
	var prefixes []xmlscan.Declaration
	for i := range s.Attrs {
		if prefix, ok := declares(s.Attrs[i].Name); ok && prefix != "" && prefix != "xml" && s.mayWrite(i) {
			prefixes = append(prefixes, xmlscan.Declaration{Prefix: prefix, Space: s.Attrs[i].Value})
			around.prefixes = true
		}
	}
	if around.prefixes || around != ed.around[ed.spare] {
		scan.Enclose(around.dflt, prefixes)
		ed.around[ed.spare] = around
	}
	scan.Limits = lim.scanner()
	if err := scan.Content(children); err != nil {
		return refused(err, 0)
	}
	s.ix, s.own = scan.Index(), s.space()
	ed.spare = 1 - ed.spare
	return nil
}

// defaultSpace returns the default namespace that the children are in.
func (s *Stanza) defaultSpace() string {
	if s.prefix() != "" {
		if dflt, ok := s.declared(""); ok {
			return dflt
		}
	}
	return s.space()
}

// SetText makes text the text of the first child of that name in the stanza's namespace; a child is created behind the
// others if there is none. The child keeps its attributes and loses its own children. Characters that XML forbids become
// U+FFFD. Nothing happens if local is no name, or if the stanza would become larger than 1 GiB.
func (s *Stanza) SetText(local, text string) {
	if !xmlscan.NCName(local) {
		return
	}
	raw := s.Raw()
	b := make([]byte, 0, len(raw)+2*len(local)+len(text)+len("<></>"))
	if child, ok := s.Child("", local); ok {
		_, inner, innerEnd, end := child.Span()
		if inner == end { // an empty-element tag, which becomes a pair of tags
			b = append(append(b, raw[:end-len("/>")]...), '>')
			b = append(AppendText(b, text), "</"...)
			b = append(append(b, child.ix.QName(child.node())...), '>')
		} else {
			b = append(b, raw[:inner]...)
			b = append(AppendText(b, text), raw[innerEnd:end]...)
		}
		b = append(b, raw[end:]...)
	} else {
		prefix := ""
		if s.defaultSpace() != s.space() {
			prefix = s.prefix()
		}
		b = append(append(b, raw...), '<')
		b = append(appendName(b, prefix, local), '>')
		b = append(AppendText(b, text), "</"...)
		b = append(appendName(b, prefix, local), '>')
	}
	unlimited := Limits{maxStanza, maxStanza, maxStanza, 1<<16 - 1, 1<<16 - 1, maxStanza}
	// Only the size can be wrong: everything else was good before, or has been made here.
	_ = s.setChildren(b, &unlimited)
}
