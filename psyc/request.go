package psyc

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// A requestTable holds the requests that wait for their replies, by tag.
type requestTable struct {
	limit int

	mu      sync.Mutex
	waiting map[string]*request
	err     error // not nil: the circuit has ended
}

// A request waits for its reply.
type request struct {
	target Value        // who has to reply; nil: the circuit
	reply  chan *Packet // room for one
	failed chan struct{}
}

// add enters a request under its tag.
func (t *requestTable) add(tag string, r *request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.err != nil:
		return t.err
	case len(t.waiting) >= t.limit:
		return ErrTooManyRequests
	case t.waiting[tag] != nil:
		return fmt.Errorf("psyc: a request with the tag %q is waiting already", tag)
	case t.waiting == nil:
		t.waiting = make(map[string]*request)
	}
	t.waiting[tag] = r
	return nil
}

func (t *requestTable) remove(tag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, tag)
}

// pending reports whether a request waits for its reply.
func (t *requestTable) pending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting) > 0
}

// fail ends all requests.
func (t *requestTable) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	for tag, r := range t.waiting {
		close(r.failed)
		delete(t.waiting, tag)
	}
}

// settle gives p to the request that it replies to, if there is one, and if p comes from whom the request went to.
func (t *requestTable) settle(p *Packet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		return false
	}
	for _, name := range []string{"_tag_relay", "_tag_reply"} {
		for _, header := range []Vars{p.Routing, p.Entity} {
			tag := header.Get(name)
			r := t.waiting[string(tag)]
			if r == nil || !sameEntity(origin(p), r.target) {
				continue
			}
			delete(t.waiting, string(tag))
			r.reply <- p.Clone()
			return true
		}
	}
	return false
}

// origin returns who speaks in p: the context if there is one, else the source.
func origin(p *Packet) Value {
	if context := p.Routing.Get("_context"); context != nil {
		return context
	}
	return p.Routing.Get("_source")
}

// sameEntity compares as psyced does, which folds the case of whole uniforms.
func sameEntity(a, b Value) bool { return bytes.EqualFold(a, b) }

// Request sends p and waits for the reply, which is the caller's. A packet without _tag gets a random one; p itself
// stays as it is. The reply is the first packet with that tag in _tag_relay, or _tag_reply as psyced has it, that
// comes from p's target; a packet without a target asks the circuit, and a packet of the circuit is its reply.
//
// Replies that say _error or _failure are replies too. A reply whose body is too long to be held comes without its
// body. While nobody ranges over Packets, Request reads by itself, and keeps a small number of other packets for
// Packets; if more come before the reply it gives up with [ErrTooManyHeld]. The error is that of [Circuit.Send], the context's,
// context.DeadlineExceeded after [Config.RequestTimeout], [ErrTooManyRequests], or what the circuit ended with.
func (c *Circuit) Request(ctx context.Context, p *Packet) (*Packet, error) {
	return c.request(ctx, p, c.Send)
}

// request is Request with another way to send.
func (c *Circuit) request(ctx context.Context, p *Packet, send func(context.Context, *Packet) error) (*Packet, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	tag := p.Routing.Get("_tag").String()
	if tag == "" {
		tag = rand.Text()
		tagged := *p
		tagged.Routing = append(p.Routing[:len(p.Routing):len(p.Routing)], Var{Name: "_tag", Value: Value(tag)})
		p = &tagged
	}
	r := &request{
		target: bytes.Clone(p.Routing.Get("_target")),
		reply:  make(chan *Packet, 1),
		failed: make(chan struct{}),
	}
	if err := c.requests.add(tag, r); err != nil {
		return nil, err
	}
	defer c.requests.remove(tag)
	if err := send(ctx, p); err != nil {
		return nil, err
	}
	for {
		select {
		case reply := <-r.reply:
			return reply, nil
		default:
		}
		select {
		case reply := <-r.reply:
			return reply, nil
		case <-r.failed:
			return nil, c.Err()
		case <-ctx.Done():
			return nil, fmt.Errorf("psyc: no reply to %s: %w", p.Method, ctx.Err())
		case c.in.token <- struct{}{}:
			err := c.readAhead(ctx)
			<-c.in.token
			if err != nil {
				return nil, fmt.Errorf("psyc: no reply to %s: %w", p.Method, err)
			}
		}
	}
}

// maxHeld bounds the packets that are read while a request waits for its reply and nobody ranges over Packets.
const maxHeld = 64

// readAhead reads one packet, and keeps it for Packets if it is for the application. The caller holds the token.
func (c *Circuit) readAhead(ctx context.Context) error {
	if len(c.in.held) >= maxHeld {
		return ErrTooManyHeld
	}
	defer c.in.watch(ctx)()
	p, err := c.in.read()
	if err != nil {
		if err = c.readFailed(ctx, err); err == nil {
			err = io.EOF
		}
		return err
	}
	n, size := c.in.counts(p)
	if c.admit(ctx, p) {
		c.in.held = append(c.in.held, heldPacket{p.Clone(), n, size})
	} else {
		c.in.passed(n, size)
	}
	return nil
}

// complains reports whether a packet of this method says that something went wrong. Such a packet is never answered,
// or two sides could complain to each other for ever.
func complains(method string) bool {
	return InheritsAny(method, "_error", "_failure", "_warning")
}

// answerable reports whether a packet of this method wants to be told that it was in vain: it asks or says something,
// as opposed to reporting what is or has been.
func answerable(method string) bool {
	if method == "" || complains(method) {
		return false
	}
	for _, family := range []string{"_notice", "_status", "_info", "_echo"} {
		if Inherits(method, family) {
			return false
		}
	}
	return true
}

// asError returns the complaint p as a Go error.
func (p *Packet) asError() *Error {
	q := p.Clone()
	return &Error{Method: q.Method, Text: string(q.Body), Vars: q.Entity}
}

// packet returns the error as a packet of the circuit.
func (e *Error) packet() *Packet {
	return &Packet{Entity: e.Vars, Method: e.Method, Body: []byte(e.Text)}
}

// refuse tells the peer that p is not taken, if it may be told. The error goes to the circuit, not to the source,
// which may be forged.
func (c *Circuit) refuse(p *Packet, e *Error) {
	c.in.log(slog.LevelWarn, "packet refused", "method", p.Method, "error", e.Method, "host", e.Vars.Get("_host").String())
	if complains(p.Method) {
		return
	}
	answer := e.packet()
	answer.tagLike(p)
	// psyced shows nothing of what is not for somebody. Whoever it is, the answer goes no further than to the peer.
	source, target := p.Routing.Get("_source"), p.Routing.Get("_target")
	if to, err := c.in.hosts.of(target); c.Syntax() == PSYC09 && !c.Profile() && source != nil && err == nil && c.hosted(to) {
		if _, err := c.in.hosts.of(source); err == nil {
			answer.Routing.Set("_source", target.String())
			answer.Routing.Set("_target", source.String())
		}
	}
	c.answer(answer)
}
