package xmlscan

import "unicode/utf8"

// plainName returns the length of the name at the start of b, or 0 if it has to be looked at more closely.
func plainName(b []byte) int {
	n := prefixOf(b, nameChar)
	if n == len(b) || class[b[n]]&afterName == 0 || class[b[0]]&nameStart == 0 {
		return 0
	}
	return n
}

// name reads a qualified name and returns where it ends and the length of its prefix.
func (s *Scanner) name(b []byte, start int) (end, prefix int) {
	first := true // the next character begins the name or its local part
	for i := start; ; {
		if i == len(b) {
			return more, 0
		}
		c := b[i]
		n := i + 1
		switch {
		case c >= utf8.RuneSelf:
			if n = s.char(b, i); n < 0 {
				return n, 0
			}
			r, _ := utf8.DecodeRune(b[i:])
			if first && !isNameStart(r) || !isNameChar(r) {
				return s.fail(NotWellFormed, i, "character that cannot stand in a name"), 0
			}
		case c == ':' && !first:
			if prefix > 0 {
				return s.fail(NotWellFormed, i, "second colon in a name"), 0
			}
			prefix = i - start
			first = true
			i++
			continue
		case first && class[c]&nameStart == 0:
			return s.fail(NotWellFormed, i, "name expected"), 0
		case class[c]&nameChar == 0:
			return i, prefix
		}
		first = false
		if i = n; i-start > s.Limits.Name {
			return s.fail(PolicyViolation, start, "name too long"), 0
		}
	}
}

// skipSpace returns the offset of the first byte from i on that is no white space, or len(b).
func skipSpace(b []byte, i int) int {
	for i < len(b) && class[b[i]]&white != 0 {
		i++
	}
	return i
}

// cut notes that the tag at b[at] is not complete.
func (s *Scanner) cut(at int) int {
	s.pos, s.search = at, at+1
	return more
}

// startTag reads a start tag or an empty-element tag, and opens its element.
func (s *Scanner) startTag(b []byte, at int) int {
	ix := &s.ix
	name, prefix := plainName(b[at+1:]), 0
	if name == 0 || name > s.Limits.Name {
		var end int
		switch end, prefix = s.name(b, at+1); end {
		case more:
			return s.cut(at)
		case bad:
			return bad
		}
		name = end - at - 1
	}
	switch {
	case len(s.stack) >= s.Limits.Depth:
		return s.fail(PolicyViolation, at, "elements nested too deep")
	case len(ix.Elements) >= s.Limits.Elements:
		return s.fail(PolicyViolation, at, "too many elements")
	}
	before := len(ix.Attrs)
	i, declares := s.attributes(b, at+1+name)
	empty := i >= 0 && b[i] == '/'
	if empty {
		if i++; i == len(b) {
			i = more
		} else if b[i] != '>' {
			return s.fail(NotWellFormed, i, "> expected")
		}
	}
	if i < 0 {
		ix.Attrs = ix.Attrs[:before]
		if i == more {
			return s.cut(at)
		}
		return i
	}
	i++

	f := frame{int32(len(ix.Elements)), s.dflt, int32(len(s.binds))}
	if d := len(s.stack); d > 0 {
		f.dflt = s.stack[d-1].dflt
	}
	attrs := ix.Attrs[before:]
	if declares && s.declare(b, attrs, &f) == bad {
		return bad
	}
	space := f.dflt
	if prefix > 0 {
		if space = s.lookup(b, b[at+1:at+1+prefix]); space < 0 {
			return s.fail(BadNamespacePrefix, at+1, "undeclared prefix "+string(b[at+1:at+1+prefix]))
		}
	}
	if !distinct(b, attrs) && s.resolve(b, attrs) == bad {
		return bad
	}
	ix.Elements = append(ix.Elements, Element{})
	e := &ix.Elements[f.element]
	e.Start, e.Inner, e.Space = int32(at), int32(i), space
	e.Name, e.Prefix = uint16(name), uint16(prefix)
	e.Attr, e.Attrs = int32(before), uint16(len(attrs))
	if empty {
		e.InnerEnd, e.End, e.Next = int32(i), int32(i), f.element+1
		s.binds = s.binds[:f.binds]
	} else {
		s.stack = append(s.stack, f)
	}
	return i
}

