package plain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	roomsInfo  = `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/><feature var='http://jabber.org/protocol/muc'/></query>`
	serverInfo = `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im'/></query>`
)

// at is a packet of one of psyced's people to a room of ours.
func at(who, room, method, vars string) string {
	return ":_source\tpsyc://psyced.example/~" + who + "\n:_target\tpsyc://rooms.peer.example/@" + room + "\n" + vars + "\n.\n"
}

// asks is at with a tag of its own.
func asks(who, room, method string, vars ...string) string {
	text := ":_tag\tt-" + who + "\n\n:_nick\t" + who
	for _, v := range vars {
		text += "\n:" + v
	}
	return at(who, room, method, text+"\n"+method)
}

func talks(who, room, text string) string {
	return at(who, room, "_message_public", "\n:_nick\t"+who+"\n_message_public\n"+text)
}

// shows is presence from a room to ada or another guest.
func shows(nick, guest, typ string, item string, codes ...string) string {
	s := "<presence from='bar@rooms.peer.example/" + nick + "' to='" + guest + "@psyced.example/psyc'"
	if typ != "" {
		s += " type='" + typ + "'"
	}
	s += "><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'" + item + "/>"
	for _, code := range codes {
		s += "<status code='" + code + "'/>"
	}
	return s + "</x></presence>"
}

func groupchat(nick, guest, id, content string) string {
	return "<message from='bar@rooms.peer.example/" + nick + "' to='" + guest + "@psyced.example/psyc' type='groupchat' id='" + id + "'>" + content + "</message>"
}

// telling shows what an effect is, with the addresses and variables that matter.
func telling(e Effect) string {
	var said []string
	short := strings.NewReplacer("psyc://rooms.peer.example/", "", "psyc://psyced.example/", "", "psyc://peer.example/", "", "bar@rooms.peer.example", "BAR",
		"@psyced.example/psyc", "", "http://jabber.org/protocol/", "")
	for _, q := range slices.Concat(e.Packets, e.After) {
		from, to := q.Routing.Get("_source").String(), q.Routing.Get("_target").String()
		if context := q.Routing.Get("_context").String(); context != "" {
			from = "[" + context + " " + q.Routing.Get("_source_relay").String() + "]"
		}
		line := from + ">" + to + " " + q.Method
		for _, name := range []string{"_tag_reply", "_tag_relay"} {
			if tag := q.Routing.Get(name).String(); tag != "" {
				line += " " + tag
			}
		}
		for _, name := range []string{"_nick", "_other", "_topic", "_action", "_time_place", "_place", "_nick_target", "_list_members", "_list_members_nicks"} {
			if v := q.Entity.Get(name); v != nil {
				line += " " + strings.TrimPrefix(name, "_") + "=" + strings.Join(list(q.Entity, name), ",")
			}
		}
		if psyc.Inherits(q.Method, "_message") {
			line += " " + fmt.Sprintf("%q", q.Body)
		}
		said = append(said, line)
	}
	for _, s := range e.Stanzas {
		shown := s.Clone()
		if shown.ID != "" {
			shown.ID = "ID"
		}
		said = append(said, embedded(string(shown.Append(nil))))
	}
	return short.Replace(strings.Join(said, "\n"))
}

// embedded leaves out what a stanza carries of its packet for far ends that speak PSYC again.
func embedded(s string) string {
	before, rest, found := strings.Cut(s, "<packet xmlns='urn:x-switchyard:packet:0'")
	if !found {
		return s
	}
	_, after, _ := strings.Cut(rest, "</packet>")
	return before + after
}

// A step is a packet of psyced, a stanza of our servers, or the answer to the last question, and what it leads to.
type step struct{ what, want string }

func (k *talk) steps(steps []step) {
	k.t.Helper()
	asked := ""
	for i, st := range steps {
		var e Effect
		switch what := strings.Replace(st.what, "ID", asked, 1); {
		case strings.HasPrefix(what, "<"):
			e = k.out(what)
		default:
			e = k.in(what)
		}
		for _, s := range e.Stanzas {
			if s.Kind == xmpp.IQ {
				asked = s.ID
			}
		}
		if got := telling(e); got != st.want {
			k.t.Errorf("step %d, %s\ngot\n%s\nwant\n%s", i, st.what, got, st.want)
		}
	}
}

