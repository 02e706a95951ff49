//go:build !race

// The race detector slows the planter down more than etree.

package xmpp

import (
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// treeRatio is how many times faster than etree scanning the typical stanzas and making trees of them has to be. It is more
// than 5 on most machines.
const treeRatio = 4

// A machine that is busy with other things slows single rounds down. The best of many short rounds, taken in turns, is
// hardly touched by that; where ours are, more rounds are taken.
const (
	guardRound    = 200 * time.Microsecond
	guardRounds   = 100
	guardAttempts = 20
)

// TestTreeRatio guards the speed of Tree by a ratio within one process, which is the same on every machine.
func TestTreeRatio(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counting of statements slows our code down and not etree")
	}
	type race struct {
		name         string
		tree, std    func()
		ours, theirs time.Duration
	}
	var races []*race
	for name, doc := range typical(t) {
		scan := &xmlscan.Scanner{Limits: Limits{}.orDefault().scanner()}
		scan.Enclose(NSServer, serverPrefixes)
		races = append(races, &race{name: name, ours: time.Hour, theirs: time.Hour, tree: func() {
			if _, _, err := scan.Next(doc); err != nil {
				t.Fatal(err)
			}
			Element{ix: scan.Index()}.Tree()
		}, std: func() {
			if err := etree.NewDocument().ReadFromBytes(doc); err != nil {
				t.Fatal(err)
			}
		}})
	}
	for range guardAttempts {
		var ours, theirs time.Duration
		for _, r := range races {
			for range guardRounds {
				r.ours, r.theirs = min(r.ours, perCall(r.tree)), min(r.theirs, perCall(r.std))
			}
			ours, theirs = ours+r.ours, theirs+r.theirs
		}
		if theirs >= treeRatio*ours {
			for _, r := range races {
				t.Logf("%s: %v, etree %v: %.1fx", r.name, r.ours, r.theirs, float64(r.theirs)/float64(r.ours))
			}
			return
		}
	}
	for _, r := range races {
		t.Errorf("%s: %v, etree %v: %.1fx, want %dx", r.name, r.ours, r.theirs, float64(r.theirs)/float64(r.ours), treeRatio)
	}
}

// perCall returns how long f takes, over a round.
func perCall(f func()) time.Duration {
	calls := 0
	start := time.Now()
	for calls == 0 || time.Since(start) < guardRound {
		f()
		calls++
	}
	return time.Since(start) / time.Duration(calls)
}
