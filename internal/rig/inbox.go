package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// inboxLimit is how many stanzas an inbox keeps that nobody expected.
const inboxLimit = 10000

// inbox keeps what a user received until it is expected. Safe for concurrent use.
type inbox struct {
	mu      sync.Mutex
	stanzas []Stanza
	changed chan struct{} // closed and replaced when stanzas or closed change
	closed  error         // why nothing more will come
}

func newInbox() *inbox { return &inbox{changed: make(chan struct{})} }

// add parses and keeps a stanza that declares all of its namespaces.
func (b *inbox) add(text string) {
	e, err := parse(text, "")
	if err != nil {
		b.close(err)
		return
	}
	b.put(Stanza{Element: e, XML: text})
}

func (b *inbox) put(s Stanza) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stanzas) == inboxLimit {
		b.end(fmt.Errorf("more than %d stanzas that nobody expected", inboxLimit))
		return
	}
	b.stanzas = append(b.stanzas, s)
	b.notify()
}

// close says that nothing more will come. The first reason counts.
func (b *inbox) close(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end(reason)
}

func (b *inbox) end(reason error) {
	if b.closed == nil {
		b.closed = reason
		b.notify()
	}
}

func (b *inbox) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *inbox) Expect(ctx context.Context, want func(Stanza) bool) (Stanza, error) {
	for {
		b.mu.Lock()
		i := slices.IndexFunc(b.stanzas, want)
		if i >= 0 {
			found := b.stanzas[i]
			b.stanzas = slices.Delete(b.stanzas, i, i+1)
			b.mu.Unlock()
			return found, nil
		}
		changed, closed := b.changed, b.closed
		b.mu.Unlock()
		if closed != nil {
			return Stanza{}, b.missed(closed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Stanza{}, b.missed(ctx.Err())
		}
	}
}

func (b *inbox) Unexpected() []Stanza {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.stanzas)
}

// missed adds what came instead.
func (b *inbox) missed(reason error) error {
	var text strings.Builder
	text.WriteString("the expected stanza did not come")
	for _, s := range b.Unexpected() {
		text.WriteString("\ninstead: " + s.XML)
	}
	return fmt.Errorf("%s: %w", text.String(), reason)
}

// errClosed is why the inbox of a user that logged out is closed.
var errClosed = errors.New("the session is closed")
