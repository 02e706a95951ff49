package psycswitch

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"

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

// withPsyced adds the switch of psyced to the features of a stream that we open.
func (l *Link) withPsyced(fs []xmpp.Feature, done func(takeover)) []xmpp.Feature {
	// Where it is offered, TLS has to be one whose ciphers psyced believes in.
	seen := xmpp.Feature{Name: switchName, Excludes: xmpp.Secure, Start: func(context.Context, *xmpp.Stream, xmpp.Element) (xmpp.State, error) {
		l.manners.tls12 = true
		return 0, nil
	}}
	f := xmpp.Feature{
		Name: switchName,
		Start: func(ctx context.Context, s *xmpp.Stream, offer xmpp.Element) (xmpp.State, error) {
			if !namesScheme(offer) || s.Pending() > 0 {
				return 0, nil
			}
			if err := startPsyced(ctx, s, done); err != nil {
				return 0, &SwitchError{err}
			}
			return 0, nil
		},
	}
	fs = slices.Insert(fs, 0, seen)
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
			if !l.opened(s) {
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
	if !namesScheme(e) || !l.opened(s) || s.Pending() > 0 {
		return s.WriteRaw(ctx, []byte("<not-switched xmlns='"+nsPSYC+"'/>"))
	}
	if err := s.WriteRaw(ctx, []byte("<switched xmlns='"+nsSwitch+"'/>")); err != nil {
		return fmt.Errorf("psycswitch: answering the switch: %w", err)
	}
	return takeOver(s, takeover{syntax: psyc.PSYC09, psyced: true}, done)
}
