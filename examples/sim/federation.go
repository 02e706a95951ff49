package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
)

// A federation is simulated by the day of some of its users and rooms, or of all.
type federation struct {
	*graph
	users []uint32 // whose day is simulated, in order of their contacts on other servers
	rooms []room   // likewise, in order of their users
	links []*plannedLink

	userPart  float64 // of all users
	roomPart  float64 // of all rooms
	foreign   int     // contacts of the sample on other servers
	near      int     // of them in the neighbourhood
	home      int     // on the own server
	companies int     // pairs of a user and a foreign server with contacts
	alone     int     // of them those with one contact
}

// A direction is from one server to another.
type direction struct{ from, to int }

// A plannedLink is what causes traffic in one direction.
type plannedLink struct {
	direction
	out, back     []company
	coming, tells []visit
}

// weight says which link takes longer.
func (l *plannedLink) weight() int {
	return len(l.out) + len(l.back) + 20*(len(l.coming)+len(l.tells))
}

// every draws n of the numbers below total, at equal distances from a random start: where they are in some order, the sample is
// a likeness of that order.
func every(m *Model, which uint64, n, total int) []int {
	n = min(n, total)
	if n == 0 {
		return nil
	}
	step := float64(total) / float64(n)
	start := fraction(hash(m.Seed, chanceSample, which)) * step
	drawn := make([]int, n)
	for i := range drawn {
		drawn[i] = min(int(start+float64(i)*step), total-1)
	}
	return drawn
}

// ranks returns the numbers below n that stand at the given ranks when they are sorted by key, which is small.
func ranks(n int, key func(int) int, at []int) []uint32 {
	var counts []int
	for i := range n {
		k := key(i)
		for len(counts) <= k {
			counts = append(counts, 0)
		}
		counts[k]++
	}
	place := make([]int, len(counts))
	sum := 0
	for k, c := range counts {
		place[k] = sum
		sum += c
	}
	wanted := make(map[int]int, len(at))
	for i, rank := range at {
		wanted[rank] = i
	}
	found := make([]uint32, len(at))
	for i := range n {
		k := key(i)
		if w, ok := wanted[place[k]]; ok {
			found[w] = uint32(i)
		}
		place[k]++
	}
	return found
}

// newFederation makes a federation and draws the sample.
func newFederation(m *Model) *federation {
	g := newGraph(m)
	r := newSource()
	f := &federation{graph: g}
	f.users = ranks(m.Users, func(u int) int { return int(g.awayUpTo[u+1] - g.awayUpTo[u]) }, every(m, 0, m.Sample, m.Users))
	f.userPart = float64(len(f.users)) / float64(m.Users)
	rooms := m.rooms()
	picked := ranks(rooms, func(i int) int { return m.occupants(r, uint32(i)) },
		every(m, 1, int(math.Ceil(f.userPart*float64(rooms))), rooms))
	for _, n := range picked {
		f.rooms = append(f.rooms, g.room(r, n))
	}
	if rooms > 0 {
		f.roomPart = float64(len(f.rooms)) / float64(rooms)
	}
	f.plan()
	return f
}

// units returns how many users and rooms are simulated. Users come first.
func (f *federation) units() int { return len(f.users) + len(f.rooms) }

