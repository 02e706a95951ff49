package transcode_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

const chat = `<message from='ann@a.example/desk' to='ben@b.example/pad' type='chat' id='m1'>`

// TestLosses has the kinds of information that psyced loses between XMPP and PSYC, each in stanzas that hold it.
func TestLosses(t *testing.T) {
	for _, loss := range []struct {
		name    string
		stanzas []string
	}{
		{"01 subject of chat, normal and headline", []string{
			chat + `<subject>lunch</subject><body>at noon?</body></message>`,
			`<message to='ben@b.example' type='headline'><body>at noon?</body><subject>lunch</subject></message>`,
			`<message to='ben@b.example' type='normal'><subject>lunch</subject><subject xml:lang='de'>Essen</subject><body>?</body></message>`,
		}},
		{"02 thread", []string{chat + `<thread parent='t0'>t1</thread><body>so</body></message>`}},
		{"03 several bodies, languages", []string{
			`<message to='ben@b.example' xml:lang='en'><body>hi</body><body xml:lang='de'>hallo</body><body xml:lang=''>?</body></message>`,
			`<message to='ben@b.example'><body xml:lang='de'/><body xml:lang='en'>hi</body></message>`,
		}},
		{"04 formatting", []string{
			chat + `<body>hi!</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>h<em>i</em>!</p></body></html></message>`,
		}},
		{"05 id", []string{
			chat + `<body>x</body></message>`,
			chat + `<received xmlns='urn:xmpp:receipts' id='m0'/></message>`,
			chat + `<body>y</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/></message>`,
		}},
		{"06 type", []string{
			`<message to='ben@b.example'><body>x</body></message>`,
			`<message to='ben@b.example' type='normal'><body>x</body></message>`,
			`<message to='ben@b.example' type='headline'><body>x</body></message>`,
			`<message to='ben@b.example' type='chat'><body>x</body></message>`,
			`<message to='ben@b.example' type='groupchat'><body>x</body></message>`,
			`<message to='ben@b.example' type=''><body>x</body></message>`,
			`<message to='ben@b.example' type='Chat'><body>x</body></message>`,
		}},
		{"07 chat states, messages without body", []string{
			chat + `<composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
			chat + `<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`,
			chat + `</message>`,
		}},
		{"08 out-of-band data", []string{
			chat + `<body>see https://a.example/p.png</body><x xmlns='jabber:x:oob'><url>https://a.example/p.png</url></x></message>`,
		}},
		{"09 invitations", []string{
			`<message to='ben@b.example'><x xmlns='jabber:x:conference' jid='room@c.a.example' password='s' reason='come'/></message>`,
			`<message to='room@c.a.example'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='ben@b.example'><reason>come</reason></invite></x></message>`,
		}},
		{"10 priority", []string{
			`<presence from='ann@a.example/desk'><priority>-1</priority></presence>`,
			`<presence from='ann@a.example/pad'><priority>+005</priority></presence>`,
		}},
		{"11 presence extensions", []string{
			`<presence from='ann@a.example/desk'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/><x xmlns='vcard-temp:x:update'><photo/></x><idle xmlns='urn:xmpp:idle:1' since='2026-01-01T00:00:00Z'/></presence>`,
		}},
		{"12 show", []string{
			`<presence from='ann@a.example/desk'><show>away</show></presence>`,
			`<presence from='ann@a.example/desk'><show>xa</show></presence>`,
			`<presence from='ann@a.example/desk'><show>dnd</show></presence>`,
			`<presence from='ann@a.example/desk'><show>chat</show></presence>`,
			`<presence from='ann@a.example/desk'><show>busy</show></presence>`,
			`<presence from='ann@a.example/desk'><show/></presence>`,
		}},
		{"13 status without show", []string{
			`<presence from='ann@a.example/desk'><status>reading</status></presence>`,
			`<presence from='ann@a.example/desk' type='unavailable'><status>gone &amp; away</status></presence>`,
		}},
		{"14 directed presence, presence errors", []string{
			`<presence from='ann@a.example/desk' to='ben@b.example/pad'/>`,
			`<presence from='ben@b.example' to='ann@a.example/desk' type='error' id='p'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
		}},
		{"15 delay", []string{
			chat + `<body>x</body><delay xmlns='urn:xmpp:delay' from='a.example' stamp='2026-01-01T00:00:00Z'/></message>`,
			`<presence from='ann@a.example/desk' type='unavailable'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'>late</delay></presence>`,
		}},
		{"16 resources", []string{
			chat + `<body>x</body></message>`,
			`<message from='ann@a.example/a b/c@d' to='ben@b.example/ x'><body>x</body></message>`,
			`<message from='a.example/bot' to='b.example/echo/daemon'><body>x</body></message>`,
		}},
		{"17 subscription states", []string{
			`<presence from='ann@a.example' to='ben@b.example' type='subscribe'><status>it's me</status></presence>`,
			`<presence from='ann@a.example' to='ben@b.example' type='subscribed'/>`,
			`<presence from='ann@a.example' to='ben@b.example' type='unsubscribe'/>`,
			`<presence from='ann@a.example' to='ben@b.example' type='unsubscribed'/>`,
		}},
		{"18 error conditions", errorStanzas()},
		{"19 iq with unknown payload to anybody", []string{
			`<iq from='ann@a.example/desk' to='ben@b.example' type='get' id='1'><q xmlns='urn:example:new'/></iq>`,
			`<iq from='ann@a.example/desk' to='b.example' type='set' id='1'><q xmlns='urn:example:new'>v</q></iq>`,
		}},
		{"20 rooms", []string{
			`<presence from='ann@a.example/desk' to='room@c.b.example/ann'><x xmlns='http://jabber.org/protocol/muc'><password>s</password></x></presence>`,
			`<presence from='room@c.b.example/ann' to='ann@a.example/desk'><show>away</show><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='participant' jid='ann@a.example/desk'/><status code='110'/></x></presence>`,
			`<message from='room@c.b.example/ben' to='ann@a.example/desk' type='chat'><body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>`,
			`<iq from='ann@a.example/desk' to='room@c.b.example' type='set' id='k'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='ben' role='none'><reason>no</reason></item></query></iq>`,
		}},
		{"21 room history", []string{
			`<presence from='ann@a.example/desk' to='room@c.b.example/ann'><x xmlns='http://jabber.org/protocol/muc'><history since='2026-01-01T00:00:00Z' maxchars='0'/></x></presence>`,
			`<message from='room@c.b.example/ben' to='ann@a.example/desk' type='groupchat'><body>old</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></message>`,
		}},
		{"22 bodies that 0.9 cannot carry", []string{
			chat + "<body>.</body></message>",
			chat + "<body>a\n.\nb</body></message>",
			chat + "<body>\n\na\n</body></message>",
			chat + "<body>a\n.</body></message>",
			chat + "<body>a&#13;\n.&#13;\nb</body></message>",
		}},
		{"24 text tail, attributes and prefixes of verbatim XML", []string{
			`<message xmlns:p='urn:p' to='ben@b.example' p:k='v' odd='1'>lead<p:x/>tail</message>`,
			`<iq type='result' id='1' from='ann@a.example' xmlns:p='urn:p'><q xmlns='urn:q' p:t='p:n'/> </iq>`,
		}},
		{"25 OpenPGP", []string{
			chat + `<body>encrypted</body><x xmlns='jabber:x:encrypted'>qANQR1DBwU4DX7jmYZnncm</x></message>`,
			`<presence from='ann@a.example/desk'><x xmlns='jabber:x:signed'>iQA/AwUBOjU5dnol3d88qZ77E</x></presence>`,
		}},
		{"26 vCard", []string{
			`<iq type='result' id='v' from='ann@a.example' to='ben@b.example/pad'><vCard xmlns='vcard-temp'><EMAIL><HOME/><USERID>a@a.example</USERID></EMAIL><EMAIL><WORK/><USERID>w@a.example</USERID></EMAIL><DESC>a &lt; b</DESC></vCard></iq>`,
		}},
		{"27 disco", []string{
			`<iq type='get' id='d' from='ann@a.example/desk' to='b.example'><query xmlns='http://jabber.org/protocol/disco#info' node='http://x.example/#v='/></iq>`,
			`<iq type='result' id='d' from='b.example' to='ann@a.example/desk'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im'/><identity category='pubsub' type='pep'/><feature var='urn:unheard:of'/><x xmlns='jabber:x:data' type='result'/></query></iq>`,
		}},
		{"28 last activity, private storage, PubSub, archives", []string{
			`<iq type='result' id='l' from='ann@a.example/desk' to='ben@b.example/pad'><query xmlns='jabber:iq:last' seconds='903'>out</query></iq>`,
			`<iq type='set' id='s' from='ann@a.example/desk' to='p.b.example'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='1'><e xmlns='urn:e'/></item></publish></pubsub></iq>`,
		}},
		{"29 language of error texts", []string{
			`<message type='error' from='ben@b.example' to='ann@a.example' id='1' xml:lang='de'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='de'>gibt es nicht</text></error></message>`,
		}},
		{"30 actions", []string{
			chat + `<body>/me waves</body></message>`,
			chat + `<body>/me  waves</body></message>`,
			chat + `<body>/me</body></message>`,
			chat + `<body>/quit</body></message>`,
			chat + `<body>/me &amp; you</body><thread>t</thread></message>`,
		}},
	} {
		t.Run(loss.name, func(t *testing.T) {
			convs := converters()
			for _, s := range loss.stanzas {
				if _, err := xmpp.Parse([]byte(s)); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
				checkStanza(t, []byte(s), convs)
			}
		})
	}
}

