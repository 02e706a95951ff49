package transcode_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
)

// A maker makes random stanzas and packets out of pieces that have something to do with the scheme.
type maker struct{ *rand.Rand }

func pick[T any](m maker, from ...T) T { return from[m.IntN(len(from))] }

// maybe returns s in one of n cases, else nothing.
func (m maker) maybe(n int, s string) string {
	if m.IntN(n) == 0 {
		return s
	}
	return ""
}

// text returns character data.
func (m maker) text() string {
	var b strings.Builder
	for range m.IntN(5) {
		b.WriteString(pick(m, "hello", " ", "\n", ".", "\n.\n", "/me ", "\t", "&amp;", "&lt;", "&gt;", ">", "&quot;", `"`,
			"&apos;", "'", "&#65;", "&#13;", "\r", "\r\n", "&#127;", "<![CDATA[<x>]]>", "|", "\n|\n", "[_nick]", ":_source\tx",
			"ä", "\U0001F600", "\u0085", "]]", "<b xmlns='urn:b'/>"))
	}
	return b.String()
}

// value returns the inside of an attribute value in single quotes.
func (m maker) value() string {
	return pick(m, "", "x", " x", "x ", "a b", "&#10;|&#10;", "&#9;", "ä", "&apos;&quot;", ">", "_source", "chat", "de",
		strings.Repeat("l", 300))
}

func (m maker) jid() string {
	return pick(m, "a.example", "ann@a.example", "ann@a.example/desk", "Ann@A.example/Desk", "ben@b.example/a b/c@d",
		"*room@c.example/ann", "$svc@a.example", "*@a.example", "a.b+c@a.example", "i♥u@h.example", "ann@[2001:db8::1]/x",
		"d\\27a@b.example", "%41@b.example", "~x@b.example", "ann@bücher.example/ü")
}

func (m maker) child() string {
	attrs := m.maybe(8, " xml:lang='de'") + m.maybe(20, " a='"+m.value()+"'") + m.maybe(30, " xmlns='jabber:server'") +
		m.maybe(30, " xmlns='jabber:client'")
	name := pick(m, "body", "body", "subject", "status", "show", "priority", "thread", "nick xmlns='http://jabber.org/protocol/nick'",
		"x xmlns='urn:x'", "query xmlns='jabber:iq:version'", "ping xmlns='urn:xmpp:ping'",
		"query xmlns='http://jabber.org/protocol/disco#info' node='n'", "error type='cancel'", "p:x xmlns:p='urn:p'", "db:x", "s:y",
		"packet xmlns='urn:x-switchyard:packet:0'")
	if m.IntN(3) == 0 {
		return m.phrase()
	}
	tag, _, _ := strings.Cut(name, " ")
	if strings.Contains(name, "xmlns=") {
		attrs = strings.ReplaceAll(attrs, " xmlns=", " b=")
	}
	if tag == "db:x" || tag == "s:y" {
		attrs = m.maybe(2, " xmlns:s='urn:s'")
		name = "db:x"
		tag = name
	}
	content := m.text()
	switch tag {
	case "show":
		content = pick(m, "away", "xa", "dnd", "chat", content)
	case "error":
		content = pick(m, "gone", "item-not-found", "forbidden", "no-such-thing")
		content = "<" + content + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" +
			m.maybe(2, "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>"+m.text()+"</text>")
	case "packet":
		content = pick(m, "", "CjpfY29sb3IJcmVkCl9tZXNzYWdlCmhpCnwK", "CnwK", "!", "Cl9tZXNzYWdlX3ByaXZhdGUKaGVsbG8KfAo=")
	}
	if content == "" && m.IntN(2) == 0 {
		return "<" + name + attrs + "/>"
	}
	return "<" + name + attrs + ">" + content + "</" + tag + ">"
}

