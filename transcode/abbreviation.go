package transcode

import "bytes"

// Abbreviations stand in a skeleton for what skeletons hold again and again. Like marks they are bytes that XML cannot
// contain.
var abbreviations = [...]struct {
	short byte
	long  string
}{
	{0x07, " xmlns='http://jabber.org/protocol/"},
	{0x0B, " xmlns='urn:xmpp:"},
	{0x0C, " xmlns='"},
	{0x0E, "http://jabber.org/protocol/"},
	{0x0F, "urn:xmpp:"},
}

// longestSkeleton is how large a skeleton may be without its abbreviations; no stream takes a larger stanza.
const longestSkeleton = 512 << 10

// abbreviate shortens skeleton in its place.
func abbreviate(skeleton []byte) []byte {
	out := skeleton[:0]
	for i := 0; i < len(skeleton); {
		c, n := skeleton[i], 1
		if c == ' ' || c == 'h' || c == 'u' {
			for _, a := range &abbreviations {
				if a.long[0] == c && len(skeleton)-i >= len(a.long) && string(skeleton[i:i+len(a.long)]) == a.long {
					c, n = a.short, len(a.long)
					break
				}
			}
		}
		out = append(out, c)
		i += n
	}
	return out
}

// unabbreviate appends what abbreviate shortened.
func unabbreviate(dst, skeleton []byte) ([]byte, error) {
	if bytes.ContainsAny(skeleton, "\x07\x0B\x0C\x0E\x0F") {
		for _, c := range skeleton {
			dst = appendLong(dst, c)
			if len(dst) > longestSkeleton {
				return nil, contradiction("%s is longer than %d bytes", varXML, longestSkeleton)
			}
		}
		return dst, nil
	}
	return append(dst, skeleton...), nil
}

func appendLong(dst []byte, c byte) []byte {
	for i := range abbreviations {
		if abbreviations[i].short == c {
			return append(dst, abbreviations[i].long...)
		}
	}
	return append(dst, c)
}
