package psyc

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestStreamedBody(t *testing.T) {
	text := strings.Repeat("0123456789|\n", 100_000)
	var wire bytes.Buffer
	e := NewEncoder(&wire)
	p := &Packet{Routing: Vars{{Set, "_tag", Value("7")}}, Entity: Vars{{Set, "_name", Value("a file with a name")}}, Method: "_data"}
	for range 2 {
		if err := e.EncodeBody(p, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Encode(&Packet{}); err != nil {
		t.Fatal(err)
	}
	held := p.Clone()
	held.Body = []byte(text)
	if want, _ := held.Append(nil, PSYC10); !bytes.HasPrefix(wire.Bytes(), want) {
		t.Error("EncodeBody and Append write different things")
	}
	for _, read := range []int64{0, 5, int64(len(text)), -1} {
		d := NewDecoder(bytes.NewReader(wire.Bytes()))
		d.Syntax = PSYC10
		n := 0
		for q, err := range d.Packets() {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 3 {
				break
			}
			if q.Size != int64(len(text)) || q.Body != nil || q.Method != "_data" || q.Routing.Get("_tag").String() != "7" {
				t.Fatalf("packet %+v", q)
			}
			var r io.Reader = d.Body()
			if read >= 0 {
				r = io.LimitReader(r, read)
			}
			got, err := io.ReadAll(r)
			if err != nil || !strings.HasPrefix(text, string(got)) || read < 0 && len(got) != len(text) {
				t.Fatalf("body of %d bytes, %v", len(got), err)
			}
			if q.Routing.Get("_tag").String() != "7" || q.Entity.Get("_name").String() != "a file with a name" {
				t.Fatalf("the body went through the header: %+v", q)
			}
		}
		if n != 3 {
			t.Errorf("%d packets", n)
		}
		if len(d.buf) > usualBuffer {
			t.Errorf("buffer of %d bytes", len(d.buf))
		}
	}
	for _, in := range []string{"1004\n_m\n" + strings.Repeat("x", 1000) + "x|\n", "1004\n_m\n" + strings.Repeat("x", 1000) + "\n||"} {
		d := NewDecoder(strings.NewReader(in))
		d.Syntax, d.Limits.Body = PSYC10, 10
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(d.Body()); !errors.Is(err, &Error{Method: "_error_invalid_syntax_delimiter"}) {
			t.Errorf("%v", err)
		}
		if _, err := d.Next(); !errors.Is(err, &Error{Method: "_error_invalid_syntax_delimiter"}) {
			t.Errorf("then %v", err)
		}
	}
	for _, cut := range []int{10, 500, 1008, 1009} {
		in := "1004\n_m\n" + strings.Repeat("x", 1000) + "\n|\n"
		d := NewDecoder(strings.NewReader(in[:cut]))
		d.Syntax, d.Limits.Body = PSYC10, 10
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(d.Body()); err != io.ErrUnexpectedEOF {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// TestShortStreamedBody writes bodies that would need no length if they were at hand.
func TestShortStreamedBody(t *testing.T) {
	for _, lengths := range []Lengths{LengthsAuto, LengthsAlways, LengthsNeeded} {
		for _, text := range []string{"x", "|", "a\n|\nb", "0123456789"} {
			var wire bytes.Buffer
			e := NewEncoder(&wire)
			e.Lengths = lengths
			want := &Packet{Method: "_data", Body: []byte(text)}
			if err := e.EncodeBody(&Packet{Method: "_data"}, int64(len(text)), strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			d := NewDecoder(&wire)
			d.Syntax = PSYC10
			if p, err := d.Next(); err != nil || !p.Equal(want) {
				t.Errorf("%v, %q: %+v, %v", lengths, text, p, err)
			}
		}
	}
}

func TestEncodeBodyErrors(t *testing.T) {
	p := &Packet{Method: "_data"}
	for _, e := range []*Encoder{{Renderer: Renderer{Syntax: PSYC09}}, {Renderer: Renderer{Opaque: true}}} {
		e.w = io.Discard
		if err := e.EncodeBody(p, 1, strings.NewReader("x")); !errors.Is(err, ErrNotRepresentable) {
			t.Errorf("%+v: %v", e.Renderer, err)
		}
	}
	e := NewEncoder(io.Discard)
	if err := e.EncodeBody(p, 2, strings.NewReader("x")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short body: %v", err)
	}
	if err := e.EncodeBody(p, 2, iotest.ErrReader(errDeadline)); !errors.Is(err, errDeadline) {
		t.Errorf("broken body: %v", err)
	}
	for _, syn := range []Syntax{PSYC10, PSYC09} {
		if out, err := (&Packet{Method: "_data", Size: 5}).Append([]byte("x"), syn); !errors.Is(err, ErrNotRepresentable) || string(out) != "x" {
			t.Errorf("body that is not there in %v: %q, %v", syn, out, err)
		}
	}
	if err := e.Encode(&Packet{Method: "_data", Size: 5}); !errors.Is(err, ErrNotRepresentable) {
		t.Errorf("body elsewhere: %v", err)
	}
	var wire bytes.Buffer
	if err := NewEncoder(&wire).EncodeBody(&Packet{Method: "_data", Size: 5}, 0, nil); err != nil || wire.String() != "\n_data\n|\n" {
		t.Errorf("empty body: %q, %v", &wire, err)
	}
}
