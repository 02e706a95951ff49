package psyc

import (
	"io"
	"strconv"
	"strings"
	"testing"
)

// samples are packets of the kinds that circuits carry most, and large ones, as this package writes them.
var samples = func() []sample {
	header := ":_source\tpsyc://north.example/~ada\n:_target\tpsyc://south.example/~bea\n"
	blob := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * 7)
		}
		return string(b)
	}
	counted := func(routing, content string) string {
		return routing + strconv.Itoa(len(content)) + "\n" + content + "|\n"
	}
	return []sample{
		{"presence", ":_context\tpsyc://north.example/~ada\n\n=_degree_availability\t7\n_notice_presence\n|\n"},
		{"chat", counted(header, ":_nick\tAda\n_message_private\nhi there Bea\n")},
		{"activity", counted(":_context\tpsyc://north.example/~ada#_follow\n",
			":_subject 14\tseven bridges!\n:_page 22\thttp://ada.example/7/b\n_notice_follow\nread\n")},
		{"profile", counted(header,
			":_name 11\tAda Lovelac\n:_address_city\tTurin\n:_page 18\thttp://ada.example\n:_language\ten\n:_color\t#99ccff\n_status_person\n")},
		{"delimiters", counted(header, "_message_private\n"+strings.Repeat("a line\n|\n", 18)+"the end\n")},
		{"binary 7 kB", counted(header, "_data\n"+blob(7000)+"\n")},
		{"binary 700 kB", counted(header, "_data\n"+blob(700_000)+"\n")},
	}
}()

type sample struct{ name, wire string }

func TestSamples(t *testing.T) {
	for _, s := range samples {
		var p Packet
		n, err := p.Parse([]byte(s.wire), PSYC10)
		if err != nil || n != len(s.wire) {
			t.Fatalf("%s: %d of %d, %v", s.name, n, len(s.wire), err)
		}
		if out, err := p.Append(nil, PSYC10); err != nil || string(out) != s.wire {
			t.Errorf("%s: written as %.300q, %v\nwant %.300q", s.name, out, err, s.wire)
		}
	}
}

func noAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

func TestAllocs(t *testing.T) {
	for _, s := range samples {
		b := []byte(s.wire)
		var p Packet
		noAllocs(t, "parse "+s.name, func() {
			if _, err := p.Parse(b, PSYC10); err != nil {
				t.Fatal(err)
			}
		})
		parser := Parser{Syntax: PSYC10}
		noAllocs(t, "parse on "+s.name, func() {
			if _, err := parser.Parse(&p, b); err != nil {
				t.Fatal(err)
			}
		})
		var out []byte
		noAllocs(t, "render "+s.name, func() {
			var err error
			if out, err = p.Append(out[:0], PSYC10); err != nil {
				t.Fatal(err)
			}
		})
	}
	// A stream of different packets with names that nobody has heard of, in both syntaxes.
	for syn, unit := range map[Syntax]string{
		PSYC10: ":_tag\tx\n\n:_a_name\t1\n_message_private\nhi\n|\n\n:_other_name\t1\n_strange_method\nhi\n|\n|\n",
		PSYC09: ":_tag\tx\n\n:_a_name\t1\n\t2\n_message_private\nhi\n.\n\n:_list_name\t1\n:\t2\n_strange_method\nhi\n.\n.\n",
	} {
		d := NewDecoder(repeat(unit, 1000))
		d.Syntax = syn
		e := NewEncoder(io.Discard)
		e.Syntax = syn
		noAllocs(t, "stream in "+syn.String(), func() {
			p, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Encode(p); err != nil {
				t.Fatal(err)
			}
		})
	}
	values := []Value{Value("| ada|10 1234567890|=_nick bea"), Value("{ada} 1{2 {}}=_nick y")}
	noAllocs(t, "values", func() {
		for _, err := range values[0].List() {
			if err != nil {
				t.Fatal(err)
			}
		}
		for e, err := range values[1].Dict() {
			if err != nil || e.Key == nil {
				t.Fatal(err)
			}
		}
	})
	noAllocs(t, "keywords", func() {
		if !Matches("_failure_total_delivery_bounce", "_failure_bounce") || !Inherits("_failure_x", "_failure") {
			t.Fatal("no match")
		}
		if m, _ := LookupMethod("_notice_context_enter_x"); m.Family != "_notice" {
			t.Fatal(m)
		}
	})
}

// repeat is unit n times over, without holding it.
func repeat(unit string, n int) io.Reader {
	r := make([]io.Reader, n)
	for i := range r {
		r[i] = strings.NewReader(unit)
	}
	return io.MultiReader(r...)
}

// BenchmarkParse has the packets with a Parser of their own, which is how streams are read; BenchmarkPacketParse knows
// nothing of the packet before but what the Packet itself still holds.
func BenchmarkParse(b *testing.B) {
	for _, s := range samples {
		b.Run(s.name, func(b *testing.B) {
			in := []byte(s.wire)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			parser := Parser{Syntax: PSYC10}
			var p Packet
			for b.Loop() {
				if _, err := parser.Parse(&p, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPacketParse(b *testing.B) {
	for _, s := range samples {
		b.Run(s.name, func(b *testing.B) {
			in := []byte(s.wire)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var p Packet
			for b.Loop() {
				if _, err := p.Parse(in, PSYC10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRender starts from names and values, checks them, and decides which lengths there are. The same work in
// libpsyc is psyc_modifier_init for each variable, psyc_packet_init and psyc_render, without the checks of names and
// routing values; psyc_render alone is given all lengths and flags ready made.
func BenchmarkRender(b *testing.B) {
	for _, s := range samples {
		b.Run(s.name, func(b *testing.B) {
			var p Packet
			if _, err := p.Parse([]byte(s.wire), PSYC10); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(s.wire)))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				var err error
				if out, err = p.Append(out[:0], PSYC10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// samples09 are a chat and a list of members in the older syntax.
var samples09 = []sample{
	{"chat", ":_source\tpsyc://north.example/~ada\n:_target\tpsyc://south.example/~bea\n\n:_nick\tAda\n_message_private\nhi there\n.\n"},
	{"members", ":_source\tpsyc://north.example/@hall\n:_target\tpsyc://south.example/~bea\n\n:_list_members\tpsyc://north.example/~ada\n" +
		strings.Repeat(":\tpsyc://south.example/~bea\n", 50) + "_echo_place_enter\n[_nick] enters [_nick_place].\n.\n"},
}

func BenchmarkParse09(b *testing.B) {
	for _, s := range samples09 {
		b.Run(s.name, func(b *testing.B) {
			d := NewDecoder(&endless{wire: []byte(s.wire)})
			d.Syntax = PSYC09
			b.SetBytes(int64(len(s.wire)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRender09(b *testing.B) {
	for _, s := range samples09 {
		b.Run(s.name, func(b *testing.B) {
			var p Packet
			if _, err := p.Parse([]byte(s.wire), PSYC09); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(s.wire)))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				var err error
				if out, err = p.Append(out[:0], PSYC09); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecoder reads chats from a stream.
func BenchmarkDecoder(b *testing.B) {
	s := samples[1]
	d := NewDecoder(&endless{wire: []byte(s.wire)})
	d.Syntax = PSYC10
	b.SetBytes(int64(len(s.wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// endless is a stream of one packet over and over.
type endless struct {
	wire []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.wire[e.at:])
		n += k
		e.at = (e.at + k) % len(e.wire)
	}
	return n, nil
}
