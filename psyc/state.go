package psyc

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strconv"
)

// A State holds the variables that stay from one packet to the next: those of one direction of a circuit, where
// they save repeating them, or those of a context, whose members are told changes only. Packets change it with the
// operators in front of their variables:
//
//	=  Assign    gives the variable this value
//	+  Augment   adds to it
//	-  Diminish  takes from it, without a value all of it
//
// and a variable without one of them, or with Set, overrides it for that packet alone.
//
// What is added and taken depends on the family of the name. A _list gets and loses elements, a _dict entries, an
// _amount grows and shrinks. Of other families PSYC 1.0 says nothing, and nothing happens. In PSYC 0.9 all
// variables but lists become sets then: the value of Augment is a key and, behind a blank, what belongs to it; Diminish
// names a key, or the whole value, and anything else is the *[Error] _failure_unsupported_modifier_diminish. Such a
// set is read with [Value.Dict].
//
// Update is not applied: the *[Error] _failure_unsupported_modifier tells the sender to assign the whole value.
//
// The zero State is empty and holds variables of PSYC 1.0. It is for one goroutine.
type State struct {
	Syntax Syntax // PSYC09 makes sets of what is augmented, see above
	Vars   int    // most variables held; 0 means 64
	Bytes  int    // most bytes of names and values together; 0 means 64 KiB

	held []stateVar
}

// stateVar is a variable with its value, which is never changed in place: packets borrow it.
type stateVar struct {
	name  string
	value Value
	keyed bool // a set of PSYC 0.9
}

const (
	defaultStateVars  = 64
	defaultStateBytes = 64 << 10
)

// Get returns the value that the state has for name, nil if it has none.
func (s *State) Get(name string) Value {
	if i := find(s.held, name); i >= 0 {
		return s.held[i].value
	}
	return nil
}

// All yields the names and values held, in the order in which they were first assigned.
func (s *State) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, v := range s.held {
			if !yield(v.name, v.value) {
				return
			}
		}
	}
}

// Reset forgets everything.
func (s *State) Reset() { s.held = nil }

// Apply brings the state up to date with the header of a packet, and the header up to date with the state: what it
// then has are the variables that hold for the packet, all with the operator Set, those of the packet in front of those
// that only the state has. Queries are left out, see [State.Answer]. On error, an *[Error], neither has changed. Values
// that come from the state stay as they are when the state changes.
func (s *State) Apply(header *Vars) error {
	held, changed := s.held, false
	for i := range *header {
		v := &(*header)[i]
		switch v.Op {
		case 0, Set, Query:
			continue
		case Assign, Augment, Diminish:
		default:
			return modifierError(errModifier, "The operator in front of [_variable_name] has no meaning here.", *v)
		}
		if !changed {
			held, changed = slices.Clone(held), true
		}
		var err error
		if held, err = s.change(held, v); err != nil {
			return err
		}
	}
	if changed {
		if err := s.fits(held); err != nil {
			return err
		}
		s.held = held
	}
	kept := (*header)[:0]
	for _, v := range *header {
		if v.Op == 0 || v.Op == Set {
			v.Op = Set
			kept = append(kept, v)
		}
	}
	explicit := len(kept)
	for _, v := range held {
		if kept[:explicit].Get(v.name) == nil {
			kept = append(kept, Var{Set, v.name, v.value})
		}
	}
	*header = kept
	return nil
}

// ApplyRouting is [State.Apply] for the routing header of a packet of the circuit whose state s is. A variable that the packet gives an empty
// value is not there: the packet does without it. A [Circuit] does that by itself; this is for who reads circuits with a [Decoder].
func (s *State) ApplyRouting(p *Packet) error {
	if err := s.Apply(&p.Routing); err != nil {
		return err
	}
	p.Routing = slices.DeleteFunc(p.Routing, func(v Var) bool { return len(v.Value) == 0 })
	return nil
}

