package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
)

// maxConfigSize bounds the configuration file, in bytes.
const maxConfigSize = 1 << 20

// A Config is the configuration file; gateway.toml explains every key. After [LoadConfig] without errors, all that it says
// has been checked, domains are canonical as [uniform.Domain] has them, and certificates are loaded.
type Config struct {
	World        World         `toml:"world"`
	PSYC         PSYC          `toml:"psyc"`
	Casts        Casts         `toml:"casts"`
	Local        Local         `toml:"local"`
	Servers      []Server      `toml:"server"`
	Certificates []Certificate `toml:"certificate"`
	DNS          DNS           `toml:"dns"`
	Routes       []Route       `toml:"route"`
	Queue        Queue         `toml:"queue"`
	Timeout      Timeout       `toml:"timeout"`
	Log          Log           `toml:"log"`
}

// World is the side of the other servers.
type World struct {
	Listen    []Address `toml:"listen"`
	Plaintext bool      `toml:"plaintext"`
}

// PSYC says whether we speak it, where else we listen, and how we get along with psyced.
type PSYC struct {
	Enabled bool      `toml:"enabled"`
	Listen  []Address `toml:"listen"`
	Psyced  []string  `toml:"psyced"` // foreign domains

	Addresses bool `toml:"addresses"`
}

// Casts says whether what goes to many goes as one packet, how long presence waits for that, and how many audiences a link remembers.
type Casts struct {
	Enabled   bool     `toml:"enabled"`
	Delay     Duration `toml:"delay"`
	Audiences int      `toml:"audiences"`
}

// Local is the side of our own servers.
type Local struct {
	Listen Address `toml:"listen"`
}

// A Server is one XMPP server behind the gateway.
type Server struct {
	Name       string   `toml:"name"`
	S2S        Address  `toml:"s2s"`
	Domains    []string `toml:"domains"`
	Redirector Address  `toml:"redirector"` // not valid: none
}

// A Certificate is a chain and its key, in PEM files.
type Certificate struct {
	Chain string `toml:"chain"`
	Key   string `toml:"key"`

	// TLS is what the files hold, with Leaf set.
	TLS *tls.Certificate `toml:"-"`
}

// DNS says how names are looked up, for ourselves and for our servers.
type DNS struct {
	Servers          []NameServer `toml:"servers"` // after LoadConfig never empty
	Forward          bool         `toml:"forward"`
	ForeignAddresses bool         `toml:"foreign_addresses"`
	Timeout          Duration     `toml:"timeout"`
}

// A Route stands in for what DNS says about a domain; the addresses are host:port.
type Route struct {
	Domain string   `toml:"domain"`
	PSYC   []string `toml:"psyc"`
	XMPP   []string `toml:"xmpp"`
}

// Queue bounds what waits for links: stanzas for one pair of domains, bytes for all.
type Queue struct {
	Stanzas int   `toml:"stanzas"`
	Bytes   int64 `toml:"bytes"`
}

// Timeout bounds what links may take.
type Timeout struct {
	Connect  Duration `toml:"connect"`
	Idle     Duration `toml:"idle"`
	Shutdown Duration `toml:"shutdown"`
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level `toml:"level"`
	Format string     `toml:"format"` // text, json
}

// DefaultConfig returns what holds where the file says nothing.
func DefaultConfig() *Config {
	return &Config{
		World:   World{Listen: []Address{mustAddress("[::]:5269")}},
		PSYC:    PSYC{Enabled: true, Listen: []Address{mustAddress("[::]:4404")}, Psyced: []string{}},
		Casts:   Casts{Enabled: true, Delay: Duration(20 * time.Millisecond), Audiences: 16_384},
		Local:   Local{Listen: mustAddress("127.0.0.1:5270")},
		DNS:     DNS{Forward: true, Timeout: Duration(2 * time.Second)},
		Queue:   Queue{Stanzas: 10_000, Bytes: 256 << 20},
		Timeout: Timeout{Connect: Duration(30 * time.Second), Idle: Duration(15 * time.Minute), Shutdown: Duration(10 * time.Second)},
		Log:     Log{Format: "text"},
	}
}

// LoadConfig reads a file and checks all that can be checked without a network. The configuration may be used if
// none of the problems is an error.
func LoadConfig(file string) (*Config, Problems) {
	text, err := readConfig(file)
	if err != nil {
		return nil, Problems{{File: file, Severity: Error, Text: err.Error()}}
	}
	cfg := DefaultConfig()
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(cfg); err != nil {
		return nil, decodeProblems(file, err)
	}
	c := newChecker(file, text, cfg)
	c.all()
	return cfg, c.sorted()
}

func readConfig(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		var pe *os.PathError // it would name the file once more
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err == nil && len(text) > maxConfigSize {
		err = fmt.Errorf("more than %d bytes", maxConfigSize)
	}
	return text, err
}

// decodeProblems are what the TOML library found: a mistake in the syntax or in one value, or all keys that nobody knows.
func decodeProblems(file string, err error) Problems {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var problems Problems
		for _, e := range strict.Errors {
			line, column := e.Position()
			problems = append(problems, Problem{file, line, column, Error, fmt.Sprintf("unknown key %q", joinKey(e.Key()))})
		}
		return problems
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		text := trimTOML(decode.Error())
		if key := joinKey(decode.Key()); key != "" {
			text = key + ": " + text
		}
		return Problems{{file, line, column, Error, text}}
	}
	return Problems{{File: file, Severity: Error, Text: trimTOML(err.Error())}}
}

