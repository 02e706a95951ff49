package psyc

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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

// A name that lives elsewhere is proved neither by nor to this end, and each question that cannot be answered has its own answer.
func TestHostProofElsewhere(t *testing.T) {
	for _, initiate := range []bool{false, true} {
		t.Run(fmt.Sprintf("initiator %v", initiate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVerifier(t, initiate)
				defer v.end(0)
				own := v.forger.ca.named("v.example")
				v.circuit.cfg.HostProofs.Certificate = func(string) (*tls.Certificate, error) { return own, nil }
				if err := v.circuit.Challenge(t.Context(), "v.example", "v.example"); !errors.Is(err, &Error{Method: errProofRejected}) {
					t.Errorf("challenged for a host of our own: %v", err)
				}
				question := func(source, target, challenge string) string {
					return ":_tag\tq\n\n:_uniform_source\tpsyc://" + source + "/\n:_uniform_target\tpsyc://" + target + "/\n:_challenge\t" + challenge + "\n_request_proof_host\n|\n"
				}
				challenge := strings.Repeat("c", leastChallenge)
				for _, test := range []struct{ name, say, want string }{
					{"authorization of a host of the verifier", ":_tag\tq\n\n:_uniform_source\tpsyc://v.example/\n:_uniform_target\tpsyc://v.example/\n_request_authorization\n|\n", "_error_invalid_uniform_source"},
					{"challenge", question("v.example", "p.example", challenge), methodProved},
					{"host that lives elsewhere", question("x.example", "p.example", challenge), "_error_invalid_uniform_source"},
					{"host of the prover as verifier", question("v.example", "v.example", challenge), "_error_invalid_uniform_target"},
					{"no host", question("", "p.example", challenge), "_error_invalid_uniform_source"},
					{"short challenge", question("v.example", "p.example", challenge[1:]), "_error_invalid_proof_challenge"},
					{"long challenge", question("v.example", "p.example", strings.Repeat("c", mostChallenge+1)), "_error_invalid_proof_challenge"},
				} {
					v.wire.send(test.say)
					if got := v.packet(); got.Method != test.want || got.Routing.Get("_tag_relay").String() != "q" {
						t.Errorf("%s: %s, want %s", test.name, got.Method, test.want)
					}
				}
				v.circuit.cfg.HostProofs.Certificate = func(string) (*tls.Certificate, error) { return nil, nil }
				v.wire.send(question("v.example", "p.example", challenge))
				if got := v.packet(); got.Method != "_failure_unavailable_proof_host" {
					t.Errorf("without a certificate: %s", got.Method)
				}
				// No more than so many at a time.
				release := make(chan struct{})
				v.circuit.cfg.HostProofs.Certificate = func(string) (*tls.Certificate, error) { <-release; return own, nil }
				for range maxAttesting + 1 {
					v.wire.send(question("v.example", "p.example", challenge))
				}
				if got := v.packet(); got.Method != errProofExhausted {
					t.Errorf("one too many: %s", got.Method)
				}
				close(release)
				for range maxAttesting {
					if got := v.packet(); got.Method != methodProved {
						t.Errorf("one of many: %s", got.Method)
					}
				}
				if v.circuit.Err() != nil {
					t.Error(v.circuit.Err())
				}
			})
		})
	}
}
