package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	// resolutionDelay is how long the addresses of one family wait for those of the other (RFC 8305 section 3).
	resolutionDelay = 50 * time.Millisecond

	defaultMaxTargets   = 20
	defaultMaxAddresses = 8
)

// DNS is the default [Resolver]. It asks for the SRV records _psyc._tcp, _psyc._tls (PSYC inside TLS from the first byte),
// _xmpp-server._tcp (RFC 6120 section 3.2) and _xmpps-server._tcp (XEP-0368) of a domain, all at once, and orders each protocol's
// records as RFC 2782 says, plain and TLS in one order as XEP-0368 says. Where a domain has no SRV record for XMPP, its own addresses
// at port 5269 are the hint; for PSYC there is no such guess. Addresses of targets are looked up when the
// hints get there, both families at once.
//
// Answers are kept for as long as their TTL says, within bounds, and so is the knowledge that there is nothing.
// The zero value asks the system's name servers. The fields must not change after the first use; the
// methods are safe for concurrent use, and no goroutine outlives the call that needed it.
type DNS struct {
	// Servers are the name servers, host:port or an IP address (port 53). They are tried in order, beginning with the one that last
	// answered. Nil means those of /etc/resolv.conf, read again when the file changes; systems without
	// that file, Windows among them, need Servers. They must be recursive, and the way to them trusted as
	// far as the answers are.
	Servers []string

	// Timeout is for one question to one server; 2 s.
	Timeout time.Duration

	// Attempts is how often each server is asked; 2.
	Attempts int

	// MaxTTL bounds how long an answer is kept; 1 h.
	MaxTTL time.Duration

	// MaxNegativeTTL bounds how long "there is none" is kept (RFC 2308); 5 min.
	MaxNegativeTTL time.Duration

	// MaxEntries bounds the answers kept; 4096. Those that expire soonest give way.
	MaxEntries int

	// MaxTargets is how many SRV targets of one domain and protocol are used; 20, the rest is ignored.
	MaxTargets int

	// MaxAddresses is how many addresses of one target and family are used; 8.
	MaxAddresses int

	// TrustAD takes the servers' word, the AD bit, that they have checked DNSSEC signatures: set it if they do and if nobody can
	// change what they say on its way here. Without it no hint is Authenticated.
	TrustAD bool

	// Dial opens connections to name servers, network "udp" or "tcp"; nil: [net.Dialer.DialContext]. Where it gives no
	// [net.PacketConn] the messages carry a length prefix, so a TLS connection makes DNS over TLS.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	intn func(n int) int // for weights; nil: math/rand/v2

	cache answerCache
	sys   systemServers
	last  lastAnswered
}

// A service is an SRV name.
type service struct {
	prefix    string
	protocol  Protocol
	directTLS bool
}

// services are in the order of protocols that Hints promises.
var services = []service{
	{"_psyc._tcp.", PSYC, false},
	{"_psyc._tls.", PSYC, true},
	{"_xmpp-server._tcp.", XMPP, false},
	{"_xmpps-server._tcp.", XMPP, true},
}

// longestPrefix is what a domain must leave room for in a name of 255 bytes.
const longestPrefix = len("_xmpps-server._tcp.")

// Hints looks up SRV records, then addresses; see [Resolver].
func (d *DNS) Hints(ctx context.Context, domain string) iter.Seq2[Hint, error] {
	return d.hints(ctx, domain, PSYC, XMPP)
}

// ProtocolHints is Hints for one protocol; it asks nothing about the other.
func (d *DNS) ProtocolHints(ctx context.Context, domain string, p Protocol) iter.Seq2[Hint, error] {
	return d.hints(ctx, domain, p)
}

