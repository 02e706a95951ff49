package psyc

import "bytes"

// glyph tells what the operators of PSYC 0.9 are called when their line is broken.
var glyph = [256]string{':': errSet09, '=': errAssign09, '+': errAugment09, '-': errDiminish09, '?': errQuery09}

// last is the variable whose value may still go on in the lines that follow.
type last struct {
	header   *Vars // nil: there is none
	dropped  bool  // there is one, but it is internal
	op       Op
	value    []byte // of the variable, or of the element of its list that was read last
	text     int    // offset in parser.text if value was put together there, else -1
	elements int    // of the list in front of value; they stand in parser.list
}

// parse09 reads a packet in PSYC 0.9:
//
//	packet       = *( modifier / continuation / LF ) [ method LF *( line LF ) ] "." LF
//	modifier     = glyph name WSP [ value ] LF *( glyph WSP [ element ] LF ) / ( "-" / "?" ) name LF
//	continuation = WSP text LF
//
// The first empty line ends the routing header. Only routing variables in front of it are routing; all others
// belong to the entity header, wherever they stand.
func (s *parser09) parse09(p *Packet, b []byte) (int, error) {
	i := s.pos
	if s.phase == phaseBody {
		return s.body09(p, b, i)
	}
	for {
		end, next := s.line09(b, i)
		if next < 0 {
			return s.wait(phaseRouting, i, len(b))
		}
		s.scanned = 0
		line := b[i:end:end]
		switch {
		case len(line) == 0:
			s.conclude(p)
			s.entity = true
		case line[0] == '.' && len(line) == 1:
			s.conclude(p)
			return next, nil
		case line[0] == '_':
			s.conclude(p)
			for j, c := range line {
				if !keywordByte[c] {
					return 0, syntaxError(errMethod09, int64(i+j), "illegal byte in the method")
				}
			}
			if len(line) > maxName {
				return 0, limitError(errNameTooLarge, i, "method too long")
			}
			p.Method = s.method(line)
			return s.body09(p, b, next)
		case line[0] == '\t' || line[0] == ' ':
			if s.last.header == nil && !s.last.dropped {
				return 0, syntaxError(errSyntax09, int64(i), "continuation line without a variable")
			}
			s.continueValue(line[1:])
		case glyph[line[0]] != "":
			if err := s.modifier09(p, line, i); err != nil {
				return 0, err
			}
		default:
			return 0, syntaxError(errCompact09, int64(i), "neither a modifier nor a method")
		}
		i = next
	}
}

// line09 returns the end of the line that starts at i and the start of the next one, or -1 if it is not complete.
func (s *parser09) line09(b []byte, i int) (end, next int) {
	k := max(i, s.scanned)
	for {
		n := bytes.IndexByte(b[k:], '\n')
		if n < 0 {
			return 0, -1
		}
		k += n
		if !s.crlf {
			return k, k + 1
		}
		if k > i && b[k-1] == '\r' {
			return k - 1, k + 1
		}
		k++
	}
}

// modifier09 reads a line that begins with a glyph; it starts at offset i.
func (s *parser09) modifier09(p *Packet, line []byte, i int) error {
	op := Op(line[0])
	j := 1
	for j < len(line) && keywordByte[line[j]] {
		j++
	}
	name := line[1:j:j]
	if j < len(line) && line[j] != '\t' && line[j] != ' ' {
		return syntaxError(errVariable09, int64(i+j), "illegal byte in the name")
	}
	if j == len(line) && (op != Diminish && op != Query || len(name) == 0) {
		return syntaxError(glyph[op], int64(i+j), "white space expected after the name")
	}
	for j < len(line) && (line[j] == '\t' || line[j] == ' ') {
		j++
	}
	value := line[j:]
	if len(name) == 0 {
		return s.element09(op, value, i)
	}
	s.conclude(p)
	if len(name) > maxName {
		return limitError(errNameTooLarge, i, "name too long")
	}
	if len(p.Routing)+len(p.Entity)+s.internal >= s.limits.Vars {
		return limitError(errHeaderTooLarge, i, "too many variables")
	}
	s.last = last{op: op, value: value, text: -1}
	header := &p.Entity
	switch {
	case internal(string(name)):
		s.internal++
		s.last.dropped = true
		return nil
	case !s.entity && string(name) == "_length":
		s.internal++
		s.last.dropped = true
		n, k, err := digits(value, 0, errLength09)
		if err != nil || k < len(value) || k == 0 || op != Set || s.length >= 0 {
			return syntaxError(errLength09, int64(i), "not a length")
		}
		s.length = n
		return nil
	case !s.entity && routing09(name):
		header = &p.Routing
	}
	vars := grown(*header)
	vars = vars[:len(vars)+1]
	v := &vars[len(vars)-1]
	if v.Name != string(name) {
		v.Name = s.names.intern(name)
	}
	v.Op, v.Value = op, value
	*header = vars
	s.last.header = header
	return nil
}

