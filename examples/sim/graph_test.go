package main

import (
	"math"
	"slices"
	"testing"
)

func TestPermutation(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 4, 5, 16, 17, 1000} {
		p := newPermutation(n, 7)
		seen := make(map[uint64]bool)
		for i := range n {
			j := p.at(i)
			if j >= n || seen[j] {
				t.Fatalf("of %d: %d becomes %d, which is too large or taken", n, i, j)
			}
			seen[j] = true
			if back := p.find(j); back != i {
				t.Errorf("of %d: %d becomes %d, which comes from %d", n, i, j, back)
			}
		}
	}
}

func TestServers(t *testing.T) {
	m := newModel(100_000)
	m.Servers = 100
	p := settle(m)
	if got := int(p.first[100]); got != m.Users {
		t.Errorf("%d users live somewhere, of %d", got, m.Users)
	}
	for s := range m.Servers {
		if p.users(s) < 1 {
			t.Errorf("server %d is empty", s)
		}
		if a, b := p.server(p.first[s]), p.server(p.first[s+1]-1); a != s || b != s {
			t.Errorf("users of server %d live on %d and %d", s, a, b)
		}
	}
	if ratio := float64(p.users(0)) / float64(p.users(9)); math.Abs(ratio-10) > 0.2 {
		t.Errorf("the largest server has %.2f times the users of the tenth, want 10", ratio)
	}
}

// Friendship is mutual, with nobody on a wrong server and nobody twice.
func TestFriendsAreMutual(t *testing.T) {
	g := newGraph(newModel(2000).ofSize(2000))
	friends := make([][]uint32, g.Users)
	for u := range friends {
		user := uint32(u)
		foreign, local := g.foreign(nil, user), g.local(nil, user)
		for _, f := range foreign {
			if g.server(f) == g.server(user) {
				t.Fatalf("%d and %d are on the same server", user, f)
			}
		}
		for _, f := range local {
			if f == user || g.server(f) != g.server(user) {
				t.Fatalf("%d is no local friend of %d", f, user)
			}
		}
		friends[u] = distinct(append(foreign, local...))
	}
	for u, all := range friends {
		for _, f := range all {
			if !slices.Contains(friends[f], uint32(u)) {
				t.Fatalf("%d has the friend %d, but not the other way round", u, f)
			}
		}
	}
}

// The graph has the properties that are assumed.
func TestGraph(t *testing.T) {
	m := newModel(50_000).ofSize(50_000)
	g := newGraph(m)
	var degrees []int
	home, all := 0, 0
	for u := range uint32(m.Users) {
		if u%10 != 0 {
			continue
		}
		foreign, local := g.foreign(nil, u), g.local(nil, u)
		degrees = append(degrees, len(foreign)+len(local))
		all += len(foreign) + len(local)
		home += len(local)
	}
	slices.Sort(degrees)
	mean := float64(all) / float64(len(degrees))
	median := float64(degrees[len(degrees)/2])
	// Friends that are drawn twice count once, which takes a few in a small federation.
	if mean > m.Contacts || mean < 0.9*m.Contacts {
		t.Errorf("%.1f contacts, want %v", mean, m.Contacts)
	}
	// The median of a lognormal distribution is below its mean by exp(σ²/2).
	if want := mean * math.Exp(-m.Spread*m.Spread/2); math.Abs(median-want) > 0.1*want {
		t.Errorf("a median of %v contacts, want %.1f", median, want)
	}
	if most := degrees[len(degrees)-1]; most < 10*int(mean) {
		t.Errorf("nobody has more than %d contacts", most)
	}
	if share := float64(home) / float64(all); math.Abs(share-m.Home) > 0.05 {
		t.Errorf("%.3f of the contacts are at home, want %v", share, m.Home)
	}
}

// Among servers of one size the neighbourhood has its share. A server that is larger than all its neighbours finds fewer friends there.
func TestNeighbourhood(t *testing.T) {
	m := newModel(20_000).ofSize(20_000)
	for zipf, want := range map[float64][2]float64{0: {m.Near - 0.03, m.Near + 0.03}, 1: {m.Near / 2, m.Near}} {
		m.Zipf = zipf
		g := newGraph(m)
		near, foreign := 0, 0
		for u := range uint32(m.Users / 10) {
			user := u * 10
			for _, f := range g.foreign(nil, user) {
				foreign++
				if g.hoods[g.server(f)] == g.hoods[g.server(user)] {
					near++
				}
			}
		}
		if share := float64(near) / float64(foreign); share < want[0] || share > want[1] {
			t.Errorf("-zipf %v: %.3f of the foreign contacts are in the neighbourhood, want %v", zipf, share, want)
		}
	}
}

// With two servers and no spread everybody has all contacts on the other one.
func TestTwoDomains(t *testing.T) {
	m := isode[0].model(newModel(0), isodeChange, false)
	g := newGraph(m)
	missing := 0
	for u := range uint32(m.Users) {
		if len(g.local(nil, u)) > 0 {
			t.Fatalf("%d has local friends", u)
		}
		missing += int(m.Contacts) - len(g.foreign(nil, u))
	}
	if missing < 0 || missing > m.Users/1000 {
		t.Errorf("%d friends are missing", missing)
	}
}

// Ties use up what the servers have to offer, and are the same from both sides.
func TestTies(t *testing.T) {
	m := newModel(0)
	var ends []uint64
	for s := range 60 {
		ends = append(ends, uint64(20_000/(s+3)))
	}
	hoods := neighbourhoods(m, len(ends))
	ties := tie(m, ends, hoods)
	for s := range ends {
		sum := 0
		for u := range ends {
			if ties.number(s, u) != ties.number(u, s) {
				t.Errorf("%d friendships of %d with %d, %d the other way round", ties.number(s, u), s, u, ties.number(u, s))
			}
			sum += int(ties.number(s, u))
		}
		if ties.number(s, s) != 0 {
			t.Errorf("server %d has ties with itself", s)
		}
		if math.Abs(float64(sum)-float64(ends[s])) > 0.02*float64(ends[s])+float64(len(ends)) {
			t.Errorf("server %d has %d friendships, and %d to offer", s, sum, ends[s])
		}
	}
}

// A sample holds what stands at equal distances when all are sorted.
func TestSample(t *testing.T) {
	m := newModel(0)
	keys := []int{5, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8}
	at := every(m, 0, 4, len(keys))
	if len(at) != 4 || at[1]-at[0] != 3 || at[2]-at[1] != 3 || at[3]-at[2] != 3 {
		t.Errorf("every third: %v", at)
	}
	sorted := slices.Sorted(slices.Values(keys))
	for i, n := range ranks(len(keys), func(i int) int { return keys[i] }, at) {
		if keys[n] != sorted[at[i]] {
			t.Errorf("at rank %d stands %d, want %d", at[i], keys[n], sorted[at[i]])
		}
	}
	if all := ranks(3, func(i int) int { return -i + 2 }, every(m, 0, 10, 3)); !slices.Equal(all, []uint32{2, 1, 0}) {
		t.Errorf("all in order: %v", all)
	}
}
