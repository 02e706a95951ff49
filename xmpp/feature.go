package xmpp

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
)

// A Feature is one thing to negotiate on a stream (RFC 6120 section 4.3). Nil functions mean that a role does not take
// part. Features are values: one may serve any number of streams, so it must not keep the state of one.
type Feature struct {
	// Name is the name of the feature's child of <stream:features/>.
	Name xml.Name
	// Space is the namespace of the first-level elements that Serve gets; "" means that of Name.
	Space string
	// Requires holds states that the initiating side must have reached before Start.
	Requires State
	// Excludes holds states in which the feature is neither offered nor started.
	Excludes State
	// Offer appends the feature's child of <stream:features/>, or nothing if the peer may not use it now.
	// Accepting side; it is asked for every features list. As dialback is followed by no new list, a feature that
	// Requires Authenticated is offered before, too.
	Offer func(s *Stream, dst []byte) []byte
	// Start acts on the peer's offer and returns the states that it has reached. It is called at most once per stream,
	// when Requires holds and no feature before it in Config.Features can be started. An error that wraps [ErrDeclined]
	// leaves the stream as it was and lets the next feature try; any other ends it. offer is Start's to keep.
	// Initiating side.
	Start func(ctx context.Context, s *Stream, offer Element) (State, error)
	// Serve acts on a first-level element in the feature's namespace and returns the states reached. It is called at any time, on either
	// side, whatever Requires and Excludes say, but not before TLS where that is required. Elements that Serve does not want are answered
	// with a [*StreamError] unsupported-stanza-type. Serve must not wait for the stream's other methods.
	Serve func(ctx context.Context, s *Stream, e Element) (State, error)

	secures       bool       // may run before TLS where that is required
	authenticates bool       // if there are any of those, one must succeed
	dialback      *dialback  // set in the Dialback feature
	component     *component // set in the Component feature
	bidi          *bidi      // set in the Bidi feature
}

// space is the namespace of the feature's elements.
func (f *Feature) space() string {
	if f.Space != "" {
		return f.Space
	}
	return f.Name.Space
}

// permits reports whether f may be offered or started in state.
func (s *Stream) permits(f *Feature, state State) bool {
	if state&f.Excludes != 0 {
		return false
	}
	return f.secures || s.cfg.Plaintext || state&Secure != 0
}

// appendFeatures appends <stream:features/> as it is now.
func (s *Stream) appendFeatures(dst []byte) []byte {
	state := s.State()
	dst = append(dst, "<stream:features>"...)
	for i := range s.cfg.Features {
		f := &s.cfg.Features[i]
		if f.Offer != nil && s.permits(f, state) {
			dst = f.Offer(s, dst)
		}
	}
	if s.cfg.Plaintext || state&Secure != 0 {
		dst = s.appendLimits(dst)
	}
	return append(dst, "</stream:features>"...)
}

// appendLimits advertises what an authenticated peer may send (XEP-0478): after dialback there will be no other list.
func (s *Stream) appendLimits(dst []byte) []byte {
	dst = append(dst, "<limits xmlns='"+nsLimits+"'><max-bytes>"...)
	dst = strconv.AppendInt(dst, int64(s.cfg.Limits.orDefault().Stanza), 10)
	dst = append(dst, "</max-bytes>"...)
	if idle := int64(s.timeouts.Idle.Seconds()); idle > 0 {
		dst = append(dst, "<idle-seconds>"...)
		dst = strconv.AppendInt(dst, idle, 10)
		dst = append(dst, "</idle-seconds>"...)
	}
	return append(dst, "</limits>"...)
}

// obeyLimits takes over what the peer advertises (XEP-0478).
func (s *Stream) obeyLimits(features Element) {
	for limits := range features.Children() {
		if limits.Name().Space != nsLimits {
			continue
		}
		for e := range limits.Children() {
			if e.Name().Local != "max-bytes" {
				continue
			}
			if n, err := strconv.Atoi(strings.TrimSpace(e.Text())); err == nil && n > 0 {
				s.mu.Lock()
				s.peerLimit = n
				s.mu.Unlock()
			}
		}
	}
}

// offered returns the offer of f among the peer's features.
func offered(f *Feature, features Element) (Element, bool) {
	for e := range features.Children() {
		if e.Name() == f.Name {
			return e, true
		}
	}
	return Element{}, false
}

// dispatch acts on a first-level element that is no stanza.
func (s *Stream) dispatch(ctx context.Context, e Element) error {
	name := e.Name()
	if name.Space == NSDialback {
		if _, ok := e.Attr("type"); ok {
			return s.answered(e)
		}
	}
	for i := range s.cfg.Features {
		f := &s.cfg.Features[i]
		if f.Serve == nil || f.space() != name.Space {
			continue
		}
		if !f.secures && f.dialback == nil && !s.cfg.Plaintext && s.State()&Secure == 0 {
			return &StreamError{Condition: PolicyViolation, Text: "TLS is required here", Local: true}
		}
		state, err := f.Serve(ctx, s, e)
		if err == nil {
			err = s.Err() // a feature may have taken over the connection without saying so
		}
		if err != nil {
			return err
		}
		s.reach(state)
		if state&Restart != 0 {
			s.restart()
			return s.answer()
		}
		return nil
	}
	return unsupported(e)
}

// reach adds states, but for Restart, which is none to stay in.
func (s *Stream) reach(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state&Secure != 0 {
		s.state &^= Bidirectional // what was agreed on in clear, anybody may have said
	}
	s.state |= state &^ (Restart | Ready)
}

// restart makes both sides begin with a header again.
func (s *Stream) restart() {
	s.rd.restart(&s.in)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = false
}

// unsupported is the error for a first-level element that nobody understands (RFC 6120 section 4.9.3.24).
func unsupported(e Element) error {
	return &StreamError{Condition: UnsupportedStanzaType, Text: "unexpected <" + e.Name().Local + "/>", Local: true}
}

// keep returns a copy of a first-level element that needs no reader any more. h is the header of its stream.
func keep(h streamHeader, e Element, lim Limits) (Element, error) {
	var prefix string
	var attrs []byte
	for _, a := range h.Attrs {
		if p, ok := declares(a.Name); ok && p != "" && a.Value == NSStreams {
			prefix = p
		}
		attrs = appendAttr(attrs, a.Name, a.Value)
	}
	header := append([]byte("<"+prefix+":stream"), attrs...)
	rd := newReader(io.MultiReader(bytes.NewReader(append(header, '>')), bytes.NewReader(bytes.Clone(e.Raw()))), lim)
	if _, err := rd.header(); err != nil {
		return Element{}, err
	}
	return rd.next()
}
