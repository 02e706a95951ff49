package transcode

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/switchyard-im/switchyard/xmpp"
)

// appendAttribute appends one attribute to the value of _jabber_attributes: name='value', one blank between two.
func appendAttribute(dst []byte, name, value string) []byte {
	if len(dst) > 0 {
		dst = append(dst, ' ')
	}
	dst = append(append(dst, name...), "='"...)
	return append(xmpp.AppendValue(dst, value), '\'')
}

// maxAttributes is how many attributes may stand in _jabber_attributes: more than any stanza has.
const maxAttributes = 256

// parseAttributes reads the value of _jabber_attributes. Either quote may surround a value, and white space may stand
// where XML allows it; what the names may be is left to the scanner, which reads the whole stanza afterwards. As
// each name is compared with those before it, there must not be too many.
func parseAttributes(dst []xmpp.Attr, v []byte) ([]xmpp.Attr, error) {
	for {
		v = bytes.TrimLeft(v, " \t\n")
		if len(v) == 0 {
			return dst, nil
		}
		eq := bytes.IndexByte(v, '=')
		if eq <= 0 {
			return nil, contradiction("%s: no '=' after %q", varAttributes, cut(v))
		}
		name := string(bytes.TrimRight(v[:eq], " \t\n"))
		if strings.ContainsAny(name, " \t\n\r<>&'\"/=") || !utf8.ValidString(name) {
			return nil, contradiction("%s: %q is no name", varAttributes, cut(v[:eq]))
		}
		v = bytes.TrimLeft(v[eq+1:], " \t\n")
		if len(v) == 0 || v[0] != '\'' && v[0] != '"' {
			return nil, contradiction("%s: value of %s has no quotes", varAttributes, name)
		}
		end := bytes.IndexByte(v[1:], v[0])
		if end < 0 {
			return nil, contradiction("%s: value of %s has no end", varAttributes, name)
		}
		value, ok := unescapeAttr(v[1 : end+1])
		if !ok {
			return nil, contradiction("%s: value of %s is no attribute value", varAttributes, name)
		}
		if len(dst) == maxAttributes {
			return nil, contradiction("%s: more than %d", varAttributes, maxAttributes)
		}
		for _, a := range dst {
			if a.Name == name {
				return nil, contradiction("%s: %s occurs twice", varAttributes, name)
			}
		}
		dst = append(dst, xmpp.Attr{Name: name, Value: value})
		v = v[end+2:]
		if len(v) > 0 && v[0] != ' ' && v[0] != '\t' && v[0] != '\n' {
			return nil, contradiction("%s: no blank after %s", varAttributes, name)
		}
	}
}

// cut shortens what an error quotes.
func cut(b []byte) []byte { return b[:min(len(b), 40)] }

// unescapeAttr resolves the references of an attribute value.
func unescapeAttr(raw []byte) (string, bool) {
	if bytes.IndexByte(raw, '<') >= 0 || !utf8.Valid(raw) {
		return "", false
	}
	for i, c := range raw {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xEF && raw[i+1] == 0xBF && raw[i+2] >= 0xBE {
			return "", false
		}
	}
	if bytes.IndexByte(raw, '&') < 0 {
		return string(raw), true
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '&' {
			out = append(out, raw[i])
			i++
			continue
		}
		if c, _, n := namedReference(raw[i:]); n > 0 {
			out = append(out, c)
			i += n
			continue
		}
		r, n := numericReference(raw[i:])
		if n == 0 {
			return "", false
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return string(out), true
}

// numericReference reads the character reference at the start of b and its length, 0 if there is none that XML 1.0
// allows.
func numericReference(b []byte) (r rune, n int) {
	if !bytes.HasPrefix(b, []byte("&#")) {
		return 0, 0
	}
	base, i := rune(10), 2
	if len(b) > 2 && b[2] == 'x' {
		base, i = 16, 3
	}
	first := i
	for ; i < len(b) && b[i] != ';'; i++ {
		d := rune(-1)
		switch c := b[i]; {
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case base == 16 && 'a' <= c|0x20 && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		}
		if d < 0 {
			return 0, 0
		}
		r = r*base + d
		if r > utf8.MaxRune {
			return 0, 0
		}
	}
	if i == first || i == len(b) || !utf8.ValidRune(r) || r == 0xFFFE || r == 0xFFFF ||
		r < ' ' && r != '\t' && r != '\n' && r != '\r' {
		return 0, 0
	}
	return r, i + 1
}
