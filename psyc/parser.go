package psyc

import "bytes"

// A parser is what is known of a packet that has not been read to its end. After ErrIncomplete it goes on where it
// stopped, as long as the bytes it saw stay where they are: else the packet is begun anew. A zero parser but for
// its settings is ready to begin.
type parser struct {
	// Settings.
	names       *names // nil: unknown names are allocated
	limits      Limits // resolved; a negative Body means that no body is streamed
	routingOnly bool   // leave the content opaque
	looseLength bool   // see Decoder.LooseLength
	crlf        bool   // 0.9: lines end with CR LF
	bare        bool   // 1.0: the input is a content without delimiter

	phase    phase
	pos      int    // where to go on
	scanned  int    // in front of it no line end, or no delimiter, has been seen from pos on
	end      int64  // offset of the end of the content by its length, -1 without one
	memo     string // the method of the packet before
	internal int    // variables dropped, which count against the limit

	entity bool   // 0.9: the blank line has been seen
	length int64  // 0.9: value of _length, -1 without one
	last   last   // 0.9: the variable that the next line may continue
	list   []byte // 0.9: memory for the elements of one list
	text   []byte // 0.9: memory for values that are not contiguous in the input
}

// A phase is a part of a packet.
type phase uint8

const (
	phaseRouting phase = iota
	phaseContent       // in front of the first byte of the content
	phaseEntity
	phaseBody
	phaseOpaque // the content, in routing-only mode
	phaseStream // the body is the reader's; what remains is checked by the Decoder
)

// begin makes s and p ready for a packet.
func (s *parser) begin(p *Packet) {
	s.memo = p.Method
	p.Routing, p.Entity = p.Routing[:0], p.Entity[:0]
	p.State, p.Method, p.Body, p.Size = 0, "", nil, 0
	s.phase, s.pos, s.scanned, s.internal = phaseRouting, 0, 0, 0
	s.end, s.length = -1, -1
	s.entity, s.last, s.text = false, last{}, s.text[:0]
}

// wait notes where to go on once there is more than the n bytes seen.
func (s *parser) wait(ph phase, pos, n int) (int, error) {
	s.phase, s.pos, s.scanned = ph, pos, n
	return 0, ErrIncomplete
}

// appendVar appends a variable to vars, reusing its memory and, if it is the same, the name that stood there before.
func (s *parser) appendVar(vars Vars, op Op, name []byte, value Value) Vars {
	n := len(vars)
	if n == cap(vars) {
		return append(vars, Var{op, s.names.intern(name), value})
	}
	vars = vars[:n+1]
	v := &vars[n]
	if v.Name != string(name) {
		v.Name = s.names.intern(name)
	}
	v.Op, v.Value = op, value
	return vars
}

// method returns name as a string, which often is that of the packet before.
func (s *parser) method(name []byte) string {
	if s.memo == string(name) {
		return s.memo
	}
	return s.names.intern(name)
}

// detect returns the syntax of what starts with b, Auto if b does not show it yet. A greeting shows it at once;
// without one the first line that is a delimiter does.
func detect(b []byte) Syntax {
	for i := 0; i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			break
		}
		switch line := b[i : i+n]; {
		case string(line) == "|":
			return PSYC10
		case string(line) == ".", string(line) == ".\r":
			return PSYC09
		case i == 0 && len(line) > 0 && line[0] >= '0' && line[0] <= '9':
			return PSYC10
		}
		i += n + 1
	}
	return Auto
}
