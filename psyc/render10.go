package psyc

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// append10 appends p in PSYC 1.0.
func (r *Renderer) append10(dst []byte, p *Packet) ([]byte, error) {
	if r.Opaque {
		return r.appendOpaque(dst, p)
	}
	out, err := r.appendHead(dst, p, int64(len(p.Body)))
	if err != nil {
		return dst, err
	}
	n := len(out)
	out = out[:n+len(p.Body)+len("\n|\n")]
	if len(p.Body) > 0 {
		n += copy(out[n:], p.Body)
		out[n] = '\n'
		n++
	}
	out[n], out[n+1] = '|', '\n'
	return out[:n+2], nil
}

// appendHead appends p up to its body, which has size bytes. Behind that it leaves room for p's own body and what
// follows it.
//
// Everything is checked while it is written, in one pass. The content length stands in front of what it counts:
// estimate tells how much room it needs, and if that was wrong the content is moved.
func (r *Renderer) appendHead(dst []byte, p *Packet, size int64) ([]byte, error) {
	if p.Method == "" && size > 0 {
		return dst, refuse("body without a method")
	}
	room, gap := r.estimate(p, size)
	start := len(dst)
	if cap(dst)-start < room {
		dst = slices.Grow(dst, room)
	}
	b := dst[start:cap(dst)]
	n, err := putRouting(b, p.Routing)
	if err != nil {
		return dst, err
	}
	head := b[n+gap+len("\n"):]
	k, counted, err := r.putHead(head, p)
	switch {
	case err != nil:
		return dst, err
	case k == 0:
		return dst[:start+n], nil
	}
	if size > 0 {
		counted = counted || size >= shortest && r.Lengths == LengthsAuto || size > int64(len(p.Body)) ||
			hasDelimiter(p.Body)
	}
	digits := 0
	if counted = counted || r.Lengths == LengthsAlways; counted {
		digits = decimals(contentLength(k, size))
	}
	if digits != gap {
		copy(b[n+digits+len("\n"):], head[:k])
	}
	if counted {
		n += putDecimal(b[n:], contentLength(k, size), digits)
	}
	b[n] = '\n'
	return dst[:start+n+len("\n")+k], nil
}

// contentLength returns the length of a content of which n bytes stand in front of a body of size bytes.
func contentLength(n int, size int64) int64 {
	if size > 0 {
		size += int64(len("\n"))
	}
	return int64(n) + size
}

// estimate returns a number of bytes in which p has room, and how many digits the length of a content has whose body is
// of size bytes, or will do nearly always; 0 if it needs none itself.
func (r *Renderer) estimate(p *Packet, size int64) (room, digits int) {
	n := len(p.Method) + len("\n")
	lengths := 0
	for i := range p.Entity {
		v := &p.Entity[i]
		n += len(v.Name) + len(v.Value) + len(":\t\n")
		if len(v.Value) >= shortest {
			lengths++
		}
	}
	room = n + len("=\n\n\n|\n") + len(p.Body) + (len(p.Entity)+1)*maxDecimals
	for i := range p.Routing {
		room += len(p.Routing[i].Name) + len(p.Routing[i].Value) + len(":\t\n")
	}
	if r.Lengths == LengthsAlways || r.Lengths == LengthsAuto && (lengths > 0 || size >= shortest) {
		digits = decimals(contentLength(n+lengths*len(" 10"), size))
	}
	return room, digits
}

// maxDecimals is the room for a length and the blank in front of it.
const maxDecimals = len(" ") + 19

// putRouting writes the routing header to b, which has room for it, and returns its length.
func putRouting(b []byte, vars Vars) (n int, err error) {
	for i := range vars {
		v := &vars[i]
		if internal(v.Name) {
			continue
		}
		k := putName(b[n:], v)
		if k < 0 {
			return 0, refuseVar(v)
		}
		n += k
		b[n] = '\t'
		n++
		if !putText(b[n:], v.Value) {
			return 0, refuse("control character in routing variable %s", v.Name)
		}
		n += len(v.Value)
		b[n] = '\n'
		n++
	}
	return n, nil
}

// refuseVar says why a variable has no form.
func refuseVar(v *Var) error {
	if op := byte(v.op()); !operator[op] {
		return refuse("operator %q", op)
	}
	return refuse("variable %q is no name", v.Name)
}

// putHead writes the content up to where the body begins to b, which has room for it. It returns its length and whether
// a value in it has a length.
func (r *Renderer) putHead(b []byte, p *Packet) (n int, counts bool, err error) {
	if p.State != 0 {
		if p.State != Reset && p.State != Resync {
			return 0, false, refuse("state operation %q", byte(p.State))
		}
		b[0], b[1] = byte(p.State), '\n'
		n = len("=\n")
	}
	for i := range p.Entity {
		v := &p.Entity[i]
		if internal(v.Name) {
			continue
		}
		k := putName(b[n:], v)
		if k < 0 {
			return 0, false, refuseVar(v)
		}
		n += k
		if len(v.Value) >= shortest && r.Lengths == LengthsAuto || r.counts(v.Value) {
			counts = true
			b[n] = ' '
			n++
			n += putDecimal(b[n:], int64(len(v.Value)), decimals(int64(len(v.Value))))
		}
		b[n] = '\t'
		n++
		n += copy(b[n:], v.Value)
		b[n] = '\n'
		n++
	}
	if p.Method != "" {
		if !isKeyword(p.Method) {
			return 0, false, refuse("method %q is no name", p.Method)
		}
		n += copy(b[n:], p.Method)
		b[n] = '\n'
		n++
	}
	return n, counts, nil
}

