package psyc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// vars reads variables as they stand on the wire, one a line.
func vars(t testing.TB, lines string) Vars {
	t.Helper()
	var out Vars
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Fatalf("no tab in %q", line)
		}
		out.Add(Op(name[0]), name[1:], value)
	}
	return out
}

// lines is the inverse of vars.
func lines(v Vars) string {
	var b strings.Builder
	for _, x := range v {
		fmt.Fprintf(&b, "%c%s\t%s\n", x.op(), x.Name, x.Value)
	}
	return b.String()
}

func TestState(t *testing.T) {
	for _, test := range []struct {
		name    string
		syn     Syntax
		headers []string
		want    string // what the last header becomes
		err     string // of the last header
	}{
		{"assigned", PSYC10, []string{"=_a\t1\n=_b\t2\n", ":_c\t3\n"}, ":_c\t3\n:_a\t1\n:_b\t2\n", ""},
		{"in the packet that assigns", PSYC10, []string{"=_a\t1\n"}, ":_a\t1\n", ""},
		{"assigned anew", PSYC10, []string{"=_a\t1\n", "=_a\t2\n", ":_x\t\n"}, ":_x\t\n:_a\t2\n", ""},
		{"overridden once", PSYC10, []string{"=_a\t1\n", ":_a\t2\n"}, ":_a\t2\n", ""},
		{"overridden no more", PSYC10, []string{"=_a\t1\n", ":_a\t2\n", ""}, ":_a\t1\n", ""},
		{"overridden at once", PSYC10, []string{":_a\t2\n=_a\t1\n"}, ":_a\t2\n", ""},
		{"without it once", PSYC10, []string{"=_a\t1\n", ":_a\t\n"}, ":_a\t\n", ""},
		{"set is not state", PSYC10, []string{":_a\t1\n", ""}, "", ""},
		{"removed", PSYC10, []string{"=_a\t1\n", "-_a\t\n"}, "", ""},
		{"removed and never there", PSYC10, []string{"-_a\t\n"}, "", ""},
		{"asked for", PSYC10, []string{"=_a\t1\n", "?_a\t\n"}, ":_a\t1\n", ""},
		{"update", PSYC10, []string{"=_list_a\t| 1\n", "@_list_a\t#0 = 2\n"}, "", errModifier},
		{"operator without a meaning", PSYC10, []string{"!_a\t1\n"}, "", errModifier},

		{"list grows", PSYC10, []string{"=_list_a\t| 1| 2\n", "+_list_a\t| 3\n"}, ":_list_a\t| 1| 2| 3\n", ""},
		{"list begins", PSYC10, []string{"+_list_a\t_nick| 3\n"}, ":_list_a\t_nick| 3\n", ""},
		{"list shrinks", PSYC10, []string{"=_list_a\t| 1| 2| 1| 3\n", "-_list_a\t| 1| 9\n"}, ":_list_a\t| 2| 3\n", ""},
		{"list of another type", PSYC10, []string{"=_list_a\t_nick| a\n", "+_list_a\t_page| b\n"}, "", "_error_invalid_state"},
		{"no list", PSYC10, []string{"=_list_a\tnone\n", "+_list_a\t|x\n"}, "", "_error_invalid_state"},
		{"dict grows", PSYC10, []string{"=_dict_a\t{a} 1{b} 2\n", "+_dict_a\t{a} 3{c} 4\n"}, ":_dict_a\t{b} 2{a} 3{c} 4\n", ""},
		{"dict shrinks", PSYC10, []string{"=_dict_a\t{a} 1{b} 2\n", "-_dict_a\t{a}\n"}, ":_dict_a\t{b} 2\n", ""},
		{"amount grows", PSYC10, []string{"=_amount_a\t40\n", "+_amount_a\t2\n"}, ":_amount_a\t42\n", ""},
		{"amount shrinks", PSYC10, []string{"=_amount_a\t40\n", "-_amount_a\t42\n"}, ":_amount_a\t-2\n", ""},
		{"amount begins", PSYC10, []string{"+_amount_a\t2\n"}, ":_amount_a\t2\n", ""},
		{"amount overflows", PSYC10, []string{"=_amount_a\t9223372036854775807\n", "+_amount_a\t1\n"}, "", "_error_invalid_state"},
		{"amount underflows", PSYC10, []string{"=_amount_a\t-9223372036854775807\n", "-_amount_a\t2\n"}, "", "_error_invalid_state"},
		{"no amount", PSYC10, []string{"=_amount_a\t1\n", "+_amount_a\tx\n"}, "", "_error_invalid_state"},
		{"of no known type", PSYC10, []string{"=_a\t1\n", "+_a\t2\n", "-_a\t1\n"}, ":_a\t1\n", ""},

		{"0.9 set", PSYC09, []string{"+_a\tada Ada L.\n", "+_a\tbea\n"}, ":_a\t{ada} Ada L.{bea}\n", ""},
		{"0.9 set replaces a value", PSYC09, []string{"=_a\tx\n+_a\tada 1\n"}, ":_a\t{ada} 1\n", ""},
		{"0.9 set replaces what looks like one", PSYC09, []string{"=_a\t{x} y\n", "+_a\tada 1\n"}, ":_a\t{ada} 1\n", ""},
		{"0.9 set of one key", PSYC09, []string{"+_a\tada 1\n+_a\tbea 2\n", "+_a\tada 3\n"}, ":_a\t{bea} 2{ada} 3\n", ""},
		{"0.9 key removed", PSYC09, []string{"+_a\tada 1\n+_a\tbea 2\n", "-_a\tada\n"}, ":_a\t{bea} 2\n", ""},
		{"0.9 key that is not there", PSYC09, []string{"+_a\tada 1\n", "-_a\tbea\n"}, "", errDiminish},
		{"0.9 set removed", PSYC09, []string{"+_a\tada 1\n", "-_a\t\n"}, "", ""},
		{"0.9 value removed", PSYC09, []string{"=_a\t1\n", "-_a\t1\n"}, "", ""},
		{"0.9 other value", PSYC09, []string{"=_a\t1\n", "-_a\t2\n"}, "", errDiminish},
		{"0.9 no value", PSYC09, []string{"-_a\t2\n"}, "", errDiminish},
		{"0.9 list", PSYC09, []string{"=_list_a\t| 1\n", "+_list_a\t| 2\n-_list_a\t| 1\n"}, ":_list_a\t| 2\n", ""},

		{"too many", PSYC10, []string{"=_a\t1\n=_b\t2\n=_c\t3\n=_d\t4\n", "=_e\t5\n"}, "", errHeaderTooLarge},
		{"too large", PSYC10, []string{"=_a\t" + strings.Repeat("x", 100) + "\n"}, "", errHeaderTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := State{Syntax: test.syn, Vars: 4, Bytes: 100}
			for i, in := range test.headers {
				header := vars(t, in)
				before := state(&s)
				err := s.Apply(&header)
				if last := i == len(test.headers)-1; !last || test.err == "" {
					if err != nil || last && lines(header) != test.want {
						t.Fatalf("%q becomes %q, %v, want %q", in, lines(header), err, test.want)
					}
				} else if !errors.Is(err, &Error{Method: test.err}) || lines(header) != in || state(&s) != before {
					t.Errorf("%q becomes %q, %v, want %s; state %q, before %q", in, lines(header), err, test.err, state(&s), before)
				}
			}
		})
	}
}

