package xmpp

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"strings"
)

// serve is what the peer wants of us: to be verified (db:result), or our word as the authoritative server (db:verify).
func (d *dialback) serve(ctx context.Context, s *Stream, e Element) (State, error) {
	x, err := dialbackExchange(e)
	if err != nil {
		return 0, err
	}
	key := strings.TrimSpace(e.Text())
	if x.verify {
		return 0, d.vouch(ctx, s, x, key)
	}
	p := pair{x.local, x.remote}
	if s.initiator {
		if both := Bidirectional | Authenticated; s.State()&both != both {
			// Stanzas would have to flow against the stream's direction (XEP-0220 section 2.3).
			return 0, unsupported(e)
		}
		if !s.sendsFor(p.local) { // XEP-0288 section 2.2
			return 0, d.refuse(ctx, s, p, &StanzaError{Condition: NotAllowed})
		}
	}
	return 0, d.receive(ctx, s, p, key)
}

// vouch answers for a key as the authoritative server (XEP-0220 section 2.2.2).
func (d *dialback) vouch(ctx context.Context, s *Stream, x exchange, key string) error {
	answer := func(typ, content string) error {
		return s.WriteRaw(ctx, appendDialback(nil, true, x.local, x.remote, x.id, typ, content))
	}
	switch refusal := s.refusesDialback(x.local); {
	case refusal != nil:
		return answer("error", dialbackErrorXML(refusal))
	case x.id != "" && subtle.ConstantTimeCompare([]byte(key), []byte(d.key(x.remote, x.local, x.id))) == 1 &&
		(!d.cfg.LiveOnly || d.isLive(liveKey{x.local, x.remote, x.id})):
		return answer("valid", "")
	}
	s.warn("not our dialback key", "from", x.remote, "to", x.local)
	return answer("invalid", "")
}

// refusesDialback returns what is wrong with a request to domain local whatever the key, or nil.
func (s *Stream) refusesDialback(local string) *StanzaError {
	switch {
	case !s.hosts(local):
		return &StanzaError{Condition: ItemNotFound}
	case !s.cfg.Plaintext && s.State()&Secure == 0:
		return &StanzaError{Condition: PolicyViolation, Text: "TLS is required here"}
	}
	return nil
}

// receive has a key verified, or does without, and answers (XEP-0220 section 2.2.1).
func (d *dialback) receive(ctx context.Context, s *Stream, p pair, key string) error {
	if refusal := s.refusesDialback(p.local); refusal != nil {
		return d.refuse(ctx, s, p, refusal)
	}
	if s.Proven(p.local, p.remote) {
		return d.accept(ctx, s, Proof{Local: p.local, Remote: p.remote, By: 0})
	}
	if s.provenPairs() >= maxProven {
		return d.refuse(ctx, s, p, &StanzaError{Condition: ResourceConstraint, Type: "wait"})
	}
	if d.cfg.Certificate != nil {
		if leaf, rest, ok := s.peerCertificates(); ok {
			err := d.cfg.Certificate(leaf, rest, p.remote)
			if err == nil {
				return d.accept(ctx, s, Proof{Local: p.local, Remote: p.remote, By: ByCertificate, Until: leaf.NotAfter})
			}
			s.debug("certificate does not prove domain", "from", p.remote, "reason", err)
		}
	}
	if d.cfg.Verify == nil {
		return d.refuse(ctx, s, p, &StanzaError{Condition: NotAuthorized})
	}
	s.mu.Lock()
	full := s.verifying >= d.cfg.Outstanding
	if !full {
		s.verifying++
	}
	id := s.id
	s.mu.Unlock()
	if full {
		return d.refuse(ctx, s, p, &StanzaError{Condition: ResourceConstraint})
	}
	go d.verify(s, p, id, key)
	return nil
}

// maxProven is how many pairs a peer may prove on one stream. With a certificate for *.example, or a name server of its own,
// it has any number of domains.
const maxProven = 4096

