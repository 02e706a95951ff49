package psyc

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func FuzzParse10(f *testing.F) {
	for _, in := range streams(f)[PSYC10] {
		f.Add(in, false)
	}
	f.Fuzz(func(t *testing.T, in []byte, routingOnly bool) {
		fuzzParse(t, in, PSYC10, routingOnly)
	})
}

func FuzzParse09(f *testing.F) {
	for _, in := range streams09 {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		fuzzParse(t, in, PSYC09, false)
	})
}

// fuzzParse reads in whole and byte by byte, and writes and reads again what came out.
func fuzzParse(t *testing.T, in []byte, syn Syntax, routingOnly bool) {
	decoder := func(r io.Reader) *Decoder {
		d := NewDecoder(r)
		d.Syntax, d.RoutingOnly, d.Limits.Body = syn, routingOnly, 20
		return d
	}
	want := reading(decoder(bytes.NewReader(in)))
	if got := reading(decoder(iotest.OneByteReader(bytes.NewReader(in)))); got != want {
		t.Fatalf("%q byte by byte: %s\nwant %s", in, got, want)
	}
	d := decoder(bytes.NewReader(in))
	d.Limits.Body = -1
	packets, err := readAll(d)
	var e *Error
	if err != nil && err != io.ErrUnexpectedEOF && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(in))) {
		t.Fatalf("%q: %v", in, err)
	}
	for _, p := range packets {
		for _, s := range []Syntax{PSYC10, PSYC09} {
			r := Renderer{Syntax: s, Opaque: routingOnly, Exact: true, Line: -1}
			again(t, &r, p)
		}
		if routingOnly {
			if opaque := p.Clone(); p.ParseContent() == nil {
				r := Renderer{Syntax: PSYC10}
				again(t, &r, p)
			} else if !p.Equal(opaque) {
				t.Fatalf("%+v changed by a failed ParseContent to %+v", opaque, p)
			}
		}
	}
}

// again writes p, and if that can be done reads it and compares.
func again(t *testing.T, r *Renderer, p *Packet) {
	out, err := r.Append(nil, p)
	if err != nil {
		if !errors.Is(err, ErrNotRepresentable) || len(out) > 0 {
			t.Fatalf("%+v written as %q, %v", p, out, err)
		}
		return
	}
	d := NewDecoder(bytes.NewReader(out))
	d.Syntax, d.RoutingOnly, d.Limits.Body = r.Syntax, r.Opaque, -1
	q, err := d.Next()
	if err != nil || len(d.Buffered()) > 0 {
		t.Fatalf("%+v written as %q: %v, %d bytes left", p, out, err, len(d.Buffered()))
	}
	if p = comparable09(p, r.Syntax); !q.Equal(p) {
		t.Fatalf("%+v written as %q, read as %+v", p, out, q)
	}
	if twice, err := r.Append(nil, q); err != nil || !bytes.Equal(out, twice) {
		t.Fatalf("%q written again as %q, %v", out, twice, err)
	}
}

// comparable09 returns p as it comes back: without internal variables, and, in 0.9, with its lists in canonical form.
func comparable09(p *Packet, syn Syntax) *Packet {
	p = p.Clone()
	for _, header := range []*Vars{&p.Routing, &p.Entity} {
		var kept Vars
		for _, v := range *header {
			if internal(v.Name) {
				continue
			}
			if syn == PSYC09 && Inherits(v.Name, "_list") {
				var elems []Element
				for e := range v.Value.List() {
					elems = append(elems, e)
				}
				v.Value = AppendList(nil, "", elems...)
			}
			kept = append(kept, v)
		}
		*header = kept
	}
	return p
}

func FuzzRoundTrip10(f *testing.F) {
	f.Add([]byte(":_source\tpsyc://n.example/\n"), byte('='), byte(':'), "_a", []byte("v\n|\n"), "_list_x", []byte("| a"), "_m", []byte("|\n"))
	fuzzRoundTrip(f, PSYC10)
}

func FuzzRoundTrip09(f *testing.F) {
	f.Add([]byte("psyc://n.example/"), byte(0), byte(':'), "_a", []byte("one\n\ntwo\n"), "_list_x", []byte("| a|3 b\nc|"), "_m", []byte("\n.x\n\n"))
	f.Add([]byte("x"), byte(0), byte('+'), "_a", []byte(" x"), "_list", []byte("|"), "_data", []byte("."))
	fuzzRoundTrip(f, PSYC09)
}

