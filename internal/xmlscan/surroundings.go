package xmlscan

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Declaration binds a prefix to a namespace.
type Declaration struct{ Prefix, Space string }

// Enclose says what surrounds the elements to come: a default namespace, which may be "", and prefixes. They must be
// legal. An end of the surroundings is not expected.
func (s *Scanner) Enclose(dflt string, prefixes []Declaration) {
	// New memory, since clones of the index go on using the old.
	s.ix.outer = []byte(XMLSpace + XMLNSSpace)
	const first, second = int32(len(XMLSpace)), int32(len(XMLSpace + XMLNSSpace))
	s.ix.spaces = append(s.ix.spaces[:0], span{in: inOuter}, span{0, first, inOuter}, span{first, second, inOuter})
	s.binds = s.binds[:0]
	s.root = nil
	s.dflt = NoSpace
	if dflt != "" {
		s.dflt = s.outerSpace(dflt)
	}
	for _, d := range prefixes {
		s.binds = append(s.binds, binding{s.keep(d.Prefix), s.outerSpace(d.Space)})
	}
	s.outerSpaces, s.outerBinds = len(s.ix.spaces), len(s.binds)
	s.ix.around, s.ix.dflt = slices.Clone(s.binds), s.dflt
	s.reset()
}

// outerSpace adds a namespace to the surroundings.
func (s *Scanner) outerSpace(name string) int32 {
	s.ix.spaces = append(s.ix.spaces, s.keep(name))
	return int32(len(s.ix.spaces) - 1)
}

// keep puts a name where the surroundings are kept.
func (s *Scanner) keep(name string) span {
	at := int32(len(s.ix.outer))
	s.ix.outer = append(s.ix.outer, name...)
	return span{at, int32(len(s.ix.outer)), inOuter}
}

// Header scans the start of a stream, an optional XML declaration and one start tag, and returns its length; 0 as long
// as b ends before, to be called with the same bytes and more behind them. Nothing surrounds it: Enclose("", nil) comes
// first. The index then holds that element, without an end, until [Scanner.Open].
func (s *Scanner) Header(b []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.search > 0 && !s.tagEnds(b) {
		return 0, nil
	}
	switch n = s.header(b); n {
	case more:
		return 0, nil
	case bad:
		return 0, s.err
	}
	s.ix.Src = b[:n]
	s.done = true
	return n, nil
}

// Open makes the element that Header found the surroundings of the elements to come. Its end tag will be a [Close].
func (s *Scanner) Open() {
	ix := &s.ix
	e := &ix.Elements[0]
	root := bytes.Clone(ix.QName(e))
	dflt := string(ix.Space(s.stack[0].dflt))
	var prefixes []Declaration
	for i := range ix.Attrs {
		a := &ix.Attrs[i]
		if prefix, ok := ix.Declares(a); ok && len(prefix) > 0 {
			prefixes = append(prefixes, Declaration{string(prefix), string(ix.Value(a))})
		}
	}
	s.Enclose(dflt, prefixes)
	s.root = root
}

func (s *Scanner) header(b []byte) int {
	i := s.pos
	if i == 0 {
		if i = s.xmlDeclaration(b); i < 0 {
			return i
		}
	}
	i = skipSpace(b, i)
	s.pos = i
	switch {
	case i == len(b):
		return more
	case b[i] >= utf8.RuneSelf:
		// A byte order mark is no such thing on a stream but a character like any other (RFC 6120 section 11.6).
		if n := s.char(b, i); n < 0 {
			return n
		}
		fallthrough
	case b[i] != '<':
		return s.fail(NotWellFormed, i, "character data before the stream header")
	case i+1 == len(b):
		return more
	case b[i+1] == '!':
		if n := s.declaration(b, i); n < 0 {
			return n
		}
		return s.fail(NotWellFormed, i, "character data before the stream header")
	case b[i+1] == '?':
		return s.instruction(b, i)
	}
	n := s.startTag(b, i)
	if n > 0 && len(s.stack) == 0 {
		return s.fail(InvalidXML, i, "stream without room for content")
	}
	return n
}

// An XML declaration has nothing long in it but white space; this many bytes are read again when more arrive.
const maxDeclaration = 256

// xmlDeclaration reads the XML declaration, if there is one (XML 1.0 production XMLDecl).
func (s *Scanner) xmlDeclaration(b []byte) int {
	const open = "<?xml"
	if n := min(len(b), len(open)); string(b[:n]) != open[:n] {
		return 0
	}
	if len(b) <= len(open) {
		return more
	}
	if !IsSpace(b[len(open)]) {
		return 0
	}
	end := bytes.IndexByte(b[:min(len(b), maxDeclaration)], '>')
	switch {
	case end < 0 && len(b) < maxDeclaration:
		return more
	case end < 0:
		return s.fail(PolicyViolation, 0, "XML declaration too long")
	case b[end-1] != '?':
		return s.fail(NotWellFormed, 0, "bad XML declaration")
	}
	names := []string{"version", "encoding", "standalone"}
	version := false
	rest := b[len(open) : end-1]
	for {
		at := skipSpace(rest, 0)
		if at == len(rest) {
			break
		}
		name, value, tail, ok := pseudoAttribute(rest[at:])
		k := slices.Index(names, name)
		if !ok || at == 0 || k < 0 {
			return s.fail(NotWellFormed, 0, "bad XML declaration")
		}
		names, rest = names[k+1:], tail
		switch name {
		case "version":
			version = value == "1.0"
		case "encoding":
			if !strings.EqualFold(value, "UTF-8") {
				return s.fail(UnsupportedEncoding, 0, "encoding other than UTF-8")
			}
		case "standalone":
			if value != "yes" && value != "no" {
				return s.fail(NotWellFormed, 0, "bad XML declaration")
			}
		}
	}
	if !version {
		return s.fail(NotWellFormed, 0, "XML declaration without version 1.0")
	}
	return end + 1
}

// pseudoAttribute reads a name and a quoted value.
func pseudoAttribute(b []byte) (name, value string, rest []byte, ok bool) {
	before, after, _ := bytes.Cut(b, []byte("="))
	after = after[skipSpace(after, 0):]
	if len(after) == 0 || after[0] != '\'' && after[0] != '"' {
		return "", "", nil, false
	}
	quoted, rest, ok := bytes.Cut(after[1:], after[:1])
	return strings.TrimRight(string(before), " \t\r\n"), string(quoted), rest, ok
}
