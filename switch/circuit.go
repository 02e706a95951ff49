package psycswitch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// initiateCircuit makes a circuit of a connection that we opened: directly, or because both sides have agreed to switch.
func (l *Link) initiateCircuit(ctx context.Context, t takeover) error {
	circuit := psyc.Initiate(t.conn, l.circuitConfig(l.local, t))
	l.use(circuit)
	switch {
	case t.psyced, t.stream == nil && t.syntax == psyc.PSYC09:
		return l.initiate09(ctx, circuit)
	case t.stream == nil:
		return circuit.Authorize(ctx, l.local, l.remote)
	}
	circuit.Grant(l.local, l.remote) // proved on the stream, before the switch
	return circuit.Handshake(ctx)
}

// acceptCircuit makes a circuit of a connection that the peer opened.
func (l *Link) acceptCircuit(ctx context.Context, t takeover) error {
	local := l.named()
	if t.stream != nil {
		local = t.stream.Local()
	}
	circuit := psyc.Accept(t.conn, l.circuitConfig(local, t))
	l.use(circuit)
	if t.stream != nil {
		for _, p := range t.stream.Proofs() {
			if err := circuit.AddProof(p.Remote, psyc.Proof{Kind: proofKind(p.By), Until: p.Until}); err != nil {
				return fmt.Errorf("psycswitch: carrying the proof of %s over: %w", p.Remote, err)
			}
		}
	}
	return circuit.Handshake(ctx)
}

// named returns the domain of ours that the peer wanted when it began TLS, "" if that is not known.
func (l *Link) named() string {
	secure, ok := l.conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return ""
	}
	domain, err := uniform.Domain(secure.ConnectionState().ServerName)
	if err != nil || !l.cfg.hosted(domain) {
		return ""
	}
	return domain
}

func proofKind(by xmpp.Mechanism) psyc.ProofKind {
	switch by {
	case xmpp.ByExternal:
		return psyc.ProofExternal
	case xmpp.ByCertificate:
		return psyc.ProofCertificate
	}
	return psyc.ProofDialback
}

// use makes circuit what the link speaks from now on.
func (l *Link) use(circuit *psyc.Circuit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream, l.next, l.circuit = nil, nil, circuit
}

// packetOverhead is what a packet may be longer than the stanza that it is.
const packetOverhead = 64 << 10

func (l *Link) circuitConfig(local string, t takeover) *psyc.Config {
	conn := t.conn // and nothing else of t: the circuit must not keep the stream
	cfg := l.cfg.PSYC
	if local != "" {
		cfg.Self = rootEntity(local)
	}
	cfg.Modules = append(slices.Clip(cfg.Modules), psyc.ModuleProfile)
	if !l.cfg.Casts.Off {
		cfg.Modules = append(cfg.Modules, moduleFanOut)
		limits := l.cfg.castLimits()
		cfg.Announce = append(slices.Clip(cfg.Announce), limits.announced()...)
	}
	cfg.Syntax = t.syntax
	cfg.Buffered = t.buffered
	cfg.Switched, cfg.Profile = t.stream != nil, t.stream != nil && !t.psyced
	// A stanza comes whole, and as long as one on a stream.
	if cfg.Limits.Packet == 0 {
		cfg.Limits.Packet = l.cfg.stanzaLimit() + packetOverhead
	}
	cfg.Limits.Body = -1
	cfg.Hosted = l.cfg.hosted
	cfg.Prove = func(ctx context.Context, host string) (psyc.Proof, error) {
		proof, err := l.prove(conn, host)
		if err != nil && l.cfg.believesAddresses(host) && !l.cfg.hosted(host) && l.Info().TLS == nil && l.callsFrom(ctx, host) {
			l.hasProved("", host)
			return psyc.Proof{Kind: psyc.ProofAddress}, nil
		}
		return proof, err
	}
	cfg.Authorize = func(_ context.Context, source, target string) error {
		if l.cfg.arrivals != nil { // before the peer hears that it may send
			l.cfg.arrivals.claim(l, route{local: target, remote: source})
		}
		if l.cfg.allowed != nil && !l.dialled {
			l.cfg.allowed(l)
		}
		return nil
	}
	if cfg.CloseTimeout == 0 {
		cfg.CloseTimeout = l.cfg.CloseTimeout
	}
	cfg.Acknowledged = l.acknowledged
	cfg.HostProofs = l.hostProofs(conn)
	cfg.Logger = l.cfg.Logger
	return &cfg
}

// rootEntity returns the root entity of a domain, by which a circuit greets.
func rootEntity(domain string) string { return "psyc://" + domain + "/" }

// callsFrom reports whether DNS has the address of the peer among those of host.
func (l *Link) callsFrom(ctx context.Context, host string) bool {
	peer, err := netip.ParseAddrPort(l.conn.RemoteAddr().String())
	if err != nil || !l.cfg.mayVerify(ctx) {
		return false
	}
	defer l.cfg.hasVerified()
	for h, err := range l.cfg.resolver().Hints(ctx, host) {
		if err != nil {
			continue
		}
		if at, err := netip.ParseAddrPort(h.Addr); err == nil && at.Addr().Unmap() == peer.Addr().Unmap() {
			return true
		}
	}
	return false
}

// prove looks for a proof that the peer speaks for host: its certificate, or else that we dialled it, which is as good as
// the name servers are, and so as good as dialback. What was proved before a switch needs no other proof. Nobody
// can prove a domain of ours to us.
func (l *Link) prove(conn net.Conn, host string) (psyc.Proof, error) {
	if l.cfg.hosted(host) {
		return psyc.Proof{}, fmt.Errorf("psycswitch: %s lives here: %w", host, ErrNotProven)
	}
	reason := errors.New("no certificate")
	if secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		if certs := secure.ConnectionState().PeerCertificates; len(certs) > 0 {
			if reason = l.cfg.verifyCertificate(certs[0], certs[1:], host); reason == nil {
				l.hasProved("", host)
				return psyc.Proof{Kind: psyc.ProofCertificate, Until: earliest(certs[0].NotAfter, time.Now().Add(proofLife))}, nil
			}
		}
	}
	if l.dialled && host == l.dialledFor() {
		return psyc.Proof{Kind: psyc.ProofDialled}, nil
	}
	return psyc.Proof{}, fmt.Errorf("psycswitch: %s: %w: %w", host, ErrNotProven, reason)
}
