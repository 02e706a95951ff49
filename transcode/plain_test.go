package transcode_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Private variables are neither sent to nor believed from peers outside the profile.
func TestPlainPeers(t *testing.T) {
	conv := &transcode.Converter{Plain: true}
	for _, s := range stanzaSeeds {
		stanza, err := xmpp.Parse([]byte(s))
		if err != nil {
			continue
		}
		for _, syntax := range []psyc.Syntax{psyc.PSYC10, psyc.PSYC09} {
			conv.Syntax = syntax
			p, err := conv.Packet(stanza)
			if err != nil {
				t.Errorf("%s: %v", s, err)
				continue
			}
			for _, v := range p.Entity {
				if strings.HasPrefix(v.Name, "_resource") || strings.HasPrefix(v.Name, "_encoding_jabber") ||
					strings.HasPrefix(v.Name, "_jabber") && !(v.Name == "_jabber_XML" && strings.HasPrefix(p.Method, "_jabber_")) {
					t.Errorf("%s: %s sent", s, v.Name)
				}
			}
			if bytes.ContainsAny([]byte(show(p)), "\x01\x02\x03\x04") {
				t.Errorf("%s: mark sent: %q", s, show(p))
			}
		}
	}
	// As a place of psyced casts what one of ours said there.
	s, err := conv.Stanza(parse10(t, ":_context\tpsyc://psyced.example/@welcome\n:_source_relay\tpsyc://a.example/~carl\n\n"+
		":_nick\tcarl\n:_resource_source\tHome\n:_jabber_XML\t<body/><x xmlns='urn:x'/>\n"+
		":_jabber_attributes\tfrom='carl@a.example/Home' to='ben@b.example'\n_message_public\nhello\n|\n"))
	if err != nil {
		t.Fatal(err)
	}
	xml := string(s.Append(nil))
	if s.From.String() != "*welcome@psyced.example/carl" || s.Text("body") != "hello" || s.Type != "groupchat" {
		t.Errorf("got %s", xml)
	}
	e, _ := s.Child("urn:x-switchyard:packet:0", "packet")
	content, err := base64.StdEncoding.DecodeString(e.Text())
	if err != nil || strings.Contains(xml, "Home") || bytes.Contains(content, []byte("Home")) {
		t.Errorf("resource leaks: %s %s %v", xml, content, err)
	}
}

// With plain peers messages and presence have no tag, and no id is taken from what a message replies to.
func TestTags(t *testing.T) {
	plain := &transcode.Converter{Plain: true}
	for _, xml := range []string{
		`<message to='ben@b.example' id='m' type='chat'><body>x</body></message>`,
		`<presence to='ben@b.example' id='m'/>`,
		`<presence to='ben@b.example' id='m' type='subscribe'/>`,
	} {
		if p := packet(t, plain, xml); p.Routing.Get("_tag") != nil {
			t.Errorf("%s: %s", xml, show(p))
		}
	}
	for _, method := range []string{"_message_private\nhi", "_notice_presence_here", "_status_presence_here", "_notice_x"} {
		for _, conv := range []*transcode.Converter{plain, {}} {
			for _, tag := range []string{"_tag_relay", "_tag_reply"} {
				s, err := conv.Stanza(parse10(t, ":_source\tpsyc://a.example/~ann\n:"+tag+"\tPRES17\n\n"+method+"\n|\n"))
				if err != nil || s.ID != "" {
					t.Errorf("%s %s: id %q, %v", method, tag, s.ID, err)
				}
			}
		}
	}
	var conv transcode.Converter
	for _, test := range []struct{ xml, name string }{
		{`<message id='1'><body>x</body></message>`, "_tag"},
		{`<message id='1' type='error'/>`, "_tag_relay"},
		{`<presence id='1'/>`, "_tag"},
		{`<presence id='1' type='error'/>`, "_tag_relay"},
		{`<iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`, "_tag"},
		{`<iq id='1' type='set'><x xmlns='urn:x'/></iq>`, "_tag"},
		{`<iq id='1' type='result'/>`, "_tag_relay"},
		{`<iq id='1' type='error'/>`, "_tag_relay"},
	} {
		conv.Syntax = psyc.PSYC10
		if p := packet(t, &conv, test.xml); string(p.Routing.Get(test.name)) != "1" {
			t.Errorf("%s: %s", test.xml, show(p))
		}
		conv.Syntax = psyc.PSYC09
		name := strings.Replace(test.name, "_relay", "_reply", 1)
		if p := packet(t, &conv, test.xml); string(p.Routing.Get(name)) != "1" {
			t.Errorf("%s: %s", test.xml, show(p))
		}
	}
}

// What XML can be folded reaches a peer with short lines and means the same there; what cannot is refused.
func TestPlainLinesAreFolded(t *testing.T) {
	conv := &transcode.Converter{Syntax: psyc.PSYC09, Plain: true}
	const iq = `<iq from='ann@a.example' to='ben@b.example' id='1' type='set'>`
	for _, child := range []string{
		"<q xmlns='urn:q'>" + strings.Repeat("<item name='a  b' value=\"1>2\"/>", 300) + "</q>",
		"<q xmlns='urn:q'>" + strings.Repeat("<item>some text, and &lt;more&gt;</item>", 300) + "</q>",
	} {
		s := parseStanza(t, iq+child+"</iq>")
		p, err := conv.Packet(s)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := p.Append(nil, psyc.PSYC09)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(wire), "\n") {
			if len(line) > 2047 {
				t.Errorf("line of %d bytes", len(line))
			}
		}
		var q psyc.Packet
		if _, err := q.Parse(wire, psyc.PSYC09); err != nil {
			t.Fatal(err)
		}
		back, err := conv.Stanza(&q)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tree(t, back), tree(t, s); got != want {
			t.Errorf("got %.200s", got)
		}
	}
	for _, child := range []string{
		"<PHOTO xmlns='urn:q'>" + strings.Repeat("QUJD", 2000) + "</PHOTO>",
		"<q xmlns='urn:q' a='" + strings.Repeat("a b ", 2000) + "'/>",
	} {
		if _, err := conv.Packet(parseStanza(t, iq+child+"</iq>")); !errors.Is(err, xmpp.PolicyViolation) {
			t.Errorf("%.40s: %v", child, err)
		}
	}
}

// tree returns what the children of a stanza mean, in one spelling.
func tree(t *testing.T, s *xmpp.Stanza) string {
	t.Helper()
	var out strings.Builder
	for e := range s.Children() {
		doc := etree.NewDocumentWithRoot(e.Tree())
		text, err := doc.WriteToString()
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(text)
	}
	return out.String()
}
