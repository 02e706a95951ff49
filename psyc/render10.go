package psyc

import (
	"bytes"
	"strconv"
)

// append10 appends p, whose body has size bytes, in PSYC 1.0. A body that is not in p is left out with all that
// follows it.
func (r *Renderer) append10(dst []byte, p *Packet, size int64) ([]byte, error) {
	for i := range p.Routing {
		if !operator[p.Routing[i].op()] {
			return dst, refuse("operator %q", byte(p.Routing[i].Op))
		}
	}
	dst, err := r.appendRouting(dst, p.Routing)
	if err != nil {
		return dst, err
	}
	if r.Opaque {
		return r.appendOpaque(dst, p)
	}
	content, counted, err := r.measure(p)
	if err != nil {
		return dst, err
	}
	if p.Method != "" {
		content += int64(len(p.Method)) + 1
		if size > 0 {
			content += size + 1
		}
	} else if size > 0 {
		return dst, refuse("body without a method")
	}
	if content == 0 {
		return append(dst, "|\n"...), nil
	}
	held := int64(len(p.Body)) == size
	if counted || !held || r.Lengths == LengthsAlways || r.Lengths == LengthsAuto && size >= shortest ||
		hasDelimiter(p.Body) {
		dst = strconv.AppendInt(dst, content, 10)
	}
	dst = append(dst, '\n')
	if p.State != 0 {
		dst = append(dst, byte(p.State), '\n')
	}
	for i := range p.Entity {
		v := &p.Entity[i]
		if internal(v.Name) {
			continue
		}
		dst = append(dst, byte(v.op()))
		dst = append(dst, v.Name...)
		if r.counts(v.Value) {
			dst = append(dst, ' ')
			dst = strconv.AppendInt(dst, int64(len(v.Value)), 10)
		}
		dst = append(dst, '\t')
		dst = append(dst, v.Value...)
		dst = append(dst, '\n')
	}
	if p.Method != "" {
		dst = append(dst, p.Method...)
		dst = append(dst, '\n')
	}
	if !held {
		return dst, nil
	}
	if size > 0 {
		dst = append(dst, p.Body...)
		dst = append(dst, '\n')
	}
	return append(dst, "|\n"...), nil
}

// measure checks p's content and returns its length without method and body, and whether a value in it is counted.
func (r *Renderer) measure(p *Packet) (n int64, counted bool, err error) {
	if p.State != 0 {
		if p.State != Reset && p.State != Resync {
			return 0, false, refuse("state operation %q", byte(p.State))
		}
		n += 2
	}
	for i := range p.Entity {
		v := &p.Entity[i]
		switch {
		case internal(v.Name):
			continue
		case !isKeyword(v.Name):
			return 0, false, refuse("variable %q is no name", v.Name)
		case !operator[v.op()]:
			return 0, false, refuse("operator %q", byte(v.Op))
		}
		n += int64(len(v.Name)) + int64(len(v.Value)) + int64(len(":\t\n"))
		if r.counts(v.Value) {
			counted = true
			n += 2
			for l := len(v.Value); l >= 10; l /= 10 {
				n++
			}
		}
	}
	if p.Method != "" && !isKeyword(p.Method) {
		return 0, false, refuse("method %q is no name", p.Method)
	}
	return n, counted, nil
}

// counts reports whether an entity value is written with its length.
func (r *Renderer) counts(value []byte) bool {
	switch {
	case len(value) == 0:
		return false
	case r.Lengths == LengthsAlways, r.Lengths == LengthsAuto && len(value) >= shortest:
		return true
	}
	return bytes.IndexByte(value, '\n') >= 0
}

// hasDelimiter reports whether a line of the body would end the packet.
func hasDelimiter(body []byte) bool {
	for i := 0; ; i++ {
		n := bytes.IndexByte(body[i:], '|')
		if n < 0 {
			return false
		}
		i += n
		if (i == 0 || body[i-1] == '\n') && (i+1 == len(body) || body[i+1] == '\n') {
			return true
		}
	}
}

// appendOpaque appends p's body as the whole content.
func (r *Renderer) appendOpaque(dst []byte, p *Packet) ([]byte, error) {
	n := len(p.Body)
	switch {
	case len(p.Entity) > 0 || p.Method != "" || p.State != 0:
		return dst, refuse("opaque content beside a parsed one")
	case n == 0:
		return append(dst, "|\n"...), nil
	case p.Body[n-1] != '\n':
		return dst, refuse("opaque content does not end with a line end")
	}
	if r.Lengths == LengthsAlways || hasDelimiter(p.Body[:n-1]) {
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	dst = append(dst, '\n')
	dst = append(dst, p.Body...)
	return append(dst, "|\n"...), nil
}
