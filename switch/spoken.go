package psycswitch

import (
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/internal/expiring"
)

// defaultMaxSpoken is how many pairs of domains a memory holds.
const defaultMaxSpoken = 10_000

// spoken is what a peer turned out to speak.
type spoken struct {
	protocol Protocol
	reason   string    // why we believe so, for logs and status pages
	since    time.Time // when it was learnt
}

// memory remembers what peers turned out to speak, so that hints and handshakes that led nowhere are not
// repeated for every stanza. Entries are for a pair of domains, or for any local domain if local is "".
// The zero value is empty. It is safe for concurrent use.
type memory struct {
	max int // entries; 10 000. Of those that end first one gives way.

	mu      sync.Mutex
	entries expiring.Map[domainPair, spoken]
	lately  expiring.Map[domainPair, struct{}] // that PSYC has worked with
}

// A domainPair is a local and a remote domain, in the spelling that resolvers fold to.
type domainPair struct{ local, remote string }

func newDomainPair(local, remote string) domainPair {
	return domainPair{canonicalDomain(local), canonicalDomain(remote)}
}

// learn remembers for the time age that remote speaks p with local.
func (m *memory) learn(local, remote string, p Protocol, age time.Duration, reason string) {
	now := time.Now()
	key := newDomainPair(local, remote)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries.Put(key, spoken{protocol: p, reason: reason, since: now}, now.Add(age), positive(m.max, defaultMaxSpoken))
}

// works notes that remote speaks PSYC with local.
func (m *memory) works(local, remote string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lately.Put(newDomainPair(local, remote), struct{}{}, time.Now().Add(switchFailedAge), positive(m.max, defaultMaxSpoken))
}

// worked reports whether it did within the last hour: then a connection that breaks is no sign that it does not.
func (m *memory) worked(local, remote string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.lately.Get(newDomainPair(local, remote))
	return ok
}

// recall returns what is remembered about the pair or, failing that, about remote and any local domain.
func (m *memory) recall(local, remote string) (spoken, bool) {
	key := newDomainPair(local, remote)
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.entries.Get(key); ok {
		return s, true
	}
	return m.entries.Get(domainPair{"", key.remote})
}

// forget drops what is remembered about the pair and about remote and any local domain, because it failed.
func (m *memory) forget(local, remote string) {
	key := newDomainPair(local, remote)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries.Delete(key)
	m.entries.Delete(domainPair{"", key.remote})
}
