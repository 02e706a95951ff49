package psyc

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestSimilarNames reads names that begin like those at the same place of the packet before.
func TestSimilarNames(t *testing.T) {
	names := []string{"_tag", "_tag_relay", "_ta", "_tag_relay_x", "_", "_tag", "tag", "9", "_TAG"}
	var wire []byte
	for _, name := range names {
		p := &Packet{Routing: Vars{{Set, name, Value("x")}}, Entity: Vars{{Set, name, Value("y")}}, Method: name, Body: []byte(name)}
		var err error
		if wire, err = p.Append(wire, PSYC10); err != nil {
			t.Fatal(err)
		}
	}
	d := NewDecoder(bytes.NewReader(wire))
	d.Syntax = PSYC10
	got, err := readAll(d)
	if err != nil || len(got) != len(names) {
		t.Fatalf("%d packets, %v", len(got), err)
	}
	for i, p := range got {
		if p.Routing[0].Name != names[i] || p.Entity[0].Name != names[i] || p.Method != names[i] {
			t.Errorf("%q read as %+v", names[i], p)
		}
	}
}

// TestIntern meets more names than are kept.
func TestIntern(t *testing.T) {
	var n names
	for range 2 {
		for i := range 1000 {
			for _, s := range []string{fmt.Sprint("_name_", i), fmt.Sprint("_", i), strings.Repeat("x", i%100)} {
				if got := n.intern([]byte(s)); got != s {
					t.Fatalf("%q interned as %q", s, got)
				}
			}
		}
	}
	for _, s := range wellKnown {
		if !isKeyword(s) || n.intern([]byte(s)) != s || (*names)(nil).intern([]byte(s)) != s {
			t.Errorf("%q", s)
		}
	}
}

// TestBorrowedAppend appends to values, which must not write into their neighbours.
func TestBorrowedAppend(t *testing.T) {
	for syn, in := range map[Syntax]string{
		PSYC10: ":_tag\tx\n\n:_a\tb\n:_b 1\tb\n_m\nbody\n|\n",
		PSYC09: ":_tag\tx\n\n:_a\tb\n:_b\tb\n\tc\n:_list_x\ta\n:\tb\n:_list_y\ta\n:\tb\n_m\nbody\n.\n",
	} {
		b := []byte(in)
		var p Packet
		parser := Parser{Syntax: syn}
		for range 2 { // the second time there is memory left
			if _, err := parser.Parse(&p, b); err != nil {
				t.Fatal(err)
			}
		}
		want := p.Clone()
		for _, vars := range []Vars{p.Routing, p.Entity} {
			for _, v := range vars {
				_ = append(v.Value, "######"...)
			}
		}
		_ = append(p.Body, "######"...)
		if string(b) != in || !p.Equal(want) {
			t.Errorf("%v: %q, %+v", syn, b, p)
		}
	}
}

// TestClone keeps packets beyond the buffer that they came in.
func TestClone(t *testing.T) {
	in := ":_tag\tx\n\n:_a\tone\n_m\nbody\n|\n"
	d := NewDecoder(strings.NewReader(in + strings.ReplaceAll(in, "o", "O")))
	d.Syntax = PSYC10
	p, err := d.Next()
	if err != nil {
		t.Fatal(err)
	}
	q := p.Clone()
	if !q.Equal(p) {
		t.Fatal("clone differs")
	}
	p.Routing[0].Value[0], p.Entity[0].Value[0], p.Body[0] = '#', '#', '#'
	_ = append(q.Routing[0].Value, "yyyyyy"...)
	if out, err := q.Append(nil, PSYC10); err != nil || string(out) != in {
		t.Errorf("clone is %q, %v", out, err)
	}
}

// TestParser feeds growing input to a Parser: in place, as the documentation asks, and moved, which begins anew.
func TestParser(t *testing.T) {
	for syn, inputs := range streams(t) {
		for _, in := range inputs {
			if bytes.HasPrefix(in, []byte(".\r\n")) { // line ends are a Decoder's affair
				continue
			}
			var want, whole Packet
			n, err := want.Parse(in, syn)
			s := Parser{Syntax: syn}
			if m, err2 := s.Parse(&whole, in); m != n || fmt.Sprint(err2) != fmt.Sprint(err) || err == nil && !whole.Equal(&want) {
				t.Fatalf("%q: %d, %v, %+v\nwant %d, %v, %+v", in, m, err2, whole, n, err, want)
			}
			for _, moved := range []bool{false, true} {
				var p Packet
				for i := 0; i <= len(in); i++ {
					part := in[:i:i]
					if moved {
						part = bytes.Clone(part)
					}
					m, err2 := s.Parse(&p, part)
					if err2 == ErrIncomplete && i < len(in) {
						continue
					}
					if m != n || fmt.Sprint(err2) != fmt.Sprint(err) || err == nil && !p.Equal(&want) {
						t.Fatalf("%q up to %d: %d, %v, %+v\nwant %d, %v, %+v", in, i, m, err2, p, n, err, want)
					}
					break
				}
			}
		}
	}
}

// TestPoisonedNames keeps what a program wrote into a packet from deciding how the next one is read.
func TestPoisonedNames(t *testing.T) {
	s := Parser{Syntax: PSYC10}
	for i, parse := range []func(p *Packet, b []byte) error{
		func(p *Packet, b []byte) error { _, err := p.Parse(b, PSYC10); return err },
		func(p *Packet, b []byte) error { _, err := s.Parse(p, b); return err },
	} {
		var p Packet
		if err := parse(&p, []byte(":_tag\tx\n\n:_a\tb\n_m\n|\n")); err != nil {
			t.Fatal(err)
		}
		p.Routing[0].Name, p.Entity[0].Name, p.Method = "_tag-x", "_INTERNAL_x", "_m x"
		if err := parse(&p, []byte(":_tag-x\tx\n|\n")); !errors.Is(err, &Error{Method: errTab}) {
			t.Errorf("%d: name: %v", i, err)
		}
		p = Packet{Entity: Vars{{Set, "_INTERNAL_x", nil}}, Method: "_m x"}
		if err := parse(&p, []byte("\n:_INTERNAL_x\tx\n_m\n|\n")); err != nil || len(p.Entity) != 0 {
			t.Errorf("%d: internal name: %v, %+v", i, err, p)
		}
		p.Method = "_m x"
		if err := parse(&p, []byte("\n_m x\n|\n")); !errors.Is(err, &Error{Method: errMethod}) {
			t.Errorf("%d: method: %v", i, err)
		}
	}
}
