package transcode_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// parse10 reads a packet in the syntax 1.0.
func parse10(t *testing.T, wire string) *psyc.Packet {
	t.Helper()
	var p psyc.Packet
	if n, err := p.Parse([]byte(wire), psyc.PSYC10); err != nil || n != len(wire) {
		t.Fatalf("%q: %d, %v", wire, n, err)
	}
	return &p
}

// parseStanza reads a stanza.
func parseStanza(t *testing.T, xml string) *xmpp.Stanza {
	t.Helper()
	s, err := xmpp.Parse([]byte(xml))
	if err != nil {
		t.Fatalf("%s: %v", xml, err)
	}
	return s
}

// packet converts a stanza.
func packet(t *testing.T, conv *transcode.Converter, xml string) *psyc.Packet {
	t.Helper()
	p, err := conv.Packet(parseStanza(t, xml))
	if err != nil {
		t.Fatalf("%s: %v", xml, err)
	}
	return p
}

const annToBen = ":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n\n"

// Rule 1: no line of 0.9 output ends, edits or begins anything of its own.
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

// Rule 3: hollows are marked, so that no two stanzas give one packet.
func TestMarks(t *testing.T) {
	t.Run("distinct", func(t *testing.T) {
		var a, b transcode.Converter
		p := packet(t, &a, `<message to='b.example'><body xml:lang='de'/><body xml:lang='en'>hi</body></message>`)
		q := packet(t, &b, `<message to='b.example'><body xml:lang='de'>hi</body><body xml:lang='en'/></message>`)
		if p.Equal(q) {
			t.Error("two stanzas, one packet")
		}
		checkStanza(t, []byte(`<message to='b.example'><body/><body><![CDATA[x]]></body></message>`), converters())
		checkStanza(t, []byte(`<message to='b.example' type='chat'><body></body></message>`), converters())
		checkStanza(t, []byte(`<message to='b.example' type='chat'><body/></message>`), converters())
		checkStanza(t, []byte(`<message to='b.example'><foo xmlns='urn:x'><body>x</body></foo></message>`), converters())
	})
	for _, test := range []struct{ name, xml, rest string }{
		{"without text", "<body>\x01</body>", "_message_private"},
		{"unknown", "<body>\x05</body>", "_message_private\nx"},
		{"twice", "<body>\x01</body><body>\x01</body>", "_message_private\nx"},
		{"in another element", "<foo>\x01</foo>", "_message_private\nx"},
		{"in an attribute", "<body a='\x01'>\x01</body>", "_message_private\nx"},
		{"of another text", "<body>\x02</body>", ":_topic\tx\n_message_private\nx"},
		{"beside text", "<body>a\x01</body>", "_message_private\nx"},
		{"deeper", "<x xmlns='urn:x'><body>\x01</body></x>", "_message_private\nx"},
		{"in a foreign body", "<body xmlns='urn:x'>\x01</body>", "_message_private\nx"},
		{"in a verbatim form", "<body>\x01</body>", "_jabber_message_chat"},
		{"of status in a message", "<status>\x03</status>", ":_description_presence\tx\n_message_private\nx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refused(t, annToBen+":_jabber_XML\t"+test.xml+"\n"+test.rest+"\n|\n")
		})
	}
}

// refused checks that a packet contradicts itself.
func refused(t *testing.T, wire string) {
	t.Helper()
	s, err := new(transcode.Converter).Stanza(parse10(t, wire))
	var e *transcode.Error
	if !errors.As(err, &e) || e.Method != "_error_invalid_profile" || e.Condition != xmpp.BadRequest {
		if s != nil {
			t.Fatalf("%q became %s", wire, s.Append(nil))
		}
		t.Fatalf("%q: %v", wire, err)
	}
}

