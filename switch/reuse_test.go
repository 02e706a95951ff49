package psycswitch

import (
	"bytes"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// The memory of a stanza is used again when it has left both its outbox and its flight, and only then.
func TestLeave(t *testing.T) {
	stanza := func(size int) *xmpp.Stanza {
		s := &xmpp.Stanza{Kind: xmpp.Message, From: uniform.MustParseJID("x@a.example"), To: uniform.MustParseJID("y@b.example")}
		s.SetText("body", string(bytes.Repeat([]byte("x"), size)))
		return s
	}
	leave, stay := (*queued).leave, (*queued).stay
	for _, test := range []struct {
		name   string
		q      *queued
		happen []func(*queued)
		gone   bool
	}{
		{"nothing", newQueued(stanza(1)), nil, false},
		{"one has it", newQueued(stanza(1)), []func(*queued){leave}, false},
		{"nobody has it", newQueued(stanza(1)), []func(*queued){leave, leave}, true},
		{"it has come back before", newQueued(stanza(1)), []func(*queued){stay, leave, leave}, false},
		{"it has come back meanwhile", newQueued(stanza(1)), []func(*queued){leave, stay, leave, leave, leave}, false},
		{"it is long", newQueued(stanza(maxReused)), []func(*queued){leave, leave}, false},
		{"it lies in memory of others", &queued{Stanza: stanza(1)}, []func(*queued){leave, leave}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.q.Append(nil)
			for _, f := range test.happen {
				f(test.q)
			}
			if gone := test.q.Stanza == nil; gone != test.gone {
				t.Fatalf("gone: %v", gone)
			}
			if !test.gone && !bytes.Equal(test.q.Append(nil), want) {
				t.Errorf("%s became %s", want, test.q.Append(nil))
			}
		})
	}
}

// A stanza stays what it is while its link may still give it back, whatever the link has taken since.
func TestFlightKeepsStanzas(t *testing.T) {
	var f flight
	var stanzas []*queued
	for n := range uint64(3) {
		q := newQueued(&xmpp.Stanza{Kind: xmpp.Message, ID: string(rune('1' + n))})
		f.add(n+1, q, time.Time{})
		q.leave()
		stanzas = append(stanzas, q)
	}
	arrived := f.acknowledge(2)
	if len(arrived) != 2 || arrived[0] != stanzas[0] || arrived[1] != stanzas[1] {
		t.Fatalf("%d arrived", len(arrived))
	}
	for _, q := range arrived {
		q.leave()
	}
	f.done(arrived)
	if stanzas[0].Stanza != nil || stanzas[1].Stanza != nil {
		t.Error("what has arrived is still there")
	}
	left := f.end(&tail{})
	if len(left) != 1 || left[0].queued != stanzas[2] || left[0].number != 3 {
		t.Fatalf("%d left", len(left))
	}
	left[0].leave()
	if left[0].Stanza == nil || left[0].ID != "3" {
		t.Error("what goes again has lost its memory")
	}
}
