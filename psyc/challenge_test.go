package psyc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
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

// An attack is what somebody answers to a challenge that cannot answer it.
type attack struct {
	name   string
	answer func(f *forger, s statement) *hostProof
	method string // of the error
}

// A forger has what a bad peer may have.
type forger struct {
	ca       *signer
	host     *tls.Certificate                          // good, for x.example
	other    *tls.Certificate                          // good, for other hosts
	export   func(string, []byte, int) ([]byte, error) // of this connection
	recorded *hostProof                                // for an earlier challenge
}

// prove answers s with a certificate, as an honest prover does.
func (f *forger) prove(s statement, cert *tls.Certificate) *hostProof {
	s.chain = cert.Certificate
	content, err := s.content(f.export)
	if err != nil {
		f.ca.t.Fatal(err)
	}
	signature, err := signContent(cert, content)
	if err != nil {
		f.ca.t.Fatal(err)
	}
	return &hostProof{chain: s.chain, signature: signature}
}

func attacks() []attack {
	with := func(change func(*x509.Certificate)) func(f *forger, s statement) *hostProof {
		return func(f *forger, s statement) *hostProof {
			template := &x509.Certificate{DNSNames: []string{"x.example"}, KeyUsage: x509.KeyUsageDigitalSignature}
			change(template)
			return f.prove(s, f.ca.issue(template))
		}
	}
	stated := func(change func(*statement)) func(f *forger, s statement) *hostProof {
		return func(f *forger, s statement) *hostProof {
			change(&s)
			return f.prove(s, f.host)
		}
	}
	return []attack{
		{"expired", with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }), errProofCertificate + "_time"},
		{"not yet valid", with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), errProofCertificate + "_time"},
		{"wrong name", with(func(c *x509.Certificate) { c.DNSNames = []string{"y.example"} }), errProofCertificate + "_name"},
		{"key for other use", with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), errProofCertificate},
		{"self-signed", func(f *forger, s statement) *hostProof {
			return f.prove(s, (&signer{t: f.ca.t}).issue(&x509.Certificate{DNSNames: []string{"x.example"}}))
		}, errProofCertificate + "_authority"},
		{"wrong key", func(f *forger, s statement) *hostProof {
			return f.prove(s, &tls.Certificate{Certificate: f.host.Certificate, PrivateKey: f.other.PrivateKey})
		}, errProofSignature},
		{"signed for another certificate", func(f *forger, s statement) *hostProof {
			return &hostProof{chain: f.host.Certificate, signature: f.prove(s, f.other).signature}
		}, errProofSignature},
		{"leaf put in front", func(f *forger, s statement) *hostProof {
			h := f.prove(s, f.other)
			h.chain = append([][]byte{f.host.Certificate[0]}, h.chain...)
			return h
		}, errProofSignature},
		{"replayed", func(f *forger, _ statement) *hostProof { return f.recorded }, errProofSignature},
		{"mirrored", stated(func(s *statement) {
			s.role = map[string]string{"client": "server", "server": "client"}[s.role]
		}), errProofSignature},
		{"another challenge", stated(func(s *statement) { s.challenge = make([]byte, challengeLen) }), errProofSignature},
		{"for another host", stated(func(s *statement) { s.host = "y.example" }), errProofSignature},
		{"for another verifier", stated(func(s *statement) { s.peer = "elsewhere.example" }), errProofSignature},
		{"from another circuit", func(f *forger, s statement) *hostProof {
			elsewhere := *f
			elsewhere.export = exporter("two")
			return elsewhere.prove(s, f.host)
		}, errProofSignature},
		{"truncated signature", func(f *forger, s statement) *hostProof {
			h := f.prove(s, f.host)
			h.signature = h.signature[:len(h.signature)-1]
			return h
		}, errProofSignature},
		{"truncated certificate", func(f *forger, s statement) *hostProof {
			h := f.prove(s, f.host)
			h.chain = [][]byte{h.chain[0][:len(h.chain[0])-1]}
			return h
		}, errProofChain},
		{"no certificate", func(f *forger, s statement) *hostProof {
			return &hostProof{signature: f.prove(s, f.host).signature}
		}, errProofSyntax},
		{"nine certificates", func(f *forger, s statement) *hostProof {
			h := f.prove(s, f.host)
			for len(h.chain) < 9 {
				h.chain = append(h.chain[:len(h.chain):len(h.chain)], h.chain[0])
			}
			return h
		}, errProofChain},
		{"oversized chain", func(f *forger, s statement) *hostProof {
			h := f.prove(s, f.host)
			h.chain = append(h.chain[:1:1], bytes.Repeat([]byte("x"), maxChain))
			return h
		}, errProofChain},
	}
}

