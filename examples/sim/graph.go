package main

import (
	"slices"
	"sort"
)

// A graph is who is whose friend, for all users of a federation, without a list of friendships: each user has a number of ends
// of friendships, and a permutation says which two ends belong together. It is symmetric.
//
// Friendships on one server pair the ends of its users at random; those between servers do so with the ends that the ties
// of the two servers allot to each other.
type graph struct {
	*Model
	population
	homeUpTo []uint32 // ends at home of all users below
	awayUpTo []uint32 // ends away
	hoods    []int    // which neighbourhood each server belongs to
	ties     ties
	home     []permutation // of the ends of each server
	away     []permutation
}

func newGraph(m *Model) *graph {
	g := &graph{Model: m, population: settle(m)}
	g.homeUpTo = make([]uint32, m.Users+1)
	g.awayUpTo = make([]uint32, m.Users+1)
	r := newSource()
	for u := range uint32(m.Users) {
		r.about(m.Seed, chanceContacts, uint64(u))
		ends := min(r.round(r.lognormal(m.Contacts, m.Spread)), m.MaxContacts, m.Users-1)
		home := r.round(float64(ends) * m.Home)
		g.homeUpTo[u+1] = g.homeUpTo[u] + uint32(home)
		g.awayUpTo[u+1] = g.awayUpTo[u] + uint32(ends-home)
	}
	away := make([]uint64, m.Servers)
	for s := range m.Servers {
		home, out := g.ends(g.homeUpTo, s), g.ends(g.awayUpTo, s)
		away[s] = uint64(out)
		g.home = append(g.home, newPermutation(uint64(home), hash(m.Seed, chanceFriends, uint64(2*s))))
		g.away = append(g.away, newPermutation(uint64(out), hash(m.Seed, chanceFriends, uint64(2*s+1))))
	}
	g.hoods = neighbourhoods(m, m.Servers)
	g.ties = tie(m, away, g.hoods)
	return g
}

// ends returns how many ends the users of a server have together.
func (g *graph) ends(upTo []uint32, s int) uint32 { return upTo[g.first[s+1]] - upTo[g.first[s]] }

// foreign returns the friends of a user on other servers, in the order of their servers. The slice is appended to dst.
func (g *graph) foreign(dst []uint32, user uint32) []uint32 {
	s := g.server(user)
	base := g.awayUpTo[g.first[s]]
	n := len(dst)
	for end := g.awayUpTo[user] - base; end < g.awayUpTo[user+1]-base; end++ {
		t, at, ok := g.ties.partner(s, uint32(g.away[s].at(uint64(end))))
		if !ok || at >= g.ends(g.awayUpTo, t) {
			continue // rounding left the end alone
		}
		dst = append(dst, g.owner(g.awayUpTo, t, uint32(g.away[t].find(uint64(at)))))
	}
	return dst[:n+len(distinct(dst[n:]))]
}

// local returns the friends of a user on the same server likewise.
func (g *graph) local(dst []uint32, user uint32) []uint32 {
	s := g.server(user)
	base, ends := g.homeUpTo[g.first[s]], g.ends(g.homeUpTo, s)
	n := len(dst)
	for end := g.homeUpTo[user] - base; end < g.homeUpTo[user+1]-base; end++ {
		other := g.home[s].at(uint64(end)) ^ 1
		if other >= uint64(ends) {
			continue // the last of an odd number is alone
		}
		if friend := g.owner(g.homeUpTo, s, uint32(g.home[s].find(other))); friend != user {
			dst = append(dst, friend)
		}
	}
	return dst[:n+len(distinct(dst[n:]))]
}

// owner returns whose an end of a server is.
func (g *graph) owner(upTo []uint32, s int, end uint32) uint32 {
	first := g.first[s]
	end += upTo[first]
	return first + uint32(sort.Search(g.users(s), func(i int) bool { return upTo[int(first)+i+1] > end }))
}

// distinct sorts users and leaves each in once.
func distinct(users []uint32) []uint32 {
	slices.Sort(users)
	return slices.Compact(users)
}

// neighbour returns a user, drawn at random, of the neighbourhood of a server, but not of the server itself if there are others.
func (g *graph) neighbour(r *source, s int) uint32 {
	total := 0
	for t, hood := range g.hoods {
		if hood == g.hoods[s] && t != s {
			total += g.users(t)
		}
	}
	if total == 0 {
		return g.first[s] + uint32(r.IntN(g.users(s)))
	}
	at := r.IntN(total)
	for t, hood := range g.hoods {
		if hood != g.hoods[s] || t == s {
			continue
		}
		if at < g.users(t) {
			return g.first[t] + uint32(at)
		}
		at -= g.users(t)
	}
	panic("unreachable: at is below the sum of what is taken from it")
}