// attributes reads the attributes of a tag up to the '>' or '/' behind them.
func (s *Scanner) attributes(b []byte, i int) (end int, declares bool) {
	for n, next := 0, i; ; n++ {
		i = skipSpace(b, next)
		if i == len(b) {
			return more, false
		}
		if b[i] == '>' || b[i] == '/' {
			return i, declares
		}
		if i == next {
			return s.fail(NotWellFormed, i, "white space, / or > expected"), false
		}
		at := i
		end, prefix := at+plainName(b[at:]), 0
		if end == at || end-at > s.Limits.Name {
			if end, prefix = s.name(b, at); end < 0 {
				return end, false
			}
		}
		if n == s.Limits.Attrs {
			return s.fail(PolicyViolation, at, "too many attributes"), false
		}
		i = skipSpace(b, end)
		if i == len(b) {
			return more, false
		}
		if b[i] != '=' {
			return s.fail(NotWellFormed, i, "= expected"), false
		}
		i = skipSpace(b, i+1)
		if i == len(b) {
			return more, false
		}
		quote := b[i]
		if quote != '\'' && quote != '"' {
			return s.fail(NotWellFormed, i, "quote expected"), false
		}
		value := i + 1
		escaped := false
		i = skipValue(b, value)
		if i == len(b) || b[i] != quote {
			if i, escaped = s.value(b, i, quote); i < 0 {
				return i, false
			}
		}
		// Filled in where it lies: copying what has just been written in small parts makes the processor wait.
		s.ix.Attrs = append(s.ix.Attrs, Attr{})
		a := &s.ix.Attrs[len(s.ix.Attrs)-1]
		a.Name, a.NameLen, a.Prefix = int32(at), uint16(end-at), uint16(prefix)
		a.Value, a.ValueEnd, a.Escaped = int32(value), int32(i), escaped
		if b[at] == 'x' && (end-at == len("xmlns") || prefix == len("xmlns")) && string(b[at:at+len("xmlns")]) == "xmlns" {
			a.Space = XMLNS
			declares = true
		}
		next = i + 1
	}
}

// value reads an attribute value up to its closing quote.
func (s *Scanner) value(b []byte, i int, quote byte) (end int, escaped bool) {
	for {
		i = skipValue(b, i)
		if i == len(b) {
			return more, false
		}
		n := i + 1
		switch c := b[i]; {
		case c == quote:
			return i, escaped
		case c == '\'', c == '"':
		case c == '&':
			n, escaped = s.reference(b, i), true
		case class[c]&white != 0:
			escaped = true
		case c == '<':
			n = s.fail(NotWellFormed, i, "< in an attribute value")
		default:
			n = s.char(b, i)
		}
		if n < 0 {
			return n, false
		}
		i = n
	}
}

// declare puts the declarations among attrs in force.
func (s *Scanner) declare(b []byte, attrs []Attr, f *frame) int {
	ix := &s.ix
	for i := range attrs {
		a := &attrs[i]
		if a.Space != XMLNS {
			continue
		}
		at := int(a.Name)
		where := span{a.Value, a.ValueEnd, inSrc}
		name := b[a.Value:a.ValueEnd]
		if a.Escaped {
			from := len(ix.arena)
			ix.arena = AppendValue(ix.arena, name)
			name = ix.arena[from:]
			where = span{int32(from), int32(len(ix.arena)), inArena}
		}
		if len(name) > s.Limits.Namespace {
			return s.fail(PolicyViolation, at, "namespace name too long")
		}
		ix.declared |= bitOf(name)
		isXML := string(name) == XMLSpace
		if string(name) == XMLNSSpace {
			return s.fail(NotWellFormed, at, "declaration of the namespace of declarations")
		}
		if a.Prefix == 0 {
			if isXML {
				return s.fail(NotWellFormed, at, "xml namespace as default namespace")
			}
			f.dflt = NoSpace
			if len(name) > 0 {
				f.dflt = int32(len(ix.spaces))
				ix.spaces = append(ix.spaces, where)
			}
			continue
		}
		prefix := span{a.Name + int32(len("xmlns:")), a.Name + int32(a.NameLen), inSrc}
		isXMLPrefix := string(b[prefix.lo:prefix.hi]) == "xml"
		switch {
		case isXMLPrefix && isXML:
			continue
		case isXMLPrefix || isXML:
			return s.fail(NotWellFormed, at, "the prefix xml and its namespace belong to each other alone")
		case string(b[prefix.lo:prefix.hi]) == "xmlns":
			return s.fail(NotWellFormed, at, "declaration of the prefix xmlns")
		case len(name) == 0:
			return s.fail(NotWellFormed, at, "prefix declared to mean no namespace")
		case len(s.binds) >= s.Limits.Bindings:
			return s.fail(PolicyViolation, at, "too many prefixes in scope")
		}
		s.binds = append(s.binds, binding{prefix, int32(len(ix.spaces))})
		ix.spaces = append(ix.spaces, where)
	}
	return 0
}

