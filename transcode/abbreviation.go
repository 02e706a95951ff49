package transcode

import "bytes"

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
var longForms = func() (long [0x13][]byte) {
	for _, a := range abbreviations {
		long[a.short] = a.long
	}
	return long
}()

// begins tells which bytes an abbreviation may begin with.
var begins = func() (first [256]bool) {
	for _, a := range abbreviations {
		first[a.long[0]] = true
	}
	return first
}()

// longestSkeleton is how large a skeleton may be without its abbreviations; no stream takes a larger stanza.
const longestSkeleton = 512 << 10

// abbreviate shortens skeleton in its place.
func abbreviate(skeleton []byte) []byte {
	out, done := skeleton[:0], 0
	for i := 0; i+2 < len(skeleton); i++ {
		if !begins[skeleton[i]] {
			continue
		}
		switch c, next := skeleton[i], skeleton[i+1]; { // which tells nearly always that nothing begins here
		case c == ' ' && next == 'x', c == '\'' && (next == '/' || next == ' '), c == '<' && next == 'b',
			c == 'h' && next == 't', c == 'u' && next == 'r':
		default:
			continue
		}
		for j := range abbreviations {
			if a := &abbreviations[j]; bytes.HasPrefix(skeleton[i:], a.long) {
				out = append(append(out, skeleton[done:i]...), a.short)
				done = i + len(a.long)
				i = done - 1
				break
			}
		}
	}
	return append(out, skeleton[done:]...)
}

// unabbreviate appends what abbreviate shortened.
func unabbreviate(dst, skeleton []byte) ([]byte, error) {
	done := 0
	for i, c := range skeleton {
		if c >= ' ' || int(c) >= len(longForms) || longForms[c] == nil {
			continue
		}
		dst = append(append(dst, skeleton[done:i]...), longForms[c]...)
		if done = i + 1; len(dst) > longestSkeleton {
			return nil, contradiction("%s is longer than %d bytes", varXML, longestSkeleton)
		}
	}
	return append(dst, skeleton[done:]...), nil
}