// ApplyPacket is [State.Apply] for a packet of the context whose state s is: it does what p's State says first, and
// brings its entity header up to date. A packet that changes state and has no _context is refused with the *[Error]
// _failure_unsupported_state_persistent, because nobody owns what it would change.
func (s *State) ApplyPacket(p *Packet) error {
	if len(p.Routing.Get("_context")) == 0 {
		persistent := func(v Var) bool { return !(v.gives() && v.Op != Assign) && v.Op != Query }
		if p.State == Reset || slices.ContainsFunc(p.Entity, persistent) {
			return &Error{Method: "_failure_unsupported_state_persistent", Text: "Only a context has a state."}
		}
		return nil
	}
	before := s.held
	if p.State == Reset {
		s.Reset()
	}
	if err := s.Apply(&p.Entity); err != nil {
		s.held = before
		return err
	}
	return nil
}

// Answer returns the packet that tells what p asks for, nil if p asks for nothing. With [Resync] that is the whole state,
// after a [Reset]; with variables that have the operator [Query] it is the values of these, empty ones where there are
// none. It has no method, goes from the context that p is addressed to, to p's source, and has p's tag. Its variables are
// assigned, in PSYC 0.9 set. Call it before Apply, which takes the queries away.
func (s *State) Answer(p *Packet) *Packet {
	var answer Vars
	asked, op := false, Assign
	if s.Syntax == PSYC09 {
		op = Set // a psyced would take it into the state of its own peer
	}
	for i := range p.Entity {
		if v := &p.Entity[i]; v.Op == Query && p.State != Resync {
			asked = true
			if answer.Get(v.Name) == nil {
				answer = append(answer, Var{op, v.Name, append(Value{}, s.Get(v.Name)...)})
			}
		}
	}
	q := p.Reply("")
	if p.State == Resync {
		q.State, asked = Reset, true
		for name, value := range s.All() {
			answer = append(answer, Var{op, name, value})
		}
	}
	if !asked {
		return nil
	}
	for i := range q.Routing {
		if q.Routing[i].Name == "_source" {
			q.Routing[i].Name = "_context"
		}
	}
	q.Entity = answer
	return q
}

// change returns held with what v does to it; held's elements may be changed, not the values that they have.
func (s *State) change(held []stateVar, v *Var) ([]stateVar, error) {
	i := find(held, v.Name)
	if v.Op == Assign || i < 0 && v.Op == Augment {
		if i < 0 {
			i = len(held)
			held = append(held, stateVar{name: v.Name})
		}
		if v.Op == Assign {
			held[i].value, held[i].keyed = append(Value{}, v.Value...), false
			return held, nil
		}
	}
	if v.Op == Diminish && len(v.Value) == 0 {
		if i >= 0 {
			held = slices.Delete(held, i, i+1)
		}
		return held, nil
	}
	if s.Syntax == PSYC09 && !Inherits(v.Name, "_list") {
		return s.changeSet(held, i, v)
	}
	if i < 0 {
		return held, nil
	}
	x := &held[i]
	var err error
	switch TypeOf(v.Name) {
	case "_list":
		x.value, err = changedList(x.value, v)
	case "_dict":
		x.value, err = changedDict(x.value, v)
	case "_amount":
		x.value, err = changedAmount(x.value, v)
	}
	if err != nil {
		return nil, &Error{Method: "_error_invalid_state", Text: "Cannot change [_variable_name].", Vars: nameOf(v), Err: err}
	}
	return held, nil
}

// changeSet changes the variable at i, if it is not -1, as PSYC 0.9 has it.
func (s *State) changeSet(held []stateVar, i int, v *Var) ([]stateVar, error) {
	if v.Op == Augment {
		x := &held[i]
		if !x.keyed {
			x.value, x.keyed = nil, true
		}
		key, data, _ := bytes.Cut(v.Value, []byte(" "))
		x.value = withEntry(x.value, Entry{Key: key, Element: Element{Value: data}})
		return held, nil
	}
	if i >= 0 && held[i].keyed {
		if value, found := withoutEntry(held[i].value, Value(v.Value)); found {
			held[i].value = value
			return held, nil
		}
	} else if i >= 0 && bytes.Equal(held[i].value, v.Value) {
		return slices.Delete(held, i, i+1), nil
	}
	return nil, modifierError(errDiminish, "[_variable_name] has no such part.", *v)
}

