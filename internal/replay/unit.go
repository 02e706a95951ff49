package replay

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
)

// A Unit is the least that one side says: a packet, or before a protocol switch a tag of the stream or an element on its first level.
type Unit struct {
	Raw    []byte
	Packet *psyc.Packet // nil: XML
	XML    string       // name of the element, with its prefix
}

// First reports whether u is an empty packet: the first line of a circuit, or a keep-alive.
func (u Unit) First() bool {
	return u.Packet != nil && u.Packet.Method == "" && len(u.Packet.Routing)+len(u.Packet.Entity) == 0
}

// Stanza reports whether u is one.
func (u Unit) Stanza() bool { return u.XML == "message" || u.XML == "presence" || u.XML == "iq" }

// Name returns the method of a packet, "." if it has none, or the name of an element.
func (u Unit) Name() string {
	switch {
	case u.Packet == nil:
		return "<" + u.XML + ">"
	case u.Packet.Method == "":
		return "."
	}
	return u.Packet.Method
}

// Greeting reports whether u is what a circuit says about itself at its beginning.
func (u Unit) Greeting() bool {
	if u.Packet == nil || u.Packet.Routing.Get("_target") != nil {
		return false
	}
	switch u.Packet.Method {
	case "_notice_circuit_established", "_status_circuit":
		return true
	}
	return false
}

// A splitter divides what one side says into units.
type splitter struct {
	buf    []byte
	syntax psyc.Syntax // Auto: unknown yet
	psyc   bool        // XML is over
}

// feed returns the units that data completes. After <switching/> and <switched/> their sender says nothing more in XML.
func (s *splitter) feed(data []byte) ([]Unit, error) {
	s.buf = append(s.buf, data...)
	var units []Unit
	for len(s.buf) > 0 {
		if !s.psyc && s.buf[0] == '<' {
			n, name := element(s.buf)
			if n == 0 {
				return units, nil
			}
			raw := bytes.Clone(s.buf[:n])
			s.buf = s.buf[n:]
			if strings.HasPrefix(name, "?") {
				continue
			}
			units = append(units, Unit{Raw: raw, XML: name})
			s.psyc = name == "switching" || name == "switched"
			continue
		}
		if s.syntax == psyc.Auto {
			first := bytes.TrimLeft(s.buf, "\n") // an empty line may stand between the switch and the first one
			if len(first) == 0 {
				return units, nil
			}
			s.syntax = psyc.PSYC09
			if first[0] == '|' {
				s.syntax = psyc.PSYC10
			}
		}
		s.psyc = true
		p := new(psyc.Packet)
		n, err := p.Parse(s.buf, s.syntax)
		if errors.Is(err, psyc.ErrIncomplete) {
			return units, nil
		}
		if err != nil {
			return units, fmt.Errorf("replay: no packet: %w in:\n%s", err, escape(s.buf))
		}
		units = append(units, Unit{Raw: bytes.Clone(s.buf[:n]), Packet: p.Clone()})
		s.buf = s.buf[n:]
	}
	return units, nil
}

// element returns the length of the XML at the start of b and the name of its element: the tag of a stream alone, any other
// element whole; 0 if it is not complete. It is good for what is well-formed and has neither comments nor CDATA.
func element(b []byte) (n int, name string) {
	depth := 0
	for {
		open := bytes.IndexByte(b[n:], '<')
		end := bytes.IndexByte(b[n:], '>')
		if open < 0 || end < 0 {
			return 0, ""
		}
		tag := string(b[n+open+1 : n+end])
		n += end + 1
		if name == "" {
			name = strings.TrimRight(strings.FieldsFunc(tag, func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' })[0], "/")
		}
		switch {
		case tag[0] == '?', name == "stream:stream", name == "/stream:stream":
			return n, name
		case tag[0] == '/':
			depth--
		case tag[len(tag)-1] != '/':
			depth++
		}
		if depth == 0 {
			return n, name
		}
	}
}

// A Step is a unit of a conversation and who said it.
type Step struct {
	Sender Side
	Unit
}

// Steps returns what both sides said, in order. What cannot be read as packets or XML is an error: such a conversation shows what
// psyced does about mistakes.
func (c *Conversation) Steps() ([]Step, error) {
	var sides [3]splitter
	var steps []Step
	for _, e := range c.Events {
		units, err := sides[e.Sender].feed(e.Data)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", c, err)
		}
		for _, u := range units {
			steps = append(steps, Step{e.Sender, u})
		}
	}
	return steps, nil
}

// A Turn is a step of one of several conversations.
type Turn struct {
	*Conversation
	At time.Duration
	Step
}

// Together returns what was said in conversations that took place at the same time, in the order in which [Peer.PlayAll] plays it. What cannot be
// read is left out.
func Together(cs ...*Conversation) []Turn {
	var turns []Turn
	sides := make(map[*Conversation]*[3]splitter)
	for _, m := range merged(cs) {
		if sides[m.c] == nil {
			sides[m.c] = new([3]splitter)
		}
		units, err := sides[m.c][m.Sender].feed(m.Data)
		if err != nil {
			sides[m.c][m.Sender].buf = nil
		}
		for _, u := range units {
			turns = append(turns, Turn{m.c, m.At, Step{m.Sender, u}})
		}
	}
	return turns
}
