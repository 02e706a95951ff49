package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/rig"
	psycswitch "github.com/switchyard-im/switchyard/switch"
)

const second = "second.example"

// A current is numbered messages from away to home, which come in order and without a gap, and what arrives beside them.
type current struct {
	t       *testing.T
	f       *front
	other   chan string // ids of what comes for other domains
	stop    chan struct{}
	sending sync.WaitGroup
	sorting sync.WaitGroup
	sent    int
	came    int
	links   map[time.Time]bool // of the gateway to the world when it began, by their age
}

// flow begins, and returns when the messages come.
func flow(t *testing.T, f *front) *current {
	t.Helper()
	c := &current{t: t, f: f, other: make(chan string, 1000), stop: make(chan struct{}), links: make(map[time.Time]bool)}
	flowing := make(chan struct{})
	c.sorting.Go(func() {
		for s := range f.home.got {
			if s.To.Domain() != home {
				c.other <- s.ID
				continue
			}
			if s.ID != strconv.Itoa(c.came) {
				t.Errorf("%s where %d was due", s.ID, c.came)
			}
			if c.came++; c.came == 10 {
				close(flowing)
			}
		}
	})
	c.sending.Go(func() {
		for ; ; c.sent++ {
			select {
			case <-c.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if err := f.away.Send(t.Context(), chat("bob@"+away, "ada@"+home, strconv.Itoa(c.sent), "hello")); err != nil {
				t.Error(err)
				return
			}
		}
	})
	receive(t, flowing)
	for l := range f.gateway.world.Links() {
		c.links[l.Since] = true
	}
	return c
}

// comes sends a message to a domain that must arrive.
func (c *current) comes(domain, id string) {
	c.t.Helper()
	if err := c.f.away.Send(c.t.Context(), chat("bob@"+away, "ada@"+domain, id, "hello")); err != nil {
		c.t.Fatal(err)
	}
	if got := receive(c.t, c.other); got != id {
		c.t.Errorf("got %s, want %s", got, id)
	}
}

// gone waits until who sends to a domain hears that there is nobody. What is under way until then is lost.
func (c *current) gone(domain string) {
	c.t.Helper()
	for gone := false; !gone; {
		if err := c.f.away.Send(c.t.Context(), chat("bob@"+away, "ada@"+domain, "gone", "hello")); err != nil {
			c.t.Fatal(err)
		}
		select {
		case s := <-c.f.away.got:
			if gone = s.ID == "gone" && s.Type == "error"; !gone {
				c.t.Errorf("got %s", s.Append(nil))
			}
		case id := <-c.other:
			c.t.Fatalf("%s came for a domain that is gone", id)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// end stops everything. No message is missing, and the links have stayed; fresh is how many more there are now.
func (c *current) end(fresh int) {
	c.t.Helper()
	close(c.stop)
	c.sending.Wait()
	stay := 0
	for l := range c.f.gateway.world.Links() {
		if c.links[l.Since] {
			stay++
		} else {
			fresh--
		}
	}
	if stay == 0 || stay != len(c.links) || fresh < 0 {
		c.t.Errorf("%d of %d links have stayed, and %d more are there than should", stay, len(c.links), -fresh)
	}
	c.f.away.end()
	c.f.stop()
	if err := receive(c.t, c.f.done); err != nil {
		c.t.Error(err)
	}
	c.f.home.end()
	close(c.f.home.got)
	c.sorting.Wait()
	if c.came != c.sent {
		c.t.Errorf("%d of %d messages came", c.came, c.sent)
	}
}

// serving returns cfg with other domains and certificates.
func serving(cfg *Config, certs []*tls.Certificate, domains ...string) *Config {
	c := *cfg
	c.Servers = []Server{cfg.Servers[0]}
	c.Servers[0].Domains = domains
	c.Certificates = nil
	for _, cert := range certs {
		c.Certificates = append(c.Certificates, Certificate{TLS: cert})
	}
	return &c
}

// A domain comes and goes while messages of another one flow by links that stay.
func TestReload(t *testing.T) {
	for name, protocols := range map[string]psycswitch.Protocol{"PSYC": 0, "XMPP": psycswitch.XMPP} {
		t.Run(name, func(t *testing.T) {
			var cfg *Config
			f := newFront(t, protocols, testLogger("gateway"), func(f *front, c *Config) {
				cfg = c
				f.home.Hosts = psycswitch.StaticHosts{home: nil, second: nil}
			})
			c := flow(t, f)
			if err := f.gateway.Reload(serving(cfg, nil, home, second)); err != nil {
				t.Fatal(err)
			}
			c.comes(second, "come")
			if err := f.gateway.Reload(serving(cfg, nil, home)); err != nil {
				t.Fatal(err)
			}
			c.gone(second)
			c.end(2) // without TLS a domain has links of its own
		})
	}
}

// On TLS a domain comes with its certificate, is proved on the circuit that is there, and goes; and certificates are followed by others, which is
// what new connections see.
func TestReloadCertificates(t *testing.T) {
	ca := rig.NewCA(t)
	issue := func(domain string) *tls.Certificate { return &ca.Issue(t, []string{domain}).TLS }
	first, follower := issue(home), issue(home)
	var cfg *Config
	f := newFront(t, 0, testLogger("gateway"), func(f *front, c *Config) {
		f.home.Hosts = psycswitch.StaticHosts{home: nil, second: nil}
		f.away.Hosts = psycswitch.StaticHosts{away: issue(away)}
		f.away.Insecure, f.away.Roots, f.roots = 0, ca.Pool, ca.Pool
		c.World.Plaintext = false
		cfg = serving(c, []*tls.Certificate{first}, home)
		*c = *cfg
	})
	shown := func(domain string) *x509.Certificate {
		t.Helper()
		conn, err := tls.Dial("tcp", f.gateway.worldListeners[0].Addr().String(), &tls.Config{RootCAs: ca.Pool, ServerName: domain})
		if err != nil {
			return nil
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	if !shown(home).Equal(first.Leaf) || shown(second) != nil {
		t.Error("wrong certificates at the beginning")
	}
	c := flow(t, f)
	mine := issue(second)
	if err := f.gateway.Reload(serving(cfg, []*tls.Certificate{first, mine}, home, second)); err != nil {
		t.Fatal(err)
	}
	c.comes(second, "come")
	if err := f.home.Send(t.Context(), chat("ada@"+second, "bob@"+away, "answer", "hello")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, f.away.got); got.ID != "answer" || got.From.Domain() != second {
		t.Errorf("got %s", got.Append(nil))
	}
	if !shown(second).Equal(mine.Leaf) {
		t.Error("another certificate for the second domain")
	}
	if err := f.gateway.Reload(serving(cfg, []*tls.Certificate{follower, mine}, home, second)); err != nil {
		t.Fatal(err)
	}
	if !shown(home).Equal(follower.Leaf) {
		t.Error("the certificate has not changed")
	}
	c.comes(second, "still there")
	if err := f.gateway.Reload(serving(cfg, []*tls.Certificate{follower}, home)); err != nil {
		t.Fatal(err)
	}
	c.gone(second)
	if shown(second) != nil {
		t.Error("a domain that is gone has a certificate")
	}
	c.end(0)
}

// What cannot change without a restart changes nothing, and a file with errors neither.
func TestReloadRefused(t *testing.T) {
	var cfg *Config
	f := newFront(t, 0, testLogger("gateway"), func(_ *front, c *Config) { cfg = c })
	for name, change := range map[string]func(*Config){
		"listener":   func(c *Config) { c.World.Listen = []Address{mustAddress("127.0.0.1:1")} },
		"timeout":    func(c *Config) { c.Timeout.Idle++ },
		"redirector": func(c *Config) { c.Servers[0].Redirector = mustAddress("127.0.0.1:1") },
		"log":        func(c *Config) { c.Log.Format = "json" },
	} {
		c := *cfg
		c.Servers = []Server{cfg.Servers[0]}
		c.Servers[0].Domains = []string{"other.example"}
		change(&c)
		if err := f.gateway.Reload(&c); !errors.Is(err, ErrFixed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	hangup := make(chan os.Signal)
	stop := f.gateway.reloads(writeFile(t, t.TempDir(), "gateway.toml", "nonsense"), hangup)
	hangup <- os.Interrupt
	stop()
	if domains := strings.Join(f.gateway.now.Load().cfg.Domains(), " "); domains != home {
		t.Errorf("domains are %s", domains)
	}
}
