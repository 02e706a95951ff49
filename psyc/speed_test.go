//go:build !race

package psyc

import (
	"bytes"
	"math"
	"math/bits"
	"testing"
	"time"
)

// TestSpeed guards the speed of parser and renderer without a clock to compare with: what is measured is a multiple of
// the time that one search for line ends takes over the same bytes, which no reader of lines can do without. The
// limits are about twice what was measured when they were written. A body with a length is not searched, so that
// reading the large ones takes a small part of that time, and the same for either; writing one is copying it once.
//
// Rounds of all kinds take turns, each shorter than a slice of the scheduler, and the best counts: on a loaded machine
// all of them find a quiet moment sooner or later. A limit has to be exceeded in each of several attempts.
func TestSpeed(t *testing.T) {
	if testing.CoverMode() != "" || bits.UintSize < 64 {
		t.Skip("the limits are for code without counters, on machines with words of eight bytes")
	}
	limits := map[string]struct{ parse, render float64 }{
		"presence":      {3, 2.5},
		"chat":          {3, 2.4},
		"activity":      {3, 2.6},
		"profile":       {3.5, 4},
		"delimiters":    {0.4, 0.35},
		"binary 7 kB":   {0.3, 0.75},
		"binary 700 kB": {0.01, 1},
	}
	best := map[string]speed{}
	for _, s := range samples {
		limit := limits[s.name]
		var got speed
		for range 5 {
			got = measure(t, []byte(s.wire))
			if got.parse <= limit.parse*got.search && got.render <= limit.render*got.search &&
				(len(s.wire) < 100_000 || got.render <= maxCopies*got.copy) {
				break
			}
		}
		best[s.name] = got
		t.Logf("%-13s parse %5.2f, render %5.2f times a search, %5.2f times a copy",
			s.name, got.parse/got.search, got.render/got.search, got.render/got.copy)
		if got.parse > limit.parse*got.search {
			t.Errorf("parse %s: %.2f times a search, limit %.2f", s.name, got.parse/got.search, limit.parse)
		}
		if got.render > limit.render*got.search {
			t.Errorf("render %s: %.2f times a search, limit %.2f", s.name, got.render/got.search, limit.render)
		}
	}
	if large := best["binary 700 kB"]; large.render > maxCopies*large.copy {
		t.Errorf("writing 700 kB takes %.2f times as long as copying them, limit %.1f", large.render/large.copy, maxCopies)
	}
	if small, large := best["binary 7 kB"].parse, best["binary 700 kB"].parse; large > 2*small {
		t.Errorf("700 kB take %.2f times as long to parse as 7 kB", large/small)
	}
}

// maxCopies is how often a large body may be copied, in time; a second copy or a search of the body takes more.
const maxCopies = 1.4

// speed is the time that one run over a packet takes, in nanoseconds.
type speed struct{ search, copy, parse, render float64 }

func measure(t *testing.T, wire []byte) speed {
	t.Helper()
	const rounds = 200
	var p, q Packet
	if _, err := q.Parse(wire, PSYC10); err != nil {
		t.Fatal(err)
	}
	parser := Parser{Syntax: PSYC10}
	out := make([]byte, 0, len(wire)+64)
	lines := 0
	search := func() {
		for rest := wire; ; lines++ {
			n := bytes.IndexByte(rest, '\n')
			if n < 0 {
				break
			}
			rest = rest[n+1:]
		}
	}
	parse := func() {
		if _, err := parser.Parse(&p, wire); err != nil {
			t.Fatal(err)
		}
	}
	render := func() {
		if _, err := q.Append(out, PSYC10); err != nil {
			t.Fatal(err)
		}
	}
	duplicate := func() { copy(out[:len(wire)], wire) }
	turns := func(f func(), n int) float64 {
		start := time.Now()
		for range n {
			f()
		}
		return float64(time.Since(start)) / float64(n)
	}
	n := max(1, 20_000/len(wire))
	got := speed{math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)}
	for range rounds {
		got.search = min(got.search, turns(search, n))
		got.copy = min(got.copy, turns(duplicate, n))
		got.parse = min(got.parse, turns(parse, 200))
		got.render = min(got.render, turns(render, n))
	}
	if lines == 0 {
		t.Fatal("nothing found")
	}
	return got
}
