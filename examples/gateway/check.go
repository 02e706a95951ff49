package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/uniform"
)

const (
	// expiryWarning is how long before its end a certificate is worth a warning.
	expiryWarning = 14 * 24 * time.Hour
	// probeTimeout is for one connection that -check -connect tries.
	probeTimeout = 3 * time.Second
	// resolvConf is where the system lists its name servers.
	resolvConf = "/etc/resolv.conf"
)

// A Severity says what a [Problem] means for the gateway.
type Severity uint8

// Severities.
const (
	Error   Severity = iota // it does not start
	Warning                 // it starts, and something will not work as one would think
	Note                    // what cannot be checked from here
)

func (s Severity) String() string { return [...]string{"error", "warning", "note"}[s] }

// A Problem is something wrong in a configuration file; Line and Column are 0 where it is about the file as a whole.
type Problem struct {
	File         string
	Line, Column int // from 1, in bytes
	Severity     Severity
	Text         string
}

// String returns "file:line:column: severity: text".
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	return fmt.Sprintf("%s: %s: %s", where, p.Severity, p.Text)
}

// Problems are in the order of the file.
type Problems []Problem

// Failed reports whether an error is among them.
func (ps Problems) Failed() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Severity == Error })
}

// runCheck is gateway -check: it writes every problem of file to w and returns the exit status. With
// connect it also tries whether the servers are there, and whether others could reach them.
func runCheck(ctx context.Context, w io.Writer, file string, connect bool) int {
	cfg, problems := LoadConfig(file)
	if connect && !problems.Failed() {
		problems = append(problems, probe(ctx, file, cfg)...)
	}
	for _, p := range problems {
		fmt.Fprintln(w, p)
	}
	if problems.Failed() {
		return 1
	}
	fmt.Fprintf(w, "%s: ok; domains: %d, servers: %d\n", file, len(cfg.Domains()), len(cfg.Servers))
	return 0
}

// A checker collects what is wrong with a configuration that has been decoded.
type checker struct {
	file     string
	cfg      *Config
	pos      positions
	problems Problems

	domainPaths map[string]string // where each of our domains stands

	systemServers func() ([]netip.AddrPort, error)
	now           time.Time
}

func newChecker(file string, text []byte, cfg *Config) *checker {
	return &checker{file: file, cfg: cfg, pos: newPositions(text), domainPaths: map[string]string{}, systemServers: systemNameServers, now: time.Now()}
}

func (c *checker) report(s Severity, path, format string, args ...any) {
	p := c.pos.of(path)
	c.problems = append(c.problems, Problem{c.file, p.Line, p.Column, s, fmt.Sprintf(format, args...)})
}

func (c *checker) errorf(path, format string, args ...any) { c.report(Error, path, format, args...) }

func (c *checker) warnf(path, format string, args ...any) { c.report(Warning, path, format, args...) }

func (c *checker) sorted() Problems {
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return c.problems
}

func (c *checker) all() {
	c.servers()
	c.domains()
	c.listeners()
	c.nameServers()
	c.certificates()
	c.routes()
	c.limits()
}

func (c *checker) servers() {
	if len(c.cfg.Servers) == 0 {
		c.errorf("server", "no [[server]]: there is nothing to be a gateway for")
	}
	addrs, names := map[netip.AddrPort]string{}, map[string]bool{}
	for i := range c.cfg.Servers {
		s := &c.cfg.Servers[i]
		path := fmt.Sprintf("server.%d", i)
		if s.Name == "" {
			s.Name = fmt.Sprintf("server %d", i+1)
		}
		if names[s.Name] {
			c.errorf(path+".name", "a second server %q", s.Name)
		}
		names[s.Name] = true
		switch ip := s.S2S.Addr(); {
		case !s.S2S.IsValid():
			c.errorf(path+".s2s", "server %q needs s2s, the address of its S2S port", s.Name)
		case ip.IsUnspecified():
			c.errorf(path+".s2s", "%v is no address that one can connect to", s.S2S)
		case !isPrivate(ip):
			c.errorf(path+".s2s", "%v is neither loopback nor private: whoever reaches the S2S port of a server that trusts the gateway can be anybody", s.S2S)
		case addrs[s.S2S.AddrPort] != "":
			c.errorf(path+".s2s", "%v is the address of server %q already", s.S2S, addrs[s.S2S.AddrPort])
		default:
			addrs[s.S2S.AddrPort] = s.Name
		}
		if s.Redirector.IsValid() {
			if ip := s.Redirector.Addr(); ip.IsUnspecified() || !isPrivate(ip) {
				c.errorf(path+".redirector", "%v is neither loopback nor private: the redirector's answers are for server %q alone", s.Redirector, s.Name)
			}
			c.report(Note, path+".redirector", "server %q must not validate DNSSEC, or it discards the redirector's answers about signed domains", s.Name)
		}
	}
}

