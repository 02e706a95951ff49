package xmpp

import (
	"context"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
)

const (
	nsBidiFeature = "urn:xmpp:features:bidi"
	nsBidi        = "urn:xmpp:bidi"
)

// BidiConfig configures [Bidi].
type BidiConfig struct {
	// Verify decides whether the certificate that the accepting side showed as TLS server proves domain; nil means
	// [VerifyDomain] with the system's roots.
	Verify func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error

	// ByName takes an accepting side without TLS for the domain that was dialled. This is a weak proof: it is worth as much as the
	// DNS and the network between, which is what dialback rests on. The proof is marked [ByName].
	ByName bool
}

// Bidi is XEP-0288: stanzas flow both ways on one stream. It stands behind [StartTLS] and before [External] and
// [Dialback] in Config.Features, as it has to be agreed on before authentication.
//
// For each pair that is authorized, the accepting side may then send, too: [Stream.Authorized] is true there for every pair that the
// peer proved. The initiating side believes the accepting one as far as it has a proof of its own, which SASL and
// dialback do not give: the certificate of the TLS server for each remote domain, or what BidiConfig.ByName allows for the
// domain of the stream header. Without a proof of that domain it does not ask for a bidirectional stream. [Bidirectional] in
// [Stream.State] tells whether both agreed.
//
// With dialback, the accepting side may then have further pairs authorized in its turn, from any domain of its own to one that the peer
// has proved, by [Stream.Authorize]; the initiating side serves that, and both may send for such a pair (section 2.2).
//
// Both sides have to range over [Stream.Stanzas].
func Bidi(cfg BidiConfig) Feature {
	if cfg.Verify == nil {
		cfg.Verify = func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
			return VerifyDomain(nil, leaf, rest, domain)
		}
	}
	b := &bidi{cfg}
	return Feature{
		Name:     xml.Name{Space: nsBidiFeature, Local: "bidi"},
		Space:    nsBidi,
		Excludes: Authenticated,
		Offer: func(_ *Stream, dst []byte) []byte {
			return append(dst, "<bidi xmlns='"+nsBidiFeature+"'/>"...)
		},
		Start: b.start,
		Serve: b.serve,
		bidi:  b,
	}
}

type bidi struct {
	cfg BidiConfig
}

var errBidiPlaintext = errors.New("without TLS the peer is nobody but a name")

// proof returns what proves to the initiating side that the peer is remote.
func (b *bidi) proof(s *Stream, p pair) (Proof, error) {
	proof := Proof{Local: p.local, Remote: p.remote}
	leaf, rest, ok := s.peerCertificates()
	if !ok {
		if !b.cfg.ByName || s.State()&Secure != 0 || p.remote != s.Remote() {
			return proof, errBidiPlaintext
		}
		proof.By = ByName
		return proof, nil
	}
	proof.By, proof.Until = ByServerCertificate, leaf.NotAfter
	return proof, b.cfg.Verify(leaf, rest, p.remote)
}

func (b *bidi) start(ctx context.Context, s *Stream, _ Element) (State, error) {
	if _, err := b.proof(s, pair{s.Local(), s.Remote()}); err != nil {
		return 0, fmt.Errorf("%w: bidirectional stream: %w", ErrDeclined, err)
	}
	// There is no answer (XEP-0288 section 2.2).
	return Bidirectional, s.WriteRaw(ctx, []byte("<bidi xmlns='"+nsBidi+"'/>"))
}

func (b *bidi) serve(_ context.Context, s *Stream, e Element) (State, error) {
	if s.initiator || s.State()&(Authenticated|Bidirectional) != 0 || e.Name().Local != "bidi" {
		return 0, unsupported(e)
	}
	return Bidirectional, nil
}

// provedBoth lets us send for a pair that the peer has proved, if the stream goes both ways.
func (s *Stream) provedBoth(p pair) {
	if s.State()&Bidirectional != 0 {
		s.authorize(p)
	}
}

// authorizedBoth lets the peer send for a pair for which it lets us send, if the stream goes both ways.
func (s *Stream) authorizedBoth(p pair) {
	if s.State()&Bidirectional == 0 {
		return
	}
	if !s.initiator {
		s.proveAgain(p)
		return
	}
	for i := range s.cfg.Features {
		b := s.cfg.Features[i].bidi
		if b == nil {
			continue
		}
		proof, err := b.proof(s, p)
		if err != nil {
			s.debug("nothing is taken from the peer for this pair", "from", p.remote, "to", p.local, "reason", err)
			return
		}
		s.prove(proof)
	}
}

// proveAgain extends what the peer has proved of its domain to another of ours.
func (s *Stream) proveAgain(p pair) {
	for _, proof := range s.Proofs() {
		if proof.Remote == p.remote {
			proof.Local = p.local
			s.prove(proof)
			return
		}
	}
}

// sendsFor reports whether local is a domain of ours that the peer has authorized towards any of its own.
func (s *Stream) sendsFor(local string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.authorized {
		if p.local == local {
			return true
		}
	}
	return false
}
