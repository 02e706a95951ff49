package transcode

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A form is the shape in which a stanza is written as a packet.
type form struct {
	syntax       psyc.Syntax
	strip, plain bool
	echo         *reader // of s: the packet is for comparing with the one that was read, whose addresses are those of s
}

// lines reports whether values and bodies are lines of text, as in PSYC 0.9, and cannot hold just any byte.
func (f form) lines() bool { return f.syntax == psyc.PSYC09 }

// Lengths of what goes into a header line as it is; longer values travel in _jabber_attributes.
const (
	maxTag   = 256
	maxValue = 1023
)

// A writer writes one stanza as a packet. The packet's values lie in buf and are good until the next write.
type writer struct {
	p        psyc.Packet
	buf      []byte
	attrs    []byte // value of _jabber_attributes
	style    style
	hollows  []hollow
	skel     []byte
	wire     []byte
	said     []byte       // elements in place of variables
	children []child      // of the stanza that survey has seen
	hasText  bool         // whether there is a body
	inRoom   bool         // whether there is something that only rooms say
	packet   xmpp.Element // the last child, if that claims to be one
	book     *addressBook
	of       words
	none     bool // no native form: the syntax cannot hold it
	whole    bool // the element of the method is spelt otherwise than its phrase says
	differs  bool // the XML is not that of the packet that was read
}

// write converts s, which survey has seen. What the packet says of s is complete by construction: each part goes either into
// a variable whose reading gives the part back, or stays in the XML.
func (w *writer) write(s *xmpp.Stanza, book *addressBook, f form) (*psyc.Packet, error) {
	w.p.Routing, w.p.Entity = w.p.Routing[:0], w.p.Entity[:0]
	w.p.State, w.p.Method, w.p.Body, w.p.Size = 0, "", nil, 0
	w.buf, w.attrs, w.skel, w.wire = empty(w.buf), empty(w.attrs), empty(w.skel), empty(w.wire)
	w.book, w.said, w.whole, w.differs = book, empty(w.said), false, false
	w.forget()

	w.address(varSource, varSourceResource, "from", s.From, s, f)
	w.address(varTarget, varTargetResource, "to", s.To, s, f)
	w.tag(s, f)
	if s.Lang != "" {
		if plain(s.Lang, maxValue) {
			w.set(varLanguage, s.Lang)
		} else {
			w.attrs = appendAttribute(w.attrs, "xml:lang", s.Lang)
		}
	}
	native := false
	switch {
	case w.none: // it is known to be a stanza
	case s.Kind == xmpp.Message:
		native = w.message(s, f)
	case s.Kind == xmpp.Presence:
		native = w.presence(s, f)
	case s.Kind == xmpp.IQ:
		native = w.iq(s, f)
	default:
		return nil, &Error{xmpp.BadRequest, methodUnsupported, errors.New("not a stanza")}
	}
	if !native {
		w.verbatim(s, f)
	}
	w.context(s, f)
	err := fits(&w.p, f, &w.wire)
	if err != nil && native && !f.plain && !w.none {
		w.none = true
		defer func() { w.none = false }()
		return w.write(s, book, f)
	}
	return &w.p, err
}

// keptBuffer is how large a buffer may be that waits for the next conversion: one large stanza must not cost its link the
// memory of all its life.
const keptBuffer = 16 << 10

// empty returns b without its content, for reuse.
func empty(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}

// words returns what the element of a method is made from.
func (w *writer) words(method string, s *xmpp.Stanza) *words {
	w.of = words{method: method, vars: w.p.Entity, from: s.From, book: w.book}
	return &w.of
}

// keep copies v to where the packet's values lie.
func (w *writer) keep(v string) psyc.Value {
	n := len(w.buf)
	w.buf = append(w.buf, v...)
	return psyc.Value(w.buf[n:len(w.buf):len(w.buf)])
}

// keepBytes is keep for bytes.
func (w *writer) keepBytes(v []byte) psyc.Value {
	n := len(w.buf)
	w.buf = append(w.buf, v...)
	return psyc.Value(w.buf[n:len(w.buf):len(w.buf)])
}

// set appends an entity variable.
func (w *writer) set(name, v string) { w.setBytes(name, w.keep(v)) }

func (w *writer) setBytes(name string, v []byte) {
	w.p.Entity = append(w.p.Entity, psyc.Var{Op: psyc.Set, Name: name, Value: v})
}

// route appends a routing variable.
func (w *writer) route(name, v string) { w.routeBytes(name, w.keep(v)) }

