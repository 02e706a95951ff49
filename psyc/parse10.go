package psyc

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// operator tells the bytes that may stand in front of a name.
var operator = [256]bool{':': true, '=': true, '+': true, '-': true, '@': true, '?': true, '!': true}

// parse10 reads a packet in PSYC 1.0. The grammar, and what its lengths count:
//
//	packet   = *( oper name HTAB line-value LF ) [ [ length ] LF content ] "|" LF
//	content  = [ state-op LF ] *( oper name ( HTAB line-value / SP length HTAB counted ) LF ) [ method LF [ data LF ] ]
//
// length counts the content, up to and including the LF in front of the delimiter.
func (s *parser) parse10(p *Packet, b []byte) (int, error) {
	i := s.pos
	switch s.phase {
	case phaseContent:
		return s.content10(p, b, i)
	case phaseEntity:
		return s.entity10(p, b, i)
	case phaseBody:
		return s.body10(p, b, i)
	case phaseOpaque:
		return s.opaque10(p, b, i)
	}
	for {
		if i >= len(b) {
			return s.wait(phaseRouting, i, 0)
		}
		if !operator[b[i]] {
			break
		}
		vars := grown(p.Routing)
		n := len(vars)
		vars = vars[:n+1]
		v := &vars[n]
		j, err := s.name10(b, i, v, n)
		if err != nil {
			return 0, err
		}
		if j == len(b) {
			return s.wait(phaseRouting, i, 0)
		}
		if b[j] != '\t' {
			return 0, syntaxError(errTab, int64(j), "tab expected after the name")
		}
		k := s.lineEnd(b, j+1)
		if k < 0 {
			return s.wait(phaseRouting, i, len(b))
		}
		s.scanned = 0
		if internal(v.Name) {
			s.internal++
		} else {
			v.Op, v.Value = Op(b[i]), b[j+1:k:k]
			p.Routing = vars
		}
		i = k + 1
	}
	switch c := b[i]; {
	case c == '\n':
		i++
	case c >= '0' && c <= '9':
		n, j, err := digits(b, i, errContentLength)
		if err != nil {
			return 0, err
		}
		if j == len(b) {
			return s.wait(phaseRouting, i, 0)
		}
		if b[j] != '\n' {
			return 0, syntaxError(errContentLength, int64(j), "line end expected after the content length")
		}
		i = j + 1
		s.end = int64(i) + n
	default:
		return s.delimiter10(b, phaseRouting, i, i)
	}
	if s.routingOnly {
		return s.opaque10(p, b, i)
	}
	return s.content10(p, b, i)
}

// content10 reads a state operation, if the content begins with one, and goes on.
func (s *parser) content10(p *Packet, b []byte, i int) (int, error) {
	if i >= len(b) {
		return s.wait(phaseContent, i, 0)
	}
	if c := b[i]; operator[c] {
		if i+1 == len(b) {
			return s.wait(phaseContent, i, 0)
		}
		if b[i+1] == '\n' {
			if c != byte(Reset) && c != byte(Resync) {
				return 0, syntaxError(errName, int64(i+1), "name expected after the operator")
			}
			p.State = StateOp(c)
			i += 2
		}
	}
	return s.entity10(p, b, i)
}

// entity10 reads the entity header and the method.
func (s *parser) entity10(p *Packet, b []byte, i int) (int, error) {
	for i < len(b) && operator[b[i]] {
		vars := grown(p.Entity)
		n := len(vars)
		vars = vars[:n+1]
		v := &vars[n]
		j, err := s.name10(b, i, v, n+len(p.Routing))
		if err != nil {
			return 0, err
		}
		if j == len(b) {
			return s.wait(phaseEntity, i, 0)
		}
		start, k := j+1, 0
		switch b[j] {
		case '\t':
			if k = s.lineEnd(b, start); k < 0 {
				return s.wait(phaseEntity, i, len(b))
			}
			s.scanned = 0
		case ' ':
			n, t, err := digits(b, start, errValueLength)
			if err != nil {
				return 0, err
			}
			if t == len(b) {
				return s.wait(phaseEntity, i, 0)
			}
			if t == start {
				return 0, syntaxError(errValueLength, int64(t), "length expected after the blank")
			}
			if b[t] != '\t' {
				return 0, syntaxError(errTab, int64(t), "tab expected after the length")
			}
			start = t + 1
			if n >= int64(len(b)-start) {
				return s.wait(phaseEntity, i, 0)
			}
			k = start + int(n)
			if b[k] != '\n' {
				return 0, syntaxError(errValueEnd, int64(k), "line end expected after the value")
			}
		default:
			return 0, syntaxError(errTab, int64(j), "tab or length expected after the name")
		}
		if internal(v.Name) {
			s.internal++
		} else {
			v.Op, v.Value = Op(b[i]), b[start:k:k]
			p.Entity = vars
		}
		i = k + 1
	}
	if s.names != nil {
		last := s.names.method
		if j := i + len(last); j < len(b) && last != "" && b[j] == '\n' && string(b[i:j]) == last {
			p.Method = last
			return s.body10(p, b, j+1)
		}
	}
	j := keywordEnd(b, i)
	if j == i {
		if i < len(b) && s.end >= 0 && int64(i) != s.end && !s.looseLength {
			return 0, syntaxError(errContentLength, int64(i), "content is not as long as its length says")
		}
		return s.delimiter10(b, phaseEntity, i, i)
	}
	if j-i > maxName {
		return 0, limitError(errNameTooLarge, i, "method too long")
	}
	if j == len(b) {
		return s.wait(phaseEntity, i, 0)
	}
	if b[j] != '\n' {
		return 0, syntaxError(errMethod, int64(j), "line end expected after the method")
	}
	p.Method = s.method(b[i:j])
	return s.body10(p, b, j+1)
}

