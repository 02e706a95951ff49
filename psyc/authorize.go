package psyc

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// maxDeciding bounds the authorizations that are being decided at a time.
const maxDeciding = 16

// permit asks Config.Authorize, once for each pair.
func (c *Circuit) permit(ctx context.Context, source, target string) error {
	if c.cfg.Authorize == nil {
		return nil
	}
	t := &c.proofs
	key := pair{source, target}
	t.mu.Lock()
	err, known := t.pairs[key]
	t.mu.Unlock()
	if known {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	err = c.cfg.Authorize(asking, source, target)
	if asking.Err() != nil && err != nil {
		return err // no decision
	}
	if err != nil {
		c.log.Warn("pair refused", "peer", c.Peer().Root, "source", source, "target", target, "err", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pairs == nil || len(t.pairs) >= t.limit {
		t.pairs = make(map[pair]error)
	}
	t.pairs[key] = err
	return err
}

// decide answers a _request_authorization, without keeping the reader waiting for name servers.
func (c *Circuit) decide(ctx context.Context, p *Packet) {
	source, target := p.Entity.Get("_uniform_source").String(), p.Entity.Get("_uniform_target").String()
	answer := &Packet{Entity: Vars{
		{Name: "_uniform_source", Value: Value(source)},
		{Name: "_uniform_target", Value: Value(target)},
	}}
	answer.tagLike(p)
	t := &c.proofs
	t.mu.Lock()
	busy := t.deciding >= maxDeciding
	if !busy {
		t.deciding++
	}
	t.mu.Unlock()
	if busy {
		answer.Method = "_failure_exhausted_authorization"
		c.answer(answer)
		return
	}
	go func() {
		defer func() {
			t.mu.Lock()
			t.deciding--
			t.mu.Unlock()
		}()
		answer.Method, answer.Body = c.decision(c.ctx, source, target)
		c.answer(answer)
	}()
}

// decision returns the method and the body of the answer.
func (c *Circuit) decision(ctx context.Context, source, target string) (method string, body []byte) {
	var hosts hostCache
	to, err := hosts.of(Value(target))
	if err != nil || !c.hosted(to) {
		return "_error_invalid_uniform_target", []byte("[_uniform_target] is not hosted here.")
	}
	from, err := hosts.of(Value(source))
	if err == nil {
		err = c.prove(ctx, from, to)
	}
	if err != nil {
		return "_error_invalid_uniform_source" + proofFault(err), []byte("You have not proved that you speak for [_uniform_source].")
	}
	if err := c.permit(ctx, from, to); err != nil {
		return "_error_invalid_uniform_source", []byte("[_uniform_source] may not send to [_uniform_target].")
	}
	return methodAuthorized, nil
}

// proofFault returns what is wrong with the proof of a host, as a suffix for the method that says so; "" if nothing is known.
func proofFault(err error) string {
	var fault *Error
	if !errors.As(err, &fault) || !Inherits(fault.Method, errProof) {
		return ""
	}
	return strings.TrimPrefix(fault.Method, "_error_invalid")
}

// Authorize asks the peer to take packets from the domain local, one of ours, to the domain remote, one of its own. It
// returns nil when the peer consents, and from then on without asking. If the peer refuses, the error wraps an
// *[Error]: _error_invalid_uniform_source says that it does not believe us, _error_invalid_uniform_target that it does
// not host remote. In the 0.9 syntax, where each packet is judged by itself, the error is errors.ErrUnsupported.
//
// The peer's consent proves nothing about the peer. See [Circuit.Grant] for what was agreed before the circuit began.
func (c *Circuit) Authorize(ctx context.Context, local, remote string) error {
	key, err := canonicalPair(local, remote)
	if err != nil {
		return err
	}
	if early := c.initiator && c.cfg.Syntax == PSYC10 && !c.established.Load(); !early {
		if err := c.Handshake(ctx); err != nil {
			return err
		}
		if c.Syntax() != PSYC10 {
			return fmt.Errorf("psyc: authorize %s to send to %s in the 0.9 syntax: %w", local, remote, errors.ErrUnsupported)
		}
	}
	if c.proofs.isGranted(key) {
		return nil
	}
	p := &Packet{Method: methodAuthorize}
	p.Entity.Set("_uniform_source", rootOf(key.source))
	p.Entity.Set("_uniform_target", rootOf(key.target))
	reply, err := c.request(ctx, p, c.open)
	if err != nil {
		return fmt.Errorf("psyc: authorize %s to send to %s: %w", local, remote, err)
	}
	if !Inherits(reply.Method, methodAuthorized) {
		return fmt.Errorf("psyc: authorize %s to send to %s: %w", local, remote, reply.asError())
	}
	c.proofs.grant(key)
	return nil
}

// open sends p right behind our greeting if that is still to come, which saves a round trip, and greets if nobody has.
func (c *Circuit) open(ctx context.Context, p *Packet) error {
	c.mu.Lock()
	c.first = append(c.first, p)
	c.mu.Unlock()
	if err := c.Handshake(ctx); err != nil {
		return err
	}
	for _, p := range c.opening() { // the greeting had been sent
		if err := c.Send(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// opening takes what is to be sent right behind our greeting.
func (c *Circuit) opening() []*Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.first
	c.first = nil
	return first
}

// Grant records that the peer takes packets from the domain local to the domain remote: it has agreed to that in another
// way than [Circuit.Authorize], such as in the stream before a protocol switch. Names that are none are ignored.
func (c *Circuit) Grant(local, remote string) {
	if key, err := canonicalPair(local, remote); err == nil {
		c.proofs.grant(key)
	}
}

// Authorized reports whether the peer has agreed to take packets from the domain local to the domain remote.
func (c *Circuit) Authorized(local, remote string) bool {
	key, err := canonicalPair(local, remote)
	return err == nil && c.proofs.isGranted(key)
}

func canonicalPair(source, target string) (key pair, err error) {
	if key.source, err = canonicalHost(source); err != nil {
		return pair{}, err
	}
	if key.target, err = canonicalHost(target); err != nil {
		return pair{}, err
	}
	return key, nil
}

func (t *proofTable) grant(key pair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.granted == nil || len(t.granted) >= t.limit {
		t.granted = make(map[pair]struct{})
	}
	t.granted[key] = struct{}{}
}

func (t *proofTable) isGranted(key pair) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.granted[key]
	return ok
}
