package psyc

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// ModuleHosts is the protocol module that circuits announce on which further hosts can be proved, see [HostProofs].
const ModuleHosts = "_switchyard_hosts"

const (
	methodProof    = "_request_proof_host"
	methodProved   = "_status_proof_host"
	methodWithdraw = "_notice_withdrawal_host"

	// maxAttesting bounds the challenges that are being answered, or wait for that, at a time.
	maxAttesting = 64

	// maxAttestWait is well below the time in which a verifier takes an answer.
	maxAttestWait = 10 * time.Second
)

// HostProofs lets both ends of a circuit on TLS prove hosts that the certificates shown in TLS do not name, while the
// circuit is open. The package documentation specifies it. All fields are needed but Withdrawn.
type HostProofs struct {
	// Export returns a value that only the two ends of the TLS connection know, as
	// [tls.ConnectionState.ExportKeyingMaterial] does. The side that initiates the circuit has to be the TLS client.
	Export func(label string, context []byte, length int) ([]byte, error)

	// Certificate returns the certificate of a host of ours, with its key, or an error if it does not live here or has none. It is asked for every
	// challenge.
	Certificate func(host string) (*tls.Certificate, error)

	// Verify checks that chain, leaf first, is good for host now: authority, time, names, usage. It returns when that ends. The
	// signature has been verified before.
	Verify func(host string, chain []*x509.Certificate) (until time.Time, err error)

	// Withdrawn is told that the peer does not speak for host any more. It is called by the goroutine that reads, and must not
	// wait.
	Withdrawn func(host string)
}

// modules adds the module of h, if any, to those that are announced.
func (h *HostProofs) modules(announced []string) []string {
	if h == nil {
		return announced
	}
	return append(slices.Clip(announced), ModuleHosts)
}

// An attestor answers challenges of the peer.
type attestor struct {
	mu   sync.RWMutex  // held for reading from the look at the certificate until the answer is queued, for writing by Withdraw
	busy chan struct{} // holds a token for each challenge that is being answered or waits; the reader puts them in
	due  time.Time     // when it is the turn of the next challenge, up to a minute ago; the reader's
}

// turn returns how long the challenge that has come has to wait, if so many are answered in a minute, and as many at once after a quiet one. It is
// false if that is too long, or too many are waiting.
func (a *attestor) turn(now time.Time, rate int) (wait time.Duration, ok bool) {
	if len(a.busy) == cap(a.busy) {
		return 0, false
	}
	if rate < 0 {
		return 0, true
	}
	each := time.Minute / time.Duration(rate)
	if saved := now.Add(each - time.Minute); a.due.Before(saved) {
		a.due = saved
	}
	wait = max(a.due.Sub(now), 0)
	if wait > maxAttestWait {
		return 0, false
	}
	a.due = a.due.Add(each)
	return wait, true
}

// An inquiry is a challenge of ours that has no answer yet.
type inquiry struct {
	host      string
	withdrawn bool
}

// ProvesHosts reports whether hosts can be proved on the circuit: both ends have said so, and the syntax is 1.0.
func (c *Circuit) ProvesHosts() bool {
	if c.cfg.HostProofs == nil || c.Syntax() != PSYC10 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.peer.Understands, ModuleHosts)
}

