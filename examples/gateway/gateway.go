package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A Gateway is two routers back to back. To other servers, world is the server of our domains. To our own servers, local
// is the server of every other domain. Each sends what it gets through the other, so that a stanza that one of them cannot
// deliver goes back to its sender as an error the way it came.
//
// Listen, then Run; Reload while it runs.
type Gateway struct {
	// Roots are the certification authorities that other servers are checked against; nil means the system's.
	Roots *x509.CertPool

	cfg          *Config                  // what holds as long as the gateway runs
	now          atomic.Pointer[settings] // what may change
	reloading    sync.Mutex
	log          *slog.Logger
	world, local *psycswitch.Router
	redirector   *Redirector // nil: the servers are hooked up in another way

	worldListeners []net.Listener
	localListener  net.Listener
}

// NewGateway returns a gateway for a configuration without errors (see [LoadConfig]); a nil logger is silent.
func NewGateway(cfg *Config, logger *slog.Logger) *Gateway {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, log: logger}
	g.now.Store(newSettings(cfg))
	timeout := time.Duration(cfg.Timeout.Connect)
	queue := psycswitch.QueueLimits{Stanzas: cfg.Queue.Stanzas, Bytes: cfg.Queue.Bytes}
	step := time.Duration(cfg.Timeout.Shutdown) / shutdownSteps
	idle := time.Duration(cfg.Timeout.Idle)

	g.world = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:       ours{&g.now},
			Resolver:    resolverFunc(func() psycswitch.Resolver { return g.now.Load().world }),
			DialTimeout: timeout,
			PSYC:        psyc.Config{CloseTimeout: 2 * step},
			Logger:      logger.With("side", "world"),
		},
		Grace: step,
		Idle:  idle,
		Queue: queue,
	}
	if domains := cfg.Domains(); len(domains) > 0 {
		g.world.PSYC.Self = "psyc://" + uniform.ASCIIDomain(domains[0]) + "/"
	}
	if !cfg.PSYC.Enabled {
		g.world.Protocols = psycswitch.XMPP
	}
	if cfg.World.Plaintext {
		g.world.Insecure = psycswitch.Plaintext
	}
	if cfg.PSYC.Addresses {
		g.world.Insecure |= psycswitch.Addresses
	}
	g.world.Casts = psycswitch.Casts{
		Off:       !cfg.Casts.Enabled,
		Delay:     time.Duration(cfg.Casts.Delay),
		Audiences: transcode.AudienceLimits{Audiences: cfg.Casts.Audiences},
	}
	g.world.Psyced = func(domain string) bool { return slices.Contains(cfg.PSYC.Psyced, domain) }

	g.local = &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:     psycswitch.HostsFunc(g.foreign),
			Resolver:  resolverFunc(func() psycswitch.Resolver { return g.now.Load().local }),
			Protocols: psycswitch.XMPP,
			// The way to our servers does not leave the machine, or a private network.
			Insecure:    psycswitch.Plaintext,
			DialTimeout: timeout,
			Logger:      logger.With("side", "local"),
		},
		Grace: step,
		Idle:  idle,
		Queue: queue,
	}
	g.world.Handler = passTo(g.local)
	g.local.Handler = passTo(g.world)
	return g
}

// foreign makes every domain but ours one that lives at the local side, as our servers see it. None has a certificate.
func (g *Gateway) foreign(domain string) (*tls.Certificate, error) {
	if _, ours := g.now.Load().hosts[domain]; ours {
		return nil, psycswitch.ErrNotHosted // as it is: it is asked for with every stanza
	}
	return nil, nil
}

// servers finds our own servers, and nobody else: so a connection to the local side can prove no domain but those that
// are configured, and each of them only at the address of its server.
func (c *Config) servers() psycswitch.Resolver {
	hints := make(map[string][]psycswitch.Hint)
	for _, s := range c.Servers {
		for _, domain := range s.Domains {
			hints[domain] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: s.S2S.String()}}
		}
	}
	return &psycswitch.StaticResolver{Domains: hints}
}

