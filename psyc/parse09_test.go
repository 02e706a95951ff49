package psyc

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/internal/shared"
)

func TestParse09(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Packet
		again    string // how it is written, "" as it came, "-" not at all
	}{
		{"keep-alive", ".\n", Packet{}, ""},
		{"blank keep-alive", "\n.\n", Packet{}, ".\n"},
		{
			"message", ":_source\tpsyc://n.example/~ada\n:_target\tpsyc://s.example/~bea\n\n:_nick\tAda\n_message_private\nhi\n.\n",
			Packet{
				Routing: Vars{{Set, "_source", Value("psyc://n.example/~ada")}, {Set, "_target", Value("psyc://s.example/~bea")}},
				Entity:  Vars{{Set, "_nick", Value("Ada")}},
				Method:  "_message_private", Body: []byte("hi"),
			},
			"",
		},
		{
			"no routing", "\n:_host\tx\n_error_invalid_host\nCould not resolve [_host].\n.\n",
			Packet{Entity: Vars{{Set, "_host", Value("x")}}, Method: "_error_invalid_host", Body: []byte("Could not resolve [_host].")},
			"",
		},
		{
			"no blank line", ":_source\tpsyc://n.example/\n:_nick\tAda\n_request_version\n.\n",
			Packet{
				Routing: Vars{{Set, "_source", Value("psyc://n.example/")}},
				Entity:  Vars{{Set, "_nick", Value("Ada")}}, Method: "_request_version",
			},
			":_source\tpsyc://n.example/\n\n:_nick\tAda\n_request_version\n.\n",
		},
		{
			"entity variable in the first half", ":_nick\tAda\n:_source\tpsyc://n.example/\n\n_m\n.\n",
			Packet{
				Routing: Vars{{Set, "_source", Value("psyc://n.example/")}},
				Entity:  Vars{{Set, "_nick", Value("Ada")}}, Method: "_m",
			},
			":_source\tpsyc://n.example/\n\n:_nick\tAda\n_m\n.\n",
		},
		{
			"routing variable in the second half", ":_target\tpsyc://s.example/\n\n:_source\tpsyc://n.example/~ada\n_m\n.\n",
			Packet{
				Routing: Vars{{Set, "_target", Value("psyc://s.example/")}},
				Entity:  Vars{{Set, "_source", Value("psyc://n.example/~ada")}}, Method: "_m",
			},
			"-",
		},
		{
			"second blank line", "\n:_a\t1\n\n:_tag\t2\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_a", Value("1")}, {Set, "_tag", Value("2")}}, Method: "_m"},
			"-",
		},
		{
			"variables alone", ":_using_modules\t_encrypt\n.\n",
			Packet{Routing: Vars{{Set, "_using_modules", Value("_encrypt")}}},
			":_using_modules\t_encrypt\n\n.\n",
		},
		{
			"white space", "\n:_foo bar\n:_a \t  b \t\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_foo", Value("bar")}, {Set, "_a", Value("b \t")}}, Method: "_m"},
			"\n:_foo\tbar\n:_a\tb \t\n_m\n.\n",
		},
		{"empty value", "\n:_nick\t\n_m\n.\n", Packet{Entity: Vars{{Set, "_nick", Value("")}}, Method: "_m"}, ""},
		{
			"continuation", "\n:_d\tone\n\ttwo\n  three\n\t\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_d", Value("one\ntwo\n three\n")}}, Method: "_m"},
			"\n:_d\tone\n\ttwo\n\t three\n\t\n_m\n.\n",
		},
		{
			"list", "\n:_list_x\ta\n:\tb\n:\tc\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_list_x", Value("| a| b| c")}}, Method: "_m"},
			"",
		},
		{
			"list of one", "\n:_list_x\tpsyc://n.example/~ada\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_list_x", Value("|21 psyc://n.example/~ada")}}, Method: "_m"},
			"",
		},
		{"empty list", "\n:_list_x\t\n_m\n.\n", Packet{Entity: Vars{{Set, "_list_x", Value("")}}, Method: "_m"}, ""},
		{
			"list of lines", "\n:_list_x\ta\n\tb\n:\t\n:\t|\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_list_x", Value("| a\nb||1 |")}}, Method: "_m"},
			"",
		},
		{
			"list by another name", "\n:_x\ta\n:\tb\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_x", Value("| a| b")}}, Method: "_m"},
			"\n:_x\t| a| b\n_m\n.\n",
		},
		{
			"internal", "=_INTERNAL_trust\t9\n\n:_INTERNAL_x\ta\n:\tb\n\tc\n:_a\t1\n_m\n.\n",
			Packet{Entity: Vars{{Set, "_a", Value("1")}}, Method: "_m"},
			"\n:_a\t1\n_m\n.\n",
		},
		{
			"operators", "=_source\tpsyc://n.example/\n\n+_list_x\ta\n-_list_x\tb\n-_y\n?_z\t\n_m\n.\n",
			Packet{
				Routing: Vars{{Assign, "_source", Value("psyc://n.example/")}},
				Entity: Vars{
					{Augment, "_list_x", Value("| a")},
					{Diminish, "_list_x", Value("| b")},
					{Diminish, "_y", Value("")},
					{Query, "_z", Value("")},
				}, Method: "_m",
			},
			"-",
		},
		{"dots", "\n_m\n.x\n..\n.x.\n .\n.\n", Packet{Method: "_m", Body: []byte(".x\n..\n.x.\n .")}, ""},
		{"body of empty lines", "\n_m\n\n\nx\n\n.\n", Packet{Method: "_m", Body: []byte("\n\nx\n")}, ""},
		{"body of one empty line", "\n_m\n\n.\n", Packet{Method: "_m"}, "\n_m\n.\n"},
		{"body of variables", "\n_m\n:_source\tx\n_m\n.\n", Packet{Method: "_m", Body: []byte(":_source\tx\n_m")}, ""},
		{"length", ":_length\t9\n\n_m\na\n.\nb\r\n\x00\n\n.\n", Packet{Method: "_m", Body: []byte("a\n.\nb\r\n\x00\n")}, "-"},
		{"length zero", ":_length\t0\n\n_m\n.\n", Packet{Method: "_m"}, "\n_m\n.\n"},
		{"length zero and a line", ":_length\t0\n\n_m\n\n.\n", Packet{Method: "_m"}, "\n_m\n.\n"},
		{
			"length of an entity", "\n:_length\t9\n_m\nx\n.\n",
			Packet{Entity: Vars{{Set, "_length", Value("9")}}, Method: "_m", Body: []byte("x")},
			"-",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			n, err := p.Parse([]byte(tt.in+".\n"), PSYC09)
			if err != nil || n != len(tt.in) || !p.Equal(&tt.want) {
				t.Fatalf("got %+v, %d, %v\nwant %+v, %d", p, n, err, tt.want, len(tt.in))
			}
			out, err := p.Append(nil, PSYC09)
			switch want := tt.again; {
			case want == "-":
				if !errors.Is(err, ErrNotRepresentable) {
					t.Errorf("written as %q, %v", out, err)
				}
			case want == "":
				want = tt.in
				fallthrough
			default:
				if err != nil || string(out) != want {
					t.Errorf("written as %q, %v, want %q", out, err, want)
				}
			}
		})
	}
}

