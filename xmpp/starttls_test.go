package xmpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A tlsSide is what one end of a stream with TLS is made of.
type tlsSide struct {
	certs    map[string]*tls.Certificate // by A-labels
	roots    *x509.CertPool
	external bool
	dialback DialbackConfig
	plain    bool
}

func (side tlsSide) config() *tls.Config {
	return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return side.certs[hello.ServerName], nil
	}}
}

func (side tlsSide) verify(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
	return VerifyDomain(side.roots, leaf, rest, domain)
}

func (side tlsSide) features() []Feature {
	f := []Feature{StartTLS(side.config())}
	if side.external {
		f = append(f, External(side.verify))
	}
	return append(f, Dialback(side.dialback))
}

// negotiated is how two sides got on.
type negotiated struct {
	initErr, acceptErr error
	proofs             []Proof
	initState          State
	serverName         string
}

// negotiateTLS runs a stream from dale.example to hill.example; direct is TLS from the first byte.
func negotiateTLS(t *testing.T, from, to tlsSide, direct bool) negotiated {
	t.Helper()
	ours, theirs := net.Pipe()
	var out, in net.Conn = ours, theirs
	if direct {
		out = tls.Client(ours, TLSConfig(from.config(), "dale.example", "hill.example"))
		in = tls.Server(theirs, TLSConfig(to.config(), "", ""))
	}
	a := Accept(in, &Config{
		Features: to.features(), Plaintext: to.plain,
		Hosted: func(d string) bool { return d == "hill.example" },
	})
	i := Initiate(out, &Config{
		Features: from.features(), Plaintext: from.plain,
		Local: "dale.example", Remote: "hill.example",
	})
	var n negotiated
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		if n.acceptErr = a.Negotiate(t.Context()); n.acceptErr != nil {
			return
		}
		n.proofs = a.Proofs()
		for _, err := range a.Stanzas(t.Context()) {
			n.acceptErr = err
		}
	}()
	n.initErr = i.Negotiate(t.Context())
	n.initState = i.State()
	if cs, ok := i.ConnectionState(); ok {
		n.serverName = cs.ServerName
	}
	if n.initErr == nil {
		n.initErr = i.Send(t.Context(), chat("a@dale.example", "b@hill.example", "x"))
	}
	i.Close()
	<-done
	return n
}