// plan finds the links and who uses them.
func (f *federation) plan() {
	links := make(map[direction]*plannedLink)
	link := func(from, to int) *plannedLink {
		d := direction{from, to}
		if links[d] == nil {
			links[d] = &plannedLink{direction: d}
		}
		return links[d]
	}
	var local []uint32
	for unit, user := range f.users {
		foreign := f.graph.foreign(nil, user)
		local = f.graph.local(local[:0], user)
		f.foreign += len(foreign)
		f.home += len(local)
		s := f.server(user)
		for before := 0; before < len(foreign); {
			t := f.server(foreign[before])
			end := before
			for end < len(foreign) && foreign[end] < f.first[t+1] {
				end++
			}
			c := company{unit, user, foreign[before:end], before, len(foreign) + len(local)}
			link(s, t).out = append(link(s, t).out, c)
			link(t, s).back = append(link(t, s).back, c)
			f.companies++
			if f.hoods[s] == f.hoods[t] {
				f.near += end - before
			}
			if end-before == 1 {
				f.alone++
			}
			before = end
		}
	}
	for i := range f.rooms {
		x := &f.rooms[i]
		last := x.server
		for _, user := range x.users { // in order of their servers
			if t := f.server(user); t != last && t != x.server {
				v := visit{len(f.users) + i, x, t}
				link(t, x.server).coming = append(link(t, x.server).coming, v)
				link(x.server, t).tells = append(link(x.server, t).tells, v)
				last = t
			}
		}
	}
	f.links = slices.SortedFunc(maps.Values(links), func(a, b *plannedLink) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
}

// part returns how much of a link is simulated: which part of the friendships between its servers belongs to users of the sample.
func (f *federation) part(l *plannedLink) linkPart {
	if f.userPart == 1 {
		return whole
	}
	out, back := 0, 0
	for _, c := range l.out {
		out += len(c.contacts)
	}
	for _, c := range l.back {
		back += len(c.contacts)
	}
	if out+back == 0 {
		return whole // rooms alone use it
	}
	ties := float64(max(f.ties.number(l.from, l.to), 1))
	share := func(part float64) float64 { return min(max(part, f.userPart), 1) }
	return linkPart{audiences: share(float64(out) / ties), packets: share(float64(out+back) / (2 * ties))}
}

// write notes the events of a link, in order.
func (j *journal) write(l *plannedLink) {
	j.events = j.events[:0]
	for _, c := range l.out {
		j.out(c)
	}
	for _, c := range l.back {
		j.back(c)
	}
	for _, v := range l.coming {
		j.coming(v)
	}
	for _, v := range l.tells {
		j.telling(v)
	}
	j.sort()
}

// A ledger is what the sample costs.
type ledger struct {
	byKind [kinds]bill
	byUnit []bill
}

// run simulates the links, on all processors.
func (f *federation) run() (*ledger, error) {
	total := &ledger{byUnit: make([]bill, f.units())}
	todo := make(chan *plannedLink)
	var mu sync.Mutex
	var failed error
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			own := &ledger{byUnit: make([]bill, f.units())}
			j := newJournal(f.graph)
			for l := range todo {
				if err := f.carry(j, l, own); err != nil {
					mu.Lock()
					failed = cmp.Or(failed, fmt.Errorf("from server %d to server %d: %w", l.from, l.to, err))
					mu.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(own)
		})
	}
	for _, l := range f.links {
		todo <- l
	}
	close(todo)
	workers.Wait()
	return total, failed
}

// carry simulates a link. Of two moments in a row, others came between them on the whole link as often as others are left out.
func (f *federation) carry(j *journal, planned *plannedLink, into *ledger) error {
	j.write(planned)
	part := f.part(planned)
	l := newLink(f.Model, domain(planned.to), part)
	others := hash(f.Seed, chanceOthers, uint64(planned.from)<<32|uint64(planned.to))
	for i := range j.events {
		e := &j.events[i]
		if i > 0 && e.at != j.events[i-1].at && fraction(hash(others, chanceOthers, uint64(i))) >= part.packets {
			if err := l.interrupt(); err != nil {
				return err
			}
		}
		b, err := l.carry(e)
		if err != nil {
			return err
		}
		into.byKind[e.kind].sum(b)
		into.byUnit[e.unit].sum(b)
	}
	return nil
}

func (t *ledger) add(other *ledger) {
	for k := range t.byKind {
		t.byKind[k].sum(&other.byKind[k])
	}
	for u := range t.byUnit {
		t.byUnit[u].sum(&other.byUnit[u])
	}
}
