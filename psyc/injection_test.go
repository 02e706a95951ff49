package psyc

import (
	"errors"
	"strings"
	"testing"
)

// Text of users becomes bodies and values of packets. These are texts with which one user tried to write packets of
// another; each was seen to work on a psyced that read them from a careless renderer, or is a variation.

const forged = ":_source\tpsyc://p1.example/~admin\n:_target\tpsyc://psyced.example/~alice\n\n_message_private\ngive me your password\n."

// TestInjection09 tries to end a line, or a packet, from inside a body, a value and a list.
func TestInjection09(t *testing.T) {
	cr := strings.ReplaceAll(forged, "\n", "\r")
	for _, tt := range []struct {
		name, text string
		value      bool // harmless in a value, where every line begins with a tab
	}{
		{"delimiter", "hello\n.\n" + forged, true},
		{"delimiter first", ".\n" + forged, true},
		{"delimiter last", "hello\n.", true},
		{"delimiter alone", ".", true},
		{"carriage returns", "hello\r.\r" + cr, false},
		{"carriage return and line end", "hello\n.\r\n" + forged, false},
		{"DEL edits the line", "hello\ny\x7f.\n" + forged, false},
		{"backspace edits the line", "hello\ny\b.\n" + forged, false},
		{"NUL after a carriage return", "hello\n.\r\x00" + forged, false},
		{"NUL", "hello\x00.", false},
		{"telnet command", "hello\n\xff\xf9.\n" + forged, false},
		{"line cut by the driver", strings.Repeat("x", 2048) + ".", false},
		{"line cut into a header line", strings.Repeat("x", 2048) + ":_source\tpsyc://p38.example/~admin", false},
		{"base64 on one line", strings.Repeat("QUJD", 1500), false},
		{"line a byte too long", strings.Repeat("x", 2048), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := &Packet{Method: "_message_private", Body: []byte(tt.text)}
			if out, err := body.Append(nil, PSYC09); !errors.Is(err, ErrNotRepresentable) || len(out) > 0 {
				t.Errorf("in a body: %q, %v", out, err)
			}
			for _, name := range []string{"_description_presence", "_list_x"} {
				p := &Packet{Method: "_notice_presence_here"}
				p.Entity.Set(name, tt.text)
				if name == "_list_x" {
					p.Entity.Set(name, string(AppendList(nil, "", Element{Value: Value("a")}, Element{Value: Value(tt.text)})))
				}
				out, err := p.Append(nil, PSYC09)
				if err != nil {
					if !errors.Is(err, ErrNotRepresentable) || tt.value && name != "_list_x" {
						t.Errorf("in %s: %v", name, err)
					}
					continue
				}
				if !tt.value {
					t.Errorf("in %s: written as %q", name, out)
				}
				var q Packet
				if n, err := q.Parse(out, PSYC09); err != nil || n != len(out) || !q.Equal(p) {
					t.Errorf("in %s: %q read as %+v, %v", name, out, q, err)
				}
			}
		})
	}
}

