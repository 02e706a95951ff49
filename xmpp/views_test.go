package xmpp

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

func TestStanzaErrorView(t *testing.T) {
	s := parse(t, "<message type='error' xmlns:p='urn:p'><body>x</body><error type='cancel' by='b' code='302'>"+
		"<p:more/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no &amp; no</text>"+
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>nein</text>"+
		"<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:c@d</gone></error></message>")
	want := &StanzaError{
		Condition: Gone, Type: "cancel", By: "b", Address: "xmpp:c@d", Text: "no & no", Lang: "en",
		App: []byte("<p:more xmlns='jabber:server' xmlns:p='urn:p'/>"),
	}
	got := s.Error()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if !errors.Is(got, Gone) || errors.Is(got, ItemNotFound) {
		t.Errorf("%v is not Gone", got)
	}
	for in, want := range map[string]Condition{
		"<message type='error'/>": UndefinedCondition,
		"<message type='error'><error><on-fire xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>":            "on-fire",
		"<message type='error'><error xmlns='urn:x'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>": UndefinedCondition,
	} {
		if got := parse(t, in).Error(); got.Condition != want {
			t.Errorf("%s: %v", in, got)
		}
	}
	if parse(t, "<message><error/></message>").Error() != nil {
		t.Error("an error without type error")
	}
}

func TestAttrsBytes(t *testing.T) {
	s := parse(t, "<message xmlns:p='urn:p'><p:x xmlns='urn:x' a='1' p:b='&lt;'/><y xmlns=''/></message>")
	var got []string
	for e := range s.Children() {
		got = append(got, string(e.Space())+" "+string(e.Local()))
		for name, value := range e.AttrsBytes() {
			got = append(got, string(name)+"="+string(value))
		}
	}
	if want := []string{"urn:p x", "xmlns=urn:x", "a=1", "p:b=<", " y", "xmlns="}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if none := (Element{}); none.Space() != nil {
		t.Errorf("the zero value is in namespace %q", none.Space())
	}
	for name := range (Element{}).AttrsBytes() {
		t.Errorf("the zero value has an attribute %s", name)
	}
}

func TestDelay(t *testing.T) {
	stamp := time.Date(2024, 5, 1, 18, 30, 2, 125e6, time.UTC)
	d := Delay{From: "capulet.example", Stamp: stamp, Reason: "offline & asleep"}
	s := parse(t, "<message>"+string(d.Append(nil))+"</message>")
	if got, ok := s.Delay(); !ok || got != d {
		t.Errorf("got %+v", got)
	}
	s = parse(t, "<message><delay xmlns='urn:xmpp:delay' stamp='yesterday'/></message>")
	if got, ok := s.Delay(); !ok || !got.Stamp.IsZero() {
		t.Errorf("got %+v", got)
	}
	if _, ok := parse(t, "<message><delay/></message>").Delay(); ok {
		t.Error("a delay in a foreign namespace")
	}
}

func TestDisco(t *testing.T) {
	d := DiscoInfo{Node: "n", Identities: []Identity{{"server", "im", "A & B", "en"}, {Category: "pubsub", Type: "pep"}}, Features: []string{nsPing, nsDiscoInfo}}
	s := parse(t, "<iq type='result'>"+string(d.Append(nil))+"</iq>")
	if got, ok := s.DiscoInfo(); !ok || !reflect.DeepEqual(got, d) || !got.Has(nsPing) || got.Has("x") {
		t.Errorf("got %+v", got)
	}
	s = parse(t, "<iq type='get'>"+string(DiscoInfo{}.Append(nil))+"</iq>")
	if got, ok := s.DiscoInfo(); !ok || !reflect.DeepEqual(got, DiscoInfo{}) {
		t.Errorf("got %+v", got)
	}
	s = parse(t, "<iq type='result'><query xmlns='http://jabber.org/protocol/disco#items' node='n'><item jid='A@b' name='x'/><item jid='@'/><x/></query></iq>")
	items, node, ok := s.DiscoItems()
	if want := []DiscoItem{{JID: uniform.MustParseJID("a@b"), Name: "x"}, {}}; !ok || node != "n" || !reflect.DeepEqual(items, want) {
		t.Errorf("got %+v", items)
	}
	if !parse(t, "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>").IsPing() || parse(t, "<iq type='result'><ping xmlns='urn:xmpp:ping'/></iq>").IsPing() {
		t.Error("ping")
	}
	c, ok := parse(t, "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>").Caps()
	if !ok || c != (Caps{"n", "v", "sha-1"}) {
		t.Errorf("got %+v", c)
	}
}