// A host that a peer cannot prove is refused, and the circuit goes on, whichever side asks and whoever opened the connection.
func TestHostProofAttacks(t *testing.T) {
	for _, initiate := range []bool{false, true} {
		for _, test := range attacks() {
			t.Run(fmt.Sprintf("%s, initiator %v", test.name, initiate), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := newVerifier(t, initiate)
					defer v.end(1)
					v.forger.recorded = v.honest()
					v.circuit.DropProof("x.example")
					// By a pair that the peer asks for.
					v.wire.send(":_tag\tpair\n\n:_uniform_source\tpsyc://x.example/\n:_uniform_target\tpsyc://v.example/\n_request_authorization\n|\n")
					v.respond(test)
					want := "_error_invalid_uniform_source" + strings.TrimPrefix(test.method, "_error_invalid")
					if got := v.packet(); got.Method != want || got.Routing.Get("_tag_relay").String() != "pair" {
						t.Errorf("answer %s, want %s", got.Method, want)
					}
					// By a challenge of ours.
					asked := make(chan error, 1)
					go func() { asked <- v.circuit.Challenge(context.Background(), "x.example", "v.example") }()
					v.respond(test)
					var fault *Error
					if err := <-asked; !errors.As(err, &fault) || fault.Method != test.method {
						t.Errorf("%v, want %s", err, test.method)
					}
					if v.circuit.Proven("x.example") || !v.circuit.Proven("p.example") {
						t.Error("wrong proofs")
					}
					// Nothing else is disturbed, and the host can be proved still.
					v.wire.send(":_source\tpsyc://p.example/~ada\n:_target\tpsyc://v.example/~bea\n\n_message_private\nhello\n|\n")
					v.honest()
					if !v.circuit.Proven("x.example") || v.circuit.Err() != nil {
						t.Error("the circuit does not go on")
					}
				})
			})
		}
	}
}

// A proof that was good is of no use once the host has been withdrawn, nor is one that comes behind that.
func TestHostProofWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, false)
		defer v.end(0)
		const withdraw = "\n:_uniform_source\tpsyc://x.example/\n_notice_withdrawal_host\n|\n"
		v.honest()
		v.wire.send(withdraw)
		if v.circuit.Proven("x.example") {
			t.Error("withdrawn in vain")
		}
		asked := make(chan error, 1)
		go func() { asked <- v.circuit.Challenge(context.Background(), "x.example", "v.example") }()
		request := v.packet()
		v.wire.send(withdraw)
		v.answer(request, v.forger.prove(v.statement(request), v.forger.host))
		if err := <-asked; !errors.Is(err, &Error{Method: errProofWithdrawn}) || v.circuit.Proven("x.example") {
			t.Errorf("proof behind the withdrawal: %v", err)
		}
	})
}

// A proof that was recorded on one TLS connection is of no use on another, between the same ends and with the same challenge.
func TestHostProofOfAnotherConnection(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			v := newVerifier(t, false)
			defer v.end(0)
			_, recorded := v.secure(version)
			v.forger.export, v.circuit.cfg.HostProofs.Export = v.secure(version)
			v.honest()
			v.circuit.DropProof("x.example")
			asked := make(chan error, 1)
			go func() { asked <- v.circuit.Challenge(context.Background(), "x.example", "v.example") }()
			request := v.packet()
			elsewhere := *v.forger
			elsewhere.export = recorded
			v.answer(request, elsewhere.prove(v.statement(request), v.forger.host))
			if err := <-asked; !errors.Is(err, &Error{Method: errProofSignature}) {
				t.Errorf("%s: %v", tls.VersionName(version), err)
			}
			v.honest()
		})
	}
}