// knows makes the peer know rooms.peer.example, as the answer to the question of the first who enters does.
func (k *talk) knows() {
	k.t.Helper()
	e := k.in(asks("eve", "bar", "_request_leave"))
	if len(e.Stanzas) != 1 || e.Stanzas[0].Kind != xmpp.IQ {
		k.t.Fatalf("asked with %q", telling(e))
	}
	k.out("<iq from='rooms.peer.example' to='psyced.example' type='result' id='" + e.Stanzas[0].ID + "'>" + roomsInfo + "</iq>")
}

// What a room says of an occupant, and the presence that enters it.
const (
	ofCleo = ` jid='cleo@peer.example/desk'`
	ofBob  = ` jid='bob@psyced.example/psyc'`
	ofAda  = ` jid='ada@psyced.example/psyc'`
	enters = "<presence from='%[1]s' to='BAR/%[1]s'><x xmlns='muc'></x></presence>"
	inside = "<iq from='%[1]s' to='BAR/%[1]s' id='ID' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
	parts  = "<presence from='%[1]s' to='BAR/%[1]s' type='unavailable'/>"
	speaks = "<message from='%[1]s' to='BAR' id='ID' type='groupchat'><body>%[2]s</body><nick xmlns='nick'>%[1]s</nick></message>"
)

// stanzaError is what a room says to ada about something that it does not take.
func stanzaError(kind, condition string) string {
	return "<" + kind + " from='bar@rooms.peer.example/ada' to='ada@psyced.example/psyc' id='ID' type='error'><error type='cancel'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></" + kind + ">"
}

