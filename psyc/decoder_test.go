package psyc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// chunks is a reader that returns its elements one by one; a nil element is an exceeded deadline.
type chunks [][]byte

func (c *chunks) Read(p []byte) (int, error) {
	if len(*c) == 0 {
		return 0, io.EOF
	}
	if (*c)[0] == nil {
		*c = (*c)[1:]
		return 0, errDeadline
	}
	n := copy(p, (*c)[0])
	if (*c)[0] = (*c)[0][n:]; len((*c)[0]) == 0 {
		*c = (*c)[1:]
	}
	return n, nil
}

var errDeadline = errors.New("deadline exceeded")

// reading is all that a decoder made of a stream, as text.
func reading(d *Decoder) string {
	var b strings.Builder
	for p, err := range d.Packets() {
		if err != nil {
			fmt.Fprintf(&b, "%v", err)
			break
		}
		fmt.Fprintf(&b, "%+v", *p)
		if p.Size > 0 {
			body, err := io.ReadAll(d.Body())
			fmt.Fprintf(&b, "%q %v", body, err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// streams are inputs of both syntaxes, whole, broken and unfinished.
func streams(t testing.TB) map[Syntax][][]byte {
	out := map[Syntax][][]byte{PSYC10: {
		[]byte(":_tag\tx\n\n:_a\tb\n_m\n|\n:_tag_relay\ty\n\n:_a_b 1\tc\n_m_n\n|\n:_ta\tx\n\n:_a 1\tb\n_m\nhi\n|\n:_tag\tx\n\n_\n|\n"),
	}}
	for _, v := range readVectors[packetVector](t, "packets.jsonl") {
		if v.Mode == "" {
			out[PSYC10] = append(out[PSYC10], v.Input)
		}
	}
	for _, s := range streams09 {
		out[PSYC09] = append(out[PSYC09], []byte(s))
	}
	return out
}

var streams09 = []string{
	".\n:_source\tpsyc://n.example/~ada\n:_target\tpsyc://s.example/~bea\n:_tag\tx7\n\n:_nick\tAda\n" +
		":_list_x\ta\n\tb\n:\tpsyc://n.example/\n:_d\tone\n\ttwo\n_message_private\n.hi\n..\nthere\n\n.\n.\n\n_m\n.\n",
	".\r\n:_tag\tx\r\n\r\n:_list_x\ta\r\n:\tb\r\n_m\r\n\r\none\r\ntwo\n.\n\r\n.\r\n.\r\n\r\n_m\r\n.\r\n",
	".\n:_length\t6\n\n_m\na\n.\nb\n\n.\n.\n",
	":_length\t0\n\n_m\n.\n:_length\t0\n\n_m\n\n.\n",
	"\n_error_syntax_initialization\ntext\n.\n",
	".\n\n:_foo\n.\n",
	".\n:_source\tpsyc://n.example/~ada\n\n_mess",
	".\n:_length\t6\n\n_m\nab\n.\n",
	"<?xml?>",
}

// TestSplits reads every stream in two pieces cut anywhere, byte by byte, with deadlines between the bytes, and with
// bodies of more than three bytes streamed.
func TestSplits(t *testing.T) {
	for syn, inputs := range streams(t) {
		for _, in := range inputs {
			for _, limits := range []Limits{{}, {Body: 3}, {Packet: 40, Body: 10}} {
				for _, routingOnly := range []bool{false, true} {
					decoder := func(r io.Reader) *Decoder {
						d := NewDecoder(r)
						d.Syntax, d.Limits, d.RoutingOnly = syn, limits, routingOnly
						return d
					}
					want := reading(decoder(bytes.NewReader(in)))
					if got := reading(decoder(iotest.OneByteReader(bytes.NewReader(in)))); got != want {
						t.Fatalf("%q, %+v, byte by byte: %s\nwant %s", in, limits, got, want)
					}
					if got := reading(decoder(iotest.DataErrReader(bytes.NewReader(in)))); got != want {
						t.Fatalf("%q, %+v, last bytes with EOF: %s\nwant %s", in, limits, got, want)
					}
					if len(in) > 300 {
						continue
					}
					for i := range in {
						r := chunks{in[:i:i], in[i:]}
						if i == 0 {
							r = r[1:]
						}
						if got := reading(decoder(&r)); got != want {
							t.Fatalf("%q, %+v, cut at %d: %s\nwant %s", in, limits, i, got, want)
						}
					}
				}
			}
		}
	}
}

// TestStreamingVectors feeds the chunks that libpsyc was fed.
func TestStreamingVectors(t *testing.T) {
	type vector struct {
		Name, Mode string
		Chunks     []goBytes
	}
	for _, v := range readVectors[vector](t, "streaming.jsonl") {
		var r chunks
		var whole []byte
		for _, c := range v.Chunks {
			if c != "" {
				r = append(r, []byte(c))
				whole = append(whole, c...)
			}
		}
		a, b := NewDecoder(&r), NewDecoder(bytes.NewReader(whole))
		a.Syntax, a.RoutingOnly = PSYC10, v.Mode == "routing"
		b.Syntax, b.RoutingOnly = a.Syntax, a.RoutingOnly
		if got, want := reading(a), reading(b); got != want {
			t.Errorf("%s: %s\nwant %s", v.Name, got, want)
		}
	}
}

func TestDeadline(t *testing.T) {
	in := []byte(":_tag\tx\n40\n_message\nline one\n|\nline two, and so on\n|\n|\n")
	want := reading(NewDecoder(bytes.NewReader(in)))
	if !strings.Contains(want, "_message") {
		t.Fatal(want)
	}
	for _, body := range []int{0, 3} {
		var r chunks
		for i := range in {
			r = append(r, nil, in[i:i+1:i+1])
		}
		d := NewDecoder(&r)
		d.Syntax, d.Limits.Body = PSYC10, body
		packets := 0
		for {
			p, err := d.Next()
			if errors.Is(err, errDeadline) {
				continue
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			packets++
			if p.Size > 0 {
				var text []byte
				for buf := make([]byte, 2); ; {
					n, err := d.Body().Read(buf)
					text = append(text, buf[:n]...)
					if err == io.EOF {
						break
					} else if err != nil && !errors.Is(err, errDeadline) {
						t.Fatal(err)
					}
				}
				if int64(len(text)) != p.Size || !bytes.Contains(in, text) {
					t.Errorf("body %q of %d", text, p.Size)
				}
			}
		}
		if packets != 2 {
			t.Errorf("%d packets", packets)
		}
	}
}

func TestAuto(t *testing.T) {
	for _, tt := range []struct {
		in   string
		syn  Syntax
		n    int
		err  error
		text string
	}{
		{"|\n\n_m\nhi\n|\n", PSYC10, 2, nil, ""},
		{".\n\n_m\nhi\n.\n", PSYC09, 2, nil, ""},
		{".\r\n\r\n_m\r\nhi\r\n.\r\n", PSYC09, 2, nil, ""},
		{":_tag\tx\n\n_m\nhi\n|\n", PSYC10, 1, nil, ""},
		{":_tag\tx\n\n_m\nhi\n.\n", PSYC09, 1, nil, ""},
		{"5\n_m\n.\n|\n", PSYC10, 1, nil, ""},
		{"", Auto, 0, nil, ""},
		{":_tag\tx\n\n_m\nhi\n", Auto, 0, io.ErrUnexpectedEOF, ""},
		{"|", Auto, 0, io.ErrUnexpectedEOF, ""},
	} {
		d := NewDecoder(iotest.OneByteReader(strings.NewReader(tt.in)))
		got, err := readAll(d)
		if err != tt.err || len(got) != tt.n || d.Syntax != tt.syn {
			t.Errorf("%q: %d packets in %v, %v; want %d in %v, %v", tt.in, len(got), d.Syntax, err, tt.n, tt.syn, tt.err)
		}
		var p Packet
		n, err := p.Parse([]byte(tt.in), Auto)
		if tt.n > 0 != (err == nil) || tt.n == 1 && n != len(tt.in) || tt.n == 0 && err != ErrIncomplete {
			if !strings.Contains(tt.in, "\r") {
				t.Errorf("Parse %q: %d, %v", tt.in, n, err)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	header := func(n int) string { return "\n" + strings.Repeat(":_a\tb\n", n) + "|\n" }
	for _, tt := range []struct {
		name   string
		limits Limits
		in     string
		method string
	}{
		{"variables", Limits{Vars: 3}, header(3), ""},
		{"a variable too many", Limits{Vars: 3}, header(4), "_error_header_too_large"},
		{"packet", Limits{Packet: 20}, "\n_m\n" + strings.Repeat("x", 13) + "\n|\n", ""},
		{"a byte too many", Limits{Packet: 20}, "\n_m\n" + strings.Repeat("x", 14) + "\n|\n", "_error_packet_too_large"},
		{"no end", Limits{Packet: 20}, "\n_m\n" + strings.Repeat("x", 100), "_error_packet_too_large"},
		{"second packet", Limits{Packet: 20}, "|\n\n_m\n" + strings.Repeat("x", 14) + "\n|\n", "_error_packet_too_large"},
		{"no greeting", Limits{Packet: 20}, strings.Repeat("x", 100), "_error_packet_too_large"},
		{"counted value", Limits{Packet: 20}, "\n:_a 1000\t" + strings.Repeat("x", 1000) + "\n|\n", "_error_packet_too_large"},
		{"no end at the limit", Limits{Packet: 20}, "\n_m\n" + strings.Repeat("x", 16), "_error_packet_too_large"},
		{"streamed", Limits{Packet: 20, Body: 10}, "1004\n_m\n" + strings.Repeat("x", 1000) + "\n|\n", ""},
		{"not streamed", Limits{Packet: 20, Body: -1}, "1004\n_m\n" + strings.Repeat("x", 1000) + "\n|\n", "_error_packet_too_large"},
		{"name", Limits{}, ":_" + strings.Repeat("x", maxName) + "\ty\n|\n", "_error_name_too_large"},
		{"method", Limits{}, "\n_" + strings.Repeat("x", maxName) + "\n|\n", "_error_name_too_large"},
		{"digits", Limits{}, strings.Repeat("0", maxDigits+1) + "\n|\n", "_error_invalid_syntax_length"},
		{"internal variables of two packets", Limits{Vars: 3}, strings.Repeat("\n:_INTERNAL_x\ty\n:_INTERNAL_y\ty\n|\n", 3), ""},
		{"internal variables", Limits{Vars: 3}, "\n" + strings.Repeat(":_INTERNAL_x\ty\n", 4) + "|\n", "_error_header_too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecoder(strings.NewReader(tt.in))
			if d.Limits = tt.limits; tt.name != "no greeting" {
				d.Syntax = PSYC10
			}
			_, err := readAll(d)
			var e *Error
			switch {
			case tt.method == "":
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			case !errors.As(err, &e) || e.Method != tt.method:
				t.Errorf("error %v, want %s", err, tt.method)
			case errors.Is(err, ErrTooLarge) != strings.HasSuffix(tt.method, "too_large"):
				t.Errorf("%v and ErrTooLarge", err)
			}
			if _, again := d.Next(); err != nil && again != err {
				t.Errorf("then %v", again)
			}
		})
	}
}

// TestLongStream moves the read buffer in the middle of packets.
func TestLongStream(t *testing.T) {
	for _, syn := range []Syntax{PSYC10, PSYC09} {
		var wire bytes.Buffer
		var want strings.Builder
		e := NewEncoder(&wire)
		e.Syntax, e.Lengths = syn, LengthsNeeded
		for i := range 400 {
			body := strings.Repeat(fmt.Sprintf("this is number %d\n", i), i*7%200)
			p := &Packet{Method: "_message_private", Body: []byte(body)}
			p.Routing.Set("_tag", fmt.Sprint("tag", i))
			p.Entity.Set("_nick", fmt.Sprint("nick", i))
			p.Entity.Set("_list_x", string(AppendList(nil, "", Element{Value: fmt.Append(nil, "e", i)}, Element{Value: Value("x")})))
			if err := e.Encode(p); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&want, "%+v\n", *p)
		}
		d := NewDecoder(iotest.OneByteReader(&wire))
		d.Syntax = syn
		if got := reading(d); got != want.String() {
			t.Errorf("%v: read something else", syn)
		}
		if len(d.buf) > 2*firstBuffer {
			t.Errorf("%v: buffer of %d bytes", syn, len(d.buf))
		}
	}
}

// TestMemory gives back what large packets took.
func TestMemory(t *testing.T) {
	large := &Packet{Method: "_m", Body: bytes.Repeat([]byte("x"), 4*keepBuffer)}
	wire, err := large.Append(nil, PSYC10)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(io.MultiReader(bytes.NewReader(wire), strings.NewReader("|\n")))
	d.Syntax, d.Limits = PSYC10, Limits{Body: -1, Packet: 8 * keepBuffer}
	for range 2 {
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.buf) > keepBuffer {
		t.Errorf("read buffer of %d bytes", len(d.buf))
	}
	e := NewEncoder(io.Discard)
	for _, p := range []*Packet{large, {}} {
		if err := e.Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	if cap(e.buf) > keepBuffer {
		t.Errorf("write buffer of %d bytes", cap(e.buf))
	}
}

// once returns all bytes together with an error, then EOF.
type once struct{ b []byte }

func (o *once) Read(p []byte) (n int, err error) {
	if len(o.b) == 0 {
		return 0, io.EOF
	}
	n = copy(p, o.b)
	o.b = nil
	return n, errDeadline
}

func TestErrorWithBytes(t *testing.T) {
	d := NewDecoder(&once{[]byte("|\n|")})
	d.Syntax = PSYC10
	if _, err := d.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Next(); !errors.Is(err, errDeadline) {
		t.Errorf("%v, want the error that came with the bytes", err)
	}
	if _, err := d.Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("%v, want unexpected EOF", err)
	}
}

func TestBuffered(t *testing.T) {
	d := NewDecoder(strings.NewReader("|\n\n_m\n|\n<stream>"))
	d.Syntax = PSYC10
	for range 2 {
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(d.Buffered()); got != "<stream>" {
		t.Errorf("buffered %q", got)
	}
}

func TestPacketsGoOn(t *testing.T) {
	d := NewDecoder(strings.NewReader("|\n\n_a\n|\n\n_b\n|\n"))
	var methods []string
	for range 3 {
		for p, err := range d.Packets() {
			if err != nil {
				t.Fatal(err)
			}
			methods = append(methods, p.Method)
			break
		}
	}
	if got := strings.Join(methods, ","); got != ",_a,_b" {
		t.Errorf("methods %q", got)
	}
}

func TestLooseLength(t *testing.T) {
	for _, in := range []string{"999\n:_a\tb\n|\n", "1\n:_a\tb\n|\n"} {
		for _, loose := range []bool{false, true} {
			d := NewDecoder(strings.NewReader(in))
			d.Syntax, d.LooseLength = PSYC10, loose
			if _, err := d.Next(); (err == nil) != loose {
				t.Errorf("%q, loose %v: %v", in, loose, err)
			}
		}
	}
}

func TestNoProgress(t *testing.T) {
	d := NewDecoder(&stuck{})
	d.Syntax = PSYC10
	if _, err := d.Next(); err != io.ErrNoProgress {
		t.Errorf("%v", err)
	}
}

// stuck is a reader that never returns anything.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }
