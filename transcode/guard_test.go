//go:build !race

// The race detector slows our code down more than etree.

package transcode_test

import (
	"io"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// roundTripRatios are how many times faster than reading and writing a stanza with etree it has to be to convert it to a
// packet and back. What travels natively is looked at most closely: the receiver makes sure that it will travel back.
var roundTripRatios = map[string]float64{
	"chat":         4.5,
	"disco":        14,
	"disco-native": 5,
	"muc":          3,
	"presence":     4.5,
	"pubsub":       14,
	"xhtml":        5.5,
}

// A machine that is busy with other things slows single rounds down. The best of many rounds, taken in turns, is hardly
// touched by that; where ours are, more rounds are taken. A round is long enough for garbage to be collected in it.
const (
	guardCalls    = 500
	guardRounds   = 10
	guardAttempts = 20
)

// TestRoundTripRatio guards the speed of conversion by a ratio within one process, which is the same on every machine.
func TestRoundTripRatio(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counting of statements slows our code down and not etree")
	}
	for _, stanza := range typical(t) {
		t.Run(stanza.name, func(t *testing.T) {
			var here, there transcode.Converter
			s, err := xmpp.Parse([]byte(stanza.xml))
			if err != nil {
				t.Fatal(err)
			}
			convert := func() {
				p, err := here.Packet(s)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := there.Stanza(p); err != nil {
					t.Fatal(err)
				}
			}
			tree := func() {
				doc := etree.NewDocument()
				if err := doc.ReadFromBytes([]byte(stanza.xml)); err != nil {
					t.Fatal(err)
				}
				if _, err := doc.WriteTo(io.Discard); err != nil {
					t.Fatal(err)
				}
			}
			want := roundTripRatios[stanza.name]
			ours, theirs := time.Hour, time.Hour
			for range guardAttempts {
				for range guardRounds {
					ours, theirs = min(ours, perCall(convert)), min(theirs, perCall(tree))
				}
				if float64(theirs) >= want*float64(ours) {
					t.Logf("%v, etree %v: %.1fx", ours, theirs, float64(theirs)/float64(ours))
					return
				}
			}
			t.Errorf("%v, etree %v: %.1fx, want %.1fx", ours, theirs, float64(theirs)/float64(ours), want)
		})
	}
}

// perCall returns how long f takes, over a round.
func perCall(f func()) time.Duration {
	start := time.Now()
	for range guardCalls {
		f()
	}
	return time.Since(start) / guardCalls
}

// TestRoundTripAllocations bounds the garbage of a conversion to a packet and back: the id, and texts that are compared.
func TestRoundTripAllocations(t *testing.T) {
	for _, stanza := range typical(t) {
		var here, there transcode.Converter
		s, err := xmpp.Parse([]byte(stanza.xml))
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(100, func() {
			p, err := here.Packet(s)
			if err == nil {
				_, err = there.Stanza(p)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if n > 3 {
			t.Errorf("%s: %v allocations", stanza.name, n)
		}
	}
}
