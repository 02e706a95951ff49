//go:build !race

// The race detector slows our code down more than etree.

package transcode_test

import (
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// roundTripRatios are how many times faster than reading and writing a stanza with etree it has to be to convert it to a
// packet and back. What travels natively is looked at most closely: the receiver makes sure that it will travel back. On
// most machines it is a third more.
var roundTripRatios = map[string]float64{
	"chat":         7.5,
	"disco":        18,
	"disco-native": 6.5,
	"muc":          5.5,
	"presence":     7.5,
	"pubsub":       18,
	"xhtml":        9,
}

// corpusRatios are the same for all the stanzas of a corpus.
var corpusRatios = map[string]float64{
	"corpus/xep.jsonl":           6.5,
	"corpus/conversations.jsonl": 5,
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
	for _, stanza := range typical(t) {
		t.Run(stanza.name, func(t *testing.T) {
			s, err := xmpp.Parse([]byte(stanza.xml))
			if err != nil {
				t.Fatal(err)
			}
			checkRatio(t, roundTripRatios[stanza.name], guardCalls, []*xmpp.Stanza{s}, [][]byte{[]byte(stanza.xml)})
		})
	}
}

func TestRoundTripRatioOfCorpora(t *testing.T) {
	for name, want := range corpusRatios {
		t.Run(name, func(t *testing.T) {
			var stanzas []*xmpp.Stanza
			var docs [][]byte
			corpus(t, name, func(e entry, s *xmpp.Stanza) {
				stanzas, docs = append(stanzas, s.Clone()), append(docs, []byte(e.XML))
			})
			checkRatio(t, want, 1, stanzas, docs)
		})
	}
}

// checkRatio makes sure that converting stanzas is so many times as fast as reading and writing docs, which are the same, with
// etree. A round goes through all of them a number of times.
func checkRatio(t *testing.T, want float64, times int, stanzas []*xmpp.Stanza, docs [][]byte) {
	if testing.CoverMode() != "" {
		t.Skip("counting of statements slows our code down and not etree")
	}
	var here, there transcode.Converter
	convert := func() {
		for _, s := range stanzas {
			p, err := here.Packet(s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := there.Stanza(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	tree := func() {
		for _, b := range docs {
			doc := etree.NewDocument()
			if err := doc.ReadFromBytes(b); err != nil {
				t.Fatal(err)
			}
			if _, err := doc.WriteTo(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours, theirs := time.Hour, time.Hour
	for range guardAttempts {
		for range guardRounds {
			ours, theirs = min(ours, round(convert, times)), min(theirs, round(tree, times))
		}
		if float64(theirs) >= want*float64(ours) {
			break
		}
	}
	n := time.Duration(times * len(stanzas))
	ratio := float64(theirs) / float64(ours)
	t.Logf("%v, etree %v: %.1fx", ours/n, theirs/n, ratio)
	if ratio < want {
		t.Errorf("%.1fx, want %.1fx", ratio, want)
	}
}

// round returns how long it takes to call f a number of times. What others left behind is not collected in that time.
func round(f func(), times int) time.Duration {
	runtime.GC()
	start := time.Now()
	for range times {
		f()
	}
	return time.Since(start)
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