func (d *DNS) hints(ctx context.Context, domain string, protocols ...Protocol) iter.Seq2[Hint, error] {
	return func(yield func(Hint, error) bool) {
		if ip, ok := addressLiteral(domain); ok {
			if slices.Contains(protocols, XMPP) {
				yield(Hint{Protocol: XMPP, Target: ip.String(), Addr: hostPort(ip, PortXMPP)}, nil)
			}
			return
		}
		ascii, err := asciiDomain(domain)
		if err != nil {
			yield(Hint{}, &ResolveError{Domain: domain, Err: err})
			return
		}

		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		answers := make(map[service]chan answer)
		for _, s := range services {
			if slices.Contains(protocols, s.protocol) {
				c := make(chan answer, 1)
				answers[s] = c
				running.Go(func() { c <- d.lookup(ctx, s.prefix+ascii+".", dns.TypeSRV) })
			}
		}
		for _, p := range protocols {
			set := d.collect(domain, ascii, p, answers)
			for _, err := range set.errs {
				if !yield(Hint{Protocol: p, Target: ascii}, err) {
					return
				}
			}
			if !d.targets(ctx, domain, p, set.records, yield) {
				return
			}
		}
	}
}

// An offer is what the SRV records say about one protocol.
type offer struct {
	records []srvRecord // in the order to be tried
	errs    []error
}

// collect waits for the answers about p and merges them.
func (d *DNS) collect(domain, ascii string, p Protocol, answers map[service]chan answer) offer {
	var o offer
	var refused *ResolveError // the plain service is not offered; for XMPP this forbids the guess too
	for _, s := range services {
		if s.protocol != p {
			continue
		}
		a := <-answers[s]
		if a.err != nil {
			if !errors.Is(a.err, ErrNoRecord) {
				o.errs = append(o.errs, &ResolveError{domain, s.prefix + ascii, "SRV", a.server, a.err})
			}
			continue
		}
		records := a.srv
		if len(records) == 1 && records[0].target == "." {
			if !s.directTLS {
				refused = &ResolveError{domain, s.prefix + ascii, "SRV", a.server, ErrNotOffered}
			}
			continue
		}
		for _, r := range records {
			r.directTLS, r.until, r.authenticated = s.directTLS, a.until, a.authenticated && d.TrustAD
			o.records = append(o.records, r)
		}
	}
	orderSRV(o.records, d.intn)
	switch {
	case len(o.records) > 0:
		o.records = o.records[:min(len(o.records), positive(d.MaxTargets, defaultMaxTargets))]
	case refused != nil:
		o.errs = append(o.errs, refused)
	case p == XMPP:
		o.records = []srvRecord{{target: ascii + ".", port: PortXMPP, guess: true}}
	}
	return o
}

// targets yields the hints of records; false means that nobody wants more.
func (d *DNS) targets(ctx context.Context, domain string, p Protocol, records []srvRecord, yield func(Hint, error) bool) bool {
	seen := make(map[Hint]bool)
	for _, r := range records {
		if err := ctx.Err(); err != nil {
			yield(Hint{Protocol: p}, &ResolveError{Domain: domain, Err: err})
			return false
		}
		h := Hint{Protocol: p, DirectTLS: r.directTLS, Target: strings.TrimSuffix(r.target, ".")}
		if r.port == 0 || r.target == "." {
			if !yield(h, &ResolveError{Domain: domain, Name: r.target, Type: "SRV", Err: ErrBadAnswer}) {
				return false
			}
			continue
		}
		for a, err := range d.addresses(ctx, r.target) {
			hint := h
			if err != nil {
				err.Domain = domain
				if !yield(hint, err) {
					return false
				}
				continue
			}
			hint.Addr = hostPort(a.ip, r.port)
			if seen[hint] {
				continue
			}
			seen[hint] = true
			hint.Until, hint.Authenticated = a.until, a.authenticated && d.TrustAD
			if !r.guess {
				hint.Until, hint.Authenticated = earliest(r.until, a.until), r.authenticated && hint.Authenticated
			}
			if !yield(hint, nil) {
				return false
			}
		}
	}
	return true
}

// An address is one of a host's.
type address struct {
	ip            netip.Addr
	until         time.Time
	authenticated bool
}

