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

// embedded returns a message with an embedded packet.
func embedded(content string) string {
	return `<message from='mallory@a.example/x' to='ben@b.example' type='chat'><body>hi</body>` +
		`<packet xmlns='urn:x-switchyard:packet:0'>` + base64.StdEncoding.EncodeToString([]byte(content)) + `</packet></message>`
}

// An embedded packet says nothing that the stanza does not show, and commands nobody.
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

// What converts to this very stanza is restored.
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

// How a skeleton is abbreviated says nothing; what is taken out of it does.
func TestAbbreviationsDoNotCount(t *testing.T) {
	for _, row := range []struct {
		skeleton string
		embedded bool
	}{
		{"\x10<a\x0Curn:a\x11", false},
		{"<body>\x01</body><a xmlns='urn:a'/>", false},
		{"<body>\x01</body><a\x0Curn:a'/>", false},
		{"<body>hi</body><a\x0Curn:a\x11", true},
		{"<body>\x01</body>", true}, // it can be left out
	} {
		p := parse10(t, annToBen+":_jabber_XML\t"+row.skeleton+"\n_message_private\nhi\n|\n")
		s, err := new(transcode.Converter).Stanza(p)
		if err != nil {
			t.Errorf("%q: %v", row.skeleton, err)
			continue
		}
		if _, embedded := s.Child("urn:x-switchyard:packet:0", "packet"); embedded != row.embedded {
			t.Errorf("%q became %s", row.skeleton, s.Append(nil))
		}
		if got, want := essence(packet(t, new(transcode.Converter), string(s.Append(nil)))), essence(p); got != want {
			t.Errorf("%q: got %s, want %s", row.skeleton, got, want)
		}
	}
}

// What acts wherever it stands, or on the circuit, is not even put into a stanza.
func TestCommandsAreNotEmbedded(t *testing.T) {
	for _, rest := range []string{
		":_source_relay\tpsyc://victim.example/~ceo\n_message_private\nhi", ":_source_identification\tpsyc://v.example/~c\n_message_private\nhi",
		":_target\tpsyc://victim.example/~ceo\n_message_private\nhi", ":_tag_reply\tx\n_message_private\nhi",
		":_counter\t7\n_message_private\nhi", ":_fragment\t7\n_message_private\nhi", ":_length\t7\n_message_private\nhi",
		":_using_modules\tx\n_message_private\nhi", ":_audience\t1 2\n_message_private\nhi",
		":_list_audience_only\t| 1-3\n_message_private\nhi", ":_check_x\t1\n_message_private\nhi",
		":_color\tred\n_request_circuit_shutdown", ":_color\tred\n_request_authorization\nlet me in", ":_color\tred\n_notice_circuit_established",
	} {
		s, err := new(transcode.Converter).Stanza(parse10(t, annToBen+rest+"\n|\n"))
		if err != nil {
			t.Fatalf("%q: %v", rest, err)
		}
		if bytes.Contains(s.Raw(), []byte("packet")) {
			t.Errorf("%q became %s", rest, s.Append(nil))
		}
	}
}

// A restored packet takes the shape that the peer can read.
func TestRestoredForm(t *testing.T) {
	for _, test := range []struct {
		packet string
		conv   transcode.Converter
		check  func(p *psyc.Packet) bool
	}{
		{
			annToBen + ":_color\tred\n_message_private\nhi\n|\n",
			transcode.Converter{Syntax: psyc.PSYC09},
			func(p *psyc.Packet) bool { return string(p.Entity.Get("_color")) == "red" },
		},
		{
			strings.Replace(annToBen, "\n\n", "\n:_tag_relay\tt\n\n", 1) + ":_color\tred\n_failure_x\n|\n",
			transcode.Converter{Syntax: psyc.PSYC09},
			func(p *psyc.Packet) bool {
				return p.Method == "_failure_x" && string(p.Routing.Get("_tag_reply")) == "t"
			},
		},
		{
			annToBen + ":_color\tred\n_message_private\na\n.\nb\n|\n",
			transcode.Converter{Syntax: psyc.PSYC09},
			func(p *psyc.Packet) bool { return p.Entity.Get("_color") == nil && string(p.Body) == "a\n. \nb" },
		},
		{
			strings.Replace(annToBen, "\n\n", "\n:_tag\tt\n\n", 1) + ":_color\tred\n:_resource_source\tdesk\n_message_private\nhi\n|\n",
			transcode.Converter{Plain: true},
			func(p *psyc.Packet) bool {
				return string(p.Entity.Get("_color")) == "red" && p.Entity.Get("_resource_source") == nil && p.Routing.Get("_tag") == nil
			},
		},
	} {
		s, err := new(transcode.Converter).Stanza(parse10(t, test.packet))
		if err != nil {
			t.Fatal(err)
		}
		p, err := test.conv.Packet(s)
		if err != nil || !test.check(p) {
			t.Errorf("%q: %s, %v", test.packet, show(p), err)
		}
	}
}

