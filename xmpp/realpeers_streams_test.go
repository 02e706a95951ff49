package xmpp_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Streams with real servers in both directions, by all ways of authentication.
func TestRealStreams(t *testing.T) {
	for _, server := range starters {
		for _, tt := range []struct {
			name     string
			security rig.Security
			by       xmpp.Mechanism
			direct   bool // direct TLS, too
		}{
			{"plaintext and dialback", rig.Dialback, xmpp.ByDialback, false},
			{"STARTTLS and dialback", rig.TLSDialback, xmpp.ByDialback, false},
			{"TLS and EXTERNAL", rig.TLS, xmpp.ByExternal, true},
		} {
			t.Run(server.name+", "+tt.name, func(t *testing.T) {
				ctx := realPeers(t)
				var ca *rig.CA
				if tt.security != rig.Dialback {
					ca = rig.NewCA(t)
				}
				s := newSite(t, ca)
				o := rig.Options{Security: tt.security, CA: ca, Resolver: s.resolver.Addr()}
				if tt.direct {
					o.DirectTLS = rig.FreeAddr(t)
				}
				peer := server.start(t, o)
				switch tt.security {
				case rig.Dialback:
					s.meet(peer, s.dialback)
				case rig.TLSDialback:
					s.meet(peer, s.startTLS(), s.dialback)
				case rig.TLS:
					s.meet(peer, s.startTLS(), external(ca))
				}
				user := login(ctx, t, peer, "romeo")
				both := func(t *testing.T, domain, direct string) {
					stream, err := s.dial(ctx, domain, direct)
					if err != nil {
						t.Fatal(err)
					}
					if secure := stream.State()&xmpp.Secure != 0; secure != (ca != nil) {
						t.Errorf("TLS: %v", secure)
					}
					for _, id := range []string{"out1", "out2"} {
						s.to(ctx, t, stream, "juliet@"+domain+"/balcony", user, domain+id)
					}
					if err := stream.Close(); err != nil {
						t.Error(err)
					}
					a := s.from(ctx, t, user, "juliet@"+domain+"/balcony", domain+"in1")
					if by := proof(a.stream, peer.Domain); by != tt.by {
						t.Errorf("%s proved by %v, want %v", peer.Domain, by, tt.by)
					}
					if secure := a.stream.State()&xmpp.Secure != 0; secure != (ca != nil) {
						t.Errorf("TLS: %v", secure)
					}
					if again := s.from(ctx, t, user, "juliet@"+domain+"/balcony", domain+"in2"); again.stream != a.stream {
						t.Error("the second stanza came on another stream")
					}
				}
				both(t, ours, "")
				if tt.direct {
					t.Run("direct TLS", func(t *testing.T) { both(t, oursDirect, o.DirectTLS) })
					t.Run("certificates", func(t *testing.T) { realCertificates(t, s, ca, peer) })
				}
			})
		}
	}
}

// realCertificates shows certificates of ours to a real server that wants EXTERNAL.
func realCertificates(t *testing.T, s *site, ca *rig.CA, peer *rig.Server) {
	other := rig.NewCA(t)
	client := x509.ExtKeyUsageClientAuth
	for _, tt := range []struct {
		name string
		cert *rig.Certificate
		ok   bool
	}{
		{"of another domain", ca.Issue(t, []string{"elsewhere.test"}, client), false},
		{"expired", ca.IssueExpired(t, []string{ours}, client), false},
		{"of a CA that is not trusted", other.Issue(t, []string{ours}, client), false},
		// ejabberd has OpenSSL ask for clientAuth.
		{"serverAuth only", ca.Issue(t, []string{oursDirect}), peer.Name != "ejabberd"},
		{"wildcard", ca.Issue(t, []string{"*." + ours}, client), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := realPeers(t)
			local := ours
			if tt.cert.TLS.Leaf.DNSNames[0] != ours {
				local = oursDirect // which the wildcard fits
			}
			s := &site{certificate: tt.cert.TLS, secure: true}
			s.meet(peer, s.startTLS(), external(ca))
			stream, err := s.dial(ctx, local, "")
			if err == nil {
				stream.Close()
			}
			if ok := err == nil; ok != tt.ok || !ok && !errors.Is(err, xmpp.NotAuthorized) {
				t.Errorf("Negotiate: %v", err)
			}
		})
	}
}

// Real servers show us certificates: without a good one there is no EXTERNAL, and dialback decides.
func TestRealServersCertificates(t *testing.T) {
	const domain = "chat.capulet.test"
	for _, server := range starters {
		ca := rig.NewCA(t)
		for _, tt := range []struct {
			name string
			cert *rig.Certificate
			by   xmpp.Mechanism
		}{
			{"of another domain", ca.Issue(t, []string{"elsewhere.test"}), xmpp.ByDialback},
			{"expired", ca.IssueExpired(t, []string{domain}), xmpp.ByDialback},
			{"serverAuth only", ca.Issue(t, []string{domain}), xmpp.ByExternal},
			{"wildcard", ca.Issue(t, []string{"*.capulet.test"}), xmpp.ByExternal},
		} {
			t.Run(server.name+", "+tt.name, func(t *testing.T) {
				ctx := realPeers(t)
				s := newSite(t, ca)
				peer := server.start(t, rig.Options{
					Domain: domain, Security: rig.TLSDialback, CA: ca, Certificate: tt.cert, Resolver: s.resolver.Addr(),
				})
				s.meet(peer, s.startTLS(), external(ca), s.dialback)
				a := s.from(ctx, t, login(ctx, t, peer, "romeo"), "juliet@"+ours, "in")
				if by := proof(a.stream, domain); by != tt.by {
					t.Errorf("proved by %v, want %v", by, tt.by)
				}
			})
		}
	}
}
