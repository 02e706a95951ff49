package rig

import (
	"fmt"
	"slices"
)

// What the servers are known to change is kept out of the stanzas below, for between two of them directly it does not arrive as sent
// either: ejabberd 23.01 drops type='normal' from messages and turns tabs and line ends in attributes into blanks. Every stanza has
// a language, since servers put the stream's into those without.

const (
	// extension is what no server can know: prefixes, a namespaced attribute, mixed content, white space that counts, characters
	// that need escaping, CDATA, characters outside the basic plane, an element in no namespace.
	extension = "<x:unknown xmlns:x='urn:example:rig:0' xmlns:y='urn:example:rig:attributes' y:a='&lt;&amp;&quot;&apos;>'>" +
		"mixed <x:inner xml:lang='tlh'> two  blanks \n and a line </x:inner> text" +
		"<none xmlns=''/><![CDATA[<not> & a tag]]>" +
		"<deep xmlns='urn:example:rig:1'><deep><deep x:c=''>\u00fc \u4f60 \U0001f600</deep></deep></deep></x:unknown>"

	// text tempts whoever takes lines, dots, bars, tabs or entities for syntax.
	text = "hello\n.\n\n|\n:_source\tpsyc://example.test/~romeo\n  &lt;b&gt; &amp;amp; ]]&gt; \u00df \U0001f600\n"

	stanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
	occupantID   = "urn:xmpp:occupant-id:0"
)

// messages sends messages of every type.
func (x *conversation) messages() {
	for _, m := range []string{
		"<message type='chat' xml:lang='de'><body>" + text + "</body><thread parent='p'>t1</thread>" + extension + "</message>",
		"<message xml:lang='x-test'><subject>s</subject><subject xml:lang='de'>b</subject><body>a</body><body xml:lang='de'>b</body></message>",
		"<message xml:lang='en'>" + extension + extension + "</message>",
		"<message type='headline' xml:lang='en'><subject>news</subject><body>" + text + "</body>" + extension + "</message>",
		"<message type='chat' xml:lang='en'><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
		"<message type='error' xml:lang='en'><body>a</body><error type='cancel' code='501'>" +
			"<feature-not-implemented xmlns='" + stanzaErrors + "'/>" +
			"<text xmlns='" + stanzaErrors + "' xml:lang='en'>no</text>" + extension + "</error></message>",
	} {
		x.arrives(x.send(m, x.to.JID()))
	}
	for _, m := range []string{
		"<message type='chat' xml:lang='en'><body>to any resource</body>" + extension + "</message>",
		"<message xml:lang='en'><body>to any resource</body></message>",
	} {
		x.arrivesAtBare(x.send(m, x.to.bare))
	}
}

// order sends without waiting.
func (x *conversation) order() {
	const count = 50
	var sent []*Element
	for i := range count {
		sent = append(sent, x.send(fmt.Sprintf("<message type='chat' xml:lang='en'><body>%d</body></message>", i), x.to.JID()))
	}
	for _, want := range sent {
		x.same(want, x.expect(x.to, "the next message", func(s Stanza) bool { return s.Is("message") && s.From(x.from.JID()) }))
	}
}

// subscription lets one user subscribe to the other, who approves and is seen.
func (x *conversation) subscription() {
	request := x.send("<presence type='subscribe' xml:lang='en'><status>let me</status>"+extension+"</presence>", x.to.bare)
	request.setAttribute(attributeFrom, x.from.bare)
	x.arrivesAtBare(request)

	back := x.back()
	approval := back.send("<presence type='subscribed' xml:lang='en'/>", x.from.bare)
	approval.setAttribute(attributeFrom, x.to.bare)
	back.arrivesAtBare(approval)
	x.sees()
}

// sees waits until the user sees the other available.
func (x *conversation) sees() {
	x.Helper()
	x.expect(x.from, "the presence of "+x.to.JID(), func(s Stanza) bool {
		return s.Is("presence") && s.From(x.to.JID()) && s.Attribute("type") == ""
	})
}

// presence changes the presence of a user to whom the other is subscribed.
func (x *conversation) presence() {
	for _, p := range []string{
		"<presence xml:lang='de'><show>away</show><status>" + text + "</status><status xml:lang='en'>brb</status>" +
			"<priority>5</priority>" + extension + "</presence>",
		"<presence xml:lang='en'><show>dnd</show></presence>",
		"<presence xml:lang='en'><show>xa</show><priority>1</priority></presence>",
		"<presence xml:lang='en'><show>chat</show>" + extension + "</presence>",
		"<presence xml:lang='en'/>",
	} {
		x.arrivesAtBare(x.send(p, ""))
	}
	x.arrives(x.send("<presence xml:lang='en'><status>for you alone</status>"+extension+"</presence>", x.to.JID()))
}

// absence lets a user go and come back, whereupon a probe must bring the presence of the other.
func (x *conversation) absence() {
	x.arrivesAtBare(x.send("<presence type='unavailable' xml:lang='en'><status>bye</status>"+extension+"</presence>", ""))
	x.arrivesAtBare(x.send("<presence xml:lang='en'/>", ""))
	x.sees()
}