func TestTLS(t *testing.T) {
	always := func(context.Context, string, string, string, string) error { return nil }
	never := func(context.Context, string, string, string, string) error { return errors.New("not asked for") }
	for _, tt := range []struct {
		name     string
		names    []string // in dale's certificate; nil: it has none
		change   func(*x509.Certificate)
		from, to tlsSide
		direct   bool
		by       Mechanism // 0: fails
	}{
		{
			name: "EXTERNAL", names: []string{"dale.example"},
			from: tlsSide{external: true}, to: tlsSide{external: true, dialback: DialbackConfig{Verify: never}}, by: ByExternal,
		},
		{
			name: "direct TLS and EXTERNAL", names: []string{"dale.example"}, direct: true,
			from: tlsSide{external: true}, to: tlsSide{external: true, dialback: DialbackConfig{Verify: never}}, by: ByExternal,
		},
		{
			name: "certificate of somebody else", names: []string{"moor.example"},
			from: tlsSide{external: true}, to: tlsSide{external: true, dialback: DialbackConfig{Verify: always}}, by: ByDialback,
		},
		{
			name: "expired certificate", names: []string{"dale.example"},
			change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) },
			from:   tlsSide{external: true}, to: tlsSide{external: true, dialback: DialbackConfig{Verify: always}}, by: ByDialback,
		},
		{
			name: "no certificate",
			from: tlsSide{external: true}, to: tlsSide{external: true, dialback: DialbackConfig{Verify: always}}, by: ByDialback,
		},
		{
			name: "no certificate and no dialback",
			from: tlsSide{external: true}, to: tlsSide{external: true}, by: 0,
		},
		{
			name: "dialback without dialing back", names: []string{"dale.example"},
			from: tlsSide{}, to: tlsSide{dialback: DialbackConfig{Verify: never}}, by: ByCertificate,
		},
		{
			name: "dialback", names: []string{"dale.example"},
			from: tlsSide{}, to: tlsSide{external: true, dialback: DialbackConfig{Verify: always}}, by: ByDialback,
		},
		{
			name: "plaintext allowed, TLS there", names: []string{"dale.example"},
			from: tlsSide{external: true, plain: true}, to: tlsSide{external: true, plain: true}, by: ByExternal,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := newTestCA(t)
				from, to := tt.from, tt.to
				from.roots, to.roots = ca.pool, ca.pool
				to.certs = map[string]*tls.Certificate{"hill.example": ca.issue(t, []string{"hill.example"})}
				if tt.names != nil {
					change := tt.change
					if change == nil {
						change = func(*x509.Certificate) {}
					}
					from.certs = map[string]*tls.Certificate{"dale.example": ca.issue(t, tt.names, change)}
				}
				if tt.by == ByCertificate {
					to.dialback.Certificate = to.verify
				}
				n := negotiateTLS(t, from, to, tt.direct)
				if tt.by == 0 {
					if n.initErr == nil || len(n.proofs) != 0 {
						t.Errorf("got through: %+v", n)
					}
					return
				}
				if n.initErr != nil || n.acceptErr != nil {
					t.Fatalf("initiating: %v, accepting: %v", n.initErr, n.acceptErr)
				}
				if len(n.proofs) != 1 || n.proofs[0].By != tt.by || n.proofs[0].Remote != "dale.example" ||
					(tt.by == ByDialback) != n.proofs[0].Until.IsZero() {
					t.Errorf("proofs %+v", n.proofs)
				}
				if n.initState != Secure|Authenticated|Ready {
					t.Errorf("state %b", n.initState)
				}
				if n.serverName != "hill.example" {
					t.Errorf("server name %q", n.serverName)
				}
			})
		})
	}
}

// TLS is required on both sides unless Config.Plaintext says otherwise.
func TestTLSRequired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := initiatePlain()
		cfg.Plaintext = false
		s := Initiate(theirs, cfg)
		done := make(chan error, 1)
		go func() {
			err := s.Negotiate(t.Context())
			s.Close()
			done <- err
		}()
		got := script{{send: hill + features}, {want: "<policy-violation"}, {want: "</stream:stream>"}}.play(t, ours)
		if err := <-done; !errors.Is(err, PolicyViolation) {
			t.Errorf("Negotiate: %v", err)
		}
		if strings.Contains(got, "db:result") {
			t.Error("a key went out in clear")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := acceptPlain()
		cfg.Plaintext = false
		cfg.Features = append([]Feature{StartTLS(nil)}, cfg.Features...)
		s := Accept(theirs, cfg)
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		script{
			{send: dale},
			{want: "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"},
			{send: prove},
			{want: "type='error'><error type='modify'><policy-violation"},
			{send: strings.Replace(strings.Replace(prove, "result", "verify id='1'", 1), "result", "verify", 1)},
			{want: "type='error'><error type='modify'><policy-violation"},
			{send: "</stream:stream>"},
		}.play(t, ours)
		if err := <-done; err != ErrClosed {
			t.Errorf("Negotiate: %v", err)
		}
	})
}

// Bytes in clear that arrive together with the start of TLS must not get into the stream inside.
func TestTLSInjection(t *testing.T) {
	ca := newTestCA(t)
	t.Run("accepting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			side := tlsSide{certs: map[string]*tls.Certificate{"hill.example": ca.issue(t, []string{"hill.example"})}}
			s := Accept(theirs, &Config{Features: side.features(), Hosted: func(string) bool { return true }})
			done := make(chan error, 1)
			go func() { done <- serveAll(t, s) }()
			got := script{{send: dale}, {send: "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + prove}}.play(t, ours)
			if err := <-done; !errors.Is(err, errInjection) {
				t.Errorf("Negotiate: %v", err)
			}
			if strings.Contains(got, "<proceed") {
				t.Error("proceeded")
			}
		})
	})
	t.Run("initiating", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			s := Initiate(theirs, &Config{Local: "dale.example", Remote: "hill.example", Features: tlsSide{}.features()})
			done := make(chan error, 1)
			go func() {
				err := s.Negotiate(t.Context())
				s.Close()
				done <- err
			}()
			script{
				{send: hill + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"},
				{want: "<starttls"},
				{send: "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + hill + features},
			}.play(t, ours)
			if err := <-done; !errors.Is(err, errInjection) {
				t.Errorf("Negotiate: %v", err)
			}
		})
	})
}

func TestTLSRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Initiate(theirs, &Config{Local: "dale.example", Remote: "hill.example", Features: tlsSide{}.features()})
		done := make(chan error, 1)
		go func() {
			err := s.Negotiate(t.Context())
			s.Close()
			done <- err
		}()
		script{
			{send: hill + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"},
			{want: "<starttls"},
			{send: "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"},
		}.play(t, ours)
		if err := <-done; !errors.Is(err, PolicyViolation) {
			t.Errorf("Negotiate: %v", err)
		}
	})
}

func TestTLSConfig(t *testing.T) {
	cert := &tls.Certificate{}
	var asked []string
	base := &tls.Config{
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked = append(asked, hello.ServerName)
			return cert, nil
		},
	}
	c := TLSConfig(base, "bücher.example", "hügel.example")
	switch {
	case c.ClientAuth != tls.RequestClientCert, !c.InsecureSkipVerify, !c.SessionTicketsDisabled, c.ClientSessionCache != nil,
		c.MinVersion != tls.VersionTLS12, c.ServerName != "xn--hgel-0ra.example":
		t.Errorf("%+v", c)
	case base.InsecureSkipVerify || base.ServerName != "":
		t.Error("changed its argument")
	}
	if got, err := c.GetClientCertificate(&tls.CertificateRequestInfo{}); got != cert || err != nil {
		t.Errorf("GetClientCertificate: %v, %v", got, err)
	}
	c.GetCertificate(&tls.ClientHelloInfo{})
	c.GetCertificate(&tls.ClientHelloInfo{ServerName: "said.example"})
	if got := strings.Join(asked, " "); got != "xn--bcher-kva.example xn--bcher-kva.example said.example" {
		t.Errorf("asked for %s", got)
	}
	if c := TLSConfig(nil, "", ""); c.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v", c)
	}
}

// What SASL EXTERNAL refuses, without ending the stream.
func TestExternalBadInput(t *testing.T) {
	ca := newTestCA(t)
	for _, tt := range []struct{ name, auth, condition string }{
		{"another mechanism", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>", "invalid-mechanism"},
		{"not base64", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%%</auth>", "incorrect-encoding"},
		{"another domain", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>bW9vci5leGFtcGxl</auth>", "invalid-authzid"},
		{"certificate of another domain", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", "not-authorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			to := tlsSide{
				roots: ca.pool, external: true,
				certs: map[string]*tls.Certificate{"hill.example": ca.issue(t, []string{"hill.example"})},
			}
			client := TLSConfig(&tls.Config{Certificates: []tls.Certificate{*ca.issue(t, []string{"moor.example"})}}, "", "hill.example")
			s := Accept(tls.Server(theirs, TLSConfig(to.config(), "", "")), &Config{
				Features: to.features(),
				Hosted:   func(string) bool { return true },
			})
			done := make(chan error, 1)
			go func() { done <- serveAll(t, s) }()
			got := script{
				{send: dale},
				{want: "</stream:features>"},
				{send: tt.auth},
				{want: "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><" + tt.condition + "/></failure>"},
				{send: "</stream:stream>"},
				{want: "</stream:stream>"},
			}.play(t, tls.Client(ours, client))
			if err := <-done; err != ErrClosed {
				t.Errorf("Negotiate: %v", err)
			}
			if strings.Contains(got, "EXTERNAL") {
				t.Errorf("offered without a certificate that proves the domain: %s", got)
			}
		})
	}
}
