package psycswitch_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/rig"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A network is several servers with several domains each, which find each other by one name server and believe certificates of one
// authority.
type network struct {
	names   *dnstest.Server
	ca      *rig.CA
	members []*member
}

// A member is a server of a network.
type member struct {
	name    string
	speaks  psycswitch.Protocol // the best that it has in common with a Switchyard
	domains []string
	people  []*correspondent // one at each domain

	// Of a Switchyard:
	router *psycswitch.Router
	door   *countingListener
}

// A correspondent is somebody at a domain.
type correspondent struct {
	address string
	say     func(ctx context.Context, to, id string) error // sends a message
	hear    func(ctx context.Context, id string) error     // waits for one
}

// A countingListener counts connections by the address that they come from.
type countingListener struct {
	net.Listener
	mu   sync.Mutex
	from map[string]int
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.from[conn.RemoteAddr().(*net.TCPAddr).IP.String()]++
		l.mu.Unlock()
	}
	return conn, err
}

func (l *countingListener) ip() string { return l.Addr().(*net.TCPAddr).IP.String() }

func (l *countingListener) accepted(ip string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.from[ip]
}

// publish adds an SRV record. The target is numeric, as ejabberd wants it.
func (n *network) publish(service, domain, addr string) {
	host, port, _ := net.SplitHostPort(addr)
	n.names.Add(service + domain + ". 1 IN SRV 0 0 " + port + " " + host + ".")
}

// A mailbox holds the ids of the messages that have come.
type mailbox struct {
	mu   sync.Mutex
	came map[string]int
	more chan struct{} // closed when another one has come
}

func newMailbox() *mailbox { return &mailbox{came: make(map[string]int), more: make(chan struct{})} }

func (m *mailbox) put(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.came[id]++
	close(m.more)
	m.more = make(chan struct{})
}

func (m *mailbox) await(ctx context.Context, id string) error {
	for {
		m.mu.Lock()
		n, more := m.came[id], m.more
		m.mu.Unlock()
		switch {
		case n == 1:
			return nil
		case n > 1:
			return fmt.Errorf("%q came %d times", id, n)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %q: %w", id, ctx.Err())
		}
	}
}

// switchyard adds a router at a loopback address of its own, from which it dials, too. It has one certificate, or one for each domain.
func (n *network) switchyard(t *testing.T, name, ip string, each bool, services ...string) {
	t.Helper()
	ln, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Skipf("this machine has no loopback address %s: %v", ip, err)
	}
	m := &member{name: name, speaks: psycswitch.PSYC, domains: domainsOf(name), door: &countingListener{Listener: ln, from: make(map[string]int)}}
	hosts := make(psycswitch.StaticHosts)
	all := &n.ca.Issue(t, m.domains, x509.ExtKeyUsageClientAuth).TLS
	box := newMailbox()
	m.router = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:    hosts,
			Resolver: &psycswitch.DNS{Servers: []string{n.names.Addr()}},
			Dialer:   &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}},
			Roots:    n.ca.Pool,
		},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			if s.Kind != xmpp.Message {
				return nil
			}
			if s.Type == "error" {
				t.Errorf("%s: %s came back", name, s.Append(nil))
			}
			box.put(s.ID)
			return nil
		}),
		Grace: 2 * time.Second,
	}
	for _, d := range m.domains {
		hosts[d] = all
		if each {
			hosts[d] = &n.ca.Issue(t, []string{d}, x509.ExtKeyUsageClientAuth).TLS
		}
		for _, service := range services {
			n.publish(service, d, ln.Addr().String())
		}
		address := "ada@" + d
		m.people = append(m.people, &correspondent{
			address: address,
			say: func(ctx context.Context, to, id string) error {
				return m.router.Send(ctx, chat(address, to, id, "hello"))
			},
			hear: box.await,
		})
	}
	n.members = append(n.members, m)
}

