package rig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificateLifetime is that of everything a CA issues; NotBefore lies an hour back for clocks that disagree.
const certificateLifetime = 24 * time.Hour

// CA is a certificate authority (ECDSA, P-256) for one test. Its files last as long as the test.
type CA struct {
	// File is the CA's certificate in PEM, what a server is told to trust.
	File string
	// Pool holds the CA's certificate alone.
	Pool *x509.CertPool

	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Certificate is an end-entity certificate with its key, in memory and in PEM files.
type Certificate struct {
	TLS tls.Certificate
	// CertFile holds the certificate, KeyFile its key, BundleFile key, certificate and the CA's certificate, which is what
	// ejabberd wants.
	CertFile, KeyFile, BundleFile string
}

// NewCA makes a certificate authority.
func NewCA(t TB) *CA {
	t.Helper()
	ca := &CA{dir: t.TempDir(), Pool: x509.NewCertPool()}
	ca.File = filepath.Join(ca.dir, "ca.crt")
	template := certificateTemplate("rig test CA")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	ca.key = newKey(t)
	ca.cert = sign(t, template, template, ca.key.Public(), ca.key)
	ca.Pool.AddCert(ca.cert)
	writeFile(t, ca.File, certificatePEM(ca.cert))
	return ca
}

// Issue makes a certificate for the names, as dNSName subject alternative names and nothing else: an id-on-xmppAddr there crashes
// ejabberd 23.01, whoever shows it. It is good for TLS servers (serverAuth, all that public CAs still issue) and for the extra usages.
func (ca *CA) Issue(t TB, names []string, extra ...x509.ExtKeyUsage) *Certificate {
	t.Helper()
	return ca.issue(t, certificateTemplate(names[0]), names, extra)
}

// IssueExpired is Issue, but the certificate was good until a minute ago.
func (ca *CA) IssueExpired(t TB, names []string, extra ...x509.ExtKeyUsage) *Certificate {
	t.Helper()
	template := certificateTemplate(names[0])
	template.NotAfter = time.Now().Add(-time.Minute)
	return ca.issue(t, template, names, extra)
}

func (ca *CA) issue(t TB, template *x509.Certificate, names []string, extra []x509.ExtKeyUsage) *Certificate {
	t.Helper()
	template.DNSNames = names
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = append([]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, extra...)
	key := newKey(t)
	cert := sign(t, template, ca.cert, key.Public(), ca.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("encoding the key of %s: %v", names[0], err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	certPEM := certificatePEM(cert)

	base := filepath.Join(ca.dir, names[0]+"-"+cert.SerialNumber.Text(16))
	c := &Certificate{
		TLS:        tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
		CertFile:   base + ".crt",
		KeyFile:    base + ".key",
		BundleFile: base + ".pem",
	}
	writeFile(t, c.CertFile, certPEM)
	writeFile(t, c.KeyFile, keyPEM)
	writeFile(t, c.BundleFile, keyPEM, certPEM, certificatePEM(ca.cert))
	return c
}

func certificateTemplate(commonName string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: commonName},
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(certificateLifetime),
	}
}

func newKey(t TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("generating a key: %v", err)
	}
	return key
}

func sign(t TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		t.Fatalf("serial number: %v", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatalf("certificate for %s: %v", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("certificate for %s: %v", template.Subject.CommonName, err)
	}
	return cert
}

func certificatePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func writeFile(t TB, path string, parts ...[]byte) {
	t.Helper()
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
}
