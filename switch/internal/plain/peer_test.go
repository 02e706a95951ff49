package plain

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	there = "psyc://psyced.example/~ada"
	here  = "psyc://peer.example/~cleo"
)

// A talk is a conversation with a peer, line by line.
type talk struct {
	t *testing.T
	*Peer
	syntax psyc.Syntax
}

func newTalk(t *testing.T) *talk { return &talk{t, new(Peer), psyc.PSYC09} }

// tell shows what an effect is: methods to the peer, stanzas by kind, type and what matters.
func tell(e Effect) string {
	var said []string
	for _, q := range e.Packets {
		said = append(said, ">"+q.Method)
	}
	for _, s := range e.Stanzas {
		what := "<" + s.Kind.String()
		if s.Type != "" {
			what += ":" + s.Type
		}
		said = append(said, what)
	}
	for _, q := range e.After {
		said = append(said, ">>"+q.Method)
	}
	return strings.Join(said, " ")
}

func parse(t *testing.T, stanza string) *xmpp.Stanza {
	t.Helper()
	s, err := xmpp.Parse([]byte(stanza))
	if err != nil {
		t.Fatalf("%s: %v", stanza, err)
	}
	return s
}

func (k *talk) out(stanza string) Effect {
	k.t.Helper()
	e, err := k.Out(parse(k.t, stanza), k.syntax)
	if err != nil {
		k.t.Fatalf("%s: %v", stanza, err)
	}
	return e
}

func (k *talk) in(packet string) Effect {
	k.t.Helper()
	var p psyc.Packet
	if _, err := p.Parse([]byte(packet), psyc.PSYC09); err != nil {
		k.t.Fatalf("%q: %v", packet, err)
	}
	e, err := k.In(&p, k.syntax)
	if err != nil {
		k.t.Fatalf("%q: %v", packet, err)
	}
	return e
}

// from is a packet of ada's to cleo.
func from(method, vars string) string {
	return ":_source\t" + there + "\n:_target\t" + here + "\n" + vars + "\n" + method + "\n.\n"
}

func presence(typ string) string {
	return "<presence from='cleo@peer.example' to='ada@psyced.example' type='" + typ + "'/>"
}

// TestFriendship goes through what two people may want, in each order: no request is ever left pending there, and the friendship
// ends with the last direction. "x>" is a stanza that cleo's server sends, anything else a packet of psyced.
func TestFriendship(t *testing.T) {
	const (
		asks    = "_request_friendship"
		implied = "_request_friendship_implied"
		friends = "_notice_friendship_established"
		already = "_status_friendship_established"
		removed = "_notice_friendship_removed"
		removal = "_notice_friendship_removed_implied"
	)
	for _, test := range []struct {
		name  string
		steps []string // what happens, and what that leads to
	}{
		{"cleo asks, ada consents, cleo too", []string{
			"x>subscribe", ">" + asks,
			friends, "<presence:subscribed",
			implied, "<presence:subscribe",
			"x>subscribed", ">" + friends,
		}},
		{"the same without the notice", []string{
			"x>subscribe", ">" + asks,
			implied, "<presence:subscribed <presence:subscribe",
		}},
		{"ada asks, cleo consents: that takes a request in return", []string{
			asks, "<presence:subscribe",
			"x>subscribed", ">" + implied,
			friends, "<presence:subscribed",
			"x>subscribe", ">_request_status_person <presence:subscribed",
			already, "<presence:subscribed",
			"x>unsubscribed", "",
			"x>subscribe", ">" + asks,
		}},
		{"ada asks, cleo does not want", []string{
			asks, "<presence:subscribe",
			"x>unsubscribed", ">" + removed,
			removal, "<presence:unsubscribe <presence:unsubscribed",
		}},
		{"ada asks, cleo consents and thinks again", []string{
			asks, "<presence:subscribe",
			"x>subscribed", ">" + implied,
			friends, "<presence:subscribed",
			"x>unsubscribed", ">" + removed,
		}},
		{"cleo keeps one direction", []string{
			"x>subscribe", ">" + asks,
			implied, "<presence:subscribed <presence:subscribe",
			"x>unsubscribed", "",
			"x>unsubscribe", ">" + removed,
		}},
		{"both ask", []string{
			"x>subscribe", ">" + asks,
			asks, "<presence:subscribed <presence:subscribe",
			"x>subscribed", ">" + friends,
		}},
		{"cleo leaves in the order of servers", []string{
			"x>subscribe", ">" + asks,
			implied, "<presence:subscribed <presence:subscribe",
			"x>subscribed", ">" + friends,
			"x>unsubscribe", "",
			"x>unsubscribed", ">" + removed,
		}},
		{"ada leaves", []string{
			"x>subscribe", ">" + asks,
			implied, "<presence:subscribed <presence:subscribe",
			removed, ">" + removal + " <presence:unsubscribe <presence:unsubscribed",
		}},
		{"a probe that cleo's server does not want is no end", []string{
			"_request_status_person", "<presence:probe",
			"x>unsubscribed", "",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newTalk(t)
			for i := 0; i < len(test.steps); i += 2 {
				step, want := test.steps[i], test.steps[i+1]
				var e Effect
				if typ, ok := strings.CutPrefix(step, "x>"); ok {
					e = k.out(presence(typ))
				} else {
					e = k.in(from(step, "\n:_nick\tada"))
				}
				if got := tell(e); got != want {
					t.Errorf("%s: %q, want %q", step, got, want)
				}
			}
		})
	}
}

