package transcode_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// No line of 0.9 output ends, edits or begins anything of its own.
func TestLinesCannotInject(t *testing.T) {
	long := strings.Repeat("x", 5000)
	texts := []string{
		"hello&#13;.&#13;:_source&#9;psyc://p1.test/~admin&#13;",
		"y&#127;.", ".", "a\n.\nb", "\n.\n", long + "\n.", strings.Repeat("y", 2047) + ".",
		"a&#13;&#10;.&#13;&#10;_message_private", "\r.\r", "&#9;.", " .",
	}
	for _, text := range texts {
		for _, xml := range []string{
			`<message from='ann@a.example' to='ben@b.example' type='chat'><body>` + text + `</body></message>`,
			`<message from='ann@a.example' to='ben@b.example' type='chat'><body>x</body><subject>` + text + `</subject></message>`,
			`<message from='ann@a.example' to='ben@b.example' type='chat'><body>x</body><nick xmlns='http://jabber.org/protocol/nick'>` + text + `</nick></message>`,
			`<presence from='ann@a.example' to='ben@b.example'><status>` + text + `</status></presence>`,
			`<message type='error' from='ann@a.example' to='ben@b.example'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>` + text + `</text></error></message>`,
			`<iq from='ann@a.example' to='ben@b.example' id='1' type='get'><query xmlns='http://jabber.org/protocol/disco#info' node='` + text + `'/></iq>`,
			`<iq from='ann@a.example' to='ben@b.example' id='` + text + `' type='set'><query xmlns='urn:q'>` + text + `</query></iq>`,
		} {
			for _, plain := range []bool{false, true} {
				conv := &transcode.Converter{Syntax: psyc.PSYC09, Plain: plain}
				p, err := conv.Packet(parseStanza(t, xml))
				if err != nil {
					if !plain || !errors.Is(err, xmpp.PolicyViolation) || !errors.Is(err, psyc.ErrNotRepresentable) {
						t.Errorf("%.80q: %v", xml, err)
					}
					continue
				}
				r := psyc.Renderer{Syntax: psyc.PSYC09, Exact: !plain, Line: -1}
				if plain {
					r.Line = 0
				}
				wire, err := r.Append(nil, p)
				if err != nil {
					t.Errorf("plain %v, %.80q: %v", plain, xml, err)
					continue
				}
				forbidden := func(c byte) bool { return bytes.IndexByte(wire, c) >= 0 }
				if forbidden(0) || forbidden('\b') || forbidden('\r') || forbidden(0xFF) || plain && forbidden(0x7F) {
					t.Errorf("plain %v: forbidden byte in %.200q", plain, wire)
				}
				lines := strings.Split(strings.TrimSuffix(string(wire), "\n"), "\n")
				for i, l := range lines {
					if (l == ".") != (i == len(lines)-1) || plain && len(l) > 2047 {
						t.Errorf("plain %v: line %d of %.200q", plain, i, wire)
					}
				}
			}
		}
		checkStanza(t, []byte(`<message to='ben@b.example' type='chat'><body>`+text+`</body></message>`), converters())
	}
}

// A text that lines cannot hold is displayed in a form that they can.
func TestDegradedDisplay(t *testing.T) {
	for _, test := range []struct {
		plain      bool
		xml, shown string
	}{
		{false, ".", ". "},
		{false, "a\n.\nb", "a\n. \nb"},
		{false, "a&#13;b", "a\nb"},
		{false, "a&#13;&#10;b", "a\nb"},
		{false, "a&#127;b", "a\uFFFDb"},
		{true, "a&#127;b", "a\uFFFDb"},
		{true, strings.Repeat("ä", 1000), strings.Repeat("ä", 950) + "\n" + strings.Repeat("ä", 50)},
	} {
		conv := &transcode.Converter{Syntax: psyc.PSYC09, Plain: test.plain}
		p := packet(t, conv, `<message to='ben@b.example' type='chat'><body>`+test.xml+`</body></message>`)
		if p.Method != "_message_private" || string(p.Body) != test.shown {
			t.Errorf("%q: %s %q, want %q", test.xml, p.Method, p.Body, test.shown)
		}
	}
}

// What lines could not hold is displayed otherwise than it is, which is no contradiction.
func TestDegradedDisplayIsNoContradiction(t *testing.T) {
	s, err := new(transcode.Converter).Stanza(parse10(t, annToBen+":_color\tred\n:_jabber_XML\t<body>.</body>\n_message_private\n. \n|\n"))
	if err != nil || s.Text("body") != "." {
		t.Errorf("%v, %v", s, err)
	}
}
