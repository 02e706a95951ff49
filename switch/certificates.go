package psycswitch

import (
	"crypto/tls"
	"fmt"

	"github.com/switchyard-im/switchyard/uniform"
)

// A CertificateLister is a [Hosts] that has several certificates for a domain, such as one for each kind of key that peers may want.
type CertificateLister interface {
	Hosts

	// Certificates returns domain's certificates, best first, none if it has none. Errors, and what else holds, are those of Certificate,
	// which returns the first one. In TLS the first one is shown that the peer can do with, by what it says in the handshake, and
	// if there is none the first of all.
	Certificates(domain string) ([]*tls.Certificate, error)
}

// certificates returns the certificates of a domain, at least one if there is no error.
func (c *Config) certificates(domain string) (certs []*tls.Certificate, err error) {
	if several, ok := c.Hosts.(CertificateLister); ok {
		certs, err = several.Certificates(domain)
	} else if cert, e := c.Hosts.Certificate(domain); cert != nil || e != nil {
		certs, err = []*tls.Certificate{cert}, e
	}
	if err == nil && len(certs) == 0 {
		err = fmt.Errorf("psycswitch: no certificate for %s", domain)
	}
	return certs, err
}

// fitting returns the first certificate that a peer supports, or else the first.
func fitting(certs []*tls.Certificate, supports func(*tls.Certificate) error) *tls.Certificate {
	if len(certs) > 1 {
		for _, cert := range certs {
			if supports(cert) == nil {
				return cert
			}
		}
	}
	return certs[0]
}

// serverCertificate finds what to show to a peer that has dialled us.
func (l *Link) serverCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	domain, err := uniform.Domain(hello.ServerName) // which is in A-labels
	if err != nil {
		return nil, fmt.Errorf("psycswitch: server name %q: %w", hello.ServerName, err)
	}
	certs, err := l.cfg.certificates(domain)
	if err != nil {
		return nil, err
	}
	return fitting(certs, hello.SupportsCertificate), nil
}

// clientCertificate finds what to show to a server that we have dialled. It may do without one, by dialback.
func (l *Link) clientCertificate(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certs, err := l.cfg.certificates(l.local)
	if err != nil {
		return new(tls.Certificate), nil
	}
	return fitting(certs, request.SupportsCertificate), nil
}
