package transcode

import (
	"errors"
	"fmt"
	"slices"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A reader reads one packet as a stanza.
type reader struct {
	s     xmpp.Stanza
	v     view
	raw   []byte // children, as long as they are put together
	xml   []byte // that the packet has of them
	attrs []xmpp.Attr
	body  []byte // of an action
	usual []byte // skeleton
	said  []byte // elements that variables say
	book  *addressBook
	means meaning // of the method
	of    words
	lang  string // of the packet before, nearly always that of this one

	others []xmpp.Attr // all but the addresses
	good   xmpp.Stanza // the last whose attributes were found to be good; most that have any have the same declarations

	texts    filling
	filled   fill
	speaks   bool // whether _nick is the resource of from
	enters   bool // whether _nick is the resource of to
	openType bool // whether the method leaves the type to _jabber_attributes
}

// read returns what p says as a stanza, without the element that carries the rest.
func (r *reader) read(p *psyc.Packet, book *addressBook, space string, strip bool) (*xmpp.Stanza, error) {
	if p.State != 0 {
		return nil, &Error{xmpp.BadRequest, methodState, fmt.Errorf("packet changes state: %c", p.State)}
	}
	if err := r.v.read(p); err != nil {
		return nil, err
	}
	r.book, r.speaks, r.enters, r.means = book, false, false, meaningOf(p.Method)
	from := r.addresses(p, book, strip)
	kind, typ, err := r.children(p)
	if err != nil {
		return nil, err
	}
	if from != nil {
		return nil, from
	}
	r.s.Kind, r.s.Type, r.s.ID, r.s.Lang = kind, typ, "", ""
	if lang := r.v.value[fieldLanguage]; string(lang) != r.lang {
		r.lang = string(lang)
	}
	if plain(r.lang, maxValue) {
		r.s.Lang = r.lang
	}
	r.s.Attrs, r.s.Space, r.s.Prefix = nil, space, string(r.v.value[fieldPrefix])
	if space == "" {
		r.s.Space = xmpp.NSServer
	}
	r.tag()
	if r.v.has[fieldAttributes] {
		if err := r.attributes(r.v.value[fieldAttributes], strip); err != nil {
			return nil, err
		}
	}
	if err := r.namespace(); err != nil {
		return nil, err
	}
	if err := r.s.SetRaw(r.raw); err != nil {
		return nil, badXML("children of "+p.Method, err)
	}
	return &r.s, nil
}

// badXML is the error about XML that the scanner refuses, because it is none or because it is too much.
func badXML(what string, err error) *Error {
	e := &Error{xmpp.BadRequest, methodInvalidProfile, fmt.Errorf("%s: %w", what, err)}
	if errors.Is(err, xmpp.PolicyViolation) {
		e.Condition, e.Method = xmpp.PolicyViolation, methodRejected
	}
	return e
}

// addresses reads from and to. From is the context if there is one, otherwise the source, and nothing else: relays and
// identifications are claims of somebody about somebody.
func (r *reader) addresses(p *psyc.Packet, book *addressBook, strip bool) error {
	r.s.From, r.s.To = uniform.JID{}, uniform.JID{}
	source, target := r.v.value[fieldSourceResource], r.v.value[fieldTargetResource]
	if strip {
		source, target = nil, nil
	}
	speaker := r.v.context
	cast := len(speaker) > 0
	if !cast {
		speaker = r.v.source
	}
	if nick := r.occupant(speaker, cast); len(nick) > 0 {
		if from, err := book.jid(speaker, nick); err == nil {
			r.s.From, r.speaks = from, true
		}
	}
	var err error
	if len(speaker) > 0 && r.s.From.IsZero() {
		if r.s.From, err = book.jid(speaker, source); err != nil {
			return err
		}
	}
	if t := r.v.target; len(t) > 0 {
		if len(target) == 0 && r.means.enters {
			target = r.nick()
			r.enters = len(target) > 0
		}
		if r.s.To, err = book.jid(t, target); err != nil {
			return err
		}
	}
	return nil
}

// occupant returns the nick of who speaks in a place, as the place gave it.
func (r *reader) occupant(place []byte, cast bool) []byte {
	switch {
	case !r.means.occupant || len(place) == 0 || len(r.nick()) == 0:
		return nil
	case cast && isPlace(place):
	case r.v.has[fieldSourceResource], r.means.public:
		return nil
	}
	return r.nick()
}

// nick returns what the sender is called in a place.
func (r *reader) nick() []byte {
	if r.v.has[fieldNickLocal] {
		return r.v.value[fieldNickLocal]
	}
	return r.v.value[fieldNick]
}

// isPlace reports whether a uniform names a room.
func isPlace(u []byte) bool {
	parsed, err := uniform.Parse(string(u))
	if err != nil {
		return false
	}
	sigil, _ := parsed.Object()
	return sigil == '@'
}

// tag reads the id: of the question if the stanza is an answer.
func (r *reader) tag() {
	if answers(r.s.Kind, r.s.Type) {
		r.s.ID = string(r.v.answered)
	} else {
		r.s.ID = string(r.v.tag)
	}
}

// attributes takes over _jabber_attributes. What says the same as a variable must say it alone, and an address must be
// another spelling of what the packet is routed by.
func (r *reader) attributes(v psyc.Value, strip bool) error {
	attrs, err := parseAttributes(r.attrs[:0], v)
	if err != nil {
		return err
	}
	r.attrs = attrs
	kept := attrs[:0]
	for _, a := range attrs {
		keep := false
		switch a.Name {
		case "from":
			keep, err = respell(&r.s.From, a.Value, r.v.has[fieldSourceResource] || r.speaks)
		case "to":
			keep, err = respell(&r.s.To, a.Value, r.v.has[fieldTargetResource] || r.enters)
		case "id":
			keep, err = fillIn(&r.s.ID, a, r.s.ID == "")
		case "type":
			_, known := verbatimMethod(r.s.Kind, a.Value)
			known = known && (r.s.Kind != xmpp.Message || a.Value != "normal")
			keep, err = fillIn(&r.s.Type, a, r.s.Type == "" && (a.Value == "" || r.openType && !known))
		case "xml:lang":
			keep, err = fillIn(&r.s.Lang, a, r.s.Lang == "")
		default:
			keep = true
		}
		if err != nil {
			return err
		}
		if keep && !(strip && (a.Name == "from" || a.Name == "to")) {
			kept = append(kept, a)
		}
	}
	if strip && !r.speaks && !r.enters {
		r.s.From, r.s.To = r.s.From.Bare(), r.s.To.Bare()
	}
	r.s.Attrs = kept
	return nil
}

// respell checks that spelling is another spelling of j, or adds the resource that j lacks. It reports whether j alone
// does not give the spelling back.
//
// What is no address at all may stand there too, as long as nothing is routed by it: it stays a mere attribute.
func respell(j *uniform.JID, spelling string, exact bool) (keep bool, err error) {
	full, err := uniform.RelayJID(spelling)
	if err != nil && j.IsZero() {
		return true, nil
	}
	if err != nil {
		return false, badAddress(fmt.Sprintf("address %q in %s", spelling, varAttributes), err)
	}
	if exact && full != *j || full.Bare() != j.Bare() {
		return false, contradiction("%s says %q, the routing header says %q", varAttributes, spelling, j)
	}
	*j = full
	return full.String() != spelling, nil
}

// fillIn sets what the attribute says. Empty values stay attributes, because an empty field means none.
func fillIn(field *string, a xmpp.Attr, free bool) (keep bool, err error) {
	switch {
	case !free:
		return false, contradiction("%s says %s='%s' beside a variable", varAttributes, a.Name, cut([]byte(a.Value)))
	case a.Value == "":
		return true, nil
	}
	*field = a.Value
	return false, nil
}

func unknownMethod(method string) error {
	if method == "" {
		return errors.New("packet without a method")
	}
	return fmt.Errorf("method %s has no stanza", method)
}

// namespace finds out which content namespace the stanza is in, and checks that its attributes can be written as they are:
// names are names, prefixes declared, nothing twice.
func (r *reader) namespace() error {
	s := &r.s
	declaration := "xmlns"
	if s.Prefix != "" {
		declaration = "xmlns:" + s.Prefix
	}
	declared := ""
	for _, a := range s.Attrs {
		if a.Name == declaration {
			declared = a.Value
		}
	}
	if r.v.has[fieldNamespace] {
		s.Space = string(r.v.value[fieldNamespace])
	} else if declared != "" {
		s.Space = declared
	}
	if !content(s.Space) || declared != "" && declared != s.Space || declared == "" && s.Prefix != "" {
		return contradiction("stanza in namespace %q", s.Space)
	}
	others := r.others[:0]
	for _, a := range s.Attrs {
		if a.Name != "from" && a.Name != "to" {
			others = append(others, a)
		}
	}
	r.others = others
	good := &r.good
	if len(others) == 0 || slices.Equal(others, good.Attrs) && s.Space == good.Space && s.Prefix == good.Prefix {
		return nil
	}
	bare := xmpp.Stanza{Kind: s.Kind, Attrs: others, Space: s.Space, Prefix: s.Prefix}
	tag := bare.Append(nil)
	again, err := xmpp.Parse(tag)
	if again == nil {
		return badXML(varAttributes, err)
	}
	if !slices.Equal(again.Attrs, others) || again.Prefix != s.Prefix {
		return contradiction("%s cannot be the attributes of a stanza", varAttributes)
	}
	if len(tag) <= keptTag {
		bare.Attrs = slices.Clone(others)
		*good = bare
	}
	return nil
}

// keptTag is how long a tag may be whose attributes are remembered.
const keptTag = 1 << 10

// content reports whether space is the content namespace of some stream.
func content(space string) bool {
	return space == xmpp.NSServer || space == xmpp.NSClient || space == xmpp.NSAccept
}

// stanzaSpace returns the namespace that a stanza and its first-level children are in unless they say otherwise.
func stanzaSpace(s *xmpp.Stanza) string {
	if s.Space == "" {
		return xmpp.NSServer
	}
	return s.Space
}
