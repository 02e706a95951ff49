package uniform

import (
	"errors"
	"strings"
	"testing"
)

// The rows are the cases of XEP-0106 section 5 in words of our own, and what surrounds them.
func TestEscapeLocal(t *testing.T) {
	tests := []struct{ text, local string }{
		{"", ""},
		{"plain", "plain"},
		{"two words", `two\20words`},
		{`say "hi"`, `say\20\22hi\22`},
		{"r&d", `r\26d`},
		{"o'neill", `o\27neill`},
		{"/dev", `\2fdev`},
		{"::1", `\3a\3a1`},
		{"<b>", `\3cb\3e`},
		{"a@b", `a\40b`},
		{`c:\dir`, `c\3a\dir`},
		{`c:\5days`, `c\3a\5days`},
		{`c:\5c`, `c\3a\5c5c`},
		{`\20`, `\5c20`},
		{`\\20`, `\\5c20`},
		{`\5c20`, `\5c5c20`},
		{`\2`, `\2`},
		{`\`, `\`},
		{`\2F`, `\2F`},
		{`\zz\2is\3and`, `\zz\2is\5c3and`},
		{"ü ♥", `ü\20♥`},
	}
	for _, test := range tests {
		if got := EscapeLocal(test.text); got != test.local {
			t.Errorf("EscapeLocal(%q) = %q, want %q", test.text, got, test.local)
		}
		if got := UnescapeLocal(test.local); got != test.text {
			t.Errorf("UnescapeLocal(%q) = %q, want %q", test.local, got, test.text)
		}
	}
}

func TestEscapedJID(t *testing.T) {
	tests := []struct{ uniform, jid string }{
		{"psyc://h:4405/~ceo", `psyc\3a\2f\2fh\3a4405\2f~ceo@gw.example`},
		{"psyc://h/$news/x", `psyc\3a\2f\2fh\2f$news\2fx@gw.example`},
		{"psyc://h/~u#follow", `psyc\3a\2f\2fh\2f~u#follow@gw.example`},
		{"psyc://h", `psyc\3a\2f\2fh@gw.example`},
		{"mailto:ada@h", `mailto\3aada\40h@gw.example`},
		{"xmpp:u@h?join", `xmpp\3au\40h?join@gw.example`},
		{`x:\20`, `x\3a\5c20@gw.example`},
	}
	for _, test := range tests {
		u := MustParse(test.uniform)
		j, err := u.EscapedJID("GW.example")
		if err != nil || j.String() != test.jid {
			t.Errorf("%q: %q, %v; want %q", u, j, err, test.jid)
			continue
		}
		if back, err := j.EscapedUniform(); err != nil || back != u {
			t.Errorf("%q: %q, %v; want %q", j, back, err, u)
		}
		checkUniform(t, u)
		if j.Key() == u.Key() {
			t.Errorf("%q and %q share a key", j, u)
		}
	}

	for _, s := range []string{
		"psyc://h/~ada",              // has a JID
		"xmpp:ada@h",                 // is one
		"mailto:Ada@h",               // would become another address
		"mailto:i♥u@h",               // no localpart
		"psyc://h:4405/~I%e2%99%a5U", // the same
		"mailto:" + strings.Repeat("a", 1010) + "@h.example",
	} {
		j, err := MustParse(s).EscapedJID("gw.example")
		var none *NoJIDError
		if !errors.As(err, &none) {
			t.Errorf("%.60q: %q, %v", s, j, err)
		}
	}
	var e *Error
	if _, err := MustParse("mailto:ada@h").EscapedJID("gw example"); !errors.As(err, &e) {
		t.Errorf("bad domain: %v", err)
	}

	for _, s := range []string{
		"gw.example",
		"ada@gw.example",
		`psyc\3a\2f\2fh\2f~ada@gw.example`,         // has a JID of its own
		`psyc\3a\2f\2fh\3a4404\2f~ada@gw.example`,  // the same, in another spelling
		`psyc\3a\2f\2fh\3a04405\2f~ada@gw.example`, // not canonical
		`xmpp\3aada\40h@gw.example`,
		`x\3a\20@gw.example`,
		`x\3a\5cz@gw.example`, // a backslash escaped without need
	} {
		u, err := MustParseJID(s).EscapedUniform()
		if !errors.As(err, &e) || !u.IsZero() {
			t.Errorf("%q: %q, %v", s, u, err)
		}
	}
}
