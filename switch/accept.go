package psycswitch

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// ALPN protocol names of direct TLS (XEP-0368 section 4, and our own for circuits).
const (
	alpnXMPP = "xmpp-server"
	alpnPSYC = "psyc"
)

// First bytes that tell protocols apart.
const (
	firstTLS    = 0x16 // handshake record
	firstXMPP   = '<'
	firstPSYC10 = '|'
	firstPSYC09 = '.'
)

// Accept takes a connection that somebody opened to us: its first byte tells XMPP, PSYC or TLS, and after TLS the first byte tells again.
// ALPN in TLS, if the peer names anything, has to fit. When it returns, the peer has proved a first domain, or speaks PSYC, where proofs
// come with what is proved. The connection is closed if there is an error.
func Accept(ctx context.Context, cfg *Config, conn net.Conn) (*Link, error) {
	link := newLink(cfg, conn)
	if err := link.welcome(ctx); err != nil {
		return nil, err
	}
	return link, nil
}

// welcome is Accept for a link that is not negotiated yet.
func (l *Link) welcome(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, l.cfg.dialTimeout())
	defer cancel()
	if err := l.accept(bounded); err != nil {
		l.abandon(ctx)
		return fmt.Errorf("psycswitch: accepting from %v: %w", l.conn.RemoteAddr(), err)
	}
	return nil
}

// accept finds out what the peer speaks.
func (l *Link) accept(ctx context.Context) error {
	first, err := l.peek(ctx)
	if err != nil {
		return err
	}
	secure, agreed := first == firstTLS, ""
	if secure {
		if agreed, err = l.serveTLS(ctx); err != nil {
			return err
		}
		if first, err = l.peek(ctx); err != nil {
			return err
		}
	}
	switch {
	case first == firstXMPP && l.cfg.speaks(XMPP) && agreed != alpnPSYC:
		return l.acceptStream(ctx)
	case (first == firstPSYC10 || first == firstPSYC09) && l.cfg.speaks(PSYC) && agreed != alpnXMPP:
		if !secure && l.cfg.Insecure&Plaintext == 0 && (l.cfg.Insecure&Addresses == 0 || l.cfg.Psyced == nil) {
			return fmt.Errorf("psycswitch: PSYC without TLS: %w", xmpp.PolicyViolation)
		}
		if !l.cfg.taking() {
			return errLeaving
		}
		return l.acceptCircuit(ctx, takeover{conn: l.conn})
	}
	if agreed != "" {
		return fmt.Errorf("psycswitch: %q is not how %s begins, which TLS agreed on", first, agreed)
	}
	return fmt.Errorf("psycswitch: nothing that we speak begins with %q", first)
}

// peek returns the first byte and leaves it to be read.
func (l *Link) peek(ctx context.Context) (byte, error) {
	p := &peeked{Conn: l.conn, r: bufio.NewReaderSize(l.conn, 16)}
	defer context.AfterFunc(ctx, func() { p.SetReadDeadline(time.Unix(1, 0)) })()
	b, err := p.r.Peek(1)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return 0, fmt.Errorf("psycswitch: waiting for the first byte: %w", err)
	}
	l.conn = p
	if t, ok := p.Conn.(*tls.Conn); ok {
		l.conn = &peekedTLS{peeked: p, tls: t}
	}
	return b[0], nil
}

// peeked is a connection of which something has been read already.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) {
	if n := p.r.Buffered(); n > 0 {
		return p.r.Read(b[:min(len(b), n)])
	}
	return p.Conn.Read(b)
}

// CloseWrite lets the peer see that nothing more comes.
func (p *peeked) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("psycswitch: %T cannot be closed for writing", p.Conn)
}

// peekedTLS shows the TLS state of the connection beneath.
type peekedTLS struct {
	*peeked
	tls *tls.Conn
}

func (p *peekedTLS) ConnectionState() tls.ConnectionState { return p.tls.ConnectionState() }

func (p *peekedTLS) HandshakeContext(ctx context.Context) error { return p.tls.HandshakeContext(ctx) }

// serveTLS makes the handshake of a connection that begins with TLS, and returns the protocol that it agreed on, if any.
func (l *Link) serveTLS(ctx context.Context) (agreed string, err error) {
	cfg := xmpp.TLSConfig(l.tls(), "", "")
	if l.cfg.speaks(PSYC) {
		cfg.NextProtos = append(cfg.NextProtos, alpnPSYC)
	}
	if l.cfg.speaks(XMPP) {
		cfg.NextProtos = append(cfg.NextProtos, alpnXMPP)
	}
	t := tls.Server(l.conn, cfg)
	err = l.handshake(ctx, t)
	return t.ConnectionState().NegotiatedProtocol, err
}

// initiateTLS makes the handshake of direct TLS on a connection that we opened, and returns which of the protocols the server
// chose, if any.
func (l *Link) initiateTLS(ctx context.Context, protocols ...string) (agreed string, err error) {
	cfg := xmpp.TLSConfig(l.tls(), l.local, l.remote)
	cfg.NextProtos = protocols
	t := tls.Client(l.conn, cfg)
	err = l.handshake(ctx, t)
	return t.ConnectionState().NegotiatedProtocol, err
}

func (l *Link) handshake(ctx context.Context, t *tls.Conn) error {
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("psycswitch: direct TLS: %w", err)
	}
	l.conn = t
	return nil
}
