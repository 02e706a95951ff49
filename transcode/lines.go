package transcode

import (
	"bytes"
	"unicode/utf8"

	"github.com/switchyard-im/switchyard/psyc"
)

// PSYC 0.9 consists of lines and has no escapes. What a line cannot hold must not be taken out of the XML; it is shown
// in a degraded form, which nobody reads back.

// psycedLine is how long the lines are that we make for psyced, whose driver cuts at 2048 bytes: room is left for the
// name of a variable.
const psycedLine = 1900

// renderer returns what renders packets in this form.
func (f form) renderer() psyc.Renderer {
	r := psyc.Renderer{Syntax: f.syntax}
	if !f.plain {
		r.Line, r.Exact = -1, true
	}
	return r
}

// fitsLines reports whether all bytes of text arrive as they are in lines.
func fitsLines(text []byte) bool { return prefixOf(text, inLines) == len(text) }

// fitsValue reports whether text may be the value of a variable: continuation lines begin with a tab, so that any line
// will do, but blanks before the first are lost.
func fitsValue(text []byte) bool {
	return fitsLines(text) && (len(text) == 0 || text[0] != ' ' && text[0] != '\t')
}

// fitsBody reports whether text may be a body: no line may be a delimiter.
func fitsBody(text []byte) bool {
	if !fitsLines(text) {
		return false
	}
	for i := bytes.IndexByte(text, '.'); i >= 0; {
		if (i == 0 || text[i-1] == '\n') && (i+1 == len(text) || text[i+1] == '\n') {
			return false
		}
		n := bytes.IndexByte(text[i+1:], '.')
		if n < 0 {
			break
		}
		i += 1 + n
	}
	return true
}

// degrade returns text as it may be shown in PSYC 0.9: control characters become U+FFFD, carriage returns line feeds, a
// lone dot gets a blank behind it, and where short is asked for long lines are broken. Doing it twice changes nothing.
func degrade(text []byte, short bool) []byte {
	text = bytes.TrimLeft(text, " \t")
	out := make([]byte, 0, len(text)+8)
	start := 0 // of the line
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		c := text[:n]
		text = text[n:]
		switch {
		case r == '\r':
			if len(text) > 0 && text[0] == '\n' {
				continue
			}
			out = append(out, '\n')
			start = len(out)
		case r == '\n':
			out = append(out, '\n')
			start = len(out)
		case r == '\t':
			out = append(out, '\t')
		case r < ' ' || r == 0x7F || r == utf8.RuneError && n == 1:
			out = append(out, "\uFFFD"...)
		default:
			if short && len(out)-start+n > psycedLine {
				out = append(out, '\n')
				start = len(out)
			}
			out = append(out, c...)
		}
	}
	return blankDots(out)
}

// blankDots puts a blank behind each dot that is a line of its own.
func blankDots(text []byte) []byte {
	if fitsBody(text) {
		return text
	}
	lines := bytes.Split(text, []byte("\n"))
	for i, l := range lines {
		if len(l) == 1 && l[0] == '.' {
			lines[i] = []byte(". ")
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// fold breaks the lines of xml that are longer than most where XML has white space that means nothing: inside tags, at
// a blank between attributes or in front of the end. What has no such place stays long, and is not sent.
func fold(xml []byte, most int) []byte {
	out := make([]byte, 0, len(xml)+len(xml)/most+8)
	line, place, blank := 0, -1, false // start of the line, last place to break it, whether a blank is there
	tag, quote := false, byte(0)
	for i := 0; i < len(xml); i++ {
		c := xml[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\n':
			line, place = len(out)+1, -1
		case !tag && bytes.HasPrefix(xml[i:], []byte("<![CDATA[")):
			end := bytes.Index(xml[i:], []byte("]]>"))
			if end < 0 {
				return xml
			}
			out = append(out, xml[i:i+end+2]...)
			if n := bytes.LastIndexByte(out, '\n'); n >= line {
				line, place = n+1, -1
			}
			i += end + 2
			c = '>'
		case !tag:
			tag = c == '<'
		case c == '"', c == '\'':
			quote = c
		case c == ' ':
			place, blank = len(out), true
		case c == '>':
			if place = len(out); out[place-1] == '/' {
				place--
			}
			tag, blank = false, false
		}
		out = append(out, c)
		if len(out)-line > most && place >= line {
			if blank {
				out[place] = '\n'
			} else {
				out = append(out, 0)
				copy(out[place+1:], out[place:])
				out[place] = '\n'
			}
			line, place = place+1, -1
		}
	}
	return out
}

// singleLineEnds returns XML that means the same as xml, without carriage returns, which a parser takes for line feeds, with
// DEL as a reference, and without blanks in front.
func singleLineEnds(xml []byte) []byte {
	xml = bytes.TrimLeft(xml, " \t")
	if bytes.IndexByte(xml, '\r') >= 0 {
		xml = bytes.ReplaceAll(xml, []byte("\r\n"), []byte("\n"))
		xml = bytes.ReplaceAll(xml, []byte("\r"), []byte("\n"))
	}
	if bytes.IndexByte(xml, 0x7F) >= 0 {
		xml = bytes.ReplaceAll(xml, []byte{0x7F}, []byte("&#127;"))
	}
	return xml
}
