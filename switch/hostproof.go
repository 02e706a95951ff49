package psycswitch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	// maxPairs is how many pairs of domains a link asks for at a time; the rest waits. A peer decides on 16 at a time.
	maxPairs = 16

	// renewBefore is how long before its end a proof on a circuit is renewed.
	renewBefore = 5 * time.Minute
)

// hostProofs lets both ends of a circuit on conn prove domains that the certificates shown in TLS do not name. It is nil without TLS, and
// where TLS has no value to export that is safe to sign.
func (l *Link) hostProofs(conn net.Conn) *psyc.HostProofs {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := secure.ConnectionState()
	if state.Version < tls.VersionTLS13 {
		// Without the extended master secret two connections can have the same value, and nothing is exported, under whatever label:
		// here that of RFC 9266.
		if _, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err != nil {
			return nil
		}
	}
	return &psyc.HostProofs{
		Export: state.ExportKeyingMaterial,
		Certificate: func(host string) (*tls.Certificate, error) {
			certs, err := l.cfg.certificates(host)
			if err != nil {
				return nil, err
			}
			return certs[0], nil
		},
		Verify: func(host string, chain []*x509.Certificate) (time.Time, error) {
			if err := l.cfg.takesCertificate(chain[0], chain[1:], host); err != nil {
				return time.Time{}, err
			}
			l.hasProved("", host)
			return earliest(chain[0].NotAfter, time.Now().Add(proofLife)), nil
		},
		Withdrawn: func(string) { l.changed.Store(true) },
	}
}

// provesHosts reports whether the link is a circuit on which domains can be proved.
func (l *Link) provesHosts() bool {
	_, circuit := l.carrier()
	return circuit != nil && l.alive() && circuit.ProvesHosts()
}

// upholds reports whether the link, which has been given key, still carries it. As long as nothing was taken back it does.
func (l *Link) upholds(key route) bool { return !l.changed.Load() || l.carries(key) }

// isAt reports whether the other end of the link is at an address: where we dialled it, or on that host if the peer dialled us.
func (l *Link) isAt(addr string) bool {
	ours := l.conn.RemoteAddr().String()
	if l.dialled {
		return addr == ours
	}
	a, err := netip.ParseAddrPort(addr)
	b, err2 := netip.ParseAddrPort(ours)
	return err == nil && err2 == nil && a.Addr().Unmap() == b.Addr().Unmap()
}

