package transcode

// An abbreviation stands in a skeleton for what skeletons hold again and again. Like a mark it is a byte that XML cannot
// contain.
type abbreviation struct {
	short byte
	long  string
}

// abbreviations, those first that begin like shorter ones.
var abbreviations = [...]abbreviation{
	{0x07, " xmlns='http://jabber.org/protocol/"},
	{0x0B, " xmlns='urn:xmpp:"},
	{0x0C, " xmlns='"},
	{0x0E, "http://jabber.org/protocol/"},
	{0x0F, "urn:xmpp:"},
	{0x10, "<body>\x01</body>"},
	{0x11, "'/>"},
	{0x12, "' id='"},
}

// longForms is abbreviations by byte.
var longForms = func() (long [0x13]string) {
	for _, a := range abbreviations {
		long[a.short] = a.long
	}
	return long
}()

// longestSkeleton is how large a skeleton may be without its abbreviations; no stream takes a larger stanza.
const longestSkeleton = 512 << 10

// abbreviate shortens skeleton in its place.
func abbreviate(skeleton []byte) []byte {
	out := skeleton[:0]
	for i := 0; i < len(skeleton); {
		c, n := skeleton[i], 1
		switch c {
		case ' ', '\'', '<', 'h', 'u':
			for j := range abbreviations {
				long := abbreviations[j].long
				if long[0] == c && len(skeleton)-i >= len(long) && string(skeleton[i:i+len(long)]) == long {
					c, n = abbreviations[j].short, len(long)
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
	done := 0
	for i, c := range skeleton {
		if int(c) >= len(longForms) || longForms[c] == "" {
			continue
		}
		dst = append(append(dst, skeleton[done:i]...), longForms[c]...)
		if done = i + 1; len(dst) > longestSkeleton {
			return nil, contradiction("%s is longer than %d bytes", varXML, longestSkeleton)
		}
	}
	return append(dst, skeleton[done:]...), nil
}