// TestTags: an answer counts only under its own tag, from whom was asked, and by a method that answers.
func TestTags(t *testing.T) {
	k := newTalk(t)
	ask := func(resource string) string {
		e := k.out("<iq from='cleo@peer.example/" + resource + "' to='ada@psyced.example' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
		if tell(e) != ">_request_ping" {
			t.Fatalf("asked with %q", tell(e))
		}
		return e.Packets[0].Routing.Get("_tag").String()
	}
	desk, pad := ask("desk"), ask("pad")
	for _, test := range []struct{ name, packet, want string }{
		{"from somebody else", strings.Replace(from("_echo_ping", ":_tag_reply\t"+desk+"\n"), "~ada", "~eve", 1), ""},
		{"on a message of her own", from("_message_private", ":_tag_reply\t"+desk+"\n"), "<message:chat >>_message_echo_private"},
		{"under no tag", from("_echo_ping", ""), ""},
		{"as it should", from("_echo_ping", ":_tag_reply\t"+pad+"\n"), "<iq:result"},
		{"a second time", from("_echo_ping", ":_tag_reply\t"+pad+"\n"), ""},
		{"an error", from("_error_unsupported_method", ":_tag_reply\t"+desk+"\n"), "<iq:error"},
	} {
		e := k.in(test.packet)
		if got := tell(e); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		for _, s := range e.Stanzas {
			if s.Kind == xmpp.IQ && (s.ID != "1" || s.To.Resource() == "") {
				t.Errorf("%s: %s", test.name, s.Append(nil))
			}
			if s.Kind == xmpp.Message && s.ID != "" {
				t.Errorf("%s: id %q", test.name, s.ID)
			}
		}
	}
}

// TestLate: what is not answered bounces after a minute.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(t)
		var mu sync.Mutex
		var late []*xmpp.Stanza
		k.Late = func(s *xmpp.Stanza) {
			mu.Lock()
			defer mu.Unlock()
			late = append(late, s)
		}
		k.out("<iq from='cleo@peer.example/desk' to='ada@psyced.example' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
		time.Sleep(30 * time.Second)
		k.out("<presence from='cleo@peer.example/desk' to='*bar@psyced.example/cleo'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		time.Sleep(31 * time.Second)
		synctest.Wait()
		mu.Lock()
		if len(late) != 1 || late[0].Kind != xmpp.IQ || late[0].Type != "error" || late[0].ID != "1" {
			t.Errorf("after a minute: %v", late)
		}
		mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(late) != 2 || late[1].Kind != xmpp.Presence || late[1].Type != "error" || len(k.places) != 0 || k.inPlaces != 0 {
			t.Errorf("after two: %v, %d places", late, len(k.places))
		}
	})
}

