package xmpp

import (
	"unicode/utf8"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// AppendText appends text as XML character data. What XML cannot hold, control characters and bytes that are not UTF-8,
// becomes U+FFFD; carriage returns become references, since a reader would take them for line ends.
func AppendText(dst []byte, text string) []byte { return appendEscaped(dst, text, &textEscapes) }

// AppendValue appends text as the value of an attribute in single or double quotes, as AppendText does; tabs and line
// ends become references, since a reader would take them for spaces.
func AppendValue(dst []byte, text string) []byte { return appendEscaped(dst, text, &valueEscapes) }

// escapes says what is written for each byte; "" is the byte itself. Bytes of longer characters are not looked up.
type escapes [utf8.RuneSelf]string

var textEscapes, valueEscapes = func() (text, value escapes) {
	for c := range ' ' {
		text[c] = "\uFFFD"
	}
	text['\t'], text['\n'], text['\r'] = "", "", "&#13;"
	text['&'], text['<'], text['>'] = "&amp;", "&lt;", "&gt;"
	value = text
	value['\t'], value['\n'] = "&#9;", "&#10;"
	value['\''], value['"'] = "&apos;", "&quot;"
	return text, value
}()

func appendEscaped(dst []byte, text string, escape *escapes) []byte {
	done := 0
	for i := 0; i < len(text); {
		n, instead := 1, ""
		if c := text[i]; c < utf8.RuneSelf {
			instead = escape[c]
		} else {
			var r rune
			r, n = utf8.DecodeRuneInString(text[i:])
			if n == 1 || !xmlscan.IsChar(r) {
				instead = "\uFFFD"
			}
		}
		if instead != "" {
			dst = append(append(dst, text[done:i]...), instead...)
			done = i + n
		}
		i += n
	}
	return append(dst, text[done:]...)
}
