package main

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/examples/internal/broadcast"
	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/internal/tap"
	"github.com/switchyard-im/switchyard/psyc"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/transcode"
)

// Prosody and ejabberd behind a gateway each, in the ways that the gateways can find each other. Each is started once
// for all rounds of -count.
var (
	switching = &federation{plaintext: true, psyc: true}
	secured   = &federation{psyc: true}
	direct    = &federation{psyc: true, srv: "_psyc._tls."}
	plainXMPP = &federation{plaintext: true}
	together  = &federation{plaintext: true, psyc: true}
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range []*federation{switching, secured, direct, plainXMPP, together} {
		f.Close()
	}
	os.Exit(code)
}

// A federation is Prosody and ejabberd, a gateway in front of either, and a name server with the world's view, in which
// the domains are where the gateways are. The servers ask the redirectors of their gateways and nobody else.
type federation struct {
	plaintext bool          // no certificates, and none demanded; otherwise the gateways have them
	psyc      bool          // the gateway of ejabberd speaks it; that of Prosody does in any case
	srv       string        // how the domains are published; _xmpp-server._tcp. by default
	delay     time.Duration // of presence for one more copy; 0: what the gateway does by default

	rig.Once
	ca       *rig.CA
	names    *dnstest.Server
	clients  rig.Clients
	prosody  *fronted
	ejabberd *fronted
	users    int // that have been made for crowds
}

// A fronted server has a gateway.
type fronted struct {
	server  *rig.Server
	gateway *Gateway
	world   *tap.Tap // where other gateways find this one
	s2s     *tap.Tap // where the gateway finds its server, and nobody else does

	mu    sync.Mutex
	links map[string]psycswitch.LinkInfo // of the world side: what they were last
}

func (f *federation) start(t rig.TB) {
	f.names = dnstest.Start(t)
	f.clients = rig.Slixmpp(t)
	if !f.plaintext {
		f.ca = rig.NewCA(t)
	}
	f.prosody = f.front(t, "prosody.test", true, rig.Prosody)
	f.ejabberd = f.front(t, "ejabberd.test", f.psyc, rig.Ejabberd)
}

// front starts a gateway and the server behind it.
func (f *federation) front(t rig.TB, domain string, psyc bool, start func(rig.TB, rig.Options) *rig.Server) *fronted {
	s2s := rig.FreeAddr(t)
	s := &fronted{s2s: newTap(t, s2s), links: make(map[string]psycswitch.LinkInfo)}
	cfg := f.config()
	cfg.PSYC.Enabled = psyc
	cfg.Servers = []Server{behind(domain, s.s2s.Addr())}
	if f.ca != nil {
		cert := f.ca.Issue(t, cfg.Domains()).TLS
		cfg.Certificates = []Certificate{{TLS: &cert}}
	}

	s.gateway = NewGateway(cfg, testLogger(domain))
	if f.ca != nil {
		s.gateway.Roots = f.ca.Pool
	}
	s.gateway.world.Trace = &psycswitch.Trace{LinkUp: s.linkUp}
	startGateway(t, s.gateway)

	s.world = newTap(t, s.gateway.worldListeners[0].Addr().String())
	_, port, err := net.SplitHostPort(s.world.Addr())
	if err != nil {
		t.Fatalf("%v", err)
	}
	f.names.Add("gateway." + domain + ". 60 IN A 127.0.0.1")
	for _, d := range cfg.Domains() {
		f.names.Add(cmp.Or(f.srv, "_xmpp-server._tcp.") + d + ". 60 IN SRV 0 0 " + port + " gateway." + domain + ".")
	}
	s.server = start(t, rig.Options{
		Domain: domain, S2S: s2s, Resolver: s.gateway.redirector.Addrs()[0].String(), Component: broadcast.People + domain,
	})
	return s
}

// config is that of a gateway without servers.
func (f *federation) config() *Config {
	cfg := DefaultConfig()
	cfg.World = World{Listen: []Address{mustAddress("127.0.0.1:0")}, Plaintext: f.plaintext}
	cfg.PSYC.Listen = nil
	cfg.Local.Listen = mustAddress("127.0.0.1:0")
	cfg.DNS.Servers = []NameServer{{mustAddress(f.names.Addr()).AddrPort}}
	cfg.Casts.Delay = cmp.Or(Duration(f.delay), cfg.Casts.Delay)
	return cfg
}