// passTo hands everything to the other router. What it refuses goes back as an error.
func passTo(other *psycswitch.Router) psycswitch.Handler {
	return psycswitch.HandlerFunc(func(ctx context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
		return other.Send(ctx, s)
	})
}

// Listen opens all sockets: those of the redirector, of the local side, and of the world. Who connects waits until Run.
func (g *Gateway) Listen() (err error) {
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.localListener, err = net.Listen("tcp", g.cfg.Local.Listen.String()); err != nil {
		return fmt.Errorf("local side: %w", err)
	}
	addrs := g.cfg.World.Listen
	if g.cfg.PSYC.Enabled {
		addrs = append(addrs[:len(addrs):len(addrs)], g.cfg.PSYC.Listen...)
	}
	for _, addr := range addrs {
		ln, err := net.Listen("tcp", addr.String())
		if err != nil {
			return fmt.Errorf("world: %w", err)
		}
		g.worldListeners = append(g.worldListeners, ln)
	}
	xmpp := len(g.cfg.World.Listen)
	g.world.PSYC.Protocols = offeredProtocols(g.worldListeners[xmpp:], g.worldListeners[:xmpp])
	if g.redirector = g.cfg.NewRedirector(g.log.With("side", "redirector")); g.redirector != nil {
		g.redirector.Target = addrPort(g.localListener.Addr())
		g.follow(g.redirector)
		return g.redirector.Listen()
	}
	return nil
}

// close closes the sockets of a gateway that does not run.
func (g *Gateway) close() {
	if g.localListener != nil {
		g.localListener.Close()
	}
	for _, ln := range g.worldListeners {
		ln.Close()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}

// shutdownSteps is how many equal parts of timeout.shutdown there are: two in which nothing new is taken and what was
// taken goes on its way, then one for each router, in which the rest does and its links close.
const shutdownSteps = 4

// Run serves until ctx ends or a listener fails. Then it takes nothing new, sends on what it has taken, tells the senders of
// what it could not send, and returns, all within timeout.shutdown. The error is that of the part that failed, nil if none did.
func (g *Gateway) Run(ctx context.Context) error {
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	g.world.Roots = g.Roots
	local := g.start(fail, g.local.Serve, g.localListener)
	world := g.start(fail, g.world.Serve, g.worldListeners...)
	redirector := g.start(fail, g.serveRedirector)
	g.log.Info("gateway started", g.attrs()...)

	<-running.Done()
	var failure error
	if ctx.Err() == nil {
		failure = context.Cause(running)
	}
	g.log.Info("gateway stops", "error", failure)
	patience, cancel := context.WithTimeout(context.Background(), 2*time.Duration(g.cfg.Timeout.Shutdown)/shutdownSteps)
	defer cancel()
	g.local.Quiesce(patience)
	g.world.Quiesce(patience)
	// The world first: what it could not send goes back by the local side.
	world.end()
	local.end()
	// Until now our servers could not learn that a domain is anywhere but here.
	redirector.end()
	g.log.Info("gateway stopped")
	return failure
}

// A part of the gateway serves until its context ends.
type part struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// start runs serve with a context of its own. If it fails, the whole gateway stops.
func (g *Gateway) start(fail context.CancelCauseFunc, serve func(context.Context, ...net.Listener) error, listeners ...net.Listener) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel}
	p.done.Go(func() {
		if err := serve(ctx, listeners...); err != nil {
			fail(err)
		}
	})
	return p
}

func (p *part) end() {
	p.cancel()
	p.done.Wait()
}

func (g *Gateway) serveRedirector(ctx context.Context, _ ...net.Listener) error {
	if g.redirector == nil {
		return nil
	}
	return g.redirector.Serve(ctx)
}

// attrs says what the gateway fronts, and where it listens.
func (g *Gateway) attrs() []any {
	var world []string
	for _, ln := range g.worldListeners {
		world = append(world, ln.Addr().String())
	}
	attrs := []any{"domains", g.now.Load().cfg.Domains(), "world", world, "local", g.localListener.Addr().String(), "psyc", g.cfg.PSYC.Enabled}
	if g.redirector != nil {
		attrs = append(attrs, "redirector", g.redirector.Addrs())
	}
	return attrs
}
