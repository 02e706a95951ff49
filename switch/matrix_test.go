package psycswitch_test

import (
	"cmp"
	"context"
	"crypto/tls"
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

	// What is not as with the others; nil: nothing.
	services map[string]string // by channel, where the peer is published
	cell     func(c matrixCell) matrixCell
}

// A matrixCell is what comes of one channel and one role.
type matrixCell struct {
	security rig.Security
	channel  string
	weDial   bool

	speaks            psycswitch.Protocol // 0: there is no link, and nothing is delivered
	secure            bool
	version           uint16 // of TLS; 0: any
	dialled, accepted int32  // connections, of ours
}

// await waits until what was said has been heard, or has come back.
func (c matrixCell) await(ctx context.Context, far *matrixServer, site *matrixSite) error {
	switch {
	case c.speaks == 0 && c.weDial:
		return site.hear(ctx, "1 bounced")
	case c.speaks == 0:
		return far.over() // its own people hear of that
	case c.weDial:
		return far.hear(ctx, "1")
	}
	return site.hear(ctx, "1")
}

var matrixPeers = []matrixPeer{
	{name: "Switchyard", speaks: psycswitch.PSYC, start: startSwitchyard, alpn: true},
	{name: "psyced", speaks: psycswitch.PSYC, start: startPsyced, services: map[string]string{"direct": "_psyc._tls."}, cell: psycedCell},
	{name: "Prosody", speaks: psycswitch.XMPP, start: startReal(rig.Prosody), comes: true},
	{name: "ejabberd", speaks: psycswitch.XMPP, start: startReal(rig.Ejabberd)},
}

// A matrixServer is a running peer.
type matrixServer struct {
	domain string
	addr   string // for XMPP and STARTTLS
	direct string // for TLS from the first byte
	user   string

	say  func(ctx context.Context, to, id string) error // has the user send a message
	hear func(ctx context.Context, id string) error     // waits for a message to the user

	psyced bool         // our operator knows it as one
	over   func() error // ends what it does for one site and returns what was wrong; may be nil
}

// A matrixNet is where one peer and we are.
type matrixNet struct {
	security rig.Security
	ca       *rig.CA        // nil: plaintext
	roots    *x509.CertPool // what we and our kind trust
	resolver *dnstest.Server
	both     bool // whoever was spoken to speaks on the same link

	// Of ours, for who does not ask the resolver: the domain, and where it was published last.
	ours, service, addr string
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
	if domain == n.ours {
		n.service, n.addr = service, addr
	}
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
	n.ours = domain
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
				name := cmp.Or(st.ID, st.Text("body"))
				if st.Type == "error" {
					name += " bounced"
				}
				s.got <- name
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

// knows tells the site what its operator knows of a peer.
func (s *matrixSite) knows(far *matrixServer) {
	if far.psyced {
		s.Psyced = func(domain string) bool { return domain == far.domain }
		s.Insecure |= psycswitch.Addresses
		s.PSYC.Self = "psyc://" + s.domain + "/"
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
					for _, s := range []string{"_xmpp-server._tcp.", "_xmpps-server._tcp.", peer.services[channel]} {
						n.publish(s, far.domain, "")
					}
					n.publish(cmp.Or(peer.services[channel], service), far.domain, addr)
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
						want := matrixCell{row.security, channel, role == "we dial", peer.speaks, channel != "plain", 0, dials, verifications}
						if !want.weDial {
							want.dialled, want.accepted = verifications, dials
						}
						if peer.cell != nil {
							want = peer.cell(want)
						}
						t.Run(channel+", "+role, func(t *testing.T) {
							ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
							defer cancel()
							domain := map[string]string{"we dial": "dialling.", "the peer dials": "dialled."}[role] + strings.ToLower(channel) + ".ours.test"
							site := n.site(t, domain)
							n.publish(cmp.Or(peer.services[channel], service), site.domain, site.Addr().String())
							site.knows(far)
							site.serve(t)
							if want.weDial {
								if err := site.Send(ctx, chat("juliet@"+site.domain, far.user, "1", "hello")); err != nil {
									t.Fatal(err)
								}
							} else if err := far.say(ctx, "juliet@"+site.domain, "1"); err != nil {
								t.Fatal(err)
							}
							if err := want.await(ctx, far, site); err != nil {
								t.Fatal(err)
							}
							links := 0
							for l := range site.Links() {
								if l.Remote == "" {
									continue // refused, and about to end
								}
								if peer.comes && row.dialback && want.weDial && !l.Dialled {
									continue
								}
								links++
								if l.TLS != nil && want.version != 0 && l.TLS.Version != want.version {
									t.Errorf("%s", tls.VersionName(l.TLS.Version))
								}
								if l.Protocol != want.speaks || (l.TLS != nil) != want.secure || l.Dialled != want.weDial {
									t.Errorf("a link speaks %v, TLS: %v, dialled by us: %v", l.Protocol, l.TLS != nil, l.Dialled)
								}
							}
							if (links == 1) != (want.speaks != 0) || links > 1 {
								t.Errorf("%d links", links)
							}
							d, a := site.dialled.Load(), site.accepted.Load()
							if peer.comes && row.dialback && want.weDial && d == want.dialled+1 {
								d-- // to verify its key
							}
							if d != want.dialled || a != want.accepted {
								t.Errorf("%d connections dialled and %d accepted, want %d and %d", d, a, want.dialled, want.accepted)
							}
							site.stop()
							if far.over != nil {
								if err := far.over(); err != nil {
									t.Error(err)
								}
							}
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
				n.both = true
				far := peer.start(t, n)
				site := n.site(t, "ours.test")
				site.knows(far)
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
				site.stop()
				if far.over != nil {
					if err := far.over(); err != nil {
						t.Error(err)
					}
				}
				if a, d := ports.accepted.Load(), site.dialled.Load(); a != 0 || d != 1 {
					t.Errorf("%d connections for XMPP, %d dialled in all", a, d)
				}
			})
		}
	}
}
