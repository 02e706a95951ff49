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

// Packets that change or query state have no stanza: what they mean depends on packets before.
func TestState(t *testing.T) {
	for _, content := range []string{"\n+_x\t1\n", "\n-_x\t1\n", "\n@_x\t1\n", "\n?_x\t\n", "\n=\n", "\n?\n"} {
		_, err := new(transcode.Converter).Stanza(parse10(t, ":_source\tpsyc://a.example/~ann\n"+content+"_message\nhi\n|\n"))
		var e *transcode.Error
		if !errors.As(err, &e) || e.Method != "_failure_unsupported_state" {
			t.Errorf("%q: %v", content, err)
		}
	}
	s, err := new(transcode.Converter).Stanza(parse10(t, ":_source\tpsyc://a.example/~ann\n\n=_topic\tnews\n_message\nhi\n|\n"))
	if err != nil || s.Text("subject") != "news" {
		t.Errorf("assigned value: %v, %v", s, err)
	}
}

// Only uniforms that their JID maps back to have one; TestLoss32Ports has more.
func TestUniformsWithoutJID(t *testing.T) {
	var conv transcode.Converter
	for _, u := range []string{"psyc://h.example/~*room", "psyc://u@h.example/", "psyc://h.example/$svc/x", "psyc://h.example/bob", "irc://h.example/x"} {
		if s, err := conv.Stanza(parse10(t, ":_source\t"+u+"\n\n_message_private\nhi\n|\n")); !errors.Is(err, xmpp.JIDMalformed) {
			t.Errorf("%s: %v, %v", u, s, err)
		}
	}
}

// Routing values hold nothing but plain text, and only six variables are routing variables.
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

// Circuit packets are no stanzas.
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

// Whatever a packet holds, what comes out is well-formed, in every place where a value can end up.
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

// Addresses that PRECIS refuses, and spellings that are not canonical, pass through as they are.
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

// Another spelling must be one of the same address.
func TestAttributesCannotForge(t *testing.T) {
	for _, attributes := range []string{
		"from='ceo@victim.example'", "from='ann@victim.example'", "to='other@b.example'", "from='ann@a.example' from='ann@a.example'",
		"from='a.example'", "from='psyc://a.example/~ann'", "from=''", "from=ann@a.example", "from='ann@a.example' to",
		"from='ann@a.example'to='ben@b.example'", "a<b='1'", "a='<'", "a='&x;'", "x:y='1'", "foo='1' x:y='1'", "xmlns:xml='urn:x'", "xmlns='urn:x'",
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

// The context of the children travels with them.
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

// From is the context, or else the source, and nothing else.
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

// Text of users is never a template, neither in what we send nor in what we read.
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
