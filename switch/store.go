package psycswitch

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// A Store keeps the stanzas that a [Router] has taken for other servers until they are delivered or bounced. It decides what they
// survive: with one that writes to disk, [Router.Send] promises more than this process can hold. Its methods are called by any number of
// goroutines.
type Store interface {
	// Put keeps s, which was taken at a time and is not the store's to retain, and returns when s is safe. The key
	// is any that Delete understands, and not "".
	Put(ctx context.Context, s *xmpp.Stanza, at time.Time) (key string, err error)

	// Delete drops what has been delivered or bounced. What it fails to drop is sent again after the next start.
	Delete(ctx context.Context, keys ...string) error

	// All yields, in the order of Put, what is kept. It is called once, before any other method: by Serve, or by the first Send.
	All(ctx context.Context) iter.Seq2[Stored, error]
}

// A Stored is a stanza in a [Store].
type Stored struct {
	Key    string
	Stanza *xmpp.Stanza
	At     time.Time // when it was taken
}

// A MemoryStore is a Store that survives routers, but not the process. The zero value is empty and ready for use.
type MemoryStore struct {
	mu   sync.Mutex
	next uint64
	kept map[uint64]Stored
}

// Put keeps a copy of s.
func (m *MemoryStore) Put(_ context.Context, s *xmpp.Stanza, at time.Time) (key string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = make(map[uint64]Stored)
	}
	m.next++
	key = strconv.FormatUint(m.next, 10)
	m.kept[m.next] = Stored{Key: key, Stanza: s.Clone(), At: at}
	return key, nil
}

// Delete drops stanzas. The error says that a key is none of this store.
func (m *MemoryStore) Delete(_ context.Context, keys ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		n, err := strconv.ParseUint(key, 10, 64)
		if err != nil {
			return fmt.Errorf("psycswitch: deleting what is stored: %w", err)
		}
		delete(m.kept, n)
	}
	return nil
}

// All yields what is kept when it is called.
func (m *MemoryStore) All(context.Context) iter.Seq2[Stored, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	numbers := make([]uint64, 0, len(m.kept))
	for n := range m.kept {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	all := make([]Stored, len(numbers))
	for i, n := range numbers {
		all[i] = m.kept[n]
	}
	return func(yield func(Stored, error) bool) {
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// keep puts q into the store, if there is one and q leaves the house.
func (r *Router) keep(ctx context.Context, q *queued) (err error) {
	if r.Store == nil || r.hosted(q.To.Domain()) {
		return nil
	}
	if err := r.restore(ctx); err != nil {
		return err
	}
	if q.key, err = r.Store.Put(ctx, q.Stanza, q.at); err != nil {
		return fmt.Errorf("psycswitch: storing from %s to %s: %w", q.From, q.To, err)
	}
	return nil
}

// forget drops what is delivered or bounced from the store.
func (r *Router) forget(done ...*queued) {
	if r.Store == nil {
		return
	}
	var keys []string
	for _, q := range done {
		if q.key != "" {
			keys = append(keys, q.key)
		}
	}
	if len(keys) == 0 {
		return
	}
	ctx := context.Background()
	if err := r.Store.Delete(ctx, keys...); err != nil {
		r.log(ctx, slog.LevelWarn, "store failed", "error", err)
	}
}

// restore puts what was taken before this router began, and is neither delivered nor bounced as far as is known, into the outboxes. It
// does so once, before anything else is stored.
func (r *Router) restore(ctx context.Context) error {
	if r.Store == nil {
		return nil
	}
	r.restoring.Do(func() {
		var left []*queued
		for s, err := range r.Store.All(ctx) {
			if err != nil {
				r.restored = fmt.Errorf("psycswitch: reading what is stored: %w", err)
				return
			}
			left = append(left, &queued{Stanza: s.Stanza.Clone(), at: s.At, key: s.Key, again: true})
		}
		r.requeue(ctx, left)
	})
	return r.restored
}
