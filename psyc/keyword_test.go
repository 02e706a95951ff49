package psyc

import (
	"strconv"
	"strings"
	"testing"
)

func TestIsKeyword(t *testing.T) {
	for _, around := range []string{"", "_", "_nick", "_notices", "_notice_presence", "_Upper_9_case_name"} {
		for c := range 256 {
			want := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz0123456789", byte(c)) >= 0
			for i := range len(around) + 1 {
				s := around[:i] + string([]byte{byte(c)}) + around[i:]
				if got := isKeyword(s); got != want {
					t.Errorf("%q: %v", s, got)
				}
			}
		}
	}
	if isKeyword("") || !isKeyword(strings.Repeat("x", maxName)) || isKeyword(strings.Repeat("x", maxName+1)) {
		t.Error("wrong about a length")
	}
}

func TestHasControl(t *testing.T) {
	for _, around := range []string{"", "x", "1234567", "12345678", "grüße ☂ \xff\x80", "0123456789abcdef"} {
		if hasControl([]byte(around)) {
			t.Errorf("%q", around)
		}
		for c := range 256 {
			for i := range len(around) + 1 {
				s := around[:i] + string([]byte{byte(c)}) + around[i:]
				if got := hasControl([]byte(s)); got != (c < 0x20 || c == 0x7f) {
					t.Errorf("%q: %v", s, got)
				}
			}
		}
	}
}

func TestPutText(t *testing.T) {
	for _, around := range []string{"", "1234567", "12345678", "grüße ☂ \xff\x80", "0123456789abcdef0"} {
		for c := range 256 {
			for i := range len(around) + 1 {
				s := around[:i] + string([]byte{byte(c)}) + around[i:]
				b := []byte(strings.Repeat("#", len(s)+9))
				if got := putText(b, []byte(s)); got == hasControl([]byte(s)) || string(b) != s+"#########" {
					t.Errorf("putText %q: %v, %q", s, got, b)
				}
				b = []byte(strings.Repeat("#", len(s)+9))
				if got := putName(b, &Var{Name: s}) > 0; got != isKeyword(s) || string(b) != ":"+s+"########" {
					t.Errorf("putName %q: %v, %q", s, got, b)
				}
			}
		}
	}
}

func TestKeywordEnd(t *testing.T) {
	for _, name := range []string{"", "_", "_a", "_notice_presence", "_Upper_9", "_degree_availability_X_and_more"} {
		for _, rest := range []string{"", "\t", "\tvalue and so on", " 12\t", "`", "`aaaaaaaaaa", "-", "\xff\xfb\xfa\x80", "{zzzzzzzzz", "^^^^^^^^^^"} {
			if got := keywordEnd([]byte(name+rest), 0); got != len(name) {
				t.Errorf("%q: %d, want %d", name+rest, got, len(name))
			}
		}
	}
}

func TestPutDecimal(t *testing.T) {
	for _, n := range []int64{0, 9, 10, 11, 99, 100, 12345, 999_999_999_999_999_999, 1_000_000_000_000_000_000, 1<<63 - 1} {
		var b [20]byte
		want := strconv.FormatInt(n, 10)
		if k := putDecimal(b[:], n, decimals(n)); string(b[:k]) != want {
			t.Errorf("%d written as %q", n, b[:k])
		}
	}
}
