package uniform

import (
	"errors"
	"strings"
	"testing"
)

func TestParseJID(t *testing.T) {
	long := strings.Repeat("a", 1023)
	tests := []struct{ in, local, domain, resource string }{
		{"example.org", "", "example.org", ""},
		{"ada@example.org", "ada", "example.org", ""},
		{"ada@example.org/desk", "ada", "example.org", "desk"},
		{"example.org/desk", "", "example.org", "desk"},
		{"ada@example.org/a@b/c", "ada", "example.org", "a@b/c"},
		{"example.org/a@b", "", "example.org", "a@b"},
		{"Ada@Example.ORG/Desk", "ada", "example.org", "Desk"},
		{"ada@example.org.", "ada", "example.org", ""},
		{"ada@example.org./desk", "ada", "example.org", "desk"},
		{"ada@localhost", "ada", "localhost", ""},
		{`!#$%()*+,-.;=?[\]^_{|}~` + "`@example.org", `!#$%()*+,-.;=?[\]^_{|}~` + "`", "example.org", ""},
		{"ada@example.org/ two  blanks ", "ada", "example.org", " two  blanks "},
		{"ada@192.0.2.7", "ada", "192.0.2.7", ""},
		{"ada@[2001:DB8::0001]/x", "ada", "[2001:db8::1]", "x"},
		{"ada@[::ffff:192.0.2.7]", "ada", "[::ffff:192.0.2.7]", ""},
		{"ada@xn--bcher-kva.example", "ada", "bücher.example", ""},
		{"ada@BÜCHER。example。", "ada", "bücher.example", ""},
		{"ada@faß.example", "ada", "faß.example", ""},
		{"straße@example.org", "straße", "example.org", ""},
		{"ΣΊΣΥΦΟΣ@example.org", "σίσυφοσ", "example.org", ""},
		{"Ａda@example.org", "ada", "example.org", ""},
		{"*über@example.org", "*über", "example.org", ""},
		{"1ü-@example.org", "1ü-", "example.org", ""},
		{"אבג@example.org", "אבג", "example.org", ""},
		{"e\u0301@example.org/e\u0301", "é", "example.org", "é"},
		{"ada@example.org/a\u00a0b", "ada", "example.org", "a b"},
		{"ada@example.org/♥", "ada", "example.org", "♥"},
		{long + "@example.org/" + long, long, "example.org", long},
		{strings.Repeat("ａ", 1023) + "@example.org", long, "example.org", ""},
		{"ada@" + strings.Repeat("a.", 511) + "a", "ada", strings.Repeat("a.", 511) + "a", ""},
		{"ada@" + strings.Repeat("a", 63), "ada", strings.Repeat("a", 63), ""},
	}
	for _, test := range tests {
		j, err := ParseJID(test.in)
		if err != nil {
			t.Errorf("ParseJID(%q): %v", test.in, err)
			continue
		}
		if j.Local() != test.local || j.Domain() != test.domain || j.Resource() != test.resource {
			t.Errorf("ParseJID(%q) = %q, %q, %q; want %q, %q, %q", test.in,
				j.Local(), j.Domain(), j.Resource(), test.local, test.domain, test.resource)
		}
		checkJID(t, j)
		if j.Opaque() {
			t.Errorf("%q is opaque", j)
		}
		relayed, err := RelayJID(test.in)
		if err != nil || relayed != j {
			t.Errorf("RelayJID(%q) = %q, %v; ParseJID gives %q", test.in, relayed, err, j)
		}
		built, err := NewJID(test.local, test.domain, test.resource)
		if err != nil || built != j {
			t.Errorf("NewJID of the parts of %q = %q, %v", j, built, err)
		}
	}
}