// errorStanzas returns errors of all conditions, with texts and conditions of an application, in all kinds of stanza.
func errorStanzas() []string {
	var out []string
	for _, kind := range []string{"message", "presence", "iq"} {
		for _, c := range []string{
			"bad-request", "conflict", "feature-not-implemented", "forbidden", "gone",
			"internal-server-error", "item-not-found", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized",
			"policy-violation", "recipient-unavailable", "redirect", "registration-required", "remote-server-not-found",
			"remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
			"undefined-condition", "unexpected-request", "on-fire",
		} {
			for _, rest := range []string{
				"", "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>why &amp; how</text>",
				"<too-many xmlns='urn:example:app'/>",
			} {
				out = append(out, `<`+kind+` type='error' id='1' from='ben@b.example' to='ann@a.example/desk'><error type='cancel' by='b.example'><`+c+
					` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`+rest+`</error></`+kind+`>`,
					`<`+kind+` type='error' id='1' from='ben@b.example' to='ann@a.example/desk'><error type='cancel'><`+c+
						` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`+rest+`</error></`+kind+`>`)
			}
		}
	}
	return out
}

// TestLoss23ForbiddenCharacters: a text of PSYC with characters that XML forbids makes a stanza all the same, and comes
// back as it was.
func TestLoss23ForbiddenCharacters(t *testing.T) {
	here, there := new(transcode.Converter), new(transcode.Converter)
	for _, text := range []string{"a\x00b", "\x0b", "caf\xe9", "\xff\xfe", "\uFFFE", "\x01\x02", "a\rb", "]]>"} {
		p := &psyc.Packet{
			Routing: psyc.Vars{{Name: "_source", Value: psyc.Value("psyc://a.example/~ann")}},
			Entity:  psyc.Vars{{Op: psyc.Set, Name: "_nick", Value: psyc.Value(text)}},
			Method:  "_message_private",
			Body:    []byte(text),
		}
		checkPacket(t, p, here, there)
		s, err := here.Stanza(p)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := xmpp.Parse(s.Append(nil)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLoss31Variables: variables that no stanza has a word for survive the way through XMPP.
func TestLoss31Variables(t *testing.T) {
	here, there := new(transcode.Converter), new(transcode.Converter)
	for _, v := range []psyc.Var{
		{Op: psyc.Set, Name: "_color", Value: psyc.Value("#ff0000")},
		{Op: psyc.Set, Name: "_action_possessive", Value: psyc.Value("dog barks")},
		{Op: psyc.Set, Name: "_degree_mood", Value: psyc.Value("8")},
		{Op: psyc.Set, Name: "_nick", Value: psyc.Value("Ann")},
		{Op: psyc.Set, Name: "_unheard_of", Value: psyc.Value("\n|\n\x00")},
		{Op: psyc.Set, Name: "_list_groups", Value: psyc.Value("| a| b")},
		{Op: psyc.Set, Name: "_action", Value: psyc.Value("asks")},
	} {
		for _, method := range []string{"_message_private", "_notice_presence_here", "_notice_unheard_of", "_request_friendship"} {
			p := &psyc.Packet{
				Routing: psyc.Vars{
					{Op: psyc.Set, Name: "_source", Value: psyc.Value("psyc://a.example/~ann")},
					{Op: psyc.Set, Name: "_target", Value: psyc.Value("psyc://b.example/~ben")},
					{Op: psyc.Set, Name: "_tag", Value: psyc.Value("t")},
				},
				Entity: psyc.Vars{v},
				Method: method,
				Body:   []byte("hello [_nick]"),
			}
			if !promised(p) {
				t.Fatalf("%s: not a packet that must come back", show(p))
			}
			checkPacket(t, p, here, there)
		}
	}
}

// TestLoss32Ports: a uniform with a port or transport is another entity than the one without, and has no JID.
func TestLoss32Ports(t *testing.T) {
	var conv transcode.Converter
	for _, u := range []string{"psyc://b.example:4405/~ceo", "psyc://b.example:-4711/", "psyc://b.example:d/~ceo", "psyc://b.example/~ceo#chan"} {
		p := &psyc.Packet{Method: "_message_private", Body: []byte("hi")}
		p.Routing.Set("_source", u)
		_, err := conv.Stanza(p)
		var refused *transcode.Error
		var none *uniform.NoJIDError
		if !errors.As(err, &refused) || !errors.Is(err, xmpp.JIDMalformed) || !errors.As(err, &none) ||
			refused.Method != "_error_invalid_uniform" || !strings.Contains(err.Error(), u) {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// TestChildrenAreNotTouched compares children alone, so that no property of Stanza.Append hides a difference.
func TestChildrenAreNotTouched(t *testing.T) {
	const children = "\n <body  a='1' >x</body >t<x xmlns=\"urn:x\"><![CDATA[<]]>&#x41;</x><y:z xmlns:y='urn:y'/>\n"
	for _, conv := range converters() {
		s, err := xmpp.Parse([]byte("<message to='ben@b.example'>" + children + "</message>"))
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := over(t, conv, s)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Raw(), []byte(children)) {
			t.Errorf("%s: %q", conv.Syntax, back.Raw())
		}
	}
}
