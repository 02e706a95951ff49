package psycswitch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// initiateCircuit makes a circuit of a connection that we opened: directly, or because both sides have agreed to switch.
func (l *Link) initiateCircuit(ctx context.Context, t takeover) error {
	cfg := l.circuitConfig(l.local, t)
	circuit := psyc.Initiate(t.conn, cfg)
	if err := circuit.Handshake(ctx); err != nil {
		return err
	}
	l.use(circuit, l.remote)
	if t.stream != nil {
		circuit.Grant(l.local, l.remote) // proved on the stream, before the switch
		return nil
	}
	return circuit.Authorize(ctx, l.local, l.remote)
}

// acceptCircuit makes a circuit of a connection that the peer opened.
func (l *Link) acceptCircuit(ctx context.Context, t takeover) error {
	local := ""
	if t.stream != nil {
		local = t.stream.Local()
	}
	circuit := psyc.Accept(t.conn, l.circuitConfig(local, t))
	var proved []string
	if t.stream != nil {
		for _, p := range t.stream.Proofs() {
			if err := circuit.AddProof(p.Remote, psyc.Proof{Kind: proofKind(p.By), Until: p.Until}); err != nil {
				circuit.Close()
				return fmt.Errorf("psycswitch: carrying the proof of %s over: %w", p.Remote, err)
			}
			proved = append(proved, p.Remote)
		}
	}
	if err := circuit.Handshake(ctx); err != nil {
		return err
	}
	l.use(circuit, proved...)
	return nil
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

// use makes circuit what the link speaks from now on; peers are the domains at its other end.
func (l *Link) use(circuit *psyc.Circuit, peers ...string) {
	l.out.Syntax, l.out.Plain = circuit.Syntax(), !circuit.Profile()
	l.in.Plain = l.out.Plain
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream, l.next, l.circuit = nil, nil, circuit
	for _, p := range peers {
		l.peers[p] = true
	}
}

func (l *Link) circuitConfig(local string, t takeover) *psyc.Config {
	cfg := l.cfg.PSYC
	if local != "" {
		cfg.Self = "psyc://" + local + "/"
	}
	cfg.Modules = append(slices.Clip(cfg.Modules), psyc.ModuleProfile)
	cfg.Syntax = t.syntax
	cfg.Buffered = t.buffered
	cfg.Switched, cfg.Profile = t.stream != nil, t.stream != nil
	cfg.Hosted = l.cfg.hosted
	cfg.Prove = func(_ context.Context, host string) (psyc.Proof, error) { return l.prove(t, host) }
	cfg.Logger = l.cfg.Logger
	return &cfg
}

// prove looks for a proof that the peer speaks for host: its certificate, or else that we dialled it, which is as good as
// the name servers are, and so as good as dialback. What was proved before a switch needs no other proof. Nobody
// can prove a domain of ours to us.
func (l *Link) prove(t takeover, host string) (psyc.Proof, error) {
	if l.cfg.hosted(host) {
		return psyc.Proof{}, fmt.Errorf("psycswitch: %s lives here: %w", host, ErrNotProven)
	}
	reason := errors.New("no certificate")
	if secure, ok := t.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		if certs := secure.ConnectionState().PeerCertificates; len(certs) > 0 {
			if reason = l.cfg.verifyCertificate(certs[0], certs[1:], host); reason == nil {
				l.mu.Lock()
				l.peers[host] = true
				l.mu.Unlock()
				return psyc.Proof{Kind: psyc.ProofCertificate, Until: earliest(certs[0].NotAfter, time.Now().Add(24*time.Hour))}, nil
			}
		}
	}
	if l.dialled && host == l.remote {
		return psyc.Proof{Kind: psyc.ProofDialled}, nil
	}
	return psyc.Proof{}, fmt.Errorf("psycswitch: %s: %w: %w", host, ErrNotProven, reason)
}
