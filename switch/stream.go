package psycswitch

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// initiateStream makes a stream of a connection that we opened, and a circuit of the stream where both sides want that.
func (l *Link) initiateStream(ctx context.Context, maySwitch bool) error {
	stream := xmpp.Initiate(l.conn, l.streamConfig(l.local, l.remote, l.features(maySwitch)))
	stream.Resume(l.old)
	l.mu.Lock()
	l.stream = stream
	l.mu.Unlock()
	err := stream.Negotiate(ctx)
	if !l.hearsUs() {
		return errDeaf
	}
	if t := l.takeover(); t != nil && errors.Is(err, xmpp.ErrHijacked) {
		if err = l.initiateCircuit(ctx, *t); err != nil {
			err = &SwitchError{err}
		}
	}
	if stream.Resumed() {
		l.base = stream.Acknowledged()
		l.numbered = l.base
	}
	return err
}

// acceptStream makes a stream of a connection that the peer opened.
func (l *Link) acceptStream(ctx context.Context) error {
	stream := xmpp.Accept(l.conn, l.streamConfig("", "", l.features(true)))
	l.mu.Lock()
	l.stream = stream
	l.mu.Unlock()
	err := stream.Negotiate(ctx)
	if t := l.takeover(); t != nil && errors.Is(err, xmpp.ErrHijacked) {
		err = nil // Stanzas makes the circuit
		if len(stream.Proofs()) == 0 {
			l.hasProved(stream.Local(), "") // proofs come with what is proved
			return nil
		}
	}
	if err == nil {
		l.hasProved(stream.Local(), stream.Remote())
	}
	return err
}

// hasProved notes that the peer has proved remote, to local as far as known. A stream that psyced has switched before it proved anything has no names
// yet, and goes by the first that the circuit proves.
func (l *Link) hasProved(local, remote string) {
	l.mu.Lock()
	if !l.dialled && l.remote == "" {
		l.local, l.remote = cmp.Or(local, l.local), remote
	}
	l.mu.Unlock()
	l.proving.Do(func() { close(l.proved) })
}

func (l *Link) streamConfig(local, remote string, features []xmpp.Feature) *xmpp.Config {
	return &xmpp.Config{
		Local:     local,
		Remote:    remote,
		Hosted:    l.cfg.hosted,
		Features:  features,
		Plaintext: l.cfg.Insecure&Plaintext != 0,
		Limits:    l.cfg.XMPP,
		Timeouts:  xmpp.Timeouts{Close: l.cfg.CloseTimeout},
		Bounce:    l.cfg.answer,
		Logger:    l.cfg.Logger,
	}
}

// features are what a link negotiates: TLS, a proof of the domain by certificate or by dialback, and the switch.
func (l *Link) features(maySwitch bool) []xmpp.Feature {
	fs := []xmpp.Feature{
		l.startTLS(),
		xmpp.External(l.cfg.takesCertificate),
		l.cfg.dialbackFeature(),
	}
	if maySwitch && l.cfg.speaks(PSYC) {
		done := func(t takeover) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.next = &t
		}
		fs = append(fs, switchFeature(done))
		if l.dialled {
			fs = l.withPsyced(fs, done)
		} else {
			fs = append(fs, l.psycedOffer(done))
		}
	}
	if l.dialled {
		fs = slices.Insert(fs, 0, l.seesPsyced()...)
	}
	return append(fs, l.cfg.managementFeature())
}

// startTLS is STARTTLS, offered for domains that have a certificate.
func (l *Link) startTLS() xmpp.Feature {
	f := xmpp.StartTLS(l.tls())
	start, serve := f.Start, f.Serve
	f.Start = func(ctx context.Context, s *xmpp.Stream, e xmpp.Element) (state xmpp.State, err error) {
		if l.manners.tls12 {
			state, err = xmpp.StartTLS(l.tls()).Start(ctx, s, e)
		} else {
			state, err = start(ctx, s, e)
		}
		if err == nil && l.maybeDeaf {
			l.unheard = time.AfterFunc(hearing, func() { l.conn.Close() })
		}
		return state, err
	}
	f.Serve = func(ctx context.Context, s *xmpp.Stream, e xmpp.Element) (xmpp.State, error) {
		if l.cfg.psyced(s.Remote()) || l.cfg.neighbours.recall(s.Remote()).tls12 {
			l.manners.tls12 = true
			return xmpp.StartTLS(l.tls()).Serve(ctx, s, e)
		}
		return serve(ctx, s, e)
	}
	offer := f.Offer
	f.Offer = func(s *xmpp.Stream, dst []byte) []byte {
		if cert, err := l.cfg.Hosts.Certificate(s.Local()); err != nil || cert == nil {
			return dst
		}
		return offer(s, dst)
	}
	return f
}

// tls asks the hosts for certificates, so that they may change while we run.
func (l *Link) tls() *tls.Config {
	cfg := &tls.Config{MaxVersion: l.manners.version(), GetCertificate: l.serverCertificate}
	if l.dialled {
		cfg.GetClientCertificate = l.clientCertificate
	}
	if l.dialled && l.cfg.RequireCertificate {
		cfg.VerifyConnection = l.certificate
	}
	return cfg
}

