package xmpp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Our domains beside a real server: the second is reached by direct TLS only.
const (
	ours       = "switchyard.test"
	oursDirect = "direct.switchyard.test"
)

// A site is a server of ours in the same network as a real one, which asks the site's name server about us.
type site struct {
	resolver    *dnstest.Server
	addr        string // where we listen
	certificate tls.Certificate
	dialback    xmpp.Feature
	got         chan arrived
	ended       chan error // why accepted streams ended

	mu       sync.Mutex
	peer     *rig.Server
	features []xmpp.Feature
	secure   bool
}

// An arrived stanza, and how the domain that it came from was proved.
type arrived struct {
	stanza *xmpp.Stanza
	stream *xmpp.Stream
}

// newSite makes a site without a peer. ca issues its certificate; nil is no TLS at all.
func newSite(t *testing.T, ca *rig.CA) *site {
	t.Helper()
	s := &site{got: make(chan arrived, 1024), ended: make(chan error, 1024), secure: ca != nil}
	if ca != nil {
		s.certificate = ca.Issue(t, []string{ours, oursDirect}, x509.ExtKeyUsageClientAuth).TLS
	}
	s.dialback = xmpp.Dialback(xmpp.DialbackConfig{Verify: s.verify})
	s.resolver = dnstest.Start(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	listen := func(direct bool) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() { s.serve(ctx, conn, direct) })
			}
		})
		t.Cleanup(func() { l.Close() })
		return l.Addr().String()
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	s.addr = listen(false)
	s.publish("_xmpp-server._tcp."+ours, s.addr)
	s.publish("_xmpps-server._tcp."+oursDirect, listen(true))
	return s
}

// publish adds an SRV record. The target is numeric, as ejabberd wants it.
func (s *site) publish(name, addr string) {
	host, port, _ := net.SplitHostPort(addr)
	s.resolver.Add(name + ". 1 IN SRV 0 0 " + port + " " + host + ".")
}

// meet sets the real server, and what is negotiated with it.
func (s *site) meet(peer *rig.Server, features ...xmpp.Feature) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer, s.features = peer, features
}

// startTLS is STARTTLS with our certificate.
func (s *site) startTLS() xmpp.Feature {
	return xmpp.StartTLS(&tls.Config{Certificates: []tls.Certificate{s.certificate}})
}

// external is SASL EXTERNAL that trusts ca.
func external(ca *rig.CA) xmpp.Feature { return xmpp.External(trust(ca)) }

// trust verifies certificates that ca issued.
func trust(ca *rig.CA) func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
	return func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
		return xmpp.VerifyDomain(ca.Pool, leaf, rest, domain)
	}
}

func (s *site) config(local, remote string) *xmpp.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &xmpp.Config{
		Local: local, Remote: remote,
		Hosted:    func(domain string) bool { return domain == ours || domain == oursDirect },
		Features:  s.features,
		Plaintext: !s.secure,
	}
}

// serve is the accepting side of one connection.
func (s *site) serve(ctx context.Context, conn net.Conn, direct bool) {
	if direct {
		conn = tls.Server(conn, xmpp.TLSConfig(&tls.Config{Certificates: []tls.Certificate{s.certificate}}, "", ""))
	}
	stream := xmpp.Accept(conn, s.config("", ""))
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err := stream.Negotiate(ctx)
	if err == nil {
		for st, e := range stream.Stanzas(ctx) {
			if err = e; err == nil {
				s.got <- arrived{st.Clone(), stream}
			}
		}
	}
	s.ended <- err
}

// dial opens a stream to the real server; direct is the address of its port for direct TLS, or "".
func (s *site) dial(ctx context.Context, local, direct string) (*xmpp.Stream, error) {
	s.mu.Lock()
	addr, remote := s.peer.S2S, s.peer.Domain
	s.mu.Unlock()
	if direct != "" {
		addr = direct
	}
	return s.dialAt(ctx, local, remote, addr, direct != "", s.config(local, remote).Features...)
}

func (s *site) dialAt(ctx context.Context, local, remote, addr string, direct bool, features ...xmpp.Feature) (*xmpp.Stream, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if direct {
		conn = tls.Client(conn, xmpp.TLSConfig(&tls.Config{Certificates: []tls.Certificate{s.certificate}}, local, remote))
	}
	cfg := s.config(local, remote)
	cfg.Features = features
	stream := xmpp.Initiate(conn, cfg)
	if err := stream.Negotiate(ctx); err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}

