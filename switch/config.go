package psycswitch

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Config says who we are and how we talk to others; Hosts is the only required field.
// It must not be changed once it is in use.
type Config struct {
	// Hosts knows the domains that live here.
	Hosts Hosts

	// Resolver finds the ways to a domain; nil is a [DNS] that asks the system's name servers.
	Resolver Resolver

	// Dialer opens connections; nil is a [net.Dialer].
	Dialer Dialer

	// Protocols are the ones that we speak; zero means [XMPP] and [PSYC].
	Protocols Protocol

	// Secret makes dialback keys (XEP-0185) and must be equal in all processes that answer for the same
	// domains; nil is a random one that this process keeps while it runs.
	Secret []byte

	// Roots are the certification authorities that peers are checked against; nil means the system's.
	Roots *x509.CertPool

	// Insecure is what is accepted without TLS or proof; nothing by default.
	Insecure Insecure

	// PSYC configures circuits; what a link decides by itself (proofs, syntax, and the name where it is known) is ignored. Self is
	// the name by which circuits greet that others open without TLS, on which they do not say whom they want: psyced sends
	// nothing by a circuit before it has heard a name.
	PSYC psyc.Config

	// Casts bounds what goes to many on circuits between Switchyards.
	Casts Casts

	// XMPP bounds what a peer can make us hold on a stream.
	XMPP xmpp.Limits

	// RequireCertificate demands a certificate that is valid for the domain from every server that we dial, be it for stanzas or to
	// verify a dialback key. Without it a server is believed to be where DNS says, which is all that dialback is worth, even
	// where it has TLS.
	RequireCertificate bool

	// DialTimeout bounds one attempt to reach a domain, from the look-up to the proved link; 30 s.
	DialTimeout time.Duration

	// CloseTimeout is how long the end of a link waits for what is queued to be written, and for the peer's last words; 5 s for
	// XMPP and 1 s for PSYC.
	CloseTimeout time.Duration

	// Psyced reports whether a foreign domain is known to be served by psyced; nil: none is. psyced switches from XMPP to PSYC before
	// it has proved anything, or not at all. Such a domain is offered the switch of http://switch.psyced.org at once, and PSYC then
	// wants its own proof, see [Addresses]. All others are offered it once they have proved themselves by a certificate.
	Psyced func(domain string) bool

	// Logger gets what happens to links; nil logs nothing. The keys are listed in the package documentation.
	Logger *slog.Logger

	// Trace is told what happens; nil functions are skipped.
	Trace *Trace

	// Set by the router that owns the Config: features of dialback and stream management for all its streams, barriers, the way of error replies that streams make by
	// themselves, what peers turned out to speak, the order of links, who runs what nobody need wait for, and whether peers can prove
	// nothing any more, because we are about to leave.
	dialback   *xmpp.Feature
	management *xmpp.Feature
	barriers   *barriers
	answer     func(*xmpp.Stanza)
	spoken     *memory
	arrivals   *arrivals
	delivered  func([]*queued)      // told of what peers have acknowledged
	unsendable func(*queued, error) // told of what a link has taken and cannot send
	allowed    func(*Link)          // told that a peer has been let send something more by a circuit that it has dialled

	behind  func(func())
	leaving func() bool

	// Set by the router, too: what is remembered of neighbours without our profile, and who handles what they did not send themselves.
	neighbours *neighbours
	inject     func(*xmpp.Stanza)

	verifying chan struct{} // holds a token for each dialback key that is being verified; nil: any number
}

// Hosts knows the domains that live here. It is asked again and again, so domains may come and go. One that has several certificates for a
// domain is a [CertificateLister], too.
type Hosts interface {
	// Certificate returns domain's certificate, nil if it has none, or an error that wraps [ErrNotHosted] if it does not live
	// here. Any other error means that it does, and that there is no certificate at the moment. It must not block for long, nor
	// call methods of the router.
	Certificate(domain string) (*tls.Certificate, error)
}

// StaticHosts is a fixed set of Hosts; a nil certificate means that the domain has none.
type StaticHosts map[string]*tls.Certificate

// Certificate looks domain up.
func (h StaticHosts) Certificate(domain string) (*tls.Certificate, error) {
	c, ok := h[domain]
	if !ok {
		return nil, ErrNotHosted
	}
	return c, nil
}

// HostsFunc makes Hosts of a function.
type HostsFunc func(domain string) (*tls.Certificate, error)

// Certificate calls f.
func (f HostsFunc) Certificate(domain string) (*tls.Certificate, error) { return f(domain) }

// Insecure relaxes policy, a bit each.
type Insecure uint8

// Relaxations.
const (
	// Plaintext admits links without TLS, in both directions. Domains are then proved by dialback, or, of the server
	// that we dialled, by DNS alone.
	Plaintext Insecure = 1 << iota

	// Addresses admits, on PSYC circuits without TLS, a peer that calls from an address that DNS gives for its domain: who else has
	// a program there can speak for the domain, and on PSYC circuits there is no dialback. Without Plaintext
	// such circuits are accepted for the domains of Config.Psyced alone.
	Addresses
)

// Errors of links and routers.
var (
	ErrNotHosted   = errors.New("psycswitch: domain not hosted here")
	ErrNotProven   = errors.New("psycswitch: domain not proved")
	ErrUnreachable = errors.New("psycswitch: no way to the domain worked")
	ErrQueueFull   = errors.New("psycswitch: queue full")
	ErrClosed      = errors.New("psycswitch: closed")
)

const (
	defaultReachTimeout = 30 * time.Second
	defaultStanzaLimit  = 512 << 10
)

// Values that a Config leaves open and that must stay the same for the whole life of the process, because
// keys made on one link are checked on another.
var (
	processSecret = sync.OnceValue(func() []byte {
		b := make([]byte, 32)
		rand.Read(b)
		return b
	})
	systemDNS = sync.OnceValue(func() *DNS { return new(DNS) })
)

func (c *Config) secret() []byte {
	if c.Secret != nil {
		return c.Secret
	}
	return processSecret()
}

func (c *Config) resolver() Resolver {
	if c.Resolver != nil {
		return c.Resolver
	}
	return systemDNS()
}

func (c *Config) speaks(p Protocol) bool { return c.Protocols == 0 || c.Protocols&p != 0 }

func (c *Config) dialTimeout() time.Duration {
	if c.DialTimeout > 0 {
		return c.DialTimeout
	}
	return defaultReachTimeout
}

// stanzaLimit is the size of the largest stanza, in either direction.
func (c *Config) stanzaLimit() int { return positive(c.XMPP.Stanza, defaultStanzaLimit) }

func (c *Config) hosted(domain string) bool {
	if c.Hosts == nil {
		return false
	}
	_, err := c.Hosts.Certificate(domain)
	return !errors.Is(err, ErrNotHosted) // a certificate that cannot be had makes a domain nobody else's
}

// taking reports whether peers may still begin to send.
func (c *Config) taking() bool { return c.leaving == nil || !c.leaving() }

// outlive runs f, which ends by itself, behind the caller's back where somebody waits for it in the end.
func (c *Config) outlive(f func()) {
	if c.behind == nil {
		f()
		return
	}
	c.behind(f)
}

func (c *Config) log(ctx context.Context, level slog.Level, msg string, args ...any) {
	if c.Logger != nil {
		c.Logger.Log(ctx, level, msg, args...)
	}
}
