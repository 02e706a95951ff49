package uniform

import "testing"

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"psyc://h", "psyc://H:4404/~Ada", "psyc://[::1]:-7d/@x#y", "psyc://u@h/", "psyc://h/~%C3%A4", "psyc://h/~%ef%bc%8ax",
		"psyc://h/~%2a", "psyc://bücher.example:s/$a/b", "xmpp:u@h/r?q", "xmpp:a?b@h?c", "XMPP:[::1]", "mailto:A@b",
		"psyc://h/~I%e2%99%a5U", "psyc://xn--n3h.example/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := Parse(s); err == nil {
			checkUniform(t, u)
		} else if !u.IsZero() {
			t.Errorf("%q beside %v", u, err)
		}
		checkJIDOf(t, s, "Desk")
		if k, err := ParseKey(s); err == nil {
			if again, err := ParseKey(k.String()); err != nil || again != k {
				t.Errorf("%q: key %q is %q, %v", s, k, again, err)
			}
		}
	})
}

func FuzzParseJID(f *testing.F) {
	for _, s := range []string{
		"h", "u@h", "U@H./R", "u@[::1]/a b", "i♥u@h", "ß@ß.example", "*@h", "$x@h", "Ａ@h/\u00a0", "א@א.example", "h/u@h",
		"u@xn--bcher-kva.example", "u@a。b", "u@１.2.3.4", "e\u0301@h",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		relayed, err := RelayJID(s)
		if err == nil {
			checkJID(t, relayed)
		}
		if j, err := ParseJID(s); err == nil {
			if j != relayed || j.Opaque() {
				t.Errorf("%q: ParseJID gives %q, RelayJID %q", s, j, relayed)
			}
		}
	})
}

func FuzzMapping(f *testing.F) {
	f.Add("ada", "example.org", "Desk")
	f.Add("*über", "bücher.example", "")
	f.Add("$", "[::1]", "♥")
	f.Add("i♥u", "☃.example", "\U0001FAE9")
	f.Fuzz(func(t *testing.T, local, domain, resource string) {
		if UnescapeLocal(EscapeLocal(local)) != local {
			t.Errorf("%q escapes to %q", local, EscapeLocal(local))
		}
		j, err := NewJID(local, domain, resource)
		if err != nil {
			return
		}
		checkJID(t, j)
		checkJIDOf(t, j.Uniform().String(), resource)
		if again, err := NewJID(j.Local(), j.Domain(), j.Resource()); err != nil || again != j {
			t.Errorf("%q: parts give %q, %v", j, again, err)
		}
	})
}
