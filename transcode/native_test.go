package transcode_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/internal/shared"
	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// TestNative holds the tables of the package documentation: each stanza is that packet, and the packet that stanza.
func TestNative(t *testing.T) {
	const ab = ":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n"
	var there, back transcode.Converter
	for _, test := range []struct{ stanza, packet string }{
		{
			`<message from='ann@a.example' to='ben@b.example' id='m1' type='chat'><body>hi</body></message>`,
			ab + ":_tag\tm1\n\n_message_private\nhi\n|\n",
		},
		{
			`<message from='ann@a.example/desk' to='ben@b.example/pad' type='chat' xml:lang='en'><body>hi</body></message>`,
			ab + "\n:_resource_source\tdesk\n:_resource_target\tpad\n:_language\ten\n_message_private\nhi\n|\n",
		},
		{`<message from='ann@a.example' to='ben@b.example'><body>hi</body></message>`, ab + "\n_message\nhi\n|\n"},
		{
			`<message from='ann@a.example' to='ben@b.example' type='normal'><body>hi</body></message>`,
			ab + "49\n:_jabber_attributes 13\ttype='normal'\n_message\nhi\n|\n",
		},
		{
			`<message from='ann@a.example' to='*room@b.example' type='groupchat'><body>hi</body></message>`,
			":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/@room\n\n_message_public\nhi\n|\n",
		},
		{
			`<message from='a.example' to='b.example' type='headline'><body>hi</body></message>`,
			":_source\tpsyc://a.example/\n:_target\tpsyc://b.example/\n\n_message_announcement\nhi\n|\n",
		},
		{
			`<message from='ann@a.example' to='ben@b.example' type='chat'><subject>s</subject><body>hi</body><nick xmlns='http://jabber.org/protocol/nick'>Ann</nick></message>`,
			ab + "\n:_nick\tAnn\n:_topic\ts\n_message_private\nhi\n|\n",
		},
		{
			`<message from='ann@a.example' to='ben@b.example' type='chat'><body>/me waves</body></message>`,
			ab + "\n:_action\twaves\n_message_private\n|\n",
		},
		{
			`<message from='ann@a.example' to='ben@b.example' type='chat'><body>&lt;a&gt; &amp; "b"</body></message>`,
			ab + "\n_message_private\n<a> & \"b\"\n|\n",
		},
		{
			`<message from='ann@a.example' to='ben@b.example' type='chat'><body>so</body><thread>t</thread></message>`,
			ab + "56\n:_jabber_XML 19\t\x10<thread>t</thread>\n_message_private\nso\n|\n",
		},
		{
			`<message from='ann@a.example' to='ben@b.example' type='chat'><body>don&apos;t</body><thread>t</thread></message>`,
			ab + "78\n:_jabber_escape\t>'\n:_jabber_XML 19\t\x10<thread>t</thread>\n_message_private\ndon't\n|\n",
		},

		{`<presence from='ann@a.example' to='ben@b.example'/>`, ab + "\n_notice_presence_here\n|\n"},
		{
			`<presence from='ann@a.example' to='ben@b.example'><show>chat</show></presence>`,
			ab + "\n_notice_presence_here_talkative\n|\n",
		},
		{
			`<presence from='ann@a.example' to='ben@b.example'><show>dnd</show></presence>`,
			ab + "\n_notice_presence_here_busy\n|\n",
		},
		{
			`<presence from='ann@a.example' to='ben@b.example'><show>away</show><status>lunch</status></presence>`,
			ab + "\n:_description_presence\tlunch\n_notice_presence_away\n|\n",
		},
		{
			`<presence from='ann@a.example' to='ben@b.example'><show>xa</show></presence>`,
			ab + "\n_notice_presence_absent_vacation\n|\n",
		},
		{
			`<presence from='ann@a.example' to='ben@b.example' type='unavailable'><status>bye</status></presence>`,
			ab + "\n:_description_presence\tbye\n_notice_presence_absent\n|\n",
		},
		{
			`<presence from='ann@a.example' to='ben@b.example' type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>Ann</nick></presence>`,
			ab + "\n:_nick\tAnn\n_request_friendship\n|\n",
		},
		{`<presence from='ann@a.example' to='ben@b.example' type='subscribed'/>`, ab + "\n_notice_friendship_established\n|\n"},
		{`<presence from='ann@a.example' to='ben@b.example' type='unsubscribe'/>`, ab + "\n_notice_friendship_removed\n|\n"},
		{`<presence from='ann@a.example' to='ben@b.example' type='unsubscribed'/>`, ab + "\n_notice_friendship_removed_implied\n|\n"},
		{`<presence from='ann@a.example' to='ben@b.example' type='probe'/>`, ab + "\n_request_status_person\n|\n"},

		{
			`<iq from='ann@a.example' to='ben@b.example' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`,
			ab + ":_tag\t1\n\n_request_ping\n|\n",
		},
		{
			`<iq from='ann@a.example' to='ben@b.example' id='1' type='get'><query xmlns='http://jabber.org/protocol/disco#info' node='n'/></iq>`,
			ab + ":_tag\t1\n\n:_target_fragment\tn\n_request_list_feature\n|\n",
		},
		{
			`<iq from='ann@a.example' to='ben@b.example' id='1' type='set'><q xmlns='urn:q'/></iq>`,
			ab + ":_tag\t1\n34\n_jabber_iq_set\n<q xmlns='urn:q'/>\n|\n",
		},
		{`<iq from='ann@a.example' to='ben@b.example' id='1' type='result'/>`, ab + ":_tag_relay\t1\n\n_jabber_iq_result\n|\n"},

		{
			`<message from='ann@a.example' to='ben@b.example' id='1' type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
			ab + ":_tag_relay\t1\n51\n_error_unknown_name_user\n[_source] does not exist.\n|\n",
		},
		{
			`<message from='ann@a.example' to='ben@b.example' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text></error></message>`,
			ab + "75\n:_text_XMPP\tno\n_failure_unavailable_service\n[_source] does not offer that.\n|\n",
		},
	} {
		p := packet(t, &there, test.stanza)
		if got := show(p); got != test.packet {
			t.Errorf("%s:\n got %q\nwant %q", test.stanza, got, test.packet)
		}
		s, err := back.Stanza(parse10(t, test.packet))
		if err != nil {
			t.Errorf("%q: %v", test.packet, err)
			continue
		}
		if got := string(s.Append(nil)); got != test.stanza {
			t.Errorf("%q:\n got %s\nwant %s", test.packet, got, test.stanza)
		}
	}
}

// TestVerbatim holds what looks like a native form and is none.
func TestVerbatim(t *testing.T) {
	for _, test := range []struct {
		syntax    psyc.Syntax
		xml, want string
	}{
		{0, `<message type='chat'><body><![CDATA[` + strings.Repeat("x", 4096) + `]]></body></message>`, "_message_private\nxxx"},
		{0, `<message type='chat'><body><![CDATA[` + strings.Repeat("x", 4097) + `]]></body></message>`, "_jabber_message_chat\n<body>"},
		{0, `<message type='chat'><body/></message>`, "_jabber_message_chat\n<body/>"},
		{0, `<message type='odd'/>`, ":_jabber_attributes\ttype='odd'\n_jabber_message\n"},
		{0, `<presence><show>away</show><show>dnd</show></presence>`, "_jabber_presence\n"},
		{0, `<presence><show>busy</show></presence>`, "_jabber_presence\n"},
		{0, `<presence to='r@c.example'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, "_jabber_presence\n"},
		{0, `<presence from='r@c.example/a' type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'/></presence>`, "_jabber_presence_unavailable\n"},
		{0, `<presence type='error'><error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`, "_jabber_presence_error\n"},
		{0, `<iq type='get' id='1'><x xmlns='urn:x'/><ping xmlns='urn:xmpp:ping'/></iq>`, "_jabber_iq_get\n"},
		{0, `<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>`, "_jabber_iq_get\n"},
		{0, `<iq type='set' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`, "_jabber_iq_set\n"},
		{psyc.PSYC09, `<iq type='set' id='1'><x xmlns='urn:x'/></iq>`, ":_jabber_XML\t<x xmlns='urn:x'/>\n_jabber_iq_set\n.\n"},
		{psyc.PSYC09, "<iq type='set' id='1'> <x xmlns='urn:x'/></iq>", ":_encoding_jabber_XML\tbase64\n:_jabber_XML\tIDx4"},
		{psyc.PSYC09, `<iq type='result' id='1'/>`, ":_tag_reply\t1\n\n_jabber_iq_result\n.\n"},
		{psyc.PSYC09, `<message type='chat'><body>.&#10;></body><subject>a &gt; b</subject></message>`, "<subject>\x02</subject>"},
		{psyc.PSYC09, "<message type='chat'><body>\n.\n></body><subject>a &gt; b</subject></message>", "<subject>\x02</subject>"},
	} {
		s, _ := xmpp.Parse([]byte(test.xml))
		if s == nil {
			t.Fatalf("%s is no stanza", test.xml)
		}
		conv := transcode.Converter{Syntax: test.syntax}
		p, err := conv.Packet(s)
		if err != nil {
			t.Fatal(err)
		}
		r := psyc.Renderer{Syntax: test.syntax, Lengths: psyc.LengthsNeeded, Exact: true, Line: -1}
		wire, err := r.Append(nil, p)
		if err != nil || !strings.Contains(string(wire), test.want) {
			t.Errorf("%.100s: %.300q, %v", test.xml, wire, err)
		}
	}
}

