package psyc_test

import (
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
)

// TestAssigner: what is assigned is left out, what is missing is cancelled, and the far end has every packet as it was.
func TestAssigner(t *testing.T) {
	header := func(vars ...string) psyc.Vars {
		var h psyc.Vars
		for i := 0; i < len(vars); i += 2 {
			h.Add(psyc.Set, vars[i], vars[i+1])
		}
		return h
	}
	var a psyc.Assigner
	var far psyc.State
	for _, step := range []struct {
		name    string
		routing psyc.Vars
		doubt   bool
		wire    string
	}{
		{"nothing assigned", nil, false, "|\n"},
		{"first", header("_source", "a", "_target", "b", "_tag", "1"), false, "=_source\ta\n=_target\tb\n:_tag\t1\n|\n"},
		{"same", header("_source", "a", "_target", "b", "_tag", "2"), false, ":_tag\t2\n|\n"},
		{"other target", header("_source", "a", "_target", "c"), false, "=_target\tc\n|\n"},
		{"packet of the circuit", nil, false, ":_source\t\n:_target\t\n|\n"},
		{"cancelled for one packet only", header("_source", "a", "_target", "c"), false, "|\n"},
		{"cast", header("_context", "d"), false, ":_source\t\n:_target\t\n:_context\td\n|\n"},
		{"context is not assigned", header("_source", "a", "_target", "c"), false, "|\n"},
		{"in doubt", header("_source", "a", "_target", "c"), true, "=_source\ta\n=_target\tc\n|\n"},
		{"cancelled in doubt", nil, true, ":_source\t\n:_target\t\n|\n"},
	} {
		t.Run(step.name, func(t *testing.T) {
			if step.doubt {
				a.Doubt()
			}
			p := psyc.Packet{Routing: step.routing}
			a.Assign(&p)
			wire, err := p.Append(nil, psyc.PSYC10)
			if err != nil || string(wire) != step.wire {
				t.Fatalf("%q, %v, want %q", wire, err, step.wire)
			}
			var q psyc.Packet
			if _, err := q.Parse(wire, psyc.PSYC10); err != nil {
				t.Fatal(err)
			}
			if err := far.Apply(&q.Routing); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"_source", "_target", "_context", "_tag"} {
				if got, want := q.Routing.Get(name), step.routing.Get(name); string(got) != string(want) {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}
