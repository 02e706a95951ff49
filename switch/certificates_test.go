package psycswitch_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// severalHosts are hosts with several certificates each.
type severalHosts map[string][]*tls.Certificate

func (h severalHosts) Certificates(domain string) ([]*tls.Certificate, error) {
	certs, ok := h[domain]
	if !ok {
		return nil, psycswitch.ErrNotHosted
	}
	return certs, nil
}

func (h severalHosts) Certificate(domain string) (*tls.Certificate, error) {
	certs, err := h.Certificates(domain)
	if err != nil || len(certs) == 0 {
		return nil, err
	}
	return certs[0], nil
}

// issueRSA is issue with the other kind of key.
func (ca *authority) issueRSA(names ...string) *certificate {
	ca.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		ca.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Of several certificates each peer sees one that it can do with, by the name that it asks for.
func TestSeveralCertificates(t *testing.T) {
	rsaOnly := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, test := range []struct {
		name   string
		server string
		suites []uint16 // of TLS 1.2; nil: TLS 1.3
		kind   x509.PublicKeyAlgorithm
		fails  bool
	}{
		{"best", "north.example", nil, x509.ECDSA, false},
		{"all that the peer can do", "north.example", rsaOnly, x509.RSA, false},
		{"another order", "second.example", nil, x509.RSA, false},
		{"in A-labels", "xn--nrd-0na.example", rsaOnly, x509.RSA, false},
		{"one alone", "third.example", nil, x509.ECDSA, false},
		{"one alone, which does not fit", "third.example", rsaOnly, x509.ECDSA, true},
		{"without a certificate", "fourth.example", nil, 0, true},
		{"not hosted", "fifth.example", nil, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ca := w.tls()
				w.add("10.0.0.1", nil, func(y *yard) {
					y.Hosts = severalHosts{
						"north.example":  {ca.issue("north.example"), ca.issueRSA("north.example")},
						"second.example": {ca.issueRSA("second.example"), ca.issue("second.example")},
						"nørd.example":   {ca.issue("xn--nrd-0na.example"), ca.issueRSA("xn--nrd-0na.example")},
						"third.example":  {ca.issue("third.example")},
						"fourth.example": {},
					}
				})
				w.start()
				c := w.dial("10.0.0.7", "10.0.0.1"+port)
				cfg := &tls.Config{RootCAs: w.roots, ServerName: test.server}
				if test.suites != nil {
					cfg.MaxVersion, cfg.CipherSuites = tls.VersionTLS12, test.suites
				}
				secure := tls.Client(c.Conn, cfg)
				err := secure.HandshakeContext(t.Context())
				if (err != nil) != test.fails {
					t.Fatal(err)
				}
				if !test.fails {
					if kind := secure.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm; kind != test.kind {
						t.Errorf("shown one with %v", kind)
					}
				}
				c.Close()
			})
		})
	}
}

// A server that we dial sees the certificate that it says it believes.
func TestSeveralClientCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca, other := w.tls(), &authority{t: t, pool: x509.NewCertPool()}
		other.cert, other.key = ca.sign(&x509.Certificate{
			Subject: pkix.Name{CommonName: "another one"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}, nil)
		other.pool.AddCert(other.cert)
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: "10.0.0.9" + port}}
		certs := []*tls.Certificate{ca.issue("north.example"), other.issue("north.example")}
		north := w.add("10.0.0.1", nil, func(y *yard) { y.Hosts = severalHosts{"north.example": certs} })
		far := w.net.listen("10.0.0.9" + port)
		defer far.Close()
		w.start()
		for i, believed := range []*x509.CertPool{nil, ca.pool, other.pool} {
			north.send(chat("ada@north.example", "bob@far.example", "1", "hello"))
			c := far.accept(t)
			secure := tls.Server(c.Conn, &tls.Config{
				Certificates: []tls.Certificate{*ca.issue("far.example")}, ClientAuth: tls.RequestClientCert, ClientCAs: believed,
			})
			if err := secure.Handshake(); err != nil {
				t.Fatal(err)
			}
			want := certs[0]
			if believed == other.pool {
				want = certs[1]
			}
			if got := secure.ConnectionState().PeerCertificates; len(got) == 0 || !got[0].Equal(want.Leaf) {
				t.Errorf("%d: another certificate was shown", i)
			}
			c.Close()
			if got := north.next(); errorCondition(got) == "" {
				t.Errorf("got %s", got.Append(nil))
			}
			time.Sleep(2 * time.Hour) // until it is tried anew
		}
	})
}

// A domain of somebody who has pointed it here by DNS is dialled, greeted and proved by its own name, with no more than its certificate; more than one of
// them by the same connection.
func TestDomainsByDNS(t *testing.T) {
	for name, records := range map[string][]string{
		"PSYC by SRV":        {"_psyc._tls.user.example. 300 IN SRV 0 0 5269 host.example."},
		"PSYC, SRV by CNAME": {"_psyc._tls.user.example. 300 IN CNAME _psyc._tls.host.example.", "_psyc._tls.host.example. 300 IN SRV 0 0 5269 host.example."},
		"XMPP by SRV":        {"_xmpp-server._tcp.user.example. 300 IN SRV 0 0 5269 host.example."},
		"XMPP by CNAME":      {"user.example. 300 IN CNAME host.example."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ca := w.tls()
				dns := dnstest.New(append(records, "host.example. 300 IN A 10.0.0.2", "club.example. 300 IN CNAME host.example.")...)
				north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), func(y *yard) {
					y.Resolver = &psycswitch.DNS{Servers: []string{"192.0.2.53"}, Dial: dns.Dial}
				})
				var hosts *movingHosts
				south := w.add("10.0.0.2", with(ca.issue("host.example"), "host.example"), func(y *yard) { hosts = y.moving() })
				hosts.set("user.example", ca.issue("user.example"))
				w.start()
				for _, domain := range []string{"user.example", "club.example", "user.example"} {
					if domain == "club.example" { // comes while the other one is in use
						hosts.set(domain, ca.issue(domain))
					}
					north.send(chat("ada@north.example", "bob@"+domain, domain, "hello"))
					if got := south.next(); got.ID != domain || got.To.Domain() != domain {
						t.Errorf("got %s", got.Append(nil))
					}
					south.send(chat("bob@"+domain, "ada@north.example", domain, "hello"))
					if got := north.next(); got.ID != domain || got.From.Domain() != domain {
						t.Errorf("got %s", got.Append(nil))
					}
				}
				if n := w.net.dialled("10.0.0.1"+port) + w.net.dialled("10.0.0.2"+port); n != 1 {
					t.Errorf("%d connections", n)
				}
				for l := range north.Links() {
					if l.Protocol != psycswitch.PSYC || l.TLS == nil || l.TLS.PeerCertificates[0].VerifyHostname("user.example") != nil {
						t.Errorf("link %+v", l)
					}
				}
			})
		})
	}
}
