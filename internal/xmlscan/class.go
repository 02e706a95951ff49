package xmlscan

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