// addresses yields host's addresses, the families taking turns, IPv6 first. A host that is itself an address
// is taken as that, which some publish to spare a look-up.
func (d *DNS) addresses(ctx context.Context, host string) iter.Seq2[address, *ResolveError] {
	return func(yield func(address, *ResolveError) bool) {
		name := strings.TrimSuffix(host, ".")
		if ip, ok := addressLiteral(name); ok {
			yield(address{ip: ip, authenticated: true}, nil)
			return
		}
		if !isHostName(name) {
			yield(address{}, &ResolveError{Name: name, Err: ErrBadAnswer})
			return
		}

		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		answers := make(chan answer, 2)
		for _, t := range []uint16{dns.TypeAAAA, dns.TypeA} {
			running.Go(func() { answers <- d.lookup(ctx, host, t) })
		}

		var delay <-chan time.Time
		var ready [2][]address // IPv6, IPv4
		var failed *ResolveError
		found := false
		for left := 2; left > 0; {
			select {
			case a := <-answers:
				left--
				if a.err != nil {
					e := &ResolveError{Name: name, Type: a.qtype, Server: a.server, Err: a.err}
					// That there is no address of one family says less than that the other could not be asked.
					if failed == nil || errors.Is(failed, ErrNoRecord) {
						failed = e
					}
				}
				for _, ip := range a.addrs[:min(len(a.addrs), positive(d.MaxAddresses, defaultMaxAddresses))] {
					family := 0
					if ip.Is4() {
						family = 1
					}
					ready[family] = append(ready[family], address{ip, a.until, a.authenticated})
					found = true
				}
				if left > 0 {
					if found {
						timer := time.NewTimer(resolutionDelay)
						defer timer.Stop()
						delay = timer.C
					}
					continue
				}
			case <-delay:
				delay = nil
			}
			for _, a := range interleave(ready[0], ready[1]) {
				if !yield(a, nil) {
					return
				}
			}
			ready = [2][]address{}
		}
		if !found {
			yield(address{}, failed)
		}
	}
}

// interleave returns a[0], b[0], a[1], b[1], ...
func interleave[T any](a, b []T) []T {
	out := make([]T, 0, len(a)+len(b))
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			out = append(out, a[i])
		}
		if i < len(b) {
			out = append(out, b[i])
		}
	}
	return out
}

// A ResolveError says which question about a domain had no useful answer. It unwraps to the cause and to the stanza error
// condition that fits: remote-server-timeout if the name servers gave no answer, else remote-server-not-found.
type ResolveError struct {
	Domain string // whose hints were wanted
	Name   string // the name asked about, "" if it did not come to that
	Type   string // "SRV", "A" or "AAAA"
	Server string // the name server that was asked last, "" if none was
	Err    error
}

func (e *ResolveError) Error() string {
	s := "psycswitch: resolve " + strconv.Quote(e.Domain)
	if e.Name != "" {
		s += ": " + strings.TrimSpace(e.Type+" "+e.Name)
	}
	if e.Server != "" {
		s += " from " + e.Server
	}
	return fmt.Sprintf("%s: %v", s, e.Err)
}

// Unwrap returns the cause and the condition.
func (e *ResolveError) Unwrap() []error {
	if e.Timeout() {
		return []error{e.Err, xmpp.Condition("remote-server-timeout")}
	}
	return []error{e.Err, xmpp.RemoteServerNotFound}
}

// Timeout reports whether the answer might come another time.
func (e *ResolveError) Timeout() bool {
	return errors.Is(e.Err, ErrNoAnswer) || errors.Is(e.Err, context.DeadlineExceeded)
}

// hostPort joins an address and a port as net.Dial takes them.
func hostPort(ip netip.Addr, port uint16) string { return netip.AddrPortFrom(ip, port).String() }

// earliest returns the earlier of two times; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// positive returns v, or the default if v is not above 0.
func positive[T int | time.Duration](v, byDefault T) T {
	if v <= 0 {
		return byDefault
	}
	return v
}