// lookup returns the namespace of a prefix, or -1.
func (s *Scanner) lookup(b, prefix []byte) int32 {
	for i := len(s.binds) - 1; i >= 0; i-- {
		bound := s.binds[i].prefix
		if int(bound.hi-bound.lo) != len(prefix) {
			continue
		}
		from := b
		if bound.in == inOuter {
			from = s.ix.outer
		}
		if string(from[bound.lo:bound.hi]) == string(prefix) {
			return s.binds[i].space
		}
	}
	if string(prefix) == "xml" {
		return XML
	}
	return -1
}

// distinct reports whether none of attrs has a prefix and all names differ at first sight, as they nearly always do.
func distinct(b []byte, attrs []Attr) bool {
	seen := uint64(0)
	for i := range attrs {
		a := &attrs[i]
		bit := bitOf(b[a.Name : a.Name+int32(a.NameLen)])
		if a.Prefix > 0 || seen&bit != 0 {
			return false
		}
		seen |= bit
	}
	return true
}

// resolve finds the namespaces of attributes and refuses two of the same name.
func (s *Scanner) resolve(b []byte, attrs []Attr) int {
	for i := range attrs {
		a := &attrs[i]
		if a.Prefix > 0 && a.Space != XMLNS {
			prefix := b[a.Name : a.Name+int32(a.Prefix)]
			if a.Space = s.lookup(b, prefix); a.Space < 0 {
				return s.fail(BadNamespacePrefix, int(a.Name), "undeclared prefix "+string(prefix))
			}
		}
		name := b[a.Name : a.Name+int32(a.NameLen)]
		for j := range attrs[:i] {
			o := &attrs[j]
			if o.NameLen == a.NameLen && b[o.Name] == name[0] && string(b[o.Name:o.Name+int32(o.NameLen)]) == string(name) ||
				a.Prefix > 0 && o.Prefix > 0 && s.sameName(b, a, o) {
				return s.fail(NotWellFormed, int(a.Name), "second attribute "+string(name))
			}
		}
	}
	return 0
}

// sameName reports whether two prefixed attributes have the same expanded name.
func (s *Scanner) sameName(b []byte, a, o *Attr) bool {
	return string(local(b[a.Name:a.Name+int32(a.NameLen)], a.Prefix)) ==
		string(local(b[o.Name:o.Name+int32(o.NameLen)], o.Prefix)) &&
		string(s.space(b, a.Space)) == string(s.space(b, o.Space))
}

// space is Index.Space while b is being scanned.
func (s *Scanner) space(b []byte, n int32) []byte {
	where := s.ix.spaces[n]
	if where.in == inSrc {
		return b[where.lo:where.hi]
	}
	return s.ix.bytes(where)
}

// end reads an end tag and closes the innermost element.
func (s *Scanner) end(b []byte, at int) int {
	top := len(s.stack) - 1
	f := s.stack[top]
	e := &s.ix.Elements[f.element]
	if e.Name == 0 {
		return s.fail(NotWellFormed, at, "end tag without a start tag")
	}
	i := s.endTag(b, at, b[e.Start+1:e.Start+1+int32(e.Name)])
	if i < 0 {
		return i
	}
	e.InnerEnd, e.End, e.Next = int32(at), int32(i), int32(len(s.ix.Elements))
	s.binds = s.binds[:f.binds]
	s.stack = s.stack[:top]
	return i
}

// endTag reads the end tag of an element with the given qualified name. The name has to be spelt like in the start tag.
func (s *Scanner) endTag(b []byte, at int, name []byte) int {
	i := at + len("</")
	n := min(len(name), len(b)-i)
	if string(b[i:i+n]) != string(name[:n]) {
		return s.fail(NotWellFormed, at, "end tag that does not match <"+string(name)+">")
	}
	i += n
	if i == len(b) {
		return s.cut(at)
	}
	if b[i] != '>' {
		if i = skipSpace(b, i); i == len(b) {
			return s.cut(at)
		}
		if b[i] != '>' {
			return s.fail(NotWellFormed, at, "end tag that does not match <"+string(name)+">")
		}
	}
	return i + 1
}
