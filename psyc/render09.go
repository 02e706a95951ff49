package psyc

import (
	"bytes"
	"strings"
)

// line09 is the longest line that psyced's driver reads in one piece.
const line09 = 2047

// append09 appends p in PSYC 0.9 and checks the lines that result.
func (r *Renderer) append09(dst []byte, p *Packet) ([]byte, error) {
	if p.empty() {
		return append(dst, ".\n"...), nil
	}
	if err := r.check09(p); err != nil {
		return dst, err
	}
	out, err := appendRouting(dst, p.Routing)
	if err != nil {
		return dst, err
	}
	out = append(out, '\n')
	for i := range p.Entity {
		v := &p.Entity[i]
		if internal(v.Name) {
			continue
		}
		if out, err = r.appendVar09(out, v); err != nil {
			return dst, err
		}
	}
	if p.Method != "" {
		out = append(out, p.Method...)
		out = append(out, '\n')
		if len(p.Body) > 0 {
			out = append(out, p.Body...)
			out = append(out, '\n')
		}
	}
	if err := r.checkLines(out[len(dst):]); err != nil {
		return dst, err
	}
	return append(out, ".\n"...), nil
}

// check09 refuses what has no form in 0.9, or none that the peer understands.
func (r *Renderer) check09(p *Packet) error {
	switch {
	case p.State != 0:
		return refuse("state operation in 0.9")
	case r.Opaque:
		return refuse("opaque content in 0.9")
	case p.Method == "" && len(p.Body) > 0:
		return refuse("body without a method")
	case p.Method != "" && (p.Method[0] != '_' || !isKeyword(p.Method)):
		return refuse("method %q is no name", p.Method)
	case !r.Exact && strings.HasPrefix(p.Method, "_data"):
		return refuse("psyced takes no method below _data")
	}
	for i := range p.Routing {
		v := &p.Routing[i]
		switch {
		case internal(v.Name):
			continue
		case !routing09(v.Name):
			return refuse("%s is no routing variable in 0.9", v.Name)
		case v.Name == "_length":
			return refuse("_length is for the parser")
		case len(v.Value) > 0 && (v.Value[0] == ' ' || v.Value[0] == '\t'):
			return refuse("value of %s begins with a blank", v.Name)
		}
		if err := r.checkOp09(v); err != nil {
			return err
		}
	}
	for i := range p.Entity {
		v := &p.Entity[i]
		switch {
		case internal(v.Name):
			continue
		case !isKeyword(v.Name):
			return refuse("variable %q is no name", v.Name)
		case !r.Exact && addressing09(v.Name):
			return refuse("routing variable %s in the entity header", v.Name)
		}
		if err := r.checkOp09(v); err != nil {
			return err
		}
	}
	return nil
}

func (r *Renderer) checkOp09(v *Var) error {
	op := v.op()
	if op != Set && (!r.Exact || glyph[op] == "") {
		return refuse("operator %q in 0.9", byte(op))
	}
	return nil
}

// appendVar09 appends the lines of an entity variable.
func (r *Renderer) appendVar09(dst []byte, v *Var) ([]byte, error) {
	dst = append(dst, byte(v.op()))
	dst = append(dst, v.Name...)
	if len(v.Value) == 0 || !Inherits(v.Name, "_list") {
		return appendLines09(dst, v.Name, v.Value)
	}
	if v.Value.typeEnd() > 0 {
		return dst, refuse("%s is a list with a type", v.Name)
	}
	elements := 0
	var single Value
	for e, err := range v.Value.List() {
		switch {
		case err != nil:
			return dst, refuse("%s is not a list", v.Name)
		case e.Type != "":
			return dst, refuse("%s is a list with types", v.Name)
		case !r.Exact && bytes.ContainsAny(e.Value, " \t"):
			return dst, refuse("blank in an element of %s", v.Name)
		}
		if elements > 0 {
			dst = append(dst, byte(v.op()))
		}
		if dst, err = appendLines09(dst, v.Name, e.Value); err != nil {
			return dst, err
		}
		elements++
		single = e.Value
	}
	if elements == 1 && len(single) == 0 {
		return dst, refuse("%s is a list of one empty element", v.Name)
	}
	return dst, nil
}

// appendLines09 appends the value of the variable, or of an element of the list, whose line has been begun.
func appendLines09(dst []byte, name string, value []byte) ([]byte, error) {
	if len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		return dst, refuse("value of %s begins with a blank", name)
	}
	dst = append(dst, '\t')
	for {
		n := bytes.IndexByte(value, '\n')
		if n < 0 {
			return append(append(dst, value...), '\n'), nil
		}
		dst = append(append(dst, value[:n+1]...), '\t')
		value = value[n+1:]
	}
}

// checkLines refuses lines that do not arrive as they are. Profile peers are spared DEL, not the others: they too
// may have a line editor in between.
func (r *Renderer) checkLines(b []byte) error {
	limit := r.Line
	if limit == 0 {
		limit = line09
	}
	for _, c := range b {
		if forbidden09[c] && (c != 0x7f || !r.Exact) {
			return refuse("byte 0x%02x in 0.9", c)
		}
	}
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n')
		switch {
		case limit >= 0 && n > limit:
			return refuse("line of %d bytes", n)
		case n == 1 && b[0] == '.':
			return refuse("line that is a delimiter")
		}
		b = b[n+1:]
	}
	return nil
}

// forbidden09 are the bytes that end or edit a line in psyced's driver.
var forbidden09 = [256]bool{0: true, '\b': true, '\r': true, 0x7f: true, 0xff: true}
