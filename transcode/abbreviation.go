package transcode

import (
	"bytes"
	"math/bits"
)

// An abbreviation stands in a skeleton for what skeletons hold again and again. Like a mark it is a byte that XML cannot
// contain.
type abbreviation struct {
	short byte
	rare  int // where in long two bytes stand that are rare together
	long  []byte
}

// abbreviations, those first that begin like shorter ones.
var abbreviations = [...]abbreviation{
	{0x07, 0, []byte(" xmlns='http://jabber.org/protocol/")},
	{0x0B, 0, []byte(" xmlns='urn:xmpp:")},
	{0x0C, 0, []byte(" xmlns='")},
	{0x0E, 0, []byte("http://jabber.org/protocol/")},
	{0x0F, 0, []byte("urn:xmpp:")},
	{0x10, 0, []byte("<body>\x01</body>")},
	{0x11, 0, []byte("'/>")},
	{0x12, 1, []byte("' id='")},
}

// longForms is abbreviations by byte.
var longForms = func() (long [0x20][]byte) {
	for _, a := range abbreviations {
		long[a.short] = a.long
	}
	return long
}()

// holdMarks tells which of them hold a mark.
var holdMarks = func() (marked [0x20]bool) {
	for short, long := range longForms {
		marked[short] = bytes.ContainsFunc(long, func(r rune) bool { return r <= marks })
	}
	return marked
}()

// firsts and seconds tell which abbreviations have a byte as the first or the second of their rare ones: one bit for each.
var firsts, seconds = func() (first, second [256]uint8) {
	for i, a := range abbreviations {
		first[a.long[a.rare]] |= 1 << i
		second[a.long[a.rare+1]] |= 1 << i
	}
	return first, second
}()

// longestSkeleton is how large children may become by abbreviations; no stream takes a larger stanza.
const longestSkeleton = 512 << 10

// abbreviate shortens skeleton in its place. This is a large part of what a conversion costs, so it looks at four places
// at a time for two bytes with which a long form is recognised.
func abbreviate(skeleton []byte) []byte {
	out, done := skeleton[:0], 0
	for i := 0; i+1 < len(skeleton); i++ {
		for ; len(skeleton)-i > 4; i += 4 {
			b := skeleton[i : i+5 : i+5]
			if firsts[b[0]]&seconds[b[1]]|firsts[b[1]]&seconds[b[2]]|firsts[b[2]]&seconds[b[3]]|firsts[b[3]]&seconds[b[4]] != 0 {
				break
			}
		}
		if i+1 == len(skeleton) {
			break
		}
		for may := firsts[skeleton[i]] & seconds[skeleton[i+1]]; may != 0; may &= may - 1 {
			a := &abbreviations[bits.TrailingZeros8(may)]
			if start := i - a.rare; start >= done && bytes.HasPrefix(skeleton[start:], a.long) {
				out = append(append(out, skeleton[done:start]...), a.short)
				done = start + len(a.long)
				i = done - 1
				break
			}
		}
	}
	return append(out, skeleton[done:]...)
}