// Challenge asks the peer to prove by a certificate that it speaks for host, towards our host local, and adds the proof, also where there
// was one before. A challenge takes one round trip. A _request_authorization for a host without a proof leads to one by itself;
// Challenge is for renewal, and for hosts that we want to send to.
//
// If the proof is no good the error wraps an *[Error] of the family _error_invalid_proof, whose cause tells why, or what the peer answered
// instead; the circuit goes on, and the proof that there was before holds until its end. Where hosts cannot be proved the error is
// errors.ErrUnsupported.
func (c *Circuit) Challenge(ctx context.Context, host, local string) error {
	key, err := canonicalPair(host, local)
	if err != nil {
		return err
	}
	if err := c.Handshake(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	proof, err := c.challenge(ctx, key.source, key.target)
	if err != nil {
		return err
	}
	c.log.Info("host proved", "peer", c.Peer().Root, "host", key.source, "kind", proof.Kind.String(), "until", proof.Until)
	return nil
}

// challenge is Challenge for canonical hosts. It adds the proof.
func (c *Circuit) challenge(ctx context.Context, host, local string) (Proof, error) {
	proof, err := c.inquire(ctx, host, local)
	if err != nil {
		return Proof{}, fmt.Errorf("psyc: challenging the peer to prove %s: %w", host, err)
	}
	return proof, nil
}

func (c *Circuit) inquire(ctx context.Context, host, local string) (Proof, error) {
	if !c.ProvesHosts() {
		return Proof{}, errors.ErrUnsupported
	}
	if c.hosted(host) {
		return Proof{}, proofError(errProofRejected, errors.New("psyc: the host is ours"))
	}
	role := "client"
	if c.initiator {
		role = "server"
	}
	s := statement{role: role, challenge: make([]byte, challengeLen), host: host, peer: local}
	rand.Read(s.challenge)
	q := c.proofs.inquire(host)
	defer c.proofs.forget(q)
	reply, err := c.request(ctx, &Packet{Method: methodProof, Entity: Vars{
		{Name: "_uniform_source", Value: Value(rootOf(host))},
		{Name: "_uniform_target", Value: Value(rootOf(local))},
		{Name: varChallenge, Value: s.challenge},
	}}, c.Send)
	if err != nil {
		return Proof{}, err
	}
	if !Inherits(reply.Method, methodProved) {
		return Proof{}, reply.asError()
	}
	h, fault := readHostProof(reply.Entity)
	if fault != nil {
		return Proof{}, fault
	}
	chain, err := h.check(s, c.cfg.HostProofs.Export)
	if err != nil {
		return Proof{}, err
	}
	until, err := c.cfg.HostProofs.Verify(host, chain)
	if err != nil {
		return Proof{}, certificateError(err)
	}
	proof := Proof{Kind: ProofExporter, Until: until}
	if err := c.addProof(host, proof); err != nil {
		return Proof{}, err
	}
	if c.proofs.forget(q) {
		c.DropProof(host)
		return Proof{}, proofError(errProofWithdrawn, errors.New("psyc: withdrawn before it was verified"))
	}
	return proof, nil
}

// inquire notes that host is being proved.
func (t *proofTable) inquire(host string) *inquiry {
	q := &inquiry{host: host}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inquiries == nil {
		t.inquiries = make(map[*inquiry]struct{})
	}
	t.inquiries[q] = struct{}{}
	return q
}

// forget ends q and reports whether its host was withdrawn meanwhile.
func (t *proofTable) forget(q *inquiry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.inquiries, q)
	return q.withdrawn
}

// attest answers a challenge, without keeping the reader waiting for the signature.
func (c *Circuit) attest(p *Packet) {
	source, target := p.Entity.Get("_uniform_source").String(), p.Entity.Get("_uniform_target").String()
	challenge := slices.Clone(p.Entity.Get(varChallenge))
	answer := &Packet{Entity: Vars{
		{Name: "_uniform_source", Value: Value(source)},
		{Name: "_uniform_target", Value: Value(target)},
	}}
	answer.tagLike(p)
	wait, ok := c.attesting.turn(time.Now(), c.cfg.Attestations)
	if !ok {
		answer.Method, answer.Body = errProofExhausted, []byte("You ask for too many proofs.")
		c.answer(answer)
		return
	}
	c.attesting.busy <- struct{}{}
	go func() {
		defer func() { <-c.attesting.busy }()
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
			return
		}
		// What Withdraw says comes behind what was attested before.
		c.attesting.mu.RLock()
		defer c.attesting.mu.RUnlock()
		proof, err := c.attestation(source, target, challenge)
		if err != nil {
			c.log.Warn("host not attested", "peer", c.Peer().Root, "host", source, "err", err)
			var fault *Error
			if !errors.As(err, &fault) {
				fault = &Error{Method: "_failure_unavailable_proof_host", Text: "There is no proof for [_uniform_source] at the moment."}
			}
			answer.Method, answer.Body = fault.Method, []byte(fault.Text)
		} else {
			answer.Method = methodProved
			proof.appendTo(&answer.Entity)
		}
		c.answer(answer)
	}()
}

