package xmpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/uniform"
)

// parse parses what must be good.
func parse(t testing.TB, s string) *Stanza {
	t.Helper()
	st, err := Parse([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return st
}

func TestParse(t *testing.T) {
	jid := uniform.MustParseJID
	for _, tt := range []struct {
		in   string
		want Stanza
	}{
		{"<message/>", Stanza{Kind: Message, Space: NSServer}},
		{
			"\r\n<iq type='get' id='1' from='a@b/c' to='d'/> ",
			Stanza{Kind: IQ, Type: "get", ID: "1", From: jid("a@b/c"), To: jid("d"), Space: NSServer},
		},
		{
			"<presence xmlns='jabber:client' xml:lang='de'/>",
			Stanza{Kind: Presence, Lang: "de", Space: NSClient, Attrs: []Attr{{"xmlns", NSClient}}},
		},
		{
			"<message xmlns='jabber:component:accept'/>",
			Stanza{Kind: Message, Space: NSAccept, Attrs: []Attr{{"xmlns", NSAccept}}},
		},
		{
			"<message type='' id='' xml:lang='' x='&#9;'/>",
			Stanza{Kind: Message, Space: NSServer, Attrs: []Attr{{"type", ""}, {"id", ""}, {"xml:lang", ""}, {"x", "\t"}}},
		},
		{
			"<message to='Juliet@CAPULET.example'/>",
			Stanza{Kind: Message, To: jid("juliet@capulet.example"), Space: NSServer, Attrs: []Attr{{"to", "Juliet@CAPULET.example"}}},
		},
		{
			"<c:message xmlns:c='jabber:client' xmlns='urn:x' e:to='x' xmlns:e='urn:e'/>",
			Stanza{
				Kind: Message, Space: NSClient, Prefix: "c",
				Attrs: []Attr{{"xmlns:c", NSClient}, {"xmlns", "urn:x"}, {"e:to", "x"}, {"xmlns:e", "urn:e"}},
			},
		},
		{
			"<message type='weird'><db:x/></message>",
			Stanza{Kind: Message, Type: "weird", Space: NSServer, Attrs: []Attr{{"xmlns:db", NSDialback}}},
		},
		{
			"<message><x xmlns='urn:x'>db:verify</x></message>",
			Stanza{Kind: Message, Space: NSServer, Attrs: []Attr{{"xmlns:db", NSDialback}}},
		},
		{"<message><x xmlns='urn:x'>a-db:verify xmpp-stream:</x></message>", Stanza{Kind: Message, Space: NSServer}},
		{
			"<c:message xmlns:c='jabber:client'><x/></c:message>",
			Stanza{Kind: Message, Space: NSClient, Prefix: "c", Attrs: []Attr{{"xmlns:c", NSClient}}},
		},
		{
			"<message xmlns:db='urn:other'><db:x/></message>",
			Stanza{Kind: Message, Space: NSServer, Attrs: []Attr{{"xmlns:db", "urn:other"}}},
		},
	} {
		got := parse(t, tt.in)
		raw := string(got.Raw())
		got.ix, got.own = nil, ""
		if got.Attrs = slices.Clip(got.Attrs); len(got.Attrs) == 0 {
			got.Attrs = nil
		}
		if !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: got\n%+v, want\n%+v", tt.in, *got, tt.want)
		}
		if !strings.Contains(tt.in, raw) {
			t.Errorf("%s: children %q", tt.in, raw)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		in        string
		condition Condition
		stanza    bool
		text      string
	}{
		{"", NotWellFormed, false, "end in the middle of a stanza at byte 0"},
		{" <message>", NotWellFormed, false, "end in the middle of a stanza at byte 10"},
		{" <message>&</message>", NotWellFormed, false, "& that begins no reference at byte 10"},
		{"<message/><message/>", InvalidXML, false, "more than one stanza at byte 10"},
		{"<message xmlns='urn:x'/>", UnsupportedStanzaType, false, `message in namespace "urn:x"`},
		{"<body/>", UnsupportedStanzaType, false, `body in namespace "jabber:server"`},
		{"<message to='a@b' to='c'/>", NotWellFormed, false, "second attribute to at byte 18"},
		{"<message>" + strings.Repeat("x", 512<<10) + "</message>", PolicyViolation, false, "more than 524288 bytes at byte 0"},
		{"<message to='@b'/>", JIDMalformed, true, "to: empty localpart"},
		{"<message from='a b@c'/>", JIDMalformed, true, "from: "},
		{"<message to=''/>", JIDMalformed, true, "to: "},
		{"<iq/>", BadRequest, true, `type "" of an iq`},
		{"<iq type='ask'/>", BadRequest, true, `type "ask" of an iq`},
	} {
		s, err := Parse([]byte(tt.in))
		var stanza *StanzaError
		if !errors.Is(err, tt.condition) || errors.As(err, &stanza) != tt.stanza || (s != nil) != tt.stanza ||
			!strings.Contains(err.Error(), tt.text) {
			t.Errorf("%.80q: got %v", tt.in, err)
		}
	}
	_, err := Parse([]byte("  <message>&x;</message>"))
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != 11 {
		t.Errorf("got %v", err)
	}
}

// A stanza with an address that is none can still be passed on as it came.
func TestMalformedAddressIsKept(t *testing.T) {
	const in = "<message to='a b@c' from='@'><body>x</body></message>"
	s, err := Parse([]byte(in))
	if !errors.Is(err, JIDMalformed) || !s.To.IsZero() || !s.From.IsZero() {
		t.Fatalf("%v, %v", s, err)
	}
	if got, want := string(s.Append(nil)), "<message from='@' to='a b@c'><body>x</body></message>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.To = uniform.MustParseJID("c")
	if got, want := string(s.Append(nil)), "<message from='@' to='c'><body>x</body></message>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppend(t *testing.T) {
	jid := uniform.MustParseJID
	for _, tt := range []struct {
		s    Stanza
		want string
	}{
		{Stanza{}, ""},
		{Stanza{Kind: Message}, "<message/>"},
		{
			Stanza{Kind: IQ, Type: "set", ID: "1", From: jid("a@b/c"), To: jid("d"), Lang: "en"},
			"<iq from='a@b/c' to='d' id='1' type='set' xml:lang='en'/>",
		},
		{
			Stanza{Kind: Message, ID: "<&>'\"\t\n\r\x00\xff\ufffe"},
			"<message id='&lt;&amp;&gt;&apos;&quot;&#9;&#10;&#13;\uFFFD\uFFFD\uFFFD'/>",
		},
		{Stanza{Kind: Message, To: jid("a@b"), Attrs: []Attr{{"to", "A@B"}}}, "<message to='A@B'/>"},
		{Stanza{Kind: Message, To: jid("c@b"), Attrs: []Attr{{"to", "A@B"}}}, "<message to='c@b'/>"},
		{Stanza{Kind: Message, Attrs: []Attr{{"to", "A@B"}}}, "<message/>"},
		{Stanza{Kind: Message, ID: "1", Attrs: []Attr{{"id", ""}}}, "<message id='1'/>"},
		{Stanza{Kind: Message, Attrs: []Attr{{"id", ""}, {"type", ""}, {"xml:lang", ""}}}, "<message id='' type='' xml:lang=''/>"},
		{Stanza{Kind: Message, Attrs: []Attr{{"a b", "1"}, {"", "2"}, {"a:b:c", "3"}, {"1", "4"}, {"x", "5"}, {"x", "6"}}}, "<message x='5'/>"},
		{
			Stanza{Kind: Message, Attrs: []Attr{{"e:a", "1"}, {"xmlns:e", "urn:e"}, {"f:a", "2"}, {"xmlns:g", "urn:e"}, {"g:a", "3"}, {"xml:a", "4"}}},
			"<message e:a='1' xmlns:e='urn:e' xmlns:g='urn:e' xml:a='4'/>",
		},
		{Stanza{Kind: Message, Attrs: []Attr{
			{"xmlns", "urn:x"},
			{"xmlns:a", ""},
			{"xmlns:xml", "u"},
			{"xmlns:xmlns", "u"},
			{"xmlns:b", NSXML},
			{"xmlns:c", "http://www.w3.org/2000/xmlns/"},
			{"a:b", ""},
		}}, "<message/>"},
		{Stanza{Kind: Message, Attrs: []Attr{{"xmlns", NSServer}}}, "<message xmlns='jabber:server'/>"},
		{
			Stanza{Kind: Message, Space: NSClient, Prefix: "c", Attrs: []Attr{{"xmlns", "urn:x"}}},
			"<c:message xmlns='urn:x' xmlns:c='jabber:client'/>",
		},
		{Stanza{Kind: Message, Prefix: "c d", Attrs: []Attr{{"xmlns", "urn:x"}}}, "<message/>"},
		{Stanza{Kind: Message, Prefix: "c", Attrs: []Attr{{"xmlns:c", "urn:x"}}}, "<c:message xmlns:c='jabber:server'/>"},
	} {
		got := string(tt.s.Append(nil))
		if got != tt.want {
			t.Errorf("%+v: got\n%s, want\n%s", tt.s, got, tt.want)
		}
		if got != "" {
			if _, err := Parse([]byte(got)); err != nil {
				t.Errorf("%s: %v", got, err)
			}
		}
	}
}

func TestAppendFor(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{
			"<message xmlns='jabber:client'><body>x</body></message>",
			"<message xmlns='jabber:server'><body>x</body></message>",
		},
		{
			"<message xmlns='jabber:client'><body xmlns='jabber:client' a='1'>x</body><body xmlns=\"jabber:client\"/></message>",
			"<message xmlns='jabber:server'><body xmlns='jabber:server' a='1'>x</body><body xmlns=\"jabber:server\"/></message>",
		},
		{
			"<message xmlns='jabber:client'><f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></f></message>",
			"<message xmlns='jabber:server'><f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></f></message>",
		},
		{
			"<c:message xmlns:c='jabber:client' xmlns='urn:o'><body/><c:body/></c:message>",
			"<c:message xmlns:c='jabber:server' xmlns='urn:o'><body/><c:body/></c:message>",
		},
		{
			"<message xmlns='jabber:client' xmlns:c='jabber:client'><c:body/></message>",
			"<message xmlns='jabber:server' xmlns:c='jabber:server'><c:body/></message>",
		},
		{
			"<message xmlns='jabber:client' xmlns:c='jabber:client'><c:body xmlns:c='jabber:client'/></message>",
			"<message xmlns='jabber:server' xmlns:c='jabber:client'><c:body xmlns:c='jabber:server'/></message>",
		},
		{
			"<message xmlns='jabber:client' xmlns:c='jabber:client'><x xmlns='urn:x'><c:message/></x></message>",
			"<message xmlns='jabber:server' xmlns:c='jabber:client'><x xmlns='urn:x'><c:message/></x></message>",
		},
		{
			"<message xmlns='jabber:client'><body xmlns='jabber:&#99;lient'/></message>",
			"<message xmlns='jabber:server'><body xmlns='jabber:server'/></message>",
		},
	} {
		s := parse(t, tt.in)
		if got := string(s.AppendFor(nil, NSServer)); got != tt.want {
			t.Errorf("%s: got\n%s, want\n%s", tt.in, got, tt.want)
		}
		if got := string(s.AppendFor(nil, NSClient)); got != tt.in {
			t.Errorf("%s: into its own namespace: %s", tt.in, got)
		}
	}
}

func TestChildren(t *testing.T) {
	s := parse(t, "<message xmlns='jabber:client'>1<body a='1&amp;2' xml:lang='en'>hi <b xmlns='urn:b'/>&amp; <![CDATA[<you>]]></body>2"+
		"<body xmlns='urn:evil'>forged</body><x xmlns='urn:x'><y/>z</x></message>")
	var names []string
	for c := range s.Children() {
		names = append(names, fmt.Sprint(c.Name()))
		start, inner, innerEnd, end := c.Span()
		if raw := string(s.Raw()); string(c.Raw()) != raw[start:end] || string(c.Inner()) != raw[inner:innerEnd] {
			t.Errorf("%s: span %d, %d, %d, %d", c.Raw(), start, inner, innerEnd, end)
		}
	}
	if want := []string{"{jabber:client body}", "{urn:evil body}", "{urn:x x}"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	body, ok := s.Child("", "body")
	if !ok || body.Text() != "hi & <you>" || s.Text("body") != body.Text() {
		t.Errorf("body %q, %v", body.Text(), ok)
	}
	if a, ok := body.Attr("a"); a != "1&2" || !ok {
		t.Errorf("a=%q, %v", a, ok)
	}
	if _, ok := body.Attr("lang"); ok {
		t.Error("xml:lang is an attribute without namespace")
	}
	if l, ok := body.AttrNS(NSXML, "lang"); l != "en" || !ok {
		t.Errorf("xml:lang=%q, %v", l, ok)
	}
	if got, want := slices.Collect(body.Attrs()), []Attr{{"a", "1&2"}, {"xml:lang", "en"}}; !slices.Equal(got, want) {
		t.Errorf("attributes %v, want %v", got, want)
	}
	x, _ := s.Child("urn:x", "x")
	if y, ok := x.Child("urn:x", "y"); !ok || string(y.Raw()) != "<y/>" || !y.Is("urn:x", "y") || y.Is("", "y") {
		t.Errorf("y: %s, %v", y.Raw(), ok)
	}
	if got, want := string(x.AppendComplete(nil)), "<x xmlns='urn:x'><y/>z</x>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s.Text("subject") != "" {
		t.Error("a subject")
	}
}

func TestElementBytes(t *testing.T) {
	s := parse(t, "<message xmlns:p='urn:p'><p:x a='1 &lt; 2' b='' p:a='no'/></message>")
	x, ok := s.Child("urn:p", "x")
	if !ok || string(x.Local()) != "x" {
		t.Errorf("local name %q", x.Local())
	}
	for local, want := range map[string]string{"a": "1 < 2", "b": ""} {
		if got, ok := x.AttrBytes(local); !ok || string(got) != want {
			t.Errorf("%s is %q, %v", local, got, ok)
		}
	}
	if got, ok := x.AttrBytes("c"); ok || got != nil {
		t.Errorf("c is %q", got)
	}
	if got, ok := (Element{}).AttrBytes("a"); ok || got != nil || (Element{}).Local() != nil {
		t.Errorf("zero element with %q", got)
	}
}

func TestDeclaresContent(t *testing.T) {
	for in, want := range map[string]bool{
		"<message><body>jabber:client</body></message>":                               false,
		"<message><x a='jabber:client' xmlns='jabber:x:oob'/></message>":              false,
		"<message><x xmlns='urn:x'><body xmlns='jabber:client'/></x></message>":       false,
		"<message><body xmlns='jabber:server'/></message>":                            true,
		"<message><a/><p:b xmlns:p='jabber:client'/></message>":                       true,
		"<message><x xmlns='urn:x' xmlns:p='jabber:component:accept'/></message>":     true,
		"<message><body xmlns='jabber:cl&#105;ent'/></message>":                       true,
		"<message xmlns:p='jabber:client'><p:body xmlns='urn:y'>a</p:body></message>": false,
	} {
		s := parse(t, in)
		if again := s.Clone().DeclaresContent(); again != s.DeclaresContent() {
			t.Errorf("%s: a clone says %v", in, again)
		}
		if got := s.DeclaresContent(); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestZeroElement(t *testing.T) {
	var e Element
	if e.Name().Local != "" || e.Text() != "" || e.Raw() != nil || e.Inner() != nil || !e.IsZero() || !e.Clone().IsZero() || e.Is("", "") {
		t.Error("the zero Element is something")
	}
	for range e.Children() {
		t.Error("a child")
	}
	for range e.Attrs() {
		t.Error("an attribute")
	}
	if _, ok := e.Attr("a"); ok {
		t.Error("an attribute")
	}
	e.Span()
	e.Tree()
}

func TestAppendComplete(t *testing.T) {
	s := parse(t, "<message xmlns='jabber:client' xmlns:p='urn:p' xmlns:q='urn:q'><p:a xmlns:r='urn:r'><b xmlns='urn:b'>p:x</b></p:a><c/></message>")
	a, _ := s.Child("urn:p", "a")
	for e, want := range map[Element]string{
		a: "<p:a xmlns='jabber:client' xmlns:p='urn:p' xmlns:r='urn:r'><b xmlns='urn:b'>p:x</b></p:a>",
	} {
		if got := string(e.AppendComplete(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	b, _ := a.Child("urn:b", "b")
	if got, want := string(b.AppendComplete(nil)), "<b xmlns:p='urn:p' xmlns='urn:b'>p:x</b>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c, _ := s.Child("", "c")
	if got, want := string(c.AppendComplete(nil)), "<c xmlns='jabber:client'/>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestClone(t *testing.T) {
	b := []byte("<message x='y'><body>hi</body></message>")
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Clone()
	clear(b)
	s.Attrs[0].Value = "z"
	if got := string(c.Append(nil)); got != "<message x='y'><body>hi</body></message>" || c.Text("body") != "hi" {
		t.Errorf("the clone is %s", got)
	}
}

func TestSetText(t *testing.T) {
	for _, tt := range []struct{ in, text, want string }{
		{"<message/>", "hi", "<message><body>hi</body></message>"},
		{"<message/>", "", "<message><body></body></message>"},
		{"<message>1<x xmlns='urn:x'/></message>", "a<b&c]]>\r\x01", "<message>1<x xmlns='urn:x'/><body>a&lt;b&amp;c]]&gt;&#13;\uFFFD</body></message>"},
		{"<message><body xml:lang='en'>old<b/></body>2</message>", "new", "<message><body xml:lang='en'>new</body>2</message>"},
		{"<message><body a='1' />2<body/></message>", "new", "<message><body a='1' >new</body>2<body/></message>"},
		{"<message><body xmlns='urn:x'/></message>", "new", "<message><body xmlns='urn:x'/><body>new</body></message>"},
		{
			"<c:message xmlns:c='jabber:client' xmlns='urn:o'><body/></c:message>", "new",
			"<c:message xmlns:c='jabber:client' xmlns='urn:o'><body/><c:body>new</c:body></c:message>",
		},
		{"<message xmlns:p='urn:p'><p:x/></message>", "new", "<message xmlns:p='urn:p'><p:x/><body>new</body></message>"},
	} {
		s := parse(t, tt.in)
		s.SetText("body", tt.text)
		if got := string(s.Append(nil)); got != tt.want {
			t.Errorf("%s: got\n%s, want\n%s", tt.in, got, tt.want)
		}
		if _, ok := s.Child("", "body"); !ok {
			t.Errorf("%s: no body", tt.in)
		}
		s.SetText("body", "again")
		s.SetText("subject", "s")
		if s.Text("body") != "again" || s.Text("subject") != "s" {
			t.Errorf("%s: then %s", tt.in, s.Append(nil))
		}
		s.SetText("no name", "x")
		if _, err := Parse(s.Append(nil)); err != nil {
			t.Errorf("%s: %v", s.Append(nil), err)
		}
	}
}

func TestSetRaw(t *testing.T) {
	s := parse(t, "<message xmlns:p='urn:p'><body>old</body></message>")
	copied := *s
	for _, tt := range []struct {
		in        string
		condition Condition
	}{
		{"<a>", NotWellFormed},
		{"</a>", NotWellFormed},
		{"<q:a/>", BadNamespacePrefix},
		{"<a>\x01</a>", NotWellFormed},
		{"<!---->", RestrictedXML},
		{"</message><message>", NotWellFormed},
		{strings.Repeat("x", 512<<10+1), PolicyViolation},
	} {
		if err := s.SetRaw([]byte(tt.in)); !errors.Is(err, tt.condition) {
			t.Errorf("%.50s: got %v, want %v", tt.in, err, tt.condition)
		}
		if s.Text("body") != "old" {
			t.Errorf("%.50s: the old children are gone", tt.in)
		}
	}
	for _, in := range []string{"<p:a/>text", "", "<body>new</body>", "<body>newer</body>"} {
		if err := s.SetRaw([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if string(s.Raw()) != in {
			t.Errorf("got %s, want %s", s.Raw(), in)
		}
		if err := copied.SetRaw([]byte("<x/>")); err != nil || string(copied.Raw()) != "<x/>" {
			t.Errorf("copy: %s, %v", copied.Raw(), err)
		}
	}
	if err := s.SetRaw([]byte("<a>")); err == nil || s.Text("body") != "newer" {
		t.Errorf("%v: body %q", err, s.Text("body"))
	}
}

// A stanza copied by assignment has the same children, and setting others on one leaves the other alone.
func TestSetRawOfCopy(t *testing.T) {
	s := &Stanza{Kind: Message}
	if err := s.SetRaw([]byte("<a/>")); err != nil {
		t.Fatal(err)
	}
	c := *s
	for _, raw := range []string{"<b/>", "<c/>", "<d/>"} {
		if err := c.SetRaw([]byte(raw)); err != nil || string(c.Raw()) != raw || string(s.Raw()) != "<a/>" {
			t.Errorf("copy %s, original %s, %v", c.Raw(), s.Raw(), err)
		}
	}
}

func TestReply(t *testing.T) {
	s := parse(t, "<iq type='get' id='1' from='a@b/c' to='d' xmlns='jabber:client'><x xmlns='urn:x'/></iq>")
	if got, want := string(s.Reply("result").Append(nil)), "<iq from='d' to='a@b/c' id='1' type='result'/>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s = parse(t, "<message id=''/>")
	if got, want := string(s.Reply("chat").Append(nil)), "<message type='chat' id=''/>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestErrorReply(t *testing.T) {
	const ns = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
	_, badAddress := uniform.ParseJID("@")
	for _, tt := range []struct {
		in   string
		err  error
		want string
	}{
		{
			"<iq type='get' id='1' from='a@b/c' to='d'/>", ItemNotFound,
			"<iq from='d' to='a@b/c' id='1' type='error'><error type='cancel'><item-not-found " + ns + "/></error></iq>",
		},
		{
			"<message/>", fmt.Errorf("asking b: %w", &StanzaError{Condition: Gone, Type: "cancel", By: "b", Address: "xmpp:c@d", Text: "a&b", Lang: "en", App: []byte("<x xmlns='urn:x'/>")}),
			"<message type='error'><error type='cancel' by='b'><gone " + ns + ">xmpp:c@d</gone><text " + ns + " xml:lang='en'>a&amp;b</text><x xmlns='urn:x'/></error></message>",
		},
		{
			"<message/>", &StanzaError{Condition: "on fire", Type: "<", App: []byte("<x>")},
			"<message type='error'><error type='cancel'><undefined-condition " + ns + "/></error></message>",
		},
		{"<message/>", badAddress, "<message type='error'><error type='modify'><jid-malformed " + ns + "/><text " + ns + ">empty localpart</text></error></message>"},
		{"<message/>", context.DeadlineExceeded, "<message type='error'><error type='wait'><remote-server-timeout " + ns + "/></error></message>"},
		{"<message/>", errors.New("password is secret"), "<message type='error'><error type='cancel'><internal-server-error " + ns + "/></error></message>"},
		{"<message/>", NotWellFormed, "<message type='error'><error type='cancel'><internal-server-error " + ns + "/></error></message>"},
		{"<message/>", nil, ""},
		{"<message type='error'/>", ItemNotFound, ""},
		{"<iq type='result'/>", ItemNotFound, ""},
		{"<iq type='error'/>", ItemNotFound, ""},
	} {
		got := ""
		if r := parse(t, tt.in).ErrorReply(tt.err); r != nil {
			got = string(r.Append(nil))
		}
		// The offset of an address is of no interest to the peer.
		if tt.err == badAddress {
			got = strings.ReplaceAll(got, " at byte 0", "")
		}
		if got != tt.want {
			t.Errorf("%s, %v: got\n%s, want\n%s", tt.in, tt.err, got, tt.want)
		}
	}
	s, err := Parse([]byte("<message from='a@b' to='c d@capulet.example/x'/>"))
	if got := string(s.ErrorReply(err).Append(nil)); !strings.HasPrefix(got, "<message from='capulet.example' to='a@b' type='error'><error type='modify'><jid-malformed ") {
		t.Errorf("got %s", got)
	}
}

func TestTree(t *testing.T) {
	s := parse(t, "<message from='a@b' xmlns:p='urn:p'>1<p:x a='&#9;'>&#13;<![CDATA[<]]></p:x> <body>x</body></message>")
	root := s.Tree()
	if root.NamespaceURI() != NSServer || root.SelectElement("body").NamespaceURI() != NSServer || root.SelectElement("p:x").NamespaceURI() != "urn:p" {
		t.Errorf("namespaces %q", root.NamespaceURI())
	}
	root.SelectElement("body").SetText("<y>")
	root.CreateElement("q:z").CreateAttr("xmlns:q", "urn:q")
	if err := s.SetTree(root); err != nil {
		t.Fatal(err)
	}
	want := "<message from='a@b' xmlns:p='urn:p'>1<p:x a=\"&#x9;\">&#xD;<![CDATA[<]]></p:x> <body>&lt;y&gt;</body><q:z xmlns:q=\"urn:q\"/></message>"
	if got := string(s.Append(nil)); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	root.CreateAttr("xmlns:n", "urn:n")
	root.CreateElement("n:new")
	if err := s.SetTree(root); err != nil || !slices.Contains(s.Attrs, Attr{"xmlns:n", "urn:n"}) {
		t.Errorf("%v: %v", err, s.Attrs)
	}
	before := string(s.Append(nil))
	root.CreateComment("x")
	if err := s.SetTree(root); !errors.Is(err, RestrictedXML) {
		t.Errorf("a comment: %v", err)
	}
	root = s.Tree()
	root.CreateAttr("xmlns", "urn:other")
	if err := s.SetTree(root); !errors.Is(err, InvalidNamespace) {
		t.Errorf("another namespace: %v", err)
	}
	root = s.Tree()
	root.CreateAttr("xmlns:m", "urn:m")
	root.CreateElement("a><b/><c")
	if err := s.SetTree(root); err == nil || string(s.Append(nil)) != before {
		t.Errorf("a name that is none: %v\n%s", err, s.Append(nil))
	}
}

// A prefixed stanza leaves a stream of another namespace together with the default namespace of that stream.
func TestForeignDefaultNamespace(t *testing.T) {
	d := NewDecoder(strings.NewReader("<c:message xmlns:c='jabber:client'><body/><c:body/></c:message>"))
	d.Space = NSServer
	for s, err := range d.Stanzas() {
		want := "<c:message xmlns:c='jabber:client' xmlns='jabber:server'><body/><c:body/></c:message>"
		if got := string(s.Append(nil)); err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestDecoder(t *testing.T) {
	d := NewDecoder(strings.NewReader("\n<message/> <iq/>\n<presence to='a@b'/>\n<x/><message/>"))
	var got []string
	for s, err := range d.Stanzas() {
		text := fmt.Sprint(err)
		if s != nil {
			text = string(s.Append(nil)) + " " + text
		}
		got = append(got, text)
	}
	want := []string{
		"<message/> <nil>", `<iq/> xmpp: stanza error bad-request: type "" of an iq`, "<presence to='a@b'/> <nil>",
		`xmpp: unsupported-stanza-type: x in namespace "jabber:client"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	d = NewDecoder(strings.NewReader("<message/><message"))
	d.Space = NSServer
	n := 0
	for s, err := range d.Stanzas() {
		if n++; n == 1 && (err != nil || s.Space != NSServer) || n == 2 && err != io.ErrUnexpectedEOF {
			t.Errorf("%d: %v, %v", n, s, err)
		}
	}
	if n != 2 {
		t.Errorf("%d results", n)
	}
}
