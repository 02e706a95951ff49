package psycswitch_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/rig"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A matrixPeer is a column of the matrix: a kind of server, and the best protocol that it has in common with us.
type matrixPeer struct {
	name   string
	speaks psycswitch.Protocol
	start  func(*testing.T, *matrixNet) *matrixServer
	alpn   bool // it agrees on PSYC in TLS: in vain where certificates are not accepted
	comes  bool // the stream by which it verifies a key becomes its own way to us at once, with a key of its own
}

var matrixPeers = []matrixPeer{
	{"Switchyard", psycswitch.PSYC, startSwitchyard, true, false},
	{"Prosody", psycswitch.XMPP, startReal(rig.Prosody), false, true},
	{"ejabberd", psycswitch.XMPP, startReal(rig.Ejabberd), false, false},
}

// A matrixServer is a running peer.
type matrixServer struct {
	domain string
	addr   string // for XMPP and STARTTLS
	direct string // for TLS from the first byte
	user   string

	say  func(ctx context.Context, to, id string) error // has the user send a message
	hear func(ctx context.Context, id string) error     // waits for a message to the user
}

// A matrixNet is where one peer and we are.
type matrixNet struct {
	security rig.Security
	ca       *rig.CA        // nil: plaintext
	roots    *x509.CertPool // what we and our kind trust
	resolver *dnstest.Server
}

func newMatrixNet(t *testing.T, security rig.Security) *matrixNet {
	n := &matrixNet{security: security, resolver: dnstest.Start(t), roots: x509.NewCertPool()}
	if security != rig.Dialback {
		n.ca = rig.NewCA(t)
	}
	if security == rig.TLS {
		n.roots = n.ca.Pool
	}
	return n
}

// publish sets the only SRV record of a service.
func (n *matrixNet) publish(service, domain, addr string) {
	host, port, _ := net.SplitHostPort(addr)
	n.resolver.Remove(service+domain, "")
	if addr != "" {
		n.resolver.Add(service + domain + ". 1 IN SRV 0 0 " + port + " " + host + ".")
	}
}

// A counter counts connections either way.
type counter struct {
	net.Listener
	accepted, dialled atomic.Int32
}

func newCounter(t *testing.T) *counter { return &counter{Listener: listen(t)} }

func (c *counter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.accepted.Add(1)
	}
	return conn, err
}

func (c *counter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c.dialled.Add(1)
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// A matrixSite is a router of ours for one domain.
type matrixSite struct {
	*psycswitch.Router
	*counter
	domain string
	got    chan string
	stop   func()
}

func (n *matrixNet) site(t *testing.T, domain string) *matrixSite {
	t.Helper()
	s := &matrixSite{counter: newCounter(t), domain: domain, got: make(chan string, 100)}
	hosts := psycswitch.StaticHosts{domain: nil}
	if n.ca != nil {
		hosts[domain] = &n.ca.Issue(t, []string{domain}, x509.ExtKeyUsageClientAuth).TLS
	}
	s.Router = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    hosts,
			Resolver: &psycswitch.DNS{Servers: []string{n.resolver.Addr()}},
			Dialer:   s.counter,
			Roots:    n.roots,
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, st *xmpp.Stanza) error {
			if st.Kind == xmpp.Message {
				s.got <- st.ID
			}
			return nil
		}),
		Grace: 2 * time.Second,
	}
	if n.ca == nil {
		s.Insecure = psycswitch.Plaintext
	}
	return s
}

func (s *matrixSite) serve(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := s.Serve(ctx, s.counter); err != nil {
			t.Error(err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		served.Wait()
	})
	t.Cleanup(s.stop)
}

func (s *matrixSite) hear(ctx context.Context, id string) error {
	for {
		select {
		case got := <-s.got:
			if got == id {
				return nil
			}
			return fmt.Errorf("message %q instead of %q", got, id)
		case <-ctx.Done():
			return fmt.Errorf("waiting for message %q: %w", id, ctx.Err())
		}
	}
}

func startSwitchyard(t *testing.T, n *matrixNet) *matrixServer {
	far := n.site(t, "switchyard.test")
	if n.ca == nil {
		far.Insecure |= psycswitch.Addresses
	}
	far.serve(t)
	user := "romeo@" + far.domain
	return &matrixServer{
		domain: far.domain, addr: far.Addr().String(), direct: far.Addr().String(), user: user,
		say:  func(ctx context.Context, to, id string) error { return far.Send(ctx, chat(user, to, id, "hello")) },
		hear: far.hear,
	}
}

func startReal(start func(rig.TB, rig.Options) *rig.Server) func(*testing.T, *matrixNet) *matrixServer {
	return func(t *testing.T, n *matrixNet) *matrixServer {
		if testing.Short() {
			t.Skip("starts servers")
		}
		o := rig.Options{Security: n.security, CA: n.ca, Resolver: n.resolver.Addr()}
		if n.ca != nil {
			o.DirectTLS = rig.FreeAddr(t)
		}
		server := start(t, o)
		user, err := rig.Native(t).Login(t.Context(), server.AddUser(t, "romeo"))
		if err != nil {
			t.Fatal(err)
		}
		return &matrixServer{
			domain: server.Domain, addr: server.S2S, direct: o.DirectTLS, user: user.JID(),
			say: func(ctx context.Context, to, id string) error {
				return user.Send(ctx, "<message id='"+id+"' to='"+to+"'><body>hello</body></message>")
			},
			hear: func(ctx context.Context, id string) error {
				_, err := user.Expect(ctx, func(s rig.Stanza) bool { return s.Attribute("id") == id })
				return err
			},
		}
	}
}