// domains checks and canonicalises the domains of all servers.
func (c *checker) domains() {
	owner := map[string]string{}
	for i := range c.cfg.Servers {
		s := &c.cfg.Servers[i]
		if len(s.Domains) == 0 {
			c.errorf(fmt.Sprintf("server.%d.domains", i), "server %q has no domains", s.Name)
		}
		for k := range s.Domains {
			path := fmt.Sprintf("server.%d.domains.%d", i, k)
			domain, ok := c.domain(path, s.Domains[k])
			if !ok {
				continue
			}
			s.Domains[k] = domain
			if other, ok := owner[domain]; ok {
				c.errorf(path, "domain %q is server %q's already", domain, other)
				continue
			}
			owner[domain] = s.Name
			c.domainPaths[domain] = path
		}
	}
}

// domain returns the canonical form of a domain, or says what is wrong with it.
func (c *checker) domain(path, name string) (string, bool) {
	domain, err := uniform.Domain(name)
	if err != nil {
		reason := err.Error()
		var why *uniform.Error
		if errors.As(err, &why) {
			reason = why.Reason
		}
		c.errorf(path, "%q is not a domain: %s", name, reason)
		return "", false
	}
	if _, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
		c.errorf(path, "%q is an address, not a domain", name)
		return "", false
	}
	return domain, true
}

// listeners checks where we listen: no two on the same address, none where a server of ours is, the local side
// hidden from the world.
func (c *checker) listeners() {
	type listener struct {
		path string
		addr netip.AddrPort
	}
	var all []listener
	add := func(path string, a Address) {
		for _, other := range all {
			if overlap(other.addr, a.AddrPort) {
				key := strings.TrimRight(other.path, ".0123456789")
				c.errorf(path, "%v is taken by %s, %v", a, key, other.addr)
				return
			}
		}
		all = append(all, listener{path, a.AddrPort})
	}
	if len(c.cfg.World.Listen) == 0 {
		c.errorf("world.listen", "nowhere to listen for other servers")
	}
	for i, a := range c.cfg.World.Listen {
		add(fmt.Sprintf("world.listen.%d", i), a)
	}
	for i := range c.cfg.PSYC.Psyced {
		if domain, ok := c.domain(fmt.Sprintf("psyc.psyced.%d", i), c.cfg.PSYC.Psyced[i]); ok {
			c.cfg.PSYC.Psyced[i] = domain
		}
	}
	if c.cfg.PSYC.Addresses && !c.cfg.World.Plaintext && len(c.cfg.PSYC.Psyced) == 0 {
		c.warnf("psyc.addresses", "without world.plaintext and without domains in psyc.psyced there is no circuit that it is for")
	}
	if c.cfg.PSYC.Enabled {
		for i, a := range c.cfg.PSYC.Listen {
			add(fmt.Sprintf("psyc.listen.%d", i), a)
		}
	}
	if ip := c.cfg.Local.Listen.Addr(); !ip.Is4() || ip.IsUnspecified() {
		c.errorf("local.listen", "%v: it takes an IPv4 address that the servers can connect to, for they get it as the numeric target of an SRV record", c.cfg.Local.Listen)
	} else if !isPrivate(ip) {
		c.errorf("local.listen", "%v is neither loopback nor private: it is for our own servers alone", c.cfg.Local.Listen)
	}
	add("local.listen", c.cfg.Local.Listen)
	own := ownAddresses()
	for i, s := range c.cfg.Servers {
		ours := s.S2S.IsValid() && (s.S2S.Addr().IsLoopback() || slices.Contains(own, s.S2S.Addr()))
		if ours && !slices.ContainsFunc(c.cfg.Servers[:i], func(o Server) bool { return o.S2S == s.S2S }) {
			add(fmt.Sprintf("server.%d.s2s", i), s.S2S)
		}
	}
	for i, s := range c.cfg.Servers {
		if s.Redirector.IsValid() {
			add(fmt.Sprintf("server.%d.redirector", i), s.Redirector)
		}
	}
}

