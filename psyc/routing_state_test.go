package psyc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stateGreeting is that of a peer with the module, of either side.
const stateGreeting = "|\n\n:_uniform_source\tpsyc://a.example/\n:_understand_modules\t_switchyard;_switchyard_state\n_notice_circuit_established\n|\n"

// profiled is a configuration with the profile of Switchyard.
func profiled(host string) *Config {
	cfg := config(host)
	cfg.Modules = []string{ModuleProfile}
	return cfg
}

// What a peer leaves out is what it has assigned, and nothing else.
func TestRoutingStateReceived(t *testing.T) {
	const (
		both = "=_source\t" + ada + "\n=_target\t" + bea + "\n"
		text = "\n_message\n|\n"
		al   = "psyc://a.example/~al"
	)
	for _, tt := range []struct {
		name string
		send string
		got  []string // source>target context
		told string   // the method of what the peer is told, which then ends the circuit unless it begins with _error
	}{
		{"inherited", both + text + text, []string{ada + ">" + bea, ada + ">" + bea}, ""},
		{"one of them", "=_source\t" + ada + "\n" + text + ":_target\t" + bea + "\n" + text + text, []string{ada + ">", ada + ">" + bea, ada + ">"}, ""},
		{"assigned anew", both + text + "=_source\t" + al + "\n" + text + text, []string{ada + ">" + bea, al + ">" + bea, al + ">" + bea}, ""},
		{"for one packet", both + text + ":_source\t" + al + "\n" + text + text, []string{ada + ">" + bea, al + ">" + bea, ada + ">" + bea}, ""},
		{"cancelled", both + text + ":_target\t\n" + text + text, []string{ada + ">" + bea, ada + ">", ada + ">" + bea}, ""},
		{
			"cast", both + text + ":_source\t\n:_target\t\n:_context\tpsyc://a.example/@x\n" + text + text,
			[]string{ada + ">" + bea, "> psyc://a.example/@x", ada + ">" + bea},
			"",
		},
		{
			"keep-alive and a packet of the circuit", both + text + ":_source\t\n:_target\t\n|\n:_source\t\n:_target\t\n\n_status_circuit\n|\n" + text,
			[]string{ada + ">" + bea, ada + ">" + bea},
			"",
		},
		{"method of the circuit to somebody", both + "\n_request_circuit_shutdown\n|\n" + text, []string{ada + ">" + bea, ada + ">" + bea}, ""},
		{"not proved", "=_source\tpsyc://bank.example/~ceo\n" + text + ":_source\t" + ada + "\n" + text, []string{ada + ">"}, "_error_rejected_relay_incoming"},
		{"assigned and set", both + ":_source\t" + al + "\n" + text, nil, "_error_illegal_protocol_variable"},
		{"context", "=_context\tpsyc://a.example/@x\n" + text, nil, "_failure_unsupported_modifier"},
		{"another variable", "=_tag\tx\n" + text, nil, "_failure_unsupported_modifier"},
		{"nothing assigned", "=_source\t\n" + text, nil, "_failure_unsupported_modifier"},
		{"taken away", both + text + "-_source\t\n" + text, []string{ada + ">" + bea}, "_failure_unsupported_modifier"},
		{"added", both + text + "+_source\tx\n" + text, []string{ada + ">" + bea}, "_failure_unsupported_modifier"},
		{"long", "=_source\t" + ada + strings.Repeat("a", maxAssigned-len(ada)) + "\n" + text, []string{ada + strings.Repeat("a", maxAssigned-len(ada)) + ">"}, ""},
		{"too long", "=_source\t" + ada + strings.Repeat("a", maxAssigned-len(ada)+1) + "\n" + text, nil, "_failure_unsupported_modifier"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, w := newWire(t)
				c := Accept(conn, profiled("b.example"))
				c.AddProof("a.example", Proof{Kind: ProofDialback})
				out := collect(c)
				w.send(stateGreeting)
				w.read()
				w.send(tt.send)
				if told := w.read(); (told == "") != (tt.told == "") || !strings.Contains(told, tt.told) {
					t.Errorf("told %q, want %s", told, tt.told)
				}
				if ended := c.Err() != nil; ended != strings.HasPrefix(tt.told, "_failure") {
					t.Errorf("ended with %v", c.Err())
				}
				w.Close()
				var got []string
				for _, p := range (<-out).packets {
					s := p.Routing.Get("_source").String() + ">" + p.Routing.Get("_target").String()
					if context := p.Routing.Get("_context"); context != nil {
						s += " " + context.String()
					}
					got = append(got, s)
				}
				if strings.Join(got, "\n") != strings.Join(tt.got, "\n") {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.got, "\n"))
				}
			})
		})
	}
}

