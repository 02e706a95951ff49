package xmpp

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/switchyard-im/switchyard/uniform"
)

// Object identifiers of subject alternative names (RFC 4985, RFC 6120 section 13.7.1.4).
var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSRVName        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 7}
	oidXmppAddr       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5}
)

// VerifyDomain checks that the certificate leaf proves domain (RFC 6120 section 13.7.2): there is a chain from it to
// one of roots (nil: the system's) by way of rest, valid now; and leaf names the domain in a dNSName, in which "*" may
// stand for the first label, in an SRVName of the service xmpp-server, or in an XmppAddr.
//
// Only leaf is looked at for names: what a peer sends along may be anybody's. A leaf that is good for servers is good
// for both sides, as public CAs issue no others. Errors are those of crypto/x509: [x509.HostnameError] for
// a good certificate of somebody else.
func VerifyDomain(roots *x509.CertPool, leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
	canonical, err := domainAttr(domain)
	if err != nil {
		return err
	}
	intermediates := x509.NewCertPool()
	for _, c := range rest {
		intermediates.AddCert(c)
	}
	names := otherNames(leaf)
	if len(names) > 0 {
		// crypto/x509 calls subjectAltName unhandled if it holds otherNames alone.
		c := *leaf
		c.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions),
			func(oid asn1.ObjectIdentifier) bool { return oid.Equal(oidSubjectAltName) })
		leaf = &c
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("xmpp: certificate for %s: %w", domain, err)
	}
	if namesDNS(leaf, canonical) || namesOther(names, canonical) && permitted(chains, uniform.ASCIIDomain(canonical)) {
		return nil
	}
	return fmt.Errorf("xmpp: certificate for %s: %w", domain, x509.HostnameError{Certificate: leaf, Host: domain})
}

// namesDNS reports whether a dNSName of leaf, or an iPAddress for a domain that is one, is domain.
func namesDNS(leaf *x509.Certificate, domain string) bool {
	if addr, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
		for _, ip := range leaf.IPAddresses {
			if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap() == addr.Unmap() {
				return true
			}
		}
		return false
	}
	host := uniform.ASCIIDomain(domain)
	_, parent, _ := strings.Cut(host, ".")
	for _, name := range leaf.DNSNames {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if name == host && !strings.Contains(name, "*") {
			return true
		}
		// A wildcard for a whole top-level domain is nobody's to have.
		if base, ok := strings.CutPrefix(name, "*."); ok && base == parent && strings.Contains(base, ".") {
			return true
		}
	}
	return false
}

// An otherName is a name in a form that crypto/x509 does not know.
type otherName struct {
	form  asn1.ObjectIdentifier
	value string
}

// otherNames returns the SRVNames and XmppAddrs of a certificate.
func otherNames(leaf *x509.Certificate) []otherName {
	var names []otherName
	for _, ext := range leaf.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		var general asn1.RawValue
		if rest, err := asn1.Unmarshal(ext.Value, &general); err != nil || len(rest) > 0 {
			continue
		}
		for rest := general.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil {
				break
			}
			if name.Class != asn1.ClassContextSpecific || name.Tag != 0 {
				continue
			}
			var n otherName
			var explicit, value asn1.RawValue
			after, err := asn1.Unmarshal(name.Bytes, &n.form)
			if err != nil {
				continue
			}
			if _, err := asn1.Unmarshal(after, &explicit); err != nil {
				continue
			}
			if _, err := asn1.Unmarshal(explicit.Bytes, &value); err != nil || bytes.IndexByte(value.Bytes, 0) >= 0 {
				continue
			}
			n.value = string(value.Bytes)
			switch {
			case n.form.Equal(oidSRVName) && value.Tag == asn1.TagIA5String,
				n.form.Equal(oidXmppAddr) && value.Tag == asn1.TagUTF8String:
				names = append(names, n)
			}
		}
	}
	return names
}

// namesOther reports whether one of names is domain.
func namesOther(names []otherName, domain string) bool {
	for _, n := range names {
		value := n.value
		if n.form.Equal(oidSRVName) {
			var ok bool
			if value, ok = strings.CutPrefix(strings.ToLower(value), "_xmpp-server."); !ok {
				continue
			}
		}
		if d, err := uniform.Domain(value); err == nil && d == domain {
			return true
		}
	}
	return false
}

// permitted reports whether the name constraints of one of the chains allow domain. crypto/x509 applies them to
// dNSNames only, so that a CA confined to one domain could certify any other by an otherName.
func permitted(chains [][]*x509.Certificate, domain string) bool {
	within := func(constraints []string) bool {
		return slices.ContainsFunc(constraints, func(c string) bool {
			c = strings.ToLower(strings.TrimPrefix(c, "."))
			return c == "" || domain == c || strings.HasSuffix(domain, "."+c)
		})
	}
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return !slices.ContainsFunc(chain[1:], func(ca *x509.Certificate) bool {
			return len(ca.PermittedDNSDomains) > 0 && !within(ca.PermittedDNSDomains) || within(ca.ExcludedDNSDomains)
		})
	})
}
