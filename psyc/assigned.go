package psyc

// assigned is the state of one direction of a circuit. A packet that sets an assigned routing variable (:) to an empty
// value does without it.
//
// In the 1.0 syntax these are routing variables; what happens to the entity header is the state of a context, not of
// the circuit. In the 0.9 syntax there is no such difference.
type assigned struct {
	routing, entity State
}

// apply brings the state up to date with p and p up to date with the state.
func (a *assigned) apply(p *Packet, syn Syntax) error {
	for _, v := range p.Routing {
		switch {
		case v.Op == Augment || v.Op == Query:
			return modifierError(errModifier, "The operator in front of [_variable_name] has no meaning here.", v)
		case v.Op == Diminish && len(v.Value) > 0:
			return modifierError(errDiminish, "Only the whole of [_variable_name] can be removed.", v)
		}
	}
	if err := a.routing.ApplyRouting(p); err != nil {
		return err
	}
	if syn == PSYC09 {
		a.entity.Syntax = syn
		return a.entity.Apply(&p.Entity)
	}
	return nil
}
