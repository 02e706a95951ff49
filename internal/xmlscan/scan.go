package xmlscan

import (
	"bytes"
	"unicode/utf8"
)

// A Scanner scans the first-level elements of one stream after another, or pieces of content. Its index is overwritten
// by the next scan. A Scanner is for one goroutine. [Scanner.Enclose] or [Scanner.Open] come before the first element.
type Scanner struct {
	Limits Limits

	ix    Index
	stack []frame
	binds []binding // prefixes in scope, innermost last
	dflt  int32     // default namespace around the root
	root  []byte    // qualified name of the element around the root, for its end tag; nil if there is none

	outerSpaces, outerBinds int // how many of ix.spaces and binds belong to the surroundings

	done   bool // the last scan is complete
	pos    int  // everything before it has been checked
	cdata  bool // pos is inside a CDATA section
	search int  // in a tag that is not complete: where to go on looking for its end; 0 if there is none
	quote  byte // the quote that is open at search
	err    *Error
}

// A frame is an element that is still open.
type frame struct {
	element int32
	dflt    int32 // default namespace inside
	binds   int32 // prefixes in scope outside
}

// A binding is a declared prefix.
type binding struct {
	prefix span
	space  int32
}

// What a step of the scanner returns instead of the offset behind what it read.
const (
	more = -1 // the bytes end too early
	bad  = -2 // s.err says why
)

// Found is what a scan found.
type Found uint8

// Outcomes of [Scanner.Next].
const (
	Partial Found = iota // nothing yet: call again with more bytes behind the same ones
	Whole                // an element
	Close                // the end tag of the surrounding element
)

// Index returns what the last scan found.
func (s *Scanner) Index() *Index { return &s.ix }

// Next scans the first-level element that b begins with, and returns its length. As long as it returns Partial, it is to
// be called with the same bytes and more behind them. An error is an *[Error], and final until the surroundings change.
func (s *Scanner) Next(b []byte) (found Found, n int, err error) {
	if s.done {
		s.reset()
	}
	if s.err != nil {
		return Partial, 0, s.err
	}
	if s.search > 0 && !s.tagEnds(b) {
		return Partial, 0, nil
	}
	if len(s.stack) == 0 {
		n, found = s.first(b)
	} else {
		n, found = s.content(b), Whole
	}
	switch n {
	case more:
		return Partial, 0, nil
	case bad:
		return Partial, 0, s.err
	}
	s.ix.Src = b[:n]
	s.done = true
	return found, n, nil
}

// Content scans b as the whole content of an element. The index has an element 0 without tags around it.
func (s *Scanner) Content(b []byte) error {
	s.reset()
	s.done = true
	s.ix.Elements = append(s.ix.Elements, Element{InnerEnd: int32(len(b)), End: int32(len(b))})
	s.stack = append(s.stack, frame{0, s.dflt, int32(s.outerBinds)})
	if s.content(b) == bad {
		return s.err
	}
	// Brackets at the end wait for a ">" that would be refused behind them.
	if len(s.stack) > 1 || s.cdata || len(bytes.TrimLeft(b[s.pos:], "]")) > 0 {
		s.fail(NotWellFormed, len(b), "content ends inside an element, section or reference")
		return s.err
	}
	s.ix.Src = b
	s.ix.Elements[0].Next = int32(len(s.ix.Elements))
	return nil
}

// reset makes room for the next scan.
func (s *Scanner) reset() {
	s.ix.Src = nil
	s.ix.Elements = s.ix.Elements[:0]
	s.ix.Attrs = s.ix.Attrs[:0]
	s.ix.spaces = s.ix.spaces[:s.outerSpaces]
	s.ix.arena = s.ix.arena[:0]
	s.ix.declared = 0
	s.stack = s.stack[:0]
	s.binds = s.binds[:s.outerBinds]
	s.done, s.pos, s.cdata, s.search, s.quote, s.err = false, 0, false, 0, 0, nil
}

// Trim gives memory back that an unusually large element has needed. What the index holds is lost.
func (s *Scanner) Trim() {
	const usual = 256
	s.reset()
	if cap(s.ix.Elements) > usual {
		s.ix.Elements, s.stack = nil, nil
	}
	if cap(s.ix.Attrs) > usual {
		s.ix.Attrs = nil
	}
	if cap(s.ix.arena) > usual {
		s.ix.arena = nil
	}
	if cap(s.ix.spaces) > usual {
		s.ix.spaces = append([]span(nil), s.ix.spaces...)
	}
}

