package psyc

import "bytes"

// A Parser reads packets from byte slices, as a [Decoder] does from a stream. Set its fields before the first use.
// It is for one goroutine. Where packets come one after the other it is faster than [Packet.Parse], because it
// remembers names and has its own memory.
type Parser struct {
	Syntax      Syntax // Auto: each packet shows its own, see [Packet.Parse]
	RoutingOnly bool   // see [Decoder]
	LooseLength bool   // see [Decoder]
	Limits      Limits // Vars and List; sizes are bounded by the input alone

	parse parser09
	names names
	begun begun
}

// begun tells what an unfinished packet was parsed from and into.
type begun struct {
	packet *Packet
	first  *byte
}

// Parse reads one packet from the start of b into p, reusing p's memory, and returns its length. It returns
// [ErrIncomplete] if b ends first, else a *[Error] with the offset; p is then undefined. What p holds is good until
// the next call, and as long as b is not changed.
//
// After ErrIncomplete Parse goes on where it stopped, if it is called with the same p and with a b that has grown in
// place: what was in it must not have changed. With any other p or b it begins anew.
func (s *Parser) Parse(p *Packet, b []byte) (n int, err error) {
	syn := s.Syntax
	if syn == Auto {
		if syn = detect(b); syn == Auto {
			return 0, ErrIncomplete
		}
	}
	if len(b) == 0 {
		return 0, ErrIncomplete
	}
	if now := (begun{p, &b[0]}); s.begun != now {
		if s.parse.names == nil {
			s.parse.limits = s.Limits.resolved()
			s.parse.limits.Body = -1
			s.parse.names = &s.names
		}
		s.parse.routingOnly, s.parse.looseLength = s.RoutingOnly, s.LooseLength
		s.parse.begin(p, syn)
		s.begun = now
	}
	if syn == PSYC09 {
		n, err = s.parse.parse09(p, b)
	} else {
		n, err = s.parse.parse10(p, b)
	}
	if err != ErrIncomplete {
		s.begun = begun{}
	}
	return n, err
}

// A parser is what is known of a packet that has not been read to its end. After ErrIncomplete it goes on where it
// stopped, as long as the bytes it saw stay where they are: else the packet is begun anew.
type parser struct {
	// Settings.
	limits      Limits // resolved; a negative Body means that no body is streamed
	names       *names // nil: names are remembered in the packet alone
	routingOnly bool   // leave the content opaque
	looseLength bool   // see Decoder.LooseLength
	bare        bool   // 1.0: the input is a content without delimiter

	phase    phase
	pos      int    // where to go on
	scanned  int    // in front of it no line end, or no delimiter, has been seen from pos on
	end      int64  // offset of the end of the content by its length, -1 without one
	memo     string // the method that p had before
	internal int    // variables dropped, which count against the limit
}

// A parser09 has also what the other syntax needs.
type parser09 struct {
	parser
	crlf bool // lines end with CR LF

	entity bool   // the blank line has been seen
	length int64  // value of _length, -1 without one
	last   last   // the variable that the next line may continue
	list   []byte // memory for the elements of one list
	text   []byte // memory for values that are not contiguous in the input
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
	s.end = -1
}

// begin makes s and p ready for a packet in syntax syn.
func (s *parser09) begin(p *Packet, syn Syntax) {
	s.parser.begin(p)
	if syn == PSYC09 {
		s.length = -1
		s.entity, s.last, s.text = false, last{}, s.text[:0]
	}
}

// wait notes where to go on once there is more than the n bytes seen.
func (s *parser) wait(ph phase, pos, n int) (int, error) {
	s.phase, s.pos, s.scanned = ph, pos, n
	return 0, ErrIncomplete
}

// method returns name as a string, which often is that of the packet before.
func (s *parser) method(name []byte) string {
	method := s.memo
	if method != string(name) {
		method = s.names.intern(name)
	}
	if s.names != nil && len(method) <= maxInterned {
		s.names.method = method
	}
	return method
}

// grown returns vars with room for another variable.
func grown(vars Vars) Vars {
	if len(vars) < cap(vars) {
		return vars
	}
	return append(vars, Var{})[:len(vars)]
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
