package psycswitch

import (
	"slices"
	"testing"
)

// Links stand in the order in which their peers could begin to send, and leave nothing behind.
func TestRows(t *testing.T) {
	a, key := new(arrivals), route{"north.example", "south.example"}
	links := make([]*Link, 5)
	for i := range links {
		links[i] = newLink(&Config{arrivals: a}, nil)
		a.claim(links[i], key)
		a.claim(links[i], key) // counts once
	}
	check := func(what string, link int, want ...int) {
		t.Helper()
		var got []int
		for _, l := range a.before(links[link], key) {
			got = append(got, slices.Index(links, l))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v in front of %d, want %v", what, got, link, want)
		}
	}
	check("all", 0)
	check("all", 3, 0, 1, 2)
	a.departed(links[1])
	check("one has gone from the middle", 3, 0, 2)
	a.claim(links[1], key)
	check("what has gone does not come back", 3, 0, 2)
	a.pass(links[2], key)
	check("one has waited for those in front", 3, 2)
	check("and nobody stands in front of it", 2)
	check("those that were waited for have no place", 0)
	for _, l := range links {
		a.departed(l)
	}
	if n := a.held(); n != 0 {
		t.Errorf("%d rows and streams left", n)
	}
	// Links that overlap and carry nothing do not pile up.
	last := newLink(&Config{arrivals: a}, nil)
	a.claim(last, key)
	for range 1000 {
		next := newLink(&Config{arrivals: a}, nil)
		a.claim(next, key)
		a.departed(last)
		last = next
	}
	if n := len(a.before(last, key)); n != 0 {
		t.Errorf("%d links in front of one that is alone", n)
	}
}
