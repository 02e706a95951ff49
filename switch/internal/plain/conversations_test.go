package plain

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// reply is the answer of psyced to a question of cleo.
func reply(from, method, vars string) string {
	return ":_source\tpsyc://psyced.example/" + from + "\n:_target\t" + here + "\n:_tag_reply\tTAG\n\n:_nick\tada\n" + vars + method + "\n.\n"
}

// TestOurQuestions: what our people ask goes out in psyced's words, and its answers come back as what was asked for.
func TestOurQuestions(t *testing.T) {
	for _, test := range []struct {
		name, to, typ, child string
		method               string // "" if psyced has no word for it
		answer               string
		want                 string
	}{
		{
			"version", "ada@psyced.example", "get", "<query xmlns='jabber:iq:version'/>", "_request_version",
			reply("~ada", "_status_version", ":_version\t0.99\n:_version_description\tpsyced\n"), "<query xmlns='jabber:iq:version'><name>psyced</name><version>0.99</version></query>",
		},
		{"ping of a server", "psyced.example", "get", "<ping xmlns='urn:xmpp:ping'/>", "_request_ping", reply("", "_echo_ping", ""), ""},
		{
			"features of a server", "psyced.example", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "_request_list_feature",
			reply("", "_notice_list_feature_server", ":_identity\tchatserver\n:_name\tpsyced\n:_list_feature\tlist_item\n:\tversion\n"), "jabber:iq:version",
		},
		{
			"features of a person", "ada@psyced.example", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "_request_list_feature",
			reply("~ada", "_notice_list_feature_person", ":_identity\tperson\n:_list_feature\tversion\n"), "jabber:iq:version",
		},
		{
			"items of a server", "psyced.example", "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", "_request_list_item",
			reply("", "_notice_list_item", ":_list_item\t\n"), "<query xmlns='http://jabber.org/protocol/disco#items'/>",
		},
		{
			"idle time", "ada@psyced.example", "get", "<query xmlns='jabber:iq:last'/>", "_request_description_time",
			reply("~ada", "_status_description_time", ":_time_idle\t42\n"), "seconds='42'",
		},
		{
			"profile", "ada@psyced.example", "get", "<vCard xmlns='vcard-temp'/>", "_request_description_vCard",
			reply("~ada", "_status_description_person", ":_name_public\tAda L.\n"), "Ada L.",
		},
		{
			"nothing that psyced knows", "ada@psyced.example", "get", "<query xmlns='urn:x:y'/>", "_jabber_iq_get",
			reply("~ada", "_error_unsupported_method", ""), "<feature-not-implemented",
		},
		{"nothing that psyced answers", "ada@psyced.example", "get", "<time xmlns='urn:xmpp:time'/>", "", "", ""},
		{"nothing that places know", "*bar@psyced.example", "set", "<query xmlns='urn:x:y'/>", "", "", ""},
		{
			"an error", "ada@psyced.example", "get", "<query xmlns='jabber:iq:version'/>", "_request_version",
			reply("~ada", "_failure_filter_strangers", ""), "<forbidden",
		},
		{
			"what has moved", "ada@psyced.example", "get", "<query xmlns='jabber:iq:version'/>", "_request_version",
			reply("~ada", "_failure_redirect_permanent", ":_source_redirect\tpsyc://new.example/~ada\n"), ">xmpp:ada@new.example</gone>",
		},
		{
			"what has moved for now", "ada@psyced.example", "get", "<query xmlns='jabber:iq:version'/>", "_request_version",
			reply("~ada", "_failure_redirect_temporary", ":_source_redirect\tpsyc://new.example/~ada\n"), ">xmpp:ada@new.example</redirect>",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newTalk(t)
			s := "<iq from='cleo@peer.example/desk' to='" + test.to + "' id='q1' type='" + test.typ + "'>" + test.child + "</iq>"
			if test.method == "" {
				if e, err := k.Out(parse(t, s), k.syntax); err == nil && tell(e) != "<iq:error" {
					t.Errorf("%q, which psyced never answers", tell(e))
				}
				return
			}
			e := k.out(s)
			if tell(e) != ">"+test.method {
				t.Fatalf("asked with %q", tell(e))
			}
			e = k.in(strings.Replace(test.answer, "TAG", e.Packets[0].Routing.Get("_tag").String(), 1))
			if len(e.Stanzas) != 1 {
				t.Fatalf("answered with %q", tell(e))
			}
			got := string(e.Stanzas[0].Append(nil))
			if e.Stanzas[0].ID != "q1" || e.Stanzas[0].To.Resource() != "desk" || !strings.Contains(got, test.want) {
				t.Errorf("answered with %s", got)
			}
		})
	}
}

