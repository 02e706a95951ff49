package xmpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

const nsTLS = "urn:ietf:params:xml:ns:xmpp-tls"

// StartTLS is RFC 6120 section 5, with [TLSConfig] of cfg. It is required of the peer unless Config.Plaintext is set.
//
// Neither side's certificate is checked by crypto/tls: a peer is known by what [External] or [Dialback] prove. A
// function cfg.VerifyConnection is called as usual and may refuse the handshake.
func StartTLS(cfg *tls.Config) Feature {
	return Feature{
		Name:     xml.Name{Space: nsTLS, Local: "starttls"},
		Excludes: Secure,
		Offer: func(s *Stream, dst []byte) []byte {
			if s.cfg.Plaintext {
				return append(dst, "<starttls xmlns='"+nsTLS+"'/>"...)
			}
			return append(dst, "<starttls xmlns='"+nsTLS+"'><required/></starttls>"...)
		},
		Start: func(ctx context.Context, s *Stream, _ Element) (State, error) {
			return startTLS(ctx, s, cfg)
		},
		Serve: func(ctx context.Context, s *Stream, e Element) (State, error) {
			// The answer to a dialback key under verification would be written into the handshake.
			if s.initiator || s.State()&(Secure|Authenticated) != 0 || s.Pending() > 0 || e.Name().Local != "starttls" {
				return 0, unsupported(e)
			}
			return serveTLS(ctx, s, cfg)
		},
		secures: true,
	}
}

// TLSConfig returns a copy of cfg that fits TLS between servers, for both sides and for direct TLS (XEP-0368) too:
//
//   - the peer is asked for a certificate, which need not be there and is left to [VerifyDomain], since public CAs issue
//     certificates without clientAuth, which crypto/tls refuses in clients;
//   - no session tickets and no session cache: a resumed session would carry over the certificates of another stream;
//   - TLS 1.2 at least;
//   - an initiating side without certificates asks cfg.GetCertificate for the one of local, its own domain, and sends
//     remote as server name; an accepting side asks it for local where the peer sends no server name.
//
// local and remote may be empty where they are not known.
func TLSConfig(cfg *tls.Config, local, remote string) *tls.Config {
	c := &tls.Config{}
	if cfg != nil {
		c = cfg.Clone()
	}
	c.ClientAuth = tls.RequestClientCert
	c.InsecureSkipVerify = true
	c.SessionTicketsDisabled = true
	c.ClientSessionCache = nil
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if c.ServerName == "" {
		c.ServerName = uniform.ASCIIDomain(remote)
	}
	get := c.GetCertificate
	if get == nil || local == "" {
		return c
	}
	ours := uniform.ASCIIDomain(local)
	if c.GetClientCertificate == nil && len(c.Certificates) == 0 {
		c.GetClientCertificate = func(req *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := get(&tls.ClientHelloInfo{
				ServerName:        ours,
				SignatureSchemes:  req.SignatureSchemes,
				SupportedVersions: []uint16{req.Version},
			})
			if err != nil || cert == nil {
				return new(tls.Certificate), nil // no certificate: the peer may do with dialback
			}
			return cert, nil
		}
	}
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "" {
			hello.ServerName = ours
		}
		return get(hello)
	}
	return c
}

func startTLS(ctx context.Context, s *Stream, cfg *tls.Config) (State, error) {
	if err := s.WriteRaw(ctx, []byte("<starttls xmlns='"+nsTLS+"'/>")); err != nil {
		return 0, err
	}
	e, err := s.ReadElement(ctx)
	switch {
	case err != nil:
		return 0, err
	case e.Name() == xml.Name{Space: nsTLS, Local: "failure"}:
		// RFC 6120 section 5.4.2.2: the peer closes the stream now.
		return 0, fmt.Errorf("xmpp: %s refuses TLS: %w", s.Remote(), PolicyViolation)
	case e.Name() != xml.Name{Space: nsTLS, Local: "proceed"}:
		return 0, unsupported(e)
	}
	return s.secure(ctx, tls.Client(s.transport(), TLSConfig(cfg, s.Local(), s.Remote())))
}

func serveTLS(ctx context.Context, s *Stream, cfg *tls.Config) (State, error) {
	if len(s.rd.buffered()) > 0 {
		return 0, errInjection
	}
	if err := s.WriteRaw(ctx, []byte("<proceed xmlns='"+nsTLS+"'/>")); err != nil {
		return 0, err
	}
	return s.secure(ctx, tls.Server(s.transport(), TLSConfig(cfg, s.Local(), "")))
}

// What stands in clear behind the last element before TLS would be taken for part of the stream inside.
var errInjection = errors.New("xmpp: data in clear behind the start of TLS")

// secure makes the handshake and continues the stream inside.
func (s *Stream) secure(ctx context.Context, t *tls.Conn) (State, error) {
	if len(s.rd.buffered()) > 0 {
		return 0, errInjection
	}
	if err := s.out.flush(ctx); err != nil {
		return 0, err
	}
	// Deadlines of what was read and written last would end the handshake; ctx bounds it.
	if err := s.transport().SetDeadline(time.Time{}); err != nil {
		return 0, err
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return 0, fmt.Errorf("xmpp: TLS with %s: %w", s.Remote(), err)
	}
	s.setTransport(t)
	return Secure | Restart, nil
}

// peerCertificates returns the peer's certificate and what it sent along; ok is false if it sent none.
func (s *Stream) peerCertificates() (leaf *x509.Certificate, rest []*x509.Certificate, ok bool) {
	cs, ok := s.ConnectionState()
	if !ok || len(cs.PeerCertificates) == 0 {
		return nil, nil, false
	}
	return cs.PeerCertificates[0], cs.PeerCertificates[1:], true
}
