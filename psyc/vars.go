package psyc

import "bytes"

// Vars is a header: variables in wire order, duplicates kept.
type Vars []Var

// A Var is one variable of a header.
type Var struct {
	Op    Op // zero means Set
	Name  string
	Value Value
}

// An Op is the operator in front of a variable, which PSYC 0.9 calls a glyph.
type Op byte

// Operators, in the spelling of the wire. A parser of PSYC 1.0 also passes on "!", which has no meaning yet.
const (
	Set      Op = ':' // for this packet
	Assign   Op = '=' // from now on, until assigned again
	Augment  Op = '+' // adds to a list
	Diminish Op = '-' // takes from a list
	Update   Op = '@' // changes a part; the value is an update expression
	Query    Op = '?' // asks for the value
)

// Get returns the value that the header gives to name, for this packet (Set) or from now on (Assign): that of the
// last such variable, nil if there is none. An empty value is not nil.
func (v Vars) Get(name string) Value {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].Name == name && v[i].gives() {
			return v[i].Value
		}
	}
	return nil
}

// Set gives name the value for this packet. It replaces the first variable that gives name a value and removes
// the others, or appends one.
func (v *Vars) Set(name, value string) {
	out, done := (*v)[:0], false
	for _, x := range *v {
		if x.Name == name && x.gives() {
			if done {
				continue
			}
			x, done = Var{Set, name, Value(value)}, true
		}
		out = append(out, x)
	}
	if !done {
		out = append(out, Var{Set, name, Value(value)})
	}
	*v = out
}

// Add appends a variable, whatever is there already.
func (v *Vars) Add(op Op, name, value string) {
	*v = append(*v, Var{op, name, Value(value)})
}

// gives reports whether the variable has its value after this line, as opposed to being changed or asked for.
func (x *Var) gives() bool { return x.Op == Set || x.Op == Assign || x.Op == 0 }

// op returns the operator as it is written.
func (x *Var) op() Op {
	if x.Op == 0 {
		return Set
	}
	return x.Op
}

func (v Vars) equal(w Vars) bool {
	if len(v) != len(w) {
		return false
	}
	for i := range v {
		if v[i].Name != w[i].Name || v[i].op() != w[i].op() || !bytes.Equal(v[i].Value, w[i].Value) {
			return false
		}
	}
	return true
}