func state(s *State) string {
	var out Vars
	for name, value := range s.All() {
		out = append(out, Var{Set, name, value})
	}
	return lines(out)
}

// Values that a packet has from the state do not change with the state, nor the state with its packets.
func TestStateBorrowed(t *testing.T) {
	var s State
	in := vars(t, "=_list_a\t| 1\n")
	read := in[0].Value
	if err := s.Apply(&in); err != nil {
		t.Fatal(err)
	}
	read[2] = 'x'
	var first Vars
	if err := s.Apply(&first); err != nil || lines(first) != ":_list_a\t| 1\n" {
		t.Fatalf("%q, %v", lines(first), err)
	}
	more := vars(t, "+_list_a\t| 2\n")
	if err := s.Apply(&more); err != nil || lines(first) != ":_list_a\t| 1\n" {
		t.Errorf("%q, %v", lines(first), err)
	}
}

func TestStateOfContext(t *testing.T) {
	var s State
	cast := func(op StateOp, entity string) (*Packet, error) {
		p := &Packet{State: op, Entity: vars(t, entity), Method: "_notice_x"}
		p.Routing.Set("_context", "psyc://a.example/@hall")
		return p, s.ApplyPacket(p)
	}
	if _, err := cast(0, "=_topic\ttea\n=_list_members\t| ada\n"); err != nil {
		t.Fatal(err)
	}
	if p, err := cast(0, "+_list_members\t| bea\n"); err != nil || lines(p.Entity) != ":_topic\ttea\n:_list_members\t| ada| bea\n" {
		t.Errorf("%q, %v", lines(p.Entity), err)
	}

	ask := &Packet{State: Resync}
	ask.Routing.Set("_source", "psyc://b.example/")
	ask.Routing.Set("_target", "psyc://a.example/@hall")
	ask.Routing.Set("_tag", "7")
	answer := s.Answer(ask)
	wire, err := answer.Append(nil, PSYC10)
	want := ":_context\tpsyc://a.example/@hall\n:_target\tpsyc://b.example/\n:_tag_relay\t7\n43\n=\n=_topic\ttea\n=_list_members 10\t| ada| bea\n|\n"
	if err != nil || string(wire) != want {
		t.Errorf("answer to a resync %q, %v, want %q", wire, err, want)
	}
	if err := s.ApplyPacket(ask); err != nil {
		t.Errorf("a resync needs no context: %v", err)
	}
	// Who applies the answer has the same state, whatever was there before.
	var slave State
	old := vars(t, "=_old\t1\n")
	if err := slave.Apply(&old); err != nil {
		t.Fatal(err)
	}
	if err := slave.ApplyPacket(answer); err != nil || state(&slave) != state(&s) {
		t.Errorf("state after a resync %q, %v, want %q", state(&slave), err, state(&s))
	}

	ask.State, ask.Entity = 0, vars(t, "?_topic\t\n?_none\t\n?_topic\t\n")
	if answer := s.Answer(ask); answer == nil || lines(answer.Entity) != "=_topic\ttea\n=_none\t\n" || answer.State != 0 {
		t.Errorf("answer to a query %+v", answer)
	}
	if answer := s.Answer(&Packet{Entity: vars(t, ":_topic\tx\n")}); answer != nil {
		t.Errorf("answer to nothing %+v", answer)
	}

	before := state(&s)
	for _, in := range []string{"@_topic\t = x\n", "=_a\t1\n@_topic\t = x\n"} {
		if _, err := cast(Reset, in); !errors.Is(err, &Error{Method: errModifier}) || state(&s) != before {
			t.Errorf("%q after a reset: %v, state %q", in, err, state(&s))
		}
	}
	if p, err := cast(Reset, "=_topic\tcake\n"); err != nil || lines(p.Entity) != ":_topic\tcake\n" {
		t.Errorf("after a reset %q, %v", lines(p.Entity), err)
	}
	for _, p := range []*Packet{{State: Reset}, {Entity: vars(t, "=_a\t1\n")}, {Entity: vars(t, "+_list_a\t| 1\n")}} {
		if err := s.ApplyPacket(p); !errors.Is(err, &Error{Method: "_failure_unsupported_state_persistent"}) {
			t.Errorf("%+v without a context: %v", p, err)
		}
	}
	if got := state(&s); got != ":_topic\tcake\n" {
		t.Errorf("state %q", got)
	}
}