// What a stanza says in part only, it carries whole; what it says whole carries no element.
func TestEmbeddingExactlyWhenNeeded(t *testing.T) {
	for _, test := range []struct {
		packet string
		want   bool
	}{
		{annToBen + ":_nick\tAnn\n_message_private\nhi\n|\n", false},
		{annToBen + ":_language\tde\n_message_private\nhi\n|\n", false},
		{annToBen + "_notice_presence_here\n|\n", false},
		{annToBen + ":_degree_availability\t7\n_notice_presence_here\n|\n", true},
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

// A stanza is not made too large for the next hop: first it loses the element, then it is refused.
func TestSizes(t *testing.T) {
	var conv transcode.Converter
	for _, test := range []struct {
		body     string
		element  bool
		refusals bool
	}{
		{strings.Repeat("x", 100<<10), false, false},
		{"x", true, false},
		{strings.Repeat("<", 300<<10), false, true},
	} {
		p := &psyc.Packet{Method: "_message_private", Body: []byte(test.body)}
		p.Routing.Set("_source", "psyc://a.example/~ann")
		p.Entity.Set("_color", "red")
		s, err := conv.Stanza(p)
		if test.refusals {
			if !errors.Is(err, xmpp.PolicyViolation) {
				t.Errorf("%d bytes: %v", len(test.body), err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d bytes: %v", len(test.body), err)
			continue
		}
		if _, ok := s.Child("urn:x-switchyard:packet:0", "packet"); ok != test.element || s.Text("body") != test.body {
			t.Errorf("%d bytes: element %v, want %v", len(test.body), ok, test.element)
		}
	}
}

// A packet whose body is still to be read must not become a stanza without it.
func TestStreamedBody(t *testing.T) {
	p := parse10(t, annToBen+"_message_private\n|\n")
	p.Size = 70_000
	var c transcode.Converter
	if s, err := c.Stanza(p); err == nil {
		t.Errorf("stanza %s", s.Append(nil))
	}
}

// The element is there only if the far end honours it, whatever the packet's addresses are spelt like, and it keeps the tag
// that an error has of its own.
func TestEmbeddingIsHonoured(t *testing.T) {
	for _, wire := range []string{
		":_source\tpsyc://xn--bcher-kva.example/~ann\n:_target\tpsyc://b.example/~ben\n\n:_color\tred\n_message_private\nhi\n|\n",
		":_source\txmpp:ann@a.example\n:_target\txmpp:ben@b.example/pad\n\n:_color\tred\n_message_private\nhi\n|\n",
		":_source\tPSYC://A.Example/~Ann\n:_target\tpsyc://b.example/~ben\n\n:_color\tred\n_message_private\nhi\n|\n",
		":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n:_tag\t" + strings.Repeat("t", 300) + "\n\n:_color\tred\n_message_private\nhi\n|\n",
		":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n:_tag\t\xff\n\n:_color\tred\n_message_private\nhi\n|\n",
		":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n:_tag\town\n:_tag_relay\tasked\n\n:_color\tred\n_failure_x\nNo.\n|\n",
		":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n:_tag\town\n\n_failure_x\nNo.\n|\n",
	} {
		p := parse10(t, wire)
		s, err := new(transcode.Converter).Stanza(p)
		if err != nil {
			t.Logf("%q: %v", wire, err)
			continue
		}
		_, has := s.Child("urn:x-switchyard:packet:0", "packet")
		q, err := new(transcode.Converter).Packet(parseStanza(t, string(s.Append(nil))))
		if err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		restored := q.Method == p.Method && string(q.Entity.Get("_color")) == string(p.Entity.Get("_color"))
		if has != restored {
			t.Errorf("%q: element %v, restored %v: %s", wire, has, restored, s.Append(nil))
		}
		if tag := p.Routing.Get("_tag"); has && string(q.Routing.Get("_tag")) != string(tag) {
			t.Errorf("%q: tag %q", wire, q.Routing.Get("_tag"))
		}
	}
}