// body10 reads the data, which starts at i, and the delimiter.
func (s *parser) body10(p *Packet, b []byte, i int) (int, error) {
	if s.end < 0 {
		e, next := s.delimiterLine(b, i)
		if next < 0 {
			return s.wait(phaseBody, i, len(b))
		}
		p.Body = b[i:e:e]
		return next, nil
	}
	n := s.end - int64(i) - 1 // the last byte of the content is the line end behind the data
	switch {
	case n < -1:
		return 0, syntaxError(errContentLength, int64(i), "content is longer than its length says")
	case n < 0:
		return s.delimiter10(b, phaseBody, i, i)
	case s.limits.Body >= 0 && n > int64(s.limits.Body):
		p.Size = n
		s.phase = phaseStream
		return i, nil
	case s.end > int64(len(b)):
		return s.wait(phaseBody, i, 0)
	}
	e := int(s.end) - 1
	if b[e] != '\n' {
		return 0, syntaxError(errDelimiter, int64(e), "line end expected after the data")
	}
	p.Body = b[i:e:e]
	return s.delimiter10(b, phaseBody, i, e+1)
}

// opaque10 reads the content, which starts at i, without looking into it, and the delimiter.
func (s *parser) opaque10(p *Packet, b []byte, i int) (int, error) {
	if s.end < 0 {
		_, next := s.delimiterLine(b, i)
		if next < 0 {
			return s.wait(phaseOpaque, i, len(b))
		}
		if e := next - len("|\n"); e > i {
			p.Body = b[i:e:e]
		}
		return next, nil
	}
	n := s.end - int64(i)
	switch {
	case n == 0:
		return s.delimiter10(b, phaseOpaque, i, i)
	case s.limits.Body >= 0 && n > int64(s.limits.Body):
		p.Size = n
		s.phase = phaseStream
		return i, nil
	case s.end > int64(len(b)):
		return s.wait(phaseOpaque, i, 0)
	}
	e := int(s.end)
	p.Body = b[i:e:e]
	return s.delimiter10(b, phaseOpaque, i, e)
}

// delimiter10 expects the delimiter at i; the packet ends behind it. Without enough input it waits at from.
func (s *parser) delimiter10(b []byte, ph phase, from, i int) (int, error) {
	switch {
	case s.bare && i == len(b):
		return i, nil
	case i >= len(b) || b[i] == '|' && i+1 == len(b):
		return s.wait(ph, from, 0)
	case b[i] != '|' || b[i+1] != '\n' || s.bare:
		return 0, syntaxError(errDelimiter, int64(i), "delimiter expected")
	}
	return i + 2, nil
}

// delimiterLine finds the first line from i on that is a delimiter. It returns the offset of the line end in front
// of it, but not less than i, and the offset behind it, or -1 if there is none yet.
func (s *parser) delimiterLine(b []byte, i int) (end, next int) {
	if len(b)-i >= 2 && b[i] == '|' && b[i+1] == '\n' {
		return i, i + 2
	}
	k := max(i, s.scanned-1) // the bar may have been the last byte seen
	for {
		n := bytes.IndexByte(b[k:], '|')
		if n < 0 || k+n+1 == len(b) {
			return 0, -1
		}
		k += n
		if b[k+1] == '\n' && (k == i || b[k-1] == '\n') {
			return max(i, k-1), k + 2
		}
		k++
	}
}

// name10 reads the name behind the operator at i, that of the nth variable, into v. It returns the end of the name,
// which is the end of b if the name may go on.
func (s *parser) name10(b []byte, i int, v *Var, n int) (int, error) {
	if n+s.internal >= s.limits.Vars {
		return 0, limitError(errHeaderTooLarge, i, "too many variables")
	}
	i++
	if s.names != nil && n < len(s.names.last) {
		last := s.names.last[n]
		if j := i + len(last); j < len(b) && last != "" && !keywordByte[b[j]] && string(b[i:j]) == last {
			v.Name = last
			return j, nil
		}
	}
	j := keywordEnd(b, i)
	switch {
	case j-i > maxName:
		return 0, limitError(errNameTooLarge, i-1, "name too long")
	case j == len(b):
		return j, nil
	case j == i:
		return 0, syntaxError(errName, int64(j), "name expected after the operator")
	}
	if v.Name != string(b[i:j]) {
		v.Name = s.names.intern(b[i:j])
	}
	if s.names != nil && n < len(s.names.last) && j-i <= maxInterned {
		s.names.last[n] = v.Name
	}
	return j, nil
}

// lineEnd returns the offset of the first line end from i on, -1 if there is none yet. Most values are so short that
// it stands in the first eight bytes.
func (s *parser) lineEnd(b []byte, i int) int {
	i = max(i, s.scanned)
	if len(b)-i >= 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ '\n'*ones
		if x = (x - ones) &^ x & high; x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	n := bytes.IndexByte(b[i:], '\n')
	if n < 0 {
		return -1
	}
	return i + n
}

// digits reads a length at i. It returns the offset behind the digits, which may go on if that is the end of b.
func digits(b []byte, i int, condition string) (n int64, next int, err error) {
	for next = i; next < len(b) && b[next]-'0' <= 9; next++ {
		if n > maxLength/10-1 || next-i >= maxDigits {
			return 0, 0, syntaxError(condition, int64(i), "length too large")
		}
		n = n*10 + int64(b[next]-'0')
	}
	return n, next, nil
}