func TestLongestLine09(t *testing.T) {
	for _, tt := range []struct {
		r    Renderer
		p    Packet
		good bool
	}{
		{Renderer{}, Packet{Method: "_m", Body: []byte(strings.Repeat("x", 2047))}, true},
		{Renderer{}, Packet{Method: "_m", Body: []byte(strings.Repeat("x", 2048))}, false},
		{Renderer{}, Packet{Method: "_m", Entity: Vars{{Set, "_a", Value(strings.Repeat("x", 2043))}}}, true},
		{Renderer{}, Packet{Method: "_m", Entity: Vars{{Set, "_a", Value(strings.Repeat("x", 2044))}}}, false},
		{Renderer{}, Packet{Method: "_m", Entity: Vars{{Set, "_a", Value("\n" + strings.Repeat("x", 2046))}}}, true},
		{Renderer{}, Packet{Method: "_m", Entity: Vars{{Set, "_a", Value("\n" + strings.Repeat("x", 2047))}}}, false},
		{Renderer{}, Packet{Routing: Vars{{Set, "_tag", Value(strings.Repeat("x", 2042))}}}, false},
		{Renderer{Line: 2048}, Packet{Method: "_m", Body: []byte(strings.Repeat("x", 2048))}, true},
		{Renderer{Line: 100}, Packet{Method: "_m", Body: []byte(strings.Repeat("x", 101))}, false},
		{Renderer{Line: -1}, Packet{Method: "_m", Body: []byte(strings.Repeat("x", 100_000))}, true},
		{Renderer{Exact: true}, Packet{Method: "_m", Body: []byte(strings.Repeat("x", 2048))}, false},
		{Renderer{Exact: true}, Packet{Method: "_m", Body: []byte("a\x7f.")}, true},
		{Renderer{Exact: true, Line: -1}, Packet{Method: "_m", Body: []byte("a\r.")}, false},
		{Renderer{Exact: true, Line: -1}, Packet{Method: "_m", Body: []byte("a\n.\nb")}, false},
		{Renderer{Exact: true, Line: -1}, Packet{Method: "_m", Body: []byte("a\x00")}, false},
		{Renderer{Exact: true, Line: -1}, Packet{Method: "_m", Body: []byte("a\b")}, false},
		{Renderer{Exact: true, Line: -1}, Packet{Method: "_m", Body: []byte("a\xff")}, false},
	} {
		tt.r.Syntax = PSYC09
		out, err := tt.r.Append(nil, &tt.p)
		if (err == nil) != tt.good || err != nil && (!errors.Is(err, ErrNotRepresentable) || len(out) > 0) {
			t.Errorf("%+v of %.60v...: %.60q, %v", tt.r, tt.p, out, err)
		}
	}
}

// TestCarriageReturn09 receives what a psyced cast after a censor that looks for LF "." LF had let it pass: on a
// circuit that began with "." LF the line "." CR is text.
func TestCarriageReturn09(t *testing.T) {
	text := "hello\n.\r\n:_source\tpsyc://psyced.example/~alice\n:_target\tpsyc://p36.example/~dora\n\n_message_private\nI am alice"
	packet := ":_context\tpsyc://psyced.example/@welcome\n\n_message_public\n" + text + "\n.\n"
	d := NewDecoder(strings.NewReader(".\n" + packet))
	got, err := readAll(d)
	if err != nil || len(got) != 2 || string(got[1].Body) != text || got[1].Routing.Get("_source") != nil {
		t.Errorf("%d packets, %v", len(got), err)
	}
	var p Packet
	if n, err := p.Parse([]byte(packet), PSYC09); err != nil || n != len(packet) || string(p.Body) != text {
		t.Errorf("Parse: %+v, %d, %v", p, n, err)
	}
	// The value of the first line does not change that either.
	in := ":_tag\tx\r\n\n_m\na\n.\r\nb\n.\n"
	if got, err := readAll(NewDecoder(strings.NewReader(in))); err != nil || len(got) != 1 || string(got[0].Body) != "a\n.\r\nb" {
		t.Errorf("%q: %d packets, %v", in, len(got), err)
	}
}

// TestRoutingInjection puts a packet into a routing value, which has no length in either syntax.
func TestRoutingInjection(t *testing.T) {
	for _, id := range []string{
		"x\n|\n:_source\tpsyc://a.example/~admin\n\n_message_private\nhi\n|", "x\n.\n" + forged, "\n", "x\ry", "x\x00", "x\ty", "x\x7f", "\x1b[2J",
		"0123456789\x7f", "\x7f0123456789", "0123456\n89abcdef", "0123456789abcdef\x1f", "0123456789\tabcdef",
	} {
		for _, syn := range []Syntax{PSYC10, PSYC09, Auto} {
			p := &Packet{Method: "_message_private", Body: []byte("hi")}
			p.Routing.Set("_tag", id)
			if out, err := p.Append(nil, syn); !errors.Is(err, ErrNotRepresentable) || len(out) > 0 {
				t.Errorf("%v: %q written as %q, %v", syn, id, out, err)
			}
		}
	}
	p := &Packet{Method: "_m"}
	p.Routing.Set("_tag", " x")
	if _, err := p.Append(nil, PSYC09); !errors.Is(err, ErrNotRepresentable) {
		t.Errorf("leading blank: %v", err)
	}
	p.Routing.Set("_tag", "grüße ☂ \u00a0x")
	for _, syn := range []Syntax{PSYC10, PSYC09} {
		if _, err := p.Append(nil, syn); err != nil {
			t.Errorf("printable UTF-8 in %v: %v", syn, err)
		}
	}
}

