package psyc

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
)

// append10 appends p in PSYC 1.0 with a body of size bytes. If p does not hold that body, it stops in front of it.
//
// Everything is checked while it is written, in one pass. The content length stands in front of what it counts: its
// digits are foreseen, and if that was wrong the content is moved.
func (r *Renderer) append10(dst []byte, p *Packet, size int64) ([]byte, error) {
	if p.Method == "" && size > 0 {
		return dst, refuse("body without a method")
	}
	routing, _ := extent(p.Routing)
	content, long := extent(p.Entity)
	content += len(p.Method) + len("\n")
	room := routing + content + len(p.Body) + (len(p.Entity)+1)*maxDecimals + len("=\n\n\n|\n")
	if cap(dst)-len(dst) < room {
		dst = slices.Grow(dst, room)
	}
	gap := 0
	if r.Lengths == LengthsAlways || r.Lengths == LengthsAuto && (long > 0 || size >= shortest) {
		gap = decimals(contentLength(content+long*len(" 10"), size))
	}
	b := dst[len(dst):cap(dst)]
	n, err := putRouting(b, p.Routing)
	if err != nil {
		return dst, err
	}
	start := n + gap + len("\n")
	end, counted, err := r.putHead(b, start, p)
	if err != nil {
		return dst, err
	}
	if end > start {
		if size > 0 && !counted {
			counted = size >= shortest && r.Lengths == LengthsAuto || size > int64(len(p.Body)) || hasDelimiter(p.Body)
		}
		digits, length := 0, contentLength(end-start, size)
		if counted || r.Lengths == LengthsAlways {
			digits = decimals(length)
		}
		if digits != gap {
			copy(b[n+digits+len("\n"):], b[start:end])
		}
		if digits > 0 {
			putDecimal(b[n:], length)
		}
		b[n+digits] = '\n'
		n = end + digits - gap
	}
	dst = dst[:len(dst)+n]
	switch {
	case size > int64(len(p.Body)):
		return dst, nil
	case size > 0:
		dst = append(append(dst, p.Body...), '\n')
	}
	return append(dst, '|', '\n'), nil
}

// contentLength returns the length of a content of which n bytes stand in front of a body of size bytes.
func contentLength(n int, size int64) int64 {
	if size > 0 {
		size += int64(len("\n"))
	}
	return int64(n) + size
}

// maxDecimals is the room for a length and the blank in front of it.
const maxDecimals = len(" ") + 19

// extent returns the length of a header whose values have no lengths, and how many of them are long enough for one.
func extent(vars Vars) (n, long int) {
	for i := range vars {
		v := &vars[i]
		n += len(v.Name) + len(v.Value)
		if len(v.Value) >= shortest {
			long++
		}
	}
	return n + len(vars)*len(":\t\n"), long
}

// putRouting writes the routing header to b, which has room for it, and returns its length.
func putRouting(b []byte, vars Vars) (n int, err error) {
	for i := range vars {
		v := &vars[i]
		op := byte(v.op())
		b[n] = op
		next := putText(b, putName(b, n+1, v.Name, '\t'), v.Value)
		if next > 0 && operator[op] {
			n = next
			continue
		}
		switch {
		case internal(v.Name):
			continue
		case !operator[op] || !isKeyword(v.Name):
			return 0, refuseVar(v)
		case hasControl(v.Value):
			return 0, refuse("control character in routing variable %s", v.Name)
		}
		n = put(b, put(b, n+1, v.Name, '\t'), v.Value, '\n')
	}
	return n, nil
}

// putHead writes the content up to where the body begins to b, which has room for it, from n on. It returns where that
// ends and whether a value in it has a length.
func (r *Renderer) putHead(b []byte, n int, p *Packet) (end int, counted bool, err error) {
	if p.State != 0 {
		if p.State != Reset && p.State != Resync {
			return 0, false, refuse("state operation %q", byte(p.State))
		}
		b[n], b[n+1] = byte(p.State), '\n'
		n += len("=\n")
	}
	for i := range p.Entity {
		v := &p.Entity[i]
		op := byte(v.op())
		b[n] = op
		next := putName(b, n+1, v.Name, '\t')
		if next < 0 || !operator[op] {
			switch {
			case internal(v.Name):
				continue
			case !operator[op] || !isKeyword(v.Name):
				return 0, false, refuseVar(v)
			}
			next = put(b, n+1, v.Name, '\t')
		}
		n = next
		if len(v.Value) < shortest && r.Lengths != LengthsAlways {
			if next := putText(b, n, v.Value); next > 0 {
				n = next
				continue
			}
		}
		if len(v.Value) >= shortest && r.Lengths == LengthsAuto || r.counts(v.Value) {
			counted = true
			b[n-1] = ' '
			n += putDecimal(b[n:], int64(len(v.Value)))
			b[n] = '\t'
			n++
		}
		n = put(b, n, v.Value, '\n')
	}
	if p.Method == "" {
		return n, counted, nil
	}
	end = putName(b, n, p.Method, '\n')
	if end < 0 {
		if !isKeyword(p.Method) {
			return 0, false, refuse("method %q is no name", p.Method)
		}
		end = put(b, n, p.Method, '\n')
	}
	return end, counted, nil
}