// nameServers fills in the system's name servers and makes sure that none is the redirector, which would ask itself.
func (c *checker) nameServers() {
	seen := map[netip.AddrPort]bool{}
	system := len(c.cfg.DNS.Servers) == 0
	if system {
		servers, err := c.systemServers()
		if err != nil {
			c.errorf("dns.servers", "the system's name servers are not known (%v): servers must list them", err)
			return
		}
		for _, s := range servers {
			c.cfg.DNS.Servers = append(c.cfg.DNS.Servers, NameServer{s})
		}
	}
	for i, s := range c.cfg.DNS.Servers {
		path := fmt.Sprintf("dns.servers.%d", i)
		if seen[s.AddrPort] && !system {
			c.errorf(path, "%v is listed twice", s)
		}
		seen[s.AddrPort] = true
		for _, server := range c.cfg.Servers {
			if server.Redirector.IsValid() && overlap(server.Redirector.AddrPort, s.AddrPort) {
				where := ""
				if system {
					where = " in " + resolvConf
				}
				c.errorf(path, "name server %v%s is the redirector of server %q: it would ask itself", s, where, server.Name)
			}
		}
	}
}

func (c *checker) certificates() {
	for i := range c.cfg.Certificates {
		c.certificate(fmt.Sprintf("certificate.%d", i), &c.cfg.Certificates[i])
	}
	if slices.ContainsFunc(c.cfg.Certificates, func(cert Certificate) bool { return cert.TLS == nil }) {
		return // which domains that one is for cannot be known
	}
	for domain, path := range c.domainPaths {
		if slices.ContainsFunc(c.cfg.Certificates, func(cert Certificate) bool { return cert.covers(domain) }) {
			continue
		}
		if c.cfg.World.Plaintext {
			c.warnf(path, "no certificate is for %q: it is reached without TLS alone", domain)
		} else {
			c.errorf(path, "no certificate is for %q, and world.plaintext is off: nobody could reach it", domain)
		}
	}
}

func (c *checker) certificate(path string, cert *Certificate) {
	complete := true
	for _, file := range []struct {
		key  string
		name *string
	}{{"chain", &cert.Chain}, {"key", &cert.Key}} {
		if *file.name == "" {
			c.errorf(path+"."+file.key, "certificate without %s", file.key)
			complete = false
		} else if !filepath.IsAbs(*file.name) {
			*file.name = filepath.Join(filepath.Dir(c.file), *file.name)
		}
	}
	if !complete {
		return
	}
	pair, err := tls.LoadX509KeyPair(cert.Chain, cert.Key)
	if err != nil {
		key := ".chain"
		var pe *os.PathError
		if errors.As(err, &pe) && pe.Path == cert.Key {
			key = ".key"
		}
		c.errorf(path+key, "%v", err)
		return
	}
	cert.TLS = &pair
	leaf := pair.Leaf
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case c.now.After(leaf.NotAfter):
		c.errorf(path+".chain", "the certificate has expired on %s", day(leaf.NotAfter))
	case c.now.Before(leaf.NotBefore):
		c.errorf(path+".chain", "the certificate is not valid before %s", day(leaf.NotBefore))
	case leaf.NotAfter.Sub(c.now) < expiryWarning:
		c.warnf(path+".chain", "the certificate expires on %s", day(leaf.NotAfter))
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		c.warnf(path+".chain", "the certificate is not meant for TLS servers")
	}
	if !slices.ContainsFunc(c.cfg.Domains(), cert.covers) {
		names := leaf.DNSNames
		if len(names) == 0 {
			names = []string{leaf.Subject.String()}
		}
		c.warnf(path+".chain", "the certificate, for %s, is for none of our domains", strings.Join(names, ", "))
	}
	if info, err := os.Stat(cert.Key); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		c.warnf(path+".key", "the key can be read or written by everybody on this machine (mode %04o)", info.Mode().Perm())
	}
}

