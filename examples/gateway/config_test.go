package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// writeFile writes a file into dir and returns its name.
func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// writeCertificate makes NAME.crt and NAME.key in dir.
func writeCertificate(t *testing.T, dir, name string, from, to time.Time, domains ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certify(t, key, dir, name, from, to, domains...)
}

// certify is writeCertificate for a key.
func certify(t *testing.T, key crypto.Signer, dir, name string, from, to time.Time, domains ...string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, DNSNames: domains,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// The commented file is right: with its certificate in place it has no errors, and what it calls defaults are the defaults.
func TestExampleFile(t *testing.T) {
	text, err := os.ReadFile("gateway.toml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeCertificate(t, dir, "capulet.example", time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour), "capulet.example", "*.capulet.example")
	edited := strings.NewReplacer(`"/etc/switchyard/`, `"`, "servers = []", `servers = ["192.0.2.53"]`).Replace(string(text))
	cfg, problems := LoadConfig(writeFile(t, dir, "gateway.toml", edited))
	for _, p := range problems {
		if p.Severity != Note {
			t.Error(p)
		}
	}
	if cfg == nil {
		t.FailNow()
	}
	if certs := cfg.certificates("rooms.capulet.example"); len(certs) != 1 {
		t.Errorf("%d certificates", len(certs))
	}

	want := DefaultConfig()
	want.Servers, want.Certificates, want.Routes, want.DNS.Servers = cfg.Servers, cfg.Certificates, cfg.Routes, cfg.DNS.Servers
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("the file gives\n%+v\nthe defaults are\n%+v", cfg, want)
	}

	var keys func(reflect.Type)
	keys = func(typ reflect.Type) {
		for _, field := range reflect.VisibleFields(typ) {
			key := field.Tag.Get("toml")
			if key == "" || key == "-" {
				continue
			}
			if !regexp.MustCompile(`(?m)^(` + key + ` = |\[+` + key + `\]+$)`).Match(text) {
				t.Errorf("gateway.toml does not mention %q", key)
			}
			inner := field.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				keys(inner)
			}
		}
	}
	keys(reflect.TypeFor[Config]())
}

const minimal = `
[world]
plaintext = true
[[server]]
name = "p"
s2s = "127.0.0.2:15269"
domains = ["Capulet.example.", "Bücher.example"]
redirector = "127.0.0.2:5300"
[dns]
servers = ["192.0.2.53", "[2001:db8::53]:5300"]
[[route]]
domain = "MONTAGUE.example"
psyc = ["gw.montague.example:4404"]
xmpp = ["192.0.2.7:5269"]
`

func TestConfigForMain(t *testing.T) {
	cfg, problems := LoadConfig(writeFile(t, t.TempDir(), "gateway.toml", minimal))
	if problems.Failed() {
		t.Fatal(problems)
	}
	if want := []string{"capulet.example", "bücher.example"}; !slices.Equal(cfg.Domains(), want) {
		t.Errorf("domains %q, want %q", cfg.Domains(), want)
	}
	if s := cfg.ServerOf("bücher.example"); s == nil || s.Name != "p" {
		t.Errorf("server of bücher.example: %v", s)
	}
	hosts := ours{new(atomic.Pointer[settings])}
	hosts.now.Store(newSettings(cfg))
	if cert, err := hosts.Certificate("capulet.example"); cert != nil || err != nil {
		t.Errorf("certificate %v, %v", cert, err)
	}
	if _, err := hosts.Certificate("montague.example"); !errors.Is(err, psycswitch.ErrNotHosted) {
		t.Errorf("a foreign domain: %v", err)
	}
	var _ psycswitch.CertificateLister = hosts

	var hints []string
	for h, err := range cfg.Resolver().Hints(t.Context(), "montague.example") {
		if err != nil {
			t.Error(err)
		}
		hints = append(hints, h.String())
	}
	if want := []string{"PSYC gw.montague.example:4404 (montague.example)", "XMPP 192.0.2.7:5269 (montague.example)"}; !slices.Equal(hints, want) {
		t.Errorf("hints %q, want %q", hints, want)
	}

	r := cfg.NewRedirector(nil)
	if r == nil || len(r.Views) != 1 || !r.Views[0].Local("capulet.example") || r.Views[0].Local("montague.example") || len(r.Upstreams) != 2 {
		t.Errorf("redirector %+v", r)
	}
	cfg.DNS.Forward = false
	if r := cfg.NewRedirector(nil); len(r.Upstreams) != 0 {
		t.Errorf("upstreams %v", r.Upstreams)
	}
	cfg.Servers[0].Redirector = Address{}
	if r := cfg.NewRedirector(nil); r != nil {
		t.Errorf("redirector %+v for nobody", r)
	}
}

// Of two certificates for a domain that have the same kind of key the one that ends last is taken.
func TestCertificateChoice(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	writeCertificate(t, dir, "old", now.Add(-time.Hour), now.Add(24*time.Hour), "capulet.example")
	writeCertificate(t, dir, "new", now.Add(-time.Hour), now.Add(90*24*time.Hour), "capulet.example")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certify(t, key, dir, "rsa", now.Add(-time.Hour), now.Add(100*24*time.Hour), "capulet.example")
	cfg, problems := LoadConfig(writeFile(t, dir, "gateway.toml", minimal+`
[[certificate]]
chain = "rsa.crt"
key = "rsa.key"
[[certificate]]
chain = "new.crt"
key = "new.key"
[[certificate]]
chain = "old.crt"
key = "old.key"
`))
	if problems.Failed() {
		t.Fatal(problems)
	}
	var names []string
	for _, cert := range cfg.certificates("capulet.example") {
		names = append(names, cert.Leaf.Subject.CommonName)
	}
	if got := strings.Join(names, " "); got != "new rsa" {
		t.Errorf("certificates %s", got)
	}
}
