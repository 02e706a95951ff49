package xmlscan

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

// encoding/xml has the fourth edition's tables too, from the specification by another way.
func TestNamesAgainstStd(t *testing.T) {
	std := func(name string) bool {
		token, err := xml.NewDecoder(strings.NewReader("<" + name + ">")).RawToken()
		start, ok := token.(xml.StartElement)
		return err == nil && ok && start.Name.Local == name
	}
	last := rune(0x10FFF)
	for r := rune(1); r <= last; r++ {
		if !utf8.ValidRune(r) || r == ':' || r == '/' {
			continue
		}
		for _, name := range []string{string(r), "a" + string(r)} {
			if got, want := NCName(name), std(name); got != want {
				t.Errorf("%q (%U): got %v, want %v", name, r, got, want)
			}
		}
	}
}

func TestQName(t *testing.T) {
	for _, tt := range []struct {
		in, prefix, local string
		ok                bool
	}{
		{"a", "", "a", true},
		{"p:a", "p", "a", true},
		{"", "", "", false},
		{":a", "", "a", false},
		{"p:", "p", "", false},
		{"p:a:b", "p", "a:b", false},
		{"1", "", "1", false},
	} {
		prefix, local, ok := QName(tt.in)
		if prefix != tt.prefix || local != tt.local || ok != tt.ok {
			t.Errorf("%q: %q, %q, %v", tt.in, prefix, local, ok)
		}
	}
}
