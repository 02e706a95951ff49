package uniform

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestMapping(t *testing.T) {
	tests := []struct{ jid, uniform string }{
		{"example.org", "psyc://example.org/"},
		{"ada@example.org", "psyc://example.org/~ada"},
		{"*hall@example.org", "psyc://example.org/@hall"},
		{"$news@example.org", "psyc://example.org/$news"},
		{"first.last@h", "psyc://h/~first.last"},
		{"_-=+.!()*,;$~@h", "psyc://h/~_-=+.!()*,;$~"},
		{"*@h", "psyc://h/~%2a"},
		{"$@h", "psyc://h/~%24"},
		{"**@h", "psyc://h/@%2a"},
		{"*$x@h", "psyc://h/@%24x"},
		{"$$x@h", "psyc://h/$%24x"},
		{"$*x@h", "psyc://h/$%2ax"},
		{"~x@h", "psyc://h/~%7ex"},
		{"*~x@h", "psyc://h/@%7ex"},
		{"^x@h", "psyc://h/~%5ex"},
		{"a~$*@h", "psyc://h/~a~$*"},
		{"%41@h", "psyc://h/~%2541"},
		{"a%2fb@h", "psyc://h/~a%252fb"},
		{`a\20b@h`, "psyc://h/~a%5c20b"},
		{"a?b#c@h", "psyc://h/~a%3fb%23c"},
		{"{[|]}`@h", "psyc://h/~%7b%5b%7c%5d%7d%60"},
		{"jürgen@bücher.example", "psyc://xn--bcher-kva.example/~j%c3%bcrgen"},
		{"*über@h", "psyc://h/@%c3%bcber"},
		{"i♥u@h", "psyc://h/~i%e2%99%a5u"},
		{"I♥U@h", "psyc://h/~I%e2%99%a5U"},
		{"ada@192.0.2.7", "psyc://192.0.2.7/~ada"},
		{"ada@[::1]", "psyc://[::1]/~ada"},
		{"[::1]", "psyc://[::1]/"},
	}
	for _, test := range tests {
		j, err := RelayJID(test.jid)
		if err != nil {
			t.Errorf("%q: %v", test.jid, err)
			continue
		}
		u, err := Parse(test.uniform)
		if err != nil {
			t.Errorf("%q: %v", test.uniform, err)
			continue
		}
		if got := j.Uniform(); got != u || got.String() != test.uniform {
			t.Errorf("%q maps to %q, want %q", j, got, test.uniform)
		}
		if got, err := u.JID(""); err != nil || got != j {
			t.Errorf("%q maps to %q, %v; want %q", u, got, err, j)
		}
		if got, err := u.JID("Desk \u2665"); err != nil || got.Bare() != j || got.Resource() != "Desk \u2665" {
			t.Errorf("%q with a resource maps to %q, %v", u, got, err)
		}
		checkJID(t, j)
	}
}

// Spellings that differ only in letter case, hexadecimal case or in what PRECIS folds are one uniform.
func TestNameFolding(t *testing.T) {
	tests := []struct{ in, want string }{
		{"psyc://h/~ADA", "psyc://h/~ada"},
		{"psyc://h/~%2A", "psyc://h/~%2a"},
		{"psyc://h/~J%C3%9CRGEN", "psyc://h/~j%c3%bcrgen"},
		{"psyc://h/@%C3%9Cber", "psyc://h/@%c3%bcber"},
		{"psyc://h/~%ef%bc%a1da", "psyc://h/~ada"},             // full-width A
		{"psyc://h/~%EF%BC%8ARoom", "psyc://h/~%ef%bc%8aroom"}, // a full-width asterisk does not make a place of a person
		{"psyc://h/~I%E2%99%A5U", "psyc://h/~I%e2%99%a5U"},
		{"psyc://h/~%41DA", "psyc://h/~%41da"},
		{"psyc://h/~100%", "psyc://h/~100%"},
	}
	for _, test := range tests {
		u, err := Parse(test.in)
		if err != nil || u.String() != test.want {
			t.Errorf("Parse(%q) = %q, %v; want %q", test.in, u, err, test.want)
			continue
		}
		checkUniform(t, u)
	}
}

// Two uniforms must not have one JID: whoever speaks for the one would speak for the other.
func TestNoJID(t *testing.T) {
	for _, s := range []string{
		"psyc://bank.example:4405/~ceo",
		"psyc://bank.example:-4405/~ceo",
		"psyc://bank.example:4404c/~ceo",
		"psyc://bank.example:s/~ceo",
		"psyc://bank.example:4405/",
		"psyc://bank.example",
		"psyc://ceo@bank.example/",
		"psyc://ceo@bank.example/~ceo",
		"psyc://h/~*room",
		"psyc://h/~$news",
		"psyc://h/~~x",
		"psyc://h/@*x",
		"psyc://h/~@x",
		"psyc://h/~%41da",
		"psyc://h/~a%2eb",
		"psyc://h/~a%2Eb",
		"psyc://h/~%4",
		"psyc://h/~%",
		"psyc://h/~%zz",
		"psyc://h/~a%3ab", // ':' is never in a localpart
		"psyc://h/~a:b",
		"psyc://h/~a&b",
		"psyc://h/~a/b",
		"psyc://h/~a/",
		"psyc://h/~a?b",
		"psyc://h/~a@b",
		"psyc://h/~a%20b",
		"psyc://h/~a%00",
		"psyc://h/~a%0a",
		"psyc://h/~%ff",
		"psyc://h/~e%cc%81%ff",
		"psyc://h/$svc/x",
		"psyc://h/~u#follow",
		"psyc://h/#x",
		"psyc://h/bob",
		"psyc://h/!",
		"psyc://h/~" + strings.Repeat("a", 1024),
		"psyc://h/@" + strings.Repeat("a", 1023),
		"xmpp:u@h?join",
		"mailto:u@h",
		"irc://h/x",
	} {
		u, err := Parse(s)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		j, err := u.JID("")
		var none *NoJIDError
		if !errors.As(err, &none) || none.Uniform != u || none.Reason == "" {
			t.Errorf("%.60q has the JID %q, %v", s, j, err)
			continue
		}
		checkUniform(t, u)
	}
}

