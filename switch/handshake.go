package psycswitch

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// The protocol switch between two Switchyards (see the package documentation): a stream feature that every
// features list offers, answered by the initiator once its pair of domains is proved.
const nsPSYC = "urn:x-switchyard:psyc:0"

// Syntaxes as they are named in the feature and in the greeting of PSYC circuits.
const (
	syntax10 = "1.0"
	syntax09 = "0.9"
)

// switchTimeout is how long the answer to <switching/> may take. The peer may have read it, so that nothing else can
// be sent on this connection: without an answer the connection is lost.
const switchTimeout = 10 * time.Second

// A SwitchError says why a switch to PSYC that we began has cost the connection. It is found in the errors of [Dial].
type SwitchError struct{ Err error }

func (e *SwitchError) Error() string { return "psycswitch: the switch failed: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *SwitchError) Unwrap() error { return e.Err }

// A takeover is what becomes of a stream that switched.
type takeover struct {
	stream   *xmpp.Stream // what it was; nil for a connection that was never a stream
	conn     net.Conn
	buffered []byte
	syntax   psyc.Syntax
	psyced   bool // by psyced's switch, which agrees on nothing but PSYC
}

// takeOver takes the connection of s, on which both sides have agreed to become t, and hands it to done.
func takeOver(s *xmpp.Stream, t takeover, done func(takeover)) (err error) {
	if t.conn, t.buffered, err = s.Hijack(); err != nil {
		return fmt.Errorf("psycswitch: taking the stream over: %w", err)
	}
	t.stream = s
	done(t)
	return nil
}

// switchFeature is the switch for one stream, both roles. done gets the connection when both sides have agreed; it
// must not block.
func switchFeature(done func(takeover)) xmpp.Feature {
	return xmpp.Feature{
		Name:     xml.Name{Space: nsPSYC, Local: "psyc"},
		Requires: xmpp.Authenticated,
		Offer: func(_ *xmpp.Stream, dst []byte) []byte {
			return append(dst, "<psyc xmlns='"+nsPSYC+"'><syntax>"+syntax10+"</syntax></psyc>"...)
		},
		Start: func(ctx context.Context, s *xmpp.Stream, offer xmpp.Element) (xmpp.State, error) {
			if !offersSyntax(offer, syntax10) {
				return 0, nil
			}
			if err := startSwitch(ctx, s, done); err != nil {
				return 0, &SwitchError{err}
			}
			return 0, nil
		},
		Serve: func(ctx context.Context, s *xmpp.Stream, e xmpp.Element) (xmpp.State, error) {
			return 0, serveSwitch(ctx, s, e, done)
		},
	}
}

// offersSyntax reports whether the element has a child <syntax/> that names syntax.
func offersSyntax(e xmpp.Element, syntax string) bool {
	for c := range e.Children() {
		if name := c.Name(); name.Space == nsPSYC && name.Local == "syntax" && c.Text() == syntax {
			return true
		}
	}
	return false
}

func startSwitch(ctx context.Context, s *xmpp.Stream, done func(takeover)) error {
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	err := s.WriteRaw(ctx, []byte("<switching xmlns='"+nsPSYC+"' h='0'><syntax>"+syntax10+"</syntax></switching>"))
	if err != nil {
		return fmt.Errorf("psycswitch: asking for the switch: %w", err)
	}
	answer, err := s.ReadElement(ctx)
	if err != nil {
		return fmt.Errorf("psycswitch: waiting for <switched/>: %w", err)
	}
	switch answer.Name() {
	case xml.Name{Space: nsPSYC, Local: "not-switched"}:
		return nil
	case xml.Name{Space: nsPSYC, Local: "switched"}:
	default:
		return fmt.Errorf("psycswitch: <%s xmlns=%q/> in answer to <switching/>: %w", answer.Name().Local, answer.Name().Space, xmpp.UnsupportedStanzaType)
	}
	if h, ok := answer.Attr("h"); ok && h != "0" {
		return fmt.Errorf("psycswitch: peer counts %s stanzas where none was sent: %w", h, xmpp.PolicyViolation)
	}
	syntax := psyc.PSYC09
	if offersSyntax(answer, syntax10) {
		syntax = psyc.PSYC10
	}
	return takeOver(s, takeover{syntax: syntax}, done)
}

func serveSwitch(ctx context.Context, s *xmpp.Stream, e xmpp.Element, done func(takeover)) error {
	name := e.Name().Local
	if s.Initiator() || name == "switched" || name == "not-switched" {
		// To answer an answer would make two servers go on for ever, and it is the initiator who asks.
		return &xmpp.StreamError{Condition: xmpp.UnsupportedStanzaType, Text: "unexpected <" + name + "/>", Local: true}
	}
	if name != "switching" || s.State()&xmpp.Authenticated == 0 || s.Pending() > 0 || !offersSyntax(e, syntax10) {
		return s.WriteRaw(ctx, []byte("<not-switched xmlns='"+nsPSYC+"'/>"))
	}
	received := strconv.FormatUint(s.Received(), 10)
	err := s.WriteRaw(ctx, []byte("<switched xmlns='"+nsPSYC+"' h='"+received+"'><syntax>"+syntax10+"</syntax></switched>"))
	if err != nil {
		return fmt.Errorf("psycswitch: answering the switch: %w", err)
	}
	return takeOver(s, takeover{syntax: psyc.PSYC10}, done)
}
