package psyc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/switchyard-im/switchyard/uniform"
)

const (
	hostProofLabel   = "EXPORTER-switchyard-host-proof"
	hostProofContext = "Switchyard PSYC host proof, " // then the role

	exportedLen  = 32
	challengeLen = 32

	// A proof has to fit into the 16 KiB that a peer may send before it has proved anything.
	maxChain       = 12 << 10 // bytes of all certificates
	maxChainLen    = 8        // certificates
	maxSignature   = 1 << 10  // bytes: RSA with 8192 bits
	leastRSA       = 2048     // bits
	leastChallenge = 16
	mostChallenge  = 64
)

// Variables of host proofs.
const (
	varChallenge    = "_challenge"
	varCertificates = "_list_certificates"
	varSignature    = "_signature"
)

// Methods of the errors about host proofs, see the package documentation.
const (
	errProof            = "_error_invalid_proof"
	errProofSyntax      = "_error_invalid_proof_syntax"
	errProofChain       = "_error_invalid_proof_chain"
	errProofSignature   = "_error_invalid_proof_signature"
	errProofCertificate = "_error_invalid_proof_certificate"
	errProofWithdrawn   = "_error_invalid_proof_withdrawn"
	errProofRejected    = "_error_rejected_proof"
	errProofExhausted   = "_failure_exhausted_proof"
)

// A statement is what a host proof signs: that the prover, in its role on this TLS connection, speaks for host towards
// peer, and that it knows the key of the first certificate of chain now, after challenge was made.
type statement struct {
	role      string // of the prover: client or server
	challenge []byte
	host      string // of the prover, canonical
	peer      string // of the verifier, canonical
	chain     [][]byte
}

// context returns what goes into the exporter: every part with its length in two bytes in front, so that no two statements have
// the same.
func (s *statement) context() []byte {
	sum := chainSum(s.chain)
	var b []byte
	for _, part := range [][]byte{
		[]byte(s.role), s.challenge, []byte(uniform.ASCIIDomain(s.host)), []byte(uniform.ASCIIDomain(s.peer)), sum[:],
	} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
	}
	return b
}

// chainSum is the hash of the certificates, each with its length in three bytes in front, as TLS has them.
func chainSum(chain [][]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, der := range chain {
		n := len(der)
		h.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write(der)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// content returns the bytes that are signed: in the form of CertificateVerify in TLS 1.3 (RFC 8446 section 4.4.3), so that the
// signature is good for nothing else.
func (s *statement) content(export func(string, []byte, int) ([]byte, error)) ([]byte, error) {
	exported, err := export(hostProofLabel, s.context(), exportedLen)
	if err != nil {
		return nil, fmt.Errorf("psyc: exporting from TLS: %w", err)
	}
	sum := sha256.Sum256(exported)
	b := bytes.Repeat([]byte{' '}, 64)
	b = append(append(append(b, hostProofContext...), s.role...), 0)
	return append(b, sum[:]...), nil
}

var (
	errKey       = errors.New("psyc: host proofs need a key for ECDSA on a NIST curve, Ed25519, or RSA with 2048 bits or more")
	errSignature = errors.New("psyc: signature does not fit")
	errNoProof   = errors.New("psyc: no certificate or no signature")
)

// ecdsaHash returns the hash that TLS 1.3 pairs with a curve.
func ecdsaHash(c elliptic.Curve) (crypto.Hash, bool) {
	switch c {
	case elliptic.P256():
		return crypto.SHA256, true
	case elliptic.P384():
		return crypto.SHA384, true
	case elliptic.P521():
		return crypto.SHA512, true
	}
	return 0, false
}

func digest(h crypto.Hash, content []byte) []byte {
	sum := h.New()
	sum.Write(content)
	return sum.Sum(nil)
}

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// signContent signs with the one scheme of TLS 1.3 that each key has here, so that none need be named: an ECDSA scheme by the curve, Ed25519,
// rsa_pss_rsae_sha256.
func signContent(cert *tls.Certificate, content []byte) ([]byte, error) {
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errKey
	}
	switch key := signer.Public().(type) {
	case *ecdsa.PublicKey:
		if h, ok := ecdsaHash(key.Curve); ok {
			return signer.Sign(rand.Reader, digest(h, content), h)
		}
	case ed25519.PublicKey:
		return signer.Sign(rand.Reader, content, crypto.Hash(0))
	case *rsa.PublicKey:
		if key.N.BitLen() >= leastRSA {
			return signer.Sign(rand.Reader, digest(crypto.SHA256, content), pss)
		}
	}
	return nil, errKey
}

// verifyContent checks what signContent returned.
func verifyContent(pub crypto.PublicKey, content, signature []byte) error {
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		if h, ok := ecdsaHash(key.Curve); ok {
			if !ecdsa.VerifyASN1(key, digest(h, content), signature) {
				return errSignature
			}
			return nil
		}
	case ed25519.PublicKey:
		if !ed25519.Verify(key, content, signature) {
			return errSignature
		}
		return nil
	case *rsa.PublicKey:
		if key.N.BitLen() >= leastRSA {
			return rsa.VerifyPSS(key, crypto.SHA256, digest(crypto.SHA256, content), signature, pss)
		}
	}
	return errKey
}