// putName writes the operator and the name of v to b, the name in words of eight bytes, which it looks at as they pass.
// It returns the length of both, -1 if one of them cannot be written.
func putName(b []byte, v *Var) int {
	op, name := v.Op, v.Name
	if op == 0 {
		op = Set
	}
	if !operator[op] {
		return -1
	}
	n := len(name)
	b = b[:1+n]
	b[0] = byte(op)
	b = b[1:]
	var odd uint64
	switch {
	case n >= 8:
		x := load8(name[n-8:])
		binary.LittleEndian.PutUint64(b[n-8:], x)
		odd = notPlain(x)
		for rest := name; len(rest) > 8 && len(b) > 8; rest, b = rest[8:], b[8:] {
			x := load8(rest)
			binary.LittleEndian.PutUint64(b, x)
			odd |= notPlain(x)
		}
	case n >= 4:
		lo, hi := load4(name), load4(name[n-4:])
		binary.LittleEndian.PutUint32(b, lo)
		binary.LittleEndian.PutUint32(b[n-4:], hi)
		odd = notPlain(uint64(lo) | uint64(hi)<<32)
	default:
		copy(b, name)
		odd = 1
	}
	if (odd != 0 || n > maxName) && !isKeyword(name) {
		return -1
	}
	return 1 + n
}

// putText writes text to b, in words, and reports whether it is free of ASCII control characters.
func putText(b, text []byte) bool {
	n := len(text)
	if n < 8 {
		copy(b, text)
		return !hasControl(text)
	}
	b = b[:n]
	x := binary.LittleEndian.Uint64(text[n-8:])
	binary.LittleEndian.PutUint64(b[n-8:], x)
	odd := notPrintable(x)
	for rest := text; len(rest) > 8 && len(b) > 8; rest, b = rest[8:], b[8:] {
		x := binary.LittleEndian.Uint64(rest)
		binary.LittleEndian.PutUint64(b, x)
		odd |= notPrintable(x)
	}
	return odd == 0 || !hasControl(text)
}

// counts reports whether an entity value is written with its length.
func (r *Renderer) counts(value []byte) bool {
	switch {
	case len(value) >= shortest && r.Lengths == LengthsAuto:
		return true
	case len(value) >= shortest && r.Lengths == LengthsNeeded:
		return bytes.IndexByte(value, '\n') >= 0
	case r.Lengths == LengthsAlways:
		return len(value) > 0
	}
	for _, c := range value {
		if c == '\n' {
			return true
		}
	}
	return false
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

// appendOpaque appends p with its body as the whole content.
func (r *Renderer) appendOpaque(dst []byte, p *Packet) ([]byte, error) {
	size := len(p.Body)
	switch {
	case len(p.Entity) > 0 || p.Method != "" || p.State != 0:
		return dst, refuse("opaque content beside a parsed one")
	case size > 0 && p.Body[size-1] != '\n':
		return dst, refuse("opaque content does not end with a line end")
	}
	start := len(dst)
	room, _ := r.estimate(p, 0)
	out := slices.Grow(dst, room)
	b := out[start:cap(out)]
	n, err := putRouting(b, p.Routing)
	if err != nil {
		return dst, err
	}
	if size > 0 {
		if r.Lengths == LengthsAlways || hasDelimiter(p.Body[:size-1]) {
			n += putDecimal(b[n:], int64(size), decimals(int64(size)))
		}
		b[n] = '\n'
		n++
		n += copy(b[n:], p.Body)
	}
	b[n], b[n+1] = '|', '\n'
	return out[:start+n+2], nil
}

// decimals returns the number of digits of n.
func decimals(n int64) int {
	digits := 1
	for limit := int64(10); n >= limit && digits < 19; limit *= 10 {
		digits++
	}
	return digits
}

// putDecimal writes n, which has that many digits, to b and returns their number.
func putDecimal(b []byte, n int64, digits int) int {
	b = b[:digits]
	rest := uint64(n)
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + rest%10)
		rest /= 10
	}
	return digits
}

// hasControl reports whether b holds an ASCII control character.
func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// notPrintable is zero if all eight bytes of x are printable ASCII: adding one, or taking 0x20, sets the highest bit of
// those that are not, and the others have it set already.
func notPrintable(x uint64) uint64 {
	return ((x + ones) | (x - ' '*ones) | x) & high
}