func TestParseJIDError(t *testing.T) {
	long := strings.Repeat("a", 1024)
	tests := []struct {
		in     string
		offset int
	}{
		{"", 0},
		{"@example.org", 0},
		{"ada@", 4},
		{"ada@/desk", 4},
		{"/desk", 0},
		{"ada@example.org/", 16},
		{"example.org/", 12},
		{"a b@example.org", 1},
		{`a"b@example.org`, 1},
		{"a&b@example.org", 1},
		{"a'b@example.org", 1},
		{"a:b@example.org", 1},
		{"a<b@example.org", 1},
		{"a>b@example.org", 1},
		{"a\x00b@example.org", 1},
		{"a\x7fb@example.org", 1},
		{"ü:@example.org", 2},
		{"a\xffb@example.org", 1},
		{"ada@b\xff.example", 4 + 1},
		{"ada@example.org/a\xff", 17},
		{"ada@example.org/a\n", 17},
		{"ada@example.org/a\u0085", 16},
		{"ada@bob@example.org", 4},
		{"a＠b@example.org", 0},
		{"i♥u@example.org", 0},
		{"אb@example.org", 0},
		{"ada@.", 4},
		{"ada@example..org", 4},
		{"ada@.example.org", 4},
		{"ada@example.org..", 4},
		{"ada@-example.org", 4},
		{"ada@example-.org", 4},
		{"ada@ex_ample.org", 4},
		{"ada@example.org:5269", 4},
		{"ada@ab--cd.org", 4},
		{"ada@xn--a.org", 4},
		{"ada@xn--.org", 4},
		{"ada@☃.example", 4},
		{"ada@b\u21351.example", 4}, // mapping makes a right-to-left character
		{"ada@\U00010041\u00ad\u0301.example", 4},
		{"\U00010041\u0301@example.org", 0},        // x/text composes U+00C1
		{"example.org/\U0001D165\u0301\u0301", 12}, // and U+D165 here
		{"ada@127.1", 4},
		{"ada@192.0.2.256", 4},
		{"ada@0x7f.0x1", 4},
		{"ada@2130706433", 4},
		{"ada@[::1", 4},
		{"ada@[::1]x", 4},
		{"ada@[fe80::1%eth0]", 5},
		{"ada@[192.0.2.7]", 5},
		{"ada@::1", 4},
		{"ada@" + strings.Repeat("a", 64), 4},
		{"ada@" + strings.Repeat("ü", 60), 4},
		{"ada@" + strings.Repeat("a.", 512) + "a", 4 + 1023},
		{long + "@example.org", 1023},
		{"example.org/" + long, 12 + 1023},
		{strings.Repeat("ü", 512) + "@example.org", 0},
		{"example.org/" + strings.Repeat("ü", 512), 12},
		{strings.Repeat("a", maxInput+1), maxInput},
	}
	for _, test := range tests {
		j, err := ParseJID(test.in)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("ParseJID(%.40q) = %q, %v; want an *Error", test.in, j, err)
			continue
		}
		if e.Input != test.in || e.Offset != test.offset || e.Reason == "" {
			t.Errorf("ParseJID(%.40q): %v; want offset %d", test.in, err, test.offset)
		}
		if !j.IsZero() {
			t.Errorf("ParseJID(%.40q) returns %q beside its error", test.in, j)
		}
		if len(err.Error()) > 400 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	}
}

func TestRelayJID(t *testing.T) {
	tests := []struct {
		in, want string // empty if refused
	}{
		{"i♥u@example.org", "i♥u@example.org"},
		{"I♥U@Example.org/Desk", "I♥U@example.org/Desk"},
		{"room@example.org/\U0001FAE9", "room@example.org/\U0001FAE9"},
		{"ROOM@example.org/\U0001FAE9", "room@example.org/\U0001FAE9"},
		{"אb@example.org", "אb@example.org"},
		{"\U00010061\u0301@example.org", "\U00010061\u0301@example.org"},
		{"example.org/\U00010061\u0301", "example.org/\U00010061\u0301"},
		{"\U00010061\u0301.example", ""},
		{"\ufa6c\u0301@example.org/\ufa6c\u0301", "\ufa6c\u0301@example.org/\ufa6c\u0301"}, // beyond the BMP by mapping
		{"ada@☃.example", "ada@☃.example"},
		{"ada@xn--n3h.example", "ada@☃.example"},
		{"a♥ b@example.org", ""},
		{"a♥\u00a0b@example.org", ""},
		{"a♥\u2028b@example.org", ""},
		{"a♥:b@example.org", ""},
		{"a♥＠b@example.org", ""},
		{"℀@example.org", ""}, // a/c under NFKC
		{"a♥\u0085@example.org", ""},
		{"a♥\ufffe@example.org", ""},
		{"a♥\xff@example.org", ""},
		{"example.org/\U0001FAE9\x01", ""},
		{"example.org/\U0001FAE9\u009f", ""},
		{strings.Repeat("♥", 341) + "@example.org", strings.Repeat("♥", 341) + "@example.org"},
		{strings.Repeat("♥", 342) + "@example.org", ""},
		{"example.org/" + strings.Repeat("\U0001FAE9", 256), ""},
		{"ada@exa_mple.org", ""},
	}
	for _, test := range tests {
		j, err := RelayJID(test.in)
		if (err != nil) != (test.want == "") || j.String() != test.want {
			t.Errorf("RelayJID(%.60q) = %q, %v; want %q", test.in, j, err, test.want)
			continue
		}
		if err != nil {
			continue
		}
		if !j.Opaque() {
			t.Errorf("%q is not opaque", j)
		}
		checkJID(t, j)
		if _, err := ParseJID(test.in); err == nil {
			t.Errorf("ParseJID(%q) takes it", test.in)
		}
	}
}

