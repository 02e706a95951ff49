package uniform

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	type want struct {
		s, scheme, user, host string
		port                  int
		transport             byte
		object, resource      string // the object with its sigil
		channel, query        string
	}
	tests := []struct {
		in   string
		want want
	}{
		{"psyc://h.example", want{s: "psyc://h.example", scheme: "psyc", host: "h.example"}},
		{"psyc://h.example/", want{s: "psyc://h.example/", scheme: "psyc", host: "h.example"}},
		{"PSYC://H.Example./~Ada", want{s: "psyc://h.example/~ada", scheme: "psyc", host: "h.example", object: "~ada"}},
		{"psyc://h/@Hall", want{s: "psyc://h/@hall", scheme: "psyc", host: "h", object: "@hall"}},
		{"psyc://h/$news/Today", want{s: "psyc://h/$news/today", scheme: "psyc", host: "h", object: "$news/today"}},
		{"psyc://h/net/Root", want{s: "psyc://h/net/root", scheme: "psyc", host: "h", object: "net/root"}},
		{"psyc://h/~ada?x=1", want{s: "psyc://h/~ada?x=1", scheme: "psyc", host: "h", object: "~ada?x=1"}},
		{"psyc://h/@hall#News", want{s: "psyc://h/@hall#news", scheme: "psyc", host: "h", object: "@hall", channel: "news"}},
		{"psyc://h/#news", want{s: "psyc://h/#news", scheme: "psyc", host: "h", channel: "news"}},
		{"psyc://Ada@h/", want{s: "psyc://ada@h/", scheme: "psyc", user: "ada", host: "h"}},
		{"psyc://ada@h:4405/@x", want{s: "psyc://ada@h:4405/@x", scheme: "psyc", user: "ada", host: "h", port: 4405, object: "@x"}},
		{"psyc://h:4404/", want{s: "psyc://h/", scheme: "psyc", host: "h"}},
		{"psyc://h:04404", want{s: "psyc://h", scheme: "psyc", host: "h"}},
		{"psyc://h:", want{s: "psyc://h", scheme: "psyc", host: "h"}},
		{"psyc://h:/", want{s: "psyc://h/", scheme: "psyc", host: "h"}},
		{"psyc://h:4405/~x", want{s: "psyc://h:4405/~x", scheme: "psyc", host: "h", port: 4405, object: "~x"}},
		{"psyc://h:65535", want{s: "psyc://h:65535", scheme: "psyc", host: "h", port: 65535}},
		{"psyc://h:-51234/", want{s: "psyc://h:-51234/", scheme: "psyc", host: "h", port: -51234}},
		{"psyc://h:-4404/", want{s: "psyc://h:-4404/", scheme: "psyc", host: "h", port: -4404}},
		{"psyc://h:4404d/~x", want{s: "psyc://h:4404d/~x", scheme: "psyc", host: "h", transport: 'd', object: "~x"}},
		{"psyc://h:d/~x", want{s: "psyc://h:4404d/~x", scheme: "psyc", host: "h", transport: 'd', object: "~x"}},
		{"psyc://h:9404s", want{s: "psyc://h:9404s", scheme: "psyc", host: "h", transport: 's'}},
		{"psyc://h:s/", want{s: "psyc://h:9404s/", scheme: "psyc", host: "h", transport: 's'}},
		{"psyc://h:4404s/", want{s: "psyc://h:4404s/", scheme: "psyc", host: "h", port: 4404, transport: 's'}},
		{"psyc://h:9404/", want{s: "psyc://h:9404/", scheme: "psyc", host: "h", port: 9404}},
		{"psyc://h:-7c", want{s: "psyc://h:-7c", scheme: "psyc", host: "h", port: -7, transport: 'c'}},
		{"psyc://192.0.2.7:4405/", want{s: "psyc://192.0.2.7:4405/", scheme: "psyc", host: "192.0.2.7", port: 4405}},
		{"psyc://[2001:DB8:0::7]:4405/~x", want{s: "psyc://[2001:db8::7]:4405/~x", scheme: "psyc", host: "[2001:db8::7]", port: 4405, object: "~x"}},
		{"psyc://[::1]", want{s: "psyc://[::1]", scheme: "psyc", host: "[::1]"}},
		{"psyc://u@[::1]/", want{s: "psyc://u@[::1]/", scheme: "psyc", user: "u", host: "[::1]"}},
		{"psyc://Bücher.example/", want{s: "psyc://xn--bcher-kva.example/", scheme: "psyc", host: "bücher.example"}},
		{"psyc://XN--BCHER-KVA.example:4405", want{s: "psyc://xn--bcher-kva.example:4405", scheme: "psyc", host: "bücher.example", port: 4405}},

		{"xmpp:h.example", want{s: "xmpp:h.example", scheme: "xmpp", host: "h.example"}},
		{"XMPP:Ada@H.example/Desk", want{s: "xmpp:ada@h.example/Desk", scheme: "xmpp", user: "ada", host: "h.example", resource: "Desk"}},
		{"xmpp:h.example/a@b", want{s: "xmpp:h.example/a@b", scheme: "xmpp", host: "h.example", resource: "a@b"}},
		{"xmpp:ada@bücher.example", want{s: "xmpp:ada@bücher.example", scheme: "xmpp", user: "ada", host: "bücher.example"}},
		{"xmpp:ada@[::1]/x", want{s: "xmpp:ada@[::1]/x", scheme: "xmpp", user: "ada", host: "[::1]", resource: "x"}},
		{"xmpp:hall@h?join", want{s: "xmpp:hall@h?join", scheme: "xmpp", user: "hall", host: "h", query: "join"}},
		{"xmpp:h?disco;node=a/b", want{s: "xmpp:h?disco;node=a/b", scheme: "xmpp", host: "h", query: "disco;node=a/b"}},
		{"xmpp:hall@h/who?", want{s: "xmpp:hall@h/who?", scheme: "xmpp", user: "hall", host: "h", resource: "who?"}},
		{"xmpp:wh?o@h", want{s: "xmpp:wh?o@h", scheme: "xmpp", user: "wh?o", host: "h"}},
		{"xmpp:a%20b@h", want{s: "xmpp:a%20b@h", scheme: "xmpp", user: "a%20b", host: "h"}},

		{"mailto:Ada@h.example", want{s: "mailto:Ada@h.example", scheme: "mailto"}},
		{"MailTo:Ada@h.example?subject=x#y", want{s: "mailto:Ada@h.example?subject=x#y", scheme: "mailto"}},
		{"irc://h/hall", want{s: "irc://h/hall", scheme: "irc"}},
		{"psycs://h/", want{s: "psycs://h/", scheme: "psycs"}},
	}
	for _, test := range tests {
		u, err := Parse(test.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", test.in, err)
			continue
		}
		sigil, name := u.Object()
		if sigil != 0 {
			name = string(sigil) + name
		}
		got := want{u.String(), u.Scheme(), u.User(), u.Host(), u.Port(), u.Transport(), name, u.Resource(), u.Channel(), u.Query()}
		if got != test.want {
			t.Errorf("Parse(%q):\n got %+v\nwant %+v", test.in, got, test.want)
		}
		checkUniform(t, u)
	}
}