// The best protocol that both have is what a link speaks, whoever dials, over every channel and by every proof; and nobody dials
// more than that takes.
func TestMatrix(t *testing.T) {
	for _, row := range []struct {
		name     string
		security rig.Security
		dialback bool
		channels []string
	}{
		{"plain, dialback", rig.Dialback, true, []string{"plain"}},
		{"TLS, EXTERNAL", rig.TLS, false, []string{"STARTTLS", "direct"}},
		{"TLS, dialback", rig.TLSDialback, true, []string{"STARTTLS", "direct"}},
	} {
		for _, peer := range matrixPeers {
			t.Run(peer.name+", "+row.name, func(t *testing.T) {
				n := newMatrixNet(t, row.security)
				far := peer.start(t, n)
				for _, channel := range row.channels {
					service, addr := "_xmpp-server._tcp.", far.addr
					if channel == "direct" {
						service, addr = "_xmpps-server._tcp.", far.direct
					}
					n.publish("_xmpp-server._tcp.", far.domain, "")
					n.publish("_xmpps-server._tcp.", far.domain, "")
					n.publish(service, far.domain, addr)
					// What is dialled, by whoever begins: one connection, one more to verify a key, and one in vain where TLS agreed on
					// PSYC and then the certificate is not accepted.
					dials, verifications := int32(1), int32(0)
					if row.dialback {
						verifications = 1
						if peer.alpn && channel == "direct" {
							dials = 2
						}
					}
					for _, role := range []string{"we dial", "the peer dials"} {
						t.Run(channel+", "+role, func(t *testing.T) {
							ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
							defer cancel()
							domain := map[string]string{"we dial": "dialling.", "the peer dials": "dialled."}[role] + strings.ToLower(channel) + ".ours.test"
							site := n.site(t, domain)
							n.publish(service, site.domain, site.Addr().String())
							site.serve(t)
							wantDialled, wantAccepted := dials, verifications
							if role == "we dial" {
								if err := site.Send(ctx, chat("juliet@"+site.domain, far.user, "1", "hello")); err != nil {
									t.Fatal(err)
								}
								if err := far.hear(ctx, "1"); err != nil {
									t.Fatal(err)
								}
							} else {
								wantDialled, wantAccepted = verifications, dials
								if err := far.say(ctx, "juliet@"+site.domain, "1"); err != nil {
									t.Fatal(err)
								}
								if err := site.hear(ctx, "1"); err != nil {
									t.Fatal(err)
								}
							}
							links := 0
							for l := range site.Links() {
								if l.Remote == "" {
									continue // refused, and about to end
								}
								if peer.comes && row.dialback && role == "we dial" && !l.Dialled {
									continue
								}
								links++
								if l.Protocol != peer.speaks || (l.TLS != nil) != (channel != "plain") || l.Dialled != (role == "we dial") {
									t.Errorf("a link speaks %v, TLS: %v, dialled by us: %v", l.Protocol, l.TLS != nil, l.Dialled)
								}
							}
							if links != 1 {
								t.Errorf("%d links", links)
							}
							d, a := site.dialled.Load(), site.accepted.Load()
							if peer.comes && row.dialback && role == "we dial" && d == wantDialled+1 {
								d-- // to verify its key
							}
							if d != wantDialled || a != wantAccepted {
								t.Errorf("%d connections dialled and %d accepted, want %d and %d", d, a, wantDialled, wantAccepted)
							}
							site.stop()
						})
					}
				}
			})
		}
	}
}

// A PSYC hint means that stanzas go by PSYC and that nobody opens a connection to the XMPP port, where there is one.
func TestMatrixPSYCHint(t *testing.T) {
	for _, row := range []struct {
		name     string
		security rig.Security
		service  string
	}{
		{"plain", rig.Dialback, "_psyc._tcp."},
		{"TLS", rig.TLS, "_psyc._tls."},
		{"TLS on the plain port", rig.TLS, "_psyc._tcp."},
	} {
		for _, peer := range matrixPeers {
			if peer.speaks != psycswitch.PSYC {
				continue
			}
			t.Run(peer.name+", "+row.name, func(t *testing.T) {
				n := newMatrixNet(t, row.security)
				far := peer.start(t, n)
				site := n.site(t, "ours.test")
				if n.ca == nil {
					site.Insecure |= psycswitch.Addresses
				}
				ports := newCounter(t) // where XMPP would be
				defer ports.Close()
				go func() {
					for {
						if conn, err := ports.Accept(); err != nil {
							return
						} else {
							conn.Close()
						}
					}
				}()
				for domain, addr := range map[string]string{far.domain: far.addr, site.domain: site.Addr().String()} {
					n.publish(row.service, domain, addr)
					n.publish("_xmpp-server._tcp.", domain, ports.Addr().String())
					n.publish("_xmpps-server._tcp.", domain, ports.Addr().String())
				}
				site.serve(t)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if err := site.Send(ctx, chat("juliet@"+site.domain, far.user, "1", "hello")); err != nil {
					t.Fatal(err)
				}
				if err := far.hear(ctx, "1"); err != nil {
					t.Fatal(err)
				}
				if err := far.say(ctx, "juliet@"+site.domain, "2"); err != nil {
					t.Fatal(err)
				}
				if err := site.hear(ctx, "2"); err != nil {
					t.Fatal(err)
				}
				if a, d := ports.accepted.Load(), site.dialled.Load(); a != 0 || d != 1 {
					t.Errorf("%d connections for XMPP, %d dialled in all", a, d)
				}
			})
		}
	}
}
