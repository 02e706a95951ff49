package psyc

import (
	"context"
	"errors"
	"iter"
	"maps"
	"sync"
	"time"
)

const (
	// proofLife is how long a proof holds that has no end of its own.
	proofLife = 24 * time.Hour

	// proveAgain is how long a host that could not be proved is refused without asking again.
	proveAgain = 10 * time.Second

	// maxRefused is how many hosts a peer may claim in vain within proveAgain.
	maxRefused = 64
)

// A ProofKind says what a proof rests on.
type ProofKind uint8

// Kinds of proof that a peer speaks for a host.
const (
	ProofExternal    ProofKind = iota + 1 // SASL EXTERNAL in the stream before the switch
	ProofDialback                         // XMPP dialback in the stream before the switch
	ProofCertificate                      // the certificate that the peer showed in TLS
	ProofExporter                         // a signature over a value exported from TLS
	ProofAddress                          // an address of the host is where the peer comes from
	ProofDialled                          // we dialled the host; weak, since whoever answers there may be anybody
)

// String returns a word for logs.
func (k ProofKind) String() string {
	switch k {
	case ProofExternal:
		return "external"
	case ProofDialback:
		return "dialback"
	case ProofCertificate:
		return "certificate"
	case ProofExporter:
		return "exporter"
	case ProofAddress:
		return "address"
	case ProofDialled:
		return "dialled"
	}
	return "none"
}

// A Proof is why we believe that the peer speaks for a host. It says nothing about the hosts that we speak for: proof
// is per direction.
type Proof struct {
	Kind  ProofKind
	Until time.Time // when it ends, with the certificate for one; zero: 24 hours after it was added
}

// A proofTable holds what each side may say on a circuit.
type proofTable struct {
	limit int

	mu       sync.Mutex
	proofs   map[string]Proof         // hosts that the peer speaks for
	refused  map[string]time.Time     // hosts that it could not prove, and when to ask again
	proving  map[string]chan struct{} // hosts that are being proved; closed afterwards
	pairs    map[pair]error           // what Config.Authorize said about hosts of the peer and ours
	granted  map[pair]struct{}        // hosts of ours and of the peer, as the peer authorized them
	deciding int

	inquiries map[*inquiry]struct{} // challenges of ours that have no answer yet
	attested  map[string]struct{}   // hosts of ours that the peer has had a proof for
}

type pair struct{ source, target string }

// AddProof records that the peer speaks for host, replacing what was known about it. The error says that host
// is no host name, or is [ErrTooManyHosts].
func (c *Circuit) AddProof(host string, proof Proof) error {
	host, err := canonicalHost(host)
	if err != nil {
		return err
	}
	return c.addProof(host, proof)
}

func (c *Circuit) addProof(host string, proof Proof) error {
	now := time.Now()
	if proof.Until.IsZero() {
		proof.Until = now.Add(proofLife)
	}
	t := &c.proofs
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.proofs[host]; !known && len(t.proofs) >= t.limit {
		maps.DeleteFunc(t.proofs, func(_ string, p Proof) bool { return !now.Before(p.Until) })
		if len(t.proofs) >= t.limit {
			return ErrTooManyHosts
		}
	}
	if t.proofs == nil {
		t.proofs = make(map[string]Proof)
	}
	t.proofs[host] = proof
	delete(t.refused, host)
	return nil
}

// DropProof forgets the proof of host: another peer proved it with a newer answer of the name servers, or its
// certificate was revoked. The circuit stays; the next packet from host needs a new proof.
func (c *Circuit) DropProof(host string) {
	host, err := canonicalHost(host)
	if err != nil {
		return
	}
	t := &c.proofs
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(host)
}

// drop needs the lock.
func (t *proofTable) drop(host string) {
	delete(t.proofs, host)
	maps.DeleteFunc(t.pairs, func(p pair, _ error) bool { return p.source == host })
}

// Proven reports whether the peer has proved that it speaks for host and the proof still holds.
func (c *Circuit) Proven(host string) bool {
	host, err := canonicalHost(host)
	return err == nil && c.proofs.holds(host)
}

// holds drops a proof that has ended.
func (t *proofTable) holds(host string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.proofs[host]
	if ok && !time.Now().Before(p.Until) {
		t.drop(host)
		return false
	}
	return ok
}

// any reports whether the peer has proved a host at all.
func (t *proofTable) any() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.proofs) > 0
}

// Proofs yields the hosts that the peer has proved, with proofs that still hold, in no order.
func (c *Circuit) Proofs() iter.Seq2[string, Proof] {
	return func(yield func(string, Proof) bool) {
		t := &c.proofs
		t.mu.Lock()
		snapshot := maps.Clone(t.proofs)
		t.mu.Unlock()
		now := time.Now()
		for host, p := range snapshot {
			if now.Before(p.Until) && !yield(host, p) {
				return
			}
		}
	}
}

// prove returns nil if the peer speaks for host, by a proof that holds or that Config.Prove finds. With local, a host of ours, it asks
// even if that was in vain a moment ago, and challenges the peer where there is no other proof; the goroutine that reads must not do that.
func (c *Circuit) prove(ctx context.Context, host, local string) error {
	t := &c.proofs
	anew := local != ""
	for {
		if t.holds(host) {
			return nil
		}
		if c.cfg.Prove == nil && c.cfg.HostProofs == nil {
			return errNotProven
		}
		t.mu.Lock()
		again, refused := t.refused[host]
		if refused && !anew && time.Now().Before(again) {
			t.mu.Unlock()
			return errNotProven
		}
		other := t.proving[host]
		if other == nil && t.exhausted(time.Now()) {
			t.mu.Unlock()
			return errNotProven
		}
		if other == nil {
			break
		}
		t.mu.Unlock()
		select {
		case <-other:
			anew = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	if t.proving == nil {
		t.proving = make(map[string]chan struct{})
	}
	t.proving[host] = done
	t.mu.Unlock()

	asking, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	proof, err := c.findProof(asking, host)
	if err != nil && local != "" && c.ProvesHosts() {
		proof, err = c.challenge(asking, host, local)
	}
	t.mu.Lock()
	delete(t.proving, host)
	close(done)
	if err != nil {
		if t.refused == nil {
			t.refused = make(map[string]time.Time)
		}
		t.refused[host] = time.Now().Add(proveAgain)
	}
	t.mu.Unlock()
	if err != nil {
		c.log.Warn("host not proved", "peer", c.Peer().Root, "host", host, "err", err)
		return err
	}
	c.log.Info("host proved", "peer", c.Peer().Root, "host", host, "kind", proof.Kind.String(), "until", proof.Until)
	return nil
}

// findProof adds the proof that Config.Prove has.
func (c *Circuit) findProof(ctx context.Context, host string) (Proof, error) {
	if c.cfg.Prove == nil {
		return Proof{}, errNotProven
	}
	proof, err := c.cfg.Prove(ctx, host)
	if err == nil {
		err = c.addProof(host, proof)
	}
	return proof, err
}

// exhausted reports whether the peer has claimed so many hosts in vain that no further one is looked at before some of
// the refusals have ended. Looking costs us more than claiming costs the peer. It needs the lock.
func (t *proofTable) exhausted(now time.Time) bool {
	if len(t.refused) < maxRefused {
		return false
	}
	maps.DeleteFunc(t.refused, func(_ string, again time.Time) bool { return !now.Before(again) })
	return len(t.refused) >= maxRefused
}

var errNotProven = errors.New("psyc: host not proved")