// ask asks the peer to let key go by the link, in its turn.
func (l *Link) ask(ctx context.Context, key route) error {
	select {
	case l.pairs <- struct{}{}:
		defer func() { <-l.pairs }()
	case <-l.released:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if !l.mayCarry(key) {
		_, circuit := l.carrier()
		if circuit == nil {
			return ErrClosed
		}
		if err := circuit.Challenge(ctx, key.remote, key.local); err != nil {
			return fmt.Errorf("psycswitch: %s at %v: %w: %w", key.remote, l.conn.RemoteAddr(), ErrNotProven, err)
		}
	}
	return l.Authorize(ctx, key.local, key.remote)
}

// near returns a circuit that leads to where DNS says that key.remote is, if the peer proves that it speaks for that as well, and
// has key take it: servers have many domains, and a certificate has few. DNS is believed as to whom to ask, no more.
func (r *Router) near(ctx context.Context, key route) *Link {
	var circuits []*Link
	for _, l := range r.snapshot() {
		if l.provesHosts() && !l.mayCarry(key) {
			circuits = append(circuits, l)
		}
	}
	if len(circuits) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := make(map[*Link]bool)
	for h, err := range r.resolver().Hints(ctx, key.remote) {
		if err != nil {
			continue
		}
		for _, l := range circuits {
			if asked[l] || !l.isAt(h.Addr) {
				continue
			}
			asked[l] = true
			err := l.ask(ctx, key)
			if err == nil && r.assign(key, l) {
				return l
			}
			r.log(ctx, slog.LevelDebug, "pair not authorized", append(l.attrs(), "error", err)...)
			if len(asked) == maxAsked {
				return nil
			}
		}
	}
	return nil
}

// unassign has key take another link than this one, which goes on.
func (r *Router) unassign(key route, link *Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.links.byRoute[key] == link {
		delete(r.links.byRoute, key)
	}
}

// renew has the peer of a circuit prove anew what it has proved by certificates that end soon, or for which a day is over soon. What it does
// not prove ends by itself.
func (r *Router) renew(ctx context.Context, link *Link) {
	_, circuit := link.carrier()
	if circuit == nil || !link.provesHosts() {
		return
	}
	due := make(map[string]string) // our domain that each is proved to
	for host, proof := range circuit.Proofs() {
		if (proof.Kind == psyc.ProofExporter || proof.Kind == psyc.ProofCertificate) && time.Until(proof.Until) < renewBefore {
			if local := r.partner(link, host); local != "" {
				due[host] = local
			}
		}
	}
	if len(due) == 0 || !link.renewing.CompareAndSwap(false, true) {
		return
	}
	r.reading.Go(func() {
		defer link.renewing.Store(false)
		for host, local := range due {
			if err := circuit.Challenge(ctx, host, local); err != nil {
				r.log(ctx, slog.LevelWarn, "proof not renewed", append(link.attrs(), "host", host, "error", err)...)
			}
			if circuit.Err() != nil || ctx.Err() != nil {
				return
			}
		}
	})
}

// partner returns one of our domains that remote and link have to do with; "" if there is none.
func (r *Router) partner(link *Link, remote string) string {
	for _, local := range append(r.arrivals.partners(link, remote), r.correspondents(link, remote)...) {
		if r.hosted(local) {
			return local
		}
	}
	return ""
}

// partners returns our domains that remote may send to by link.
func (a *arrivals) partners(link *Link, remote string) (locals []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range link.claims {
		if key.remote == remote {
			locals = append(locals, key.local)
		}
	}
	return locals
}

// correspondents returns our domains that send to remote by link.
func (r *Router) correspondents(link *Link, remote string) (locals []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, l := range r.links.byRoute {
		if l == link && key.remote == remote {
			locals = append(locals, key.local)
		}
	}
	return locals
}

// renewed reports whether the server that we dialled has proved itself by another certificate than the one in TLS.
func (l *Link) renewed() bool {
	_, circuit := l.carrier()
	if circuit == nil {
		return false
	}
	remote := l.dialledFor()
	for host, proof := range circuit.Proofs() {
		if host == remote {
			return proof.Kind == psyc.ProofExporter
		}
	}
	return false
}

// withheld takes notice of a peer that takes something not any more, which concerns one domain: the pairs of that are agreed anew, or go
// another way. It reports false for a peer that has no such agreements: then all of the link is in doubt.
func (l *Link) withheld(p *psyc.Packet) bool {
	_, circuit := l.carrier()
	host := p.Entity.Get("_host").String()
	if circuit == nil || host == "" || !circuit.ProvesHosts() {
		return false
	}
	circuit.Revoke(host)
	l.changed.Store(true)
	return true
}

// Withdraw stops what goes from and to a domain that does not live here any more, at once: Hosts must answer ErrNotHosted for it already.
// Circuits on TLS go on without it, and their peers, if they can, hear that they have to look for the domain elsewhere; what waits to be
// sent from it bounces. XMPP streams by which others send to it are closed in order, to be opened anew for other domains. On circuits of
// other peers stanzas for it are refused as they come.
//
// A domain that comes needs no call. The error is that domain is none, or lives here.
func (r *Router) Withdraw(domain string) error {
	canonical, err := uniform.Domain(domain)
	if err != nil {
		return fmt.Errorf("psycswitch: withdrawing %q: %w", domain, err)
	}
	if r.hosted(canonical) {
		return fmt.Errorf("psycswitch: withdrawing %s: %w", canonical, errLivesHere)
	}
	for _, l := range r.snapshot() {
		_, circuit := l.carrier()
		if circuit == nil {
			if slices.ContainsFunc(l.incoming(), func(key route) bool { return key.local == canonical }) {
				r.reading.Go(func() { l.Close() })
			}
			continue
		}
		l.changed.Store(true)
		if err := circuit.Withdraw(canonical); err != nil {
			return fmt.Errorf("psycswitch: withdrawing %s: %w", canonical, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.links.byRoute {
		if key.local == canonical {
			delete(r.links.byRoute, key)
		}
	}
	return nil
}

// moved reports whether s is for a domain that does not live here any more, or from one that does by now; for neither of which the link need
// have looked again. It is dropped.
func (r *Router) moved(ctx context.Context, link *Link, s *xmpp.Stanza) bool {
	from, to := s.From.Domain(), s.To.Domain()
	if r.hosted(to) && !r.hosted(from) {
		return false
	}
	r.log(ctx, slog.LevelDebug, "domain has moved", append(link.attrs(), "from", from, "to", to)...)
	return true
}

var errLivesHere = errors.New("psycswitch: domain lives here")
