package psyc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
)

// tcp returns the two ends of a loopback connection.
func tcp(t *testing.T) (dialled, accepted net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer ln.Close()
	if dialled, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return dialled, accepted
}

// A peer that is still sending when it is told off gets to read why.
func TestCroakArrives(t *testing.T) {
	for range 20 {
		far, near := tcp(t)
		c := Accept(near, config("b.example"))
		out := collect(c)
		if _, err := io.WriteString(far, "|\nrubbish\n"+strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
		told, err := io.ReadAll(far)
		if err != nil || !strings.Contains(string(told), "_error_invalid_syntax") {
			t.Fatalf("told %q, %v", told, err)
		}
		far.Close()
		if r := <-out; !errors.Is(r.err, &Error{Method: "_error_invalid_syntax"}) {
			t.Fatal(r.err)
		}
		<-c.Done()
	}
}

func TestCircuitOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"b.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dialled, accepted := tcp(t)
	a := Initiate(tls.Client(dialled, &tls.Config{InsecureSkipVerify: true}), config("a.example"))
	b := Accept(tls.Server(accepted, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}), config("b.example"))
	b.AddProof("a.example", Proof{Kind: ProofCertificate})
	fromA, fromB := collect(b), collect(a)
	for range 1000 {
		if err := a.Send(t.Context(), message(ada, bea, strings.Repeat("x", 300))); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if r := <-fromA; r.err != nil || len(r.packets) != 1000 {
		t.Errorf("%d packets, %v", len(r.packets), r.err)
	}
	if r := <-fromB; r.err != nil {
		t.Error(r.err)
	}
	<-b.Done()
	if !errors.Is(a.Err(), ErrClosed) || b.Err() != io.EOF {
		t.Errorf("ended with %v and %v", a.Err(), b.Err())
	}
}
