package psycswitch

import (
	"context"
	"testing"
)

// What a peer has told of a broken link holds although there is no time to ask any more.
func TestFate(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		tail   tail
		asking bool // somebody is
		want   [2]fate
	}{
		"told":            {tail: tail{settled: true, known: true, received: 1}, want: [2]fate{arrived, absent}},
		"not told":        {tail: tail{}, want: [2]fate{doubtful, doubtful}},
		"lost":            {tail: tail{settled: true}, want: [2]fate{doubtful, doubtful}},
		"a stream":        {tail: tail{unsent: 2}, want: [2]fate{doubtful, absent}},
		"a stream, once":  {tail: tail{settled: true, once: true, unsent: 2}, want: [2]fate{spent, absent}},
		"told in part":    {tail: tail{settled: true, received: 1}, want: [2]fate{arrived, doubtful}},
		"being asked for": {tail: tail{settled: true, known: true, received: 1}, asking: true, want: [2]fate{doubtful, doubtful}},
	} {
		t.Run(name, func(t *testing.T) {
			test.tail.turn = make(chan struct{}, 1)
			if test.asking {
				test.tail.turn <- struct{}{}
			}
			for range 20 { // a select with two ways open takes either
				for i, want := range test.want {
					q := &queued{tail: &test.tail, number: uint64(1 + i)}
					if got := q.fate(over); got != want {
						t.Errorf("number %d: %d, not %d", 1+i, got, want)
					}
				}
			}
		})
	}
	if got := new(queued).fate(over); got != absent {
		t.Errorf("never sent: %d", got)
	}
}