// TestQuestions: what psyced asks is answered in its words and under its tag.
func TestQuestions(t *testing.T) {
	for _, test := range []struct{ method, result, want string }{
		{"_request_ping", "", "_echo_ping"},
		{"_request_version", "<query xmlns='jabber:iq:version'><name>Pidgin</name><version>2</version></query>", "_status_version"},
		{"_request_description_time", "<query xmlns='jabber:iq:last' seconds='7'/>", "_status_description_time"},
		{"_request_list_feature", "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/><feature var='urn:xmpp:ping'/></query>", "_notice_list_feature_person"},
	} {
		k := newTalk(t)
		e := k.in(from(test.method, ":_tag\tx7\n"))
		if tell(e) != "<iq:get" {
			t.Errorf("%s: %q", test.method, tell(e))
			continue
		}
		asked := e.Stanzas[0]
		e = k.out("<iq from='cleo@peer.example' to='ada@psyced.example' id='" + asked.ID + "' type='result'>" + test.result + "</iq>")
		if tell(e) != ">"+test.want || e.Packets[0].Routing.Get("_tag_reply").String() != "x7" {
			t.Errorf("%s is answered with %+v", test.method, e.Packets)
		}
	}
	k := newTalk(t)
	examined := k.in(from("_request_examine", ":_tag\tx9\n")).Stanzas[0]
	e := k.out("<iq from='cleo@peer.example' to='ada@psyced.example' id='" + examined.ID + "' type='result'><vCard xmlns='vcard-temp'><FN>Cleo S.</FN><URL>http://cleo.example/</URL></vCard></iq>")
	if tell(e) != ">_status_description_person" || e.Packets[0].Entity.Get("_name_public").String() != "Cleo S." || e.Packets[0].Entity.Get("_page_public") == nil {
		t.Errorf("profile: %+v", e.Packets)
	}
	asked := k.in(from("_request_version", ":_tag\tx8\n")).Stanzas[0]
	e = k.out("<iq from='cleo@peer.example' to='ada@psyced.example' id='" + asked.ID + "' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	if tell(e) != ">_failure_unavailable_service" || e.Packets[0].Entity.Get("_method_relay").String() != "_request_version" {
		t.Errorf("refused with %+v", e.Packets)
	}
}

// TestSpelling: each is answered as the one whom they addressed.
func TestSpelling(t *testing.T) {
	k := newTalk(t)
	say := func(to string) string {
		e := k.out("<message from='cleo@peer.example/desk' to='" + to + "@psyced.example' type='chat'><body>hi</body></message>")
		return e.Packets[0].Routing.Get("_source").String()
	}
	if got := say("ada"); got != here {
		t.Errorf("at first %s", got)
	}
	e := k.in(":_source\t" + there + "\n:_target\txmpp:cleo@peer.example/Desk\n\n_message_private\nhi\n.\n")
	if e.Stanzas[0].To.String() != "cleo@peer.example" || e.After[0].Routing.Get("_source").String() != "xmpp:cleo@peer.example/Desk" {
		t.Errorf("to %s, echoed by %+v", e.Stanzas[0].To, e.After[0])
	}
	k.in(":_source\tpsyc://psyced.example/~bob\n:_target\t" + here + "\n\n_message_private\nhi\n.\n")
	if a, b, c := say("ada"), say("bob"), say("eve"); a != "xmpp:cleo@peer.example" || b != here || c != here {
		t.Errorf("then %s, %s, %s", a, b, c)
	}
}

// TestResources: somebody with two clients is there until both are gone.
func TestResources(t *testing.T) {
	k := newTalk(t)
	for _, step := range []struct{ from, typ, show, want string }{
		{"desk", "", "", ">_notice_presence_here"},
		{"pad", "", "<show>away</show>", ">_notice_presence_away"},
		{"desk", "unavailable", "", ""},
		{"desk", "", "", ">_notice_presence_here"},
		{"desk", "unavailable", "", ">_notice_presence_away"},
		{"pad", "unavailable", "", ">_notice_presence_absent <presence:probe"}, // there may be others, from before
		{"", "unavailable", "", ""},                                            // there are none
		{"desk", "", "", ">_notice_presence_here"},
		{"desk", "unavailable", "", ">_notice_presence_absent"},
		{"", "unavailable", "", ">_notice_presence_absent"}, // which somebody has asked for
	} {
		typ := ""
		if step.typ != "" {
			typ = " type='" + step.typ + "'"
		}
		e := k.out("<presence from='cleo@peer.example" + slash(step.from) + "' to='ada@psyced.example'" + typ + ">" + step.show + "</presence>")
		if got := tell(e); got != step.want {
			t.Errorf("%s %s: %q, want %q", step.from, step.typ, got, step.want)
		}
	}
}

func slash(resource string) string {
	if resource == "" {
		return ""
	}
	return "/" + resource
}

