package psycswitch

import (
	"errors"
	"strings"
	"testing"
)

func TestASCIIDomain(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Example.ORG", "example.org"},
		{"example.org.", "example.org"},
		{"localhost", "localhost"},
		{"under_score.example", ""},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"straße.example", "xn--strae-oqa.example"},
		{"例え。テスト", "xn--r8jz45g.xn--zckzah"},
		{strings.Repeat("a", 63) + ".example", strings.Repeat("a", 63) + ".example"},
		{"", ""},
		{".", ""},
		{"[2001:db8::1]", ""},
		{"a..example", ""},
		{".example", ""},
		{"a b.example", ""},
		{"a\x00b.example", ""},
		{`a\.b.example`, ""},
		{"a\nb.example", ""},
		{"user@example", ""},
		{"*.example", ""},
		{strings.Repeat("a", 64) + ".example", ""},
		{strings.Repeat("a.", 120) + "example", ""},
		{"\xff.example", ""},
		{"a\u202eb.example", ""},
	}
	for _, tt := range tests {
		got, err := asciiDomain(tt.in)
		if got != tt.want || (tt.want == "") != errors.Is(err, ErrBadDomain) {
			t.Errorf("asciiDomain(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestAddressLiteral(t *testing.T) {
	tests := []struct{ in, want string }{
		{"127.0.0.31", "127.0.0.31"},
		{"127.0.0.31.", "127.0.0.31"},
		{"2001:db8::1", "2001:db8::1"},
		{"[2001:db8::1]", "2001:db8::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"[2001:db8::1", ""},
		{"fe80::1%eth0", ""},
		{"192.0.2.1.example", ""},
		{"192.0.2", ""},
		{"", ""},
	}
	for _, tt := range tests {
		ip, ok := addressLiteral(tt.in)
		if ok != (tt.want != "") || ok && ip.String() != tt.want {
			t.Errorf("addressLiteral(%q) = %v, %v, want %q", tt.in, ip, ok, tt.want)
		}
	}
}
