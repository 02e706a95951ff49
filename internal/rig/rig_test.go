package rig_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/internal/tap"
)

var peers struct {
	rig.Once
	prosody, ejabberd *rig.Server
	slixmpp, native   rig.Clients
	toProsody         *tap.Tap // what the DNS calls the S2S port of Prosody
	toEjabberd        *tap.Tap
}

func TestMain(m *testing.M) {
	code := m.Run()
	peers.Close()
	os.Exit(code)
}

// startPeers starts both servers against each other, a tap in front of either, once for all tests.
func startPeers(t *testing.T) {
	t.Helper()
	peers.Do(t, func(tb rig.TB) {
		resolver, prosody, ejabberd := rig.FreeAddr(tb), rig.FreeAddr(tb), rig.FreeAddr(tb)
		peers.toProsody, peers.toEjabberd = newTap(tb, prosody), newTap(tb, ejabberd)
		startResolver(tb, resolver, map[string]string{"prosody.test": peers.toProsody.Addr(), "ejabberd.test": peers.toEjabberd.Addr()})
		peers.prosody = rig.Prosody(tb, rig.Options{S2S: prosody, Resolver: resolver})
		peers.ejabberd = rig.Ejabberd(tb, rig.Options{S2S: ejabberd, Resolver: resolver})
		peers.slixmpp, peers.native = rig.Slixmpp(tb), rig.Native(tb)
	})
}

func newTap(t rig.TB, target string) *tap.Tap {
	t.Helper()
	p, err := tap.Listen(rig.FreeAddr(t), target)
	if err != nil {
		t.Fatalf("tap: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// startResolver answers SRV questions for each domain and for its rooms with the address given, numerically, all others with NXDOMAIN.
func startResolver(t rig.TB, addr string, hosts map[string]string) {
	t.Helper()
	answer := func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		question := q.Question[0]
		domain, isSRV := strings.CutPrefix(strings.ToLower(question.Name), "_xmpp-server._tcp.")
		domain = strings.TrimPrefix(strings.TrimSuffix(domain, "."), "conference.")
		if target, err := net.ResolveTCPAddr("tcp", hosts[domain]); isSRV && question.Qtype == dns.TypeSRV && err == nil {
			r.Answer = append(r.Answer, &dns.SRV{
				Hdr:    dns.RR_Header{Name: question.Name, Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: 1},
				Target: target.IP.String() + ".", Port: uint16(target.Port),
			})
		} else {
			r.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(r)
	}
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatalf("resolver: %v", err)
	}
	started, ended := make(chan struct{}), make(chan struct{})
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(answer)}
	go func() {
		defer close(ended)
		server.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		server.Shutdown()
		<-ended
	})
}

// The exchange must pass between the servers directly: whatever fails with something in between is then that thing's fault.
func TestExchange(t *testing.T) {
	startPeers(t)
	passed := peers.toProsody.Bytes(tap.Forward) + peers.toEjabberd.Bytes(tap.Forward)
	arrived := 0
	count := func(*rig.Element, rig.Stanza) { arrived++ }
	rig.Exchange(t,
		&rig.Side{Server: peers.prosody, Clients: peers.slixmpp, Arrived: count},
		&rig.Side{Server: peers.ejabberd, Clients: peers.slixmpp, Arrived: count})
	if !t.Failed() && arrived < 100 {
		t.Errorf("the hook saw %d stanzas", arrived)
	}
	if passed == peers.toProsody.Bytes(tap.Forward)+peers.toEjabberd.Bytes(tap.Forward) {
		t.Error("nothing passed between the servers")
	}
	for _, p := range []*tap.Tap{peers.toProsody, peers.toEjabberd} {
		if !slices.ContainsFunc(p.Conns(), func(c *tap.Conn) bool { return bytes.Contains(c.Stream(tap.Forward), []byte("urn:example:rig:0")) }) {
			t.Errorf("the extension is not in the streams through %s", p.Addr())
		}
	}
}

