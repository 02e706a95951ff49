package xmpp

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/switchyard-im/switchyard/uniform"
)

// A testNet is servers that reach each other by domain, over pipes.
type testNet struct {
	t  *testing.T
	wg sync.WaitGroup

	mu      sync.Mutex
	servers map[string]*testServer
	dials   []string // "local remote" of every dial
}

// A testServer accepts streams for its domains and keeps what arrives.
type testServer struct {
	net *testNet
	cfg *Config

	mu   sync.Mutex
	got  []string // stanzas, as they are written
	errs []error  // of accepted streams
}

func newTestNet(t *testing.T) *testNet {
	return &testNet{t: t, servers: make(map[string]*testServer)}
}

// add makes a server; change may change its configuration before it is used.
func (n *testNet) add(domains string, change func(*testServer)) *testServer {
	srv := &testServer{net: n}
	hosted := strings.Fields(domains)
	srv.cfg = &Config{
		Plaintext: true,
		Hosted:    func(d string) bool { return slices.Contains(hosted, d) },
	}
	srv.cfg.Features = []Feature{Dialback(DialbackConfig{Verify: srv.verify})}
	if change != nil {
		change(srv)
	}
	for _, d := range hosted {
		n.servers[d] = srv
	}
	return srv
}

// dial connects to the server of domain to, which accepts a stream on the other end.
func (n *testNet) dial(from, to string) (net.Conn, error) {
	n.mu.Lock()
	srv := n.servers[to]
	n.dials = append(n.dials, from+" "+to)
	n.mu.Unlock()
	if srv == nil {
		return nil, &net.DNSError{Err: "no such host", Name: to, IsNotFound: true}
	}
	ours, theirs := net.Pipe()
	n.wg.Go(func() { srv.serve(theirs) })
	return ours, nil
}

func (srv *testServer) serve(conn net.Conn) {
	s := Accept(conn, srv.cfg)
	defer s.Close()
	err := s.Negotiate(context.Background())
	if err == nil {
		for st, e := range s.Stanzas(context.Background()) {
			if e != nil {
				err = e
				break
			}
			srv.mu.Lock()
			srv.got = append(srv.got, string(st.AppendFor(nil, NSServer)))
			srv.mu.Unlock()
		}
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.errs = append(srv.errs, err)
}

func (srv *testServer) received() []string {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return slices.Clone(srv.got)
}

func (srv *testServer) verify(ctx context.Context, local, remote, id, key string) error {
	conn, err := srv.net.dial(local, remote)
	if err != nil {
		return err
	}
	s := Initiate(conn, &Config{Local: local, Remote: remote, Plaintext: true})
	defer s.Close()
	if err := s.Negotiate(ctx); err != nil {
		return err
	}
	return s.Verify(ctx, local, remote, id, key)
}

// connect opens a stream as this server.
func (srv *testServer) connect(local, remote string) (*Stream, error) {
	conn, err := srv.net.dial(local, remote)
	if err != nil {
		return nil, err
	}
	cfg := *srv.cfg
	cfg.Local, cfg.Remote = local, remote
	s := Initiate(conn, &cfg)
	return s, s.Negotiate(context.Background())
}

// chat is a message with something in it that must survive.
func chat(from, to, body string) *Stanza {
	st := &Stanza{Kind: Message, Type: "chat", From: uniform.MustParseJID(from), To: uniform.MustParseJID(to)}
	st.SetText("body", body)
	return st
}

// A script is one side of a conversation, acted by a test: what it sends, and what it must get in between.
type script []line

type line struct {
	send string
	want string // a piece of what arrives, which is taken up to its end
}

// play plays the script on conn and returns everything that arrived, up to the end of the connection.
func (sc script) play(t testing.TB, conn net.Conn) string {
	t.Helper()
	p := newPeer(conn)
	for _, l := range sc {
		if l.send != "" {
			p.send(l.send)
		} else if err := p.want(l.want); err != nil {
			t.Error(err)
		}
	}
	return p.rest()
}

// A peer is the other end of a stream in the hands of a test. It reads at any time, so that the stream never waits for it.
type peer struct {
	conn net.Conn

	mu      sync.Mutex
	all     []byte
	seen    int           // how much of all has been wanted
	ended   bool          // no more will come
	changed chan struct{} // closed at the next change
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn, changed: make(chan struct{})}
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := conn.Read(b)
			p.mu.Lock()
			p.all = append(p.all, b[:n]...)
			p.ended = err != nil
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

// send sends s; whether it arrives shows in the answers.
func (p *peer) send(s string) { p.conn.Write([]byte(s)) }

// until waits until ok holds.
func (p *peer) until(ok func() bool) {
	for {
		p.mu.Lock()
		done, changed := ok(), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		<-changed
	}
}

func (p *peer) want(s string) (err error) {
	p.until(func() bool {
		if i := bytes.Index(p.all[p.seen:], []byte(s)); i >= 0 {
			p.seen += i + len(s)
			return true
		}
		if p.ended {
			err = fmt.Errorf("connection ended before %q\narrived: %s", s, p.all)
		}
		return p.ended
	})
	return err
}

// rest returns everything that has arrived when the connection ends.
func (p *peer) rest() string {
	p.until(func() bool { return p.ended })
	return string(p.all)
}

const (
	prologue = `<?xml version='1.0'?>`
	// The header of an initiating peer.
	dale = prologue + `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' ` +
		`xmlns:db='jabber:server:dialback' from='dale.example' to='hill.example' version='1.0' xml:lang='en'>`
	// What an accepting peer answers.
	hill = prologue + `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' ` +
		`xmlns:db='jabber:server:dialback' from='hill.example' to='dale.example' id='h1' version='1.0' xml:lang='en'>`
)