// certificate demands that the server that we dialled has one for the domain that we want.
func (l *Link) certificate(cs tls.ConnectionState) error {
	err := errors.New("no certificate")
	if certs := cs.PeerCertificates; len(certs) > 0 {
		err = l.cfg.verifyCertificate(certs[0], certs[1:], l.dialledFor())
	}
	if err != nil {
		return fmt.Errorf("psycswitch: certificate of %s: %w: %w", l.dialledFor(), ErrNotProven, err)
	}
	return nil
}

// errPlaintext says that there is no certificate because there is no TLS.
var errPlaintext = fmt.Errorf("psycswitch: no TLS, and so no certificate: %w", ErrNotProven)

// secured refuses a server that we dialled where it has shown no certificate and has to.
func (l *Link) secured() error {
	if l.cfg.RequireCertificate && l.Info().TLS == nil {
		return errPlaintext
	}
	return nil
}

// verifyCertificate never believes a peer that it is one of our own domains, whatever certificate it shows.
func (c *Config) verifyCertificate(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
	if c.hosted(domain) {
		return fmt.Errorf("psycswitch: %s lives here: %w", domain, ErrNotProven)
	}
	return xmpp.VerifyDomain(c.Roots, leaf, rest, domain)
}

// takesCertificate is verifyCertificate of a peer that wants to begin sending.
func (c *Config) takesCertificate(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error {
	if !c.taking() {
		return errLeaving
	}
	return c.verifyCertificate(leaf, rest, domain)
}

var errLeaving = fmt.Errorf("psycswitch: shutting down: %w", xmpp.ResourceConstraint)

// dialbackFeature is one for all streams of a router, which thereby knows its own keys.
func (c *Config) dialbackFeature() xmpp.Feature {
	if c.dialback != nil {
		return *c.dialback
	}
	return c.newDialback(false)
}

func (c *Config) newDialback(liveOnly bool) xmpp.Feature {
	return xmpp.Dialback(xmpp.DialbackConfig{
		Secret:      c.secret(),
		LiveOnly:    liveOnly,
		Verify:      c.verifyKey,
		Certificate: c.takesCertificate,
	})
}

// maxVerifying is how many dialback keys and addresses a router verifies at a time: each takes a look-up, and a key a connection as
// well, which strangers can make us open.
const maxVerifying = 256

// mayVerify waits until it is the caller's turn to verify, who then calls hasVerified; false is the end of ctx.
func (c *Config) mayVerify(ctx context.Context) bool {
	if c.verifying == nil {
		return true
	}
	select {
	case c.verifying <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Config) hasVerified() {
	if c.verifying != nil {
		<-c.verifying
	}
}

// verifyKey asks the authoritative server of remote for a dialback key (XEP-0220 section 2.1.2). That is always an XMPP
// server, even of a domain whose stanzas go by PSYC, and the stream never switches.
func (c *Config) verifyKey(ctx context.Context, local, remote, id, key string) error {
	if c.hosted(remote) {
		return fmt.Errorf("psycswitch: %s lives here: %w", remote, xmpp.ErrInvalidKey)
	}
	if !c.taking() {
		return errLeaving
	}
	if !c.mayVerify(ctx) {
		return ctx.Err()
	}
	defer c.hasVerified()
	answer := make(chan error, 1)
	c.outlive(func() { answer <- c.verify(ctx, local, remote, id, key) })
	return <-answer
}

// verify is verifyKey for a domain that lives elsewhere.
func (c *Config) verify(ctx context.Context, local, remote, id, key string) error {
	connector := &Connector{Dialer: c.Dialer}
	var failures []error
	for conn, err := range connector.Connections(ctx, HintsOf(ctx, c.resolver(), remote, XMPP)) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		var answered bool
		if answered, err = c.verifyAt(ctx, conn, local, remote, id, key); err == nil || answered {
			return err
		}
		failures = append(failures, &DialError{Hint: conn.Hint, Err: err})
	}
	return fmt.Errorf("psycswitch: verifying %s for %s: %w: %w", remote, local, ErrUnreachable, errors.Join(failures...))
}

// verifyAt asks one server; answered means that its answer holds, whatever it is.
func (c *Config) verifyAt(ctx context.Context, conn *Connection, local, remote, id, key string) (answered bool, err error) {
	ctx, cancel := halfTime(ctx)
	defer cancel()
	link := newLink(c, conn.Conn)
	link.dialled, link.local, link.remote = true, local, remote
	if conn.Hint.DirectTLS {
		if _, err := link.initiateTLS(ctx, alpnXMPP); err != nil {
			conn.Close()
			return false, err
		}
	}
	stream := xmpp.Initiate(link.conn, link.streamConfig(local, remote, []xmpp.Feature{link.startTLS()}))
	defer c.outlive(func() { stream.Close() })
	link.stream = stream
	if err := stream.Negotiate(ctx); err != nil {
		return false, err
	}
	if err := link.secured(); err != nil {
		return false, err
	}
	err = stream.Verify(ctx, local, remote, id, key)
	var refusal *xmpp.StanzaError
	return errors.Is(err, xmpp.ErrInvalidKey) || errors.As(err, &refusal), err
}