// attestation makes the proof that we speak for a host.
func (c *Circuit) attestation(source, target string, challenge []byte) (*hostProof, error) {
	if !c.initiator && !c.proofs.any() {
		return nil, &Error{Method: errProofRejected, Text: "Prove a host of yours first."} // signing costs more than asking
	}
	var hosts hostCache
	host, err := hosts.of(Value(source))
	if err != nil || !c.hosted(host) {
		return nil, &Error{Method: "_error_invalid_uniform_source", Text: "[_uniform_source] is not hosted here.", Err: err}
	}
	peer, err := hosts.of(Value(target))
	if err != nil || c.hosted(peer) {
		return nil, &Error{Method: "_error_invalid_uniform_target", Text: "[_uniform_target] is no host of yours.", Err: err}
	}
	if len(challenge) < leastChallenge || len(challenge) > mostChallenge {
		return nil, &Error{Method: errProof + "_challenge", Text: "A challenge has 16 to 64 bytes."}
	}
	cert, err := c.cfg.HostProofs.Certificate(host)
	if err != nil {
		return nil, err
	}
	if cert == nil || len(cert.Certificate) == 0 {
		return nil, fmt.Errorf("psyc: no certificate for %s", host)
	}
	role := "server"
	if c.initiator {
		role = "client"
	}
	s := statement{role: role, challenge: challenge, host: host, peer: peer, chain: cert.Certificate}
	size := 0
	for _, der := range s.chain {
		size += len(der)
	}
	if len(s.chain) > maxChainLen || size > maxChain {
		return nil, fmt.Errorf("psyc: certificates for %s: %w", host, ErrTooLarge)
	}
	content, err := s.content(c.cfg.HostProofs.Export)
	if err != nil {
		return nil, err
	}
	signature, err := signContent(cert, content)
	if err != nil {
		return nil, fmt.Errorf("psyc: signing for %s: %w", host, err)
	}
	c.proofs.attest(host)
	return &hostProof{chain: s.chain, signature: signature}, nil
}

// attest remembers that the peer has had a proof for host.
func (t *proofTable) attest(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.attested == nil || len(t.attested) >= t.limit {
		t.attested = make(map[string]struct{})
	}
	t.attested[host] = struct{}{}
}

// Withdraw tells the peer that we speak no more for host, which Hosted must not report any more, and forgets what was agreed
// about it. What was sent before is not taken back. It is for hosts that end or move while the circuit, and what it carries for
// others, goes on. A peer that does not understand that hears nothing: what it sends to host is refused.
func (c *Circuit) Withdraw(host string) error {
	host, err := canonicalHost(host)
	if err != nil {
		return err
	}
	c.attesting.mu.Lock()
	defer c.attesting.mu.Unlock()
	t := &c.proofs
	t.mu.Lock()
	_, known := t.attested[host]
	delete(t.attested, host)
	for key := range t.pairs {
		if key.target == host {
			known = true
			delete(t.pairs, key)
		}
	}
	for key := range t.granted {
		if key.source == host {
			known = true
			delete(t.granted, key)
		}
	}
	t.mu.Unlock()
	if known && c.ProvesHosts() {
		c.answer(&Packet{Method: methodWithdraw, Entity: Vars{{Name: "_uniform_source", Value: Value(rootOf(host))}}})
	}
	return nil
}

// withdrawn acts on the peer's notice that it does not speak for a host any more.
func (c *Circuit) withdrawn(p *Packet) {
	host, err := c.in.hosts.of(p.Entity.Get("_uniform_source"))
	if err != nil || c.cfg.HostProofs == nil {
		return
	}
	t := &c.proofs
	t.mu.Lock()
	t.drop(host)
	maps.DeleteFunc(t.granted, func(key pair, _ struct{}) bool { return key.target == host })
	for q := range t.inquiries {
		q.withdrawn = q.withdrawn || q.host == host
	}
	t.mu.Unlock()
	c.log.Info("host withdrawn", "peer", c.Peer().Root, "host", host)
	if c.cfg.HostProofs.Withdrawn != nil {
		c.cfg.HostProofs.Withdrawn(host)
	}
}

// Revoke undoes Authorize and Grant for all pairs of which host is one: the peer has refused what it had agreed to take. Names that
// are none are ignored.
func (c *Circuit) Revoke(host string) {
	host, err := canonicalHost(host)
	if err != nil {
		return
	}
	t := &c.proofs
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.granted, func(key pair, _ struct{}) bool { return key.source == host || key.target == host })
}
