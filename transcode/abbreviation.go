package transcode

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

// candidates are the abbreviations that may begin with a byte.
var candidates = func() (by [256][]abbreviation) {
	for _, a := range abbreviations {
		by[a.long[0]] = append(by[a.long[0]], a)
	}
	return by
}()

// begins tells which bytes an abbreviation may begin with.
var begins = func() (first [256]bool) {
	for _, a := range abbreviations {
		first[a.long[0]] = true
	}
	return first
}()

// longestSkeleton is how large children may become by abbreviations; no stream takes a larger stanza.
const longestSkeleton = 512 << 10

// abbreviate shortens skeleton in its place.
func abbreviate(skeleton []byte) []byte {
	out, done := skeleton[:0], 0
	for i := 0; i < len(skeleton); i++ {
		if !begins[skeleton[i]] {
			continue
		}
		of, rest := candidates[skeleton[i]], skeleton[i:]
		for j := range of {
			if long := of[j].long; len(rest) >= len(long) && rest[1] == long[1] && string(rest[:len(long)]) == string(long) {
				out = append(append(out, skeleton[done:i]...), of[j].short)
				done = i + len(long)
				i = done - 1
				break
			}
		}
	}
	return append(out, skeleton[done:]...)
}
