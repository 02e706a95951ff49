package psyc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// ascending returns n bytes that count up from first.
func ascending(first, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(first + i)
	}
	return b
}

// The vector in the package documentation is what an independent implementation is checked against.
func TestHostProofVector(t *testing.T) {
	s := statement{
		role: "client", challenge: ascending(0x20, 32), host: "a.example", peer: "b.example",
		chain: [][]byte{[]byte("leaf"), []byte("issuer")},
	}
	content, err := s.content(func(label string, context []byte, n int) ([]byte, error) {
		if label != "EXPORTER-switchyard-host-proof" || n != 32 || string(context) != string(s.context()) {
			t.Errorf("exporting %d bytes of %q", n, label)
		}
		return ascending(0x40, 32), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(ascending(0, 32))
	signature, err := signContent(&tls.Certificate{PrivateKey: key}, content)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("hostproof_doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, vector, _ := strings.Cut(string(doc), "// Test vector:")
	vector = strings.NewReplacer("//", "", "\n", "", "\t", "", " ", "").Replace(vector)
	for what, b := range map[string][]byte{"context": s.context(), "signature": signature} {
		if !strings.Contains(vector, hex.EncodeToString(b)) {
			t.Errorf("%s %x is not in the documentation", what, b)
		}
	}
	if err := verifyContent(key.Public(), content, signature); err != nil {
		t.Error(err)
	}
}

// Each kind of key signs, and nothing but its own signature of that content is taken.
func TestHostProofKeys(t *testing.T) {
	ec := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, key := range map[string]crypto.Signer{
		"P-256": ec(elliptic.P256()), "P-384": ec(elliptic.P384()), "P-521": ec(elliptic.P521()), "Ed25519": ed, "RSA": long,
	} {
		content := []byte("content")
		signature, err := signContent(&tls.Certificate{PrivateKey: key}, content)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := verifyContent(key.Public(), content, signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if verifyContent(key.Public(), []byte("other"), signature) == nil || verifyContent(key.Public(), content, signature[1:]) == nil ||
			verifyContent(ec(elliptic.P256()).Public(), content, signature) == nil {
			t.Errorf("%s: taken for what it is not", name)
		}
	}
	for name, key := range map[string]any{"P-224": ec(elliptic.P224()), "no key": nil, "public key": ed.Public()} {
		if _, err := signContent(&tls.Certificate{PrivateKey: key}, nil); !errors.Is(err, errKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verifyContent(ec(elliptic.P224()).Public(), nil, nil); !errors.Is(err, errKey) {
		t.Error(err)
	}
}

// Each part of a statement counts, and no two statements share a context by moving a byte from one part to the next.
func TestStatementContext(t *testing.T) {
	seen := make(map[string]string)
	for name, s := range map[string]statement{
		"as it is":         {"client", []byte("challenge"), "a.example", "b.example", [][]byte{[]byte("leaf"), []byte("issuer")}},
		"role":             {"server", []byte("challenge"), "a.example", "b.example", [][]byte{[]byte("leaf"), []byte("issuer")}},
		"challenge":        {"client", []byte("challengf"), "a.example", "b.example", [][]byte{[]byte("leaf"), []byte("issuer")}},
		"host":             {"client", []byte("challenge"), "c.example", "b.example", [][]byte{[]byte("leaf"), []byte("issuer")}},
		"peer":             {"client", []byte("challenge"), "a.example", "c.example", [][]byte{[]byte("leaf"), []byte("issuer")}},
		"swapped":          {"client", []byte("challenge"), "b.example", "a.example", [][]byte{[]byte("leaf"), []byte("issuer")}},
		"issuer":           {"client", []byte("challenge"), "a.example", "b.example", [][]byte{[]byte("leaf"), []byte("Issuer")}},
		"without issuer":   {"client", []byte("challenge"), "a.example", "b.example", [][]byte{[]byte("leaf")}},
		"one certificate":  {"client", []byte("challenge"), "a.example", "b.example", [][]byte{[]byte("leafissuer")}},
		"moved, challenge": {"client", []byte("challengea"), ".example", "b.example", [][]byte{[]byte("leaf"), []byte("issuer")}},
		"moved, host":      {"client", []byte("challenge"), "a.exampleb", ".example", [][]byte{[]byte("leaf"), []byte("issuer")}},
	} {
		context := string(s.context())
		if other, twice := seen[context]; twice {
			t.Errorf("%s and %s have the same context", name, other)
		}
		seen[context] = name
	}
	unicode, ascii := statement{host: "bücher.example"}, statement{host: "xn--bcher-kva.example"}
	if string(unicode.context()) != string(ascii.context()) {
		t.Error("the form of the host counts")
	}
}

func TestReadHostProof(t *testing.T) {
	list := func(elements ...string) Value {
		var all []Element
		for _, e := range elements {
			all = append(all, Element{Value: Value(e)})
		}
		return AppendList(nil, "", all...)
	}
	good := Vars{{Name: varCertificates, Value: list("leaf|\n", "issuer")}, {Name: varSignature, Value: Value("\x00|\n")}}
	h, fault := readHostProof(good)
	if fault != nil || len(h.chain) != 2 || string(h.chain[0]) != "leaf|\n" || string(h.signature) != "\x00|\n" {
		t.Errorf("read %+v, %v", h, fault)
	}
	for name, test := range map[string]struct {
		vars   Vars
		method string
	}{
		"nothing":         {nil, errProofSyntax},
		"no signature":    {good[:1], errProofSyntax},
		"no certificate":  {good[1:], errProofSyntax},
		"empty list":      {Vars{{Name: varCertificates}, good[1]}, errProofSyntax},
		"type alone":      {Vars{{Name: varCertificates, Value: Value("_x")}, good[1]}, errProofSyntax},
		"two lists":       {append(good[:2:2], good[0]), errProofSyntax},
		"two signatures":  {append(good[:2:2], good[1]), errProofSyntax},
		"truncated":       {Vars{{Name: varCertificates, Value: Value("| 1\n|9 abc")}, good[1]}, errProofSyntax},
		"long signature":  {Vars{good[0], {Name: varSignature, Value: make(Value, maxSignature+1)}}, errProofSyntax},
		"nine":            {Vars{{Name: varCertificates, Value: list(strings.Split("1 2 3 4 5 6 7 8 9", " ")...)}, good[1]}, errProofChain},
		"long":            {Vars{{Name: varCertificates, Value: list(strings.Repeat("x", maxChain+1))}, good[1]}, errProofChain},
		"long altogether": {Vars{{Name: varCertificates, Value: list(strings.Repeat("x", maxChain), "x")}, good[1]}, errProofChain},
	} {
		if _, fault := readHostProof(test.vars); fault == nil || fault.Method != test.method {
			t.Errorf("%s: %v", name, fault)
		}
	}
}

// Whatever a peer sends as a proof is refused without harm.
func FuzzHostProof(f *testing.F) {
	for _, vars := range []string{
		":_list_certificates\t| leaf| issuer\n:_signature\tsigned\n",
		":_list_certificates 8\t|3 abc|=\n:_signature 2\t\n\n\n",
		":_list_certificates\t| a\n:_list_certificates\t| b\n:_signature\tc\n",
		":_signature\tc\n",
		":_list_certificates\t_type\n:_signature\tc\n",
	} {
		f.Add([]byte("\n" + vars + "_status_proof_host\n|\n"))
	}
	s := statement{role: "client", challenge: ascending(0, 32), host: "a.example", peer: "b.example"}
	export := func(string, []byte, int) ([]byte, error) { return make([]byte, exportedLen), nil }
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Packet
		if _, err := p.Parse(data, PSYC10); err != nil {
			return
		}
		h, fault := readHostProof(p.Entity)
		if fault != nil {
			if !errors.Is(fault, &Error{Method: errProof}) {
				t.Error(fault)
			}
			return
		}
		size := 0
		for _, der := range h.chain {
			size += len(der)
		}
		if len(h.chain) == 0 || len(h.chain) > maxChainLen || size > maxChain {
			t.Errorf("%d certificates, %d bytes", len(h.chain), size)
		}
		if _, err := h.check(s, export); err == nil {
			t.Error("a proof for a key that nobody has")
		}
		var again Vars
		h.appendTo(&again)
		if h2, fault := readHostProof(again); fault != nil || fmt.Sprint(h2) != fmt.Sprint(h) {
			t.Errorf("written and read again: %v", fault)
		}
	})
}
