package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/switchyard-im/switchyard/xmpp"
)

// A Result is what came of a load.
type Result struct {
	mu       sync.Mutex
	sentAt   []time.Time // by number; zero when it is not under way
	pending  int
	rest     int // not sent yet
	complete chan struct{}
	start    time.Time
	end      time.Time // of the last arrival

	latest map[pair]int // the last that arrived of a pair of addresses

	Latency  *hdrhistogram.Histogram // in microseconds
	Came     int
	Errors   int // came back as errors, or could not be answered
	Doubled  int // arrived again, or was never sent
	Overtook int // arrived before one that was sent earlier between the same addresses
}

// A pair is what order is kept for.
type pair struct{ from, to string }

// maxLatency is the longest that the histogram knows, a minute.
const maxLatency = int64(time.Minute / time.Microsecond)

func newResult(stanzas int) *Result {
	return &Result{
		sentAt: make([]time.Time, stanzas), rest: stanzas, complete: make(chan struct{}),
		latest: make(map[pair]int), Latency: hdrhistogram.New(1, maxLatency, 3),
	}
}

func (r *Result) begin(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start, r.end = t, t
}

func (r *Result) sent(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sentAt[n] = time.Now()
	r.pending++
	r.rest--
}

// arrived notes the arrival of a stanza, an answer or an error, and reports whether it was under way.
func (r *Result) arrived(s *xmpp.Stanza) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := strconv.Atoi(s.ID)
	if err != nil || n < 0 || n >= len(r.sentAt) || r.sentAt[n].IsZero() {
		r.Doubled++
		return false
	}
	latency := now.Sub(r.sentAt[n])
	r.sentAt[n], r.end = time.Time{}, now
	r.pending--
	if s.Type == "error" {
		r.Errors++
	} else {
		r.Came++
		r.Latency.RecordValue(min(max(latency.Microseconds(), 1), maxLatency))
		key := pair{s.From.String(), s.To.String()}
		if last, ok := r.latest[key]; ok && n < last {
			r.Overtook++
		} else {
			r.latest[key] = n
		}
	}
	if r.pending == 0 && r.rest == 0 {
		close(r.complete)
	}
	return true
}

func (r *Result) failed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Errors++
}

// Lost returns how many stanzas are neither here nor back.
func (r *Result) Lost() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pending + r.rest
}

// Perfect reports whether everything has arrived, once and in order.
func (r *Result) Perfect() bool { return r.Lost()+r.Errors+r.Doubled+r.Overtook == 0 }

// bars is how wide the widest row of the histogram is.
const bars = 50

// Print writes the result for people.
func (r *Result) Print(w io.Writer, used []Usage) {
	lost := r.Lost()
	r.mu.Lock()
	defer r.mu.Unlock()
	took := r.end.Sub(r.start)
	fmt.Fprintf(w, "%d of %d arrived in %v: %.0f a second\n", r.Came, len(r.sentAt), took.Round(time.Millisecond), float64(r.Came)/max(took.Seconds(), 1e-9))
	fmt.Fprintf(w, "errors %d, lost %d, doubled %d, out of order %d\n", r.Errors, lost, r.Doubled, r.Overtook)
	for _, u := range used {
		fmt.Fprintf(w, "CPU of %s: %.1f µs a stanza\n", u.Name, u.CPU.Seconds()*1e6/float64(max(r.Came, 1)))
	}
	if r.Came == 0 {
		return
	}
	fmt.Fprintf(w, "latency: ")
	for _, q := range []float64{50, 90, 99, 99.9, 100} {
		fmt.Fprintf(w, "%v%% %v  ", q, time.Duration(r.Latency.ValueAtQuantile(q))*time.Microsecond)
	}
	fmt.Fprintln(w)
	r.printHistogram(w)
}

// printHistogram draws how many stanzas took how long: each row twice as long as the one above.
func (r *Result) printHistogram(w io.Writer) {
	var counts []int64
	most := int64(1)
	for _, b := range r.Latency.Distribution() {
		if b.Count == 0 {
			continue
		}
		row := 0
		for limit := int64(1); limit <= b.To; limit *= 2 {
			row++
		}
		for len(counts) <= row {
			counts = append(counts, 0)
		}
		counts[row] += b.Count
		most = max(most, counts[row])
	}
	begun := false
	for row, n := range counts {
		if begun = begun || n > 0; begun {
			below := time.Duration(int64(1)<<row) * time.Microsecond
			fmt.Fprintf(w, "  < %-12v %8d %s\n", below, n, strings.Repeat("#", int((n*bars+most-1)/most)))
		}
	}
}
