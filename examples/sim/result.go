package main

import "math"

// A result is what the traffic of a federation costs in a day, projected from the sample to all.
type result struct {
	*federation
	byKind [kinds][protocols]amount
	total  [protocols]amount
	error  [protocols]float64 // of total bytes, relative, with a confidence of 95 %
}

// An amount is packets and bytes of a whole federation in a day.
type amount struct{ packets, acks, bytes float64 }

func (a *amount) add(c cost, part float64) {
	if part > 0 {
		a.packets += float64(c.packets) / part
		a.acks += float64(c.acks) / part
		a.bytes += float64(c.bytes) / part
	}
}

// simulate runs a model.
func simulate(m *Model) (*result, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	f := newFederation(m)
	costs, err := f.run()
	if err != nil {
		return nil, err
	}
	r := &result{federation: f}
	for k := range r.byKind {
		part := f.userPart
		if kind(k) >= firstOfRoom {
			part = f.roomPart
		}
		for p := range r.total {
			r.byKind[k][p].add(costs.byKind[k][p], part)
			r.total[p].add(costs.byKind[k][p], part)
		}
	}
	users, rooms := costs.byUnit[:len(f.users)], costs.byUnit[len(f.users):]
	for p := range r.total {
		v := variance(users, protocol(p), f.userPart) + variance(rooms, protocol(p), f.roomPart)
		if r.total[p].bytes > 0 {
			r.error[p] = 1.96 * math.Sqrt(v) / r.total[p].bytes
		}
	}
	return r, nil
}

// variance estimates that of the bytes of all units, of which a part was drawn at equal distances in an order: by the differences
// of neighbours (Wolter, Introduction to Variance Estimation, section 8.2).
func variance(units []bill, p protocol, part float64) float64 {
	if len(units) < 2 || part >= 1 {
		return 0
	}
	sum := 0.0
	for i := 1; i < len(units); i++ {
		d := float64(units[i][p].bytes - units[i-1][p].bytes)
		sum += d * d
	}
	n := float64(len(units))
	return n * (1 - part) / (part * part) * sum / (2 * (n - 1))
}

// perUser returns what a user costs in a day.
func (r *result) perUser(a amount) amount {
	n := float64(r.Users)
	return amount{a.packets / n, a.acks / n, a.bytes / n}
}
