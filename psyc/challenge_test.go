package psyc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// exporter stands for the exporter of one TLS connection.
func exporter(connection string) func(string, []byte, int) ([]byte, error) {
	return func(label string, context []byte, n int) ([]byte, error) {
		h := hmac.New(sha256.New, []byte(connection))
		h.Write(append([]byte(label), context...))
		return h.Sum(nil)[:n], nil
	}
}

// A signer issues certificates.
type signer struct {
	t    testing.TB
	cert *tls.Certificate
	pool *x509.CertPool
}

func newSigner(t testing.TB) *signer {
	s := &signer{t: t, pool: x509.NewCertPool()}
	s.cert = s.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	s.pool.AddCert(s.cert.Leaf)
	return s
}

// issue signs a certificate, by itself if the signer has none yet.
func (s *signer) issue(template *x509.Certificate) *tls.Certificate {
	s.t.Helper()
	template.SerialNumber = big.NewInt(1)
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(48 * time.Hour)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	parent, by := template, any(key)
	if s.cert != nil {
		parent, by = s.cert.Leaf, s.cert.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (s *signer) named(names ...string) *tls.Certificate {
	return s.issue(&x509.Certificate{DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature})
}

// verify is HostProofs.Verify.
func (s *signer) verify(host string, chain []*x509.Certificate) (time.Time, error) {
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: s.pool, DNSName: host})
	return chain[0].NotAfter, err
}

// certified is a configuration for a host, others that it has, and a connection.
func (s *signer) certified(connection string, certs map[string]*tls.Certificate, host string) *Config {
	cfg := config(host)
	cfg.Hosted = func(h string) bool { _, ok := certs[h]; return ok || h == host }
	cfg.HostProofs = &HostProofs{
		Export: exporter(connection),
		Certificate: func(h string) (*tls.Certificate, error) {
			if cert, ok := certs[h]; ok {
				return cert, nil
			}
			return nil, errors.New("not here")
		},
		Verify: s.verify,
	}
	return cfg
}

// Hosts are proved in both directions, on demand and with the pair, and withdrawn.
func TestHostProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newSigner(t)
		ours := map[string]*tls.Certificate{"a1.example": ca.named("a1.example"), "a2.example": ca.named("a2.example")}
		theirs := map[string]*tls.Certificate{"b1.example": ca.named("b1.example")}
		ac, bc := ca.certified("one", ours, "a.example"), ca.certified("one", theirs, "b.example")
		var gone []string
		bc.HostProofs.Withdrawn = func(host string) { gone = append(gone, host) }
		a, b := pipe(ac, bc)
		shake(t, a, b)
		fromA, fromB := collect(b), collect(a)
		for _, host := range []string{"a1.example", "a2.example"} {
			if err := a.Authorize(t.Context(), host, "b.example"); err != nil {
				t.Error(err)
			}
			if !b.Proven(host) {
				t.Errorf("%s is not proved", host)
			}
		}
		for host, proof := range b.Proofs() {
			if left := time.Until(proof.Until); proof.Kind != ProofExporter || left < 47*time.Hour || left > 48*time.Hour {
				t.Errorf("%s: %+v", host, proof)
			}
		}
		if err := a.Challenge(t.Context(), "B1.example", "a1.example"); err != nil || !a.Proven("b1.example") {
			t.Errorf("challenge: %v", err)
		}
		for host, want := range map[string]error{
			"a1.example":   &Error{Method: errProofRejected},
			"b2.example":   &Error{Method: "_error_invalid_uniform_source"},
			"b.example":    &Error{Method: "_failure_unavailable_proof_host"},
			"no host here": nil,
		} {
			if err := a.Challenge(t.Context(), host, "a1.example"); err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %v", host, err)
			}
		}
		send := func(from string) {
			if err := a.Send(t.Context(), message("psyc://"+from+"/~ada", "psyc://b.example/~bea", from)); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		send("a1.example")
		send("a2.example")
		if err := b.Authorize(t.Context(), "b.example", "a1.example"); err == nil {
			t.Error("b.example has no certificate")
		}
		b.Grant("b.example", "a1.example")
		delete(ours, "a1.example")
		if err := a.Withdraw("A1.example"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if b.Proven("a1.example") || !b.Proven("a2.example") || a.Authorized("a1.example", "b.example") || b.Authorized("b.example", "a1.example") ||
			!a.Authorized("a2.example", "b.example") || len(gone) != 1 || gone[0] != "a1.example" {
			t.Errorf("withdrawn %q, proved: %v", gone, b.Proven("a1.example"))
		}
		send("a1.example") // in vain
		send("a2.example")
		a.Revoke("a2.example")
		if a.Authorized("a2.example", "b.example") {
			t.Error("revoked in vain")
		}
		if err := a.Authorize(t.Context(), "a1.example", "b.example"); !errors.Is(err, &Error{Method: "_error_invalid_uniform_source"}) {
			t.Errorf("proved again: %v", err)
		}
		a.Close()
		got := <-fromA
		var texts []string
		for _, p := range got.packets {
			texts = append(texts, string(p.Body))
		}
		if s := strings.Join(texts, " "); s != "a1.example a2.example a2.example" {
			t.Errorf("got %s", s)
		}
		<-fromB
	})
}

