package transcode

import (
	"bytes"
	"encoding/base64"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// What a stanza cannot say of a packet travels in one more child, the last: <packet/> in nsPacket. It holds the content
// of the packet, that is entity variables, method and body as PSYC 1.0, in base64. It says nothing about addresses;
// context='true' tells that from is a context, tag='...' the tag of the packet itself where the id is that of what it answers.
// Whoever finds one restores the packet only if that converts to this very
// stanza, byte for byte: then it adds nothing to what every filter on the way has seen, and everything else that calls
// itself a packet is an extension like any other.
const (
	nsPacket    = "urn:x-switchyard:packet:0"
	packetOpen  = "<packet xmlns='" + nsPacket + "'"
	packetClose = "</packet>"
)

// packed holds what is needed to put packets into stanzas and take them out.
type packed struct {
	p        psyc.Packet
	content  []byte // of a packet in PSYC 1.0
	kids     []byte
	is, want []byte
	inner    *Converter
}

// An inner converter only tells what stanza a packet is.
func innerConverter(space string) *Converter { return &Converter{Space: space, inner: true} }

// maxChildren is how large the element may make the children; a packet that needs more is converted without it, since a
// readable message is better than none. It leaves room for the stanza element in what servers take from each other.
const maxChildren = 200 << 10

// embed adds to s, which was read from p, what s does not say of p. An iq has one child only and goes without.
func (c *Converter) embed(s *xmpp.Stanza, p *psyc.Packet) (*xmpp.Stanza, error) {
	if s.Kind == xmpp.IQ && !c.in.v.has[fieldXML] || c.says(s, p) {
		return s, nil
	}
	if c.in.v.has[fieldXML] {
		if err := c.agree(s, p, &c.in); err != nil {
			return nil, err
		}
	}
	if s.Kind == xmpp.IQ || c.Strip || !embeddable(p) {
		return s, nil
	}
	k := &c.put
	k.p = psyc.Packet{Entity: k.p.Entity[:0], Method: p.Method, Body: p.Body}
	for _, v := range p.Entity {
		if internal(v.Name) {
			continue
		}
		v.Op = psyc.Set
		k.p.Entity = append(k.p.Entity, v)
	}
	var err error
	if k.content, err = k.p.Append(empty(k.content), psyc.PSYC10); err != nil {
		return s, nil
	}
	n := len(s.Raw())
	k.kids = append(append(empty(k.kids), s.Raw()...), packetOpen...)
	if len(p.Routing.Get(varContext)) > 0 {
		k.kids = append(k.kids, " context='true'"...)
	}
	if tag := p.Routing.Get(varTag); answers(s.Kind, s.Type) && plain(string(tag), maxTag) {
		k.kids = attribute(k.kids, "tag", tag)
	}
	k.kids = base64.StdEncoding.AppendEncode(append(k.kids, '>'), k.content)
	k.kids = append(k.kids, packetClose...)
	if len(k.kids) > maxChildren {
		return s, nil
	}
	kids := k.kids
	if err = s.SetRaw(kids); err == nil && !c.inner {
		c.probe.survey(s)
		if q := c.restore(s, c.probe.packet, &c.back); q == nil || !same(p, q) {
			err = s.SetRaw(kids[:n:n]) // nobody would honour it
		}
	}
	if err != nil {
		return nil, badXML("children of "+p.Method, err)
	}
	return s, nil
}

// says reports whether s, which was read from p, says all of p, so that Packet gives p back. That does not depend on who
// reads it: it may be in either syntax.
func (c *Converter) says(s *xmpp.Stanza, p *psyc.Packet) bool {
	c.probe.survey(s)
	if q := c.restore(s, c.probe.packet, &c.put); q != nil {
		return same(p, q)
	}
	for _, syntax := range [...]psyc.Syntax{psyc.PSYC10, psyc.PSYC09} {
		q, err := c.probe.write(s, &c.book, form{syntax: syntax, echo: &c.in})
		if err == nil && !c.probe.differs && same(p, q) {
			return true
		}
	}
	return false
}

// embeddable reports whether a stanza may bring p back.
func embeddable(p *psyc.Packet) bool {
	if p.State != 0 || circuitMethod(p.Method) {
		return false
	}
	for i := range p.Entity {
		if name := p.Entity[i].Name; actsAnywhere(name) && !internal(name) {
			return false
		}
	}
	return true
}

// restore returns the packet that s carries in last, the child that survey found, nil if there is none that may be believed.
// A packet may itself hold a stanza with a packet in it; base64 makes each at least a third larger than what it holds, so
// that there are few.
func (c *Converter) restore(s *xmpp.Stanza, last xmpp.Element, k *packed) *psyc.Packet {
	if last.IsZero() || c.Strip {
		return nil
	}
	var err error
	if k.content, err = base64.StdEncoding.Strict().AppendDecode(empty(k.content), last.Inner()); err != nil {
		return nil
	}
	n, err := k.p.Parse(k.content, psyc.PSYC10)
	if err != nil || n != len(k.content) || len(k.p.Routing) > 0 || !embeddable(&k.p) {
		return nil
	}
	for i := range k.p.Entity {
		if k.p.Entity[i].Op != psyc.Set {
			return nil
		}
	}
	if !s.From.IsZero() {
		name := varSource
		if v, _ := last.Attr("context"); v == "true" {
			name = varContext
		}
		k.p.Routing.Add(psyc.Set, name, c.book.uniform(s.From))
	}
	if !s.To.IsZero() {
		k.p.Routing.Add(psyc.Set, varTarget, c.book.uniform(s.To))
	}
	if plain(s.ID, maxTag) { // any other stands among the attributes, in the content
		name := varTag
		if answers(s.Kind, s.Type) {
			name = varTagRelay
		}
		k.p.Routing.Add(psyc.Set, name, s.ID)
	}
	if tag, _ := last.Attr("tag"); answers(s.Kind, s.Type) && plain(tag, maxTag) {
		k.p.Routing.Add(psyc.Set, varTag, tag)
	}
	if k.inner == nil {
		k.inner = innerConverter(s.Space)
	}
	k.inner.Space = s.Space
	back, err := k.inner.Stanza(&k.p)
	if err != nil {
		return nil
	}
	k.is, k.want = back.Append(empty(k.is)), s.Append(empty(k.want))
	if !bytes.Equal(k.is, k.want) {
		return nil
	}
	return &k.p
}

// same reports whether p and q, which were made of one stanza, are the same to everybody: same tag, entity variables,
// method and body. Their addresses are those of the stanza. The order of variables, properties of the process and the
// name of the tag in an answer are not counted.
func same(p, q *psyc.Packet) bool {
	if p.Method != q.Method || !bytes.Equal(p.Body, q.Body) {
		return false
	}
	if (len(p.Routing.Get(varContext)) > 0) != (len(q.Routing.Get(varContext)) > 0) ||
		!bytes.Equal(p.Routing.Get(varTag), q.Routing.Get(varTag)) {
		return false
	}
	n := 0
	for i := range p.Entity {
		v := &p.Entity[i]
		if internal(v.Name) {
			continue
		}
		n++
		if !contains(q.Entity, v, i) {
			return false
		}
	}
	return n == len(q.Entity)
}

// contains reports whether vars have v, at the place where they should or else as the only one of that name.
func contains(vars psyc.Vars, v *psyc.Var, at int) bool {
	if at < len(vars) && vars[at].Name == v.Name {
		return bytes.Equal(vars[at].Value, v.Value)
	}
	found := 0
	for i := range vars {
		w := &vars[i]
		if w.Name != v.Name {
			continue
		}
		if found++; found > 1 || !bytes.Equal(w.Value, v.Value) {
			return false
		}
	}
	return found == 1
}