// queries asks the other server what its own user can ask it too; the answers must be the same.
func (x *conversation) queries() {
	server := x.to.side.Server
	for _, domain := range server.Domains() {
		near, far := ask(x, domain, User.DiscoInfo)
		slices.Sort(near.Features)
		slices.Sort(far.Features)
		if len(near.Features) == 0 || !slices.Equal(near.Features, far.Features) || !slices.Equal(near.Identities, far.Identities) {
			x.Errorf("disco#info of %s: %v, asked from far %v", domain, near, far)
		}
	}
	if near, far := ask(x, server.Domain, User.Version); near.Name == "" || near != far {
		x.Errorf("version of %s: %v, asked from far %v", server.Domain, near, far)
	}
	for _, to := range []string{server.Domain, x.to.JID()} {
		if err := x.from.Ping(x.ctx, to); err != nil {
			x.Error(err)
		}
	}
}

// requests sends requests that no server knows, and their answers, from client to client.
func (x *conversation) requests() {
	back := x.back()
	for _, r := range []struct{ request, answer string }{
		{"<iq type='get' xml:lang='en'>" + extension + "</iq>", "<iq type='result' xml:lang='en'>" + extension + "</iq>"},
		{"<iq type='set' xml:lang='de'>" + extension + "</iq>", "<iq type='result' xml:lang='en'/>"},
		{"<iq type='get' xml:lang='en'>" + extension + "</iq>", "<iq type='error' xml:lang='en'>" + extension +
			"<error type='modify' by='" + x.to.bare + "'><bad-request xmlns='" + stanzaErrors + "'/>" +
			"<text xmlns='" + stanzaErrors + "' xml:lang='de'>nein</text>" + extension + "</error></iq>"},
	} {
		request := x.send(r.request, x.to.JID())
		x.arrives(request)
		back.arrives(back.sendWithID(r.answer, x.from.JID(), request.Attribute("id")))
	}
}

// refusal sends a request to a user who does not exist. The error must be the one that a user next door gets.
func (x *conversation) refusal() {
	nobody := "nobody-" + randomName() + "@" + x.to.side.Server.Domain
	refused := func(p *party) *Element {
		own := &conversation{T: x.T, ctx: x.ctx, from: p, to: p}
		id := own.send("<iq type='get' xml:lang='en'>"+extension+"</iq>", nobody).Attribute("id")
		s := own.receive(id)
		failure := s.Child(nsClient, "error")
		if s.Attribute("type") != "error" || failure == nil || !s.From(nobody) {
			x.Fatalf("a request to %s: %s", nobody, s.XML)
		}
		return failure
	}
	if d := Diff(refused(x.to), refused(x.from)); d != "" {
		x.Errorf("the error from %s: %s", nobody, d)
	}
}

// room lets the other user open a room at home, where both talk.
func (x *conversation) room() {
	host, guest := x.back(), x
	room := "room-" + randomName() + "@" + x.to.side.Server.Conference
	if err := x.to.Join(x.ctx, room, "host"); err != nil {
		x.Fatal(err)
	}
	// A new room may be closed to others until its owner has accepted the defaults.
	id := host.send("<iq type='set' xml:lang='en'><query xmlns='http://jabber.org/protocol/muc#owner'>"+
		"<x xmlns='jabber:x:data' type='submit'/></query></iq>", room).Attribute("id")
	if s := x.receive(id); s.Attribute("type") != "result" {
		x.Fatalf("configuring %s: %s", room, s.XML)
	}
	if err := x.from.Join(x.ctx, room, "guest"); err != nil {
		x.Fatal(err)
	}
	guest.talk(room, "guest")
	host.talk(room, "host")

	for _, p := range []string{
		"<presence xml:lang='en'><show>away</show><status>" + text + "</status>" + extension + "</presence>",
		"<presence type='unavailable' xml:lang='en'><status>bye</status></presence>",
	} {
		want := guest.send(p, room+"/guest")
		want.setAttribute(attributeFrom, room+"/guest")
		got := guest.receive(want.Attribute("id"))
		if got.Child(nsMUCUser, "x") == nil {
			x.Errorf("%s says nothing of its occupant: %s", room, got.XML)
		}
		got.Element = without(got.Element, nsMUCUser, occupantID)
		guest.same(addressed(want, x.to.JID()), got)
	}
}

// talk sends a message to a room. The copy of the user next door to the room is compared with what was sent, but for what rooms add,
// the copy of the other with that one.
func (x *conversation) talk(room, nick string) {
	x.Helper()
	sent := x.send("<message type='groupchat' xml:lang='de'><body>"+text+"</body>"+extension+"</message>", room)
	sent.setAttribute(attributeFrom, room+"/"+nick)
	near, far := x, x.back()
	if nick == "host" {
		near, far = far, near
	}
	got := near.receive(sent.Attribute("id"))
	plain := Stanza{Element: without(got.Element, occupantID), XML: got.XML}
	near.same(addressed(sent, near.to.JID()), plain)
	far.arrives(addressed(got.Element, far.to.JID()))
}

// nothingElse demands that nobody got a stanza twice, nor an error. The answers come back behind whatever is still under way.
func (x *conversation) nothingElse() {
	for _, domain := range x.to.side.Server.Domains() {
		if _, err := x.from.DiscoInfo(x.ctx, domain); err != nil {
			x.Error(err)
		}
	}
	if err := x.from.Ping(x.ctx, x.to.JID()); err != nil {
		x.Error(err)
	}
	for _, s := range x.from.Unexpected() {
		if s.Attribute("type") == "error" || x.from.seen[s.Attribute("id")] {
			x.Errorf("%s got this besides: %s", x.from.JID(), s.XML)
		}
	}
}
