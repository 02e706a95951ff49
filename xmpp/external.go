package xmpp

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strings"
)

const nsSASL = "urn:ietf:params:xml:ns:xmpp-sasl"

// External is SASL EXTERNAL between servers (RFC 6120 section 6, XEP-0178): the certificate of the initiating side
// proves its domain. verify decides about the peer's certificate; nil means [VerifyDomain] with the system's roots.
//
// The accepting side offers it only to a peer whose certificate verifies for the domain in its stream header. A peer
// that is refused nevertheless may go on with [Dialback].
func External(verify func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error) Feature {
	if verify == nil {
		verify = func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
			return VerifyDomain(nil, leaf, rest, domain)
		}
	}
	x := &external{verify: verify}
	return Feature{
		Name:          xml.Name{Space: nsSASL, Local: "mechanisms"},
		Requires:      Secure,
		Excludes:      Authenticated,
		Offer:         x.offer,
		Start:         x.start,
		Serve:         x.serve,
		authenticates: true,
	}
}

// saslRetries is how often a peer may try in vain (RFC 6120 section 6.4.5 recommends 2 to 5).
const saslRetries = 3

type external struct {
	verify func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error
}

// proves returns the peer's certificate if it proves domain.
func (x *external) proves(s *Stream, domain string) (*x509.Certificate, error) {
	leaf, rest, ok := s.peerCertificates()
	if !ok {
		return nil, fmt.Errorf("xmpp: no certificate for %s", domain)
	}
	return leaf, x.verify(leaf, rest, domain)
}

func (x *external) offer(s *Stream, dst []byte) []byte {
	remote := s.Remote()
	if s.State()&Secure == 0 || remote == "" {
		return dst
	}
	if _, err := x.proves(s, remote); err != nil {
		s.debug("SASL EXTERNAL not offered", "reason", err)
		return dst
	}
	return append(dst, "<mechanisms xmlns='"+nsSASL+"'><mechanism>EXTERNAL</mechanism></mechanisms>"...)
}

func (x *external) start(ctx context.Context, s *Stream, offer Element) (State, error) {
	offered := false
	for m := range offer.Children() {
		offered = offered || m.Name().Local == "mechanism" && strings.TrimSpace(m.Text()) == "EXTERNAL"
	}
	if !offered {
		return 0, fmt.Errorf("%w: no mechanism EXTERNAL", ErrDeclined)
	}
	// The domain is said even where "=" would do (XEP-0178 section 3, step 9): there are servers that insist on it.
	auth := "<auth xmlns='" + nsSASL + "' mechanism='EXTERNAL'>" +
		base64.StdEncoding.EncodeToString([]byte(s.Local())) + "</auth>"
	if err := s.WriteRaw(ctx, []byte(auth)); err != nil {
		return 0, err
	}
	e, err := s.ReadElement(ctx)
	if err != nil {
		return 0, err
	}
	switch e.Name() {
	case xml.Name{Space: nsSASL, Local: "success"}:
		s.authorize(pair{s.Local(), s.Remote()})
		s.authorizedBoth(pair{s.Local(), s.Remote()})
		return Authenticated | Restart, nil
	case xml.Name{Space: nsSASL, Local: "failure"}:
		return 0, fmt.Errorf("%w: SASL EXTERNAL: %w", ErrDeclined, saslCondition(e))
	}
	return 0, unsupported(e)
}

// saslCondition returns the condition of a SASL failure (RFC 6120 section 6.5).
func saslCondition(failure Element) Condition {
	for c := range failure.Children() {
		if c.Name().Space == nsSASL && c.Name().Local != "text" {
			return Condition(c.Name().Local)
		}
	}
	return NotAuthorized
}

func (x *external) serve(ctx context.Context, s *Stream, e Element) (State, error) {
	state := s.State()
	if s.initiator || state&Authenticated != 0 || e.Name().Local != "auth" {
		return 0, unsupported(e)
	}
	refuse := func(condition string, reason error) (State, error) {
		if s.saslRefused++; s.saslRefused > saslRetries {
			return 0, &StreamError{Condition: PolicyViolation, Text: "too many attempts to authenticate", Local: true}
		}
		s.warn("SASL EXTERNAL refused", "condition", condition, "reason", reason)
		return 0, s.WriteRaw(ctx, []byte("<failure xmlns='"+nsSASL+"'><"+condition+"/></failure>"))
	}
	if state&Secure == 0 {
		return refuse("encryption-required", nil)
	}
	if mechanism, _ := e.Attr("mechanism"); mechanism != "EXTERNAL" {
		return refuse("invalid-mechanism", nil)
	}
	remote := s.Remote()
	if text := strings.TrimSpace(e.Text()); text != "" && text != "=" {
		authzid, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return refuse("incorrect-encoding", err)
		}
		// XEP-0178 section 3, step 10: it must be the domain of the stream header.
		if domain, err := domainAttr(string(authzid)); err != nil || domain != remote {
			return refuse("invalid-authzid", err)
		}
	}
	if remote == "" {
		return refuse("invalid-authzid", nil)
	}
	leaf, err := x.proves(s, remote)
	if err != nil {
		return refuse("not-authorized", err)
	}
	if err := s.WriteRaw(ctx, []byte("<success xmlns='"+nsSASL+"'/>")); err != nil {
		return 0, err
	}
	s.prove(Proof{Local: s.Local(), Remote: remote, By: ByExternal, Until: leaf.NotAfter})
	return Authenticated | Restart, nil
}
