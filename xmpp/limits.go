package xmpp

import "github.com/switchyard-im/switchyard/internal/xmlscan"

// Limits bounds what a peer can make us hold and do; zero fields have the documented defaults. Going beyond is a
// policy-violation (RFC 6120 section 4.9.3.14).
type Limits struct {
	Stanza    int // bytes of one first-level element, or of a stream header; 512 KiB
	Depth     int // levels of elements in one stanza, the stanza being the first; 256
	Elements  int // elements in one stanza; 16,384
	Attrs     int // attributes of one element, declarations included; 64
	Name      int // bytes of the name of an element or attribute; 1,024, at most 65,535
	Namespace int // bytes of a namespace name; 4,096
}

// maxStanza keeps offsets within 32 bits.
const maxStanza = 1 << 30

// beforeAuthentication are the defaults for peers that have not proved who they are: enough for any negotiation.
var beforeAuthentication = Limits{
	Stanza:    8 << 10,
	Depth:     16,
	Elements:  128,
	Attrs:     32,
	Name:      256,
	Namespace: 1024,
}

// orDefault fills in what is not set.
func (l Limits) orDefault() Limits {
	l.Stanza = min(positive(l.Stanza, 512<<10), maxStanza)
	l.Depth = positive(l.Depth, 256)
	l.Elements = positive(l.Elements, 16<<10)
	l.Attrs = min(positive(l.Attrs, 64), 1<<16-1)
	l.Name = min(positive(l.Name, 1<<10), 1<<16-1)
	l.Namespace = positive(l.Namespace, 4<<10)
	return l
}

// usualLimits are the defaults.
var usualLimits = Limits{}.orDefault()

// unauthenticated lowers l to what a peer gets that has not proved who it is.
func (l Limits) unauthenticated() Limits {
	l = l.orDefault()
	low := beforeAuthentication
	return Limits{
		Stanza:    min(l.Stanza, low.Stanza),
		Depth:     min(l.Depth, low.Depth),
		Elements:  min(l.Elements, low.Elements),
		Attrs:     min(l.Attrs, low.Attrs),
		Name:      min(l.Name, low.Name),
		Namespace: min(l.Namespace, low.Namespace),
	}
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// maxBindings is far more prefixes than a stanza has in scope at once; looking one up takes time in proportion.
const maxBindings = 512

// scanner returns l as the scanner wants it.
func (l Limits) scanner() xmlscan.Limits {
	return xmlscan.Limits{
		Depth:     l.Depth,
		Elements:  l.Elements,
		Attrs:     l.Attrs,
		Bindings:  maxBindings,
		Name:      l.Name,
		Namespace: l.Namespace,
	}
}