// embedded returns a message with an embedded packet.
func embedded(content string) string {
	return `<message from='mallory@a.example/x' to='ben@b.example' type='chat'><body>hi</body>` +
		`<packet xmlns='urn:x-switchyard:packet:0'>` + base64.StdEncoding.EncodeToString([]byte(content)) + `</packet></message>`
}

// Rule 4: an embedded packet says nothing that the stanza does not show, and commands nobody.
func TestEmbeddedPacketsCannotForge(t *testing.T) {
	for _, content := range []string{
		":_source\tpsyc://victim.example/~ceo\n\n_message_private\nhi\n|\n",
		"\n:_source\tpsyc://victim.example/~ceo\n_message_private\nhi\n|\n",
		"\n:_source_relay\tpsyc://victim.example/~ceo\n_message_private\nhi\n|\n",
		"\n:_source_identification\tpsyc://victim.example/~ceo\n_message_private\nhi\n|\n",
		"\n:_context\tpsyc://victim.example/@room\n_message_private\nhi\n|\n",
		"\n_request_friendship\n|\n",
		"\n_message_private\npay\n|\n",
		"\n=_list_members\t| psyc://a.example/~x\n_message_private\nhi\n|\n",
		"\n=_color\tred\n_message_private\nhi\n|\n",
		"\n+_color\tred\n_message_private\nhi\n|\n",
		"\n=\n_message_private\nhi\n|\n",
		"\n?\n_message_private\nhi\n|\n",
		"\n_request_circuit_shutdown\n|\n",
		"\n_request_authorization\n|\n",
		"\n:_using_modules\t| _state\n_message_private\nhi\n|\n",
		"\n:_counter\t7\n_message_private\nhi\n|\n",
		"\n:_audience\t1 2\n_message_private\nhi\n|\n",
		"\n:_list_audience\t| psyc://b.example/~x\n_message_private\nhi\n|\n",
		"\n:_INTERNAL_trust\t9\n_message_private\nhi\n|\n",
		"\n:_length\t3\n_message_private\nhi\n|\n",
		"\n:_tag_reply\tx\n_message_private\nhi\n|\n",
		"\n:_jabber_attributes\tfrom='ceo@victim.example'\n_message_private\nhi\n|\n",
		"\n:_resource_source\tother\n_message_private\nhi\n|\n",
		"\n:_jabber_XML\t<body>hi</body><x xmlns='urn:x'/>\n_message_private\nhi\n|\n",
		"\n:_color\tred\n_message_private\nhi\n|\n\n_request_friendship\n|\n",
	} {
		xml := embedded(content)
		for _, conv := range []*transcode.Converter{{}, {Syntax: psyc.PSYC09}, {Plain: true}} {
			p := packet(t, conv, xml)
			if s := p.Routing.Get("_source"); string(s) != "psyc://a.example/~mallory" {
				t.Errorf("%q: _source %s", content, s)
			}
			if p.Routing.Get("_context") != nil || p.Routing.Get("_source_relay") != nil {
				t.Errorf("%q: %s", content, show(p))
			}
			if p.Method != "_message_private" || string(p.Body) != "hi" || p.State != 0 {
				t.Errorf("%q: restored as %s", content, show(p))
			}
			for _, v := range p.Entity {
				switch v.Name {
				case "_resource_source", "_nick", "_jabber_XML":
				default:
					t.Errorf("%q: %s came through", content, v.Name)
				}
			}
		}
		checkStanza(t, []byte(xml), converters())
	}
}