// element09 makes a list of the variable before, if it is none yet, and value its last element.
func (s *parser09) element09(op Op, value []byte, i int) error {
	l := &s.last
	switch {
	case l.header == nil && !l.dropped:
		return syntaxError(errAppend09, int64(i), "list element without a variable")
	case op != l.op:
		return syntaxError(errAppend09, int64(i), "list element with another glyph than its list")
	case l.elements+1 >= s.limits.List:
		return limitError(errListTooLarge, i, "too many list elements")
	}
	if l.elements == 0 {
		s.list = s.list[:0]
	}
	s.list = appendElement(s.list, "", l.value)
	l.elements++
	l.value, l.text = value, -1
	return nil
}

// continueValue appends a line to the value of the variable before.
func (s *parser09) continueValue(text []byte) {
	l := &s.last
	if l.dropped {
		return
	}
	if l.text < 0 {
		l.text = len(s.text)
		s.text = append(s.text, l.value...)
	}
	s.text = append(s.text, '\n')
	s.text = append(s.text, text...)
	l.value = s.text[l.text:]
}

// conclude gives the variable before its value, now that all its lines are known. The value of a list is in the form
// of PSYC 1.0, so that a Packet does not depend on the syntax it came in. Lists are what has several elements, and
// every variable of the _list family.
func (s *parser09) conclude(p *Packet) {
	l := s.last
	s.last = last{}
	if l.header == nil {
		return
	}
	v := &(*l.header)[len(*l.header)-1]
	if l.elements == 0 && (len(l.value) == 0 || !Inherits(v.Name, "_list")) {
		v.Value = l.value[:len(l.value):len(l.value)]
		return
	}
	start := len(s.text)
	if l.elements > 0 {
		s.text = append(s.text, s.list...)
	}
	s.text = appendElement(s.text, "", l.value)
	v.Value = s.text[start:len(s.text):len(s.text)]
}

// body09 reads the body, which starts at i, and the delimiter.
func (s *parser09) body09(p *Packet, b []byte, i int) (int, error) {
	eol := "\n"
	if s.crlf {
		eol = "\r\n"
	}
	if s.length >= 0 {
		return s.counted09(p, b, i, eol)
	}
	rest := b[i:]
	switch {
	case len(rest) < 1+len(eol):
		return s.wait(phaseBody, i, i)
	case rest[0] == '.' && string(rest[1:1+len(eol)]) == eol:
		return i + 1 + len(eol), nil
	}
	delimiter := delimiter09
	if s.crlf {
		delimiter = delimiter09CRLF
	}
	from := max(0, s.scanned-i-len(delimiter))
	n := bytes.Index(rest[from:], delimiter)
	if n < 0 {
		return s.wait(phaseBody, i, len(b))
	}
	n += from
	p.Body = rest[:n:n]
	if s.crlf {
		p.Body = s.unixLines(p.Body)
	}
	return i + n + len(delimiter), nil
}

var (
	delimiter09     = []byte("\n.\n")
	delimiter09CRLF = []byte("\r\n.\r\n")
)

// unixLines returns b with LF for CR LF.
func (s *parser09) unixLines(b []byte) []byte {
	start := len(s.text)
	for {
		n := bytes.Index(b, delimiter09CRLF[:2])
		if n < 0 {
			s.text = append(s.text, b...)
			return s.text[start:len(s.text):len(s.text)]
		}
		s.text = append(append(s.text, b[:n]...), '\n')
		b = b[n+2:]
	}
}

// counted09 reads a body of the length that _length gave, which may hold anything, and the delimiter.
func (s *parser09) counted09(p *Packet, b []byte, i int, eol string) (int, error) {
	if s.limits.Body >= 0 && s.length > int64(s.limits.Body) {
		p.Size = s.length
		s.phase = phaseStream
		return i, nil
	}
	if s.length > int64(len(b)-i) {
		return s.wait(phaseBody, i, 0)
	}
	e := i + int(s.length)
	p.Body = b[i:e:e]
	delimiter := eol + "." + eol
	if e == i && e < len(b) && b[e] == '.' {
		delimiter = delimiter[len(eol):] // a body of no lines
	}
	for k := range len(delimiter) {
		switch {
		case e+k == len(b):
			return s.wait(phaseBody, i, 0)
		case b[e+k] != delimiter[k]:
			return 0, syntaxError(errLength09, int64(e+k), "body is not as long as _length says")
		}
	}
	return e + len(delimiter), nil
}

// streamTail is what follows a body that the parser left to its reader.
func (s *parser09) streamTail(syn Syntax) string {
	switch {
	case syn == PSYC09 && s.crlf:
		return "\r\n.\r\n"
	case syn == PSYC09:
		return "\n.\n"
	case s.routingOnly:
		return "|\n"
	}
	return "\n|\n"
}