// real adds a server that nobody here wrote, with a user at each domain.
func (n *network) real(t *testing.T, name string, start func(rig.TB, rig.Options) *rig.Server) {
	t.Helper()
	m := &member{name: name, speaks: psycswitch.XMPP, domains: domainsOf(name)}
	s := start(t, rig.Options{
		Domain: m.domains[0], Hosts: m.domains[1:], Security: rig.TLS, CA: n.ca, Resolver: n.names.Addr(),
	})
	clients := rig.Native(t)
	for _, d := range m.domains {
		n.publish("_xmpp-server._tcp.", d, s.S2S)
		user, err := clients.Login(t.Context(), s.AddUser(t, "ada@"+d))
		if err != nil {
			t.Fatal(err)
		}
		m.people = append(m.people, &correspondent{
			address: user.JID(),
			say: func(ctx context.Context, to, id string) error {
				return user.Send(ctx, "<message type='chat' id='"+id+"' to='"+to+"'><body>hello</body></message>")
			},
			hear: func(ctx context.Context, id string) error {
				got, err := user.Expect(ctx, func(s rig.Stanza) bool { return s.Attribute("id") == id })
				if err == nil && got.Attribute("type") == "error" {
					err = fmt.Errorf("came back: %s", got.XML)
				}
				return err
			},
		})
	}
	n.members = append(n.members, m)
}

// domainsOf are the four domains of a member.
func domainsOf(name string) []string {
	return []string{name + ".test", "rooms." + name + ".test", "second-" + name + ".test", "third-" + name + ".test"}
}

// serve makes the routers serve until the test ends.
func (n *network) serve(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	for _, m := range n.members {
		if m.router == nil {
			continue
		}
		served.Go(func() {
			if err := m.router.Serve(ctx, m.door); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		served.Wait()
	})
}

// talk has everybody at one server write to everybody at another, all at once, and waits until everything is there.
func talk(ctx context.Context, t *testing.T, from, to *member) {
	for _, a := range from.people {
		for _, b := range to.people {
			if err := a.say(ctx, b.address, a.address+" "+b.address); err != nil {
				t.Errorf("%s to %s: %v", a.address, b.address, err)
			}
		}
	}
	for _, a := range from.people {
		for _, b := range to.people {
			if err := b.hear(ctx, a.address+" "+b.address); err != nil {
				t.Errorf("%s to %s: %v", a.address, b.address, err)
			}
		}
	}
}

// Three Switchyards, Prosody and ejabberd, four domains each. Every domain writes to every other and is answered, by the best protocol that
// the two servers have. However many pairs of domains begin at the same moment, two Switchyards have one connection.
func TestNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	n := &network{names: dnstest.Start(t), ca: rig.NewCA(t)}
	n.switchyard(t, "north", "127.0.0.2", false, "_psyc._tls.", "_xmpp-server._tcp.")
	n.switchyard(t, "south", "127.0.0.3", true, "_xmpp-server._tcp.")
	n.switchyard(t, "west", "127.0.0.4", false, "_xmpps-server._tcp.")
	n.real(t, "prosody", rig.Prosody)
	n.real(t, "ejabberd", rig.Ejabberd)
	n.serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var talking sync.WaitGroup
	for i, a := range n.members {
		for _, b := range n.members[:i] {
			talking.Go(func() {
				talk(ctx, t, a, b)
				talk(ctx, t, b, a)
			})
		}
	}
	talking.Wait()
	if t.Failed() {
		return
	}

	speaks := make(map[string]psycswitch.Protocol)
	for _, m := range n.members {
		for _, d := range m.domains {
			speaks[d] = m.speaks
		}
	}
	const domains = 4
	for _, m := range n.members {
		if m.router == nil {
			continue
		}
		type traffic struct{ links, in, out int }
		by := make(map[psycswitch.Protocol]traffic)
		for l := range m.router.Links() {
			if l.Protocol != speaks[l.Remote] || l.TLS == nil {
				t.Errorf("%s speaks %v with %s, TLS: %v", m.name, l.Protocol, l.Remote, l.TLS != nil)
			}
			sum := by[l.Protocol]
			by[l.Protocol] = traffic{sum.links + 1, sum.in + int(l.StanzasIn), sum.out + int(l.StanzasOut)}
		}
		// Each domain has written to eight of Switchyards and to eight others. The streams of XMPP go one way and carry a pair each.
		const messages = domains * 2 * domains
		if got, want := by[psycswitch.PSYC], (traffic{2, messages, messages}); got != want {
			t.Errorf("%s by PSYC: %+v, want %+v", m.name, got, want)
		}
		if got, want := by[psycswitch.XMPP], (traffic{2 * messages, messages, messages}); got != want {
			t.Errorf("%s by XMPP: %+v, want %+v", m.name, got, want)
		}
	}
	for i, a := range n.members[:3] {
		for _, b := range n.members[:i] {
			if c := a.door.accepted(b.door.ip()) + b.door.accepted(a.door.ip()); c != 1 {
				t.Errorf("%s and %s have opened %d connections", a.name, b.name, c)
			}
		}
	}
}
