package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
)

// A Rule is one thing that an implementation has to do, or to leave, when it speaks with psyced.
type Rule struct {
	Name  string
	Why   string // what psyced does otherwise
	Check func(*Sight) error
}

// A Violation is a unit that breaks a rule.
type Violation struct {
	Rule         Rule
	Conversation string
	Sent         []byte
	Err          error
}

// Error shows the rule, its reason and what was sent.
func (v *Violation) Error() string {
	return fmt.Sprintf("replay: %s: rule %s: %v (%s)\nsent:\n%s", v.Conversation, v.Rule.Name, v.Err, v.Rule.Why, escape(v.Sent))
}

// Unwrap returns what is wrong.
func (v *Violation) Unwrap() error { return v.Err }

// A Sight is what a rule sees: a unit that was sent to psyced, and what went before.
type Sight struct {
	Unit
	Now time.Time

	first     bool            // something was sent in PSYC
	greeted   bool            // _notice_circuit_established was sent
	pong      time.Time       // when the last empty packet was sent
	switching bool            // <switching/> was sent and not answered
	asked     map[string]bool // hosts that _request_authorization named as sources
	complaint map[string]bool // tags of what must not be answered
}

// remember goes on to the next unit.
func (s *Sight) remember() {
	switch {
	case s.Packet == nil:
		s.switching = s.switching || s.XML == "switching"
		return
	case s.First():
		if s.first {
			s.pong = s.Now
		}
	case s.Packet.Method == "_notice_circuit_established":
		s.greeted = true
	case s.Packet.Method == "_request_authorization":
		if u, err := uniform.Parse(s.Packet.Entity.Get("_uniform_source").String()); err == nil {
			if s.asked == nil {
				s.asked = make(map[string]bool)
			}
			s.asked[u.Host()] = true
		}
	}
	s.first = true
}

// answer takes note of what psyced says.
func (s *Sight) answer(data []byte) {
	if bytes.HasPrefix(data, []byte("<switched")) {
		s.switching = false
	}
	var p psyc.Packet
	for len(data) > 0 {
		n, err := p.Parse(data, psyc.PSYC09)
		if err != nil {
			return
		}
		data = data[n:]
		if tag := p.Routing.Get("_tag"); tag != nil && unanswerable(p.Method) {
			if s.complaint == nil {
				s.complaint = make(map[string]bool)
			}
			s.complaint[tag.String()] = true
		}
	}
}

func unanswerable(method string) bool {
	return psyc.InheritsAny(method, "_error", "_failure", "_warning", "_status", "_echo")
}

// old reports whether the unit is a packet of the 0.9 syntax.
func (s *Sight) old() bool { return s.Packet != nil && bytes.HasSuffix(s.Raw, []byte(".\n")) }

// lines yields the header lines of a packet in the 0.9 syntax.
func (s *Sight) header() []string {
	var lines []string
	for line := range strings.Lines(string(s.Raw)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "_") || line == "." {
			break
		}
		lines = append(lines, line)
	}
	return lines
}

