package psyc

import (
	"context"
	"fmt"
	"io"
	"time"
)

// maxWrite is the most that one Write gets, so that WriteTimeout is about a bounded number of bytes.
const maxWrite = 64 << 10

// Send queues p for writing and returns when p may be reused. It greets if nobody has. It waits while [Config.Queue]
// bytes are waiting already; a packet larger than that is taken when there is room for anything.
//
// In the 0.9 syntax _tag_relay is written as _tag_reply, which is what psyced calls it.
//
// The error is the context's, [ErrNotRepresentable] if the circuit's syntax cannot carry p, or what the circuit ended
// with; p then was not taken. A packet that was taken is written in the order of the Sends, see [Circuit.Unsent].
func (c *Circuit) Send(ctx context.Context, p *Packet) error {
	if err := c.Handshake(ctx); err != nil {
		return err
	}
	return c.out.add(ctx, p, false)
}

// answer queues a packet of the circuit's own. It does not wait.
func (c *Circuit) answer(p *Packet) {
	c.out.add(c.ctx, p, true)
}

// write is the writer: it runs until the circuit ends, or until the outbox lets it sleep.
func (c *Circuit) write() {
	for {
		buf, marks, more := c.out.take()
		if !more {
			break
		}
		if len(buf) > 0 {
			n, err := c.writeAll(buf)
			c.out.wrote(buf, marks, n)
			if err != nil {
				c.writeFailed(err)
				c.hangUp()
				return
			}
			continue
		}
		if c.out.sleep() {
			return
		}
		<-c.out.wake
	}
	c.linger()
	c.hangUp()
}

// tick looks from time to time whether the peer is silent, and what is not needed.
func (c *Circuit) tick() {
	c.out.trim()
	if c.cfg.Ping > 0 && c.established.Load() && c.in.silence() >= c.cfg.Ping {
		c.out.addIdle(0)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.ticker.Reset(c.pingAfter())
	}
}

// writeAll writes b in pieces, each with its own deadline, and returns how much was written.
func (c *Circuit) writeAll(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		c.armWrite()
		var m int
		m, err = c.conn.Write(b[n:min(len(b), n+maxWrite)])
		n += m
	}
	if err != nil {
		return n, fmt.Errorf("psyc: write to %s: %w", addr(c.conn.RemoteAddr()), err)
	}
	return n, nil
}

// writeFailed ends the circuit. If the peer hung up, it may have said why: the reader gets the time to find that, and until then nobody hears that
// writing has failed.
func (c *Circuit) writeFailed(err error) {
	timeout := time.NewTimer(c.cfg.CloseTimeout)
	defer timeout.Stop()
	select {
	case c.in.token <- struct{}{}:
		<-c.in.token
		if c.requests.pending() { // which is about to read
			select {
			case <-c.ctx.Done():
			case <-timeout.C:
			}
		}
	case <-timeout.C:
	}
	c.end(err, nil, false)
}

// armWrite sets the deadline of the Write that comes, or that is under way.
func (c *Circuit) armWrite() {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.conn.SetWriteDeadline(c.out.deadline(c.cfg.WriteTimeout))
}

// pingAfter returns when to look again whether the peer is silent, and what memory is not needed.
func (c *Circuit) pingAfter() time.Duration {
	if c.cfg.Ping < 0 {
		return time.Minute
	}
	if left := c.cfg.Ping - c.in.silence(); left > 0 {
		return left
	}
	return c.cfg.Ping
}

// linger gives the peer time to take what was written: a connection that is closed with input unread is reset, and the
// peer may lose the end of what we wrote. It returns when the peer has hung up or CloseTimeout is over.
func (c *Circuit) linger() {
	c.out.mu.Lock()
	over, deadline := c.out.aborted || c.out.deaf, c.out.finishBy
	c.out.mu.Unlock()
	if over {
		return
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case c.in.token <- struct{}{}:
		defer func() { <-c.in.token }()
		c.conn.SetReadDeadline(deadline)
		io.Copy(io.Discard, c.conn)
	case <-timeout.C:
	}
}
