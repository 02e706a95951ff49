// Package expiring has a map of bounded size whose entries end.
package expiring

import "time"

// handful is how many entries are looked at to make room. Looking at all would make a full map slow.
const handful = 16

// A Map is a map of bounded size whose entries end. The zero value is empty. It has no lock of its own.
type Map[K comparable, V any] struct {
	entries map[K]entry[V]
}

type entry[V any] struct {
	value V
	until time.Time
}

// Get returns an entry that has not ended.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	e, ok := m.entries[key]
	if !ok {
		return value, false
	}
	if !time.Now().Before(e.until) {
		delete(m.entries, key)
		return value, false
	}
	return e.value, true
}

// Put stores an entry that ends at until. If there are limit others already, one of a handful (map order is random) gives way:
// those that have ended, or else the one that ends first.
func (m *Map[K, V]) Put(key K, value V, until time.Time, limit int) {
	if m.entries == nil {
		m.entries = make(map[K]entry[V])
	}
	if _, ok := m.entries[key]; !ok && len(m.entries) >= limit {
		m.makeRoom(limit)
	}
	m.entries[key] = entry[V]{value, until}
}

func (m *Map[K, V]) makeRoom(limit int) {
	now, looked := time.Now(), 0
	var first K
	var firstUntil time.Time
	for key, e := range m.entries {
		if !now.Before(e.until) {
			delete(m.entries, key)
		} else if firstUntil.IsZero() || e.until.Before(firstUntil) {
			first, firstUntil = key, e.until
		}
		if looked++; looked == handful {
			break
		}
	}
	if len(m.entries) >= limit {
		delete(m.entries, first)
	}
}

// Delete removes an entry.
func (m *Map[K, V]) Delete(key K) { delete(m.entries, key) }

// Len returns the number of entries, ended ones included that nobody has asked for since.
func (m *Map[K, V]) Len() int { return len(m.entries) }
