package transcode

import "bytes"

// Abbreviations stand in a skeleton for what skeletons hold again and again. Like marks they are bytes that XML cannot
// contain.
const (
	shortProtocolSpace = 0x07
	shortURNSpace      = 0x0B
	shortSpace         = 0x0C
	shortProtocol      = 0x0E
	shortURN           = 0x0F
	shortBody          = 0x10
	shortEmpty         = 0x11
	shortID            = 0x12
)

const (
	longSpace    = " xmlns='"
	longProtocol = "http://jabber.org/protocol/"
	longURN      = "urn:xmpp:"
	longEmpty    = "'/>"
	longID       = "' id='"
	bodyOpen     = "<body>"
	bodyClose    = "</body>"
)

// longForms are what abbreviations stand for.
var longForms = [0x20][]byte{
	shortProtocolSpace: []byte(longSpace + longProtocol),
	shortURNSpace:      []byte(longSpace + longURN),
	shortSpace:         []byte(longSpace),
	shortProtocol:      []byte(longProtocol),
	shortURN:           []byte(longURN),
	shortBody:          []byte(bodyOpen + "\x01" + bodyClose),
	shortEmpty:         []byte(longEmpty),
	shortID:            []byte(longID),
}

// longestSkeleton is how large children may become by abbreviations; no stream takes a larger stanza.
const longestSkeleton = 512 << 10

// appendShort appends a part of the children in which nothing is marked to a skeleton, abbreviated. What can be nearly always
// stands at a single quote: nothing else is looked at.
func appendShort(dst, xml []byte) []byte {
	for done, at := 0, 0; ; {
		n := bytes.IndexByte(xml[at:], '\'')
		if n < 0 {
			return append(dst, xml[done:]...)
		}
		at += n
		short, from, to := shortAt(xml, done, at)
		if short == 0 {
			at++
			continue
		}
		dst = append(append(dst, xml[done:from]...), short)
		done, at = to, to
	}
}

// shortAt returns the abbreviation at the quote xml[at], 0 if there is none, and where in xml, behind done, its long form is.
func shortAt(xml []byte, done, at int) (short byte, from, to int) {
	behind, next := xml[at+1:], byte(0)
	if len(behind) > 0 {
		next = behind[0]
	}
	switch {
	case next == '/' && bytes.HasPrefix(xml[at:], []byte(longEmpty)):
		return shortEmpty, at, at + len(longEmpty)
	case next == ' ' && bytes.HasPrefix(xml[at:], []byte(longID)):
		return shortID, at, at + len(longID)
	}
	from, to = at+1, at+1
	protocol, urn := byte(shortProtocol), byte(shortURN)
	if start := to - len(longSpace); start >= done && string(xml[start:to]) == longSpace {
		short, from = shortSpace, start
		protocol, urn = shortProtocolSpace, shortURNSpace
	}
	switch {
	case next == 'h' && bytes.HasPrefix(behind, []byte(longProtocol)):
		return protocol, from, to + len(longProtocol)
	case next == 'u' && bytes.HasPrefix(behind, []byte(longURN)):
		return urn, from, to + len(longURN)
	}
	return short, from, to
}