func TestParse09Errors(t *testing.T) {
	for _, tt := range []struct {
		in, method string
		offset     int64
	}{
		{"\n:_foo\n_m\n.\n", "_error_syntax_set", 6},
		{"\n=_foo\n_m\n.\n", "_error_syntax_assign", 6},
		{"\n+_foo\n_m\n.\n", "_error_syntax_augment", 6},
		{"\n:\n_m\n.\n", "_error_syntax_set", 2},
		{"\n-\n_m\n.\n", "_error_syntax_diminish", 2},
		{"\n:_f-o\tx\n_m\n.\n", "_error_illegal_protocol_variable", 4},
		{"\n!_foo\tbar\n_m\n.\n", "_error_invalid_method_compact", 1},
		{"\n@_foo\tbar\n_m\n.\n", "_error_invalid_method_compact", 1},
		{"hello\n.\n", "_error_invalid_method_compact", 0},
		{".x\n.\n", "_error_invalid_method_compact", 0},
		{"\n_m!\n.\n", "_error_illegal_method", 3},
		{"\n_m\r\n.\n", "_error_illegal_method", 3},
		{"\n:\tb\n_m\n.\n", "_error_syntax_list_append", 1},
		{"\n\tb\n_m\n.\n", "_error_syntax", 1},
		{":_source\tx\n\n:\tb\n_m\n.\n", "_error_syntax_list_append", 12},
		{"\n:_list_x\ta\n+\tb\n_m\n.\n", "_error_syntax_list_append", 12},
		{":_length\t1x\n\n_m\na\n.\n", "_error_invalid_length", 0},
		{":_length\t\n\n_m\na\n.\n", "_error_invalid_length", 0},
		{"=_length\t1\n\n_m\na\n.\n", "_error_invalid_length", 0},
		{":_length\t1\n:_length\t1\n\n_m\na\n.\n", "_error_invalid_length", 11},
		{":_length\t99999999999999999999\n\n_m\na\n.\n", "_error_invalid_length", 0},
		{":_length\t1\n\n_m\nab\n.\n", "_error_invalid_length", 16},
		{":_length\t3\n\n_m\nab\n.\n", "_error_invalid_length", 18},
		{":_" + strings.Repeat("x", maxName) + "\ty\n.\n", "_error_name_too_large", 0},
		{"_" + strings.Repeat("x", maxName) + "\n.\n", "_error_name_too_large", 0},
		{strings.Repeat(":_a\tb\n", defaultVars+1) + ".\n", "_error_header_too_large", defaultVars * 6},
		{strings.Repeat(":_INTERNAL\tb\n", defaultVars+1) + ".\n", "_error_header_too_large", defaultVars * 13},
		{"\n:_l\ta\n" + strings.Repeat(":\tb\n", defaultList) + ".\n", "_error_list_too_large", 8 + (defaultList-1)*4 - 1},
	} {
		var p Packet
		n, err := p.Parse([]byte(tt.in), PSYC09)
		var e *Error
		if n != 0 || !errors.As(err, &e) || e.Method != tt.method || e.Offset != tt.offset {
			t.Errorf("%.40q: %d, %v at %d, want %s at %d", tt.in, n, err, e.Offset, tt.method, tt.offset)
		}
		if strings.HasSuffix(tt.method, "_too_large") && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%.40q: %v is not ErrTooLarge", tt.in, err)
		}
	}
}