// refuseVar says why a variable has no form.
func refuseVar(v *Var) error {
	if op := byte(v.op()); !operator[op] {
		return refuse("operator %q", op)
	}
	return refuse("variable %q is no name", v.Name)
}

// put writes s and the byte end to b from i on, and returns where they end.
func put[T string | ~[]byte](b []byte, i int, s T, end byte) int {
	i += copy(b[i:], s)
	b[i] = end
	return i + 1
}

// putName is put for what most names are: four lower case letters and underscores or more. It returns -1 for others,
// which [isKeyword] has to judge, and where b has no room. It copies words of eight bytes, the last one first, which
// may overlap the others, and looks at them as they pass.
//
// It calls nothing, so that it needs no stack, and cuts b in such a way that the compiler sees what is in bounds. That
// is most of its speed.
func putName(b []byte, i int, name string, end byte) int {
	n := len(name)
	if i < 0 || i >= len(b) {
		return -1
	}
	b = b[i:len(b):len(b)]
	if n >= len(b) || n < 4 || n > maxName {
		return -1
	}
	b[n] = end
	b = b[:n:n]
	if n < 8 {
		lo, hi := load4(name), load4(name[n-4:])
		binary.LittleEndian.PutUint32(b, lo)
		binary.LittleEndian.PutUint32(b[n-4:], hi)
		if notPlain(uint64(lo)|uint64(hi)<<32) != 0 {
			return -1
		}
		return i + n + 1
	}
	x := load8(name[n-8:])
	binary.LittleEndian.PutUint64(b[n-8:], x)
	odd := notPlain(x)
	for len(b) > 8 && len(name) > 8 {
		x := load8(name)
		binary.LittleEndian.PutUint64(b, x)
		odd |= notPlain(x)
		b, name = b[8:], name[8:]
	}
	if odd != 0 {
		return -1
	}
	return i + n + 1
}

// putText is put, with a line end, for what most values are: printable ASCII. It returns -1 for others, where b has no
// room, and if i is -1 already.
func putText(b []byte, i int, text []byte) int {
	n := len(text)
	if i < 0 || i >= len(b) {
		return -1
	}
	b = b[i:len(b):len(b)]
	if n >= len(b) {
		return -1
	}
	b[n] = '\n'
	b = b[:n:n]
	if n < 8 {
		for j, c := range text {
			if c < ' ' || c > '~' {
				return -1
			}
			b[j] = c
		}
		return i + n + 1
	}
	x := binary.LittleEndian.Uint64(text[n-8:])
	binary.LittleEndian.PutUint64(b[n-8:], x)
	odd := notPrintable(x)
	for len(b) > 8 && len(text) > 8 {
		x := binary.LittleEndian.Uint64(text)
		binary.LittleEndian.PutUint64(b, x)
		odd |= notPrintable(x)
		b, text = b[8:], text[8:]
	}
	if odd != 0 {
		return -1
	}
	return i + n + 1
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
	out, err := appendRouting(dst, p.Routing)
	if err != nil {
		return dst, err
	}
	if size > 0 {
		if r.Lengths == LengthsAlways || hasDelimiter(p.Body[:size-1]) {
			out = strconv.AppendInt(out, int64(size), 10)
		}
		out = append(append(out, '\n'), p.Body...)
	}
	return append(out, "|\n"...), nil
}

// appendRouting appends the routing header, which is the same in both syntaxes.
func appendRouting(dst []byte, vars Vars) ([]byte, error) {
	room, _ := extent(vars)
	dst = slices.Grow(dst, room)
	n, err := putRouting(dst[len(dst):cap(dst)], vars)
	if err != nil {
		return dst, err
	}
	return dst[:len(dst)+n], nil
}

// decimals returns the number of digits of n.
func decimals(n int64) int {
	switch {
	case n < 10:
		return 1
	case n < 100:
		return 2
	case n < 1000:
		return 3
	}
	digits := 4
	for limit := int64(10_000); n >= limit && digits < 19; limit *= 10 {
		digits++
	}
	return digits
}

// putDecimal writes n to b and returns the number of its digits.
func putDecimal(b []byte, n int64) int {
	if 10 <= n && n < 100 {
		b[0], b[1] = byte('0'+n/10), byte('0'+n%10)
		return 2
	}
	b = b[:decimals(n)]
	rest := uint64(n)
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + rest%10)
		rest /= 10
	}
	return len(b)
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
