package transcode

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// An escaping says which of the characters > " ' a text writes as entity references (& and < always are). Servers
// differ: some escape > alone, some all five, some none of the three.
type escaping uint8

const (
	escapeGT escaping = 1 << iota
	escapeQuot
	escapeApos

	usualEscaping = escapeGT
)

// escapable holds the characters of an escaping in the order in which [varEscape] lists them.
const escapable = `>"'`

func (e escaping) String() string {
	var b [len(escapable)]byte
	out := b[:0]
	for i := range len(escapable) {
		if e&(1<<i) != 0 {
			out = append(out, escapable[i])
		}
	}
	return string(out)
}

// parseEscaping reads what String writes.
func parseEscaping(v []byte) (escaping, bool) {
	var e escaping
	for _, c := range v {
		i := bytes.IndexByte([]byte(escapable), c)
		if i < 0 || e>>i != 0 {
			return 0, false
		}
		e |= 1 << i
	}
	return e, true
}

// A style is the escaping that the texts of one packet share, as far as they show it.
type style struct{ set, seen escaping }

// escaping returns the style's escaping; characters that no text holds count as usual.
func (s style) escaping() escaping { return s.set&s.seen | usualEscaping&^s.seen }

// note records that a text holds the character, escaped or not, and reports whether that fits what was seen before.
func (s *style) note(c escaping, escaped bool) bool {
	if s.seen&c != 0 {
		return (s.set&c != 0) == escaped
	}
	s.seen |= c
	if escaped {
		s.set |= c
	}
	return true
}

// join records that a text with all of seen is written in one escaping, and reports whether that fits what was seen before.
func (s *style) join(seen, e escaping) bool {
	if (s.set^e)&s.seen&seen != 0 {
		return false
	}
	s.set |= e & seen
	s.seen |= seen
	return true
}

// unescape appends the text that the character data in raw stands for. It reports false where escaping the text again in
// one style would not give raw: child elements, CDATA, numeric references, carriage returns, mixed habits.
func (s *style) unescape(dst, raw []byte) ([]byte, bool) {
	from := len(dst)
	was := *s
	for {
		i := prefixOf(raw, literal)
		dst = append(dst, raw[:i]...)
		if i == len(raw) {
			return dst, true
		}
		raw = raw[i:]
		c := raw[0]
		fits := true
		n := 1
		switch c {
		default:
		case '<', '\r':
			fits = false
		case '>':
			fits = s.note(escapeGT, false)
		case '"':
			fits = s.note(escapeQuot, false)
		case '\'':
			fits = s.note(escapeApos, false)
		case '&':
			var bit escaping
			c, bit, n = namedReference(raw)
			fits = n > 0 && (bit == 0 || s.note(bit, true))
		}
		if !fits {
			*s = was
			return dst[:from], false
		}
		dst = append(dst, c)
		raw = raw[n:]
	}
}

// namedReference reads the predefined entity reference at the start of b: its character, its bit in an escaping (0 for
// & and <, which have no choice) and its length, 0 if there is none.
func namedReference(b []byte) (c byte, bit escaping, n int) {
	switch {
	case bytes.HasPrefix(b, []byte("&amp;")):
		return '&', 0, 5
	case bytes.HasPrefix(b, []byte("&lt;")):
		return '<', 0, 4
	case bytes.HasPrefix(b, []byte("&gt;")):
		return '>', escapeGT, 4
	case bytes.HasPrefix(b, []byte("&quot;")):
		return '"', escapeQuot, 6
	case bytes.HasPrefix(b, []byte("&apos;")):
		return '\'', escapeApos, 6
	}
	return 0, 0, 0
}

// appendText appends text as XML character data. What XML 1.0 forbids becomes U+FFFD, a carriage return becomes a
// reference because a parser would read it as a line feed.
func appendText(dst, text []byte, e escaping) []byte {
	dst, _, _ = escape(dst, text, e)
	return dst
}

