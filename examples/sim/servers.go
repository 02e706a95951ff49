package main

import (
	"math"
	"slices"
	"sort"
)

// A population is how the users, who are numbers, live on servers: server s has the users from first[s] to first[s+1]-1.
type population struct {
	first []uint32
}

// settle spreads the users over the servers: the k-th largest server has k^-zipf of the users of the largest one, and each at
// least one.
func settle(m *Model) population {
	weights := make([]float64, m.Servers)
	total := 0.0
	for s := range weights {
		weights[s] = math.Pow(float64(s+1), -m.Zipf)
		total += weights[s]
	}
	first := make([]uint32, m.Servers+1)
	spare := float64(m.Users - m.Servers) // beside the one that everybody has
	sum := 0.0
	for s, w := range weights {
		sum += w
		first[s+1] = uint32(s + 1 + int(math.Round(spare*sum/total)))
	}
	return population{first}
}

func (p *population) servers() int { return len(p.first) - 1 }

// server returns where a user lives.
func (p *population) server(user uint32) int {
	return sort.Search(p.servers(), func(s int) bool { return p.first[s+1] > user })
}

// users returns how many a server has.
func (p *population) users(s int) int { return int(p.first[s+1] - p.first[s]) }

// Ties are how many friendships there are between any two servers.
type ties struct {
	servers int
	upTo    []uint32 // upTo[s*(servers+1)+t] is the sum of the friendships of s with the servers below t
}

// tie makes the ties of servers that have so many ends of friendships each. A part of the ends is for the neighbourhood, as far as
// the other servers there have as many, the rest for all other servers.
func tie(m *Model, ends []uint64, hoods []int) ties {
	n := len(ends)
	count := slices.Max(hoods) + 1
	near, far := make([]float64, n), make([]float64, n)
	inHood := make([]float64, count)
	for s, e := range ends {
		near[s] = float64(e) * m.Near
		if count == 1 {
			near[s] = float64(e)
		}
		inHood[hoods[s]] += near[s]
	}
	for s, e := range ends {
		near[s] = min(near[s], inHood[hoods[s]]-near[s])
		far[s] = float64(e) - near[s]
	}
	within := gravity(near, func(w []float64, hood []float64, _ float64, s int) float64 { return hood[hoods[s]] - w[s] }, hoods, count)
	without := gravity(far, func(_ []float64, hood []float64, all float64, s int) float64 { return all - hood[hoods[s]] }, hoods, count)

	t := ties{n, make([]uint32, n*(n+1))}
	for s := range n {
		row := t.upTo[s*(n+1):]
		for u := range n {
			var number uint32
			switch {
			case s > u:
				number = t.number(u, s)
			case s < u:
				weights := without
				if hoods[s] == hoods[u] {
					weights = within
				}
				number = uint32(weights[s]*weights[u] + fraction(hash(m.Seed, chancePairs, uint64(s)<<32|uint64(u))))
			}
			row[u+1] = row[u] + number
		}
	}
	return t
}

// gravity returns a weight for each server such that the products of its own with those of its partners add up to the ends that it
// has, as far as that can be (Sinkhorn's method). partners says how much weight the partners of s have.
func gravity(ends []float64, partners func(weights, inHood []float64, all float64, s int) float64, hoods []int, count int) []float64 {
	weights := make([]float64, len(ends))
	for s, e := range ends {
		weights[s] = math.Sqrt(e)
	}
	inHood := make([]float64, count)
	for range 100 {
		all := 0.0
		clear(inHood)
		for s, w := range weights {
			all += w
			inHood[hoods[s]] += w
		}
		next := make([]float64, len(weights))
		for s, e := range ends {
			if p := partners(weights, inHood, all, s); p > 0 {
				next[s] = math.Sqrt(weights[s] * e / p) // half the way, or it would swing
			}
		}
		weights = next
	}
	return weights
}

// number returns how many friendships are between two servers.
func (t *ties) number(s, u int) uint32 {
	row := t.upTo[s*(t.servers+1):]
	return row[u+1] - row[u]
}

// partner returns which end of which other server belongs together with the end at a position of s. ok is false if none does.
func (t *ties) partner(s int, position uint32) (u int, at uint32, ok bool) {
	row := t.upTo[s*(t.servers+1) : (s+1)*(t.servers+1)]
	if position >= row[t.servers] {
		return 0, 0, false
	}
	u = sort.Search(t.servers, func(u int) bool { return row[u+1] > position })
	return u, t.upTo[u*(t.servers+1)+s] + position - row[u], true
}

// neighbourhoods says to which one each server belongs. Sizes are mixed.
func neighbourhoods(m *Model, servers int) []int {
	p := newPermutation(uint64(servers), hash(m.Seed, chanceNeighbours, 0))
	hoods := make([]int, servers)
	last := max(servers/m.Neighbourhood, 1) - 1
	for s := range hoods {
		hoods[s] = min(int(p.at(uint64(s)))/m.Neighbourhood, last)
	}
	return hoods
}