// Rule 4, the honest case: what converts to this very stanza is restored.
func TestEmbeddedPacketsAreRestored(t *testing.T) {
	p := parse10(t, annToBen+":_color\tred\n:_nick\tAnn\n_message_private\nhi\n|\n")
	s, err := new(transcode.Converter).Stanza(p)
	if err != nil {
		t.Fatal(err)
	}
	xml := string(s.Append(nil))
	if !strings.Contains(xml, "<body>hi</body>") || !strings.Contains(xml, "<packet xmlns='urn:x-switchyard:packet:0'>") {
		t.Fatal(xml)
	}
	q := packet(t, new(transcode.Converter), xml)
	if essence(q) != essence(p) {
		t.Errorf("got %s", show(q))
	}
	// A server on the way that adds something makes an ordinary extension of it.
	touched := strings.Replace(xml, "</message>", "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='b.example'/></message>", 1)
	q = packet(t, new(transcode.Converter), touched)
	if q.Entity.Get("_color") != nil || string(q.Body) != "hi" {
		t.Errorf("got %s", show(q))
	}
	checkStanza(t, []byte(touched), converters())
}

// Rule 5: what a stanza says in part only, it carries whole; what it says whole carries no element.
func TestEmbeddingExactlyWhenNeeded(t *testing.T) {
	for _, test := range []struct {
		packet string
		want   bool
	}{
		{annToBen + ":_nick\tAnn\n_message_private\nhi\n|\n", false},
		{annToBen + ":_language\tde\n_message_private\nhi\n|\n", false},
		{annToBen + ":_degree_availability\t7\n_notice_presence_here\n|\n", false},
		{annToBen + "_request_friendship\n|\n", false},
		{annToBen + "_jabber_message_chat\n<x xmlns='urn:x'/>\n|\n", false},
		{annToBen + ":_color\tred\n_message_private\nhi\n|\n", true},
		{annToBen + ":_nick_target\tben\n_message_private\nhi\n|\n", true},
		{annToBen + ":_action\tsays\n_message_private\nhi\n|\n", true},
		{annToBen + ":_degree_availability\t7\n:_degree_mood\t8\n_notice_presence_here\n|\n", true},
		{annToBen + ":_degree_availability\t7\n_notice_presence_here\nPresence: [_nick] is available\n|\n", true},
		{annToBen + ":_time_idle\t30\n_status_person_present\n|\n", true},
		{annToBen + "_message_private_question\nhi?\n|\n", true},
		{strings.Replace(annToBen, "_source", "_context", 1) + "_message_private\nhi\n|\n", true},
	} {
		s, err := new(transcode.Converter).Stanza(parse10(t, test.packet))
		if err != nil {
			t.Fatalf("%q: %v", test.packet, err)
		}
		if _, got := s.Child("urn:x-switchyard:packet:0", "packet"); got != test.want {
			t.Errorf("%q: element %v, want %v: %s", test.packet, got, test.want, s.Append(nil))
		}
		checkPacket(t, parse10(t, test.packet), new(transcode.Converter), new(transcode.Converter))
	}
	// An iq has one child (RFC 6120 section 8.2.3).
	s, err := new(transcode.Converter).Stanza(parse10(t,
		strings.Replace(annToBen, "\n\n", "\n:_tag\tv1\n\n", 1)+":_nick\tAnn\n_request_version\nTell me.\n|\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(s.Raw()); got != "<query xmlns='jabber:iq:version'/>" {
		t.Errorf("iq with %s", got)
	}
}

// Rule 5: packets that contradict themselves are refused.
func TestContradictions(t *testing.T) {
	for _, rest := range []string{
		":_jabber_XML\t<body>b</body>\n_message_private\na",
		":_jabber_XML\t<x xmlns='urn:x'/>\n_message_private\na",
		":_jabber_XML\t<body>b</body><subject>s</subject>\n:_topic\tt\n_message_private\nb",
		":_jabber_XML\t<show>dnd</show>\n:_degree_availability\t7\n_notice_presence_here",
		":_jabber_XML\t<show>busy</show>\n:_degree_availability\t7\n_notice_presence_here",
		":_jabber_XML\t<status>b</status>\n:_description_presence\ta\n_notice_presence_here",
		":_jabber_XML\t<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>\n_error_rejected_access",
		":_jabber_XML\t<body>no error</body>\n_error_rejected_access",
		":_jabber_XML\t<body>b</body>\n:_jabber_XML\t<body>b</body>\n_message_private\nb",
		":_jabber_attributes\ttype='chat'\n_message\nb",
		":_jabber_attributes\ttype='error'\n_message\nb",
		":_jabber_attributes\ttype='x'\n_message_private\nb",
		":_jabber_attributes\ttype='error'\n_jabber_iq\n",
		":_jabber_attributes\txml:lang='de'\n:_language\ten\n_message_private\nb",
		":_jabber_escape\t'>\n:_jabber_XML\t<body>\x01</body><x xmlns='urn:x'/>\n_message_private\nb",
		":_encoding_jabber_XML\trot13\n:_jabber_XML\t<body>\x01</body>\n_message_private\nb",
		":_encoding_jabber_XML\tbase64\n_message_private\nb",
		":_encoding_jabber_XML\tbase64\n:_jabber_XML\t!\n_message_private\nb",
		":_jabber_namespace\turn:x\n_message_private\nb",
		":_jabber_prefix\tc\n_message_private\nb",
		":_jabber_prefix\tc\n:_jabber_attributes\txmlns:c='urn:x'\n_message_private\nb",
		":_jabber_prefix\ta b\n:_jabber_attributes\txmlns:c='jabber:server'\n_message_private\nb",
	} {
		refused(t, annToBen+rest+"\n|\n")
	}
	refused(t, strings.Replace(annToBen, "\n\n", "\n:_tag\tx\n\n", 1)+":_jabber_attributes\tid='y'\n_message_private\nb\n|\n")
	refused(t, strings.Replace(annToBen, "\n\n", "\n:_tag\tx\n\n", 1)+":_jabber_XML\t<q xmlns='urn:q'/>\n_request_version\n|\n")
}

// Rule 6: private variables are neither sent to nor believed from peers outside the profile.
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

// Rule 7: with plain peers messages and presence have no tag, and no id is taken from what a message replies to.
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

// Rule 17: only uniforms that their JID maps back to have one; TestLoss32Ports has more.
func TestUniformsWithoutJID(t *testing.T) {
	var conv transcode.Converter
	for _, u := range []string{"psyc://h.example/~*room", "psyc://u@h.example/", "psyc://h.example/$svc/x", "psyc://h.example/bob", "irc://h.example/x"} {
		if s, err := conv.Stanza(parse10(t, ":_source\t"+u+"\n\n_message_private\nhi\n|\n")); !errors.Is(err, xmpp.JIDMalformed) {
			t.Errorf("%s: %v, %v", u, s, err)
		}
	}
}

// Rule 21: routing values hold nothing but plain text, and only six variables are routing variables.
func TestRoutingValues(t *testing.T) {
	for _, id := range []string{
		"x&#10;|&#10;:_source&#9;psyc://a/~admin&#10;", " x", "x ", "a&#13;b", "&#127;", "&#x85;",
		strings.Repeat("i", 257), "a&#9;b",
	} {
		xml := `<message from='ann@a.example/ r ' to='ben@b.example' id='` + id + `' type='chat'><body>x</body></message>`
		for _, conv := range converters() {
			p := packet(t, conv, xml)
			if p.Routing.Get("_tag") != nil {
				t.Errorf("%q in a routing value", id)
			}
			if a := p.Entity.Get("_jabber_attributes"); bytes.ContainsAny(a, "\r\n\t") || !bytes.Contains(a, []byte("id='")) {
				t.Errorf("%q: attributes %q", id, a)
			}
		}
		checkStanza(t, []byte(xml), converters())
	}
	var conv transcode.Converter
	for _, s := range stanzaSeeds {
		stanza, err := xmpp.Parse([]byte(s))
		if err != nil {
			continue
		}
		p, err := conv.Packet(stanza)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range p.Routing {
			switch v.Name {
			case "_source", "_target", "_tag", "_tag_relay":
			default:
				t.Errorf("%s: routing variable %s", s, v.Name)
			}
		}
	}
}

// Rule 22: circuit packets are no stanzas.
func TestCircuitPackets(t *testing.T) {
	var conv transcode.Converter
	for _, wire := range []string{
		"|\n", "\n_notice_circuit_established\nHello.\n|\n", "\n:_using_modules\t| _state\n|\n",
		"\n:_uniform_source\tpsyc://a.example/\n_request_authorization\n|\n",
	} {
		if s, err := conv.Stanza(parse10(t, wire)); err == nil {
			t.Errorf("%q became %s", wire, s.Append(nil))
		}
	}
}

// Rule 23: whatever a packet holds, what comes out is well-formed, in every place where a value can end up.
func TestMarkupCannotBeInjected(t *testing.T) {
	var conv transcode.Converter
	for _, value := range []string{"</body><x xmlns='urn:x'/>", "'/><x/>", "&evil;", "]]>", "\x00\x01\x0b", "\xff", "\"'<>&", "<!--", "<![CDATA["} {
		for _, test := range []struct{ variable, method string }{
			{"_nick", "_message_private"},
			{"_topic", "_message_private"},
			{"_action", "_message_private"},
			{"_language", "_message_private"},
			{"_nick_local", "_message_public"},
			{"_color", "_message_private"},
			{"_topic", "_notice_place_topic"},
			{"_nick", "_notice_presence_here"},
			{"_description_presence", "_notice_presence_here"},
			{"_degree_availability", "_notice_presence_here"},
			{"_nick", "_request_friendship"},
			{"_text_XMPP", "_failure_unavailable_service"},
			{"_nick", "_error_unknown_name_user"},
			{"_method_relay", "_failure_x"},
			{"_target_fragment", "_request_list_feature"},
			{"_version", "_status_version"},
			{"_version_description", "_status_version"},
			{"_time_idle", "_status_description_time"},
			{"_nick", "_notice_x"},
			{"_resource_source", "_message_private"},
			{"_jabber_attributes", "_message_private"},
			{"_jabber_prefix", "_message_private"},
			{"_jabber_namespace", "_message_private"},
			{"_jabber_escape", "_message_private"},
			{"_jabber_XML", "_message_private"},
			{"_jabber_XML", "_jabber_message_chat"},
			{"_jabber_XML", "_request_version"},
			{"_encoding_jabber_XML", "_message_private"},
		} {
			p := &psyc.Packet{Method: test.method, Body: []byte("[_nick] " + value)}
			p.Routing.Set("_source", "psyc://a.example/~ann")
			p.Routing.Set("_tag", "t1")
			p.Routing.Set("_tag_relay", "t2")
			p.Entity.Set(test.variable, value)
			s, err := conv.Stanza(p)
			if err != nil {
				continue
			}
			xml := s.Append(nil)
			again, err := xmpp.Parse(xml)
			if again == nil {
				t.Errorf("%s of %s = %q: %s: %v", test.variable, test.method, value, xml, err)
				continue
			}
			for e := range again.Children() {
				switch name := e.Name(); name.Local {
				case "body", "subject", "status", "nick", "packet", "error", "query", "show":
				default:
					if test.variable != "_jabber_XML" {
						t.Errorf("%s of %s = %q: %s", test.variable, test.method, value, xml)
					}
				}
			}
		}
	}
}

// Rule 24: addresses that PRECIS refuses, and spellings that are not canonical, pass through as they are.
func TestSpellingsOfAddresses(t *testing.T) {
	for _, xml := range []string{
		`<message from='i♥u@h.example' to='room@c.example/&#x1FAE9;'><body>x</body></message>`,
		`<message from='straße@h.example' to='Ben@B.Example/Pad'><body>x</body></message>`,
		`<message from='ann@xn--bcher-kva.example' to='ann@bücher.example/'><body>x</body></message>`,
		`<message from='a&#39;b@h.example' to='d\27a@b.example/d\27a'><body>x</body></message>`,
		`<message to='*@h.example' from='$@h.example'><body>x</body></message>`,
		`<message to='*room@h.example' from='$svc@h.example'><body>x</body></message>`,
		`<message to='` + strings.Repeat("a", 1023) + `@h.example/` + strings.Repeat("r", 1023) + `'><body>x</body></message>`,
	} {
		s, _ := xmpp.Parse([]byte(xml))
		if s == nil {
			t.Fatalf("%s is no stanza", xml)
		}
		want := s.Append(nil)
		for _, conv := range converters() {
			back, _, err := over(t, conv, s)
			if err != nil {
				t.Errorf("%s: %v", xml, err)
			} else if got := back.Append(nil); !bytes.Equal(got, want) {
				t.Errorf("%s: got %s", xml, got)
			}
		}
	}
}

// Rules 4 and 24: another spelling must be one of the same address.
func TestAttributesCannotForge(t *testing.T) {
	for _, attributes := range []string{
		"from='ceo@victim.example'", "from='ann@victim.example'", "to='other@b.example'", "from='ann@a.example' from='ann@a.example'",
		"from='a.example'", "from='psyc://a.example/~ann'", "from=''", "from=ann@a.example", "from='ann@a.example' to",
		"from='ann@a.example'to='ben@b.example'", "a<b='1'", "a='<'", "a='&x;'", "x:y='1'", "xmlns:xml='urn:x'", "xmlns='urn:x'",
		"='1'", "a='1", "id='1' id='2'", "1='1'",
	} {
		p := parse10(t, annToBen+"_message_private\nhi\n|\n")
		p.Entity.Set("_jabber_attributes", attributes)
		s, err := new(transcode.Converter).Stanza(p)
		var e *transcode.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %s", attributes, s.Append(nil))
		}
	}
	// Without an address in the routing header none may come from the attributes.
	refused(t, "\n:_jabber_attributes\tfrom='ceo@victim.example'\n_message_private\nhi\n|\n")
	refused(t, annToBen+":_resource_source\tdesk\n:_jabber_attributes\tfrom='ann@a.example/pad'\n_message_private\nhi\n|\n")

	s, err := new(transcode.Converter).Stanza(parse10(t, annToBen+":_jabber_attributes\tfrom='Ann@A.Example/Desk'\n_message_private\nhi\n|\n"))
	if err != nil || s.From.String() != "ann@a.example/Desk" || !strings.Contains(string(s.Append(nil)), "from='Ann@A.Example/Desk'") {
		t.Errorf("%s, %v", s.Append(nil), err)
	}
}

