package transcode

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestAppendShort(t *testing.T) {
	for long, want := range map[string]string{
		"":                         "",
		"'":                        "'",
		"<a/>":                     "<a/>",
		"<a b='c'/>":               "<a b='c\x11",
		"<a b='c' />":              "<a b='c' />",
		"<a b='c' id='d'><e/></a>": "<a b='c\x12d'><e/></a>",
		"<a xmlns='urn:a'/>":       "<a\x0Curn:a\x11",
		"<a xmlns=''/>":            "<a\x0C\x11",
		"<a xmlns='urn:xmpp:a'/>":  "<a\x0Ba\x11",
		"<a xmlns='http://jabber.org/protocol/a'/>":  "<a\x07a\x11",
		"<a b='http://jabber.org/protocol/a'/>":      "<a b='\x0Ea\x11",
		"<a b='urn:xmpp:a' xmlns='urn:xmpp:b'/>":     "<a b='\x0Fa'\x0Bb\x11",
		"<a xmlns=\"urn:xmpp:a\">urn:xmpp:b</a>":     "<a xmlns=\"urn:xmpp:a\">urn:xmpp:b</a>",
		"<a xmlns:b='urn:xmpp:b' c='urn:xmp' d='h'>": "<a xmlns:b='\x0Fb' c='urn:xmp' d='h'>",
	} {
		if got := appendShort(nil, []byte(long)); string(got) != want {
			t.Errorf("%s:\n got %q\nwant %q", long, got, want)
		}
	}
}

// TestAbbreviations checks that what is abbreviated is read as what it was.
func TestAbbreviations(t *testing.T) {
	parts := []string{
		" ", "'", "/>", "x", "h", "u", "<b", " xmlns=", " xmlns='", " id='", "' id=", "' id='", "'/>", "urn:", "urn:xmpp:",
		"http://jabber.org/", "http://jabber.org/protocol/", "<body></body>",
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var long []byte
		for range r.IntN(12) {
			long = append(long, parts[r.IntN(len(parts))]...)
		}
		short := appendShort([]byte("before"), long)
		var texts filling
		var at fill
		back, err := texts.fill(nil, short[len("before"):], &at, usualEscaping)
		if err != nil || !bytes.Equal(back, long) {
			t.Fatalf("%q:\nshort %q\n back %q, %v", long, short, back, err)
		}
	}
}