func TestLengthLimits(t *testing.T) {
	for _, s := range []string{
		"psyc://h/~" + strings.Repeat("a", 1023),
		"psyc://h/@" + strings.Repeat("a", 1022),
		"psyc://h/~" + strings.Repeat("%7b", 1023),
	} {
		u, err := Parse(s)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if j, err := u.JID(""); err != nil || len(j.Local()) != 1023 {
			t.Errorf("%.20q: localpart of %d bytes, %v", s, len(j.Local()), err)
		}
		checkUniform(t, u)
	}
}

func TestJIDResource(t *testing.T) {
	tests := []struct{ uniform, resource, want string }{
		{"psyc://h/~u", "Desk", "u@h/Desk"},
		{"psyc://h/", "Desk", "h/Desk"},
		{"psyc://h/~u", "a\u00a0b", "u@h/a b"},
		{"psyc://h/~u", "\U0001FAE9", "u@h/\U0001FAE9"},
		{"psyc://h/~u", "a\nb", ""},
		{"psyc://h/~u", strings.Repeat("a", 1024), ""},
		{"xmpp:u@h", "Desk", "u@h/Desk"},
		{"xmpp:u@h/Desk", "", "u@h/Desk"},
		{"xmpp:u@h/Desk", "Desk", "u@h/Desk"},
		{"xmpp:u@h/Desk", "Phone", ""},
		{"xmpp:u@h", "a\nb", ""},
		{"xmpp:h", "", "h"},
	}
	for _, test := range tests {
		j, err := MustParse(test.uniform).JID(test.resource)
		if j.String() != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q with %.20q: %q, %v; want %q", test.uniform, test.resource, j, err, test.want)
		}
	}
}

// randomPart draws from what makes trouble: sigils, percent signs, hexadecimal digits, letters of every kind.
func randomPart(r *rand.Rand) string {
	const alphabet = "aabbZ09~~**$$%%2ae^!()+,-.;=?[\\]_`{|}#äÄßΣςשׁعا𝒳ａ＊♥\U0001FAE9"
	runes := []rune(alphabet)
	b := make([]rune, 1+r.IntN(8))
	for i := range b {
		b[i] = runes[r.IntN(len(runes))]
	}
	return string(b)
}

func TestMappingRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	domains := []string{"h", "a.example", "bücher.example", "192.0.2.7", "[2001:db8::1]", "☃.example"}
	taken, opaque := map[Uniform]JID{}, 0
	for range 20000 {
		s := randomPart(r) + "@" + domains[r.IntN(len(domains))]
		if r.IntN(2) == 0 {
			s += "/" + randomPart(r)
		}
		j, err := RelayJID(s)
		if err != nil {
			continue
		}
		checkJID(t, j)
		if j.Opaque() {
			opaque++
		}
		u := j.Uniform()
		if other, ok := taken[u]; ok && other != j.Bare() {
			t.Fatalf("%q and %q both map to %q", j, other, u)
		}
		taken[u] = j.Bare()
	}
	if len(taken) < 10000 || opaque < 1000 {
		t.Errorf("only %d JIDs, %d opaque", len(taken), opaque)
	}
	for range 20000 {
		u, err := Parse(fmt.Sprintf("psyc://h/%c%s", "~@$"[r.IntN(3)], strings.Map(func(r rune) rune {
			if r < 0x80 && class[r]&inTail != 0 {
				return r
			}
			return '%'
		}, randomPart(r))))
		if err != nil {
			t.Fatal(err)
		}
		checkUniform(t, u)
	}
}

func TestJIDOf(t *testing.T) {
	for _, u := range []string{
		"psyc://capulet.example/~juliet", "psyc://capulet.example/", "psyc://capulet.example", "psyc://Capulet.example/~Juliet",
		"psyc://capulet.example:4404/~juliet", "psyc://capulet.example:-4404/", "psyc://u@capulet.example/", "psyc://h//~a",
		"psyc://h/~", "psyc://h/~~a", "psyc://h/~$a", "psyc://h/~*a", "psyc://h/~a~b", "psyc://h/~%c3%a4", "psyc://h/~a@b",
		"psyc://h/@place", "psyc://h/$service", "psyc://h/path", "psyc://h/~a#c", "psyc://xn--bcher-kva.example/~a",
		"psyc://[::1]/~a", "psyc://127.0.0.1/", "psyc:///~a", "xmpp:juliet@capulet.example", "psyc:", "",
	} {
		for _, resource := range []string{"", "balcony", "a@b/c", "\u00a0", "\n", "\u1e9b\u0323"} {
			checkJIDOf(t, u, resource)
		}
	}
}

// checkJIDOf compares the short way with the long one.
func checkJIDOf(t *testing.T, u, resource string) {
	t.Helper()
	parsed, err := Parse(u)
	var want JID
	if err == nil {
		want, err = parsed.JID(resource)
	}
	if j, wrong := JIDOf([]byte(u), []byte(resource)); j != want || (wrong == nil) != (err == nil) {
		t.Errorf("%q with resource %q: %q, %v, want %q, %v", u, resource, j, wrong, want, err)
	}
}
