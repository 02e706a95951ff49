package transcode_test

import (
	"errors"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// FuzzFanIn feeds packets of a peer that means no good. Whatever it sends, stanzas go where it may send and are of a kind that it may
// cast, no more than were charged, and what is kept is bounded.
func FuzzFanIn(f *testing.F) {
	f.Add([]byte(cast(1, ":_audience\t1 1\n"+benDora) + cast(2, ":_audience\t1 2\n-_list_audience\t| psyc://south.example/~ben\n"+plusEmil)))
	f.Add([]byte(cast(1, ":_audience\t1 1\n") + annContext + ":_target\tpsyc://south.example/\n\n:_audience\t1 1\n" + benDora + "|\n" + cast(2, ":_audience\t1 1\n:_list_audience_only\t| 1\n")))
	f.Add([]byte(cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_without\t| 0| 3-9\n") +
		":_source\tpsyc://north.example/~ann\n:_target\tpsyc://south.example/~ben\n\n:_list_audience_repeat\t| 1| 0\n_message\nhi\n|\n"))
	f.Add([]byte(cast(1, ":_audience\t1 1\n=_list_audience\t| psyc://bank.example/~ben\n")))
	f.Add([]byte(cast(1, ":_audience\t1 1\n"+benDora) + annContext + "\n:_audience\t1 1\n-_list_audience\t\n|\n" + cast(7, ":_audience\t1 1\n")))
	f.Add([]byte(cast(1, ":_audience\t1 1\n") + annContext + ":_target\tpsyc://south.example/\n\n:_audience\t1 1\n" + plusEmil + "|\n"))
	f.Add([]byte(":_context\t0\t\n|\n"))
	f.Add([]byte(":_source\tpsyc://south.example/\n:_target\tpsyc://north.example/~ann\n\n?\n:_audience\t1 1\n|\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		charged := 0
		in := &transcode.FanIn{
			Root:   "psyc://south.example/",
			Limits: transcode.AudienceLimits{Entries: 8, Audiences: 3, Members: 16},
			Hold:   transcode.HoldLimits{Packets: 4, Sources: 2},
			Admit: func(local, remote string) error {
				if local != "south.example" || remote != "north.example" {
					return errors.New("no")
				}
				return nil
			},
			Charge: func(copies, bytes int) error { charged += copies; return nil },
		}
		now := time.Unix(1e9, 0)
		stanzas := 0
		take := func(s *xmpp.Stanza, err error) (out bool) {
			var refusal *transcode.Error
			switch {
			case errors.Is(err, transcode.ErrOutOfStep):
				return true
			case err != nil:
				if !errors.As(err, &refusal) || refusal.Method == "" || refusal.Condition == "" {
					t.Fatalf("untyped error %v", err)
				}
				return false
			case s.To.Domain() != "south.example" || s.From.Domain() != "north.example":
				t.Fatalf("stanza from %s to %s", s.From, s.To)
			}
			stanzas++
			if again, err := xmpp.Parse(s.Append(nil)); again == nil {
				t.Fatalf("%s is no stanza: %v", s.Append(nil), err)
			}
			return false
		}
		var out transcode.FanOut
		for packets := 1; len(wire) > 0; packets++ {
			var p psyc.Packet
			n, err := p.Parse(wire, psyc.PSYC10)
			if err != nil {
				return
			}
			wire = wire[n:]
			out.Handle(&p)
			over := false
			for s, err := range in.Receive(now, &p) {
				over = take(s, err) || over
			}
			now = now.Add(3 * time.Second)
			for s, err := range in.Expire(now) {
				over = take(s, err) || over
			}
			for _, p := range in.Replies() {
				if _, err := p.Append(nil, psyc.PSYC10); err != nil {
					t.Fatalf("reply %v: %v", p, err)
				}
			}
			if over {
				return
			}
			if stanzas > charged+packets {
				t.Fatalf("%d stanzas of %d packets, %d charged", stanzas, packets, charged)
			}
			if in.Held() > 2*9 {
				t.Fatalf("%d packets held", in.Held())
			}
		}
	})
}
