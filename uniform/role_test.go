package uniform

import "testing"

func TestRole(t *testing.T) {
	tests := map[string]Role{
		"psyc://h/~ada":            UNI,
		"psyc://h/@hall":           UNI,
		"psyc://h/$news":           UNI,
		"psyc://h/":                UNI,
		"psyc://h":                 UNI,
		"psyc://ada@h/":            UNI,
		"psyc://h:4405/~ada":       UNI,
		"psyc://192.0.2.7/~ada":    UNI,
		"xmpp:ada@h":               UNI,
		"xmpp:h":                   UNI,
		"xmpp:ada@h?message":       UNI,
		"xmpp:ada@h/Desk":          UNR,
		"xmpp:h/Desk":              UNR,
		"psyc://h:-51234/":         UNL,
		"psyc://192.0.2.7:-51234/": UNL,
		"psyc://h:-51234/~ada":     UNL,
		"psyc://h:4405d/":          UNL,
		"psyc://h:4405":            UNL,
		"psyc://h:c/":              UNL,
		"psyc://192.0.2.7/":        UNL,
		"psyc://[::1]":             UNL,
		"mailto:ada@h":             0,
		"irc://h/ada":              0,
	}
	for s, want := range tests {
		if got := MustParse(s).Role(); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
	if UNI.String()+UNR.String()+UNL.String()+Role(0).String() != "UNIUNRUNLunknown" {
		t.Error("roles have other names")
	}
}