// fail notes why b is refused.
func (s *Scanner) fail(condition string, at int, reason string) int {
	s.err = &Error{condition, at, reason}
	return bad
}

// first reads what b begins with, outside of all elements.
func (s *Scanner) first(b []byte) (int, Found) {
	if len(b) == 0 {
		return more, Partial
	}
	if b[0] != '<' {
		if b[0] >= utf8.RuneSelf {
			if n := s.char(b, 0); n < 0 {
				return n, Partial
			}
		}
		return s.fail(InvalidXML, 0, "character data outside of an element"), Partial
	}
	if len(b) == 1 {
		return more, Partial
	}
	switch b[1] {
	case '!':
		n := s.declaration(b, 0)
		if n > 0 {
			n = s.fail(InvalidXML, 0, "character data outside of an element")
		}
		return n, Partial
	case '?':
		// A declaration is out of place here, but what it says of the encoding may be worse.
		if n := s.xmlDeclaration(b); n == more || n == bad && s.err.Condition == UnsupportedEncoding {
			return n, Partial
		}
		return s.instruction(b, 0), Partial
	case '/':
		return s.rootEnd(b), Close
	}
	n := s.startTag(b, 0)
	if n > 0 && len(s.stack) > 0 {
		s.pos = n
		n = s.content(b)
	}
	return n, Whole
}

// rootEnd reads the end tag of the surrounding element.
func (s *Scanner) rootEnd(b []byte) int {
	if s.root == nil {
		return s.fail(NotWellFormed, 0, "end tag without a start tag")
	}
	return s.endTag(b, 0, s.root)
}

// content reads from s.pos to the end of the root.
func (s *Scanner) content(b []byte) int {
	i := s.pos
	for {
		if s.cdata {
			if i = s.section(b, i); i < 0 {
				return i
			}
		}
		i += prefixOf(b[i:], plainText)
		if i == len(b) || b[i] != '<' {
			if i = s.text(b, i); i < 0 {
				return i
			}
		}
		// Now b[i] is '<'.
		s.pos = i
		if i+1 == len(b) {
			return more
		}
		switch b[i+1] {
		case '/':
			if i = s.end(b, i); i < 0 {
				return i
			}
			if len(s.stack) == 0 {
				return i
			}
		case '!':
			if i = s.declaration(b, i); i < 0 {
				return i
			}
			s.cdata = true
		case '?':
			return s.instruction(b, i)
		default:
			if i = s.startTag(b, i); i < 0 {
				return i
			}
		}
	}
}

// text reads character data up to the next '<'.
func (s *Scanner) text(b []byte, i int) int {
	for {
		i += prefixOf(b[i:], plainText)
		if i == len(b) {
			s.pos = i
			return more
		}
		n := i + 1
		switch c := b[i]; {
		case c == '<':
			return i
		case c == '&':
			n = s.reference(b, i)
		case c == ']':
			switch rest := b[i:]; {
			case bytes.HasPrefix(rest, []byte(cdataClose)):
				n = s.fail(NotWellFormed, i, "]]> in character data")
			case len(rest) < len(cdataClose) && bytes.HasPrefix([]byte(cdataClose), rest):
				n = more
			}
		default:
			n = s.char(b, i)
		}
		if n < 0 {
			s.pos = i
			return n
		}
		i = n
	}
}

// section reads the rest of a CDATA section.
func (s *Scanner) section(b []byte, i int) int {
	for {
		for i < len(b) && b[i] != ']' && class[b[i]]&(plainText|plainValue) != 0 {
			i++
		}
		if i == len(b) {
			s.pos = i
			return more
		}
		n := i + 1
		switch c := b[i]; {
		case c == '<', c == '&':
		case c == ']':
			switch rest := b[i:]; {
			case bytes.HasPrefix(rest, []byte(cdataClose)):
				s.cdata = false
				return i + len(cdataClose)
			case len(rest) < len(cdataClose) && bytes.HasPrefix([]byte(cdataClose), rest):
				n = more
			}
		default:
			n = s.char(b, i)
		}
		if n < 0 {
			s.pos = i
			return n
		}
		i = n
	}
}

