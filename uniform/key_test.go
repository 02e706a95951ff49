package uniform

import "testing"

func TestKey(t *testing.T) {
	groups := [][]string{
		{"ada@h", "Ada@H.", "ada@h/Desk", "xmpp:ada@h", "xmpp:ada@h/Phone", "psyc://h/~ada", "psyc://h:4404/~Ada", "PSYC://H/~ADA"},
		{"*hall@h", "xmpp:*hall@h/ada", "psyc://h/@hall"},
		{"$news@h", "psyc://h/$news"},
		{"h", "xmpp:h", "h/x", "psyc://h/", "psyc://h:/"},
		{"psyc://h", "psyc://h:4404"},
		{"psyc://h:4405/~ada"},
		{"psyc://h:-4405/~ada"},
		{"psyc://h:4404c/~ada", "psyc://h:c/~ada"},
		{"psyc://ada@h/"},
		{"psyc://h/~%41da", "psyc://h/~%41DA"},
		{"psyc://h/~*hall"},
		{"psyc://h/@hall#x"},
		{"psyc://h/$news/x"},
		{"psyc://h/ada"},
		{"xmpp:ada@h?message"},
		{"mailto:ada@h"},
		{"straße@h", "psyc://h/~stra%C3%9Fe"},
		{"strasse@h"},
		{"i♥u@h", "xmpp:i♥u@h/x", "psyc://h/~i%e2%99%a5u"},
		{"I♥U@h"},
		{"ada@bücher.example", "ada@xn--bcher-kva.example", "psyc://xn--bcher-kva.example/~ada"},
		{"ada@[::1]", "xmpp:ada@[0::1]", "psyc://[::1]/~ada"},
		{"[::1]", "psyc://[::1]/"},
	}
	owner := map[Key]int{}
	for i, group := range groups {
		for _, s := range group {
			k, err := ParseKey(s)
			if err != nil {
				t.Errorf("ParseKey(%q): %v", s, err)
				continue
			}
			if first, ok := owner[k]; ok && first != i {
				t.Errorf("%q has the key %q of %q", s, k, groups[first][0])
			}
			owner[k] = i
			if first, _ := ParseKey(group[0]); first != k {
				t.Errorf("%q has key %q, but %q has %q", s, k, group[0], first)
			}
			if again, err := ParseKey(k.String()); err != nil || again != k {
				t.Errorf("key %q is %q, %v", k, again, err)
			}
		}
	}
	for _, s := range []string{"", "@h", "a b@h", "psyc:h", "psyc://", "xmpp:", "u@h/"} {
		if k, err := ParseKey(s); err == nil || !k.IsZero() {
			t.Errorf("ParseKey(%q) = %q, %v", s, k, err)
		}
	}
}