// routes checks and canonicalises the routes.
func (c *checker) routes() {
	seen := map[string]bool{}
	for i := range c.cfg.Routes {
		r := &c.cfg.Routes[i]
		path := fmt.Sprintf("route.%d", i)
		if domain, ok := c.domain(path+".domain", r.Domain); ok {
			r.Domain = domain
			if seen[domain] {
				c.errorf(path+".domain", "a second route to %q", domain)
			}
			seen[domain] = true
			if s := c.cfg.ServerOf(domain); s != nil {
				c.errorf(path+".domain", "%q is server %q's: routes are for foreign domains", domain, s.Name)
			}
		}
		if len(r.PSYC)+len(r.XMPP) == 0 {
			c.errorf(path, "a route needs addresses: psyc, xmpp or both")
		}
		if len(r.PSYC) > 0 && !c.cfg.PSYC.Enabled {
			c.warnf(path+".psyc", "psyc.enabled is off: these addresses are not used")
		}
		for _, list := range []struct {
			key   string
			addrs []string
		}{{"psyc", r.PSYC}, {"xmpp", r.XMPP}} {
			for k, addr := range list.addrs {
				if !isHostPort(addr) {
					c.errorf(fmt.Sprintf("%s.%s.%d", path, list.key, k), "%q is not host:port", addr)
				}
			}
		}
	}
}

func (c *checker) limits() {
	q := c.cfg.Queue
	for key, v := range map[string]int64{"stanzas": int64(q.Stanzas), "bytes": q.Bytes} {
		if v <= 0 {
			c.errorf("queue."+key, "%d is not above 0", v)
		}
	}
	if n := c.cfg.Casts.Audiences; n <= 0 {
		c.errorf("casts.audiences", "%d is not above 0", n)
	}
	if f := c.cfg.Log.Format; f != "text" && f != "json" {
		c.errorf("log.format", "%q is neither text nor json", f)
	}
}

// overlap reports whether two sockets cannot both have their address: an unspecified one takes all of its port, for
// [::] is IPv4 as well.
func overlap(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && (a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

// isPrivate reports whether an address is one that the Internet does not route.
func isPrivate(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

// systemNameServers returns the name servers that the system uses.
func systemNameServers() ([]netip.AddrPort, error) {
	conf, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		return nil, err
	}
	var servers []netip.AddrPort
	for _, s := range conf.Servers {
		if ip, err := netip.ParseAddr(s); err == nil {
			servers = append(servers, netip.AddrPortFrom(ip.Unmap(), 53))
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("%s names none", resolvConf)
	}
	return servers, nil
}

// probe tries the S2S address of every server: it should answer there, and nowhere else.
func probe(ctx context.Context, file string, cfg *Config) Problems {
	c := &checker{file: file, cfg: cfg}
	if text, err := readConfig(file); err == nil {
		c.pos = newPositions(text)
	}
	for i, s := range cfg.Servers {
		path := fmt.Sprintf("server.%d.s2s", i)
		if err := connects(ctx, s.S2S.AddrPort); err != nil {
			c.warnf(path, "server %q does not answer: %v", s.Name, err)
			continue
		}
		if !s.S2S.Addr().IsLoopback() {
			continue // its other addresses are another machine's
		}
		for _, ip := range ownAddresses() {
			addr := netip.AddrPortFrom(ip, s.S2S.Port())
			if slices.ContainsFunc(cfg.World.Listen, func(a Address) bool { return overlap(a.AddrPort, addr) }) {
				continue // that is the gateway
			}
			if connects(ctx, addr) == nil {
				c.errorf(path, "the S2S port of server %q can be reached at %v: it must listen on %v alone", s.Name, addr, s.S2S.Addr())
			}
		}
	}
	return c.sorted()
}

// connects tries to connect.
func connects(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// ownAddresses returns the addresses of this machine by which others can reach it.
func ownAddresses() []netip.Addr {
	var ips []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
				ips = append(ips, ip.Unmap())
			}
		}
	}
	return ips
}