func TestParseError(t *testing.T) {
	tests := []struct {
		in     string
		offset int
	}{
		{"", 0},
		{"h.example/~ada", 9},
		{"ada@h.example", 3},
		{"://h", 0},
		{"4psyc://h", 0},
		{" psyc://h/", 0},
		{"psyc:", 5},
		{"psyc:h", 5},
		{"psyc:/h", 5},
		{"psyc://", 7},
		{"psyc:///x", 7},
		{"psyc://:4404/", 7},
		{"psyc://@h/", 7},
		{"psyc://ada:secret@h/", 10},
		{"psyc://a_b/", 7},
		{"psyc://./", 7},
		{"psyc://-/", 7},
		{"psyc://h?x", 7},
		{"psyc://h#x", 7},
		{"psyc://[::1/", 7},
		{"psyc://[::1]x/", 7},
		{"psyc://::1/", 7},
		{"psyc://h:0/", 9},
		{"psyc://h:-/", 9},
		{"psyc://h:-c/", 9},
		{"psyc://h:65536/", 9},
		{"psyc://h:99999999999999999999/", 9},
		{"psyc://h:+4404/", 9},
		{"psyc://h:4x04/", 10},
		{"psyc://h:4404x/", 13},
		{"psyc://h:4404cd/", 13},
		{"psyc://h:C/", 9},
		{"psyc://h:g/~x", 9},
		{"psyc://h/~", 10},
		{"psyc://h/@", 10},
		{"psyc://h/$#x", 10},
		{"psyc://h/^x", 9},
		{"psyc://h/~a b", 11},
		{"psyc://h/~a\nb", 11},
		{"psyc://h/~\u00e4", 10},
		{"psyc://u@h:1c/~a\"", 16},
		{"psyc://h/@hall#", 15},
		{"psyc://h/@hall#a#b", 16},
		{"psyc://h/@hall#a b", 16},
		{"xmpp:", 5},
		{"xmpp://ada@h", 5},
		{"xmpp:ada@", 9},
		{"xmpp:@h", 5},
		{"xmpp:ada@h/", 11},
		{"xmpp:ada@h:5222", 9},
		{"xmpp:a b@h", 6},
		{"xmpp:h?", 7},
		{"xmpp:h?a\nb", 8},
		{"mailto:", 7},
		{"mailto:a b", 8},
		{"mailto:a\n", 8},
		{"mailto:a\xff", 8},
		{"mailto:" + strings.Repeat("a", maxInput), maxInput},
		{"psyc://" + strings.Repeat("ü.", 300) + "h/" + strings.Repeat("a", 7200), 5},
	}
	for _, test := range tests {
		u, err := Parse(test.in)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%.60q) = %q, %v; want an *Error", test.in, u, err)
			continue
		}
		if e.Input != test.in || e.Offset != test.offset || e.Reason == "" || !u.IsZero() {
			t.Errorf("Parse(%.60q) = %q, %v; want offset %d", test.in, u, err, test.offset)
		}
	}
}

