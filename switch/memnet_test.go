package psycswitch_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// A memNet is a network in memory, which a test may run in a synctest bubble: everything that blocks in it blocks durably, and
// its time limits are those of the bubble.
type memNet struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	dials     map[string]int // how often each address has been dialled
	conns     map[string][]*memConn
	nextPort  uint16
	delay     time.Duration // one way, of what is written; a connection takes it twice; before anything is dialled
}

func newMemNet() *memNet {
	return &memNet{listeners: make(map[string]*memListener), dials: make(map[string]int), conns: make(map[string][]*memConn), nextPort: 40000}
}

// A memListener is a listener of a memNet. Connections wait in its backlog until somebody accepts them, or for ever.
type memListener struct {
	net     *memNet
	addr    net.Addr
	backlog chan *memConn
	closed  chan struct{}
	once    sync.Once
}

func tcpAddr(s string) *net.TCPAddr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// listen opens addr, an IP address and a port.
func (n *memNet) listen(addr string) *memListener {
	l := &memListener{net: n, addr: tcpAddr(addr), backlog: make(chan *memConn, 10_000), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[addr] = l
	return l
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Addr() net.Addr { return l.addr }

func (l *memListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr.String())
		l.net.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.backlog:
				c.Reset()
			default:
				return
			}
		}
	})
	return nil
}

// dialled returns how often addr has been dialled.
func (n *memNet) dialled(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

// open returns how many connections neither end has closed.
func (n *memNet) open() (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conns := range n.conns {
		for _, c := range conns {
			ended := false
			for _, p := range []*memPipe{c.in, c.out} {
				p.mu.Lock()
				ended = ended || p.err != nil
				p.mu.Unlock()
			}
			if !ended {
				count++
			}
		}
	}
	return count
}

// cut breaks all connections that have been made to addr.
func (n *memNet) cut(addr string) {
	n.mu.Lock()
	conns := n.conns[addr]
	delete(n.conns, addr)
	n.mu.Unlock()
	for _, c := range conns {
		c.Reset()
	}
}

// from returns the dialer of a host.
func (n *memNet) from(ip string) *memDialer { return &memDialer{net: n, ip: netip.MustParseAddr(ip)} }

// A memDialer opens connections from one address. Hosts in 192.0.2.0/24 do not answer, all others refuse what nobody listens to.
type memDialer struct {
	net *memNet
	ip  netip.Addr
}

var noAnswer = netip.MustParsePrefix("192.0.2.0/24")

func (d *memDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	n := d.net
	n.mu.Lock()
	n.dials[addr]++
	l := n.listeners[addr]
	n.nextPort++
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.ip, n.nextPort))
	n.mu.Unlock()
	if l == nil {
		if noAnswer.Contains(netip.MustParseAddrPort(addr).Addr()) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Net: network, Addr: tcpAddr(addr), Err: ctx.Err()}
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: tcpAddr(addr), Err: syscall.ECONNREFUSED}
	}
	time.Sleep(2 * n.delay)
	there, back := newMemPipe(), newMemPipe()
	there.delay, back.delay = n.delay, n.delay
	ours := &memConn{in: back, out: there, local: local, remote: l.addr}
	theirs := &memConn{in: there, out: back, local: l.addr, remote: local}
	n.mu.Lock()
	n.conns[addr] = append(n.conns[addr], ours)
	n.mu.Unlock()
	l.backlog <- theirs
	return ours, nil
}

// A memConn is one end of a connection.
type memConn struct {
	in, out       *memPipe
	local, remote net.Addr
}

func (c *memConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memConn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *memConn) LocalAddr() net.Addr         { return c.local }
func (c *memConn) RemoteAddr() net.Addr        { return c.remote }

// Close lets the other end read what has been written, and fails its writes.
func (c *memConn) Close() error {
	c.out.end(io.EOF)
	c.in.end(net.ErrClosed)
	return nil
}