// A circuit in 0.9 answers queries, and what cannot be taken away does not end it.
func TestCircuitState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, out := accepted(t, nil, ".")
		w.send("\n=_nick\tAda\n+_friends\tbea 1\n_status_x\n.\n")
		w.want("")
		w.send(":_tag\t7\n\n?_nick\n.\n")
		if got := w.read(); got != ":_tag_reply\t7\n\n:_nick\tAda\n.\n" {
			t.Errorf("query answered with %q", got)
		}
		w.send("\n-_nick\tBea\n.\n")
		if got := w.read(); !strings.Contains(got, "\n"+errDiminish+"\n") {
			t.Errorf("diminish answered with %q", got)
		}
		w.send(":_source\tpsyc://a.example/~ada\n\n+_friends\tcara 2\n-_friends\tbea\n_message\n.\n")
		w.want("")
		w.Close()
		r := <-out
		if len(r.packets) != 1 || lines(r.packets[0].Entity) != ":_nick\tAda\n:_friends\t{cara} 2\n" || r.err != nil {
			t.Errorf("got %d packets, %v", len(r.packets), r.err)
			for _, p := range r.packets {
				t.Logf("%q", lines(p.Entity))
			}
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add("=_list_a\t| 1\n+_list_a\t| 2\n", "-_list_a\t| 1\n", false)
	f.Add("+_a\tada 1\n", "-_a\tada\n", true)
	f.Fuzz(func(t *testing.T, first, second string, old bool) {
		s := State{Vars: 8, Bytes: 200}
		if old {
			s.Syntax = PSYC09
		}
		for _, in := range []string{first, second} {
			var header Vars
			for line := range strings.Lines(in) {
				if name, value, ok := strings.Cut(line, "\t"); ok && len(name) > 1 {
					header.Add(Op(name[0]), name[1:], value)
				}
			}
			before, answer := state(&s), s.Answer(&Packet{State: Resync})
			if err := s.Apply(&header); err != nil && state(&s) != before {
				t.Fatalf("%q: %v, but state %q, before %q", in, err, state(&s), before)
			}
			var copied State
			copied.Syntax = s.Syntax
			if err := copied.Apply(&answer.Entity); err != nil {
				t.Fatal(err)
			}
			size := 0
			for name, value := range s.All() {
				size += len(name) + len(value)
			}
			if len(s.held) > 8 || size > 200 {
				t.Fatalf("%d variables, %d bytes", len(s.held), size)
			}
		}
	})
}

// The routing header of a circuit: what is assigned stays, and an empty value does without it.
func TestStateApplyRouting(t *testing.T) {
	var s State
	for _, test := range []struct{ wire, want string }{
		{"=_source\ta\n=_target\tb\n|\n", ":_source\ta\n:_target\tb\n|\n"},
		{":_target\tc\n:_tag\t1\n|\n", ":_target\tc\n:_tag\t1\n:_source\ta\n|\n"},
		{":_source\t\n:_target\t\n|\n", "|\n"},
		{"|\n", ":_source\ta\n:_target\tb\n|\n"},
	} {
		var p Packet
		if _, err := p.Parse([]byte(test.wire), PSYC10); err != nil {
			t.Fatal(err)
		}
		if err := s.ApplyRouting(&p); err != nil {
			t.Error(err)
		}
		if got, err := p.Append(nil, PSYC10); string(got) != test.want || err != nil {
			t.Errorf("%q is %q, want %q", test.wire, got, test.want)
		}
	}
	p := Packet{Routing: Vars{{Op: Update, Name: "_source"}}}
	if err := s.ApplyRouting(&p); err == nil || len(p.Routing) != 1 {
		t.Errorf("%v, %v", err, p.Routing)
	}
}