// TestForeign holds what becomes of packets that other PSYC entities send, without what is carried beside.
func TestForeign(t *testing.T) {
	const routing = ":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n"
	conv := transcode.Converter{Plain: true}
	for _, test := range []struct{ packet, want string }{
		{
			routing + "\n:_nick\tann\n_message_private_question\nyes?\n|\n",
			`type='chat'><body>yes?</body><nick xmlns='http://jabber.org/protocol/nick'>ann</nick>`,
		},
		{routing + "\n:_action\tasks\n_message_private\nyes?\n|\n", `type='chat'><body>yes?</body>`},
		{
			":_context\tpsyc://a.example/@room\n:_source_relay\tpsyc://c.example/~carl\n\n:_nick\tcarl\n_message_public\nhi\n|\n",
			`from='*room@a.example/carl' type='groupchat'><body>hi</body>`,
		},
		{":_context\tpsyc://a.example/@room\n\n:_nick\tCarl\n:_nick_local\tmask\n_message_public\nhi\n|\n", `from='*room@a.example/mask' type='groupchat'`},
		{
			":_context\tpsyc://a.example/@room\n\n:_nick\tcarl\n_notice_place_enter\n[_nick] enters.\n|\n",
			`<presence from='*room@a.example/carl'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x>`,
		},
		{
			":_context\tpsyc://a.example/@room\n\n:_nick\tcarl\n:_topic\tnews & more\n_notice_place_topic\n[_nick] sets the topic.\n|\n",
			`from='*room@a.example/carl' type='groupchat'><subject>news &amp; more</subject>`,
		},
		{
			routing + "\n:_degree_availability\t3\n:_nick\tann\n_notice_presence_away_manual\n[_nick] is away.\n|\n",
			`to='ben@b.example'><show>away</show>`,
		},
		{routing + "\n_notice_presence_away_automatic\n|\n", `<show>away</show>`},
		{routing + "\n_notice_presence_here_busy\n|\n", `<show>dnd</show>`},
		{routing + "\n_notice_presence_here_talkative\n|\n", `<show>chat</show>`},
		{routing + "\n_notice_presence_absent_vacation\n|\n", `<show>xa</show>`},
		{routing + "\n_notice_presence_absent\n|\n", `type='unavailable'`},
		{routing + "\n:_degree_availability\t6\n_notice_presence_here_busy\n|\n", `<show>dnd</show>`},
		{routing + "\n:_degree_availability\t9\n_notice_presence\n|\n", `<show>chat</show>`},
		{routing + "\n:_time_idle\t30\n:_nick\tann\n_status_person_present\n|\n", `<presence from='ann@a.example' to='ben@b.example'><nick`},
		{routing + "\n_status_person_away\n|\n", `<show>away</show>`},
		{routing + "\n_status_person_absent_offline\n|\n", `type='unavailable'`},
		{routing + "\n_request_friendship_implied\n|\n", `type='subscribe'`},
		{routing + "\n_status_friendship_established\n|\n", `type='subscribed'`},
		{
			routing + "\n:_nick_target\tben\n_error_unknown_name_user\nCannot reach [_nick_target].\n|\n",
			`<message from='ann@a.example' to='ben@b.example' type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Cannot reach ben.</text></error>`,
		},
		{routing + "\n_failure_filter_strangers\n|\n", `<forbidden `},
		{routing + "\n_failure_unsuccessful_delivery_resolve\n|\n", `<remote-server-not-found `},
		{routing + "\n_failure_something_new\n|\n", `<undefined-condition `},
		{routing + "\n_error_place_enter_necessary_invitation\n|\n", `<registration-required `},
		{
			routing + ":_tag_relay\t7\n\n:_method_relay\t_request_version\n_failure_unsupported_function_root\n|\n",
			`<iq from='ann@a.example' to='ben@b.example' id='7' type='error'><error type='cancel'><feature-not-implemented `,
		},
		{routing + ":_tag_relay\t7\n\n:_method_relay\t_jabber_iq_get\n_error_unsupported_method\n|\n", `<iq from='ann@a.example' to='ben@b.example' id='7' type='error'>`},
		{routing + "\n:_method_relay\t_jabber_iq_get\n_error_unsupported_method\n|\n", `<message from='ann@a.example' to='ben@b.example' type='error'>`},
		{routing + "\n:_method_relay\t_notice_presence_here\n_failure_x\n|\n", `<presence from='ann@a.example' to='ben@b.example' type='error'>`},
		{routing + "\n:_method_relay\t_request_friendship\n_failure_x\n|\n", `<presence from='ann@a.example' to='ben@b.example' type='error'>`},
		{routing + ":_tag\tq\n\n_request_version\n|\n", `<iq from='ann@a.example' to='ben@b.example' id='q' type='get'><query xmlns='jabber:iq:version'/></iq>`},
		{routing + ":_tag_relay\tq\n\n_echo_ping\n|\n", `<iq from='ann@a.example' to='ben@b.example' id='q' type='result'/>`},
		{
			routing + ":_tag_relay\tq\n\n:_version\t0.99\n:_version_description\tpsyced & co\n_status_version\n|\n",
			`type='result'><query xmlns='jabber:iq:version'><name>psyced &amp; co</name><version>0.99</version></query></iq>`,
		},
		{routing + ":_tag_relay\tq\n\n:_time_idle\t77\n_status_description_time\n|\n", `<query xmlns='jabber:iq:last' seconds='77'/>`},
		{routing + "\n:_jabber_XML\t<q xmlns='urn:q'/>\n_jabber_iq_get\nSomebody asks.\n|\n", `type='get'><q xmlns='urn:q'/></iq>`},
		{routing + "\n_notice_typing_composing\n[_nick] types.\n|\n", `type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>`},
		{routing + "\n_notice_typing\n|\n", `type='chat'><composing `},
		{
			":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/@room\n:_tag\tt\n\n:_nick\tAnn\n:_amount_history\t9\n:_password\t<s>\n_request_enter_join\n|\n",
			`<presence from='ann@a.example' to='*room@b.example/Ann' id='t'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='9'/><password>&lt;s&gt;</password></x>`,
		},
		{":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/@room\n\n:_nick\tAnn\n:_nick_local\tmask\n_request_context_enter\n|\n", `to='*room@b.example/mask'><x xmlns='http://jabber.org/protocol/muc'/>`},
		{":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/@room\n\n:_nick\tAnn\n_request_leave_logout\n|\n", `<presence from='ann@a.example' to='*room@b.example/Ann' type='unavailable'>`},
		{":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/@room\n\n:_topic\ta & b\n_request_set_topic\n|\n", `to='*room@b.example' type='groupchat'><subject>a &amp; b</subject>`},
		{
			":_context\tpsyc://a.example/@room\n:_source_relay\tpsyc://c.example/~carl\n\n:_nick\tcarl\n:_nick_place\troom\n_notice_place_leave\n[_nick] leaves.\n|\n",
			`<presence from='*room@a.example/carl' type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' jid='carl@c.example' role='none'/></x>`,
		},
		{":_context\tpsyc://a.example/@room\n\n:_nick\tcarl\n_notice_place_leave_banned\n|\n", `type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><status code='301'/></x>`},
		{
			":_source\tpsyc://a.example/@room\n:_target\tpsyc://b.example/~ben\n:_tag_relay\tt\n\n:_nick\tBen\n:_duty\towner\n:_list_members\t| psyc://b.example/~ben\n_echo_place_enter\n|\n",
			`<presence from='*room@a.example/Ben' to='ben@b.example'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='participant'/><status code='110'/></x>`,
		},
		{
			":_context\tpsyc://a.example/@room\n:_target\tpsyc://b.example/~ben\n:_source_relay\tpsyc://c.example/~carl\n\n:_nick\tcarl\n:_time_place\t1031699305\n_message_public\nhi\n|\n",
			`from='*room@a.example/carl' to='ben@b.example' type='groupchat'><body>hi</body><delay xmlns='urn:xmpp:delay' from='*room@a.example' stamp='2002-09-10T23:08:25Z'/>`,
		},
		{routing + "\n:_nick_target\tben\n_message_public_whisper\npsst\n|\n", `type='chat'><body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/>`},
		{routing + "\n:_place\tpsyc://c.example/@room\n:_nick\tann\n_notice_invitation\n[_nick] invites you.\n|\n", `<x xmlns='jabber:x:conference' jid='*room@c.example'/>`},
		{routing + ":_tag\tk\n\n:_person\tcarl\n_request_kick\n|\n", `type='set'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='carl' role='none'/></query></iq>`},
		{routing + ":_tag_relay\tt\n\n:_nick_place\troom\n_error_place_enter_necessary_invitation\nNo.\n|\n", `<presence from='ann@a.example' to='ben@b.example' id='t' type='error'>`},
		{
			routing + ":_tag_relay\tt\n\n:_identity\tperson\n:_name\tann\n:_list_feature\t| version| vCard\n_notice_list_feature_person\n|\n",
			`<query xmlns='http://jabber.org/protocol/disco#info'><identity category='account' type='registered' name='ann'/><feature var='jabber:iq:version'/><feature var='vcard-temp'/></query>`,
		},
		{
			routing + ":_tag_relay\tt\n\n:_list_item\t| psyc://a.example/@room\n:_list_item_description\t| The room\n_notice_list_item\n|\n",
			`<query xmlns='http://jabber.org/protocol/disco#items'><item jid='*room@a.example' name='The room'/></query>`,
		},
		{routing + ":_tag_relay\tt\n\n:_name_public\tAnn <x>\n:_page_public\thttp://a.example/\n_status_description_person\n|\n", `<vCard xmlns='vcard-temp'><FN>Ann &lt;x&gt;</FN><URL>http://a.example/</URL></vCard>`},
		{routing + "\n:_nick\tann\n_notice_motto\n[_nick] thinks.\n|\n", `type='chat'><body>ann thinks.</body>`},
	} {
		s, err := conv.Stanza(parse10(t, test.packet))
		if err != nil {
			t.Errorf("%q: %v", test.packet, err)
			continue
		}
		if got := string(s.Append(nil)); !strings.Contains(got, test.want) {
			t.Errorf("%q:\n got %s\nwant %s", test.packet, got, test.want)
		}
	}
}

