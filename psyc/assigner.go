package psyc

// An Assigner spares repeating who speaks to whom: it is to the packets that go out on a circuit what [State] is to those
// that come in. _source and _target are assigned with the first packet that has them, and left out while they stay the
// same. A packet without one of them says so with an empty value: else a packet of the circuit itself would inherit an
// address and become a message to somebody. _context is never assigned; it is for single packets.
//
// Assignments last as long as a circuit: every circuit begins with a new Assigner. It is for PSYC 1.0, and for peers that
// agreed to it. Values of more than 1 KiB are not assigned. A [Circuit] has one where the peer has [ModuleState].
//
// The zero Assigner has assigned nothing. It is for one goroutine, the one that decides the order of the packets.
type Assigner struct {
	source, target assignment
}

// An assignment is the value that the peer has for a variable.
type assignment struct {
	made  bool // perhaps with another value, if value is nil
	value []byte
}

// Assign brings the routing header of p, which is about to be written as the next packet, into the shortest form that means
// the same to the peer. What it changes is p.Routing, in a copy, and the Assigner: if p is not written, or not known to
// have been, call Doubt.
func (a *Assigner) Assign(p *Packet) {
	p.Routing = a.assign(make(Vars, 0, len(p.Routing)+2), p.Routing)
}

// assign appends what has to be written so that the peer has header.
func (a *Assigner) assign(dst, header Vars) Vars {
	dst = a.source.apply(dst, header, "_source")
	dst = a.target.apply(dst, header, "_target")
	for _, v := range header {
		if v.Name != "_source" && v.Name != "_target" {
			dst = append(dst, v)
		}
	}
	return dst
}

// Doubt says that the peer may or may not have what was assigned last. Everything is assigned anew, or cancelled.
func (a *Assigner) Doubt() { a.source.value, a.target.value = nil, nil }

// apply appends what has to be written of name so that the peer has the value that header gives it.
func (a *assignment) apply(dst, header Vars, name string) Vars {
	value := header.Get(name)
	switch {
	case len(value) == 0 && a.made:
		return append(dst, Var{Op: Set, Name: name, Value: Value{}})
	case len(value) == 0, a.value != nil && string(a.value) == string(value):
		return dst
	case len(value) > maxAssigned:
		return append(dst, Var{Op: Set, Name: name, Value: value})
	}
	a.made, a.value = true, append(a.value[:0], value...)
	return append(dst, Var{Op: Assign, Name: name, Value: value})
}