// checkUniform checks what holds for every uniform.
func checkUniform(t *testing.T, u Uniform) {
	t.Helper()
	if again, err := Parse(u.String()); err != nil || again != u {
		t.Fatalf("%q is not canonical: %+v, %v; want %+v", u, again, err, u)
	}
	if root := u.Root(); !root.IsZero() {
		if again, err := Parse(root.String()); err != nil || again != root || root.Root() != root ||
			root.Host() != u.Host() || root.Port() != u.Port() || root.Transport() != u.Transport() {
			t.Fatalf("%q: root %+v, %+v, %v", u, root, again, err)
		}
	} else if u.Scheme() == "psyc" || u.Scheme() == "xmpp" {
		t.Fatalf("%q has no root", u)
	}

	k, err := ParseKey(u.String())
	if err != nil || k != u.Key() {
		t.Fatalf("%q: key %q, parsed %q, %v", u, u.Key(), k, err)
	}
	if k, err = ParseKey(k.String()); err != nil || k != u.Key() {
		t.Fatalf("%q: key %q is %q, %v", u, u.Key(), k, err)
	}
	j, err := u.JID("")
	if err != nil {
		var none *NoJIDError
		if !errors.As(err, &none) || none.Uniform != u {
			t.Fatalf("%q: %v", u, err)
		}
		if k.Uniform() != u || !k.JID().IsZero() {
			t.Fatalf("%q has no JID, but shares the key of %q, %q", u, k.Uniform(), k.JID())
		}
		if escaped, err := u.EscapedJID("gw.example"); err == nil {
			if back, err := escaped.EscapedUniform(); err != nil || back != u {
				t.Fatalf("%q: %q is %q, %v", u, escaped, back, err)
			}
			checkJID(t, escaped)
		}
		return
	}
	if k != j.Key() || k.JID() != j.Bare() {
		t.Fatalf("%q: key %q, its JID %q has %q", u, k, j, j.Key())
	}
	if u.Scheme() == "psyc" && (j.Uniform() != u || k.Uniform() != u) {
		t.Fatalf("%q: JID %q maps back to %q, key to %q", u, j, j.Uniform(), k.Uniform())
	}
	if escaped, err := u.EscapedJID("gw.example"); err == nil {
		t.Fatalf("%q has the JID %q and as second one %q", u, j, escaped)
	}
	checkJID(t, j)
}