// TestFailures: conditions and methods are paired one to one, and methods of psyced find the closest condition.
func TestFailures(t *testing.T) {
	seen := map[string]xmpp.Condition{}
	for _, c := range []xmpp.Condition{
		xmpp.BadRequest, xmpp.Conflict, xmpp.FeatureNotImplemented, xmpp.Forbidden, xmpp.Gone,
		xmpp.InternalServerError, xmpp.ItemNotFound, xmpp.JIDMalformed, xmpp.NotAcceptable, xmpp.NotAllowed, xmpp.NotAuthorized,
		xmpp.PolicyViolation, xmpp.RecipientUnavailable, xmpp.Redirect, xmpp.RegistrationRequired, xmpp.RemoteServerNotFound,
		xmpp.RemoteServerTimeout, xmpp.ResourceConstraint, xmpp.ServiceUnavailable, xmpp.SubscriptionRequired,
		xmpp.UndefinedCondition, xmpp.UnexpectedRequest,
	} {
		method := transcode.Failure(c)
		if other, ok := seen[method]; ok {
			t.Errorf("%s is %s and %s", method, c, other)
		}
		seen[method] = c
		if got, ok := transcode.Condition(method); !ok || got != c {
			t.Errorf("%s: %s, want %s", method, got, c)
		}
	}
	if got := transcode.Failure("no-such-condition"); got != transcode.Failure(xmpp.UndefinedCondition) {
		t.Errorf("unknown condition: %s", got)
	}
	for method, want := range map[string]xmpp.Condition{
		"_error_unknown_name_user_x":              xmpp.ItemNotFound,
		"_failure_unavailable_service_talk_text":  xmpp.ServiceUnavailable,
		"_failure_unsupported_function_whisper":   xmpp.ServiceUnavailable,
		"_failure_unsuccessful_delivery_attempt":  xmpp.RemoteServerNotFound,
		"_error_necessary_membership":             xmpp.RegistrationRequired,
		"_error_invalid_authentication":           xmpp.NotAuthorized,
		"_failure_exhausted_audience":             xmpp.ResourceConstraint,
		"_error_illegal_uniform":                  xmpp.JIDMalformed,
		"_error_place_enter_necessary_encryption": xmpp.NotAllowed,
		"_failure_redirect_temporary_somewhere":   xmpp.Redirect,
		"_error":                                  xmpp.UndefinedCondition,
	} {
		if got, ok := transcode.Condition(method); !ok || got != want {
			t.Errorf("%s: %s, want %s", method, got, want)
		}
	}
	if _, ok := transcode.Condition("_errors"); ok {
		t.Error("_errors is no error")
	}
}

// TestTranscripts converts everything that a real psyced sent: to a well-formed stanza, or a typed refusal.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared.Dir(t), "transcripts", "psyced", "*psyc09*s2c.bin"))
	if err != nil || len(files) == 0 {
		t.Skip("no transcripts")
	}
	stanzas := 0
	for _, file := range files {
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		d := psyc.NewDecoder(in)
		d.Syntax = psyc.PSYC09
		conv := transcode.Converter{Syntax: psyc.PSYC09, Plain: true}
		for p, err := range d.Packets() {
			if err != nil {
				break // telnet, or a session that broke off
			}
			s, err := conv.Stanza(p)
			var refused *transcode.Error
			if errors.As(err, &refused) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			stanzas++
			if _, err := xmpp.Parse(s.Append(nil)); err != nil {
				t.Errorf("%s: %s became %s: %v", filepath.Base(file), show(p), s.Append(nil), err)
			}
		}
	}
	if stanzas < 50 {
		t.Errorf("only %d stanzas", stanzas)
	}
}
