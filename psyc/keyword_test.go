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

// What putName and putText write must be what they were given, and nothing else; what they refuse the others judge.
func TestPut(t *testing.T) {
	const margin = "##########"
	for _, around := range []string{"", "abc", "abcdefg", "_abcdefg", "grüße ☂ \xff\x80", "_abcdef_abcdefg_", "_abcdef_abcdefg_a"} {
		for c := range 256 {
			for i := range len(around) + 1 {
				s := around[:i] + string([]byte{byte(c)}) + around[i:]
				plain := len(s) >= 4 && strings.Trim(s, "_abcdefghijklmnopqrstuvwxyz") == ""
				b := []byte(margin + strings.Repeat("#", len(s)) + margin)
				if n := putName(b, 3, s, '\t'); (n >= 0) != plain || plain && string(b) != "###"+s+"\t"+margin+"######" {
					t.Errorf("putName %q: %d, %q", s, n, b)
				}
				printable := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
				b = []byte(margin + strings.Repeat("#", len(s)) + margin)
				n := putText(b, 3, []byte(s))
				if (n >= 0) != printable || printable && string(b) != "###"+s+"\n"+margin+"######" {
					t.Errorf("putText %q: %d, %q", s, n, b)
				}
				if n >= 0 && n != len("###")+len(s)+len("\n") {
					t.Errorf("putText %q ends at %d", s, n)
				}
			}
		}
	}
	for room := range 30 {
		for i := -1; i <= room+1; i++ {
			b := make([]byte, room, 40)
			if n := putName(b, i, "_notice_presence", '\n'); (n >= 0) != (i >= 0 && i+17 <= room) {
				t.Errorf("name at %d of %d: %d", i, room, n)
			}
			if n := putText(b, i, []byte("text")); (n >= 0) != (i >= 0 && i+5 <= room) {
				t.Errorf("text at %d of %d: %d", i, room, n)
			}
		}
	}
	if b := make([]byte, 2*maxName); putName(b, 0, strings.Repeat("x", maxName), 0) < 0 || putName(b, 0, strings.Repeat("x", maxName+1), 0) >= 0 {
		t.Error("wrong about the longest name")
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
		if k := putDecimal(b[:], n); string(b[:k]) != want {
			t.Errorf("%d written as %q", n, b[:k])
		}
	}
}