// Rules are all that is known to matter, in 0.9 unless they say otherwise.
var Rules = []Rule{
	{"first-line", "the first line must be a dot or a bar, and after an empty one psyced never greets", func(s *Sight) error {
		switch {
		case s.Packet == nil || s.first:
		case !s.First():
			return fmt.Errorf("the first packet is not empty")
		case s.Raw[0] == '\n':
			return fmt.Errorf("an empty line first")
		}
		return nil
	}},
	{"greeting", "the answer to the first packet of a new host goes to another circuit, and psyced's queue waits, until it has a greeting with a source and without a target", func(s *Sight) error {
		switch {
		case !s.old() || s.First() || s.greeted:
		case s.Packet.Method != "_notice_circuit_established":
			return fmt.Errorf("%s before the greeting", s.Packet.Method)
		case s.Packet.Routing.Get("_target") != nil:
			return fmt.Errorf("the greeting has a target")
		case !isRoot(s.Packet.Routing.Get("_source")):
			return fmt.Errorf("the source of the greeting is %q", s.Packet.Routing.Get("_source"))
		}
		return nil
	}},
	{"bytes", "CR, NUL, BS, DEL and 0xFF end or edit lines in the driver", func(s *Sight) error {
		if i := bytes.IndexAny(s.Raw, "\r\x00\b\x7f"); s.old() && i >= 0 {
			return fmt.Errorf("byte %#02x at %d", s.Raw[i], i)
		}
		if i := bytes.IndexByte(s.Raw, 0xFF); s.old() && i >= 0 {
			return fmt.Errorf("byte 0xff at %d", i)
		}
		return nil
	}},
	{"line-length", "longer lines are cut, and the rest is read as a line of its own", func(s *Sight) error {
		if !s.old() {
			return nil
		}
		for line := range bytes.Lines(s.Raw) {
			if len(line) > 2048 {
				return fmt.Errorf("a line of %d bytes", len(line)-1)
			}
		}
		return nil
	}},
	{"modifiers", "lines are a glyph, a name and a tab, even without a value; only : is understood everywhere", func(s *Sight) error {
		if !s.old() {
			return nil
		}
		for _, line := range s.header() {
			switch {
			case line == "", line[0] == '\t':
			case line[0] != ':':
				return fmt.Errorf("line %q", line)
			case !strings.Contains(line, "\t"):
				return fmt.Errorf("no tab in %q", line)
			}
		}
		return nil
	}},
	{"headers", "one empty line divides routing from the rest, and some implementations tell them apart", func(s *Sight) error {
		if !s.old() || s.First() {
			return nil
		}
		empty := 0
		for _, line := range s.header() {
			if line == "" {
				empty++
				continue
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(line, ":"), "\t")
			if line[0] == ':' && name != "" && psyc.RoutingVariable(name) != (empty == 0) {
				return fmt.Errorf("%s in the wrong header", name)
			}
		}
		if empty != 1 {
			return fmt.Errorf("%d empty lines", empty)
		}
		return nil
	}},
	{"internal", "psyced believes _INTERNAL variables from the wire", func(s *Sight) error {
		if s.Packet != nil && bytes.Contains(s.Raw, []byte(":_INTERNAL")) {
			return fmt.Errorf("an _INTERNAL variable")
		}
		return nil
	}},
	{"lists", "an element with a blank makes the whole list a table, and 404 elements are too many", func(s *Sight) error {
		if !s.old() {
			return nil
		}
		elements := 0
		for _, line := range s.header() {
			name, value, _ := strings.Cut(strings.TrimPrefix(line, ":"), "\t")
			if line == "" || line[0] != ':' || name != "" && !psyc.Inherits(name, "_list") {
				elements = 0
				continue
			}
			if elements++; elements > 404 {
				return fmt.Errorf("a list of more than 404 elements")
			}
			if strings.Contains(value, " ") {
				return fmt.Errorf("element %q", value)
			}
		}
		return nil
	}},
	{"methods", "_length and methods below _data end the circuit", func(s *Sight) error {
		switch {
		case !s.old():
		case s.Packet.Routing.Get("_length") != nil, s.Packet.Entity.Get("_length") != nil:
			return fmt.Errorf("_length")
		case psyc.Inherits(s.Packet.Method, "_data"):
			return fmt.Errorf("method %s", s.Packet.Method)
		}
		return nil
	}},
	{"modules", "compression begins without warning where it is understood, and encryption is never acknowledged", func(s *Sight) error {
		if s.Packet == nil {
			return nil
		}
		if psyc.Inherits(s.Packet.Method, "_request_circuit_encrypt") {
			return fmt.Errorf("method %s", s.Packet.Method)
		}
		for _, v := range slices.Concat(s.Packet.Routing, s.Packet.Entity) {
			switch {
			case v.Name == "_understand_modules" && bytes.Contains(v.Value, []byte("_compress")),
				v.Name == "_using_modules" && (bytes.Contains(v.Value, []byte("_encrypt")) || bytes.Contains(v.Value, []byte("_compress"))):
				return fmt.Errorf("%s %s", v.Name, v.Value)
			}
		}
		return nil
	}},
	{"pongs", "two that answer each keep-alive at once go on for ever", func(s *Sight) error {
		if s.First() && s.first && !s.pong.IsZero() && s.Now.Sub(s.pong) < 10*time.Second {
			return fmt.Errorf("two keep-alives within %v", s.Now.Sub(s.pong))
		}
		return nil
	}},
	{"private", "variables of one implementation come back from places as those of somebody else", func(s *Sight) error {
		if s.Packet == nil {
			return nil
		}
		for _, v := range slices.Concat(s.Packet.Routing, s.Packet.Entity) {
			if psyc.Inherits(v.Name, "_resource") || psyc.Inherits(v.Name, "_jabber") && !psyc.Inherits(s.Packet.Method, "_jabber") ||
				psyc.Inherits(v.Name, "_encoding") {
				return fmt.Errorf("variable %s", v.Name)
			}
		}
		return nil
	}},
	{"presence", "the degree counts, the method loses it; casts to contexts that nobody registered are dropped in silence", func(s *Sight) error {
		if s.Packet == nil || !psyc.Inherits(s.Packet.Method, "_notice_presence") {
			return nil
		}
		degree := s.Packet.Entity.Get("_degree_availability")
		switch {
		case len(degree) != 1 || degree[0] < '0' || degree[0] > '9':
			return fmt.Errorf("_degree_availability is %q", degree)
		case s.Packet.Routing.Get("_context") != nil || s.Packet.Routing.Get("_target") == nil:
			return fmt.Errorf("presence is cast")
		}
		return nil
	}},
	{"tags", "a tag is put on whatever goes to its sender next", func(s *Sight) error {
		if s.Packet == nil || s.Packet.Routing.Get("_tag") == nil {
			return nil
		}
		if psyc.InheritsAny(s.Packet.Method, "_notice_presence", "_status_presence", "_notice_friendship") {
			return fmt.Errorf("a tag on %s", s.Packet.Method)
		}
		return nil
	}},
	{"answers", "who answers a complaint begins a loop", func(s *Sight) error {
		if s.Packet == nil {
			return nil
		}
		for _, name := range []string{"_tag_reply", "_tag_relay"} {
			if tag := s.Packet.Routing.Get(name); tag != nil && s.complaint[tag.String()] {
				return fmt.Errorf("an answer to what must not be answered")
			}
		}
		return nil
	}},
	{"routing", "line ends and blanks in a routing value divide packets", func(s *Sight) error {
		if s.Packet == nil {
			return nil
		}
		for _, v := range s.Packet.Routing {
			if len(v.Value) > 256 || bytes.ContainsAny(v.Value, "\n\t") || bytes.HasPrefix(v.Value, []byte(" ")) || bytes.HasSuffix(v.Value, []byte(" ")) {
				return fmt.Errorf("%s is %q", v.Name, v.Value)
			}
		}
		return nil
	}},
	{"addresses", "a packet from nobody comes from a port, one to nobody is for the circuit; psyced does not relay", func(s *Sight) error {
		if s.Packet == nil {
			return nil
		}
		source, target := s.Packet.Routing.Get("_source"), s.Packet.Routing.Get("_target")
		if target != nil && source == nil && s.Packet.Routing.Get("_context") == nil {
			return fmt.Errorf("no source")
		}
		for _, v := range []psyc.Value{source, target} {
			if _, err := uniform.Parse(v.String()); v != nil && err != nil {
				return err
			}
		}
		return nil
	}},
	{"authorization", "in 1.0 a source must be authorized before it speaks, or the circuit ends", func(s *Sight) error {
		if s.Packet == nil || s.old() || s.First() {
			return nil
		}
		source := s.Packet.Routing.Get("_source")
		if source == nil {
			return nil
		}
		if u, err := uniform.Parse(source.String()); err != nil || !s.asked[u.Host()] {
			return fmt.Errorf("%s has not been authorized", source)
		}
		return nil
	}},
	{"state", "in 1.0 an assignment in the entity header without a context ends the circuit", func(s *Sight) error {
		if s.Packet == nil || s.old() || s.Packet.Routing.Get("_context") != nil {
			return nil
		}
		for _, v := range s.Packet.Entity {
			if v.Op != psyc.Set {
				return fmt.Errorf("%c%s", v.Op, v.Name)
			}
		}
		return nil
	}},
	{"names", "in 1.0 a routing name in the entity header, or any other in the routing header, ends the circuit", func(s *Sight) error {
		if s.Packet == nil || s.old() {
			return nil
		}
		for _, v := range s.Packet.Routing {
			if !slices.Contains(routingNames, v.Name) {
				return fmt.Errorf("%s in the routing header", v.Name)
			}
		}
		for _, v := range s.Packet.Entity {
			if slices.Contains(routingNames, v.Name) {
				return fmt.Errorf("%s in the entity header", v.Name)
			}
		}
		return nil
	}},
	{"switch", "what is sent before <switched/> is lost, and any scheme is accepted", func(s *Sight) error {
		switch {
		case s.switching:
			return fmt.Errorf("sent before <switched/>")
		case s.XML == "switching" && !bytes.Contains(s.Raw, []byte("<scheme>psyc</scheme>")):
			return fmt.Errorf("no scheme psyc")
		}
		return nil
	}},
}

// routingNames are the routing variables that psyced knows.
var routingNames = []string{
	"_amount_fragments", "_context", "_count", "_counter", "_fragment", "_length", "_source", "_source_identification", "_source_relay",
	"_source_relay_relay", "_tag", "_tag_relay", "_tag_reply", "_target", "_target_forward", "_target_relay", "_understand_modules", "_using_modules",
}

func isRoot(v psyc.Value) bool {
	u, err := uniform.Parse(v.String())
	return err == nil && u == u.Root()
}