// phrase returns a child that PSYC may have a word for.
func (m maker) phrase() string {
	const user, info, items = "'http://jabber.org/protocol/muc#user'", "'http://jabber.org/protocol/disco#info'", "'http://jabber.org/protocol/disco#items'"
	reason := m.maybe(3, "<reason>"+m.text()+"</reason>")
	jid := strings.NewReplacer("'", "", "&", "").Replace(m.jid())
	layout := m.maybe(9, "\n  ")
	item := "<item affiliation='" + pick(m, "none", "member", "admin", "owner", "outcast", "odd") + "'" + m.maybe(3, " jid='"+jid+"'") +
		m.maybe(5, " nick='"+m.value()+"'") + " role='" + pick(m, "none", "participant", "moderator", m.value()) + "'"
	if extra := m.maybe(5, "<actor nick='"+m.value()+"'/>") + reason; extra != "" {
		item += ">" + extra + "</item>"
	} else {
		item += "/>"
	}
	codes := m.maybe(3, "<status code='110'/>") + m.maybe(5, "<status code='"+pick(m, "301", "303", "307", "999", m.value())+"'/>")
	identity := "<identity category='" + pick(m, "account", "client", "conference", "odd", m.value()) + "' type='" + pick(m, "registered", "pc", "irc", "") + "'" + m.maybe(2, " name='"+m.value()+"'") + "/>"
	return pick(m,
		"<"+pick(m, "active", "composing", "gone", "typing")+" xmlns='http://jabber.org/protocol/chatstates'/>",
		"<received xmlns='urn:xmpp:receipts' id='"+m.value()+"'/>",
		"<replace id='"+m.value()+"' xmlns='urn:xmpp:message-correct:0'/>",
		"<delay xmlns='urn:xmpp:delay'"+m.maybe(2, " from='ann@a.example'")+" stamp='"+pick(m, "2002-09-10T23:08:25Z", "1969-12-31T23:59:59Z", "2002-09-10T23:08:25.5Z", "9999-12-31T23:59:59Z", "now")+"'/>",
		"<x xmlns='http://jabber.org/protocol/muc'/>",
		"<x xmlns='http://jabber.org/protocol/muc'>"+m.maybe(2, "<history maxstanzas='"+m.value()+"'/>")+m.maybe(2, "<password>"+m.text()+"</password>")+"</x>",
		"<x xmlns="+user+">"+layout+item+layout+codes+"</x>",
		"<x xmlns="+user+">"+layout+item+layout+codes+"</x>",
		"<x xmlns="+user+"/>",
		"<x xmlns="+user+"><invite "+pick(m, "to", "from")+"='"+jid+"'>"+reason+"</invite>"+m.maybe(3, "<password>"+m.text()+"</password>")+"</x>",
		"<x xmlns='jabber:x:conference' jid='"+jid+"'"+m.maybe(3, " password='"+m.value()+"'")+m.maybe(3, " reason='"+m.value()+"'")+"/>",
		"<query xmlns='http://jabber.org/protocol/muc#admin'><item "+pick(m, "nick='"+m.value()+"' role='none'", "affiliation='outcast' jid='"+jid+"'")+">"+reason+"</item></query>",
		"<query xmlns='jabber:iq:version'><name>"+m.text()+"</name><version>"+m.text()+"</version>"+m.maybe(2, "<os>"+m.text()+"</os>")+"</query>",
		"<query xmlns='jabber:iq:last' seconds='"+pick(m, "0", "77", "-1", "x", "007")+"'/>",
		"<time xmlns='urn:xmpp:time'><tzo>"+pick(m, "+01:00", "Z", m.text())+"</tzo><utc>"+pick(m, "2006-12-19T17:58:35Z", "2006-12-19T17:58:35.123Z", "0001-01-01T00:00:00Z")+"</utc></time>",
		"<query xmlns="+info+m.maybe(4, " node='"+m.value()+"'")+">"+identity+m.maybe(2, "<feature var='urn:xmpp:ping'/><feature var='"+pick(m, "version", "vcard-temp", m.value())+"'/>")+"</query>",
		"<query xmlns="+items+"><item jid='"+jid+"'"+m.maybe(2, " node='"+m.value()+"'")+m.maybe(2, " name='"+m.value()+"'")+"/><item jid='c.example'/></query>",
		"<vCard xmlns='vcard-temp'><FN>"+m.text()+"</FN>"+m.maybe(2, "<DESC>"+m.text()+"</DESC>")+"</vCard>",
	)
}

// stanza returns a stanza that the scanner takes, nearly always.
func (m maker) stanza() string {
	kind := pick(m, "message", "message", "presence", "iq")
	var b strings.Builder
	b.WriteString("<" + kind)
	b.WriteString(m.maybe(2, " from='"+m.jid()+"'") + m.maybe(2, " to='"+m.jid()+"'") + m.maybe(2, " id='"+m.value()+"'"))
	switch kind {
	case "message":
		b.WriteString(m.maybe(2, " type='"+pick(m, "chat", "groupchat", "headline", "normal", "error", "", "Chat", "x y")+"'"))
	case "presence":
		b.WriteString(m.maybe(2, " type='"+pick(m, "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error", "", "invisible")+"'"))
	default:
		b.WriteString(" type='" + pick(m, "get", "get", "set", "result", "error") + "'")
	}
	b.WriteString(m.maybe(4, " xml:lang='"+m.value()+"'") + m.maybe(9, " odd='"+m.value()+"'") +
		m.maybe(9, " xmlns:e='urn:e' e:to='"+m.value()+"'") + m.maybe(9, " xmlns='"+pick(m, "jabber:client", "jabber:server")+"'"))
	b.WriteString(">")
	for range m.IntN(4) {
		b.WriteString(m.child() + m.maybe(4, pick(m, "\n", " ", "\r\n", "text", "|\n")))
	}
	b.WriteString("</" + kind + ">")
	return b.String()
}