func (s *Stream) provenPairs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.proven)
}

// verify asks the authoritative server. It runs in a goroutine of its own that ends with the stream.
func (d *dialback) verify(s *Stream, p pair, id, key string) {
	ctx, cancel := context.WithTimeout(s.life, d.cfg.Timeout)
	defer cancel()
	err := d.cfg.Verify(ctx, p.local, p.remote, id, key)
	s.mu.Lock()
	s.verifying--
	s.mu.Unlock()
	switch {
	case err == nil:
		s.prove(Proof{Local: p.local, Remote: p.remote, By: ByDialback})
		if s.State()&Ready == 0 {
			// Negotiate may be reading, but has nothing to wait for any more. The peer hears of it afterwards, or its first
			// stanza would be measured by the limits for strangers.
			s.in.wake()
			select {
			case <-s.negotiated:
			case <-s.life.Done():
			}
		}
		err = d.accept(s.life, s, Proof{Local: p.local, Remote: p.remote})
	case !errors.Is(err, ErrInvalidKey):
		s.warn("dialback key not verified", "from", p.remote, "to", p.local, "reason", err)
		err = d.refuse(s.life, s, p, verifyError(err))
	case s.provenFor(""):
		// An answer of type invalid would oblige us to close the stream on the pairs that are in order.
		s.warn("forged dialback key", "from", p.remote, "to", p.local)
		err = d.refuse(s.life, s, p, &StanzaError{Condition: Forbidden})
	default:
		s.warn("forged dialback key", "from", p.remote, "to", p.local)
		s.WriteRaw(s.life, appendDialback(nil, false, p.local, p.remote, "", "invalid", ""))
		err = ErrInvalidKey
	}
	if err != nil {
		s.fail(err)
	}
}

// accept tells the peer that it may send.
func (d *dialback) accept(ctx context.Context, s *Stream, proof Proof) error {
	if proof.By != 0 {
		s.prove(proof)
	}
	if err := s.WriteRaw(ctx, appendDialback(nil, false, proof.Local, proof.Remote, "", "valid", "")); err != nil {
		return err
	}
	s.provedBoth(pair{proof.Local, proof.Remote})
	return nil
}

// refuse tells the peer that it may not send; the stream goes on.
func (d *dialback) refuse(ctx context.Context, s *Stream, p pair, reason *StanzaError) error {
	s.debug("dialback refused", "from", p.remote, "to", p.local, "reason", reason)
	return s.WriteRaw(ctx, appendDialback(nil, false, p.local, p.remote, "", "error", dialbackErrorXML(reason)))
}

// verifyError returns the error of XEP-0220 section 2.5 that a failure to verify stands for.
func verifyError(err error) *StanzaError {
	var (
		answer  *StanzaError
		stream  *StreamError
		cond    Condition
		timeout net.Error
	)
	switch {
	case errors.As(err, &answer):
		return &StanzaError{Condition: RemoteServerNotFound}
	case errors.As(err, &stream):
		if stream.Condition == HostUnknown {
			return &StanzaError{Condition: RemoteServerNotFound}
		}
		return &StanzaError{Condition: RemoteServerTimeout}
	case errors.As(err, &cond):
		return &StanzaError{Condition: cond}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, ErrClosed), errors.As(err, &timeout) && timeout.Timeout():
		return &StanzaError{Condition: RemoteServerTimeout}
	}
	return &StanzaError{Condition: RemoteConnectionFailed}
}

// dialbackErrorXML returns the <error/> of a dialback element, which is in the stream's content namespace.
func dialbackErrorXML(e *StanzaError) string {
	if e.Condition != RemoteConnectionFailed {
		return string(e.append(nil))
	}
	// XEP-0220 borrows this one from the stream errors.
	return "<error type='cancel'><" + string(e.Condition) + " xmlns='" + NSStanzaErrors + "'/></error>"
}
