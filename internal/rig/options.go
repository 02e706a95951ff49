package rig

import (
	"bytes"
	"crypto/x509"
	"embed"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// Security says how a server authenticates itself to others, and they to it.
type Security int

const (
	// Dialback is S2S in plaintext with dialback (XEP-0220). The default.
	Dialback Security = iota
	// TLS is STARTTLS, required, and SASL EXTERNAL with certificates of Options.CA; no dialback.
	TLS
	// TLSDialback is STARTTLS, required, with a CA that the server does not trust: EXTERNAL is refused or not offered, and
	// dialback follows inside TLS.
	TLSDialback
)

// Options configure a server. Only Resolver is required.
type Options struct {
	// Domain is the domain served; "prosody.test" or "ejabberd.test" by default. Rooms are at "conference." + Domain.
	Domain string
	// Hosts are further domains served for users.
	Hosts []string
	// S2S is "IP:PORT" to listen on for other servers, best from FreeAddr; one that the kit picks by default.
	S2S string
	// Resolver is "IP:PORT" of the DNS server (UDP and TCP) that the server asks about other domains. It need not run yet.
	Resolver string
	// Security is the way of authentication between servers.
	Security Security
	// CA issues the server's certificate. Required with TLS and TLSDialback.
	CA *CA
	// Certificate is the server's instead of one that CA issues for Domain, its rooms and Hosts.
	Certificate *Certificate
	// DirectTLS is "IP:PORT" to listen on for other servers with TLS from the first byte (XEP-0368); with TLS and TLSDialback
	// only. "" is nowhere.
	DirectTLS string
	// Component is a domain that an external component may connect as (XEP-0114), at Server.Component with Server.ComponentSecret.
	// "" is none.
	Component string
	// Debug makes the server log what passes it; ejabberd then logs all XML, also what is inside TLS.
	Debug bool
	// Modules are loaded by Prosody besides those that the kit needs: "smacks", "s2s_bidi".
	Modules []string
	// Extra is added to the configuration: Lua before the first host in Prosody, more entries of "modules" in ejabberd.
	Extra string
}

//go:embed conf/*.tmpl
var confFiles embed.FS

var confTemplates = template.Must(template.New("").Funcs(template.FuncMap{"quote": quote}).ParseFS(confFiles, "conf/*.tmpl"))

// quote makes a string literal that Lua and YAML read alike.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// endpoint is an IPv4 address and port as the templates want it.
type endpoint struct {
	IP   string
	Port string
}

func (e endpoint) String() string { return e.IP + ":" + e.Port }

// Tuple is the address in Erlang's notation, without the braces.
func (e endpoint) Tuple() string { return strings.ReplaceAll(e.IP, ".", ",") }

func parseEndpoint(t TB, what, addr string) endpoint {
	t.Helper()
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().Is4() {
		t.Fatalf("%s %q: want an IPv4 address and port", what, addr)
	}
	return endpoint{ap.Addr().String(), strconv.Itoa(int(ap.Port()))}
}

// conf is what the templates see.
type conf struct {
	dir                 string
	Domain, Conference  string
	Hosts               []string
	Data, Log, LogLevel string
	C2S, S2S, API       endpoint
	DirectTLS           endpoint // without a port if there is none
	Component           string
	ComponentAddr       endpoint
	Resolver            endpoint
	TLS, Dialback       bool
	Trust               string // file of the CA to trust, empty for none
	CertFile, KeyFile   string
	BundleFile          string
	Secret, Extra       string
	Modules             []string
	Bidi                bool // whether s2s_bidi, which Prosody loads by itself, is among them
}

// newConf works out the options. The files of the server go to dir.
func newConf(t TB, o Options, domain, dir string) *conf {
	t.Helper()
	if o.Domain != "" {
		domain = o.Domain
	}
	if o.S2S == "" {
		o.S2S = FreeAddr(t)
	}
	c := &conf{
		dir:        dir,
		Domain:     domain,
		Conference: "conference." + domain,
		Hosts:      o.Hosts,
		Data:       filepath.Join(dir, "data"),
		Log:        filepath.Join(dir, "server.log"),
		LogLevel:   "info",
		C2S:        parseEndpoint(t, "C2S", FreeAddr(t)),
		S2S:        parseEndpoint(t, "Options.S2S", o.S2S),
		API:        parseEndpoint(t, "API", FreeAddr(t)),
		Resolver:   parseEndpoint(t, "Options.Resolver", o.Resolver),
		TLS:        o.Security != Dialback,
		Dialback:   o.Security != TLS,
		Secret:     randomName(),
		Extra:      o.Extra,
		Modules:    o.Modules,
		Bidi:       slices.Contains(o.Modules, "s2s_bidi"),
	}
	if err := os.Mkdir(c.Data, 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	if o.DirectTLS != "" {
		c.DirectTLS = parseEndpoint(t, "Options.DirectTLS", o.DirectTLS)
	}
	if o.Component != "" {
		c.Component, c.ComponentAddr = o.Component, parseEndpoint(t, "Component", FreeAddr(t))
	}
	if o.Debug {
		c.LogLevel = "debug"
	}
	if c.TLS {
		if o.CA == nil {
			t.Fatalf("%s: Options.CA is required for TLS", domain)
		}
		cert := o.Certificate
		if cert == nil {
			cert = o.CA.Issue(t, append([]string{c.Domain, c.Conference}, c.Hosts...), x509.ExtKeyUsageClientAuth)
		}
		c.CertFile, c.KeyFile, c.BundleFile = cert.CertFile, cert.KeyFile, cert.BundleFile
		if o.Security == TLS {
			c.Trust = o.CA.File
		}
	}
	return c
}

// write renders a template of conf/ to a file.
func (c *conf) write(t TB, name, path string) {
	t.Helper()
	var b bytes.Buffer
	if err := confTemplates.ExecuteTemplate(&b, name, c); err != nil {
		t.Fatalf("configuration: %v", err)
	}
	writeFile(t, path, b.Bytes())
}

// server is the common part of what Prosody and Ejabberd return.
func (c *conf) server(name string) *Server {
	s := &Server{
		Name:        name,
		Domain:      c.Domain,
		Conference:  c.Conference,
		Hosts:       c.Hosts,
		C2S:         c.C2S.String(),
		S2S:         c.S2S.String(),
		LogPath:     c.Log,
		ConsolePath: filepath.Join(c.dir, "console.log"),
		accounts:    map[string]string{},
	}
	if c.Component != "" {
		s.Component, s.ComponentSecret = c.ComponentAddr.String(), c.Secret
	}
	return s
}