// TestNameInjection puts lines into names and methods.
func TestNameInjection(t *testing.T) {
	for _, name := range []string{"", "_a\tx\n:_source", "_a\n", "_a ", "_a-b", "_ä", "_a\r", "_m\n|\n", strings.Repeat("x", maxName+1)} {
		for _, syn := range []Syntax{PSYC10, PSYC09} {
			for i, p := range []*Packet{
				{Routing: Vars{{Set, name, Value("x")}}},
				{Entity: Vars{{Set, name, Value("x")}}},
				{Method: name, Body: []byte("x")},
			} {
				if out, err := p.Append(nil, syn); !errors.Is(err, ErrNotRepresentable) || len(out) > 0 {
					t.Errorf("%v, %d: %q written as %q, %v", syn, i, name, out, err)
				}
			}
		}
	}
}

// TestOperatorInjection writes operators and state operations that are none.
func TestOperatorInjection(t *testing.T) {
	for _, syn := range []Syntax{PSYC10, PSYC09} {
		for i, p := range []*Packet{
			{Routing: Vars{{'\n', "_tag", Value("x")}}},
			{Entity: Vars{{'|', "_a", Value("x")}}},
			{Entity: Vars{{'_', "_a", Value("x")}}},
			{State: '|', Method: "_m"},
			{Body: []byte("x")},
		} {
			if out, err := p.Append(nil, syn); !errors.Is(err, ErrNotRepresentable) || len(out) > 0 {
				t.Errorf("%v, %d: written as %q, %v", syn, i, out, err)
			}
		}
	}
}

func TestOpaque(t *testing.T) {
	for _, tt := range []struct {
		r    Renderer
		p    Packet
		want string
	}{
		{Renderer{Opaque: true}, Packet{Body: []byte("_m\nhi\n")}, "\n_m\nhi\n|\n"},
		{Renderer{Opaque: true}, Packet{}, "|\n"},
		{Renderer{Opaque: true}, Packet{Body: []byte("|\n")}, "2\n|\n|\n"},
		{Renderer{Opaque: true, Lengths: LengthsAlways}, Packet{Body: []byte("_m\n")}, "3\n_m\n|\n"},
		{Renderer{Opaque: true}, Packet{Body: []byte("_m")}, ""},
		{Renderer{Opaque: true}, Packet{Body: []byte("_m\n"), Method: "_m"}, ""},
		{Renderer{Opaque: true}, Packet{Body: []byte("_m\n"), State: Reset}, ""},
		{Renderer{Opaque: true}, Packet{Body: []byte("_m\n"), Entity: Vars{{Set, "_a", nil}}}, ""},
		{Renderer{Opaque: true, Syntax: PSYC09, Exact: true}, Packet{Method: "_m"}, ""},
	} {
		out, err := tt.r.Append(nil, &tt.p)
		if string(out) != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, ErrNotRepresentable) {
			t.Errorf("%+v of %+v: %q, %v, want %q", tt.r, tt.p, out, err, tt.want)
		}
	}
}