func TestRoot(t *testing.T) {
	tests := []struct{ in, want string }{
		{"psyc://h", "psyc://h/"},
		{"psyc://h/", "psyc://h/"},
		{"psyc://h/@x#y", "psyc://h/"},
		{"psyc://h:4405d/~x", "psyc://h:4405d/"},
		{"psyc://u@[::1]:-7/~x", "psyc://[::1]:-7/"},
		{"psyc://xn--bcher-kva.example/~x", "psyc://xn--bcher-kva.example/"},
		{"xmpp:u@h/x", "xmpp:h"},
		{"xmpp:u@[::1]?q", "xmpp:[::1]"},
		{"xmpp:h/x", "xmpp:h"},
		{"mailto:u@h", ""},
	}
	for _, test := range tests {
		if got := MustParse(test.in).Root(); got.String() != test.want {
			t.Errorf("root of %q is %q, want %q", test.in, got, test.want)
		}
	}
	if !(Uniform{}).Root().IsZero() {
		t.Error("the zero Uniform has a root")
	}
}

func TestZeroValues(t *testing.T) {
	var u Uniform
	sigil, name := u.Object()
	if !u.IsZero() || u.String()+u.Scheme()+u.User()+u.Host()+u.Resource()+u.Channel()+u.Query()+name != "" ||
		sigil != 0 || u.Port() != 0 || u.Transport() != 0 || u.Role() != 0 || !u.Key().IsZero() {
		t.Error("the zero Uniform has parts")
	}
	if _, err := u.JID(""); err == nil {
		t.Error("the zero Uniform has a JID")
	}
	if _, err := u.EscapedJID("gw.example"); err == nil {
		t.Error("the zero Uniform has an escaped JID")
	}
	var j JID
	if !j.IsZero() || j.String()+j.Local()+j.Domain()+j.Resource() != "" || !j.Bare().IsZero() || j.Opaque() ||
		!j.Uniform().IsZero() || !j.Key().IsZero() {
		t.Error("the zero JID has parts")
	}
	var k Key
	if !k.IsZero() || !k.JID().IsZero() || !k.Uniform().IsZero() {
		t.Error("the zero Key is somebody")
	}
}

func TestText(t *testing.T) {
	type addresses struct {
		U Uniform
		J JID
		K Key
		M map[JID]Key
	}
	in := addresses{
		U: MustParse("psyc://h:4405/~x"),
		J: MustParseJID("u@h/x"),
		K: MustParse("psyc://h/@hall").Key(),
		M: map[JID]Key{MustParseJID("a@h"): MustParseJID("a@h").Key()},
	}
	for _, want := range []addresses{in, {M: map[JID]Key{}}} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := addresses{U: in.U, J: in.J, K: in.K}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.U != want.U || got.J != want.J || got.K != want.K || len(got.M) != len(want.M) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	for _, v := range []any{new(Uniform), new(JID), new(Key)} {
		if err := json.Unmarshal([]byte(`"a b@h"`), v); err == nil {
			t.Errorf("%T takes anything", v)
		}
	}
	u, _ := in.U.AppendText([]byte("<"))
	j, _ := in.J.AppendText([]byte("<"))
	k, _ := in.K.AppendText([]byte("<"))
	if string(u) != "<psyc://h:4405/~x" || string(j) != "<u@h/x" || string(k) != "<*hall@h" {
		t.Errorf("appended %q, %q, %q", u, j, k)
	}
}

func TestMust(t *testing.T) {
	for name, f := range map[string]func(){
		"MustParse":    func() { MustParse("h") },
		"MustParseJID": func() { MustParseJID("@h") },
	} {
		func() {
			defer func() {
				if _, ok := recover().(*Error); !ok {
					t.Errorf("%s does not panic with an *Error", name)
				}
			}()
			f()
		}()
	}
}

func TestParseAllocs(t *testing.T) {
	for _, s := range []string{
		"psyc://h.example", "psyc://h.example/~ada", "psyc://h:-4405d/@hall#news", "psyc://192.0.2.7/", "psyc://[::1]:1/",
		"xmpp:ada@h.example/Desk", "xmpp:[::1]?q", "mailto:ada@h.example",
	} {
		if n := testing.AllocsPerRun(100, func() {
			u, err := Parse(s)
			sigil, name := u.Object()
			if err != nil || u.String() != s || sigil == 'x' || name == "x" || u.Host() == "x" || u.User() == "x" ||
				u.Channel() == "x" || u.Query() == "x" || u.Resource() == "x" || u.Scheme() == "x" || u.Role() == 9 {
				t.Fatal(u, err)
			}
		}); n != 0 {
			t.Errorf("Parse(%q): %v allocations", s, n)
		}
	}
}
