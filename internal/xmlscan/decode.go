package xmlscan

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

const (
	cdataOpen  = "<![CDATA["
	cdataClose = "]]>"
)

// AppendText appends the characters that raw stands for: text between two neighbouring tags, references replaced, CDATA
// sections opened and line ends normalised (XML 1.0 sections 2.11, 4.1, 2.7). raw has been scanned.
func AppendText(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw)) // nothing is longer than its spelling
	for len(raw) > 0 {
		i := prefixOf(raw, verbatim)
		dst = append(dst, raw[:i]...)
		if i == len(raw) {
			return dst
		}
		switch raw[i] {
		case '&':
			dst, raw = appendReference(dst, raw[i:])
		case '\r':
			dst, raw = appendLineEnd(dst, raw[i:], '\n')
		default:
			end := bytes.Index(raw[i:], []byte(cdataClose)) + i
			for section := raw[i+len(cdataOpen) : end]; len(section) > 0; {
				cr := bytes.IndexByte(section, '\r')
				if cr < 0 {
					dst = append(dst, section...)
					break
				}
				dst, section = appendLineEnd(append(dst, section[:cr]...), section[cr:], '\n')
			}
			raw = raw[end+len(cdataClose):]
		}
	}
	return dst
}

// Plain reports whether text between two neighbouring tags stands for itself.
func Plain(raw []byte) bool {
	return prefixOf(raw, verbatim) == len(raw)
}

// AppendValue appends the attribute value that raw stands for: references replaced, each literal tab and line end made
// a space (XML 1.0 section 3.3.3). raw has been scanned.
func AppendValue(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw))
	for len(raw) > 0 {
		i := bytes.IndexAny(raw, "&\t\n\r")
		if i < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		switch raw[i] {
		case '&':
			dst, raw = appendReference(dst, raw[i:])
		case '\r':
			dst, raw = appendLineEnd(dst, raw[i:], ' ')
		default:
			dst, raw = append(dst, ' '), raw[i+1:]
		}
	}
	return dst
}

// appendLineEnd takes the CR, or CR LF, that raw begins with.
func appendLineEnd(dst, raw []byte, as byte) (d, rest []byte) {
	if len(raw) > 1 && raw[1] == '\n' {
		return append(dst, as), raw[2:]
	}
	return append(dst, as), raw[1:]
}

// appendReference takes the reference that raw begins with; it is known to be good.
func appendReference(dst, raw []byte) (d, rest []byte) {
	end := bytes.IndexByte(raw, ';')
	name, rest := raw[1:end], raw[end+1:]
	if name[0] != '#' {
		c, _ := predefined(name)
		return append(dst, c), rest
	}
	return utf8.AppendRune(dst, character(name[1:])), rest
}

// predefined returns the character of one of XML's five entities.
func predefined(name []byte) (c byte, ok bool) {
	switch string(name) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	return 0, false
}

// character returns the character of the reference &#digits; or, digits beginning with x, &#xdigits;. It returns -1 where
// the digits are none or the character does not exist in XML.
func character(digits []byte) rune {
	base := rune(10)
	if len(digits) > 0 && digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	if len(digits) == 0 {
		return -1
	}
	var r rune
	for _, c := range digits {
		d := rune(99)
		switch {
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case 'a' <= c && c <= 'f':
			d = rune(c-'a') + 10
		case 'A' <= c && c <= 'F':
			d = rune(c-'A') + 10
		}
		if d >= base {
			return -1
		}
		if r = r*base + d; r > utf8.MaxRune {
			return -1
		}
	}
	if !IsChar(r) {
		return -1
	}
	return r
}

// IsChar reports whether r may occur in XML, literally or by reference (XML 1.0 production Char).
func IsChar(r rune) bool {
	return r >= 0x20 && r < 0xD800 || r == '\t' || r == '\n' || r == '\r' ||
		r >= 0xE000 && r < 0xFFFE || r >= 0x10000 && r <= utf8.MaxRune
}
