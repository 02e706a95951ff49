//go:build !race

// The race detector slows the scanner down more than encoding/xml.

package xmlscan

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"
	"time"
)

// scanRatio is how many times faster than encoding/xml scanning has to be, for each of the typical stanzas.
const scanRatio = 12

// A machine that is busy with other things slows single rounds down. The best of many short rounds, taken in turns, is
// hardly touched by that; where ours are, more rounds are taken.
const (
	guardRound    = 100 * time.Microsecond
	guardRounds   = 200
	guardAttempts = 20
)

// TestScanRatio guards the speed of the scanner by a ratio within one process, which is the same on every machine.
func TestScanRatio(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counting of statements slows the scanner down and not encoding/xml")
	}
	for name, doc := range typical(t) {
		t.Run(name, func(t *testing.T) {
			s := newScanner()
			scan := func() error {
				_, _, err := s.Next(doc)
				return err
			}
			std := func() error {
				d := xml.NewDecoder(bytes.NewReader(doc))
				for {
					if _, err := d.Token(); err == io.EOF {
						return nil
					} else if err != nil {
						return err
					}
				}
			}
			var ours, theirs time.Duration
			for range guardAttempts {
				for range guardRounds {
					ours = faster(ours, perCall(t, scan))
					theirs = faster(theirs, perCall(t, std))
				}
				if theirs >= scanRatio*ours {
					t.Logf("%v, encoding/xml %v: %.1fx", ours, theirs, float64(theirs)/float64(ours))
					return
				}
			}
			t.Errorf("%v, encoding/xml %v: %.1fx, want %dx", ours, theirs, float64(theirs)/float64(ours), scanRatio)
		})
	}
}

// perCall returns how long f takes, over a round.
func perCall(t *testing.T, f func() error) time.Duration {
	t.Helper()
	calls := 0
	start := time.Now()
	for calls == 0 || time.Since(start) < guardRound {
		for range 10 {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}
		calls += 10
	}
	return time.Since(start) / time.Duration(calls)
}

func faster(best, d time.Duration) time.Duration {
	if best == 0 {
		return d
	}
	return min(best, d)
}
