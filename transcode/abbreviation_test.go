package transcode

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestAbbreviate compares with what the rule says in so many words: from the left, the longest first.
func TestAbbreviate(t *testing.T) {
	parts := []string{
		" ", "'", "/>", "x", "h", "u", "<b", " xmlns=", " xmlns='", " id='", "' id=", "' id='", "'/>", "urn:", "urn:xmpp:",
		"http://jabber.org/", "http://jabber.org/protocol/", "<body>\x01</body>",
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var long, want []byte
		for range r.IntN(12) {
			long = append(long, parts[r.IntN(len(parts))]...)
		}
	rest:
		for i := 0; i < len(long); {
			for _, a := range abbreviations {
				if bytes.HasPrefix(long[i:], a.long) {
					want = append(want, a.short)
					i += len(a.long)
					continue rest
				}
			}
			want = append(want, long[i])
			i++
		}
		if got := abbreviate(bytes.Clone(long)); !bytes.Equal(got, want) {
			t.Fatalf("%q:\n got %q\nwant %q", long, got, want)
		}
	}
}
