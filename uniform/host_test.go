package uniform

import (
	"strings"
	"testing"
)

// FuzzHost checks what all trust in addresses rests on: a peer proves hosts, and stanzas have domains. Whatever a uniform
// looks like, its JID lies in the domain that is its host, and so does every other spelling of that JID.
func FuzzHost(f *testing.F) {
	for _, s := range []string{
		"psyc://evil.example/~ada", "psyc://evil.example/@room", "psyc://evil.example/$svc", "psyc://evil.example/",
		"psyc://evil.example", "xmpp:ada@evil.example", "xmpp:evil.example/r", "psyc://bank.example@evil.example/~x",
		"psyc://evil.example:4404/~x", "psyc://evil.example:-1d/~x", "psyc://evil.example/~ceo%40bank.example%2f",
		"psyc://[::1]/~x", "psyc://EVIL.example./~x", "psyc://xn--strae-oqa.example/~x", "xmpp:ceo@bank.example%40evil.example",
		"xmpp:ceo@bank.example/x@evil.example/y", "xmpp://evil.example/ceo@bank.example", "xmpp:ceo%40bank.example@evil.example",
		"psyc://bank.example%2fevil.example/~x", "psyc://evil.example/~x#bank.example", "psyc://ｅvil.example/~x", "psyc://evil。example/~x",
	} {
		f.Add(s, "")
		f.Add(s, "x@bank.example/y")
	}
	f.Fuzz(func(t *testing.T, s, resource string) {
		u, err := Parse(s)
		if err != nil {
			return
		}
		j, err := u.JID(resource)
		if err != nil {
			return
		}
		if j.Domain() != u.Host() {
			t.Fatalf("%q is at %q, its JID %q at %q", s, u.Host(), j, j.Domain())
		}
		again, err := RelayJID(j.String())
		if err != nil || again.Domain() != j.Domain() {
			t.Fatalf("%q: JID %q reads as %q, %v", s, j, again, err)
		}
		if back := j.Uniform(); back.Host() != u.Host() || strings.ContainsAny(j.Domain(), "@/ ") {
			t.Fatalf("%q: JID %q is %q again", s, j, back)
		}
	})
}