// What the module allows means the same to a circuit that has agreed on it and to a State.
func TestRoutingStateIsState(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ops := []string{"=", ":", ":"}
	values := []string{"psyc://a.example/~ada", "psyc://a.example/~al", "psyc://b.example/~bea", ""}
	for range 1000 {
		var in inherited
		var s State
		sent := ""
		for range 10 {
			wire := ""
			for _, name := range []string{"_source", "_tag", "_target", "_context"} {
				op, value := ops[r.IntN(len(ops))], values[r.IntN(len(values))]
				if r.IntN(3) == 0 || op == "=" && (value == "" || name == "_tag" || name == "_context") {
					continue
				}
				wire += op + name + "\t" + value + "\n"
			}
			wire += "|\n"
			sent += wire
			var p, q Packet
			for _, x := range []*Packet{&p, &q} {
				if _, err := x.Parse([]byte(wire), PSYC10); err != nil {
					t.Fatal(err)
				}
			}
			if err := in.apply(&p); err != nil {
				t.Fatalf("%q: %v", sent, err)
			}
			if err := s.ApplyRouting(&q); err != nil {
				t.Fatalf("%q: %v", sent, err)
			}
			if !sameVars(p.Routing, q.Routing) {
				t.Fatalf("%q ends with %v, and with a State %v", sent, p.Routing, q.Routing)
			}
		}
	}
}

// sameVars reports whether a and b have the same variables, in any order.
func sameVars(a, b Vars) bool {
	order := func(v, w Var) int { return strings.Compare(v.Name, w.Name) }
	a, b = slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order)
	return slices.EqualFunc(a, b, func(v, w Var) bool { return v.op() == w.op() && v.Name == w.Name && string(v.Value) == string(w.Value) })
}

// Who has not agreed on the module repeats everything, and is not believed to mean anything by an assignment; but for peers without
// the profile, to whom PSYC gives that right.
func TestRoutingStateNotAgreed(t *testing.T) {
	without := strings.Replace(stateGreeting, ";_switchyard_state", "", 1)
	plain := strings.Replace(stateGreeting, "_switchyard;_switchyard_state", "_context", 1)
	repeat := profiled("b.example")
	repeat.RepeatAddresses = true
	for _, tt := range []struct {
		name     string
		cfg      *Config
		greeting string
		uses     bool // it: we assign
		takes    bool // assignments of the peer
	}{
		{"agreed", profiled("b.example"), stateGreeting, true, true},
		{"peer without", profiled("b.example"), without, false, false},
		{"peer without the profile", profiled("b.example"), plain, false, true},
		{"peer with the module alone", profiled("b.example"), strings.Replace(stateGreeting, "_switchyard;", "", 1), false, true},
		{"we repeat", repeat, stateGreeting, false, false},
		{"we have no profile", config("b.example"), stateGreeting, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, w := newWire(t)
				c := Accept(conn, tt.cfg)
				c.AddProof("a.example", Proof{Kind: ProofDialback})
				out := collect(c)
				w.send(tt.greeting)
				if announced := strings.Contains(w.read(), ModuleState); announced != (len(tt.cfg.Modules) > 0 && !tt.cfg.RepeatAddresses) {
					t.Errorf("announced: %v", announced)
				}
				for range 2 {
					if err := c.Send(t.Context(), message(bea, ada, "hello")); err != nil {
						t.Error(err)
					}
				}
				got := w.read()
				n := strings.Count(got, ada)
				if assigns := strings.Contains(got, "=_target"); assigns != tt.uses || n == 1 != tt.uses {
					t.Errorf("wrote %q", got)
				}
				w.send("=_source\t" + ada + "\n\n_message\n|\n\n_message\n|\n")
				if took := c.Err() == nil; took != tt.takes {
					t.Errorf("took: %v, %v", took, c.Err())
				}
				w.Close()
				if n := len((<-out).packets); n == 2 != tt.takes {
					t.Errorf("%d packets", n)
				}
			})
		})
	}
}

