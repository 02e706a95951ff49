package psyc

import "fmt"

// A Renderer writes packets. The zero value writes PSYC 1.0, with lengths where libpsyc has them and where the
// packet could not be read back without.
//
// Variables named _INTERNAL... are left out. Everything else is written as it stands or refused with
// [ErrNotRepresentable]: what a Renderer writes, this package's parser reads back as the same packet. (A list is the
// same if its elements are.)
//
// Routing values must not hold control characters in either syntax: they have no lengths, so that a line end in one
// would begin a header line of its own.
//
// PSYC 0.9 has neither lengths nor escapes and is read, on the other side, by a line editor. Output is therefore
// checked for everything that a psyced takes for an end of line or of packet: CR, NUL, BS, DEL and 0xFF bytes, a
// line of "." alone, a line over 2047 bytes. Refused as well is what a psyced loses or mistakes: operators but Set,
// state operations, methods below _data, names of routing variables in the entity header, blanks in list elements;
// and what the syntax cannot say: values that begin with a blank, a list of one empty element, a list with types.
type Renderer struct {
	Syntax  Syntax  // Auto means PSYC10
	Lengths Lengths // PSYC 1.0: which lengths are written

	// Opaque writes Body as the whole content, as a [Decoder] with RoutingOnly left it; PSYC 1.0 only.
	Opaque bool

	// Line is the longest line, in bytes without its end, that the peer takes in 0.9; 0 means 2047, negative any.
	Line int

	// Exact says that the peer reads 0.9 as this package does: DEL, all operators, methods below _data, routing
	// names in the entity header and blanks in list elements are then written. It does not change Line.
	Exact bool
}

// Lengths tells when the 1.0 syntax gets lengths, of values as of contents.
type Lengths uint8

// Choices of lengths.
const (
	LengthsAuto   Lengths = iota // for ten bytes and more, and where they are needed
	LengthsAlways                // for everything but empty values
	LengthsNeeded                // only where the packet could not be read otherwise
)

// Append appends the wire form of p to dst, or returns [ErrNotRepresentable] and dst unchanged; also if p has a Size, but
// not the body that goes with it, see [Encoder.EncodeBody].
func (r *Renderer) Append(dst []byte, p *Packet) ([]byte, error) {
	switch {
	case p.Size > 0 && len(p.Body) == 0:
		return dst, refuse("body of %d bytes is not in the packet", p.Size)
	case r.Syntax == PSYC09:
		return r.append09(dst, p)
	case r.Opaque:
		return r.appendOpaque(dst, p)
	}
	return r.append10(dst, p, int64(len(p.Body)))
}

// refuse says what of a packet cannot be written.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotRepresentable, fmt.Sprintf(format, args...))
}
