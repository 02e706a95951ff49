package transcode_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

const annContext = ":_context\tpsyc://north.example/~ann\n"

// A cast of Ann's with more in its header.
func cast(n int, header string) string {
	return fmt.Sprintf("%s\n:_amount_casts\t%d\n%s:_degree_availability\t3\n_notice_presence_away\n|\n", annContext, n, header)
}

const (
	benDora  = "=_list_audience\t| psyc://south.example/~ben| psyc://south.example/~dora desk\n"
	plusEmil = "+_list_audience\t| psyc://south.example/~emil\n"
)

// hear gives a packet to the receiver, and returns to whom there were stanzas, the error, and what is said to the sender.
func hear(t testing.TB, f *transcode.FanIn, now time.Time, wire string) (to []string, replies string, err error) {
	t.Helper()
	var p psyc.Packet
	if n, err := p.Parse([]byte(wire), psyc.PSYC10); err != nil || n != len(wire) {
		t.Fatalf("%q: %v", wire, err)
	}
	for s, wrong := range f.Receive(now, &p) {
		if wrong != nil {
			err = wrong
			continue
		}
		to = append(to, s.To.String())
	}
	return to, said(f), err
}

func said(f *transcode.FanIn) string {
	var all []string
	for _, p := range f.Replies() {
		state := ""
		if p.State != 0 {
			state = string(rune(p.State))
		}
		all = append(all, fmt.Sprintf("%s%s %s casts %s to %s", state, p.Method, p.Entity.Get("_audience"), p.Entity.Get("_amount_casts"), p.Routing.Get("_target")))
	}
	return strings.Join(all, ", ")
}

