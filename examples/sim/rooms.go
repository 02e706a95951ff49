package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A room is a place of XEP-0045 and who enters it.
type room struct {
	number uint32
	server int
	users  []uint32 // in ascending order; the first client of each enters when it logs on
	day    []moment
}

// rooms returns how many rooms the federation has.
func (m *Model) rooms() int { return int(math.Round(float64(m.Users) * m.Rooms)) }

// occupants returns how many users a room has, before those who were drawn twice are left out.
func (m *Model) occupants(r *source, number uint32) int {
	r.about(m.Seed, chanceOccupants, uint64(number))
	return min(r.round(r.lognormal(m.Occupants, m.RoomSpread)), m.Users)
}

// room returns a room. It is where a user drawn at random lives.
func (g *graph) room(r *source, number uint32) room {
	n := g.occupants(r, number)
	x := room{number: number, server: g.server(uint32(r.IntN(g.Users)))}
	for range n {
		switch {
		case r.Float64() < g.Home:
			x.users = append(x.users, g.first[x.server]+uint32(r.IntN(g.users(x.server))))
		case r.Float64() < g.Near:
			x.users = append(x.users, g.neighbour(r, x.server))
		default:
			x.users = append(x.users, uint32(r.IntN(g.Users)))
		}
	}
	x.users = distinct(x.users)
	x.play(g.Model, r)
	return x
}

// What happens in a room.
type happening int

const (
	enters happening = iota
	changes
	leaves
	speaks
)

// A moment is something that happens in a room.
type moment struct {
	at   time.Duration
	what happening
	who  int   // of the room's users
	in   []int // who of them are in, in the order in which they entered, without one who enters or leaves just then
	size int   // of the text
}

// play makes the day of a room.
func (x *room) play(m *Model, r *source) {
	var plan []moment
	clients := make([]int, len(x.users)) // logged on; more than one where sessions of the same client overlap
	var in []int
	for who, user := range x.users {
		for _, s := range m.sessions(r, user) {
			if s.client != 0 {
				continue
			}
			if s.end() < s.start {
				clients[who]++
			}
			plan = append(plan, moment{at: s.start, what: enters, who: who}, moment{at: s.end(), what: leaves, who: who})
			for _, at := range s.changes {
				plan = append(plan, moment{at: at, what: changes, who: who})
			}
		}
		if clients[who] > 0 {
			in = append(in, who)
		}
	}
	r.about(m.Seed, chanceRooms, uint64(x.number))
	for range r.round(m.Talk) {
		plan = append(plan, moment{at: time.Duration(r.Float64() * float64(day)), what: speaks, size: m.text(r)})
	}
	slices.SortStableFunc(plan, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	for _, e := range plan {
		switch e.what {
		case enters:
			if clients[e.who]++; clients[e.who] > 1 {
				continue
			}
			e.in = in
			in = append(slices.Clip(in), e.who)
		case leaves:
			if clients[e.who]--; clients[e.who] > 0 {
				continue
			}
			in = slices.DeleteFunc(slices.Clone(in), func(who int) bool { return who == e.who })
			e.in = in
		case changes:
			e.in = in
		case speaks:
			if len(in) == 0 {
				continue
			}
			e.in, e.who = in, in[r.IntN(len(in))]
		}
		x.day = append(x.day, e)
	}
}