// fits refuses a state that is too large.
func (s *State) fits(held []stateVar) error {
	most, room := s.Vars, s.Bytes
	if most <= 0 {
		most = defaultStateVars
	}
	if room <= 0 {
		room = defaultStateBytes
	}
	for _, v := range held {
		room -= len(v.name) + len(v.value)
	}
	if len(held) > most || room < 0 {
		return limitError(errHeaderTooLarge, 0, "too much assigned")
	}
	return nil
}

func find(held []stateVar, name string) int {
	return slices.IndexFunc(held, func(v stateVar) bool { return v.name == name })
}

// changedList returns the list with v's elements added at the end, or without those equal to one of v's.
func changedList(list Value, v *Var) (Value, error) {
	elems, err := gather(list.List())
	if err != nil {
		return nil, err
	}
	these, err := gather(v.Value.List())
	if err != nil {
		return nil, err
	}
	if v.Op == Augment {
		if list.ItemType() != v.Value.ItemType() && len(elems) > 0 && len(these) > 0 {
			return nil, errItemType
		}
		typ := list.ItemType()
		if len(elems) == 0 {
			typ = v.Value.ItemType()
		}
		return AppendList(nil, typ, append(elems, these...)...), nil
	}
	gone := make(map[string]bool, len(these))
	for _, e := range these {
		gone[string(e.Value)] = true
	}
	elems = slices.DeleteFunc(elems, func(e Element) bool { return gone[string(e.Value)] })
	return AppendList(nil, list.ItemType(), elems...), nil
}

// changedDict returns the dict with v's entries, which replace those with the same keys, or without its keys.
func changedDict(dict Value, v *Var) (Value, error) {
	entries, err := gather(dict.Dict())
	if err != nil {
		return nil, err
	}
	these, err := gather(v.Value.Dict())
	if err != nil {
		return nil, err
	}
	if v.Op == Augment && dict.ItemType() != v.Value.ItemType() && len(entries) > 0 && len(these) > 0 {
		return nil, errItemType
	}
	typ := dict.ItemType()
	if len(entries) == 0 {
		typ = v.Value.ItemType()
	}
	at := make(map[string]int, len(these))
	for i, e := range these {
		at[string(e.Key)] = i
	}
	entries = slices.DeleteFunc(entries, func(e Entry) bool { _, there := at[string(e.Key)]; return there })
	if v.Op == Augment {
		entries = append(entries, these...)
	}
	return AppendDict(nil, typ, entries...), nil
}

var errItemType = errors.New("psyc: items of another type")

// changedAmount returns the sum or the difference.
func changedAmount(amount Value, v *Var) (Value, error) {
	var n int64
	var err error
	if len(amount) > 0 {
		if n, err = amount.Int(); err != nil {
			return nil, err
		}
	}
	d, err := v.Value.Int()
	if err != nil {
		return nil, err
	}
	sum := n + d
	if v.Op == Diminish {
		sum = n - d
	}
	if (sum > n) != ((d > 0) == (v.Op == Augment)) && d != 0 {
		return nil, &Error{Method: errValue + "_amount", Text: "out of range"}
	}
	return strconv.AppendInt(nil, sum, 10), nil
}

// withEntry returns the set with e, which replaces an entry of the same key.
func withEntry(set Value, e Entry) Value {
	set, _ = withoutEntry(set, e.Key)
	return AppendDict(slices.Clone(set), "", e)
}

// withoutEntry returns the set without the entry of that key, and whether there was one.
func withoutEntry(set, key Value) (Value, bool) {
	entries, _ := gather(set.Dict()) // written by AppendDict
	n := len(entries)
	entries = slices.DeleteFunc(entries, func(e Entry) bool { return bytes.Equal(e.Key, key) })
	return AppendDict(nil, "", entries...), len(entries) < n
}

// gather returns what seq yields, or its error.
func gather[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for x, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

func nameOf(v *Var) Vars { return Vars{{Name: "_variable_name", Value: Value(v.Name)}} }

// modifierError refuses what stands in front of v.
func modifierError(method, text string, v Var) *Error {
	return &Error{Method: method, Text: text, Vars: nameOf(&v)}
}