func TestMUCUser(t *testing.T) {
	s := parse(t, "<presence><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant' nick='new' jid='a@b/c'><reason>why</reason></item>"+
		"<status code='303'/><status code='x'/><status code='110'/></x></presence>")
	m, ok := s.MUCUser()
	want := MUCUser{[]MUCItem{{"none", "participant", "new", uniform.MustParseJID("a@b/c"), "why"}}, []int{303, 110}}
	if !ok || !reflect.DeepEqual(m, want) || !m.Has(110) || m.Has(100) {
		t.Errorf("got %+v", m)
	}
}

func TestIDs(t *testing.T) {
	s := parse(t, "<message><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@b'/><stanza-id xmlns='urn:xmpp:sid:0' id='2' by='@'/>"+
		"<origin-id xmlns='urn:xmpp:sid:0' id='3'/><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></message>")
	if got, want := s.StanzaIDs(), []StanzaID{{"1", uniform.MustParseJID("room@b")}, {ID: "2"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if s.OriginID() != "3" || s.Nick() != "Romeo" {
		t.Errorf("%q, %q", s.OriginID(), s.Nick())
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		in string
		ok bool
	}{
		{"<message/>", true},
		{"<message type='weird'/>", true},
		{"<message type='error'/>", false},
		{"<message type='error'><error/></message>", true},
		{"<presence/>", true},
		{"<presence type='probe'/>", true},
		{"<presence type='available'/>", false},
		{"<presence type=''/>", false},
		{"<iq type='get' id='1'><x/></iq>", true},
		{"<iq type='get' id=''><x/></iq>", true},
		{"<iq type='get'><x/></iq>", false},
		{"<iq type='set' id='1'/>", false},
		{"<iq type='set' id='1'><x/><y/></iq>", false},
		{"<iq type='get' id='1'>text</iq>", false},
		{"<iq type='result' id='1'/>", true},
		{"<iq type='result' id='1'><x/></iq>", true},
		{"<iq type='result' id='1'><x/><y/></iq>", false},
		{"<iq type='error' id='1'><x/><error/></iq>", true},
		{"<iq type='ask' id='1'><x/></iq>", false},
	} {
		s, _ := Parse([]byte(tt.in))
		if err := s.Check(); (err == nil) != tt.ok || err != nil && !errors.Is(err, BadRequest) {
			t.Errorf("%s: %v", tt.in, err)
		}
	}
}

func TestAllow(t *testing.T) {
	s := parse(t, "<message a='1' b='2'><x c='3'><y><z/></y><y d='4' e='5' f='6'/></x><x/></message>")
	size := len(s.Append(nil))
	for _, tt := range []struct {
		lim Limits
		ok  bool
	}{
		{Limits{}, true},
		{Limits{Stanza: size, Depth: 4, Elements: 6, Attrs: 3}, true},
		{Limits{Stanza: size - 1}, false},
		{Limits{Depth: 3}, false},
		{Limits{Elements: 5}, false},
		{Limits{Attrs: 2}, false},
	} {
		if err := tt.lim.Allow(s); (err == nil) != tt.ok || err != nil && !errors.Is(err, PolicyViolation) {
			t.Errorf("%+v: %v", tt.lim, err)
		}
		d := NewDecoder(strings.NewReader(string(s.Append(nil))))
		d.Limits = tt.lim
		for _, err := range d.Stanzas() {
			if (err == nil) != tt.ok {
				t.Errorf("%+v: allowed %v, but a reader says %v", tt.lim, tt.ok, err)
			}
		}
	}
	if err := (Limits{Attrs: 1}).Allow(&Stanza{Kind: Message, ID: "1", Type: "chat"}); err == nil {
		t.Error("attributes of the stanza are not counted")
	}
}
