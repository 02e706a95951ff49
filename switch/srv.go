package psycswitch

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// An srvRecord is an SRV record (RFC 2782) and what is known about it.
type srvRecord struct {
	priority, weight, port uint16
	target                 string // lower case, with trailing dot; "." alone: not offered
	directTLS              bool
	guess                  bool // no record at all: the domain itself
	until                  time.Time
	authenticated          bool
}

// orderSRV puts records into the order in which RFC 2782 has them tried: by priority, and by weighted chance where
// it is the same. intn returns a number in [0, n); nil: math/rand/v2.
func orderSRV(records []srvRecord, intn func(n int) int) {
	if intn == nil {
		intn = rand.IntN
	}
	slices.SortStableFunc(records, func(a, b srvRecord) int { return cmp.Compare(a.priority, b.priority) })
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n].priority == records[0].priority {
			n++
		}
		orderByWeight(records[:n], intn)
		records = records[n:]
	}
}

// orderByWeight is the procedure of RFC 2782 "Weight": the zero weights first, then again and again the record at
// which the running sum reaches a random number from 0 to the sum of all.
func orderByWeight(records []srvRecord, intn func(n int) int) {
	slices.SortStableFunc(records, func(a, b srvRecord) int {
		return cmp.Compare(min(a.weight, 1), min(b.weight, 1))
	})
	sum := 0
	for _, r := range records {
		sum += int(r.weight)
	}
	for len(records) > 1 {
		at, running, chosen := intn(sum+1), 0, 0
		for i, r := range records {
			if running += int(r.weight); running >= at {
				chosen = i
				break
			}
		}
		r := records[chosen]
		copy(records[1:chosen+1], records[:chosen])
		records[0] = r
		sum -= int(r.weight)
		records = records[1:]
	}
}
