package transcode_test

import (
	"bytes"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// TestSize bounds how much larger packets are than the stanzas they carry, without any state, over the examples of the XEPs.
func TestSize(t *testing.T) {
	var stanzas, packets, count [4]int
	conv := &transcode.Converter{Space: xmpp.NSClient}
	corpus(t, "corpus/xep.jsonl", func(e entry, s *xmpp.Stanza) {
		p, err := conv.Packet(s)
		if err != nil {
			t.Fatalf("%s: %v", e.ID, err)
		}
		wire, err := p.Append(nil, psyc.PSYC10)
		if err != nil {
			t.Fatalf("%s: %v", e.ID, err)
		}
		stanzas[s.Kind] += len(bytes.TrimSpace([]byte(e.XML)))
		packets[s.Kind] += len(wire)
		count[s.Kind]++
	})
	for kind, limit := range map[xmpp.Kind]int{xmpp.IQ: 110, xmpp.Message: 125, xmpp.Presence: 125} {
		percent := 100 * float64(packets[kind]) / float64(stanzas[kind])
		t.Logf("%-8s %4d stanzas of %d bytes, packets of %d bytes: %.1f %%", kind, count[kind], stanzas[kind], packets[kind], percent)
		if percent > float64(limit) {
			t.Errorf("%s: %.1f %% of the stanzas' bytes, want at most %d %%", kind, percent, limit)
		}
	}
}