// TestCasts: what casts say about recipients, and what is wrong about others.
func TestCasts(t *testing.T) {
	const ann = " to psyc://north.example/~ann"
	many := strings.Builder{}
	for i := range 11 {
		fmt.Fprintf(&many, "| psyc://south.example/~c%d", i)
	}
	for _, test := range []struct {
		name    string
		packets []string
		to      string // of the last packet
		method  string // of its error
		replies string
	}{
		{"assigned", []string{cast(1, ":_audience\t1 1\n"+benDora)}, "ben@south.example dora@south.example/desk", "", ""},
		{"again", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 1\n")}, "ben@south.example dora@south.example/desk", "", ""},
		{"one more", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n"+plusEmil)}, "ben@south.example dora@south.example/desk emil@south.example", "", ""},
		{"one fewer", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n-_list_audience\t| psyc://south.example/~ben\n")}, "dora@south.example/desk", "", ""},
		{"both", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n-_list_audience\t| psyc://south.example/~ben\n"+plusEmil)}, "dora@south.example/desk emil@south.example", "", ""},
		{"changed without a cast", []string{cast(1, ":_audience\t1 1\n"+benDora), annContext + "\n:_audience\t1 2\n" + plusEmil + "|\n", cast(2, ":_audience\t1 2\n")}, "ben@south.example dora@south.example/desk emil@south.example", "", ""},
		{"only", []string{cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_only\t| 1\n")}, "dora@south.example/desk", "", ""},
		{"without", []string{cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_without\t| 0\n")}, "dora@south.example/desk", "", ""},
		{"without anybody", []string{cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_without\t| 0-1\n")}, "", "", ""},
		{"two audiences", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t2 1\n=_list_audience\t| psyc://south.example/~emil\n"), cast(3, ":_audience\t1 1\n")}, "ben@south.example dora@south.example/desk", "", ""},
		{"assigned anew", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 9\n=_list_audience\t| psyc://south.example/~emil\n")}, "emil@south.example", "", ""},

		{"unknown", []string{cast(1, ":_audience\t1 1\n")}, "", "", "? 1 1 casts " + ann},
		{"ended", []string{cast(1, ":_audience\t1 1\n"+benDora), annContext + "\n:_audience\t1 1\n-_list_audience\t\n|\n", cast(2, ":_audience\t1 1\n")}, "", "", "? 1 1 casts " + ann},
		{"newer", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n")}, "", "", "? 1 2 casts " + ann},
		{"older", []string{cast(1, ":_audience\t1 2\n"+benDora), cast(2, ":_audience\t1 1\n")}, "", "", "? 1 1 casts " + ann},
		{"a version missing", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 3\n"+plusEmil)}, "", "", "? 1 3 casts " + ann},
		{"there already", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n+_list_audience\t| psyc://south.example/~ben\n")}, "", "", "? 1 2 casts " + ann},
		{"not there", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n-_list_audience\t| psyc://south.example/~emil\n")}, "", "", "? 1 2 casts " + ann},
		{"of somebody else", []string{cast(1, ":_audience\t1 1\n"+benDora), strings.Replace(cast(2, ":_audience\t1 1\n"), "~ann", "~bob", 1)}, "", "", "? 1 1 casts  to psyc://north.example/~bob"},
		{"one question", []string{cast(1, ":_audience\t1 1\n"), cast(2, ":_audience\t1 1\n")}, "", "", ""},

		{"twice the same", []string{cast(1, ":_audience\t1 1\n=_list_audience\t| psyc://south.example/~ben| psyc://south.example/~ben\n")}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"too many", []string{cast(1, ":_audience\t1 1\n=_list_audience\t"+many.String()+"\n")}, "", "_failure_exhausted_audience", "_failure_exhausted_audience 1 1 casts 1" + ann},
		{"not hosted", []string{cast(1, ":_audience\t1 1\n=_list_audience\t| psyc://bank.example/~ben\n")}, "", "_error_rejected_relay_audience", "_error_rejected_relay_audience 1 1 casts 1" + ann},
		{"not hosted, behind others", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n+_list_audience\t| psyc://bank.example/~ben\n")}, "", "_error_rejected_relay_audience", "_error_rejected_relay_audience 1 2 casts 2" + ann},
		{"no address", []string{cast(1, ":_audience\t1 1\n=_list_audience\t| ben\n")}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"no list", []string{cast(1, ":_audience\t1 1\n=_list_audience\tben\n")}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"no number", []string{cast(1, ":_audience\tone 1\n"+benDora)}, "", "_error_invalid_audience", "_error_invalid_audience one 1 casts 1" + ann},
		{"beyond the end", []string{cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_only\t| 1-2\n")}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"backwards", []string{cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_only\t| 1| 0\n")}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"the same twice", []string{cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_only\t| 0| 0\n")}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"both ways of narrowing", []string{cast(1, ":_audience\t1 1\n"+benDora+":_list_audience_only\t| 0\n:_list_audience_without\t| 0\n")}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"set", []string{cast(1, ":_audience\t1 1\n:"+benDora[1:])}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"not for many", []string{annContext + "\n:_audience\t1 1\n:_amount_casts\t1\n" + benDora + "_message_private\nhi\n|\n"}, "", "_error_invalid_audience", "_error_invalid_audience 1 1 casts 1" + ann},
		{"not a stanza", []string{annContext + "\n:_audience\t1 1\n:_amount_casts\t1\n" + benDora + "_jabber_presence\n<x>\n|\n"}, "", "_error_invalid_profile", "_error_invalid_profile 1 1 casts 1" + ann},
		{"too much", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(2, ":_audience\t1 2\n+_list_audience\t| psyc://south.example/~c1| psyc://south.example/~c2\n")}, "", "_failure_exhausted_audience", "_failure_exhausted_audience 1 2 casts 2" + ann},
		{"not numbered", []string{strings.Replace(cast(1, ":_audience\t1 1\n"+benDora), ":_amount_casts\t1\n", "", 1)}, "", "out of step", ""},
		{"numbered again", []string{cast(1, ":_audience\t1 1\n"+benDora), cast(1, ":_audience\t1 1\n")}, "", "out of step", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &transcode.FanIn{
				Root:   "psyc://south.example/",
				Limits: transcode.AudienceLimits{Entries: 10},
				Admit: func(local, remote string) error {
					if local != "south.example" || remote != "north.example" {
						return xmpp.NotAuthorized
					}
					return nil
				},
				Charge: func(copies, bytes int) error {
					if copies > 3 {
						return errors.New("more than three")
					}
					return nil
				},
			}
			var to []string
			var err error
			var replies string
			for _, wire := range test.packets {
				to, replies, err = hear(t, f, time.Time{}, wire)
			}
			var e *transcode.Error
			method := ""
			if errors.As(err, &e) {
				method = e.Method
			} else if errors.Is(err, transcode.ErrOutOfStep) {
				method = "out of step"
			}
			if got := strings.Join(to, " "); got != test.to || method != test.method || replies != test.replies {
				t.Errorf("to %q, %v\nsaid %q\nwant %q, %q\nsaid %q", got, err, replies, test.to, test.method, test.replies)
			}
		})
	}
}

// TestAdmittedWhenUsed: a domain that was hosted when the audience was told, and is not any more, gets nothing, and neither does
// anybody else from that cast: the sender sends to each.
func TestAdmittedWhenUsed(t *testing.T) {
	gone := false
	f := &transcode.FanIn{Root: "psyc://south.example/", Admit: func(local, _ string) error {
		if gone && local == "east.example" {
			return errors.New("moved")
		}
		return nil
	}}
	to, _, err := hear(t, f, time.Time{}, cast(1, ":_audience\t1 1\n=_list_audience\t| psyc://south.example/~ben| psyc://east.example/~eve\n"))
	if len(to) != 2 || err != nil {
		t.Fatal(to, err)
	}
	gone = true
	to, replies, err := hear(t, f, time.Time{}, cast(2, ":_audience\t1 1\n"))
	if len(to) != 0 || !errors.Is(err, xmpp.NotAuthorized) || !strings.HasPrefix(replies, "_error_rejected_relay_audience 1 1 casts 2") {
		t.Error(to, err, replies)
	}
}

// TestHeldInOrder: until the question is answered nothing of that source is delivered, then all in order. Others do not wait.
func TestHeldInOrder(t *testing.T) {
	f := &transcode.FanIn{Root: "psyc://south.example/"}
	now := time.Unix(1e9, 0)
	private := ":_source\tpsyc://north.example/~%s\n:_target\tpsyc://south.example/~fred\n\n_message_private\nhi\n|\n"
	_, asked, _ := hear(t, f, now, cast(1, ":_audience\t1 4\n"+plusEmil))
	if asked != "? 1 4 casts  to psyc://north.example/~ann" || !f.Due().Equal(now.Add(10*time.Second)) {
		t.Fatalf("asked %q, due %v", asked, f.Due())
	}
	for i, step := range []struct{ wire, to string }{
		{fmt.Sprintf(private, "bob"), "fred@south.example"},
		{fmt.Sprintf(private, "ann"), ""},
		{cast(2, ":_audience\t1 5\n-_list_audience\t| psyc://south.example/~ben\n"), ""},
		{annContext + ":_target\tpsyc://south.example/\n\n:_audience\t1 4\n=_list_audience\t| psyc://south.example/~ben| psyc://south.example/~emil\n|\n", "ben@south.example emil@south.example fred@south.example emil@south.example"},
		{cast(3, ":_audience\t1 5\n"), "emil@south.example"},
	} {
		to, replies, err := hear(t, f, now, step.wire)
		if strings.Join(to, " ") != step.to || err != nil || replies != "" {
			t.Errorf("step %d: %q, %v, %q", i, to, err, replies)
		}
	}
	if f.Held() != 0 || !f.Due().IsZero() {
		t.Errorf("%d held, due %v", f.Held(), f.Due())
	}
}

// TestUnsettled: packets that come while something is kept back in order are not settled before it, whoever they are for.
func TestUnsettled(t *testing.T) {
	f := &transcode.FanIn{Root: "psyc://south.example/", InOrder: true}
	now := time.Unix(1e9, 0)
	f.Skip()
	for i, step := range []struct {
		wire      string // "": not for Receive
		unsettled int
	}{
		{cast(1, ":_audience\t1 4\n"+plusEmil), 1},
		{"", 2},
		{":_source\tpsyc://north.example/~bob\n:_target\tpsyc://south.example/~fred\n\n_message_private\nhi\n|\n", 3},
		{"", 4},
		{annContext + ":_target\tpsyc://south.example/\n\n:_audience\t1 4\n=_list_audience\t| psyc://south.example/~ben\n|\n", 0},
		{"", 0},
	} {
		if step.wire == "" {
			f.Skip()
		} else {
			hear(t, f, now, step.wire)
		}
		if n := f.Unsettled(); n != step.unsettled {
			t.Errorf("step %d: %d unsettled, want %d", i, n, step.unsettled)
		}
	}
}

// TestUnanswered: the cast is refused after ten seconds, and what follows waits for its copies.
func TestUnanswered(t *testing.T) {
	f := &transcode.FanIn{Root: "psyc://south.example/"}
	now := time.Unix(1e9, 0)
	hear(t, f, now, cast(1, ":_audience\t1 1\n"))
	hear(t, f, now, cast(2, ":_audience\t1 1\n"))
	now = f.Due()
	for _, err := range f.Expire(now) {
		var e *transcode.Error
		if !errors.As(err, &e) || e.Method != "_failure_unknown_audience" {
			t.Errorf("expired with %v", err)
		}
	}
	if got := said(f); got != "_failure_unknown_audience 1 1 casts 1 to psyc://north.example/~ann" {
		t.Errorf("said %q", got)
	}
	repeat := ":_source\tpsyc://north.example/~ann\n:_target\tpsyc://south.example/~%s\n\n:_list_audience_repeat\t| %d| %d\n:_degree_availability\t3\n_notice_presence_away\n|\n"
	end := annContext + "\n:_list_audience_repeat\t| %d| 0\n|\n"
	for i, step := range []struct{ wire, to, replies string }{
		{fmt.Sprintf(repeat, "ben", 1, 2), "ben@south.example", ""},
		{fmt.Sprintf(repeat, "dora", 1, 1), "dora@south.example", ""},
		{fmt.Sprintf(end, 1), "", "_failure_unknown_audience 1 1 casts 2 to psyc://north.example/~ann"},
		{fmt.Sprintf(repeat, "ben", 2, 1), "ben@south.example", ""},
		{fmt.Sprintf(end, 2), "", ""},
	} {
		to, replies, _ := hear(t, f, now, step.wire)
		if strings.Join(to, " ") != step.to || replies != step.replies {
			t.Errorf("step %d: %q, %q", i, to, replies)
		}
	}
	if f.Held() != 0 {
		t.Errorf("%d held", f.Held())
	}
	hear(t, f, now, cast(3, ":_audience\t1 1\n"))
	for range 2 {
		now = f.Due()
		var last error
		for _, err := range f.Expire(now) {
			last = err
		}
		if out := errors.Is(last, transcode.ErrOutOfStep); out == (said(f) != "") {
			t.Errorf("%v", last)
		}
	}
}

// TestHoldIsBounded: a peer that never answers does not fill our memory.
func TestHoldIsBounded(t *testing.T) {
	f := &transcode.FanIn{Root: "psyc://south.example/"}
	for i := range 200 {
		_, _, err := hear(t, f, time.Time{}, cast(i+1, ":_audience\t1 1\n"))
		if errors.Is(err, transcode.ErrOutOfStep) {
			return
		}
		if n := f.Held(); n > 129 {
			t.Fatalf("%d packets held", n)
		}
	}
	t.Error("all was held")
}

// TestLeastRecentlyUsed: the audience dropped for another one is that which was not used for longest, and the sender is told.
func TestLeastRecentlyUsed(t *testing.T) {
	for name, limits := range map[string]transcode.AudienceLimits{
		"audiences": {Audiences: 2},
		"members":   {Members: 5},
		"bytes":     {Bytes: 2000}, // some 700 each
	} {
		t.Run(name, func(t *testing.T) {
			f := &transcode.FanIn{Root: "psyc://south.example/", Limits: limits}
			hear(t, f, time.Time{}, cast(1, ":_audience\t1 1\n"+benDora))
			hear(t, f, time.Time{}, cast(2, ":_audience\t2 1\n"+benDora))
			hear(t, f, time.Time{}, cast(3, ":_audience\t1 1\n"))
			to, replies, err := hear(t, f, time.Time{}, cast(4, ":_audience\t3 1\n"+benDora))
			if len(to) != 2 || err != nil || replies != "_notice_audience_removed 2 1 casts  to psyc://north.example/~ann" {
				t.Error(to, err, replies)
			}
		})
	}
}
