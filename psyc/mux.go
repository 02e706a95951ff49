package psyc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A Handler serves packets.
type Handler interface {
	// ServePSYC is given one packet after the other, in order. p is the handler's until it returns.
	// An *[Error] that it returns goes back to the source of p, see [Circuit.Serve].
	ServePSYC(ctx context.Context, c *Circuit, p *Packet) error
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ctx context.Context, c *Circuit, p *Packet) error

// ServePSYC calls f.
func (f HandlerFunc) ServePSYC(ctx context.Context, c *Circuit, p *Packet) error { return f(ctx, c, p) }

// A Mux dispatches to the most specific registered ancestor of a method: _message_private goes to the handler of
// _message_private, else to that of _message. The zero value is ready. Its methods may be called at the same time.
type Mux struct {
	mu       sync.RWMutex
	handlers map[string]Handler
}

// Handle registers h for method and all that inherits from it; "" stands for all methods. It panics if method is no
// keyword or has a handler already.
func (m *Mux) Handle(method string, h Handler) {
	if method != "" && (!isKeyword(method) || method[0] != '_') {
		panic(fmt.Sprintf("psyc: handler for %q, which is not a method", method))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handlers[method] != nil {
		panic(fmt.Sprintf("psyc: second handler for %q", method))
	}
	if m.handlers == nil {
		m.handlers = make(map[string]Handler)
	}
	m.handlers[method] = h
}

// Handler returns the handler for method, nil if there is none.
func (m *Mux) Handler(method string) Handler {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for {
		if h := m.handlers[method]; h != nil || method == "" {
			return h
		}
		method = method[:max(0, strings.LastIndexByte(method, '_'))]
	}
}

// ServePSYC dispatches. Without a handler the error is _error_unsupported_method.
func (m *Mux) ServePSYC(ctx context.Context, c *Circuit, p *Packet) error {
	if h := m.Handler(p.Method); h != nil {
		return h.ServePSYC(ctx, c, p)
	}
	return &Error{
		Method: "_error_unsupported_method",
		Text:   "[_method_relay] is not provided here.",
		Vars:   Vars{{Name: "_method_relay", Value: Value(p.Method)}},
	}
}

// Serve hands every packet to h until the circuit ends, and returns nil if it ended in order. An error that h returns
// for a packet goes back to where the packet came from, with its tag: an *[Error] as it is, anything else as
// _failure_unsuccessful_delivery, with the error in the log only. Nothing goes back for a packet that is a complaint
// itself (_error, _failure, _warning) or a report (_notice, _status, _info, _echo). The end of ctx ends Serve with
// the context's error.
func (c *Circuit) Serve(ctx context.Context, h Handler) error {
	for p, err := range c.Packets(ctx) {
		if err != nil {
			return err
		}
		failed := h.ServePSYC(ctx, c, p)
		if failed == nil || !answerable(p.Method) {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var fault *Error
		if !errors.As(failed, &fault) {
			c.log.Error("handler failed", "peer", c.Peer().Root, "method", p.Method, "err", failed)
			fault = &Error{Method: "_failure_unsuccessful_delivery"}
		}
		reply := p.Reply(fault.Method)
		if reply.Routing.Get("_source") == nil && c.cfg.Self != "" {
			reply.Routing.Set("_source", c.cfg.Self)
		}
		reply.Entity = fault.Vars
		reply.Body = []byte(fault.Text)
		if err := c.Send(ctx, reply); err != nil {
			return err
		}
	}
	return nil
}
