package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

// What users do is what is assumed.
func TestSessions(t *testing.T) {
	m := newModel(1000)
	r := newSource()
	sessions, changes := 0, 0
	var there time.Duration
	for u := range uint32(20_000) {
		for _, s := range m.sessions(r, u) {
			sessions++
			changes += len(s.changes)
			there += s.length
			for _, at := range s.changes {
				if !s.covers(at) {
					t.Fatalf("a change at %v, outside of a session from %v to %v", at, s.start, s.end())
				}
			}
		}
	}
	for what, values := range map[string][2]float64{
		"log-ons":         {float64(sessions) / 20_000, m.Clients * m.Logons},
		"hours":           {there.Hours() / float64(sessions), m.Session.Hours()},
		"changes an hour": {float64(changes) / there.Hours(), m.Changes},
	} {
		if math.Abs(values[0]/values[1]-1) > 0.02 {
			t.Errorf("%.3f %s, want %.3f", values[0], what, values[1])
		}
	}
}

// A session that crosses midnight is there on both sides of it.
func TestMidnight(t *testing.T) {
	s := session{start: 23 * time.Hour, length: 3 * time.Hour}
	for at, want := range map[time.Duration]bool{22 * time.Hour: false, 23 * time.Hour: true, 0: true, time.Hour: true, 2 * time.Hour: false} {
		if s.covers(at) != want {
			t.Errorf("at %v: %v", at, !want)
		}
	}
	if s.end() != 2*time.Hour {
		t.Errorf("it ends at %v", s.end())
	}
}

// In a room nobody enters twice, leaves or speaks without being in, and whoever is in is told of.
func TestRoom(t *testing.T) {
	g := newGraph(newModel(500).ofSize(500))
	r := newSource()
	for n := range uint32(g.rooms()) {
		x := g.room(r, n)
		var in []int
		for i, e := range x.day {
			if i == 0 {
				in = slices.Clone(e.in)
			}
			was := slices.Contains(in, e.who)
			switch e.what {
			case enters:
				if was || !slices.Equal(e.in, in) {
					t.Fatalf("room %d, %d: %d enters to %v, who are %v", n, i, e.who, e.in, in)
				}
				in = append(in, e.who)
			case leaves:
				at := slices.Index(in, e.who)
				if i == 0 {
					continue // it has left already
				}
				if !was {
					t.Fatalf("room %d, %d: %d leaves and was not in", n, i, e.who)
				}
				in = slices.Delete(in, at, at+1)
				fallthrough
			default:
				if e.what != leaves && !was || !slices.Equal(e.in, in) {
					t.Fatalf("room %d, %d: %d is told to %v, who are %v", n, i, e.who, e.in, in)
				}
			}
		}
	}
}