// A hostProof is the answer to a challenge. It borrows from the packet that it was read from.
type hostProof struct {
	chain     [][]byte
	signature []byte
}

// appendTo adds the proof to the variables of its packet.
func (h *hostProof) appendTo(vars *Vars) {
	elements := make([]Element, len(h.chain))
	for i, der := range h.chain {
		elements[i].Value = der
	}
	*vars = append(*vars,
		Var{Name: varCertificates, Value: AppendList(nil, "", elements...)},
		Var{Name: varSignature, Value: h.signature})
}

// readHostProof reads the variables of a _status_proof_host.
func readHostProof(vars Vars) (*hostProof, *Error) {
	var list, signature Value
	for i := range vars {
		v := &vars[i]
		var place *Value
		switch v.Name {
		case varCertificates:
			place = &list
		case varSignature:
			place = &signature
		default:
			continue
		}
		if *place != nil {
			return nil, proofError(errProofSyntax, fmt.Errorf("psyc: two variables %s", v.Name))
		}
		*place = v.Value
	}
	if len(list) == 0 || len(signature) == 0 {
		return nil, proofError(errProofSyntax, errNoProof)
	}
	if len(signature) > maxSignature {
		return nil, proofError(errProofSyntax, fmt.Errorf("psyc: signature: %w", ErrTooLarge))
	}
	h := &hostProof{signature: signature}
	size := 0
	for e, err := range list.List() {
		if err != nil {
			return nil, proofError(errProofSyntax, err)
		}
		size += len(e.Value)
		if len(h.chain) == maxChainLen || size > maxChain {
			return nil, proofError(errProofChain, fmt.Errorf("psyc: certificates: %w", ErrTooLarge))
		}
		h.chain = append(h.chain, e.Value)
	}
	if len(h.chain) == 0 { // the value was a type and no more
		return nil, proofError(errProofSyntax, errNoProof)
	}
	return h, nil
}

// proofError is what is wrong with a proof. Its text says no more than its method: the cause is the verifier's.
func proofError(method string, cause error) *Error {
	return &Error{Method: method, Text: "You have not proved that you speak for [_uniform_source].", Err: cause}
}

// check verifies that the proof answers s, whose chain is still to come, and returns the chain. Whether that is good for the host
// remains to be seen.
func (h *hostProof) check(s statement, export func(string, []byte, int) ([]byte, error)) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(h.chain))
	for i, der := range h.chain {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, proofError(errProofChain, err)
		}
	}
	leaf := chain[0]
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, proofError(errProofCertificate, errors.New("psyc: the key of the certificate is not for signatures"))
	}
	s.chain = h.chain
	content, err := s.content(export)
	if err != nil {
		return nil, err
	}
	if err := verifyContent(leaf.PublicKey, content, h.signature); err != nil {
		return nil, proofError(errProofSignature, err)
	}
	return chain, nil
}

// certificateError says with which part of the check of its certificate a proof failed, as far as that is known.
func certificateError(err error) *Error {
	method := errProofCertificate
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		method += "_time"
	case errors.As(err, &name):
		method += "_name"
	case errors.As(err, &authority):
		method += "_authority"
	}
	return proofError(method, err)
}
