package psyc

import (
	"bytes"
	"slices"
)

// A Packet is one PSYC packet, independent of syntax.
//
// A packet from a [Decoder] or [Packet.Parse] borrows its values and its body from the buffer they were read from;
// from a Decoder they are good until the next packet is read, and [Packet.Clone] keeps them.
// Names and the method are ordinary strings. Values and bodies are bytes; no character set is assumed.
//
// The zero Packet is the empty packet: a keep-alive, and the greeting that opens a circuit.
type Packet struct {
	Routing Vars    // routing header, in wire order
	State   StateOp // reset or resync, before the entity header applies; PSYC 1.0 only
	Entity  Vars    // entity header, in wire order
	Method  string  // "" in a packet of variables alone, such as a keep-alive
	Body    []byte  // never without a method, except from a Decoder with RoutingOnly
	Size    int64   // length in bytes of a body too long to be held, else 0; read it from [Decoder.Body]
}

// A StateOp acts on the whole state of a context.
type StateOp byte

// State operations, in the spelling of the wire; zero means none.
const (
	Reset  StateOp = '=' // forget the state
	Resync StateOp = '?' // ask for the whole state
)

// A Syntax is a wire form of packets.
type Syntax uint8

// Syntaxes. Auto reads what the peer's first line shows and writes PSYC10.
const (
	Auto   Syntax = iota
	PSYC10        // delimiter "|", lengths, any byte in values and bodies
	PSYC09        // delimiter ".", lines only, no escaping
)

// String returns "1.0", "0.9" or "auto".
func (s Syntax) String() string {
	switch s {
	case PSYC10:
		return "1.0"
	case PSYC09:
		return "0.9"
	}
	return "auto"
}

// Parse reads one packet from the start of b into p, reusing p's memory, and returns its length.
// It returns [ErrIncomplete] if b ends first, else a *[Error] with the offset; p is then undefined.
//
// Parse holds the header to the default of [Limits.Vars]; sizes are bounded by b alone and no body is streamed.
// In PSYC 0.9 lines end with LF alone; a circuit whose peer sends CRLF needs a [Decoder], which knows from the
// first line. Auto takes b's first delimiter line for the syntax.
func (p *Packet) Parse(b []byte, syn Syntax) (n int, err error) {
	if syn == Auto {
		if syn = detect(b); syn == Auto {
			return 0, ErrIncomplete
		}
	}
	if syn == PSYC09 {
		var s parser09
		s.limits.Vars, s.limits.List, s.limits.Body = defaultVars, defaultList, -1
		s.begin(p, syn)
		return s.parse09(p, b)
	}
	var s parser
	s.limits.Vars, s.limits.Body = defaultVars, -1
	s.begin(p)
	return s.parse10(p, b)
}

// ParseContent reads the content of a packet that a [Decoder] with RoutingOnly left in p.Body into State, Entity,
// Method and Body. The new Body borrows from the old one. On error p keeps its opaque Body.
func (p *Packet) ParseContent() error {
	if len(p.Body) == 0 {
		return nil
	}
	var s parser
	s.limits.Vars, s.limits.Body = defaultVars, -1
	content := p.Body
	q := Packet{Routing: p.Routing, Entity: p.Entity[:0]}
	s.phase, s.end, s.bare = phaseContent, int64(len(content)), true
	if _, err := s.parse10(&q, content); err == ErrIncomplete {
		return syntaxError(errContentLength, int64(len(content)), "content ends early")
	} else if err != nil {
		return err
	}
	*p = q
	return nil
}

// Append appends the wire form of p to dst as a zero [Renderer] of that syntax does. It returns
// [ErrNotRepresentable] and dst unchanged where syn cannot carry p.
func (p *Packet) Append(dst []byte, syn Syntax) ([]byte, error) {
	r := Renderer{Syntax: syn}
	return r.Append(dst, p)
}

// Clone returns a copy that shares no memory with p.
func (p *Packet) Clone() *Packet {
	q := *p
	n := len(p.Body)
	for _, vars := range [...]Vars{p.Routing, p.Entity} {
		for i := range vars {
			n += len(vars[i].Value)
		}
	}
	buf := make([]byte, 0, n)
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		buf = append(buf, b...)
		return buf[len(buf)-len(b) : len(buf) : len(buf)]
	}
	q.Routing = slices.Clone(p.Routing)
	q.Entity = slices.Clone(p.Entity)
	for _, vars := range [...]Vars{q.Routing, q.Entity} {
		for i := range vars {
			vars[i].Value = keep(vars[i].Value)
		}
	}
	q.Body = keep(p.Body)
	return &q
}

// Equal reports whether p and q say the same: same variables with the same operators in the same order, same state
// operation, method, body and size. A zero operator equals Set, and an absent body equals an empty one, because
// neither syntax can tell them apart.
func (p *Packet) Equal(q *Packet) bool {
	return p.State == q.State && p.Method == q.Method && p.Size == q.Size && bytes.Equal(p.Body, q.Body) &&
		p.Routing.equal(q.Routing) && p.Entity.equal(q.Entity)
}

// empty reports whether p is the bare delimiter.
func (p *Packet) empty() bool {
	return len(p.Routing) == 0 && len(p.Entity) == 0 && p.State == 0 && p.Method == "" && len(p.Body) == 0
}
