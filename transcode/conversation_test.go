package transcode_test

import (
	"bytes"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A direction is one of the two of a circuit on which routing state was agreed.
type direction struct {
	conv     transcode.Converter
	assigner psyc.Assigner
	wire     []byte
	state    psyc.State // of the far end
	back     transcode.Converter
}

// carry sends s and returns what comes out, and the bytes on the wire.
func (d *direction) carry(t *testing.T, s *xmpp.Stanza) (*xmpp.Stanza, int) {
	t.Helper()
	p, err := d.conv.Packet(s)
	if err != nil {
		t.Fatal(err)
	}
	d.assigner.Assign(p)
	if d.wire, err = p.Append(d.wire[:0], psyc.PSYC10); err != nil {
		t.Fatal(err)
	}
	var q psyc.Packet
	if n, err := q.Parse(d.wire, psyc.PSYC10); err != nil || n != len(d.wire) {
		t.Fatalf("%q: %v", d.wire, err)
	}
	if err := d.state.Apply(&q.Routing); err != nil {
		t.Fatalf("%q: %v", d.wire, err)
	}
	back, err := d.back.Stanza(&q)
	if err != nil {
		t.Fatalf("%q: %v", d.wire, err)
	}
	return back, len(d.wire)
}

// TestConversations bounds the size of what flows between two servers that assign routing variables.
func TestConversations(t *testing.T) {
	directions := map[string]*direction{}
	stanzas, packets, count := 0, 0, 0
	corpus(t, "corpus/conversations.jsonl", func(e entry, s *xmpp.Stanza) {
		d := directions[s.From.Domain()]
		if d == nil {
			d = &direction{conv: transcode.Converter{Space: xmpp.NSClient}, back: transcode.Converter{Space: xmpp.NSClient}}
			directions[s.From.Domain()] = d
		}
		back, n := d.carry(t, s)
		if want := s.Append(nil); !bytes.Equal(back.Append(nil), want) {
			t.Fatalf("%s:\n got %s\nwant %s", e.ID, back.Append(nil), want)
		}
		stanzas += len(e.XML)
		packets += n
		count++
	})
	percent := 100 * float64(packets) / float64(stanzas)
	t.Logf("%d stanzas of %d bytes, packets of %d bytes: %.1f %%", count, stanzas, packets, percent)
	if percent > 85 {
		t.Errorf("%.1f %% of the stanzas' bytes, want at most 85 %%", percent)
	}
}
