package psycswitch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func targetsOf(records []srvRecord) string {
	var s []string
	for _, r := range records {
		s = append(s, r.target)
	}
	return strings.Join(s, " ")
}

func TestOrderSRV(t *testing.T) {
	lowest := func(int) int { return 0 }
	highest := func(n int) int { return n - 1 }
	tests := []struct {
		name    string
		records []srvRecord
		intn    func(int) int
		want    string
	}{
		{"none", nil, lowest, ""},
		{"priority before weight", []srvRecord{
			{priority: 20, weight: 60000, target: "c"}, {priority: 5, weight: 1, target: "a"}, {priority: 10, weight: 0, target: "b"},
		}, highest, "a b c"},
		{"zero weights come first where chance says 0", []srvRecord{
			{weight: 7, target: "a"}, {weight: 0, target: "zero"}, {weight: 3, target: "b"},
		}, lowest, "zero a b"},
		{"the running sum reaches the last", []srvRecord{
			{weight: 0, target: "zero"}, {weight: 7, target: "a"}, {weight: 3, target: "b"},
		}, highest, "b a zero"},
		{"all zero weights keep their order for 0", []srvRecord{
			{target: "a"}, {target: "b"}, {target: "c"},
		}, highest, "a b c"},
		{"each priority for itself", []srvRecord{
			{priority: 2, weight: 1, target: "c"},
			{priority: 1, weight: 1, target: "a"},
			{priority: 2, weight: 9, target: "d"},
			{priority: 1, weight: 9, target: "b"},
		}, highest, "b a d c"},
	}
	for _, tt := range tests {
		orderSRV(tt.records, tt.intn)
		if got := targetsOf(tt.records); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// RFC 2782: a target is first as often as its weight says, and one of weight 0 hardly ever.
func TestOrderSRVShares(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	first := map[string]int{}
	const n = 100_000
	for range n {
		records := []srvRecord{{weight: 10, target: "a"}, {weight: 30, target: "b"}, {weight: 60, target: "c"}, {weight: 0, target: "zero"}}
		orderSRV(records, random.IntN)
		first[records[0].target]++
	}
	for target, percent := range map[string]float64{"a": 10, "b": 30, "c": 60, "zero": 1} {
		got := 100 * float64(first[target]) / n
		if got < percent-1.5 || got > percent+1.5 {
			t.Errorf("%s is first in %.1f %%, want about %.0f %%", target, got, percent)
		}
	}
}

// Whatever the numbers, ordering loses no record and never puts a later priority first.
func TestOrderSRVKeepsAll(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		records := make([]srvRecord, random.IntN(20))
		for i := range records {
			records[i] = srvRecord{priority: uint16(random.IntN(3)), weight: uint16(random.IntN(1 << 16)), port: uint16(i)}
		}
		before := slices.Clone(records)
		orderSRV(records, nil)
		for i := 1; i < len(records); i++ {
			if records[i].priority < records[i-1].priority {
				t.Fatalf("priority %d after %d", records[i].priority, records[i-1].priority)
			}
		}
		byPort := slices.Clone(records)
		slices.SortFunc(byPort, func(a, b srvRecord) int { return int(a.port) - int(b.port) })
		if !slices.Equal(before, byPort) {
			t.Fatalf("%v became %v", before, records)
		}
	}
}