// packet returns a packet of one PSYC entity to another.
func (m maker) packet() *psyc.Packet {
	p := &psyc.Packet{Method: pick(m, "_message", "_message_private", "_message_public", "_message_private_question",
		"_message_echo_private", "_notice_presence_here", "_notice_presence_away_manual", "_status_person_present",
		"_notice_presence_absent_vacation", "_request_friendship", "_request_friendship_implied", "_notice_friendship_removed",
		"_notice_place_enter", "_notice_place_topic", "_failure_unsuccessful_delivery_resolve", "_error_unknown_name_user",
		"_jabber_message_chat", "_jabber_presence", "_x", "_echo_place_enter", "_status_presence_here", "",
		"_notice_place_leave_kicked", "_notice_place_leave", "_request_enter_join", "_request_leave", "_notice_typing_paused", "_notice_typing",
		"_notice_invitation", "_request_set_topic", "_message_public_whisper", "_message_private_correction", "_status_message_received",
		"_status_version", "_notice_list_feature_person", "_notice_list_item", "_status_time", "_request_kick", "_status_description_person")}
	p.Routing.Set(pick(m, "_source", "_source", "_context"), pick(m, "psyc://a.example/", "psyc://a.example/~ann", "psyc://a.example/@room", "psyc://a.example/~a%2eb"))
	if m.IntN(4) > 0 {
		p.Routing.Set("_target", "psyc://b.example/~ben")
	}
	if m.IntN(2) == 0 {
		p.Routing.Set("_tag", "t1")
	}
	for range m.IntN(4) {
		p.Entity.Add(psyc.Set, pick(m, "_nick", "_nick_local", "_topic", "_action", "_degree_availability", "_description_presence",
			"_language", "_color", "_text_XMPP", "_method_relay", "_list_members", "_time_place", "_target_fragment", "_duty", "_role", "_code", "_reason", "_identification", "_nick_new",
			"_nick_actor", "_place", "_password", "_amount_history", "_tag_received", "_tag_corrected", "_identity", "_list_feature",
			"_list_item", "_list_item_description", "_date", "_time_idle", "_version", "_person", "_invitation"),
			pick(m, "psyc://a.example/~ann", "member", "110 301", "1031791705", "", "7", "2", "x", " x", "a\nb", "<&>'\"", "\x00", "\xff", "\r", "[_nick]", "_jabber_iq_get", "| a| b"))
	}
	if p.Method != "" {
		p.Body = []byte(pick(m, "", "hi", "/me waves", "[_nick] is [_color]", "a\rb", "\x0b", "<x/>", "]]>", "\n.\n|\n"))
	}
	return p
}

func TestRandomStanzas(t *testing.T) {
	convs := converters()
	m := maker{rand.New(rand.NewPCG(1, 2))}
	stanzas := 0
	for range 20000 {
		if checkStanza(t, []byte(m.stanza()), convs) {
			stanzas++
		}
	}
	if stanzas < 15000 {
		t.Errorf("only %d were stanzas", stanzas)
	}
}

func TestRandomPackets(t *testing.T) {
	here, there := new(transcode.Converter), &transcode.Converter{}
	m := maker{rand.New(rand.NewPCG(3, 4))}
	promises := 0
	for range 20000 {
		p := m.packet()
		if promised(p) {
			promises++
		}
		checkPacket(t, p, here, there)
	}
	if promises < 10000 {
		t.Errorf("only %d of the packets had to come back", promises)
	}
}

// TestReuse makes sure that nothing of one conversion shows in the next.
func TestReuse(t *testing.T) {
	used, there := converters(), new(transcode.Converter)
	m := maker{rand.New(rand.NewPCG(5, 6))}
	for range 500 {
		xml := m.stanza()
		checkStanza(t, []byte(xml), used)
		checkStanza(t, []byte(xml), converters())
		checkPacket(t, m.packet(), used[0], there)
	}
}