// What is written is short, and a packet that cannot be written leaves no doubt.
func TestRoutingStateSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, w := newWire(t)
		c := Accept(conn, profiled("b.example"))
		c.AddProof("a.example", Proof{Kind: ProofDialback})
		collect(c)
		w.send(stateGreeting)
		w.read()
		cast := &Packet{Method: "_notice_x"}
		cast.Routing.Set("_context", "psyc://b.example/@x")
		broken := message("psyc://b.example/~bo", "psyc://a.example/~\n", "")
		mine := message(bea, ada, "")
		mine.Routing[0].Op = Assign
		long := message(bea, ada+strings.Repeat("a", maxAssigned), "")
		for _, step := range []struct {
			packet *Packet
			err    error
			want   string
		}{
			{message(bea, ada, "1"), nil, "=_source\t" + bea + "\n=_target\t" + ada + "\n\n_message_private\n1\n|\n"},
			{message(bea, ada, "2"), nil, "\n_message_private\n2\n|\n"},
			{message(bea, "psyc://a.example/~al", "3"), nil, "=_target\tpsyc://a.example/~al\n\n_message_private\n3\n|\n"},
			{cast, nil, ":_source\t\n:_target\t\n:_context\tpsyc://b.example/@x\n\n_notice_x\n|\n"},
			{&Packet{Method: "_notice_x"}, nil, ":_source\t\n:_target\t\n\n_notice_x\n|\n"},
			{message(bea, "psyc://a.example/~al", "4"), nil, "\n_message_private\n4\n|\n"},
			{broken, ErrNotRepresentable, ""},
			{mine, ErrRoutingState, ""},
			{message(bea, "psyc://a.example/~al", "5"), nil, "=_source\t" + bea + "\n=_target\tpsyc://a.example/~al\n\n_message_private\n5\n|\n"},
			{long, nil, ":_target\t" + ada + strings.Repeat("a", maxAssigned) + "\n\n_message_private\n|\n"},
			{message(bea, "psyc://a.example/~al", "6"), nil, "\n_message_private\n6\n|\n"},
		} {
			if err := c.Send(t.Context(), step.packet); !errors.Is(err, step.err) {
				t.Errorf("%v, want %v", err, step.err)
			}
			w.want(step.want)
		}
		w.send("|\n") // a keep-alive is answered, if nothing was written for a while
		w.send("\n_request_x\n|\n")
		if got := w.read(); !strings.HasPrefix(got, ":_source\t\n:_target\t\n") {
			t.Errorf("answer of the circuit: %q", got)
		}
		w.Close()
		<-c.Done()
	})
}

