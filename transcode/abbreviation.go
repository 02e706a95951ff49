package transcode

import (
	"bytes"
	"math/bits"
)

// An abbreviation stands in a skeleton for what skeletons hold again and again. Like a mark it is a byte that XML cannot
// contain.
type abbreviation struct {
	short byte
	long  []byte
}

// abbreviations, those first that begin like shorter ones.
var abbreviations = [...]abbreviation{
	{0x07, []byte(" xmlns='http://jabber.org/protocol/")},
	{0x0B, []byte(" xmlns='urn:xmpp:")},
	{0x0C, []byte(" xmlns='")},
	{0x0E, []byte("http://jabber.org/protocol/")},
	{0x0F, []byte("urn:xmpp:")},
	{0x10, []byte("<body>\x01</body>")},
	{0x11, []byte("'/>")},
	{0x12, []byte("' id='")},
}

// longForms is abbreviations by byte.
var longForms = func() (long [0x20][]byte) {
	for _, a := range abbreviations {
		long[a.short] = a.long
	}
	return long
}()

// firsts and seconds tell which abbreviations have a byte as the first or the second of their long form: one bit for each.
// Looking at two bytes together finds little but what is one.
var firsts, seconds = func() (first, second [256]uint8) {
	for i, a := range abbreviations {
		first[a.long[0]] |= 1 << i
		second[a.long[1]] |= 1 << i
	}
	return first, second
}()

// longestSkeleton is how large children may become by abbreviations; no stream takes a larger stanza.
const longestSkeleton = 512 << 10

// abbreviate shortens skeleton in its place.
func abbreviate(skeleton []byte) []byte {
	out, done, before := skeleton[:0], 0, byte(0)
	for i := 0; i < len(skeleton); i++ {
		may := firsts[before] & seconds[skeleton[i]]
		before = skeleton[i]
		for ; may != 0; may &= may - 1 {
			a := &abbreviations[bits.TrailingZeros8(may)]
			if start := i - 1; bytes.HasPrefix(skeleton[start:], a.long) {
				out = append(append(out, skeleton[done:start]...), a.short)
				done = start + len(a.long)
				i, before = done-1, 0
				break
			}
		}
	}
	return append(out, skeleton[done:]...)
}
