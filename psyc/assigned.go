package psyc

import "bytes"

// Bounds of what a peer can make a circuit remember.
const (
	maxAssigned      = 64       // variables
	maxAssignedBytes = 64 << 10 // of their values
)

// assigned is the state of one direction of a circuit: variables that a packet assigned (=) hold for all that follow,
// until they are assigned anew or removed (-). A packet that sets such a variable (:) overrides it for itself, and
// with an empty value does without it.
//
// In the 1.0 syntax these are routing variables; what happens to the entity header is the state of a context, not of
// the circuit. In the 0.9 syntax there is no such difference.
type assigned struct {
	routing, entity Vars
}

// apply brings the state up to date with p and p up to date with the state.
func (a *assigned) apply(p *Packet, syn Syntax) error {
	if err := merge(&a.routing, &p.Routing); err != nil {
		return err
	}
	kept := p.Routing[:0]
	for _, v := range p.Routing {
		if len(v.Value) > 0 {
			kept = append(kept, v)
		}
	}
	p.Routing = kept
	if syn == PSYC09 {
		return merge(&a.entity, &p.Entity)
	}
	return nil
}

func merge(state, header *Vars) error {
	kept := (*header)[:0]
	for _, v := range *header {
		switch v.Op {
		case 0, Set:
		case Assign:
			if err := assign(state, v); err != nil {
				return err
			}
			v.Op = Set
		case Diminish:
			if len(v.Value) > 0 {
				return modifierError("_failure_unsupported_modifier_diminish", "Only the whole of [_variable_name] can be removed.", v)
			}
			remove(state, v.Name)
			continue
		default:
			return modifierError("_failure_unsupported_modifier", "The operator in front of [_variable_name] has no meaning here.", v)
		}
		kept = append(kept, v)
	}
	*header = kept
	if len(*state) == 0 {
		return nil
	}
	explicit := len(kept)
	for _, s := range *state {
		if (*header)[:explicit].Get(s.Name) == nil {
			*header = append(*header, s)
		}
	}
	return nil
}

func modifierError(method, text string, v Var) *Error {
	return &Error{Method: method, Text: text, Vars: Vars{{Name: "_variable_name", Value: Value(v.Name)}}}
}

func assign(state *Vars, v Var) error {
	remove(state, v.Name)
	size := len(v.Value)
	for _, s := range *state {
		size += len(s.Value)
	}
	if len(*state) >= maxAssigned || size > maxAssignedBytes {
		return limitError(errHeaderTooLarge, 0, "too much assigned")
	}
	*state = append(*state, Var{Set, v.Name, bytes.Clone(v.Value)})
	return nil
}

func remove(state *Vars, name string) {
	kept := (*state)[:0]
	for _, s := range *state {
		if s.Name != name {
			kept = append(kept, s)
		}
	}
	*state = kept
}