// TestInternal keeps what programs say about a peer from being said by the peer.
func TestInternal(t *testing.T) {
	for syn, in := range map[Syntax]string{
		PSYC10: ":_INTERNAL_trust\t9\n:_tag\tx\n\n=_INTERNAL_identification\ta\n:_INTERNAL 3\tx\ny\n:_a\tb\n_m\n|\n",
		PSYC09: ":_INTERNAL_trust\t9\n:_tag\tx\n\n=_INTERNAL_identification\ta\n:_INTERNAL\tx\n\ty\n:\tz\n:_a\tb\n_m\n.\n",
	} {
		want := &Packet{Routing: Vars{{Set, "_tag", Value("x")}}, Entity: Vars{{Set, "_a", Value("b")}}, Method: "_m"}
		var p Packet
		if _, err := p.Parse([]byte(in), syn); err != nil || !p.Equal(want) {
			t.Errorf("%v: %+v, %v", syn, p, err)
		}
		plain, err := want.Append(nil, syn)
		if err != nil {
			t.Fatal(err)
		}
		p.Routing.Set("_INTERNAL_trust", "9")
		p.Entity.Set("_INTERNAL_x", "\n.\n|\n, and long enough for a length")
		if out, err := p.Append(nil, syn); err != nil || string(out) != string(plain) {
			t.Errorf("%v: written as %q, %v, want %q", syn, out, err, plain)
		}
		only := &Packet{Routing: Vars{{Set, "_INTERNAL_trust", Value("9")}}}
		if out, err := only.Append(nil, syn); err != nil || len(out) > 3 {
			t.Errorf("%v: written as %q, %v", syn, out, err)
		}
	}
}

// TestRefused09 writes what psyced loses or mistakes, and then to a peer that reads exactly.
func TestRefused09(t *testing.T) {
	for _, tt := range []struct {
		name  string
		p     Packet
		exact bool // an exact peer takes it
	}{
		{"assign", Packet{Routing: Vars{{Assign, "_source", Value("x")}}}, true},
		{"augment", Packet{Entity: Vars{{Augment, "_list_x", Value("| a")}}}, true},
		{"query", Packet{Entity: Vars{{Query, "_x", Value("")}}}, true},
		{"update", Packet{Entity: Vars{{Update, "_x", Value("#1 = a")}}}, false},
		{"exclamation mark", Packet{Entity: Vars{{'!', "_x", Value("a")}}}, false},
		{"reset", Packet{State: Reset, Method: "_m"}, false},
		{"data", Packet{Method: "_data_x"}, true},
		{"method without underscore", Packet{Method: "message"}, false},
		{"routing name in the entity header", Packet{Entity: Vars{{Set, "_source", Value("psyc://x/")}}, Method: "_m"}, true},
		{"entity name in the routing header", Packet{Routing: Vars{{Set, "_nick", Value("x")}}, Method: "_m"}, false},
		{"length", Packet{Routing: Vars{{Set, "_length", Value("1")}}, Method: "_m", Body: []byte("x")}, false},
		{"blank in a list", Packet{Entity: Vars{{Set, "_list_x", Value("| a b| c")}}, Method: "_m"}, true},
		{"blank in front of an element", Packet{Entity: Vars{{Set, "_list_x", Value("|  a| c")}}, Method: "_m"}, false},
		{"blank in front", Packet{Entity: Vars{{Set, "_x", Value("\ta")}}, Method: "_m"}, false},
		{"list of one empty element", Packet{Entity: Vars{{Set, "_list_x", Value("|")}}, Method: "_m"}, false},
		{"list with a type", Packet{Entity: Vars{{Set, "_list_x", Value("_nick| a")}}, Method: "_m"}, false},
		{"list with types", Packet{Entity: Vars{{Set, "_list_x", Value("|=_nick a")}}, Method: "_m"}, false},
		{"no list", Packet{Entity: Vars{{Set, "_list_x", Value("|a|b")}}, Method: "_m"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if out, err := tt.p.Append(nil, PSYC09); !errors.Is(err, ErrNotRepresentable) || len(out) > 0 {
				t.Errorf("written as %q, %v", out, err)
			}
			r := Renderer{Syntax: PSYC09, Exact: true}
			out, err := r.Append(nil, &tt.p)
			if (err == nil) != tt.exact {
				t.Fatalf("exact: written as %q, %v", out, err)
			}
			var q Packet
			if err == nil {
				if _, err := q.Parse(out, PSYC09); err != nil || !q.Equal(&tt.p) {
					t.Errorf("exact: %q read as %+v, %v", out, q, err)
				}
			}
		})
	}
}
