package xmpp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"
)

// A testCA issues certificates for tests.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newTestCA(t testing.TB, change ...func(*x509.Certificate)) *testCA {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	for _, f := range change {
		f(template)
	}
	key := newTestKey(t)
	cert := signTestCert(t, template, template, key, key)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &testCA{cert, key, pool}
}

func newTestKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signTestCert(t testing.TB, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue makes a certificate for servers with the given dNSNames.
func (ca *testCA) issue(t testing.TB, names []string, change ...func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "leaf"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
	}
	for _, f := range change {
		f(template)
	}
	key := newTestKey(t)
	leaf := signTestCert(t, template, ca.cert, key, ca.key)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// withOtherName puts one otherName, and nothing else, into a critical subjectAltName.
func withOtherName(t testing.TB, form asn1.ObjectIdentifier, tag int, value string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		inner := must(asn1.Marshal(asn1.RawValue{Tag: tag, Bytes: []byte(value)}))
		explicit := must(asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}))
		name := must(asn1.Marshal(asn1.RawValue{
			Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true,
			Bytes: append(must(asn1.Marshal(form)), explicit...),
		}))
		c.DNSNames = nil
		c.ExtraExtensions = []pkix.Extension{{
			Id: oidSubjectAltName, Critical: true,
			Value: must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: name})),
		}}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestVerifyDomain(t *testing.T) {
	ca := newTestCA(t)
	confined := newTestCA(t, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical = true
		c.PermittedDNSDomains = []string{"hill.example"}
	})
	srv := func(name string) func(*x509.Certificate) {
		return withOtherName(t, oidSRVName, asn1.TagIA5String, name)
	}
	addr := func(name string) func(*x509.Certificate) {
		return withOtherName(t, oidXmppAddr, asn1.TagUTF8String, name)
	}
	usage := func(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = u }
	}
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	type changes []func(*x509.Certificate)

	for _, tt := range []struct {
		name   string
		ca     *testCA
		names  []string
		change changes
		domain string
		ok     bool
	}{
		{"dNSName", ca, []string{"hill.example"}, nil, "hill.example", true},
		{"dNSName in capitals", ca, []string{"Hill.Example"}, nil, "hill.example", true},
		{"second dNSName", ca, []string{"dale.example", "hill.example"}, nil, "hill.example", true},
		{"another domain", ca, []string{"dale.example"}, nil, "hill.example", false},
		{"parent domain", ca, []string{"example"}, nil, "hill.example", false},
		{"no name", ca, nil, nil, "hill.example", false},
		{"wildcard", ca, []string{"*.hill.example"}, nil, "rooms.hill.example", true},
		{"wildcard for the base", ca, []string{"*.hill.example"}, nil, "hill.example", false},
		{"wildcard for two labels", ca, []string{"*.hill.example"}, nil, "a.rooms.hill.example", false},
		{"wildcard for a top-level domain", ca, []string{"*.example"}, nil, "hill.example", false},
		{"wildcard within a label", ca, []string{"r*.hill.example"}, nil, "rooms.hill.example", false},
		{"IDN", ca, []string{"xn--bcher-kva.example"}, nil, "bücher.example", true},
		{"IDN as A-labels", ca, []string{"xn--bcher-kva.example"}, nil, "xn--bcher-kva.example", true},
		{"SRVName", ca, nil, changes{srv("_xmpp-server.hill.example")}, "hill.example", true},
		{"SRVName of clients", ca, nil, changes{srv("_xmpp-client.hill.example")}, "hill.example", false},
		{"SRVName of another domain", ca, nil, changes{srv("_xmpp-server.dale.example")}, "hill.example", false},
		{"XmppAddr", ca, nil, changes{addr("hill.example")}, "hill.example", true},
		{"XmppAddr IDN", ca, nil, changes{addr("bücher.example")}, "bücher.example", true},
		{"XmppAddr of a person", ca, nil, changes{addr("jack@hill.example")}, "hill.example", false},
		{"XmppAddr with a NUL", ca, nil, changes{addr("hill.example\x00.dale.example")}, "hill.example", false},
		{"serverAuth only", ca, []string{"hill.example"}, changes{usage(x509.ExtKeyUsageServerAuth)}, "hill.example", true},
		{"clientAuth only", ca, []string{"hill.example"}, changes{usage(x509.ExtKeyUsageClientAuth)}, "hill.example", true},
		{"no usage", ca, []string{"hill.example"}, changes{usage()}, "hill.example", true},
		{"mail only", ca, []string{"hill.example"}, changes{usage(x509.ExtKeyUsageEmailProtection)}, "hill.example", false},
		{"expired", ca, []string{"hill.example"}, changes{expired}, "hill.example", false},
		{"unknown CA", newTestCA(t), []string{"hill.example"}, nil, "hill.example", false},
		{"confined CA inside", confined, []string{"hill.example"}, nil, "hill.example", true},
		{"confined CA outside", confined, []string{"dale.example"}, nil, "dale.example", false},
		{"confined CA inside by XmppAddr", confined, nil, changes{addr("hill.example")}, "hill.example", true},
		{"confined CA outside by XmppAddr", confined, nil, changes{addr("dale.example")}, "dale.example", false},
		{"no domain", ca, []string{"hill.example"}, nil, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(ca.cert)
			roots.AddCert(confined.cert)
			err := VerifyDomain(roots, tt.ca.issue(t, tt.names, tt.change...).Leaf, nil, tt.domain)
			if (err == nil) != tt.ok {
				t.Errorf("VerifyDomain: %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// A certificate further up what the peer sends may be anybody's: only the leaf counts.
func TestVerifyDomainLeafOnly(t *testing.T) {
	ca := newTestCA(t)
	mine := ca.issue(t, []string{"dale.example"}).Leaf
	victim := ca.issue(t, []string{"hill.example"}).Leaf
	err := VerifyDomain(ca.pool, mine, []*x509.Certificate{victim}, "hill.example")
	var wrong x509.HostnameError
	if !errors.As(err, &wrong) {
		t.Errorf("VerifyDomain: %v, want a HostnameError", err)
	}
}

func TestVerifyDomainIntermediate(t *testing.T) {
	root := newTestCA(t)
	key := newTestKey(t)
	cert := signTestCert(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "intermediate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, root.cert, key, root.key)
	leaf := (&testCA{cert: cert, key: key}).issue(t, []string{"hill.example"}).Leaf
	if err := VerifyDomain(root.pool, leaf, []*x509.Certificate{cert}, "hill.example"); err != nil {
		t.Error(err)
	}
	if err := VerifyDomain(root.pool, leaf, nil, "hill.example"); err == nil {
		t.Error("accepted without the intermediate certificate")
	}
}
