package psycswitch

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// psyced's protocol switch. It names the scheme to switch to, has no syntaxes, and leads to PSYC 0.9. psyced takes it before it has proved
// or been proved anything, so that PSYC's own proofs have to do; it offers it always, accepts it always, and as an
// initiator asks for it as soon as it is offered, before dialback.
const nsSwitch = "http://switch.psyced.org"

var switchName = xml.Name{Space: nsSwitch, Local: "switch"}

// rootOf returns the root entity of a domain.
func rootOf(domain string) string {
	j, err := uniform.RelayJID(domain)
	if err != nil {
		return ""
	}
	return j.Uniform().String()
}

// seesPsyced are features by which a stream that we open learns that the peer may be psyced, and that it hears us.
func (l *Link) seesPsyced() []xmpp.Feature {
	// Before TLS anybody may have put it in the list, and TLS 1.2 is not to be had for that where TLS matters: psyced itself says later
	// what ciphers it believes in.
	seen := xmpp.StartTLS(nil) // which may be looked at before TLS
	seen.Name, seen.Offer, seen.Serve = switchName, nil, nil
	seen.Start = func(context.Context, *xmpp.Stream, xmpp.Element) (xmpp.State, error) {
		l.maybeDeaf = !l.patient
		l.manners.tls12 = l.manners.tls12 || l.cfg.Insecure&Plaintext != 0
		return 0, nil
	}
	heard := xmpp.Feature{Name: switchName, Requires: xmpp.Secure}
	heard.Start = func(context.Context, *xmpp.Stream, xmpp.Element) (xmpp.State, error) {
		l.hearsUs()
		return 0, nil
	}
	return []xmpp.Feature{seen, heard}
}

// withPsyced adds the switch of psyced to the features of a stream that we open.
func (l *Link) withPsyced(fs []xmpp.Feature, done func(takeover)) []xmpp.Feature {
	f := xmpp.Feature{
		Name: switchName,
		Start: func(ctx context.Context, s *xmpp.Stream, offer xmpp.Element) (xmpp.State, error) {
			if !namesScheme(offer) || s.Pending() > 0 || !l.neighbours().maySwitch(l) {
				return 0, nil
			}
			if err := startPsyced(ctx, s, done); err != nil {
				return 0, &SwitchError{err}
			}
			return 0, nil
		},
	}
	if !l.cfg.psyced(l.dialledFor()) {
		f.Requires = xmpp.Authenticated
		return append(fs, f)
	}
	// In front of dialback: psyced would switch the stream on which it is to verify our key, and never answer.
	dialback := slices.IndexFunc(fs, func(f xmpp.Feature) bool { return f.Name.Local == "dialback" })
	return slices.Insert(fs, max(dialback, 0), f)
}

// psycedOffer is the switch of psyced for a stream that others opened.
func (l *Link) psycedOffer(done func(takeover)) xmpp.Feature {
	return xmpp.Feature{
		Name: switchName,
		Offer: func(s *xmpp.Stream, dst []byte) []byte {
			if !l.opened(s) || !believable(s) {
				return dst
			}
			return append(dst, "<switch xmlns='"+nsSwitch+"'><scheme>psyc</scheme></switch>"...)
		},
		Serve: func(ctx context.Context, s *xmpp.Stream, e xmpp.Element) (xmpp.State, error) {
			return 0, l.servePsyced(ctx, s, e, done)
		},
	}
}

// opened reports whether the peer of a stream is offered psyced's switch: it has proved itself by a certificate, or is known to be psyced.
// Anybody else would switch instead of doing dialback, and then have nothing to be believed by.
func (l *Link) opened(s *xmpp.Stream) bool {
	if l.cfg.psyced(s.Remote()) {
		return true
	}
	return slices.ContainsFunc(s.Proofs(), func(p xmpp.Proof) bool { return p.By == xmpp.ByExternal })
}

// hearing is how long psyced may take to answer the header of a stream inside TLS. One time in ten its driver never sees what comes soon after
// the handshake, and nothing helps but another connection.
const hearing = 3 * time.Second

// maxDeaf is how many connections in a row are given up for that. The next waits for as long as any.
const maxDeaf = 3

var errDeaf = fmt.Errorf("psycswitch: no answer inside TLS within %v", hearing)

// hearsUs notes that the peer hears us or will never do, and reports whether it was in time.
func (l *Link) hearsUs() bool {
	if l.unheard == nil {
		return true
	}
	timer := l.unheard
	l.unheard = nil
	return timer.Stop()
}

// believable reports whether psyced can speak PSYC on a stream. It cannot in TLS 1.3, and would hang up.
func believable(s *xmpp.Stream) bool {
	cs, secure := s.ConnectionState()
	return !secure || cs.Version <= tls.VersionTLS12
}

// maySwitch reports whether l may become a circuit by psyced's switch. psyced keeps one object for all that have switched from
// one address: another takes its connection away from the first, and its proofs.
func (n *neighbours) maySwitch(l *Link) bool {
	host, _, err := net.SplitHostPort(l.conn.RemoteAddr().String())
	if err != nil {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if first, ok := n.switched.Get(host); ok && first.circling() {
		return false
	}
	n.switched.Put(host, l, time.Now().Add(neighbourLife), maxNeighbours)
	return true
}

// circling reports whether l is a circuit, or may be about to become one.
func (l *Link) circling() bool {
	_, circuit := l.carrier()
	if circuit == nil {
		return time.Since(l.since) < switchTimeout
	}
	return circuit.Err() == nil
}

// namesScheme reports whether the element has the child <scheme>psyc</scheme>. psyced never looks.
func namesScheme(e xmpp.Element) bool {
	for c := range e.Children() {
		if c.Is(nsSwitch, "scheme") && c.Text() == "psyc" {
			return true
		}
	}
	return false
}

func startPsyced(ctx context.Context, s *xmpp.Stream, done func(takeover)) error {
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	if err := s.WriteRaw(ctx, []byte("<switching xmlns='"+nsSwitch+"'><scheme>psyc</scheme></switching>")); err != nil {
		return fmt.Errorf("psycswitch: asking for the switch: %w", err)
	}
	answer, err := s.ReadElement(ctx)
	if err != nil {
		return fmt.Errorf("psycswitch: waiting for <switched/>: %w", err)
	}
	if !answer.Is(nsSwitch, "switched") {
		return fmt.Errorf("psycswitch: <%s xmlns=%q/> in answer to <switching/>: %w", answer.Name().Local, answer.Name().Space, xmpp.UnsupportedStanzaType)
	}
	return takeOver(s, takeover{syntax: psyc.PSYC09, psyced: true}, done)
}

func (l *Link) servePsyced(ctx context.Context, s *xmpp.Stream, e xmpp.Element, done func(takeover)) error {
	if s.Initiator() || e.Name().Local != "switching" {
		return &xmpp.StreamError{Condition: xmpp.UnsupportedStanzaType, Text: "unexpected <" + e.Name().Local + "/>", Local: true}
	}
	if !namesScheme(e) || !l.opened(s) || !believable(s) || s.Pending() > 0 {
		return s.WriteRaw(ctx, []byte("<not-switched xmlns='"+nsPSYC+"'/>"))
	}
	if err := s.WriteRaw(ctx, []byte("<switched xmlns='"+nsSwitch+"'/>")); err != nil {
		return fmt.Errorf("psycswitch: answering the switch: %w", err)
	}
	return takeOver(s, takeover{syntax: psyc.PSYC09, psyced: true}, done)
}
