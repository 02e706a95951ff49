package transcode_test

import (
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	annBen    = `from='ann@a.example' to='ben@b.example'`
	roomToBen = `from='room@c.example/ann' to='ben@b.example/pad'`
	toRoom    = `from='ben@b.example/pad' to='room@c.example/ben'`
	mucUser   = `<x xmlns='http://jabber.org/protocol/muc#user'>`
)

// phraseRows hold what PSYC says in methods and variables where XMPP has a child element: each stanza is that content, and
// the content with its addresses that stanza.
var phraseRows = []struct{ stanza, content string }{
	// What people do while they write.
	{`<message ` + annBen + ` type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>`, "_notice_typing_active\n"},
	{`<message ` + annBen + ` type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`, "_notice_typing_composing\n"},
	{`<message ` + annBen + ` type='chat'><paused xmlns='http://jabber.org/protocol/chatstates'/></message>`, "_notice_typing_paused\n"},
	{`<message ` + annBen + ` type='chat'><inactive xmlns='http://jabber.org/protocol/chatstates'/></message>`, "_notice_typing_inactive\n"},
	{`<message ` + annBen + ` type='chat'><gone xmlns='http://jabber.org/protocol/chatstates'/></message>`, "_notice_typing_gone\n"},
	{`<message ` + annBen + ` type='chat'><received xmlns='urn:xmpp:receipts' id='m1'/></message>`, ":_tag_received\tm1\n_status_message_received\n"},
	{`<message ` + annBen + ` type='chat'><body>ho</body><replace id='m1' xmlns='urn:xmpp:message-correct:0'/></message>`, ":_tag_corrected\tm1\n_message_private_correction\nho\n"},
	{`<message ` + annBen + ` type='groupchat'><body>ho</body><replace id='m1' xmlns='urn:xmpp:message-correct:0'/></message>`, ":_tag_corrected\tm1\n_message_public_correction\nho\n"},
	{
		`<message ` + annBen + ` type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/></message>`,
		":_jabber_XML\t\x05<no-store\x0bhints\x11\n_notice_typing_composing\n",
	},
	{`<message ` + annBen + ` type='chat'><body>hi</body><delay xmlns='urn:xmpp:delay' from='ann@a.example' stamp='2002-09-10T23:08:25Z'/></message>`, ":_time_log\t1031699305\n_message_private\nhi\n"},

	// Rooms, as who is in them sees them.
	{`<presence ` + toRoom + `><x xmlns='http://jabber.org/protocol/muc'/></presence>`, ":_resource_source\tpad\n:_nick\tben\n_request_enter\n"},
	{
		`<presence ` + toRoom + `><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='20'/><password>secret</password></x></presence>`,
		":_resource_source\tpad\n:_nick\tben\n:_amount_history\t20\n:_password\tsecret\n_request_enter\n",
	},
	{`<presence from='ben@b.example/pad' to='*room@c.example/ben' type='unavailable'/>`, ":_resource_source\tpad\n:_nick\tben\n_request_leave\n"},
	{
		`<presence from='ben@b.example/pad' to='*room@c.example/ben' type='unavailable'><status>tired</status></presence>`,
		":_resource_source\tpad\n:_nick\tben\n:_description_presence\ttired\n_request_leave\n",
	},
	{
		`<presence ` + roomToBen + `>` + mucUser + `<item affiliation='none' role='participant'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n_notice_place_enter\n",
	},
	{
		`<presence ` + roomToBen + `>` + mucUser + `<item affiliation='owner' jid='ann@a.example/desk' role='moderator'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n:_duty\towner\n:_role\tmoderator\n:_identification\tpsyc://a.example/~ann\n:_resource_identification\tdesk\n_notice_place_enter\n",
	},
	{
		`<presence ` + roomToBen + `><show>away</show><status>out</status>` + mucUser + `<item affiliation='member' role='participant'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n:_duty\tmember\n:_degree_availability\t3\n:_description_presence\tout\n_notice_place_enter_again\n",
	},
	{
		`<presence ` + roomToBen + `>` + mucUser + `<item affiliation='admin' role='participant'/><status code='110'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n:_duty\tadministrator\n_echo_place_enter\n",
	},
	{
		`<presence ` + roomToBen + `>` + mucUser + `<item affiliation='none' role='participant'/><status code='100'/><status code='110'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n:_code\t100 110\n_echo_place_enter\n",
	},
	{
		`<presence ` + roomToBen + ` type='unavailable'>` + mucUser + `<item affiliation='none' role='none'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n_notice_place_leave\n",
	},
	{
		`<presence ` + roomToBen + ` type='unavailable'>` + mucUser + `<item affiliation='none' role='none'><actor nick='cy'/><reason>enough</reason></item><status code='307'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n:_nick_actor\tcy\n:_reason\tenough\n_notice_place_leave_kicked\n",
	},
	{
		`<presence ` + roomToBen + ` type='unavailable'>` + mucUser + `<item affiliation='outcast' role='none'/><status code='301'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n:_duty\toutcast\n_notice_place_leave_banned\n",
	},
	{
		`<presence ` + roomToBen + ` type='unavailable'>` + mucUser + `<item affiliation='none' nick='anna' role='participant'/><status code='303'/></x></presence>`,
		":_nick\tann\n:_resource_target\tpad\n:_role\tparticipant\n:_nick_new\tanna\n_notice_place_leave_nick\n",
	},
	{`<message from='ben@b.example/pad' to='room@c.example' type='groupchat'><subject>news</subject></message>`, ":_resource_source\tpad\n:_topic\tnews\n_request_set_topic\n"},
	{`<message ` + roomToBen + ` type='groupchat'><subject>news</subject></message>`, ":_nick\tann\n:_resource_target\tpad\n:_topic\tnews\n_notice_place_topic\n"},
	{`<message from='room@c.example' to='ben@b.example/pad' type='groupchat'><subject>news</subject></message>`, ":_resource_target\tpad\n:_topic\tnews\n_status_place_topic\n"},
	{
		`<message ` + roomToBen + ` type='groupchat'><body>hi</body><delay xmlns='urn:xmpp:delay' from='room@c.example' stamp='2002-09-10T23:08:25Z'/></message>`,
		":_resource_source\tann\n:_resource_target\tpad\n:_time_place\t1031699305\n_message_public\nhi\n",
	},
	{
		`<message ` + roomToBen + ` type='chat'><body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>`,
		":_resource_source\tann\n:_resource_target\tpad\n_message_public_whisper\npsst\n",
	},
	{
		`<message ` + annBen + `><x xmlns='jabber:x:conference' jid='room@c.example' password='s' reason='come'/></message>`,
		":_place\tpsyc://c.example/~room\n:_password\ts\n:_reason\tcome\n_notice_invitation\n",
	},
	{
		`<message from='room@c.example' to='ben@b.example'>` + mucUser + `<invite from='ann@a.example/desk'><reason>come</reason></invite><password>s</password></x></message>`,
		":_identification\tpsyc://a.example/~ann\n:_resource_identification\tdesk\n:_place\tpsyc://c.example/~room\n:_reason\tcome\n:_password\ts\n_notice_invitation_place\n",
	},
	{
		`<message from='ann@a.example' to='room@c.example'>` + mucUser + `<invite to='ben@b.example'/></x></message>`,
		":_invitation\tpsyc://b.example/~ben\n_request_invitation\n",
	},
	{
		`<iq from='ann@a.example' to='room@c.example' id='k' type='set'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='ben' role='none'><reason>so</reason></item></query></iq>`,
		":_person\tben\n:_reason\tso\n_request_kick\n",
	},
	{
		`<iq from='ann@a.example' to='room@c.example' id='k' type='set'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='outcast' jid='ben@b.example'/></query></iq>`,
		":_person\tpsyc://b.example/~ben\n_request_ban\n",
	},

	// Requests and answers.
	{`<iq ` + annBen + ` id='1' type='get'><time xmlns='urn:xmpp:time'/></iq>`, "_request_time\n"},
	{
		`<iq ` + annBen + ` id='1' type='result'><time xmlns='urn:xmpp:time'><tzo>-06:00</tzo><utc>2016-12-19T17:58:35Z</utc></time></iq>`,
		":_date\t41726274\n:_address_zone_time\t-06:00\n_status_time\n",
	},
	{
		`<iq ` + annBen + ` id='1' type='result'><query xmlns='jabber:iq:version'><name>thing</name><version>1.0</version><os>any</os></query></iq>`,
		":_version_description\tthing\n:_version\t1.0\n:_version_system\tany\n_status_version\n",
	},
	{`<iq ` + annBen + ` id='1' type='result'><query xmlns='jabber:iq:last' seconds='903'/></iq>`, ":_time_idle\t903\n_status_description_time\n"},
	{
		`<iq ` + annBen + ` id='1' type='result'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='account' type='registered'/><feature var='jabber:iq:version'/><feature var='urn:x'/></query></iq>`,
		":_identity\tperson\n:_list_feature\t| version| urn:x\n_notice_list_feature_person\n",
	},
	{
		`<iq ` + annBen + ` id='1' type='result'><query xmlns='http://jabber.org/protocol/disco#info' node='n'><identity category='conference' type='text' name='Talk'/></query></iq>`,
		":_identity\tconference/text\n:_name\tTalk\n:_target_fragment\tn\n_notice_list_feature_place\n",
	},
	{
		`<iq ` + annBen + ` id='1' type='result'><query xmlns='http://jabber.org/protocol/disco#items'><item jid='c.example' node='n' name='rooms'/><item jid='x@c.example/y'/></query></iq>`,
		":_list_item\t|17 psyc://c.example/|18 xmpp:x@c.example/y\n:_list_item_description\t| rooms| -\n:_list_item_node\t| n| -\n_notice_list_item\n",
	},
	{`<iq ` + annBen + ` id='1' type='result'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`, "_notice_list_item\n"},
	{
		`<iq ` + annBen + ` id='1' type='result'><vCard xmlns='vcard-temp'><FN>Ann</FN><URL>http://a.example/</URL><DESC>a &amp; b</DESC></vCard></iq>`,
		":_name_public\tAnn\n:_page_public\thttp://a.example/\n:_description_public\ta & b\n_status_description_person\n",
	},
	{
		`<iq ` + annBen + ` id='1' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
		":_method_relay\t_jabber_iq\n_failure_unavailable_service\n[_source] does not offer that.\n",
	},
	{
		`<presence ` + annBen + ` id='1' type='error'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>taken</text></error></presence>`,
		":_text_XMPP\ttaken\n:_method_relay\t_notice_presence\n_error_unavailable_nick\nThat is taken already.\n",
	},
}

func TestPhrases(t *testing.T) {
	for _, row := range phraseRows {
		s := parseStanza(t, row.stanza)
		p, err := new(transcode.Converter).Packet(s)
		if err != nil {
			t.Fatal(err)
		}
		r := psyc.Renderer{Lengths: psyc.LengthsNeeded}
		wire, err := r.Append(nil, p)
		_, content, _ := strings.Cut(string(wire), "\n\n")
		if content = strings.TrimSuffix(content, "|\n"); err != nil || content != row.content {
			t.Errorf("%s:\n got %q, %v\nwant %q", row.stanza, content, err, row.content)
		}
		checkStanza(t, []byte(row.stanza), converters())
		back, err := new(transcode.Converter).Stanza(parse10(t, string(wire)))
		if err != nil || string(back.Append(nil)) != row.stanza {
			t.Errorf("%s: %v: %s", row.stanza, err, back.Append(nil))
		}
	}
}

// TestPhrasesOtherwise: spelt in another way each element travels whole, and is the same at the far end.
func TestPhrasesOtherwise(t *testing.T) {
	for _, row := range phraseRows {
		for _, xml := range []string{
			strings.ReplaceAll(row.stanza, "'", `"`),
			strings.ReplaceAll(row.stanza, "><", "> <"),
			strings.ReplaceAll(row.stanza, "/>", " />"),
			strings.Replace(row.stanza, "</", "<e xmlns='urn:e'/></", 1),
			strings.Replace(row.stanza, "ann@a.example", "Ann@A.Example/Desk", 1),
			strings.Replace(row.stanza, "c.example/", "c.example/ x\u00A0", 1),
			strings.Replace(row.stanza, " xmlns=", " odd='1' xmlns=", 1),
			strings.Replace(row.stanza, "m1", " m1 ", 1),
			strings.Replace(row.stanza, "<reason>", "<reason>&#13;", 1),
			strings.Replace(row.stanza, "type='chat'", "type='normal'", 1),
			strings.Replace(row.stanza, "stamp='2002", "stamp='1902", 1),
			strings.Replace(row.stanza, "</body>", "</body><body/>", 1),
		} {
			if s, _ := xmpp.Parse([]byte(xml)); s != nil {
				checkStanza(t, []byte(xml), converters())
			}
		}
	}
}

