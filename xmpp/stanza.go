package xmpp

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
	"github.com/switchyard-im/switchyard/uniform"
)

// A Stanza is one message, presence or iq (RFC 6120 section 8). Its children are the bytes they came in.
//
// A stanza from a [Decoder] or a [Stream] borrows its children from the read buffer, and is itself used again,
// until the next one is read; [Stanza.Clone] keeps it. A copy by assignment shares the children and is good as long as
// the original is not changed. A Stanza that nobody changes may be read by many goroutines.
type Stanza struct {
	Kind     Kind
	Type     string
	ID       string
	From, To uniform.JID
	Lang     string
	// Attrs holds, in order, what the fields above cannot say exactly: unknown and prefixed attributes, namespace
	// declarations, attributes that are there but empty, and the spelling of from or to where it is not canonical. Such a
	// spelling is written only while it still stands for the address in From or To. Declarations belong to the children
	// as much as to the stanza: without them prefixes in the children mean nothing.
	Attrs  []Attr
	Space  string // content namespace of the stream it came in: NSServer, NSClient, NSAccept; "" means NSServer
	Prefix string // of the stanza element itself, nearly always ""

	ix   *xmlscan.Index // children are the content of its element 0; nil if there are none
	own  string         // namespace of the stanza element when ix was made
	edit *editor
}

// Content namespaces of streams (RFC 6120 section 4.8.2, XEP-0114).
const (
	NSServer = "jabber:server"
	NSClient = "jabber:client"
	NSAccept = "jabber:component:accept"
)

// A Kind is the name of a stanza.
type Kind uint8

// Kinds of stanza.
const (
	Message Kind = iota + 1
	Presence
	IQ
)

// String returns the name of the element.
func (k Kind) String() string {
	switch k {
	case Message:
		return "message"
	case Presence:
		return "presence"
	case IQ:
		return "iq"
	}
	return ""
}

// Parse reads the one stanza that b holds, with nothing but white space around it, as it would stand in a stream whose
// default namespace it shares: jabber:server, or if it declares to be in jabber:client or jabber:component:accept, that one.
// The prefixes stream and db are bound as on server streams. [Limits] are the defaults.
//
// The stanza borrows b. A *[StanzaError] comes together with the stanza that it concerns, any other error without one.
func Parse(b []byte) (*Stanza, error) {
	s, err := parseIn(b, NSServer)
	if s != nil && s.Prefix != "" && s.Space != NSServer {
		// What has no prefix inside is in the namespace of the stream, which is known only now.
		return parseIn(b, s.Space)
	}
	return s, err
}

// parseIn is Parse for a stream with the given default namespace.
func parseIn(b []byte, space string) (*Stanza, error) {
	lim := Limits{}.orDefault()
	scan := &xmlscan.Scanner{Limits: lim.scanner()}
	scan.Enclose(space, serverPrefixes)
	from := 0
	for from < len(b) && xmlscan.IsSpace(b[from]) {
		from++
	}
	found, n, err := scan.Next(b[from:])
	switch {
	case err != nil:
		return nil, refused(err, int64(from))
	case found == xmlscan.Partial:
		return nil, refused(&xmlscan.Error{
			Condition: xmlscan.NotWellFormed, Offset: len(b), Reason: "end in the middle of a stanza",
		}, 0)
	case n > lim.Stanza:
		return nil, tooLong(lim.Stanza, int64(from))
	}
	for i := from + n; i < len(b); i++ {
		if !xmlscan.IsSpace(b[i]) {
			return nil, refused(&xmlscan.Error{
				Condition: xmlscan.InvalidXML, Offset: i, Reason: "more than one stanza",
			}, 0)
		}
	}
	s := new(Stanza)
	err = s.read(Element{ix: scan.Index()}, serverPrefixes, nil)
	if _, ok := err.(*StanzaError); ok || err == nil {
		return s, err
	}
	return nil, err
}

// serverPrefixes are what the header of a server's stream usually binds.
var serverPrefixes = []xmlscan.Declaration{{Prefix: "stream", Space: NSStreams}, {Prefix: "db", Space: NSDialback}}