// Rule 28: the context of the children travels with them.
func TestNamespaceContext(t *testing.T) {
	for _, space := range []string{xmpp.NSClient, xmpp.NSServer, xmpp.NSAccept} {
		for _, xml := range []string{
			`<message xmlns:t='urn:types'><v xmlns='urn:x' type='t:int'/></message>`,
			`<message><db:x/></message>`,
			`<message><body xmlns='jabber:client'>x</body></message>`,
			`<message><body xmlns='jabber:server'>x</body></message>`,
			`<message xmlns='jabber:server'><body>x</body></message>`,
			`<c:message xmlns:c='jabber:client' xmlns='urn:o'><body/><c:body>x</c:body></c:message>`,
		} {
			for _, conv := range converters() {
				conv.Space = space
				d := xmpp.NewDecoder(strings.NewReader(xml))
				d.Space = space
				for s, err := range d.Stanzas() {
					if err != nil {
						t.Fatalf("%s: %v", xml, err)
					}
					want := string(s.Append(nil))
					back, p, err := over(t, conv, s)
					if err != nil {
						t.Fatalf("%s in %s: %v", xml, space, err)
					}
					if got := string(back.Append(nil)); got != want || back.Space != s.Space {
						t.Errorf("%s in %s: got %s in %s over %s", xml, space, got, back.Space, show(p))
					}
				}
			}
		}
	}
	// From a client's stream into a server's: the body stays the body.
	d := xmpp.NewDecoder(strings.NewReader(`<message><body xmlns='jabber:client'>x</body><body xmlns='jabber:server'>y</body></message>`))
	for s, err := range d.Stanzas() {
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := over(t, &transcode.Converter{Syntax: psyc.PSYC10, Space: xmpp.NSServer}, s)
		if err != nil {
			t.Fatal(err)
		}
		const want = `<message><body xmlns='jabber:server'>x</body><body xmlns='jabber:server'>y</body></message>`
		if got := string(back.AppendFor(nil, xmpp.NSServer)); got != want || back.Text("body") != "x" {
			t.Errorf("got %s", got)
		}
	}
}