// TestPhrasesInPlain: to a peer outside the profile each has a method of PSYC and nothing of XMPP in it.
func TestPhrasesInPlain(t *testing.T) {
	conv := transcode.Converter{Syntax: psyc.PSYC09, Plain: true}
	for _, row := range phraseRows {
		p, err := conv.Packet(parseStanza(t, strings.ReplaceAll(row.stanza, "><", ">\n<")))
		if err != nil {
			t.Errorf("%s: %v", row.stanza, err)
			continue
		}
		if strings.HasPrefix(p.Method, "_jabber") && !strings.Contains(row.stanza, "urn:xmpp:receipts") {
			t.Errorf("%s: %s", row.stanza, show(p))
		}
	}
}

// TestPhrasesContradict: the XML beside variables says what they say.
func TestPhrasesContradict(t *testing.T) {
	for _, rest := range []string{
		":_jabber_XML\t<active xmlns='http://jabber.org/protocol/chatstates'/>\n_notice_typing_composing",
		":_jabber_XML\t<body>x</body>\n_notice_typing_composing",
		":_jabber_XML\t<x xmlns='urn:x'/>\n_notice_typing_composing",
		":_jabber_XML\t\x05\x05\n_notice_typing_composing",
		":_jabber_XML\t<x>\x05</x>\n_notice_typing_composing",
		":_jabber_XML\t<x a='\x05'/>\n_notice_typing_composing",
		":_jabber_XML\t\x05\n_message_private\nx",
		":_jabber_XML\t<body>\x01</body>\x06\n_message_private\nx",
		":_jabber_XML\t\x13\n_notice_typing_composing",
		":_jabber_XML\t<body>x</body><replace id='2' xmlns='urn:xmpp:message-correct:0'/>\n:_tag_corrected\t1\n_message_private_correction\nx",
		":_jabber_XML\t<x xmlns='jabber:x:conference' jid='room@c.example'/>\n:_place\tpsyc://d.example/~room\n_notice_invitation",
		":_nick\tann\n:_jabber_XML\t<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='none'/></x>\n_notice_place_enter",
		":_nick\tann\n:_jabber_XML\t<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/></x>\n_notice_place_leave_banned",
		":_nick\tann\n:_jabber_XML\t<status>x</status>\n_notice_place_enter",
	} {
		refused(t, annToBen+rest+"\n|\n")
	}
	refused(t, strings.Replace(annToBen, "\n\n", "\n:_tag\tx\n\n", 1)+":_person\tx\n:_jabber_XML\t<q xmlns='urn:q'/>\n_request_kick\n|\n")
	// Abbreviations do not make much of little.
	refused(t, annToBen+":_jabber_XML\t"+strings.Repeat("\x07", 100_000)+"\n_notice_typing_composing\n|\n")
}