// Both kinds of clients must see the same.
func TestExchangeWithNativeClients(t *testing.T) {
	startPeers(t)
	for _, side := range [][2]rig.Clients{{peers.native, peers.native}, {peers.slixmpp, peers.native}} {
		rig.Exchange(t, &rig.Side{Server: peers.prosody, Clients: side[0]}, &rig.Side{Server: peers.ejabberd, Clients: side[1]})
	}
}

// Certificates for either side, in a second rig beside the first.
func TestExchangeOverTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers of its own")
	}
	for name, security := range map[string]rig.Security{"EXTERNAL": rig.TLS, "dialback": rig.TLSDialback} {
		t.Run(name, func(t *testing.T) {
			o := rig.Options{Security: security, CA: rig.NewCA(t), Resolver: rig.FreeAddr(t)}
			prosody, ejabberd := rig.Prosody(t, o), rig.Ejabberd(t, o)
			to := newTap(t, ejabberd.S2S)
			startResolver(t, o.Resolver, map[string]string{"prosody.test": prosody.S2S, "ejabberd.test": to.Addr()})
			clients := rig.Native(t)
			rig.Exchange(t, &rig.Side{Server: prosody, Clients: clients}, &rig.Side{Server: ejabberd, Clients: clients})
			sawTLS := false
			for _, c := range to.Conns() {
				stream := c.Stream(tap.Forward)
				sawTLS = sawTLS || bytes.Contains(stream, []byte("urn:ietf:params:xml:ns:xmpp-tls"))
				if bytes.Contains(stream, []byte("<message")) {
					t.Errorf("a message in plaintext")
				}
			}
			if !sawTLS {
				t.Error("no STARTTLS")
			}
		})
	}
}

// Stopped and killed servers must come back at the same addresses with their accounts.
func TestRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers of its own")
	}
	for _, start := range []func(rig.TB, rig.Options) *rig.Server{rig.Prosody, rig.Ejabberd} {
		server := start(t, rig.Options{Domain: "restart.test", Resolver: rig.FreeAddr(t)})
		t.Run(server.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			clients := rig.Native(t)
			account := server.AddUser(t, "romeo")
			login := func() rig.User {
				t.Helper()
				user, err := clients.Login(ctx, account)
				if err != nil {
					t.Fatal(err)
				}
				return user
			}
			gone := func(user rig.User) {
				t.Helper()
				if _, err := user.Expect(ctx, func(rig.Stanza) bool { return false }); err == nil || ctx.Err() != nil {
					t.Errorf("the session outlives the server: %v", err)
				}
				if conn, err := net.Dial("tcp", server.S2S); err == nil {
					conn.Close()
					t.Errorf("%s still listens", server.Name)
				}
			}
			user := login()
			server.Kill(t)
			gone(user)
			server.Start(t)
			user = login()
			server.Stop(t)
			gone(user)
			server.Start(t)
			server.Restart(t)
			login()
		})
	}
}

func TestLoginRefused(t *testing.T) {
	startPeers(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, server := range []*rig.Server{peers.prosody, peers.ejabberd} {
		account := server.AddUser(t, "refused-"+strings.ToLower(t.Name()))
		account.Password += "x"
		for name, clients := range map[string]rig.Clients{"slixmpp": peers.slixmpp, "native": peers.native} {
			if _, err := clients.Login(ctx, account); err == nil || ctx.Err() != nil {
				t.Errorf("%s, %s: login with a wrong password: %v", server.Name, name, err)
			}
		}
		account.Addr = rig.FreeAddr(t)
		for name, clients := range map[string]rig.Clients{"slixmpp": peers.slixmpp, "native": peers.native} {
			if _, err := clients.Login(ctx, account); err == nil || ctx.Err() != nil {
				t.Errorf("%s, %s: login at a closed port: %v", server.Name, name, err)
			}
		}
	}
}