// TestNobodyReadsXML: what psyced has no word for is not sent in 1.0, where it is the body of a packet and psyced shows it.
func TestNobodyReadsXML(t *testing.T) {
	k := newTalk(t)
	question := parse(t, "<iq from='cleo@peer.example/desk' to='ada@psyced.example' id='q1' type='get'><query xmlns='urn:x:y'/></iq>")
	if e, err := k.Out(question, psyc.PSYC10); !errors.Is(err, xmpp.ServiceUnavailable) || len(e.Packets) > 0 {
		t.Errorf("%q, %v", tell(e), err)
	}
}

// TestWords: what psyced says about messages, itself and its people, and what XMPP hears of it.
func TestWords(t *testing.T) {
	const chat = "<message from='cleo@peer.example/desk' to='ada@psyced.example' type='chat' id='m1'><body>hi</body></message>"
	failure := func(condition string) string {
		return "<message from='ada@psyced.example' to='cleo@peer.example/desk' id='ID' type='error'>" + condition
	}
	for _, test := range []struct {
		name   string
		method string
		vars   string
		want   string // the beginning of what cleo hears
	}{
		{"echo", "_message_echo_private", "", ""},
		{"unknown", "_error_unknown_name_user", "", failure("<error type='cancel'><item-not-found ")},
		{"strangers", "_failure_filter_strangers", "", failure("<error type='auth'><forbidden ")},
		{"unreachable", "_failure_unsuccessful_delivery_resolve", "", failure("<error type='cancel'><remote-server-not-found ")},
		{"given up", "_failure_unsuccessful_delivery_repeated", "", failure("<error type='wait'><remote-server-timeout ")},
		{"unregistered", "_failure_necessary_registration", "", failure("<error type='auth'><registration-required ")},
		{"moved", "_failure_redirect_permanent", ":_source_redirect\tpsyc://new.example/~ada\n", failure("<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:ada@new.example</gone>")},
		{"moved for now", "_failure_redirect_temporary", ":_source_redirect\tpsyc://new.example/~ada\n", failure("<error type='modify'><redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:ada@new.example</redirect>")},
		{"moved to nowhere", "_failure_redirect_temporary", ":_source_redirect\t!\n", failure("<error type='modify'><redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>")},
		{"away", "_status_person_absent", "", ""},
		{"no reply", "_warning_unable_reply", "", ""},
		{"shutdown", "_warning_server_shutdown", ":_reason\tupgrade\n", ""},
		{"restart", "_warning_server_shutdown_temporary", ":_reason\tupgrade\n", ""},
		{"typing", "_notice_typing_composing", "", "<message from='ada@psyced.example' to='cleo@peer.example' type='chat'><composing "},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newTalk(t)
			if got := tell(k.out(chat)); got != ">_message_private" {
				t.Fatalf("%q", got)
			}
			got := telling(k.in(from(test.method, "\n:_nick\tada\n"+test.vars)))
			if test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	k := newTalk(t)
	k.out(chat)
	if got := tell(k.in(":_source\tpsyc://psyced.example/\n\n:_reason\tupgrade\n_warning_server_shutdown\nSoon.\n.\n")); got != "" {
		t.Errorf("a warning to our server: %q", got)
	}
}

// inBar is a room of psyced's with cleo and, with another client, dan in it.
func inBar(t *testing.T, syntax psyc.Syntax) *talk {
	t.Helper()
	k := newTalk(t)
	k.syntax = syntax
	for _, who := range []string{"cleo", "dan"} {
		e := k.out("<presence from='" + who + "@peer.example/desk' to='*bar@psyced.example/" + who + "'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		k.in(":_source\tpsyc://psyced.example/@bar\n:_target\tpsyc://peer.example/~" + who + "\n:_tag_reply\t" + e.Packets[0].Routing.Get("_tag").String() +
			"\n\n:_nick\t" + who + "\n:_list_members\tpsyc://psyced.example/~ada\n:_list_members_nicks\tada\n_echo_place_enter\n.\n")
	}
	return k
}

// cast is a packet of the place.
func cast(speaker, vars, method string) string {
	return ":_context\tpsyc://psyced.example/@bar\n:_source_relay\tpsyc://psyced.example/" + speaker + "\n\n" + vars + method + "\n.\n"
}

// TestPlaceShutsDown: without a nick it is about everybody.
func TestPlaceShutsDown(t *testing.T) {
	k := inBar(t, psyc.PSYC09)
	e := k.in(cast("@bar", ":_reason\tupgrade\n:_nick_place\tbar\n", "_notice_place_leave_shutdown"))
	if tell(e) != "<presence:unavailable <presence:unavailable" || len(k.places) != 0 || k.inPlaces != 0 {
		t.Fatalf("%q, %d places", tell(e), len(k.places))
	}
	for _, s := range e.Stanzas {
		if x, _ := s.MUCUser(); !x.Has(110) || !x.Has(332) {
			t.Errorf("%s", s.Append(nil))
		}
	}
}

// TestCopiesOfLeaving: in 1.0 a cast comes once for each member, and the copies of a leaving have different tags.
func TestCopiesOfLeaving(t *testing.T) {
	k := inBar(t, psyc.PSYC10)
	leave := func(tag string) string {
		return strings.Replace(cast("~", ":_tag_reply\t"+tag+"\n:_nick\tdan\n:_nick_place\tbar\n", "_notice_place_leave"), "psyc://psyced.example/~", "psyc://peer.example/~dan", 1)
	}
	if got := tell(k.in(leave("1"))); got != "<presence:unavailable <presence:unavailable" {
		t.Errorf("at first %q", got)
	}
	if got := tell(k.in(leave("2"))); got != "" {
		t.Errorf("once more %q", got)
	}
}

// TestTopicRemoved: a topic goes by a word for that, and the place names the one that is gone.
func TestTopicRemoved(t *testing.T) {
	k := inBar(t, psyc.PSYC09)
	e := k.out("<message from='cleo@peer.example/desk' to='*bar@psyced.example' type='groupchat' id='t'><subject/></message>")
	if len(e.Packets) != 1 || e.Packets[0].Method != "_request_set_topic" || e.Packets[0].Entity.Get("_topic").String() != "-" {
		t.Errorf("%q", telling(e))
	}
	got := telling(k.in(cast("~ada", ":_nick\tada\n:_topic\tmilk\n", "_notice_place_topic_removed")))
	const subject = "<message from='*bar@psyced.example/ada' to='%s@peer.example/desk' type='groupchat'><subject/></message>"
	if want := fmt.Sprintf(subject, "cleo") + "\n" + fmt.Sprintf(subject, "dan"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestPlaceRefusals: what psyced's places say to whom they do not let in, as XEP-0045 has it.
func TestPlaceRefusals(t *testing.T) {
	for _, test := range []struct{ method, vars, want string }{
		{"_error_place_enter_necessary_invitation", "", "<registration-required "},
		{"_error_unavailable_nick_place", "", "<conflict "},
		{"_error_place_enter_restricted_local", "", "<not-allowed "},
		{"_failure_redirect_temporary", ":_source_redirect\tpsyc://new.example/@bar\n", ">xmpp:*bar@new.example</redirect>"},
	} {
		k := newTalk(t)
		e := k.out("<presence from='cleo@peer.example/desk' to='*bar@psyced.example/cleo' id='j1'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		e = k.in(strings.Replace(reply("@bar", test.method, test.vars), "TAG", e.Packets[0].Routing.Get("_tag").String(), 1))
		if tell(e) != "<presence:error" || !strings.Contains(string(e.Stanzas[0].Append(nil)), test.want) || e.Stanzas[0].ID != "j1" || k.inPlaces != 0 {
			t.Errorf("%s: %q", test.method, telling(e))
		}
	}
}

// TestPresenceOnce: psyced answers what it is told as well as what it is asked, and says the same twice.
func TestPresenceOnce(t *testing.T) {
	k := newTalk(t)
	present := from("_status_person_present", "\n:_nick\tada\n")
	for i, st := range []step{
		{presence("probe"), ">_request_status_person"},
		{present, "<presence"},
		{present, ""},
		{presence("probe"), ">_request_status_person"},
		{present, "<presence"},
		{from("_status_person_absent", "\n:_nick\tada\n"), "<presence:unavailable"},
	} {
		var e Effect
		if strings.HasPrefix(st.what, "<") {
			e = k.out(st.what)
		} else {
			e = k.in(st.what)
		}
		if got := tell(e); got != st.want {
			t.Errorf("step %d: %q, want %q", i, got, st.want)
		}
	}
}

// TestAskedClients: what only a client knows is asked of one that is there.
func TestAskedClients(t *testing.T) {
	k := newTalk(t)
	to := func(method string) string { return k.in(from(method, ":_tag\tx\n")).Stanzas[0].To.String() }
	if got := to("_request_version"); got != "cleo@peer.example" {
		t.Errorf("of nobody we know: %s", got)
	}
	k.out("<presence from='cleo@peer.example/desk' to='ada@psyced.example'/>")
	for method, want := range map[string]string{
		"_request_version":          "cleo@peer.example/desk",
		"_request_list_feature":     "cleo@peer.example/desk",
		"_request_description_time": "cleo@peer.example",
		"_request_ping":             "cleo@peer.example",
	} {
		if got := to(method); got != want {
			t.Errorf("%s goes to %s", method, got)
		}
	}
}

// TestSubjectEndsHistory: the subject comes behind what was said before (XEP-0045 section 7.2.15), of which nothing tells the end.
func TestSubjectEndsHistory(t *testing.T) {
	history := strings.Replace(cast("~ada", ":_nick\tada\n:_time_place\t1795360919\n", "_message_public\nhi"), "\n\n", "\n:_target\t"+here+"\n\n", 1)
	live := cast("~ada", ":_nick\tada\n", "_message_public\nhi")
	for _, test := range []struct {
		name  string
		lines []string
		want  string
		late  bool // the subject has to wait until it is clear that nothing more comes
	}{
		{"history alone", []string{history, history}, "body body", true},
		{"nothing", nil, "", true},
		{"something new", []string{history, live}, "body subject body", false},
		{"the topic itself", []string{history, strings.Replace(cast("@bar", ":_topic\tmilk\n", "_status_place_topic"), "\n\n", "\n:_target\t"+here+"\n\n", 1)}, "body subject", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newTalk(t)
				late := make(chan *xmpp.Stanza, 1)
				k.Late = func(s *xmpp.Stanza) { late <- s }
				e := k.out("<presence from='cleo@peer.example/desk' to='*bar@psyced.example/cleo'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
				k.in(strings.Replace(reply("@bar", "_echo_place_enter", ":_topic\ttea\n"), "TAG", e.Packets[0].Routing.Get("_tag").String(), 1))
				var got []string
				for _, l := range test.lines {
					for _, s := range k.in(l).Stanzas {
						child, _ := firstChild(s)
						got = append(got, child.Name().Local)
					}
				}
				if strings.Join(got, " ") != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if (len(late) > 0) != test.late {
					t.Errorf("late: %v", len(late) > 0)
				}
				k.Close()
			})
		})
	}
}

// TestLists: in 1.0 psyced reads lists as the first drafts wrote them, and drops the circuit over any other.
func TestLists(t *testing.T) {
	for syntax, want := range map[psyc.Syntax]string{
		psyc.PSYC10: ":_list_members_nicks\t|Cleo\u00A0S\u00A6|ada\n",
		psyc.PSYC09: ":_list_members_nicks\tCleo\u00A0S|\n:\tada\n",
	} {
		k := newTalk(t)
		k.knows()
		k.syntax = syntax
		k.in(asks("ada", "bar", "_request_enter"))
		k.out(shows("Cleo S|", "ada", "", ""))
		e := k.out(shows("ada", "ada", "", "", "110"))
		wire, err := e.Packets[0].Append(nil, syntax)
		if err != nil || !strings.Contains(strings.Replace(string(wire), "_nicks 14\t", "_nicks\t", 1), want) {
			t.Errorf("%v: %q, %v", syntax, wire, err)
		}
	}
}