// TestCastBeforeAnybodyListens: the last presence waits for the first who asks.
func TestCastBeforeAnybodyListens(t *testing.T) {
	k := newTalk(t)
	cast := ":_context\t" + there + "\n:_source_relay\t" + there + "\n\n:_degree_availability\t3\n_notice_presence_away\n.\n"
	if got := tell(k.in(cast)); got != "" {
		t.Errorf("to nobody: %q", got)
	}
	if got := tell(k.out(presence("probe"))); got != ">_request_status_person <presence" {
		t.Errorf("to the first: %q", got)
	}
	if got := tell(k.in(cast)); got != "" {
		t.Errorf("once more: %q", got)
	}
}

// TestHostile: nothing that a peer sends makes it do more than it may.
func TestHostile(t *testing.T) {
	k := newTalk(t)
	for i := range 2 * maxRows {
		s := &xmpp.Stanza{Kind: xmpp.IQ, Type: "get", ID: "1"}
		_ = i
		if tag := k.ask(s, pair{}.there, nil); tag == "" && len(k.asked) < maxRows {
			t.Fatal("too few rows")
		}
	}
	if len(k.asked) != maxRows {
		t.Errorf("%d rows", len(k.asked))
	}
	for _, packet := range []string{
		":_context\tpsyc://psyced.example/@bar\n\n:_nick\tx\n_notice_place_enter\n.\n",
		":_source\tpsyc://psyced.example/@bar\n:_target\t" + here + "\n\n:_list_members_nicks\ta\n:\tb\n_echo_place_enter\n.\n",
		":_source\tpsyc://psyced.example/\n\n_warning_server_shutdown\n.\n",
		from("_message_echo_private", ""),
		from("_warning_unable_reply", ""),
		from("_status_person_absent", ""),
	} {
		if got := tell(k.in(packet)); got != "" {
			t.Errorf("%q: %q", packet, got)
		}
	}
	if len(k.places) != 0 {
		t.Errorf("%d places", len(k.places))
	}
}

func FuzzIn(f *testing.F) {
	f.Add([]byte(from("_message_private", "")))
	f.Add([]byte(from("_request_version", ":_tag\tx\n")))
	f.Add([]byte(":_source\tpsyc://psyced.example/\n:_target\tpsyc://peer.example/\n:_tag\tx\t\n\n_request_\n.\n"))
	f.Add([]byte(":_context\tpsyc://psyced.example/@bar\n:_target\t" + here + "\n\n:_time_place\t1795360919\n:_nick\ta\n_message_public\nhi\n.\n"))
	f.Add([]byte(":_source\tpsyc://psyced.example/@bar\n:_target\t" + here + "\n\n:_list_members_nicks\ta\n:\tb\n:_list_members\tx\n_echo_place_enter\n.\n"))
	f.Add([]byte(asks("ada", "bar", "_request_enter", "_password\tx")))
	f.Add([]byte(asks("ada", "bar", "_request_kick", "_person\tx")))
	f.Add([]byte(talks("ada", "bar", "hi")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var p psyc.Packet
		if _, err := p.Parse(wire, psyc.PSYC09); err != nil {
			return
		}
		k := newTalk(t)
		k.out("<presence from='cleo@peer.example/desk' to='*bar@psyced.example/cleo'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		k.kinds.Put("rooms.peer.example", kind{known: true, rooms: true}, time.Now().Add(kindLife), maxKinds)
		e, err := k.In(&p, psyc.PSYC09)
		k.Close()
		if err != nil {
			return
		}
		for _, s := range e.Stanzas {
			if _, err := xmpp.Parse(s.Append(nil)); err != nil {
				t.Errorf("%s: %v", s.Append(nil), err)
			}
		}
		for _, q := range append(e.Packets, e.After...) {
			if _, err := q.Append(nil, psyc.PSYC10); err != nil {
				t.Errorf("%+v: %v", q, err)
			}
		}
	})
}

// TestUnsupported: what psyced asks for and XMPP has no question for is refused, and never something that people read.
func TestUnsupported(t *testing.T) {
	k := newTalk(t)
	for _, test := range []struct{ method, want string }{
		{"_request_enter", ">_failure_unsupported_function"},
		{"_request_attention_wake", ">_failure_unsupported_function"},
		{"_request_description", "<iq:get"},
		{"_request_examine", "<iq:get"},
	} {
		e := k.in(from(test.method, ":_tag\t0 6b\n\n:_nick\tada"))
		if got := tell(e); got != test.want {
			t.Errorf("%s: %q", test.method, got)
		}
		if len(e.Packets) > 0 && e.Packets[0].Routing.Get("_tag_reply").String() != "0 6b" {
			t.Errorf("%s is answered under %q", test.method, e.Packets[0].Routing.Get("_tag_reply"))
		}
	}
}