func TestWithResource(t *testing.T) {
	j := MustParseJID("ada@example.org/Desk")
	for resource, want := range map[string]string{
		"":         "ada@example.org",
		"Phone":    "ada@example.org/Phone",
		"a\u00a0b": "ada@example.org/a b",
	} {
		if got, err := j.WithResource(resource); err != nil || got.String() != want {
			t.Errorf("WithResource(%q) = %q, %v; want %q", resource, got, err, want)
		}
	}
	var e *Error
	if got, err := j.WithResource("a\n"); !errors.As(err, &e) || e.Offset != 1 || !got.IsZero() {
		t.Errorf("WithResource of a line feed = %q, %v", got, err)
	}
}

func TestOpaqueBare(t *testing.T) {
	j, err := RelayJID("room@example.org/\U0001FAE9")
	if err != nil {
		t.Fatal(err)
	}
	if j.Bare() != MustParseJID("room@example.org") || j.Bare().Opaque() {
		t.Errorf("the bare JID is not the ordinary one: %+v", j.Bare())
	}
}

// checkJID checks what holds for every JID.
func checkJID(t *testing.T, j JID) {
	t.Helper()
	again, err := RelayJID(j.String())
	if err != nil || again != j {
		t.Fatalf("%q is not canonical: RelayJID gives %q, %v", j, again, err)
	}
	if parsed, err := ParseJID(j.String()); (err != nil) != j.Opaque() || err == nil && parsed != j {
		t.Fatalf("%q: opaque %v, ParseJID gives %q, %v", j, j.Opaque(), parsed, err)
	}
	if joined := joinJID(j.Local(), j.Domain(), j.Resource()); joined != j {
		t.Fatalf("%q: parts join to %q", j, joined)
	}
	bare := j.Bare()
	if bare.Resource() != "" || bare.Local() != j.Local() || bare.Domain() != j.Domain() || bare != bare.Bare() {
		t.Fatalf("%q: bare %q", j, bare)
	}
	if with, err := bare.withResource(j.Resource(), true); err != nil || with != j {
		t.Fatalf("%q: bare with resource gives %q, %v", j, with, err)
	}
	if d, err := Domain(j.Domain()); err != nil || d != j.Domain() {
		t.Fatalf("%q: Domain gives %q, %v", j, d, err)
	}

	text, _ := j.MarshalText()
	var unmarshalled JID
	if err := unmarshalled.UnmarshalText(text); err != nil || unmarshalled != j {
		t.Fatalf("%q: text %q is %q, %v", j, text, unmarshalled, err)
	}

	u := j.Uniform()
	if parsed, err := Parse(u.String()); err != nil || parsed != u {
		t.Fatalf("%q: uniform %q, parsed %+v, %v; want %+v", j, u, parsed, err, u)
	}
	if back, err := u.JID(j.Resource()); err != nil || back != j {
		t.Fatalf("%q: uniform %q gives %q, %v", j, u, back, err)
	}
	if !isASCII(u.String()) {
		t.Fatalf("%q: uniform %q is not ASCII", j, u)
	}
	x, err := Parse("xmpp:" + j.String())
	if err != nil {
		t.Fatalf("xmpp:%s: %v", j, err)
	}
	if back, err := x.JID(""); err != nil || back != j {
		t.Fatalf("%q: %q gives %q, %v", j, x, back, err)
	}
	for _, host := range []string{u.Host(), x.Host()} {
		if d, err := Domain(host); err != nil || d != j.Domain() {
			t.Fatalf("%q: host %q is domain %q, %v", j, host, d, err)
		}
	}
	if j.Key() != u.Key() || j.Key() != x.Key() || j.Key() != bare.Key() {
		t.Fatalf("%q: keys %q, %q, %q, %q", j, j.Key(), u.Key(), x.Key(), bare.Key())
	}
	k, err := ParseKey(j.Key().String())
	if err != nil || k != j.Key() || k.JID() != bare || k.Uniform() != u {
		t.Fatalf("%q: key %q, %v, %q, %q", j, k, err, k.JID(), k.Uniform())
	}
}

func TestParseJIDAllocs(t *testing.T) {
	for _, s := range []string{
		"example.org", "ada@example.org", "ada@example.org/Desk 1", "ada@192.0.2.7/x", "ada@[2001:db8::1]/x",
		`d.b-c_d=e@a.b-c.example/"<&>"`,
	} {
		for name, parse := range map[string]func(string) (JID, error){"ParseJID": ParseJID, "RelayJID": RelayJID} {
			if n := testing.AllocsPerRun(100, func() {
				j, err := parse(s)
				if err != nil || j.Local() == "x" || j.Domain() == "" || j.Resource() == "y" || j.Bare().IsZero() ||
					j.Key().IsZero() || j.Opaque() {
					t.Fatal(j, err)
				}
			}); n != 0 {
				t.Errorf("%s(%q): %v allocations", name, s, n)
			}
		}
	}
}
