package psycswitch

import "github.com/switchyard-im/switchyard/xmpp"

// A Trace is called at what happens to links and stanzas; nil functions are skipped. The functions must not block and
// must not keep what they are given.
type Trace struct {
	// Resolved is called for every hint about a domain, and for every one that could not be had.
	Resolved func(domain string, h Hint, err error)

	// LinkUp is called when a link can carry stanzas, and again when a stream has switched to PSYC.
	LinkUp func(LinkInfo)

	// LinkDown is called when a link has ended; err is nil if that was in order.
	LinkDown func(info LinkInfo, err error)

	// Bounced is called for a stanza that was given up, whether its sender may be told or not.
	Bounced func(s *xmpp.Stanza, err error)

	// Unacknowledged is called for a stanza that was sent when a link broke, and of which nobody can tell any more whether it has
	// arrived. See "Delivery" in the package documentation for what becomes of it: it goes again, after which this may be called
	// again, or it bounces, of which Bounced is told as well, or nothing more.
	Unacknowledged func(s *xmpp.Stanza)
}

func (t *Trace) unacknowledged(s *xmpp.Stanza) {
	if t != nil && t.Unacknowledged != nil {
		t.Unacknowledged(s)
	}
}

func (t *Trace) resolved(domain string, h Hint, err error) {
	if t != nil && t.Resolved != nil {
		t.Resolved(domain, h, err)
	}
}

func (t *Trace) linkUp(info LinkInfo) {
	if t != nil && t.LinkUp != nil {
		t.LinkUp(info)
	}
}

func (t *Trace) linkDown(info LinkInfo, err error) {
	if t != nil && t.LinkDown != nil {
		t.LinkDown(info, err)
	}
}

func (t *Trace) bounced(s *xmpp.Stanza, err error) {
	if t != nil && t.Bounced != nil {
		t.Bounced(s, err)
	}
}
