package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// settings are what may change while the gateway runs.
type settings struct {
	cfg          *Config
	hosts        map[string][]*tls.Certificate // our domains, with the certificates that are best for them
	world, local psycswitch.Resolver
}

func newSettings(cfg *Config) *settings {
	s := &settings{cfg: cfg, hosts: make(map[string][]*tls.Certificate), world: cfg.Resolver(), local: cfg.servers()}
	for _, domain := range cfg.Domains() {
		s.hosts[domain] = cfg.certificates(domain)
	}
	return s
}

// resolverFunc makes a resolver of a function that returns one, which is asked for every look-up.
type resolverFunc func() psycswitch.Resolver

func (f resolverFunc) Hints(ctx context.Context, domain string) iter.Seq2[psycswitch.Hint, error] {
	return f().Hints(ctx, domain)
}

// ours are our domains and their certificates, as the configuration has them that holds now.
type ours struct{ now *atomic.Pointer[settings] }

// Certificates makes it a [psycswitch.CertificateLister].
func (o ours) Certificates(domain string) ([]*tls.Certificate, error) {
	certs, ok := o.now.Load().hosts[domain]
	if !ok {
		return nil, psycswitch.ErrNotHosted // as it is: it is asked for with every stanza
	}
	return certs, nil
}

// Certificate makes it [psycswitch.Hosts].
func (o ours) Certificate(domain string) (*tls.Certificate, error) {
	certs, err := o.Certificates(domain)
	if err != nil || len(certs) == 0 {
		return nil, err
	}
	return certs[0], nil
}

// follow makes the redirector look at the configuration that holds now.
func (g *Gateway) follow(r *Redirector) {
	r.Neighbour = func(domain string) (s2s netip.AddrPort, ok bool) {
		if s := g.now.Load().cfg.ServerOf(domain); s != nil {
			return s.S2S.AddrPort, true
		}
		return netip.AddrPort{}, false
	}
	for i := range r.Views {
		r.Views[i].Local = func(domain string) bool {
			return slices.Contains(g.now.Load().cfg.redirected()[i].Domains, domain)
		}
	}
}

// ErrFixed says that a configuration changes what takes a restart.
var ErrFixed = errors.New("only domains and addresses of servers, certificates and routes can change without a restart")

// Reload makes cfg, which is without errors, the configuration. It may differ from the one before in the domains and addresses of servers, in
// servers without a redirector, in certificates and in routes; else the error is [ErrFixed], and nothing changes. Links stay. Domains that
// are new are there at once, and for those that have gone nothing is sent or taken any more.
func (g *Gateway) Reload(cfg *Config) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	before := g.now.Load().cfg
	if !reflect.DeepEqual(before.fixed(), cfg.fixed()) {
		return ErrFixed
	}
	g.now.Store(newSettings(cfg))
	var problems []error
	for _, domain := range before.Domains() {
		if cfg.ServerOf(domain) == nil {
			problems = append(problems, g.world.Withdraw(domain))
		}
	}
	for _, domain := range cfg.Domains() {
		if before.ServerOf(domain) == nil {
			// Our servers have it from one of them now, and not from the world.
			problems = append(problems, g.local.Withdraw(domain))
		}
	}
	g.log.Info("gateway reloaded", g.attrs()...)
	return errors.Join(problems...)
}

// fixed returns the part of the configuration that cannot change.
func (c *Config) fixed() Config {
	f := *c
	f.Servers, f.Certificates, f.Routes = nil, nil, nil
	for _, s := range c.redirected() {
		f.Servers = append(f.Servers, Server{Redirector: s.Redirector})
	}
	return f
}

// redirected returns the servers that have a redirector.
func (c *Config) redirected() (servers []Server) {
	for _, s := range c.Servers {
		if s.Redirector.IsValid() {
			servers = append(servers, s)
		}
	}
	return servers
}

// reloadFrom reloads the file whenever something comes by hangup, until ctx ends. A file with errors, or one that takes a restart, changes nothing.
func (g *Gateway) reloadFrom(ctx context.Context, file string, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		cfg, problems := LoadConfig(file)
		for _, p := range problems {
			switch p.Severity {
			case Error:
				g.log.Error(p.Text, "file", p.File, "line", p.Line)
			case Warning:
				g.log.Warn(p.Text, "file", p.File, "line", p.Line)
			}
		}
		err := fmt.Errorf("%s has errors", file)
		if !problems.Failed() {
			err = g.Reload(cfg)
		}
		if err != nil {
			g.log.Error("gateway not reloaded", "error", err)
		}
	}
}

// reloads runs reloadFrom until the returned function is called.
func (g *Gateway) reloads(file string, hangup <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { g.reloadFrom(ctx, file, hangup) })
	return func() {
		cancel()
		running.Wait()
	}
}