// Wherever a connection breaks, what has not been written comes back in full, and arrives by the next circuit, which begins with nothing assigned.
func TestRoutingStateCut(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 0))
	var sent []*Packet
	for i := range 40 {
		p := message(bea, ada, fmt.Sprint(i))
		kind := random.IntN(8)
		if i < 3 { // the others inherit from the first, which is written by itself
			kind = 7
		}
		switch kind {
		case 0:
			p.Routing = nil
			p.Routing.Set("_context", "psyc://b.example/@x")
			p.Routing.Set("_source_relay", bea)
		case 1:
			p.Routing = p.Routing[:1]
		case 2, 4, 5:
			p.Routing[1].Value = Value("psyc://a.example/~al")
			p.Routing.Set("_tag", "t")
		case 3:
			p.Routing = nil // of the circuit
		}
		sent = append(sent, p)
	}
	whole := false // all has been written
	for cut := 0; !whole; cut += 7 {
		for _, sessions := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				ac, bc := profiled("a.example"), profiled("b.example")
				if sessions {
					ac.Sessions, bc.Sessions = new(Sessions), new(Sessions)
				}
				x, y := net.Pipe()
				g := newGate(y)
				a, b := Initiate(x, ac), Accept(g, bc)
				a.AddProof("b.example", Proof{Kind: ProofDialled})
				shake(t, a, b)
				out := collect(a)
				synctest.Wait()
				g.shut()
				g.mu.Lock()
				g.fail = cut
				g.writes = nil
				g.mu.Unlock()
				for i, p := range sent {
					if err := b.Send(t.Context(), p); err != nil {
						t.Fatal(err)
					}
					if i == 0 {
						synctest.Wait() // the writer has taken it
					}
				}
				go func() {
					for range b.Packets(context.Background()) {
					}
				}()
				g.reopen()
				time.Sleep(2 * time.Second) // who cannot write looks for what the peer has said
				whole = b.Err() == nil
				if whole {
					b.Close()
				}
				a.Close()
				x.Close()
				<-b.Done()
				came := (<-out).packets
				back := b.Unsent()
				if n := len(came) + len(back); n > len(sent) || whole != (len(back) == 0) {
					t.Errorf("cut at %d: %d came, %d are left of %d", cut, len(came), len(back), len(sent))
				}
				for i, p := range back {
					if want := sent[len(sent)-len(back)+i]; !samePacket(p, want) {
						t.Fatalf("cut at %d: left %+v, want %+v", cut, p, want)
					}
				}
				if !sessions {
					return
				}
				back = b.Unacknowledged(0)
				var want []*Packet
				for _, p := range sent {
					if p.Routing != nil {
						want = append(want, p)
					}
				}
				for i, p := range back {
					if w := want[len(want)-len(back)+i]; !samePacket(p, w) {
						t.Fatalf("cut at %d: unacknowledged %+v, want %+v", cut, p, w)
					}
				}
			})
		}
	}
}

// What is held back when the peer closes the circuit comes back in full, too.
func TestRoutingStateHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := profiled("b.example")
		cfg.Sessions = new(Sessions)
		conn, w := newWire(t)
		g := newGate(conn)
		c := Accept(g, cfg)
		c.AddProof("a.example", Proof{Kind: ProofDialback})
		out := collect(c)
		w.send(strings.Replace(sessionGreeting, "_session", "_session;_switchyard_state", 1) + opening(idA, "0"))
		w.read()
		g.shut()
		for i := range 3 {
			if err := sendNumber(t, c, bea, ada, i); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the first one is being written, the others wait
		}
		w.send("\n_request_circuit_shutdown\n|\n")
		g.reopen()
		synctest.Wait()
		w.Close()
		<-out
		back := c.Unsent()
		if got := w.read(); len(back) != 2 || strings.Count(got, ada) != 1 || !strings.HasSuffix(got, ":_source\t\n:_target\t\n\n:_amount_received\t0\n_status_session_closed\n|\n") {
			t.Errorf("wrote %q, %d are left", got, len(back))
		}
		for i, p := range back {
			if want := message(bea, ada, fmt.Sprint(i+1)); !samePacket(p, want) {
				t.Errorf("left %+v, want %+v", p, want)
			}
		}
	})
}

// samePacket compares without regard to the order of routing variables, which nobody relies on.
func samePacket(p, q *Packet) bool {
	sorted := func(p *Packet) *Packet {
		p = p.Clone()
		slices.SortFunc(p.Routing, func(v, w Var) int { return strings.Compare(v.Name, w.Name) })
		return p
	}
	return sorted(p).Equal(sorted(q))
}