// Rule 29: from is the context, or else the source, and nothing else.
func TestSpeaker(t *testing.T) {
	var conv transcode.Converter
	for _, test := range []struct{ routing, entity, from string }{
		{":_context\tpsyc://evil.example/~x\n:_source_relay\tpsyc://bank.example/~ceo\n", "", "x@evil.example"},
		{":_source\tpsyc://evil.example/\n", ":_source_identification\tpsyc://bank.example/~ceo\n", "evil.example"},
		{":_source\tpsyc://evil.example/\n", ":_source_relay\tpsyc://bank.example/~ceo\n", "evil.example"},
		{":_source\tpsyc://evil.example/~x\n:_target_relay\tpsyc://bank.example/~ceo\n", ":_source_redirect\tpsyc://bank.example/~ceo\n", "x@evil.example"},
		{":_source\tpsyc://evil.example/~x\n", ":_source\tpsyc://bank.example/~ceo\n:_context\tpsyc://bank.example/@r\n", "x@evil.example"},
		{":_context\tpsyc://evil.example/@r\n:_source\tpsyc://bank.example/~ceo\n", "", "*r@evil.example"},
	} {
		s, err := conv.Stanza(parse10(t, test.routing+"\n"+test.entity+"_message_private\nhi\n|\n"))
		if err != nil || s.From.String() != test.from {
			t.Errorf("%q: from %s, %v", test.routing+test.entity, s.From, err)
		}
	}
}

