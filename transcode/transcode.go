package transcode

import (
	"fmt"
	"slices"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A Converter converts one at a time. The zero value writes PSYC 1.0 for a peer that agreed to the profile.
// A packet is good until the next call of Packet, a stanza until the next call of Stanza.
// A Converter is not safe for concurrent use.
type Converter struct {
	Syntax psyc.Syntax // that the packets are written for; what comes in may be in the shape of either
	Strip  bool        // leave resources out: the identity decides
	Plain  bool        // the peer did not agree to the profile: no private variables, neither way
	Space  string      // content namespace of the stanzas that Stanza makes; xmpp.NSServer if empty

	book   addressBook
	out    writer // what Packet returns
	in     reader // what Stanza returns
	probe  writer // what Stanza compares with
	taken  packed // out of stanzas, for Packet
	put    packed // into stanzas, by Stanza
	back   packed // out of stanzas again, by Stanza
	inner  bool   // what is put into stanzas need not be checked
	public psyc.Packet
}

// Packet returns s as a packet, which borrows from s. Errors are of type *[Error]: XML that the syntax or the peer cannot
// carry is policy-violation.
//
// A stanza without from or to is converted too, for files and tests; on a link it must be refused, because a packet
// without addresses speaks to the circuit itself.
func (c *Converter) Packet(s *xmpp.Stanza) (*psyc.Packet, error) {
	f := form{syntax: c.Syntax, strip: c.Strip, plain: c.Plain}
	c.out.survey(s)
	if p := c.restore(s, c.out.packet, &c.taken); p != nil {
		if c.Plain {
			p.Entity = withoutPrivate(p.Entity[:0], p)
			p.Routing = slices.DeleteFunc(p.Routing, func(v psyc.Var) bool { return v.Name == varTag })
		}
		f.nameReply(p)
		if fits(p, f, &c.out.wire) == nil {
			return p, nil
		}
	}
	return c.out.write(s, &c.book, f)
}

// Stanza returns p as a stanza, which borrows from p. State must have been applied: a packet that changes or asks for it
// has no stanza. The body must be there whole: a packet of which a [psyc.Decoder] streams it is resource-constraint.
//
// Errors are of type *[Error]. A packet whose XML is broken, or that contradicts itself or its routing header, is
// bad-request and _error_invalid_profile; an address without a JID is jid-malformed and _error_invalid_uniform.
func (c *Converter) Stanza(p *psyc.Packet) (*xmpp.Stanza, error) {
	if p.Size > 0 {
		return nil, &Error{xmpp.ResourceConstraint, methodExhausted, fmt.Errorf("body of %d bytes is not held", p.Size)}
	}
	if c.Plain {
		c.public = *p
		c.public.Entity = withoutPrivate(nil, p)
		p = &c.public
	}
	s, err := c.in.read(p, &c.book, c.Space, c.Strip)
	if err != nil {
		return nil, err
	}
	return c.embed(s, p)
}

// withoutPrivate appends the entity variables of p that a peer outside the profile may be sent and believed.
func withoutPrivate(dst psyc.Vars, p *psyc.Packet) psyc.Vars {
	verbatim := psyc.Inherits(p.Method, "_jabber")
	for _, v := range p.Entity {
		if !private(v.Name) || verbatim && v.Name == varXML {
			dst = append(dst, v)
		}
	}
	return dst
}