func (w *writer) routeBytes(name string, v []byte) {
	w.p.Routing = append(w.p.Routing, psyc.Var{Op: psyc.Set, Name: name, Value: v})
}

// address writes from or to: the identity is routed by, the resource is for the receiver, and what these two do not
// reproduce stands among the attributes.
func (w *writer) address(routing, resource, attr string, j uniform.JID, s *xmpp.Stanza, f form) {
	if j.IsZero() {
		return
	}
	if f.echo == nil {
		n := len(w.buf)
		w.buf = j.AppendUniform(w.buf)
		w.routeBytes(routing, w.buf[n:len(w.buf):len(w.buf)])
	}
	if f.strip || f.plain {
		return
	}
	for _, a := range s.Attrs {
		if a.Name == attr {
			return // with the attributes, resource and all
		}
	}
	switch r := j.Resource(); {
	case r == "":
	case plain(r, maxValue):
		w.set(resource, r)
	default:
		w.attrs = appendAttribute(w.attrs, attr, j.String())
	}
}

// answers reports whether a stanza is an answer, so that its id is that of the question.
func answers(k xmpp.Kind, typ string) bool { return typ == "error" || k == xmpp.IQ && typ == "result" }

// tag writes the id. Outside the profile only requests and their answers have one: psyced repeats a tag on whatever it
// sends next.
func (w *writer) tag(s *xmpp.Stanza, f form) {
	if s.ID == "" || f.plain && s.Kind != xmpp.IQ {
		return
	}
	if !plain(s.ID, maxTag) {
		w.attrs = appendAttribute(w.attrs, "id", s.ID)
		return
	}
	name := varTag
	if answers(s.Kind, s.Type) {
		name = varTagRelay
	}
	w.route(name, s.ID)
	f.nameReply(&w.p)
}

// nameReply calls the tag of an answer by the name that the syntax has for it.
func (f form) nameReply(p *psyc.Packet) {
	if f.syntax != psyc.PSYC09 {
		return
	}
	for i := range p.Routing {
		if p.Routing[i].Name == varTagRelay {
			p.Routing[i].Name = varTagReply
		}
	}
}

// context writes what gives the children their meaning and no other variable says: attributes, declarations, prefix and
// namespace of the stanza element.
func (w *writer) context(s *xmpp.Stanza, f form) {
	if f.plain {
		return
	}
	for _, a := range s.Attrs {
		if f.strip && (a.Name == "from" || a.Name == "to") {
			continue
		}
		w.attrs = appendAttribute(w.attrs, a.Name, a.Value)
	}
	if len(w.attrs) > 0 {
		w.setBytes(varAttributes, w.attrs)
	}
	if s.Prefix != "" {
		w.set(varPrefix, s.Prefix)
	}
	// A child that says explicitly that it is in a content namespace is in that of this stanza, and has to follow it into
	// another stream, or it is not: the receiver must know which.
	if s.DeclaresContent() {
		w.set(varNamespace, stanzaSpace(s))
	}
}

// fits makes sure that the syntax and the peer can take p.
func fits(p *psyc.Packet, f form, scratch *[]byte) error {
	if !f.lines() {
		return nil
	}
	r := f.renderer()
	wire, err := r.Append(empty(*scratch), p)
	if *scratch = wire; err != nil {
		return &Error{xmpp.PolicyViolation, methodRejected, fmt.Errorf("packet %s: %w", p.Method, err)}
	}
	return nil
}

// xml writes children as _jabber_XML. Bytes that no line can hold travel in base64, announced by another variable, which
// psyced does not know: it is sent XML that means the same.
func (w *writer) xml(children []byte, f form) {
	switch {
	case f.echo != nil:
		w.echo(f)
		return
	case !f.lines():
	case f.plain:
		children = fold(singleLineEnds(children), psycedLine)
	case !fitsValue(children):
		n := len(w.buf)
		w.buf = base64.StdEncoding.AppendEncode(w.buf, children)
		w.set(varEncoding, "base64")
		children = w.buf[n : n+base64.StdEncoding.EncodedLen(len(children))]
	}
	w.setBytes(varXML, children)
}

// echo is xml for a packet that is compared with the one that was read. The XML of both gives the same children, and leaves
// the same of them if the same texts are taken out: then it is taken over, since how it is abbreviated makes no difference.
func (w *writer) echo(f form) {
	read := &f.echo.v
	w.differs = !read.has[fieldXML] || !f.echo.filled.match(w.hollows)
	if f.lines() && !fitsValue(f.echo.xml) {
		w.set(varEncoding, "base64")
	}
	w.setBytes(varXML, read.value[fieldXML])
}
