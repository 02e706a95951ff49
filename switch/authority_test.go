package psycswitch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// An authority issues certificates for a test. It keeps no files and takes the time from the bubble that it is made in.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	ca := &authority{t: t, pool: x509.NewCertPool()}
	ca.cert, ca.key = ca.sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "authority of a test"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil)
	ca.pool.AddCert(ca.cert)
	return ca
}

// certificate is what hosts have.
type certificate = tls.Certificate

// issue returns a certificate for the names, with serverAuth alone, as public authorities make them.
func (ca *authority) issue(names ...string) *certificate {
	ca.t.Helper()
	return ca.issueUntil(time.Time{}, names...)
}

// issueUntil is issue with an end; zero: in ten days.
func (ca *authority) issueUntil(end time.Time, names ...string) *certificate {
	ca.t.Helper()
	cert, key := ca.sign(&x509.Certificate{
		NotAfter:    end,
		DNSNames:    names,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// sign makes a key and a certificate for it, signed by by or by itself.
func (ca *authority) sign(template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	ca.t.Helper()
	template.SerialNumber = big.NewInt(1)
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(10 * 24 * time.Hour)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert, key
}