// char reads one character that is not plain: a control character, or one beyond ASCII.
func (s *Scanner) char(b []byte, i int) int {
	if b[i] < utf8.RuneSelf {
		return s.fail(NotWellFormed, i, "control character")
	}
	r, n := utf8.DecodeRune(b[i:])
	switch {
	case n > 1 && r != 0xFFFE && r != 0xFFFF:
		return i + n
	case n > 1:
		return s.fail(NotWellFormed, i, "U+FFFE or U+FFFF")
	case !utf8.FullRune(b[i:]):
		return more
	}
	return s.fail(UnsupportedEncoding, i, "bytes that are not UTF-8")
}

// A reference may have any number of leading zeros; this many bytes are read again when more arrive.
const maxReference = 1024

// reference reads one reference.
func (s *Scanner) reference(b []byte, i int) int {
	seen := b[i:min(len(b), i+maxReference)]
	n := bytes.IndexByte(seen, ';')
	whole := n >= 0
	if !whole {
		n = len(seen)
	}
	body := seen[1:n]
	if len(body) > 0 && body[0] == '#' {
		switch {
		case whole && character(body[1:]) >= 0:
			return i + n + 1
		case !whole && n < maxReference && isDigits(body[1:]):
			return more
		case n >= maxReference && isDigits(body[1:]):
			return s.fail(PolicyViolation, i, "character reference too long")
		}
		return s.fail(NotWellFormed, i, "bad character reference")
	}
	if whole {
		if _, ok := predefined(body); ok {
			return i + n + 1
		}
	}
	end, prefix := s.name(b, i+1)
	switch {
	case end == more && n < maxReference:
		return more
	case end < 0 || prefix > 0 || b[end] != ';':
		return s.fail(NotWellFormed, i, "& that begins no reference")
	}
	return s.fail(RestrictedXML, i, "entity that is not predefined")
}

// isDigits reports whether what stands behind "&#" is good as far as it goes.
func isDigits(b []byte) bool {
	hex := len(b) > 0 && b[0] == 'x'
	if hex {
		b = b[1:]
	}
	for _, c := range b {
		if !('0' <= c && c <= '9' || hex && ('a' <= c && c <= 'f' || 'A' <= c && c <= 'F')) {
			return false
		}
	}
	return true
}

// declaration reads "<!": the start of a CDATA section, or something that is not allowed.
func (s *Scanner) declaration(b []byte, i int) int {
	rest := b[i:min(len(b), i+len(cdataOpen))]
	switch {
	case string(rest) == cdataOpen:
		return i + len(cdataOpen)
	case bytes.HasPrefix(rest, []byte("<!--")):
		return s.fail(RestrictedXML, i, "comment")
	case bytes.HasPrefix([]byte(cdataOpen), rest), bytes.HasPrefix([]byte("<!--"), rest):
		return more
	case class[rest[2]]&nameStart != 0:
		return s.fail(RestrictedXML, i, "document type or other declaration")
	}
	return s.fail(NotWellFormed, i, "<! that begins nothing")
}

// instruction refuses what begins with "<?".
func (s *Scanner) instruction(b []byte, i int) int {
	const xml = "xml"
	target := b[i+2:]
	n := 0
	for n < len(xml) && n < len(target) && target[n]|0x20 == xml[n] {
		n++
	}
	switch {
	case n == len(target):
		return more
	case n == len(xml) && class[target[n]]&nameChar == 0:
		return s.fail(NotWellFormed, i, "XML declaration in the middle of the stream")
	}
	return s.fail(RestrictedXML, i, "processing instruction")
}

// tagEnds looks for the end of the tag that begins at s.pos, in the bytes that it has not seen. A '<' ends it as well: it
// is allowed nowhere in a tag.
func (s *Scanner) tagEnds(b []byte) bool {
	for i := s.search; i < len(b); i++ {
		switch c := b[i]; {
		case c == '<', c == '>' && s.quote == 0:
			s.search, s.quote = 0, 0
			return true
		case c == s.quote:
			s.quote = 0
		case (c == '"' || c == '\'') && s.quote == 0:
			s.quote = c
		}
	}
	s.search = len(b)
	return false
}