// Rule 31: text of users is never a template, neither in what we send nor in what we read.
func TestTemplates(t *testing.T) {
	var conv transcode.Converter
	for _, s := range stanzaSeeds {
		stanza, err := xmpp.Parse([]byte(strings.ReplaceAll(s, "hello", "[_source] [_password]")))
		if err != nil {
			continue
		}
		p, err := conv.Packet(stanza)
		if err != nil {
			t.Fatal(err)
		}
		fixed := strings.HasPrefix(p.Method, "_error") || strings.HasPrefix(p.Method, "_failure")
		if len(p.Body) > 0 && !strings.HasPrefix(p.Method, "_message") && !strings.HasPrefix(p.Method, "_jabber") && !fixed {
			t.Errorf("%s: body in %s", s, show(p))
		}
	}
	for _, test := range []struct{ wire, body string }{
		{annToBen + ":_nick\tAnn\n_message_private\n[_nick] is [_source]\n|\n", "[_nick] is [_source]"},
		{annToBen + ":_nick\t[_password]\n:_password\tsecret\n_notice_x\n[_nick] waves\n|\n", "[_password] waves"},
		{annToBen + ":_nick\t<b>\n_notice_x\n[_nick] & [_missing]\n|\n", "<b> & [_missing]"},
		{annToBen + "_notice_x\n|\n", "_notice_x"},
	} {
		s, err := conv.Stanza(parse10(t, test.wire))
		if err != nil || s.Text("body") != test.body {
			t.Errorf("%q: body %q, %v", test.wire, s.Text("body"), err)
		}
	}
}
