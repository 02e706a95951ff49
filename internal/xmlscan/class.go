package xmlscan

import (
	"encoding/binary"
	"math/bits"
)

// Classes of ASCII characters. Bytes from 0x80 up are in none.
const (
	nameStart  = 1 << iota // begins a name; the colon does not
	nameChar               // stands inside a name; the colon does not
	white                  // tab, line feed, carriage return, space
	plainText              // nothing to look at in text
	plainValue             // nothing to look at in an attribute value
	verbatim               // stands for itself in text that has been scanned
	afterName              // ends a name for certain: anything in ASCII that is not of a name, but the colon
)

var class = func() (t [256]uint8) {
	for c := range 0x80 {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			t[c] |= nameStart | nameChar
		case '0' <= c && c <= '9', c == '-', c == '.':
			t[c] |= nameChar
		case c == ' ', c == '\t', c == '\n', c == '\r':
			t[c] |= white
		}
		if t[c]&nameChar == 0 && c != ':' {
			t[c] |= afterName
		}
		if (c >= ' ' || t[c]&white != 0) && c != '<' && c != '&' && c != ']' {
			t[c] |= plainText
		}
		if c != '&' && c != '\r' && c != '<' {
			t[c] |= verbatim
		}
		if c >= ' ' && c != '<' && c != '&' && c != '\'' && c != '"' {
			t[c] |= plainValue
		}
	}
	for c := 0x80; c < len(t); c++ {
		t[c] = verbatim
	}
	return t
}()

// IsSpace reports whether c is white space (XML 1.0 production S).
func IsSpace(c byte) bool { return class[c]&white != 0 }

// prefixOf returns how many bytes at the start of b are of a class.
func prefixOf(b []byte, of uint8) int {
	for i, c := range b {
		if class[c]&of == 0 {
			return i
		}
	}
	return len(b)
}

// skipValue returns the offset of the first byte of b from i on that is not plainValue, or len(b). Values are long enough
// that looking at eight bytes at a time pays; texts between tags and names are not.
func skipValue(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		if ends := endsValue(binary.LittleEndian.Uint64(b[i:])); ends != 0 {
			return i + bits.TrailingZeros64(ends)/8
		}
	}
	return i + prefixOf(b[i:], plainValue)
}

// endsValue returns a bit for each of the eight bytes of x that is not plainValue, the highest of the byte. The lowest bit is
// exact; above it there may be too many, since a difference borrows from the next byte. The terms find the bytes beyond
// ASCII, the control characters, <, " and, which differ in one bit, & and '.
func endsValue(x uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return (x | (x - ' '*ones) | (x ^ '<'*ones - ones) | (x ^ '"'*ones - ones) | ((x | ones) ^ '\''*ones - ones)) & high
}