// TestGuests: two of psyced's people in a room of ours. The second enters while nobody knows yet whether there are rooms.
func TestGuests(t *testing.T) {
	newTalk(t).steps([]step{
		{asks("ada", "bar", "_request_enter"), "<iq from='psyced.example' to='rooms.peer.example' id='ID' type='get'><query xmlns='disco#info'/></iq>"},
		{asks("bob", "bar", "_request_enter_join", "_amount_history\t3", "_password\tsesame"), ""},
		{
			"<iq from='rooms.peer.example' to='psyced.example' type='result' id='ID'>" + roomsInfo + "</iq>",
			fmt.Sprintf(enters, "ada") + "\n<presence from='bob' to='BAR/bob'><x xmlns='muc'><history maxstanzas='3'/><password>sesame</password></x></presence>",
		},
		{shows("Cleo S", "ada", "", ""), ""},
		{shows("ada", "ada", "", ofAda, "110"), "@bar>~ada _echo_place_enter t-ada nick=ada list_members=xmpp:BAR/Cleo%20S,~ada list_members_nicks=Cleo\u00A0S,ada"},
		{groupchat("Cleo S", "ada", "h1", "<body>before</body><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T15:21:59Z'/>"), `[@bar xmpp:BAR/Cleo%20S]>~ada _message_public nick=Cleo S time_place=1795360919 "before"`},
		{groupchat("Cleo S", "ada", "h2", "<subject>tea</subject>"), "@bar>~ada _status_place_topic topic=tea"},
		{shows("bob", "ada", "", ""), "[@bar xmpp:BAR/bob]> _notice_place_enter nick=bob"},
		{shows("bob", "bob", "", "", "110"), "@bar>~bob _echo_place_enter_join t-bob nick=bob topic=tea list_members=xmpp:BAR/Cleo%20S,xmpp:BAR/ada,~bob list_members_nicks=Cleo\u00A0S,ada,bob"},
		{groupchat("Cleo S", "bob", "h2", "<subject/>"), ""},

		{talks("ada", "bar", "Good evening."), fmt.Sprintf(speaks, "ada", "Good evening.")},
		{groupchat("ada", "ada", "1", "<body>Good evening.</body>"), "[@bar ~ada]>~ada _message_public nick=ada \"Good evening.\"\n[@bar xmpp:BAR/ada]>~bob _message_public nick=ada \"Good evening.\""},
		{groupchat("ada", "bob", "1", "<body>Good evening.</body>"), ""},
		{groupchat("Cleo S", "bob", "2", "<body>/me nods</body>"), `[@bar xmpp:BAR/Cleo%20S]> _message_public nick=Cleo S action=nods ""`},
		{groupchat("Cleo S", "ada", "2", "<body>/me nods</body>"), ""},
		{groupchat("Cleo S", "bob", "2", "<body>/me nods</body>"), `[@bar xmpp:BAR/Cleo%20S]> _message_public nick=Cleo S action=nods ""`},
		{groupchat("Cleo S", "ada", "2", "<body>/me nods</body>"), ""},
		{groupchat("Cleo S", "ada", "3", "<subject>milk</subject>"), "[@bar xmpp:BAR/Cleo%20S]> _notice_place_topic nick=Cleo S topic=milk"},
		{groupchat("Cleo S", "bob", "3", "<subject>milk</subject>"), ""},
		{groupchat("Cleo S", "ada", "4", "<subject/>"), "[@bar xmpp:BAR/Cleo%20S]> _notice_place_topic_removed nick=Cleo S topic="},
		{groupchat("Cleo S", "bob", "4", "<subject/>"), ""},
		{groupchat("Cleo S", "bob", "5", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"), ""},

		{shows("Dan", "ada", "", ""), "[@bar xmpp:BAR/Dan]> _notice_place_enter nick=Dan"},
		{shows("Dan", "bob", "", ""), ""},
		{shows("Dan", "bob", "unavailable", "", "307"), "[@bar xmpp:BAR/Dan]> _notice_place_leave_banned nick=Dan"},
		{shows("Dan", "ada", "unavailable", "", "307"), ""},

		{asks("ada", "bar", "_request_enter_again"), "@bar>~ada _echo_place_enter_again t-ada nick=ada list_members=xmpp:BAR/Cleo%20S,~ada,xmpp:BAR/bob list_members_nicks=Cleo\u00A0S,ada,bob"},
		{asks("ada", "bar", "_request_members"), "@bar>~ada _status_place_members t-ada list_members=xmpp:BAR/Cleo%20S,~ada,xmpp:BAR/bob list_members_nicks=Cleo\u00A0S,ada,bob"},
		{asks("ada", "bar", "_request_leave_logout"), fmt.Sprintf(parts, "ada")},
		{shows("ada", "bob", "unavailable", ""), ""},
		{shows("ada", "ada", "unavailable", "", "110"), "@bar>~ada _echo_place_leave_logout t-ada nick=ada\n[@bar xmpp:BAR/ada]> _notice_place_leave nick=ada"},
		{asks("ada", "bar", "_request_members"), fmt.Sprintf(inside, "ada")},
		{stanzaError("iq", "not-acceptable"), "@bar>~ada _error_necessary_membership t-ada"},
		{asks("ada", "bar", "_request_leave"), "@bar>~ada _echo_place_leave_invalid t-ada\n" + fmt.Sprintf(parts, "ada")},
		{shows("bob", "bob", "unavailable", "", "110", "307"), "@bar>~bob _echo_place_leave_banned nick=bob"},
	})
}

// TestOpenRoom: where nobody is anonymous people are who they are.
func TestOpenRoom(t *testing.T) {
	k := newTalk(t)
	k.knows()
	k.steps([]step{
		{asks("ada", "bar", "_request_enter"), fmt.Sprintf(enters, "ada")},
		{shows("cleo", "ada", "", ofCleo), ""},
		{shows("ada", "ada", "", ofAda, "100", "110", "201"), "@bar>~ada _echo_place_enter t-ada nick=ada list_members=~ada,~cleo list_members_nicks=ada,cleo\n" +
			"<iq from='ada' to='BAR' id='ID' type='set'><query xmlns='muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>"},
		{asks("bob", "bar", "_request_enter"), fmt.Sprintf(enters, "bob")},
		{shows("bob", "bob", "", "", "100", "110"), "[@bar ~bob]> _notice_place_enter nick=bob\n@bar>~bob _echo_place_enter t-bob nick=bob list_members=~ada,~bob,~cleo list_members_nicks=ada,bob,cleo"},
		{shows("bob", "ada", "", ""), ""},
		{groupchat("ada", "bob", "1", "<body>hi</body>"), `[@bar ~ada]> _message_public nick=ada "hi"`},
		{groupchat("ada", "ada", "1", "<body>hi</body>"), ""},
		{"<message from='bar@rooms.peer.example' to='ada@psyced.example/psyc' type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='173'/></x></message>", ""},
		{groupchat("cleo", "bob", "2", "<body>hi</body>"), `[@bar xmpp:BAR/cleo]> _message_public nick=cleo "hi"`},
		{groupchat("cleo", "ada", "2", "<body>hi</body>"), ""},
		{shows("cleo", "ada", "unavailable", ofCleo), "[@bar xmpp:BAR/cleo]> _notice_place_leave nick=cleo"},
	})
}

// TestRefusals: what rooms say to whom they do not let in or let speak, in psyced's words.
func TestRefusals(t *testing.T) {
	for _, test := range []struct{ condition, want string }{
		{"not-authorized", "_error_place_enter_necessary_password t-ada nick=ada"},
		{"registration-required", "_error_place_enter_necessary_invitation t-ada nick=ada"},
		{"forbidden", "_error_place_enter_restricted t-ada nick=ada"},
		{"not-allowed", "_error_place_enter_restricted t-ada nick=ada"},
		{"not-acceptable", "_error_place_enter_necessary_nick t-ada nick=ada"},
		{"conflict", "_error_unavailable_nick_place t-ada nick=ada other=xmpp:BAR/ada"},
		{"service-unavailable", "_error_place_enter_exhausted t-ada nick=ada"},
		{"item-not-found", "_error_unknown_name_place t-ada nick=ada"},
		{"remote-server-timeout", "_failure_unsuccessful_delivery_timeout t-ada nick=ada"},
	} {
		k := newTalk(t)
		k.knows()
		k.steps([]step{
			{asks("ada", "bar", "_request_enter"), fmt.Sprintf(enters, "ada")},
			{stanzaError("presence", test.condition), "@bar>~ada " + test.want},
			{stanzaError("presence", test.condition), ""},
		})
		if len(k.rooms) != 0 || k.inPlaces != 0 {
			t.Errorf("%s: %d rooms, %d guests", test.condition, len(k.rooms), k.inPlaces)
		}
	}
	k := newTalk(t)
	k.knows()
	k.steps([]step{
		{asks("ada", "bar", "_request_enter", "_nick_local\t"), fmt.Sprintf(enters, "ada")},
		{shows("ada", "ada", "", ofAda, "110"), "@bar>~ada _echo_place_enter t-ada nick=ada list_members=~ada list_members_nicks=ada"},
		{strings.Replace(stanzaError("message", "forbidden"), "/ada'", "'", 1), "@bar>~ada _error_place_silent"},
		{strings.Replace(stanzaError("message", "item-not-found"), "/ada'", "/Dan'", 1), "xmpp:BAR/Dan>~ada _error_unknown_name_user nick_target=Dan"},
		{strings.Replace(stanzaError("message", "not-acceptable"), "/ada'", "'", 1), "@bar>~ada _error_necessary_membership"},
		{asks("ada", "bar", "_request_members"), fmt.Sprintf(inside, "ada")},
	})
}

// TestRoomCommands: what psyced's people type in a place.
func TestRoomCommands(t *testing.T) {
	kick := func(nick string) string {
		return "<iq from='ada' to='BAR' id='ID' type='set'><query xmlns='muc#admin'><item role='none' nick='" + nick + "'/></query></iq>"
	}
	k := newTalk(t)
	k.knows()
	line := func(text string) string {
		return at("ada", "bar", "", ":_tag\tt-ada\n\n:_nick\tada\n_request_execute\n"+text)
	}
	k.steps([]step{
		{asks("ada", "bar", "_request_enter"), fmt.Sprintf(enters, "ada")},
		{shows("Cleo", "ada", "", ofCleo), ""},
		{shows("ada", "ada", "", ofAda, "100", "110"), "@bar>~ada _echo_place_enter t-ada nick=ada list_members=~cleo,~ada list_members_nicks=Cleo,ada"},
		{line("topic [_nick] & tea"), "<message from='ada' to='BAR' type='groupchat'><subject>[_nick] &amp; tea</subject></message>"},
		{line("topic"), "@bar>~ada _status_place_topic_none t-ada"},
		{line("topic -"), "<message from='ada' to='BAR' type='groupchat'><subject/></message>"},
		{groupchat("Cleo", "ada", "s", "<subject>tea</subject>"), "@bar>~ada _status_place_topic topic=tea"},
		{asks("ada", "bar", "_request_set_topic"), "@bar>~ada _status_place_topic t-ada topic=tea"},
		{asks("eve", "bar", "_request_set_topic"), "@bar>~eve _error_necessary_membership t-eve"},
		{asks("ada", "bar", "_request_set_topic", "_topic\tmilk"), "<message from='ada' to='BAR' type='groupchat'><subject>milk</subject></message>"},
		{line("kick cleo"), kick("Cleo")},
		{"<iq from='bar@rooms.peer.example' to='ada@psyced.example/psyc' id='ID' type='result'/>", ""},
		{asks("ada", "bar", "_request_kick", "_person\tpsyc://peer.example/~cleo"), kick("Cleo")},
		{"<iq from='bar@rooms.peer.example' to='ada@psyced.example/psyc' id='ID' type='error'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", "@bar>~ada _error_restricted t-ada nick=bar"},
		{line("masquerade"), "@bar>~ada _failure_unsupported_execute_place_command t-ada"},
		{asks("ada", "bar", "_request_list_feature"), "<iq from='ada@psyced.example' to='BAR' id='ID' type='get'><query xmlns='disco#info'/></iq>"},
		{"<iq from='bar@rooms.peer.example' to='ada@psyced.example' id='ID' type='result'>" + roomsInfo + "</iq>", "@bar>~ada _notice_list_feature_place t-ada nick=bar"},
		{asks("ada", "bar", "_request_history"), "@bar>~ada _failure_unsupported_function t-ada"},
		{asks("ada", "bar", "_request_invitation", "_invitation\tpsyc://peer.example/~dan"), "<message from='ada' to='BAR'><x xmlns='muc#user'><invite to='dan@peer.example'/></x></message>"},
		{
			":_source\tpsyc://psyced.example/~ada\n:_target\tpsyc://peer.example/~dan\n\n:_nick\tada\n:_place\tpsyc://rooms.peer.example/@bar\n_notice_invitation\n.\n",
			"", // the room has told him
		},
		{
			":_source\tpsyc://psyced.example/~eve\n:_target\tpsyc://peer.example/~dan\n\n:_nick\teve\n:_place\tpsyc://rooms.peer.example/@bar\n_notice_invitation\n.\n",
			"<message from='eve@psyced.example' to='dan@peer.example'><x xmlns='jabber:x:conference' jid='BAR'/><nick xmlns='nick'>eve</nick></message>",
		},
	})
}

// TestWhispers: what occupants say in private comes from the address of the occupant, and is answered there.
func TestWhispers(t *testing.T) {
	k := newTalk(t)
	k.knows()
	const private = "<message from='bar@rooms.peer.example/Cleo S' to='ada@psyced.example/psyc' type='chat'><body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>"
	answer := ":_source\tpsyc://psyced.example/~ada\n:_target\txmpp:bar@rooms.peer.example/cleo%20s\n\n:_nick\tada\n_message_private\nyes?\n.\n"
	k.steps([]step{
		{asks("ada", "bar", "_request_enter"), fmt.Sprintf(enters, "ada")},
		{shows("Cleo S", "ada", "", ""), ""},
		{shows("ada", "ada", "", ofAda, "110"), "@bar>~ada _echo_place_enter t-ada nick=ada list_members=xmpp:BAR/Cleo%20S,~ada list_members_nicks=Cleo\u00A0S,ada"},
		{private, `xmpp:BAR/Cleo%20S>~ada _message_private nick=Cleo S "psst"`},
		{strings.Replace(answer, "_message_private", "_message_echo_private", 1), ""},
		{answer, "xmpp:BAR/cleo%20s>~ada _message_echo_private nick=ada \"yes?\"\n<message from='ada' to='BAR/Cleo S' id='ID' type='chat'><body>yes?</body><nick xmlns='nick'>ada</nick></message>"},
	})
}

// TestInvitations of our people: to a room of ours or of others, by the room or by themselves.
func TestInvitations(t *testing.T) {
	k := newTalk(t)
	k.steps([]step{
		{"<message from='cleo@peer.example/desk' to='ada@psyced.example'><x xmlns='jabber:x:conference' jid='bar@rooms.peer.example'/></message>", "~cleo>~ada _notice_invitation nick=cleo place=@bar nick_target=ada"},
		{"<message from='bar@rooms.peer.example' to='ada@psyced.example'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='cleo@peer.example/desk'><reason>come</reason></invite></x><body>cleo invites you</body></message>", "<iq from='psyced.example' to='rooms.peer.example' id='ID' type='get'><query xmlns='disco#info'/></iq>"},
		{"<iq from='rooms.peer.example' to='psyced.example' type='result' id='ID'>" + roomsInfo + "</iq>", "@bar>~ada _notice_invitation nick=cleo place=@bar nick_target=ada"},
		{"<message from='bar@rooms.peer.example' to='ada@psyced.example'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='bar@rooms.peer.example/Cleo S'/></x></message>", "@bar>~ada _notice_invitation nick=Cleo S place=@bar nick_target=ada"},
	})
}

// TestKinds: only a domain that says so has rooms, and whoever writes like a room is none for that.
func TestKinds(t *testing.T) {
	const question = "<iq from='psyced.example' to='rooms.peer.example' id='ID' type='get'><query xmlns='disco#info'/></iq>"
	newTalk(t).steps([]step{
		{asks("ada", "bar", "_request_enter"), question},
		{"<iq from='rooms.peer.example' to='psyced.example' type='result' id='ID'>" + serverInfo + "</iq>", "@bar>~ada _failure_unsupported_function t-ada"},
		{asks("ada", "bar", "_request_enter"), "@bar>~ada _failure_unsupported_function t-ada"},
	})
	newTalk(t).steps([]step{
		{asks("ada", "bar", "_request_enter"), question},
		{"<iq from='rooms.peer.example' to='psyced.example' type='error' id='ID'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", "@bar>~ada _failure_unsupported_function t-ada"},
	})
	k := newTalk(t)
	e := k.out("<message from='cleo@peer.example/desk' to='ada@psyced.example' type='groupchat'><body>I am a room</body></message>")
	if tell(e) != "<iq:get" {
		t.Fatalf("%q", tell(e))
	}
	e = k.out("<iq from='peer.example' to='psyced.example' type='result' id='" + e.Stanzas[0].ID + "'>" + serverInfo + "</iq>")
	if len(k.rooms) != 0 || len(e.Packets) != 1 || e.Packets[0].Routing.Get("_context") != nil {
		t.Errorf("%q", telling(e))
	}
}

// TestStaysEnd: when we stop, our people leave their places, and guests of our rooms are known again later.
func TestStaysEnd(t *testing.T) {
	k := inBar(t, psyc.PSYC09)
	k.knows()
	k.in(asks("ada", "bar", "_request_enter"))
	k.out(shows("ada", "ada", "", ofAda, "110"))
	left := k.Leave()
	if len(left) != 2 {
		t.Fatalf("%v", left)
	}
	for i, who := range []string{"cleo", "dan"} {
		want := "~" + who + ">@bar _request_leave nick=" + who + "\n<presence from='*bar@psyced.example/" + who + "' to='" + who + "@peer.example/desk' type='unavailable'>" +
			"<x xmlns='muc#user'><item affiliation='none' role='none' jid='" + who + "@peer.example'/><status code='110'/><status code='332'/></x></presence>"
		if got := telling(k.out(string(left[i].Append(nil)))); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if len(k.places) != 0 || k.inPlaces != 1 {
		t.Errorf("%d places, %d in them", len(k.places), k.inPlaces)
	}
	k = newTalk(t)
	k.knows()
	k.steps([]step{
		{groupchat("Cleo", "ada", "1", "<body>hi</body>"), `[@bar xmpp:BAR/Cleo]> _message_public nick=Cleo "hi"` + "\n@bar>~ada _request_ping"},
		{strings.Replace(talks("ada", "bar", "hello"), "_nick\tada", "_nick\tAda", 1), strings.Replace(fmt.Sprintf(speaks, "ada", "hello"), ">ada<", ">Ada<", 1)},
		{groupchat("Ada", "ada", "2", "<body>hello</body>"), `[@bar ~ada]> _message_public nick=Ada "hello"`},
		{strings.Replace(asks("ada", "bar", "_request_leave"), "_nick\tada", "_nick\tAda", 1), strings.Replace(fmt.Sprintf(parts, "ada"), "BAR/ada", "BAR/Ada", 1)},
		{shows("Ada", "ada", "unavailable", "", "110"), "@bar>~ada _echo_place_leave t-ada nick=Ada"},
	})
}

// TestUncast: what a circuit could not write is sent again, once for all.
func TestUncast(t *testing.T) {
	k := newTalk(t)
	k.knows()
	for _, who := range []string{"ada", "bob"} {
		k.in(asks(who, "bar", "_request_enter"))
		k.out(shows(who, who, "", "", "110"))
	}
	e := k.out(groupchat("Cleo", "bob", "7", "<body>hi</body>"))
	k.out(groupchat("Cleo", "ada", "7", "<body>hi</body>"))
	s, known := k.Unsent(e.Packets[0])
	if s == nil || !known {
		t.Fatalf("%v, %v", s, known)
	}
	if got := telling(k.out(string(s.Append(nil)))); got != `[@bar xmpp:BAR/Cleo]> _message_public nick=Cleo "hi"` {
		t.Errorf("%q", got)
	}
	q := &psyc.Packet{Method: "_notice_place_enter"}
	q.Routing.Set("_context", "psyc://rooms.peer.example/@bar")
	if s, known := k.Unsent(q); s != nil || !known {
		t.Errorf("%v, %v", s, known)
	}
}

// TestGuestLimits: a peer gets no more places than it may have.
func TestGuestLimits(t *testing.T) {
	k := newTalk(t)
	k.knows()
	for i := range maxPlaces {
		k.in(asks("ada", fmt.Sprintf("r%d", i), "_request_enter"))
	}
	enter := func(want string) {
		t.Helper()
		if got := telling(k.in(asks("ada", "bar", "_request_enter"))); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	enter("@bar>~ada _failure_exhausted_place t-ada")
	for _, r := range k.rooms {
		for _, g := range r.guests {
			g.since = g.since.Add(-2 * rowLife) // the rooms do not answer
		}
	}
	enter(fmt.Sprintf(enters, "ada"))
	// What waits until it is known what a domain is.
	k = newTalk(t)
	for i := range maxHeld + 1 {
		want := ""
		if i == maxHeld {
			want = "@bar>~ada _failure_unsupported_function t-ada"
		}
		if got := telling(k.in(asks("ada", "bar", "_request_enter"))); i > 0 && got != want {
			t.Errorf("request %d: %q", i, got)
		}
	}
	k = newTalk(t)
	if got := tell(k.in(talks("ada", "bar", strings.Repeat("x", maxWaiting)))); got != "<message:chat" && got != "<message:groupchat" {
		t.Errorf("a long message: %q", got)
	}
}

func FuzzRoom(f *testing.F) {
	f.Add(shows("Cleo S", "ada", "", ofCleo))
	f.Add(shows("ada", "ada", "", ofAda, "110", "100", "201"))
	f.Add(shows("ada", "ada", "unavailable", ofAda, "110", "307"))
	f.Add(groupchat("Cleo", "ada", "1", "<body>/me hi</body><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T15:21:59Z'/>"))
	f.Add(groupchat("Cleo", "ada", "1", "<subject>tea</subject>"))
	f.Fuzz(func(t *testing.T, stanza string) {
		s, err := xmpp.Parse([]byte(stanza))
		if err != nil || s.From.IsZero() || s.To.IsZero() {
			return
		}
		k := newTalk(t)
		k.knows()
		k.in(asks("ada", "bar", "_request_enter"))
		e, err := k.Out(s, psyc.PSYC09)
		if err != nil {
			return
		}
		for _, q := range e.Packets {
			for _, syntax := range []psyc.Syntax{psyc.PSYC09, psyc.PSYC10} {
				if _, err := q.Append(nil, syntax); err != nil && !errors.Is(err, psyc.ErrNotRepresentable) {
					t.Errorf("%+v: %v", q, err)
				}
			}
		}
	})
}
