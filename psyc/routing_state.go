package psyc

import (
	"bytes"
	"errors"
	"slices"
)

// ModuleState is the protocol module with which packets leave out _source and _target where they are those of the packet before. A circuit
// announces it beside [ModuleProfile], unless [Config.RepeatAddresses] is set. See "Routing state" in the package documentation.
const ModuleState = "_switchyard_state"

// maxAssigned is the longest value that is assigned, in bytes, so that a circuit need not remember more.
const maxAssigned = 1 << 10

// ErrRoutingState refuses a packet that changes the state of the circuit, or cancels a part of it, where that is not for the caller to do: with
// [ModuleState] the circuit assigns by itself, and the packets of a session can outlive the circuit.
var ErrRoutingState = errors.New("psyc: packet with routing state of its own")

// stateModules adds the module to what a circuit announces.
func (c *Config) stateModules(announced []string) []string {
	if c.RepeatAddresses || !slices.Contains(announced, ModuleProfile) || slices.Contains(announced, ModuleState) {
		return announced
	}
	return append(slices.Clip(announced), ModuleState)
}

// useState begins to leave out what stays the same, once the greetings have shown that both sides know the module. The peer may do so from
// its greeting on. c.mu is held, by the goroutine that reads.
func (c *Circuit) useState() {
	if !c.profile || c.Syntax() != PSYC10 || !slices.Contains(c.cfg.Modules, ModuleState) || !slices.Contains(c.peer.Understands, ModuleState) {
		return
	}
	c.in.inherits = true
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.short.on = true
}

// bring brings p up to date with the state of the circuit, and the state with p. Between peers of the profile there is none without the module.
func (in *input) bring(p *Packet, syn Syntax) error {
	switch i := slices.IndexFunc(p.Routing, func(v Var) bool { return v.op() != Set }); {
	case in.inherits:
		return in.inherited.apply(p)
	case i >= 0 && syn == PSYC10 && in.c.Profile():
		return modifierError(errModifier, "The operator in front of [_variable_name] has not been agreed on.", p.Routing[i])
	}
	return in.state.apply(p, syn)
}

// inherited is what has been assigned in one direction of a circuit with ModuleState. Empty is not assigned.
type inherited struct{ source, target []byte }

// apply brings p up to date with the state, and the state with p. The packet borrows from in, up to the next call. After an error neither is good
// for anything.
//
// What it accepts has the effect that it has on [State.ApplyRouting], which peers without the module need: they may assign any variable. Packets
// keep what a State gave them when others are assigned, so that it allocates with each assignment; in copies into the space that it has, and takes
// a quarter of the time.
func (in *inherited) apply(p *Packet) error {
	kept, source, target := p.Routing[:0], in.source, in.target
	for _, v := range p.Routing {
		var place, rest *[]byte
		switch v.Name {
		case "_source":
			place, rest = &in.source, &source
		case "_target":
			place, rest = &in.target, &target
		}
		if place != nil {
			*rest = nil
		}
		if v.op() != Set {
			if v.Op != Assign || place == nil || len(v.Value) == 0 || len(v.Value) > maxAssigned {
				return modifierError(errModifier, "The operator in front of [_variable_name] has no meaning here.", v)
			}
			*place = append((*place)[:0], v.Value...)
		}
		if len(v.Value) > 0 {
			kept = append(kept, Var{Set, v.Name, v.Value})
		}
	}
	if len(source) > 0 {
		kept = append(kept, Var{Set, "_source", source})
	}
	if len(target) > 0 {
		kept = append(kept, Var{Set, "_target", target})
	}
	p.Routing = kept
	return nil
}

// set makes in a copy of what the peer has when it has read all that a has been given.
func (in *inherited) set(a *Assigner) {
	in.source = append(in.source[:0], a.source.value...)
	in.target = append(in.target[:0], a.target.value...)
}

func (in *inherited) clone() inherited {
	return inherited{bytes.Clone(in.source), bytes.Clone(in.target)}
}

// An abbreviator leaves out of the packets in an outbox what their receiver inherits, and knows it for those that go back to who sent
// them. The lock of the outbox guards it.
type abbreviator struct {
	on       bool
	assigner Assigner
	packet   Packet // that is being written

	// What the first packet inherits of those that wait, that the writer has taken, and that have been held back.
	waiting, taken, held inherited
}

// append appends the wire form of p, which is the next packet.
func (a *abbreviator) append(dst []byte, r *Renderer, p *Packet) ([]byte, error) {
	if !a.on {
		return r.Append(dst, p)
	}
	if slices.ContainsFunc(p.Routing, func(v Var) bool { return v.op() != Set }) {
		return dst, ErrRoutingState
	}
	routing := a.assigner.assign(a.packet.Routing[:0], p.Routing)
	a.packet = *p
	a.packet.Routing = routing
	dst, err := r.Append(dst, &a.packet)
	if err != nil {
		a.assigner.Doubt()
	}
	clear(routing)
	a.packet = Packet{Routing: routing}
	return dst, err
}

// whole returns p, of which wire is the form that was written, in the form that depends on nothing.
func (a *abbreviator) whole(r *Renderer, p *Packet, wire []byte) []byte {
	if !a.on {
		return wire
	}
	b, err := r.Append(nil, p)
	if err != nil {
		return wire
	}
	return b
}

// take is called when the writer takes all packets that wait.
func (a *abbreviator) take() {
	a.taken, a.waiting = a.waiting, a.taken
	a.waiting.set(&a.assigner)
}

// wrote is called when those that the writer has taken wait again but for the first few, of which written is the wire form.
func (a *abbreviator) wrote(written []byte) {
	if !a.on {
		return
	}
	a.waiting = a.taken.clone()
	for len(written) > 0 {
		var p Packet
		n, err := p.Parse(written, PSYC10)
		if err != nil || a.waiting.apply(&p) != nil {
			return
		}
		written = written[n:]
	}
}

// hold is called when those that wait are held back.
func (a *abbreviator) hold() {
	a.held = a.waiting.clone()
	a.waiting.set(&a.assigner)
}