// read makes s the stanza that e is. prefixes are those of the surrounding stream. A *[StanzaError] leaves s usable.
func (s *Stanza) read(e Element, prefixes []xmlscan.Declaration, jids *jidCache) error {
	n := e.node()
	*s = Stanza{Attrs: s.Attrs[:0], edit: s.edit, ix: e.ix, Space: contentSpace(e.ix.Space(n.Space))}
	switch string(e.ix.Local(n)) {
	case "message":
		s.Kind = Message
	case "presence":
		s.Kind = Presence
	case "iq":
		s.Kind = IQ
	}
	if s.Kind == 0 || s.Space == "" {
		return &StreamError{
			Condition: UnsupportedStanzaType, Local: true,
			Err: fmt.Errorf("%s in namespace %q", e.ix.QName(n), e.ix.Space(n.Space)),
		}
	}
	s.own = s.Space
	s.Prefix = intern(e.ix.Prefix(n))
	err := s.readAttrs(e, jids)
	if _, ok := s.declared(""); !ok && s.Prefix != "" && string(e.ix.Default()) != s.Space {
		s.Attrs = append(s.Attrs, Attr{"xmlns", string(e.ix.Default())})
	}
	for _, p := range prefixes {
		if _, ok := s.declared(p.Prefix); !ok && mentions(e.Raw(), p.Prefix) {
			s.Attrs = append(s.Attrs, Attr{"xmlns:" + p.Prefix, p.Space})
		}
	}
	if err == nil && s.Kind == IQ {
		switch s.Type {
		case "get", "set", "result", "error":
		default:
			return &StanzaError{Condition: BadRequest, Text: fmt.Sprintf("type %q of an iq", s.Type)}
		}
	}
	return err
}

// readAttrs takes the attributes of the stanza element. Of several addresses that are none the first is the error.
func (s *Stanza) readAttrs(e Element, jids *jidCache) (wrong error) {
	attrs := e.ix.AttrsOf(e.node())
	for i := range attrs {
		name, value := e.ix.AttrQName(&attrs[i]), e.ix.Value(&attrs[i])
		exact := len(value) > 0 // an empty field means that there is no attribute
		switch string(name) {
		case "from", "to":
			j, err := jids.parse(value)
			if err != nil && wrong == nil {
				wrong = malformedAddress(string(name), err)
			}
			if exact = err == nil && j.String() == string(value); string(name) == "from" {
				s.From = j
			} else {
				s.To = j
			}
		case "type":
			s.Type = intern(value)
		case "id":
			s.ID = string(value)
		case "xml:lang":
			s.Lang = intern(value)
		default:
			exact = false
		}
		if !exact {
			s.Attrs = append(s.Attrs, Attr{intern(name), intern(value)})
		}
	}
	return wrong
}

// malformedAddress is the stanza error for an attribute that is no address. The peer knows what it sent: its text says
// only what is wrong with it.
func malformedAddress(name string, err error) *StanzaError {
	reason := err.Error()
	var e *uniform.Error
	if errors.As(err, &e) {
		reason = e.Reason
	}
	return &StanzaError{Condition: JIDMalformed, Text: name + ": " + reason}
}

// contentSpace returns the content namespace that b is, or "".
func contentSpace(b []byte) string {
	switch string(b) {
	case NSServer:
		return NSServer
	case NSClient:
		return NSClient
	case NSAccept:
		return NSAccept
	}
	return ""
}

// space is s.Space with its default.
func (s *Stanza) space() string {
	if s.Space == "" {
		return NSServer
	}
	return s.Space
}

// Clone returns a copy that shares no memory with s.
func (s *Stanza) Clone() *Stanza {
	c := *s
	c.Attrs = slices.Clone(s.Attrs)
	c.edit = nil
	if s.ix != nil {
		c.ix = s.ix.Clone()
	}
	return &c
}

// A StanzaBuffer holds a copy of a stanza, in memory that it uses again for the next one. It must not be copied.
type StanzaBuffer struct {
	stanza Stanza
	index  xmlscan.Index
}

// Copy is [Stanza.Clone], but the copy is the buffer's, to be read until the next call, and not to be changed. s is none of the buffer's.
func (b *StanzaBuffer) Copy(s *Stanza) *Stanza {
	attrs := append(b.stanza.Attrs[:0], s.Attrs...)
	b.stanza = *s
	b.stanza.Attrs, b.stanza.edit = attrs, nil
	if s.ix != nil {
		s.ix.CopyTo(&b.index)
		b.stanza.ix = &b.index
	}
	return &b.stanza
}

// root is the element around the children.
func (s *Stanza) root() Element {
	if s.ix == nil {
		return Element{}
	}
	return Element{ix: s.ix, base: s.ix.Elements[0].Inner}
}

// Children yields the child elements without building a tree.
func (s *Stanza) Children() iter.Seq[Element] { return s.root().Children() }

// Child returns the first child of that name; in the stanza's own namespace if space is "".
func (s *Stanza) Child(space, local string) (child Element, ok bool) {
	if space == "" {
		space = s.own
	}
	return s.root().Child(space, local)
}

// Text returns the text of the first such child in the stanza's namespace, "" if there is none.
func (s *Stanza) Text(local string) string {
	child, _ := s.Child("", local)
	return child.Text()
}

// Raw returns the children as they came. Together with the declarations in Attrs, and with Space as default
// namespace unless Attrs has another, they are complete in their namespaces.
func (s *Stanza) Raw() []byte { return s.root().Inner() }
