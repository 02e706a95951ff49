package transcode_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Hollows are marked, so that no two stanzas give one packet.
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

// Packets that contradict themselves are refused.
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