// CloseWrite lets the other end see that nothing more comes.
func (c *memConn) CloseWrite() error {
	c.out.end(io.EOF)
	return nil
}

// Reset breaks the connection at both ends; what has been written and not read is lost.
func (c *memConn) Reset() {
	for _, p := range []*memPipe{c.in, c.out} {
		p.end(syscall.ECONNRESET)
	}
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.change(func() { c.in.readBy = t })
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.change(func() { c.out.writeBy = t })
	return nil
}

// pipeSize is how much a pipe holds, as the buffers of a kernel do.
const pipeSize = 64 << 10

// A memPipe is one direction of a connection.
type memPipe struct {
	mu              sync.Mutex
	buf             []byte
	err             error // why there is an end: io.EOF when the writer has closed, otherwise for both sides
	readBy, writeBy time.Time
	changed         chan struct{}

	delay  time.Duration
	flying []flight // what has been written and is not there yet
}

// A flight is bytes on their way.
type flight struct {
	until time.Time
	n     int
}

// landed returns how much of buf is there, and when the next bytes will be; zero if none are on their way.
func (p *memPipe) landed() (n int, next time.Time) {
	for len(p.flying) > 0 && !time.Now().Before(p.flying[0].until) {
		p.flying = p.flying[1:]
	}
	n = len(p.buf)
	for _, f := range p.flying {
		n -= f.n
	}
	if len(p.flying) > 0 {
		next = p.flying[0].until
	}
	return n, next
}

func newMemPipe() *memPipe { return &memPipe{changed: make(chan struct{})} }

func (p *memPipe) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *memPipe) end(err error) {
	p.change(func() {
		if p.err == nil || errors.Is(p.err, io.EOF) && err != io.EOF {
			p.err = err
		}
		if p.err != io.EOF {
			p.buf = nil
		}
	})
}

// await waits for a change or for a deadline.
func (p *memPipe) await(changed <-chan struct{}, by time.Time) error {
	if by.IsZero() {
		<-changed
		return nil
	}
	timer := time.NewTimer(time.Until(by))
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

func (p *memPipe) read(b []byte) (int, error) {
	for {
		var n int
		var err error
		p.mu.Lock()
		changed, by := p.changed, p.readBy
		there, next := p.landed()
		switch {
		case !by.IsZero() && !time.Now().Before(by):
			err = os.ErrDeadlineExceeded
		case there > 0:
			n = copy(b, p.buf[:there])
			p.buf = p.buf[n:]
			close(p.changed)
			p.changed = make(chan struct{})
		case p.err != nil && (len(p.buf) == 0 || p.err != io.EOF):
			err = p.err
		}
		p.mu.Unlock()
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		if !next.IsZero() && (by.IsZero() || next.Before(by)) {
			p.await(changed, next) // its end is no error
			continue
		}
		if err := p.await(changed, by); err != nil {
			return 0, err
		}
	}
}

func (p *memPipe) write(b []byte) (written int, err error) {
	for {
		p.mu.Lock()
		changed, by := p.changed, p.writeBy
		switch {
		case p.err != nil:
			err = net.ErrClosed
			if errors.Is(p.err, syscall.ECONNRESET) {
				err = p.err
			}
		case !by.IsZero() && !time.Now().Before(by):
			err = os.ErrDeadlineExceeded
		default:
			n := min(len(b)-written, pipeSize-len(p.buf))
			p.buf = append(p.buf, b[written:written+n]...)
			if p.delay > 0 && n > 0 {
				p.flying = append(p.flying, flight{time.Now().Add(p.delay), n})
			}
			written += n
			if n > 0 {
				close(p.changed)
				p.changed = make(chan struct{})
			}
			changed = p.changed
		}
		p.mu.Unlock()
		if err != nil || written == len(b) {
			return written, err
		}
		if err := p.await(changed, by); err != nil {
			return written, err
		}
	}
}
