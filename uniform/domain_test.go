package uniform

import (
	"errors"
	"strings"
	"testing"
)

func TestDomain(t *testing.T) {
	tests := []struct{ in, want, ascii string }{
		{"Example.ORG.", "example.org", "example.org"},
		{"localhost", "localhost", "localhost"},
		{"BÜCHER.example", "bücher.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "bücher.example", "xn--bcher-kva.example"},
		{"☃.example", "☃.example", "xn--n3h.example"},
		{"192.0.2.7", "192.0.2.7", "192.0.2.7"},
		{"１９２.0.2.7", "192.0.2.7", "192.0.2.7"},
		{"::1", "[::1]", "[::1]"},
		{"[0:0::1]", "[::1]", "[::1]"},
		{"a.b1", "a.b1", "a.b1"},
		{"1.example", "1.example", "1.example"},
	}
	for _, test := range tests {
		got, err := Domain(test.in)
		if err != nil || got != test.want {
			t.Errorf("Domain(%q) = %q, %v; want %q", test.in, got, err, test.want)
			continue
		}
		if ascii := ASCIIDomain(got); ascii != test.ascii {
			t.Errorf("ASCIIDomain(%q) = %q, want %q", got, ascii, test.ascii)
		}
		if again, err := Domain(ASCIIDomain(got)); err != nil || again != got {
			t.Errorf("Domain(ASCIIDomain(%q)) = %q, %v", got, again, err)
		}
	}
	for _, s := range []string{
		"", ".", "..", "a..b", ".a", "a b", "a_b", "-a", "a-", "u@h", "h/x", "h:1",
		"[::1", "::1%eth0", ":::", "1.2.3", "1.2.3.4.5", "01.2.3.4", "a.0x1",
		"a" + strings.Repeat("\u00ad", 200) + "b", // a label is limited before mapping, too
		"\ufa6c\u0301.example",
	} {
		var e *Error
		if got, err := Domain(s); !errors.As(err, &e) || e.Input == "" && s != "" {
			t.Errorf("Domain(%q) = %q, %v", s, got, err)
		}
	}
}