// TestCRLF09 reads circuits that the first line has made CR LF, and some that it has not.
func TestCRLF09(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []Packet
		err      string
	}{
		{"all lines", ".\r\n:_tag\tx\r\n\r\n:_d\ta\r\n\tb\r\n_m\r\none\r\ntwo\r\n.\r\n", []Packet{{}, {
			Routing: Vars{{Set, "_tag", Value("x")}}, Entity: Vars{{Set, "_d", Value("a\nb")}},
			Method: "_m", Body: []byte("one\ntwo"),
		}}, ""},
		{"empty first body line", ".\r\n\r\n_m\r\n\r\nx\r\n.\r\n", []Packet{{}, {Method: "_m", Body: []byte("\nx")}}, ""},
		{"no body", ".\r\n\r\n_m\r\n.\r\n", []Packet{{}, {Method: "_m"}}, ""},
		{"length", ".\r\n:_length\t5\r\n\r\n_m\r\n\r\n.\r\n\r\n.\r\n", []Packet{{}, {Method: "_m", Body: []byte("\r\n.\r\n")}}, ""},
		{"LF is data", ".\r\n\r\n:_a\tb\n.\n\r\n_m\r\nx\n.\n:_source\tx\n.\r\ny\r\n.\r\n", []Packet{{}, {
			Entity: Vars{{Set, "_a", Value("b\n.\n")}}, Method: "_m", Body: []byte("x\n.\n:_source\tx\n.\ny"),
		}}, ""},
		{"LF header", ".\n:_tag\tx\r\n\r\n_m\r\n.\r\n", []Packet{{}}, "_error_invalid_method_compact"},
		{"LF in front", ".\r\n\n_m\r\n.\r\n", []Packet{{}}, "_error_invalid_method_compact"},
		{"not a greeting", "\r\n.\r\n", nil, "_error_invalid_method_compact"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecoder(strings.NewReader(tt.in))
			d.Syntax = PSYC09
			got, err := readAll(d)
			if tt.err == "" && err != nil || tt.err != "" && !errors.Is(err, &Error{Method: tt.err}) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("%d packets, want %d", len(got), len(tt.want))
			}
			for i := range got {
				if !got[i].Equal(&tt.want[i]) {
					t.Errorf("packet %d: %+v, want %+v", i, got[i], tt.want[i])
				}
			}
		})
	}
}

// foreign is what stands in the transcripts beside packets in 0.9: another protocol, or input that the session broke on
// purpose.
var foreign = []string{
	"<?xml", "<stream:stream", "GET / HTTP", "hello\n", "|\n", ".\r\n", "_failure_broken_parser\r\n", "\nmp\n", "\n!_foo",
	"\n_request-version!\n",
}

// TestTranscripts09 reads all that a psyced and its peers sent each other in 0.9, packet by packet, and writes every
// packet again: to the same bytes wherever psyced's own way of writing shows.
func TestTranscripts09(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(shared.Dir(t), "transcripts", "psyced", "*.bin"))
	if err != nil || len(names) == 0 {
		t.Skipf("no transcripts: %v", err)
	}
	packets, same := 0, 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "telnet") || strings.Contains(name, "-c2s-") {
			continue
		}
		fromPsyced := strings.Contains(name, "s2c")
		for len(b) > 0 {
			var p Packet
			n, err := p.Parse(b, PSYC09)
			if err != nil {
				n = len(b)
				if k := bytes.Index(b, delimiter09); k >= 0 {
					n = k + len(delimiter09)
				}
				if !slices.ContainsFunc(foreign, func(s string) bool { return bytes.Contains(b[:n], []byte(s)) }) {
					t.Errorf("%s: %v in %q", filepath.Base(name), err, b[:n])
				}
				b = b[n:]
				continue
			}
			packets++
			out, err := p.Append(nil, PSYC09)
			switch {
			case err == nil && bytes.Equal(out, b[:n]):
				same++
			case fromPsyced && !bytes.HasPrefix(b[:n], []byte(":_host\t")): // an error without its blank line
				t.Errorf("%s: %q written as %q, %v", filepath.Base(name), b[:n], out, err)
			}
			b = b[n:]
		}
	}
	if packets < 480 || same < packets*97/100 {
		t.Errorf("%d packets, %d written to the same bytes", packets, same)
	}
}