// Who has proved nothing cannot make the side that accepted the connection sign.
func TestHostProofForStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newSigner(t)
		certs := map[string]*tls.Certificate{"b.example": ca.named("b.example")}
		ac, bc := ca.certified("one", map[string]*tls.Certificate{"a.example": ca.named("a.example")}, "a.example"), ca.certified("one", certs, "b.example")
		a, b := pipe(ac, bc)
		shake(t, a, b)
		fromA, fromB := collect(b), collect(a)
		if err := a.Challenge(t.Context(), "b.example", "a.example"); !errors.Is(err, &Error{Method: errProofRejected}) {
			t.Errorf("before: %v", err)
		}
		if err := a.Authorize(t.Context(), "a.example", "b.example"); err != nil {
			t.Error(err)
		}
		if err := a.Challenge(t.Context(), "b.example", "a.example"); err != nil {
			t.Errorf("after: %v", err)
		}
		a.Close()
		<-fromA
		<-fromB
	})
}

// challenger returns a function that has a peer prove a host again, and says how long that took, and one that ends the circuit. rate is Config.Attestations
// of the peer.
func challenger(t *testing.T, rate int) (ask func() (time.Duration, error), end func()) {
	ca := newSigner(t)
	ac := ca.certified("one", map[string]*tls.Certificate{"a.example": ca.named("a.example")}, "a.example")
	ac.Attestations = rate
	a, b := pipe(ac, ca.certified("one", nil, "b.example"))
	shake(t, a, b)
	fromA, fromB := collect(b), collect(a)
	ask = func() (time.Duration, error) {
		start := time.Now()
		err := b.Challenge(t.Context(), "a.example", "b.example")
		return time.Since(start), err
	}
	return ask, func() {
		a.Close()
		<-fromA
		<-fromB
	}
}

// A thousand hosts are proved at once. Then it takes a minute for as many, and not all that come at the same time can wait; after a quiet
// minute, or ten, a thousand are proved at once again.
func TestHostProofRate(t *testing.T) {
	const (
		most = 1024
		each = time.Minute / most
	)
	synctest.Test(t, func(t *testing.T) {
		ask, end := challenger(t, 0)
		defer end()
		for range 2 {
			for i := range most {
				if took, err := ask(); err != nil || took > 0 {
					t.Fatalf("challenge %d: %v, after %v", i+1, err, took)
				}
			}
			if took, err := ask(); err != nil || took != each {
				t.Errorf("one more: %v, after %v", err, took)
			}
			answers := make(chan error)
			start := time.Now()
			for range maxAttesting + 1 {
				go func() {
					_, err := ask()
					answers <- err
				}()
			}
			refused := 0
			for range maxAttesting + 1 {
				if err := <-answers; errors.Is(err, &Error{Method: errProofExhausted}) {
					refused++
				} else if err != nil {
					t.Error(err)
				}
			}
			if took := time.Since(start); refused != 1 || took != maxAttesting*each {
				t.Errorf("of %d at the same time %d refused, the others took %v", maxAttesting+1, refused, took)
			}
			time.Sleep(10 * time.Minute)
		}
	})
}

// Nobody waits so long that the answer would be of no use, and what waits ends with the circuit.
func TestHostProofRateLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask, end := challenger(t, 7)
		for range 7 {
			if _, err := ask(); err != nil {
				t.Error(err)
			}
		}
		answers := make(chan error)
		go func() {
			_, err := ask() // in 8.6 s
			answers <- err
		}()
		synctest.Wait()
		if took, err := ask(); !errors.Is(err, &Error{Method: errProofExhausted}) || took > 0 {
			t.Errorf("after 17 s: %v, after %v", err, took)
		}
		end()
		if err := <-answers; err == nil {
			t.Error("proved after the end")
		}
	})
}

// Without a limit there is none.
func TestHostProofRateAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask, end := challenger(t, -1)
		defer end()
		for range 1100 {
			if took, err := ask(); err != nil || took > 0 {
				t.Fatalf("%v, after %v", err, took)
			}
		}
	})
}

// Who does not announce the module is not asked and asks nothing.
func TestHostProofsNotAgreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newSigner(t)
		certs := map[string]*tls.Certificate{"a1.example": ca.named("a1.example")}
		a, b := pipe(ca.certified("one", certs, "a.example"), config("b.example"))
		shake(t, a, b)
		fromA, fromB := collect(b), collect(a)
		if err := a.Challenge(t.Context(), "b.example", "a.example"); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		if err := b.Challenge(t.Context(), "a1.example", "b.example"); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		if err := a.Authorize(t.Context(), "a1.example", "b.example"); !errors.Is(err, &Error{Method: "_error_invalid_uniform_source"}) {
			t.Error(err)
		}
		a.Grant("a1.example", "b.example")
		a.Withdraw("a1.example")
		a.Close()
		if r := <-fromA; len(r.packets) > 0 {
			t.Errorf("b heard of %v", r.packets[0])
		}
		<-fromB
	})
}

// What one more host costs both ends together, with the round trip between two goroutines.
func BenchmarkHostProof(b *testing.B) {
	ca := newSigner(b)
	certs := map[string]*tls.Certificate{"a1.example": ca.named("a1.example")}
	x, y := pipe(ca.certified("one", certs, "a.example"), ca.certified("one", nil, "b.example"))
	go func() {
		for range x.Packets(context.Background()) {
		}
	}()
	go func() {
		for range y.Packets(context.Background()) {
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if err := y.Challenge(context.Background(), "a1.example", "b.example"); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	x.Close()
	y.Close()
}
