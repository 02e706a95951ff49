package psycswitch_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/replay"
	"github.com/switchyard-im/switchyard/internal/rig"
)

// psycedCell is what is not with psyced as it is with others.
func psycedCell(c matrixCell) matrixCell {
	// It switches before dialback, so that no key is verified, and takes TLS 1.2 alone.
	c.dialled, c.accepted = 1, 0
	if c.secure {
		c.version = tls.VersionTLS12
	}
	switch {
	case !c.weDial:
		// It has never been seen to use TLS on a connection of its own. A circuit is let in by its address all the same; but a stream
		// is told that TLS is required, whatever it wants to become.
		c.dialled, c.accepted, c.secure = 0, 1, false
		if c.channel == "STARTTLS" {
			c.speaks = 0
		}
	case c.channel == "STARTTLS" && c.security == rig.TLSDialback:
		// Without EXTERNAL, which it does not offer to a certificate that it cannot verify, it switches and then believes nobody. What it
		// would do about dialback alone has not been seen; here it hangs up, and the switch has another try before the message bounces.
		c.speaks, c.dialled = 0, 3
	}
	return c
}

// A psycedServer is a matrixServer that plays the recording "hello".
type psycedServer struct {
	t        *testing.T
	n        *matrixNet
	domain   string
	listener net.Listener
	tls      *tls.Config // nil: it has none

	heard chan string
	says  chan struct{} // told when romeo may say something on a connection that we opened

	streams atomic.Int32 // that others have opened

	mu      sync.Mutex
	playing int
	ended   *sync.Cond // a session
	wrong   []error
}

func startPsyced(t *testing.T, n *matrixNet) *matrixServer {
	p := &psycedServer{t: t, n: n, domain: "psyced.test", listener: listen(t), heard: make(chan string, 100), says: make(chan struct{})}
	p.ended = sync.NewCond(&p.mu)
	if n.ca != nil {
		p.tls = psycedTLS(&n.ca.Issue(t, []string{p.domain}).TLS)
	}
	t.Cleanup(func() { p.listener.Close() })
	go p.serve()
	addr := p.listener.Addr().String()
	return &matrixServer{domain: p.domain, addr: addr, direct: addr, user: "romeo@" + p.domain, psyced: true, say: p.say, hear: p.hear, over: p.over}
}

// serve plays psyced's side of what others open.
func (p *psycedServer) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.begin(func() { p.answer(conn) })
	}
}

// begin runs a session.
func (p *psycedServer) begin(session func()) {
	p.mu.Lock()
	p.playing++
	p.mu.Unlock()
	go func() {
		session()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.playing--
		p.ended.Broadcast()
	}()
}

// answer tells by the first byte what is wanted, as psyced does.
func (p *psycedServer) answer(conn net.Conn) {
	first := &peekedConn{conn, bufio.NewReader(conn)}
	b, err := first.r.Peek(1)
	if err != nil {
		conn.Close()
		return
	}
	if b[0] == 0x16 && p.tls != nil {
		p.play(tls.Server(first, p.tls), "circuit")
		return
	}
	switch {
	case b[0] != '<':
		p.play(first, "circuit")
	case p.tls == nil:
		p.play(first, "stream")
	case p.n.security == rig.TLSDialback && p.streams.Add(1)%2 == 0:
		p.play(first, "alone")
	case p.n.security == rig.TLSDialback:
		p.play(first, "refused")
	default:
		p.play(first, "starttls")
	}
}

// play plays a conversation of "hello" with whom the site is that is published at the moment.
func (p *psycedServer) play(conn net.Conn, name string) {
	defer conn.Close()
	peer := &replay.Peer{
		TLS:        p.tls,
		Rename:     strings.NewReplacer("psyced.example", p.domain, "peer.example", p.n.ours, base64.StdEncoding.EncodeToString([]byte("peer.example")), base64.StdEncoding.EncodeToString([]byte(p.n.ours))),
		Patience:   30 * time.Second,
		Deviations: replay.Deviations,
		Trace: func(line string) {
			if strings.Contains(line, "> _message_private") {
				p.heard <- "1"
			}
		},
	}
	if name == "refused" {
		peer.Deviations = append([]replay.Deviation{replay.FirstPacket}, peer.Deviations...)
	}
	c := *replay.Own(p.t, "hello").Named(name + "0")
	if name == "circuit" {
		// What romeo says comes when he says it.
		at := slices.IndexFunc(c.Events, func(e replay.Event) bool { return bytes.Contains(e.Data, []byte("\n2\n")) })
		if p.n.both {
			conn = &gatedConn{Conn: conn, gate: p.says}
		} else {
			c.Events = c.Events[:at]
		}
	}
	if err := peer.Play(conn, &c); err != nil {
		p.mu.Lock()
		p.wrong = append(p.wrong, err)
		p.mu.Unlock()
	}
}

// A gatedConn does not write what romeo says before he says it.
type gatedConn struct {
	net.Conn
	gate chan struct{}
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("\n_message_private\n")) {
		<-c.gate
	}
	return c.Conn.Write(b)
}

// A peekedConn gives what has been looked at once more.
type peekedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *peekedConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// say has romeo speak: on the circuit that is there, or on a connection of psyced's own, by the protocol in which it finds us. It never looks
// for TLS.
func (p *psycedServer) say(ctx context.Context, to, _ string) error {
	if p.n.both {
		close(p.says)
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.n.addr)
	if err != nil {
		return err
	}
	name := "in-stream"
	switch {
	case strings.HasPrefix(p.n.service, "_psyc."):
		name = "in-circuit"
	case p.tls != nil:
		name = "in-refused"
	}
	p.begin(func() { p.play(conn, name) })
	return nil
}

func (p *psycedServer) hear(ctx context.Context, _ string) error {
	select {
	case <-p.heard:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("psyced hears nothing: %w", ctx.Err())
	}
}

// over waits until all connections have ended and returns what was not as it should be.
func (p *psycedServer) over() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.playing > 0 {
		p.ended.Wait()
	}
	err := errors.Join(p.wrong...)
	p.wrong = nil
	return err
}