// behind is a server as the gateway's configuration has it.
func behind(domain, s2s string) Server {
	return Server{
		Name: domain, S2S: mustAddress(s2s), Redirector: mustAddress("127.0.0.1:0"),
		Domains: []string{domain, "conference." + domain, broadcast.People + domain},
	}
}

func (s *fronted) linkUp(info psycswitch.LinkInfo) {
	name := info.Addr.String()
	if info.Dialled {
		name += " " + info.Local + " " + info.Remote
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[name] = info
}

func newTap(t rig.TB, target string) *tap.Tap {
	p, err := tap.Listen(rig.FreeAddr(t), target)
	if err != nil {
		t.Fatalf("tap: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// testLogger returns nil, which is silence, unless GATEWAY_LOG is set.
func testLogger(name string) *slog.Logger {
	if os.Getenv("GATEWAY_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("gateway", name)
}

// startGateway runs a gateway until the test ends.
func startGateway(t rig.TB, g *Gateway) {
	if err := g.Listen(); err != nil {
		t.Fatalf("%v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Logf("gateway: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Logf("the gateway does not end")
		}
	})
}

// A stanzaName tells stanzas of an exchange from one another.
type stanzaName struct{ kind, id string }

// exchange lets the servers hold the conversation, and returns what arrived.
func (f *federation) exchange(t *testing.T) map[stanzaName]bool {
	t.Helper()
	f.Do(t, f.start)
	arrived := make(map[stanzaName]bool)
	note := func(_ *rig.Element, got rig.Stanza) {
		arrived[stanzaName{got.Name.Local, got.Attribute("id")}] = true
	}
	rig.Exchange(t,
		&rig.Side{Server: f.prosody.server, Clients: f.clients, Arrived: note},
		&rig.Side{Server: f.ejabberd.server, Clients: f.clients, Arrived: note})
	if !t.Failed() && len(arrived) < 100 {
		t.Errorf("%d stanzas arrived", len(arrived))
	}
	f.prosody.onlyThroughGateway(t, "Incoming s2s connection", " complete")
	f.ejabberd.onlyThroughGateway(t, "Accepted inbound s2s dialback authentication", "")
	return arrived
}

// onlyThroughGateway checks that the server has accepted, as far as it has logged that, no other links than those that its
// gateway made.
func (s *fronted) onlyThroughGateway(t *testing.T, words ...string) {
	t.Helper()
	made := 0
	for _, c := range s.s2s.Conns() {
		if answer := c.Stream(tap.Backward); bytes.Contains(answer, []byte("<db:result")) && bytes.Contains(answer, []byte("valid")) {
			made++
		}
	}
	log, err := os.ReadFile(s.server.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for line := range strings.Lines(string(log)) {
		matches := 0
		for _, w := range words {
			if strings.Contains(line, w) {
				matches++
			}
		}
		if matches == len(words) {
			accepted++
		}
	}
	if made == 0 || accepted > made {
		t.Errorf("%s accepted %d links, its gateway made %d", s.server.Name, accepted, made)
	}
}

// all yields both fronted servers.
func (f *federation) all() []*fronted { return []*fronted{f.prosody, f.ejabberd} }

// Two gateways without certificates meet over XMPP, prove their domains by dialback, and switch.
func TestRealPeers(t *testing.T) {
	arrived := switching.exchange(t)
	for _, s := range switching.all() {
		for _, c := range s.world.Conns() {
			for _, half := range []struct {
				direction tap.Direction
				end       string // of XML
			}{{tap.Forward, "</switching>"}, {tap.Backward, "</switched>"}} {
				stream := c.Stream(half.direction)
				before, after, _ := bytes.Cut(stream, []byte(half.end))
				if hasStanza(before) {
					t.Errorf("to the gateway of %s a stanza went as XMPP:\n%s", s.server.Name, before)
				}
				for _, name := range packetsIn(t, after) {
					delete(arrived, name)
				}
			}
		}
	}
	for name := range arrived {
		t.Errorf("%v arrived, but not by PSYC", name)
	}
	switching.expectLinks(t, psycswitch.PSYC, false)
}

// Two gateways with certificates meet over XMPP, prove their domains by SASL EXTERNAL, and switch inside TLS.
func TestRealPeersOverTLS(t *testing.T) {
	secured.exchange(t)
	for _, s := range secured.all() {
		for _, c := range s.world.Conns() {
			if clear, _, tls := bytes.Cut(c.Stream(tap.Forward), []byte("<starttls")); !tls || hasStanza(clear) {
				t.Errorf("to the gateway of %s in clear:\n%s", s.server.Name, clear)
			}
		}
	}
	secured.expectLinks(t, psycswitch.PSYC, true)
}

// Two gateways whose domains are published as PSYC servers never speak XMPP with each other.
func TestRealPeersByPSYCRecords(t *testing.T) {
	direct.exchange(t)
	for _, s := range direct.all() {
		for _, c := range s.world.Conns() {
			if first := c.Stream(tap.Forward); len(first) > 0 && first[0] != 0x16 {
				t.Errorf("to the gateway of %s not TLS:\n%q", s.server.Name, first)
			}
		}
	}
	direct.expectLinks(t, psycswitch.PSYC, true)
}

// A gateway that speaks PSYC and a server that does not, here a gateway that was told so, federate over XMPP.
func TestRealPeersWithoutPSYC(t *testing.T) {
	arrived := plainXMPP.exchange(t)
	for _, s := range plainXMPP.all() {
		for _, c := range s.world.Conns() {
			for _, d := range []tap.Direction{tap.Forward, tap.Backward} {
				stream := string(c.Stream(d))
				if strings.Contains(stream, "<switching") {
					t.Errorf("%s was asked to switch", s.server.Name)
				}
				for name := range arrived {
					if strings.Contains(stream, name.id) {
						delete(arrived, name)
					}
				}
			}
		}
	}
	for name := range arrived {
		t.Errorf("%v did not go between the gateways", name)
	}
	plainXMPP.expectLinks(t, psycswitch.XMPP, false)
}

// Two servers behind one gateway find each other.
func TestRealPeersBehindOneGateway(t *testing.T) {
	f := together
	f.Do(t, func(t rig.TB) {
		f.names = dnstest.Start(t)
		f.clients = rig.Slixmpp(t)
		prosody, ejabberd := rig.FreeAddr(t), rig.FreeAddr(t)
		cfg := f.config()
		cfg.Servers = []Server{behind("prosody.test", prosody), behind("ejabberd.test", ejabberd)}
		g := NewGateway(cfg, testLogger("gateway"))
		startGateway(t, g)
		views := g.redirector.Addrs()
		f.prosody = &fronted{server: rig.Prosody(t, rig.Options{S2S: prosody, Resolver: views[0].String()})}
		f.ejabberd = &fronted{server: rig.Ejabberd(t, rig.Options{S2S: ejabberd, Resolver: views[1].String()})}
	})
	rig.Exchange(t,
		&rig.Side{Server: f.prosody.server, Clients: f.clients},
		&rig.Side{Server: f.ejabberd.server, Clients: f.clients})
}

func hasStanza(xml []byte) bool {
	return bytes.Contains(xml, []byte("<message")) || bytes.Contains(xml, []byte("<presence")) || bytes.Contains(xml, []byte("<iq"))
}

// packetsIn reads PSYC packets and returns which stanzas they are.
func packetsIn(t *testing.T, stream []byte) []stanzaName {
	t.Helper()
	var names []stanzaName
	var in transcode.FanIn
	var state psyc.State // addresses that stay the same are left out
	decoder := psyc.NewDecoder(bytes.NewReader(stream))
	decoder.Syntax = psyc.PSYC10
	for p, err := range decoder.Packets() {
		if err != nil {
			t.Errorf("not PSYC: %v\n%q", err, stream)
			return nil
		}
		if err := state.ApplyRouting(p); err != nil {
			t.Error(err)
		}
		if p.Routing.Get("_source") == nil && p.Routing.Get("_context") == nil {
			continue // between the gateways themselves
		}
		for s, err := range in.Receive(time.Now(), p) {
			if err != nil {
				t.Errorf("not a stanza: %v\n%v", err, p)
				continue
			}
			names = append(names, stanzaName{s.Kind.String(), s.ID})
		}
	}
	return names
}

// expectLinks checks what the links between the gateways became.
func (f *federation) expectLinks(t *testing.T, protocol psycswitch.Protocol, tls bool) {
	t.Helper()
	for _, s := range f.all() {
		s.mu.Lock()
		if len(s.links) == 0 {
			t.Errorf("the gateway of %s has no links", s.server.Name)
		}
		for _, info := range s.links {
			if info.Protocol != protocol || (info.TLS != nil) != tls {
				t.Errorf("the gateway of %s has a link by %v, TLS %v: %+v", s.server.Name, info.Protocol, info.TLS != nil, info)
			}
		}
		s.mu.Unlock()
	}
}