// escape is appendText. It tells which of the escapable characters there were, and whether unescape would give the text back.
func escape(dst, text []byte, e escaping) (out []byte, seen escaping, exact bool) {
	exact = true
	for {
		i := prefixOf(text, literal)
		dst = append(dst, text[:i]...)
		if i == len(text) {
			return dst, seen, exact
		}
		text = text[i:]
		c := text[0]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(text)
			if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
				dst, exact = append(dst, "\uFFFD"...), false
			} else {
				dst = append(dst, text[:n]...)
			}
			text = text[n:]
			continue
		}
		text = text[1:]
		bit, reference := escaping(0), ""
		switch c {
		case '&':
			dst = append(dst, "&amp;"...)
			continue
		case '<':
			dst = append(dst, "&lt;"...)
			continue
		case '\r':
			dst, exact = append(dst, "&#13;"...), false
			continue
		case '>':
			bit, reference = escapeGT, "&gt;"
		case '"':
			bit, reference = escapeQuot, "&quot;"
		case '\'':
			bit, reference = escapeApos, "&apos;"
		default:
			if c < ' ' {
				dst, exact = append(dst, "\uFFFD"...), false
				continue
			}
		}
		if seen |= bit; e&bit != 0 {
			dst = append(dst, reference...)
		} else {
			dst = append(dst, c)
		}
	}
}

// Classes of bytes.
const (
	literal   = 1 << iota // ASCII that is written as it is in character data, whatever the escaping
	printable             // may stand in a header line: ASCII without controls
	quotable              // ASCII that is written as it is in the value of an attribute
	inLines               // may stand in a line of PSYC 0.9
	verbatim              // stands for itself in a skeleton: neither mark nor abbreviation
)

var class = func() (of [256]uint8) {
	for i := range of {
		c := byte(i)
		if (c >= ' ' || c == '\t' || c == '\n') && c < utf8.RuneSelf && bytes.IndexByte([]byte("&<>\"'"), c) < 0 {
			of[c] |= literal
		}
		if c >= ' ' && c < 0x7F {
			of[c] |= printable
		}
		if c >= ' ' && c < 0x7F && of[c]&literal != 0 {
			of[c] |= quotable
		}
		if c != 0 && c != '\b' && c != '\r' && c != 0xFF {
			of[c] |= inLines
		}
		if c >= ' ' || c == 0 || c > marks && longForms[c] == nil {
			of[c] |= verbatim
		}
	}
	return of
}()

// prefixOf returns how many bytes at the start of b are of a class.
func prefixOf[T ~string | ~[]byte](b T, of uint8) int {
	for i := range len(b) {
		if class[b[i]]&of == 0 {
			return i
		}
	}
	return len(b)
}

// plain reports whether a value may stand in a header line of either syntax as it is: no control characters, no blank at
// either end, at most max bytes of UTF-8, not empty.
func plain[T ~string | ~[]byte](v T, max int) bool {
	if len(v) == 0 || len(v) > max || v[0] == ' ' || v[len(v)-1] == ' ' {
		return false
	}
	return consistsOf([]byte(v), printable) || plainUnicode(string(v))
}

// consistsOf reports whether all bytes of v are of a class, printable or quotable. It looks at eight at a time.
func consistsOf(v []byte, of uint8) bool {
	n := len(v)
	if n < 8 {
		return prefixOf(v, of) == n
	}
	for i := 0; i < n-8; i += 8 {
		if others(binary.LittleEndian.Uint64(v[i:]), of) != 0 {
			return false
		}
	}
	return others(binary.LittleEndian.Uint64(v[n-8:]), of) == 0
}

// others returns a set of highest bits, one for each of the eight bytes of x that is not of a class. There may be too many,
// since differences borrow and sums carry, but only next to one that is right.
func others(x uint64, than uint8) uint64 {
	set := x | (x - ' '*ones) | (x + (0x80-0x7F)*ones)
	if than == quotable {
		amp, less := (x|ones)^'\''*ones, (x|2*ones)^'>'*ones // & and ' differ in one bit, and so do < and >
		set |= (amp - ones) | (less - ones) | (x ^ '"'*ones - ones)
	}
	return set & high
}

const (
	ones = 0x0101010101010101 // a one in each byte
	high = 0x80 * ones
)

// plainUnicode is plain for what is not ASCII.
func plainUnicode(v string) bool {
	if !utf8.ValidString(v) {
		return false
	}
	for i := 0; i < len(v); i++ {
		// C1 controls are C2 80 to C2 9F in UTF-8; U+FFFE and U+FFFF, which XML forbids, are EF BF BE and EF BF BF.
		if v[i] < ' ' || v[i] == 0x7F || v[i] == 0xC2 && v[i+1] < 0xA0 || v[i] == 0xEF && v[i+1] == 0xBF && v[i+2] >= 0xBE {
			return false
		}
	}
	return true
}