// Domains yields the domains of all servers.
func (c *Config) Domains() []string {
	var domains []string
	for _, s := range c.Servers {
		domains = append(domains, s.Domains...)
	}
	return domains
}

// ServerOf returns the server of a canonical domain, nil if it is not ours.
func (c *Config) ServerOf(domain string) *Server {
	for i := range c.Servers {
		if slices.Contains(c.Servers[i].Domains, domain) {
			return &c.Servers[i]
		}
	}
	return nil
}

// keyKinds are the kinds of keys, best first. Who cannot do with one of them can with another.
var keyKinds = []x509.PublicKeyAlgorithm{x509.ECDSA, x509.Ed25519, x509.RSA}

// certificates returns the certificates for one of our domains, one for each kind of key, best first: of several that fit, the one that ends last.
func (c *Config) certificates(domain string) (best []*tls.Certificate) {
	for _, kind := range keyKinds {
		var last *tls.Certificate
		for _, cert := range c.Certificates {
			if cert.covers(domain) && cert.TLS.Leaf.PublicKeyAlgorithm == kind && (last == nil || cert.TLS.Leaf.NotAfter.After(last.Leaf.NotAfter)) {
				last = cert.TLS
			}
		}
		if last != nil {
			best = append(best, last)
		}
	}
	return best
}

// covers reports whether the certificate names domain.
func (c *Certificate) covers(domain string) bool {
	return c.TLS != nil && c.TLS.Leaf.VerifyHostname(uniform.ASCIIDomain(domain)) == nil
}

// Resolver returns how foreign domains are found: by the routes, then by DNS.
func (c *Config) Resolver() psycswitch.Resolver {
	names := &psycswitch.DNS{Timeout: time.Duration(c.DNS.Timeout)}
	for _, s := range c.DNS.Servers {
		names.Servers = append(names.Servers, s.String())
	}
	if len(c.Routes) == 0 {
		return names
	}
	routes := &psycswitch.StaticResolver{Domains: make(map[string][]psycswitch.Hint), Next: names}
	for _, r := range c.Routes {
		var hints []psycswitch.Hint
		for _, addr := range r.PSYC {
			hints = append(hints, psycswitch.Hint{Protocol: psycswitch.PSYC, Addr: addr})
		}
		for _, addr := range r.XMPP {
			hints = append(hints, psycswitch.Hint{Protocol: psycswitch.XMPP, Addr: addr})
		}
		routes.Domains[r.Domain] = hints
	}
	return routes
}

// NewRedirector returns the DNS redirector for the servers that have one, nil if none has.
func (c *Config) NewRedirector(logger *slog.Logger) *Redirector {
	r := &Redirector{
		Target:           c.Local.Listen.AddrPort,
		ForeignAddresses: c.DNS.ForeignAddresses,
		Timeout:          time.Duration(c.DNS.Timeout),
		Logger:           logger,
		Neighbour: func(domain string) (s2s netip.AddrPort, ok bool) {
			if s := c.ServerOf(domain); s != nil {
				return s.S2S.AddrPort, true
			}
			return netip.AddrPort{}, false
		},
	}
	for i := range c.Servers {
		s := &c.Servers[i]
		if s.Redirector.IsValid() {
			r.Views = append(r.Views, View{
				Name: s.Name, Listen: s.Redirector.AddrPort,
				Local: func(domain string) bool { return slices.Contains(s.Domains, domain) },
			})
		}
	}
	if len(r.Views) == 0 {
		return nil
	}
	if c.DNS.Forward {
		for _, s := range c.DNS.Servers {
			r.Upstreams = append(r.Upstreams, s.AddrPort)
		}
	}
	return r
}

// NewLogger returns a logger that writes to w.
func (l Log) NewLogger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// An Address is an IP address and a port other than 0; the zero value is none.
type Address struct{ netip.AddrPort }

// UnmarshalText parses IP:port.
func (a *Address) UnmarshalText(text []byte) error {
	ap, err := netip.ParseAddrPort(string(text))
	if err != nil {
		return fmt.Errorf("%q is not an address; it takes IP:port, such as 127.0.0.1:5269 or [::1]:5269", text)
	}
	if ap.Port() == 0 {
		return fmt.Errorf("%q: port 0", text)
	}
	a.AddrPort = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	return nil
}

func mustAddress(s string) Address { return Address{netip.MustParseAddrPort(s)} }

// A NameServer is the address of a name server.
type NameServer struct{ netip.AddrPort }

// UnmarshalText parses IP or IP:port; the port is 53 if it is left out.
func (n *NameServer) UnmarshalText(text []byte) error {
	if ip, err := netip.ParseAddr(string(text)); err == nil {
		n.AddrPort = netip.AddrPortFrom(ip.Unmap(), 53)
		return nil
	}
	var a Address
	if err := a.UnmarshalText(text); err != nil {
		return fmt.Errorf("%q is not a name server; it takes IP or IP:port", text)
	}
	n.AddrPort = a.AddrPort
	return nil
}

// A Duration is a time above 0 with its unit: "30s", "5m".
type Duration time.Duration

// UnmarshalText parses a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a duration above 0; it takes a number and a unit, such as 300ms, 30s, 5m or 1h", text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// isHostPort reports whether s is a host name or an IP address and a port other than 0.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return false
	}
	_, err = uniform.Domain(host)
	return err == nil
}
