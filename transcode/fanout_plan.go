package transcode

import (
	"slices"

	"github.com/switchyard-im/switchyard/uniform"
)

// A plan is one way to say to whom a cast goes.
type plan struct {
	a       *audience // nil: a new one
	add     []uniform.JID
	drop    []uniform.JID
	assign  bool // say all members
	narrow  []span
	without bool // narrow is whom it does not go to
	bytes   int  // that it takes beside the stanza
	eager   int  // what it counts for in comparison
}

// header is the length of the line that names number and version, roughly.
const header = len(":_audience\t10 100\n")

// uniformBytes estimates the length of the uniform of j: only names with characters that PSYC lacks are longer.
func uniformBytes(j uniform.JID) int { return len("psyc:///") + len(j.Bare().String()) }

// memberBytes estimates the length of the list elements of members.
func memberBytes(members []uniform.JID) (n int) {
	for _, j := range members {
		size := uniformBytes(j)
		if r := j.Resource(); r != "" {
			size += 1 + len(r)
		}
		n += memberSize(size)
	}
	return n
}

// listHeader is the length of a variable of a list, without its elements.
func listHeader(name string) int { return len(name) + len(":\t\n") + 5 }

// unicastBytes returns what r costs beyond one copy of the stanza if every copy is a packet of its own.
func unicastBytes(r *run, stanza int) int {
	n := (len(r.to) - 1) * stanza
	for _, j := range r.to {
		n += len(":_target\t\n") + uniformBytes(j)
		if res := j.Resource(); res != "" {
			n += len(":_resource_target\t\n") + len(res)
		}
	}
	return n
}

// choose returns the cheapest way to say to whom r goes, nil if that is a packet for each. stanza is the length of the packet
// without what speaks of recipients.
//
// What a change costs is paid once, what narrowing costs every time. An audience that is narrowed again and again is
// therefore changed, or left to others and a new one made, as soon as narrowing has cost as much.
func (f *FanOut) choose(r *run, stanza int) *plan {
	var best *plan
	better := func(p *plan) {
		if best == nil || p.eager < best.eager {
			best = p
		}
	}
	set := f.contexts[r.stanza.From.Bare()]
	if set != nil {
		for _, a := range set.audiences {
			if slices.Equal(a.members, r.to) {
				return &plan{a: a, bytes: header}
			}
		}
		for _, a := range set.audiences {
			f.compare(r, a, better)
		}
	}
	if len(r.to) <= f.Limits.WithDefaults().Entries {
		n := header + listHeader(varMembers) + memberBytes(r.to)
		better(&plan{assign: true, add: r.to, bytes: n, eager: n})
	}
	if best == nil || best.bytes >= unicastBytes(r, stanza) || best.bytes+stanza > f.largest() {
		return nil
	}
	return best
}

// compare offers the ways in which a can serve for r.
func (f *FanOut) compare(r *run, a *audience, better func(*plan)) {
	f.where = f.where[:0]
	var missing []uniform.JID
	hit := make([]bool, len(a.members))
	found := 0
	for _, j := range r.to {
		at := a.position(j)
		f.where = append(f.where, at)
		if at < 0 {
			missing = append(missing, j)
			continue
		}
		hit[at] = true
		found++
	}
	if found == 0 || len(a.members)+len(missing) > f.Limits.WithDefaults().Entries || r.twice && !inOrder(r.to, f.where, len(a.members)) {
		return
	}
	base := header
	if len(missing) > 0 {
		base += listHeader(varMembers) + memberBytes(missing)
	}
	if found == len(a.members) {
		better(&plan{a: a, add: missing, bytes: base, eager: base})
		return
	}
	if extra := len(a.members) - found; 4*extra <= len(a.members) || extra <= 2 {
		drop := make([]uniform.JID, 0, extra)
		for i, j := range a.members {
			if !hit[i] {
				drop = append(drop, j)
			}
		}
		n := base + listHeader(varMembers) + memberBytes(drop)
		better(&plan{a: a, add: missing, drop: drop, bytes: n, eager: n})
	}
	p := &plan{a: a, add: missing}
	size := len(a.members) + len(missing)
	only := hits(hit, len(missing))
	without := complement(nil, only, size)
	p.narrow = only
	n := listHeader(varOnly) + spansSize(only)
	if m := listHeader(varWithout) + spansSize(without); m < n {
		p.narrow, p.without, n = without, true, m
	}
	p.bytes = base + n
	p.eager = p.bytes + a.spent
	better(p)
}

// inOrder reports whether the copies for one bare address would be made in the order in which they came: members in the order
// of the audience, others behind them.
func inOrder(to []uniform.JID, where []int, end int) bool {
	last := make(map[uniform.JID]int, len(to))
	for i, j := range to {
		at := where[i]
		if at < 0 {
			at = end + i
		}
		bare := j.Bare()
		if before, ok := last[bare]; ok && before > at {
			return false
		}
		last[bare] = at
	}
	return true
}

// hits returns the ranges of what is true, and of more positions behind it.
func hits(hit []bool, more int) (spans []span) {
	mark := func(i int) {
		if n := len(spans); n > 0 && spans[n-1].to == i {
			spans[n-1].to = i + 1
			return
		}
		spans = append(spans, span{i, i + 1})
	}
	for i, h := range hit {
		if h {
			mark(i)
		}
	}
	for i := range more {
		mark(len(hit) + i)
	}
	return spans
}