// fuzzRoundTrip writes packets of any parts.
func fuzzRoundTrip(f *testing.F, syn Syntax) {
	f.Fuzz(func(t *testing.T, tag []byte, state, op byte, name string, value []byte, list string, elems []byte, method string, body []byte) {
		p := &Packet{
			Routing: Vars{{Op(op), "_tag", tag}, {Set, name, tag}},
			State:   StateOp(state),
			Entity:  Vars{{Set, name, value}, {Op(op), list, elems}, {Set, list, value}},
			Method:  method,
			Body:    body,
		}
		for _, lengths := range []Lengths{LengthsAuto, LengthsAlways, LengthsNeeded} {
			for _, exact := range []bool{false, true} {
				r := Renderer{Syntax: syn, Lengths: lengths, Exact: exact}
				for range 3 { // with fewer and fewer parts, so that one that is refused does not hide the others
					again(t, &r, p)
					p.Routing = p.Routing[:len(p.Routing)-min(1, len(p.Routing))]
					p.Entity = p.Entity[min(1, len(p.Entity)):]
				}
				p.Routing, p.Entity = p.Routing[:0], nil
				again(t, &r, p)
				p.State = 0
				again(t, &r, p)
				p.State = StateOp(state)
				p.Routing = Vars{{Op(op), "_tag", tag}, {Set, name, tag}}
				p.Entity = Vars{{Set, name, value}, {Op(op), list, elems}, {Set, list, value}}
			}
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, v := range readVectors[valueVector](f, "values.jsonl") {
		f.Add([]byte(v.Input))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v := Value(in)
		var elems []Element
		ok := true
		for e, err := range v.List() {
			if ok = err == nil; ok {
				elems = append(elems, e)
			}
		}
		if ok {
			out := Value(AppendList(nil, v.ItemType(), elems...))
			i := 0
			for e, err := range out.List() {
				if err != nil || e.Type != elems[i].Type || !bytes.Equal(e.Value, elems[i].Value) {
					t.Fatalf("%q, element %d of %q: %+v, %v", in, i, out, e, err)
				}
				i++
			}
			if i != len(elems) || out.ItemType() != v.ItemType() {
				t.Fatalf("%q written as %q", in, out)
			}
		}
		var entries []Entry
		ok = true
		for e, err := range v.Dict() {
			if ok = err == nil; ok {
				entries = append(entries, e)
			}
		}
		if ok {
			out := Value(AppendDict(nil, v.ItemType(), entries...))
			i := 0
			for e, err := range out.Dict() {
				if err != nil || !bytes.Equal(e.Key, entries[i].Key) || e.Type != entries[i].Type || !bytes.Equal(e.Value, entries[i].Value) {
					t.Fatalf("%q, entry %d of %q: %+v, %v", in, i, out, e, err)
				}
				i++
			}
			if i != len(entries) {
				t.Fatalf("%q written as %q", in, out)
			}
		}
		if u, err := v.Update(); err == nil {
			out := AppendUpdate(nil, u)
			if again, err := Value(out).Update(); err != nil || again.Op != u.Op || again.Type != u.Type || !bytes.Equal(again.Value, u.Value) {
				t.Fatalf("%q written as %q, read as %+v, %v", in, out, again, err)
			}
		}
		for _, err := range v.Index() {
			_ = err
		}
		if id, err := v.PacketID(); err == nil {
			if out, err := id.Append(nil); err != nil || !bytes.Equal(out, in) {
				t.Fatalf("%q written as %q, %v", in, out, err)
			}
		}
		v.Int()
		v.Degree()
		v.Flag()
		v.Date()
		v.Duration()
		v.Language()
		v.Page()
		v.Nick()
		v.Uniform()
		if c, err := v.Color(); err == nil && len(in) == len("#rrggbb") && !bytes.EqualFold(AppendColor(nil, c), in) {
			t.Fatalf("%q read as %v", in, c)
		}
		for _, err := range v.Struct(v) {
			_ = err
		}
		Expand(nil, string(in), func(name string) (Value, bool) { return Value(name), len(name)%2 == 0 })
	})
}