// secure makes a TLS connection and returns the exporters of its ends.
func (v *verifier) secure(version uint16) (client, server func(string, []byte, int) ([]byte, error)) {
	v.t.Helper()
	x, y := net.Pipe()
	defer x.Close()
	defer y.Close()
	c := tls.Client(x, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	s := tls.Server(y, &tls.Config{Certificates: []tls.Certificate{*v.forger.other}, MaxVersion: version, SessionTicketsDisabled: true})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		v.t.Fatal(err)
	}
	if err := <-done; err != nil {
		v.t.Fatal(err)
	}
	a, b := c.ConnectionState(), s.ConnectionState()
	return a.ExportKeyingMaterial, b.ExportKeyingMaterial
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

// A verifier is a circuit under test and a peer that answers its challenges.
type verifier struct {
	t       *testing.T
	circuit *Circuit
	wire    *wire
	forger  *forger
	role    string // of the peer
	out     <-chan received
	pending []byte
}

func newVerifier(t *testing.T, initiate bool) *verifier {
	ca := newSigner(t)
	cfg := ca.certified("one", nil, "v.example")
	conn, w := newWire(t)
	v := &verifier{t: t, wire: w, role: "client", forger: &forger{
		ca: ca, host: ca.named("x.example"), other: ca.named("other.example"), export: exporter("one"),
	}}
	if initiate {
		v.circuit, v.role = Initiate(conn, cfg), "server"
	} else {
		v.circuit = Accept(conn, cfg)
	}
	if err := v.circuit.AddProof("p.example", Proof{Kind: ProofCertificate}); err != nil {
		t.Fatal(err)
	}
	v.out = collect(v.circuit)
	v.wire.send("|\n\n:_uniform_source\tpsyc://p.example/\n:_understand_modules\t_switchyard;_switchyard_hosts\n_notice_circuit_established\n|\n")
	v.wire.read()
	return v
}

// end hangs up. Messages for the application are all that may have come to it.
func (v *verifier) end(messages int) {
	v.wire.Close()
	r := <-v.out
	if len(r.packets) != messages {
		v.t.Errorf("%d packets came through", len(r.packets))
	}
	for _, p := range r.packets {
		if p.Method != "_message_private" {
			v.t.Errorf("came through: %s", p.Method)
		}
	}
}

// packet returns what the circuit wrote next.
func (v *verifier) packet() *Packet {
	v.t.Helper()
	v.pending = append(v.pending, v.wire.read()...)
	var p Packet
	n, err := p.Parse(v.pending, PSYC10)
	if err != nil {
		v.t.Fatalf("%q: %v", v.pending, err)
	}
	q := p.Clone()
	v.pending = v.pending[n:]
	return q
}

// statement is what the answer to a challenge has to sign.
func (v *verifier) statement(request *Packet) statement {
	v.t.Helper()
	if request.Method != methodProof || request.Entity.Get("_uniform_source").String() != "psyc://x.example/" ||
		request.Entity.Get("_uniform_target").String() != "psyc://v.example/" || len(request.Entity.Get(varChallenge)) != 32 {
		v.t.Fatalf("no challenge: %+v", request)
	}
	return statement{role: v.role, challenge: request.Entity.Get(varChallenge), host: "x.example", peer: "v.example"}
}

func (v *verifier) answer(request *Packet, h *hostProof) {
	answer := &Packet{Method: methodProved}
	answer.tagLike(request)
	h.appendTo(&answer.Entity)
	b, err := answer.Append(nil, PSYC10)
	if err != nil {
		v.t.Fatal(err)
	}
	v.wire.send(string(b))
}

// respond answers a challenge with an attack.
func (v *verifier) respond(a attack) {
	v.t.Helper()
	request := v.packet()
	v.answer(request, a.answer(v.forger, v.statement(request)))
}

// honest proves x.example as it should be done, and returns the proof.
func (v *verifier) honest() *hostProof {
	v.t.Helper()
	asked := make(chan error, 1)
	go func() { asked <- v.circuit.Challenge(context.Background(), "x.example", "v.example") }()
	request := v.packet()
	h := v.forger.prove(v.statement(request), v.forger.host)
	v.answer(request, h)
	if err := <-asked; err != nil {
		v.t.Fatal(err)
	}
	return h
}
