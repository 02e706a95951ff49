package psyc

import (
	"bytes"
	"strings"
)

// Expand appends template with every [_name] replaced that lookup knows. It is a single pass: values are data and
// never looked into, and what lookup does not know stays as it is, brackets included.
func Expand(dst []byte, template string, lookup func(name string) (Value, bool)) []byte {
	return ExpandBraces(dst, template, "[", "]", lookup)
}

// ExpandBraces is [Expand] with other braces, which must not be empty. A name goes from an opening brace to the first
// closing one behind it; it may be anything but empty.
func ExpandBraces(dst []byte, template, opening, closing string, lookup func(name string) (Value, bool)) []byte {
	for {
		i := strings.Index(template, opening)
		if i < 0 {
			break
		}
		name, rest, closed := strings.Cut(template[i+len(opening):], closing)
		if !closed {
			break
		}
		value, known := Value(nil), false
		if name != "" {
			value, known = lookup(name)
		}
		if known {
			dst = append(append(dst, template[:i]...), value...)
		} else {
			dst = append(dst, template[:len(template)-len(rest)]...)
		}
		template = rest
	}
	return append(dst, template...)
}

// Text returns what the body says: as it is for _message and _jabber methods, whose bodies are data; for all others it
// is a template, by default that of [LookupMethod], and [_name] is replaced by p's variable of that name, lists with
// ", " between their elements. Names that p does not have stay as they are, and so do those with which the values
// would be longer than 64 KiB together: a template may name one long value as often as it likes.
func (p *Packet) Text() string {
	if Inherits(p.Method, "_message") || Inherits(p.Method, "_jabber") {
		return string(p.Body)
	}
	template := string(p.Body)
	if template == "" {
		m, _ := LookupMethod(p.Method)
		template = m.Text
	}
	left := maxExpansion
	return string(Expand(nil, template, func(name string) (Value, bool) {
		v := p.Entity.Get(name)
		if v == nil {
			v = p.Routing.Get(name)
		}
		// Joining a list costs as much as it is long, shown or not.
		if v == nil || len(v) > left {
			return nil, false
		}
		left -= len(v)
		if Inherits(name, "_list") {
			v = v.joined()
		}
		return v, true
	}))
}

// maxExpansion bounds the values that one template is filled with, in bytes.
const maxExpansion = 64 << 10

// joined returns a list for display, and what is none as it is.
func (v Value) joined() Value {
	elems, err := v.elements()
	if err != nil {
		return v
	}
	return bytes.Join(elems, []byte(", "))
}

// elements returns the values of a list in either form.
func (v Value) elements() (elems [][]byte, err error) {
	var e Element
	for e, err = range v.List() {
		elems = append(elems, e.Value)
	}
	if err == nil {
		return elems, nil
	}
	elems = elems[:0]
	var early Value
	for early, err = range v.EarlyList() {
		elems = append(elems, early)
	}
	return elems, err
}