// verify asks the real server, which is authoritative for its domain.
func (s *site) verify(ctx context.Context, local, remote, id, key string) error {
	s.mu.Lock()
	addr := s.peer.S2S
	var features []xmpp.Feature
	if s.secure {
		features = append(features, s.startTLS())
	}
	s.mu.Unlock()
	stream, err := s.dialAt(ctx, local, remote, addr, false, features...)
	if err != nil {
		return err
	}
	defer stream.Close()
	return stream.Verify(ctx, local, remote, id, key)
}

// message is one with things in it that must survive.
func message(t *testing.T, from, to, id string) *xmpp.Stanza {
	t.Helper()
	st, err := xmpp.Parse([]byte("<message type='chat' id='" + id + "' xml:lang='en' from='" + from + "' to='" + to + "'>" +
		"<body>a &lt; b &amp; &quot;c&quot; \u00fc</body><x xmlns='urn:example:x'><y:z xmlns:y='urn:example:y' y:a='1'/></x></message>"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// sameChildren fails unless what arrived means what was sent.
func sameChildren(t *testing.T, want *xmpp.Stanza, got string) {
	t.Helper()
	w, err := rig.Parse(string(want.AppendFor(nil, xmpp.NSClient)))
	if err != nil {
		t.Fatal(err)
	}
	g, err := rig.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	w.Attr, g.Attr = nil, nil // checked as addresses; servers add a language
	for _, e := range []*rig.Element{w, g} {
		slices.SortFunc(e.Nodes, func(a, b rig.Node) int { // ejabberd turns the order round
			return strings.Compare(a.Element.Name.Local, b.Element.Name.Local)
		})
	}
	if diff := rig.Diff(w, g); diff != "" {
		t.Errorf("arrived changed: %s\n%s", diff, got)
	}
}

// to sends a message on stream to user and waits until it arrives.
func (s *site) to(ctx context.Context, t *testing.T, stream *xmpp.Stream, from string, user rig.User, id string) {
	t.Helper()
	msg := message(t, from, user.JID(), id)
	if err := stream.Send(ctx, msg); err != nil {
		t.Fatal(err)
	}
	got, err := user.Expect(ctx, func(st rig.Stanza) bool { return st.Attribute("id") == id })
	if err != nil {
		t.Fatalf("to %s: %v (stream: %v)", user.JID(), err, stream.Err())
	}
	if got.Attribute("from") != from {
		t.Errorf("from %q", got.Attribute("from"))
	}
	sameChildren(t, msg, got.XML)
}

// from has user send a message to an address of ours and waits until it arrives.
func (s *site) from(ctx context.Context, t *testing.T, user rig.User, to, id string) arrived {
	t.Helper()
	msg := message(t, user.JID(), to, id)
	if err := user.Send(ctx, string(msg.AppendFor(nil, xmpp.NSClient))); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case a := <-s.got:
			if a.stanza.ID != id {
				continue // presence and the like
			}
			if a.stanza.From != uniform.MustParseJID(user.JID()) || a.stanza.To != uniform.MustParseJID(to) {
				t.Errorf("from %v to %v", a.stanza.From, a.stanza.To)
			}
			sameChildren(t, msg, string(a.stanza.AppendFor(nil, xmpp.NSClient)))
			return a
		case <-ctx.Done():
			t.Fatalf("from %s: %v", user.JID(), ctx.Err())
		}
	}
}

// login logs in a new user of server.
func login(ctx context.Context, t *testing.T, server *rig.Server, name string) rig.User {
	t.Helper()
	user, err := rig.Native(t).Login(ctx, server.AddUser(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// starters start the real servers.
var starters = []struct {
	name  string
	start func(rig.TB, rig.Options) *rig.Server
}{
	{"Prosody", rig.Prosody},
	{"ejabberd", rig.Ejabberd},
}

// realPeers prepares a test with real servers.
func realPeers(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// proof returns how domain was proved on stream.
func proof(stream *xmpp.Stream, domain string) xmpp.Mechanism {
	for _, p := range stream.Proofs() {
		if p.Remote == domain {
			return p.By
		}
	}
	return 0
}
