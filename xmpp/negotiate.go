package xmpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// nsLimits is the namespace of XEP-0478.
const nsLimits = "urn:xmpp:stream-limits:0"

const closingTag = "</stream:stream>"

var errNotNegotiated = errors.New("xmpp: stream has not been negotiated")

// Negotiate opens the stream and negotiates features until stanzas may flow, within Timeouts.Negotiate. It is called
// once, before Stanzas.
//
// On the initiating side it returns when no feature can be started any more. If Config.Features contains [External] or
// [Dialback], one of them must have succeeded for the pair of Local and Remote; a stream without them is good for
// [Stream.Verify]. On the accepting side it returns when the peer has proved a first pair; a stream that is closed
// before, because the peer only had a dialback key verified, returns [ErrClosed].
//
// It returns [ErrHijacked] if a feature took the connection over. After any other error the peer has been told, the
// stream has ended and the connection is being closed.
func (s *Stream) Negotiate(ctx context.Context) error {
	ctx, cancel := within(ctx, s.timeouts.Negotiate)
	defer cancel()
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if err := s.Err(); err != nil {
		return err
	}
	endInterrupt := s.in.interruptedBy(ctx)
	err := s.negotiate(ctx)
	endInterrupt()
	if err != nil && s.out.hasFailed(err) {
		err = s.complaint(err)
	}
	switch {
	case err == io.EOF:
		s.Close()
		return ErrClosed
	case err != nil:
		return s.fail(err)
	}
	s.mu.Lock()
	s.state |= Ready
	s.mu.Unlock()
	s.rd.limit(s.cfg.Limits)
	if !s.initiator {
		s.in.idle = s.timeouts.Idle
	}
	s.out.keep()
	close(s.negotiated)
	s.debug("stream negotiated", "tls", s.State()&Secure != 0)
	return nil
}

func (s *Stream) negotiate(ctx context.Context) error {
	if t, ok := s.transport().(tlsConn); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("xmpp: direct TLS: %w", err)
		}
		s.reach(Secure)
	}
	switch {
	case !s.initiator:
		return s.accept(ctx)
	case s.local == "" || s.remote == "" && s.component == nil:
		return errors.New("xmpp: Config without Local or Remote")
	}
	return s.initiate(ctx)
}

// initiate is Negotiate for the initiating side.
func (s *Stream) initiate(ctx context.Context) error {
	started := make([]bool, len(s.cfg.Features))
	var declined []error
	for {
		features, err := s.open(ctx)
		if err != nil {
			return err
		}
		restart := false
		for !restart {
			i, offer := s.startable(features, started)
			if i < 0 {
				return s.satisfied(declined)
			}
			started[i] = true
			state, err := s.cfg.Features[i].Start(ctx, s, offer)
			if err == nil {
				err = s.Err()
			}
			switch {
			case errors.Is(err, ErrDeclined):
				declined = append(declined, err)
				s.debug("feature declined", "feature", s.cfg.Features[i].Name.Local, "reason", err)
			case err != nil:
				return err
			}
			s.reach(state)
			restart = state&Restart != 0
		}
		s.restart()
	}
}

// startable returns the first feature that can be started, or -1.
func (s *Stream) startable(features Element, started []bool) (int, Element) {
	state := s.State()
	for i := range s.cfg.Features {
		f := &s.cfg.Features[i]
		if f.Start == nil || started[i] || state&f.Requires != f.Requires || !s.permits(f, state) {
			continue
		}
		if offer, ok := offered(f, features); ok || f.dialback != nil && s.dialbackDeclared || f.component != nil {
			return i, offer
		}
	}
	return -1, Element{}
}

// satisfied returns why an initiating stream that can start nothing more is no good, or nil.
func (s *Stream) satisfied(declined []error) error {
	state := s.State()
	switch {
	case !s.cfg.Plaintext && state&Secure == 0:
		return &StreamError{Condition: PolicyViolation, Text: "TLS is required here", Local: true}
	case state&Authenticated == 0 && s.cfg.offers(func(f *Feature) bool { return f.authenticates }):
		if len(declined) > 0 {
			return fmt.Errorf("xmpp: %s has not authorized %s: %w", s.remote, s.local, errors.Join(declined...))
		}
		return fmt.Errorf("xmpp: %s offers %s no way to authenticate: %w", s.remote, s.local, NotAuthorized)
	}
	return nil
}

// open writes our header and reads the peer's, and its features. A peer older than XMPP 1.0 has none.
func (s *Stream) open(ctx context.Context) (Element, error) {
	if err := s.WriteRaw(ctx, s.appendHeader(nil, false)); err != nil {
		return Element{}, err
	}
	h, err := s.header()
	if err != nil {
		return Element{}, err
	}
	if h.From != "" {
		peer := s.Remote()
		if s.component != nil {
			peer = s.Local() // the server speaks as the component (XEP-0114 section 3)
		}
		if from, err := domainAttr(h.From); err != nil || from != peer {
			return Element{}, &StreamError{Condition: InvalidFrom, Text: "stream is from " + h.From, Local: true}
		}
	}
	if h.ID == "" {
		// Prosody's header has none where nothing but an error follows.
		if !blank(s.rd.buffered()) {
			if _, err := s.nextElement(); err != nil {
				return Element{}, err
			}
		}
		return Element{}, &StreamError{Condition: BadFormat, Text: "stream without id", Local: true}
	}
	s.mu.Lock()
	s.id = h.ID
	s.mu.Unlock()
	if s.legacy {
		return Element{}, nil
	}
	e, err := s.nextElement()
	if err != nil {
		return Element{}, err
	}
	if !e.Is(NSStreams, "features") {
		return Element{}, unsupported(e)
	}
	s.obeyLimits(e)
	if _, ok := e.Child(nsDialbackFeature, "dialback"); ok {
		s.learnDialback()
	}
	return keep(h, e, s.cfg.Limits.unauthenticated())
}

// accept is Negotiate for the accepting side.
func (s *Stream) accept(ctx context.Context) error {
	if err := s.answer(); err != nil {
		return err
	}
	for s.State()&Authenticated == 0 {
		st, err := s.step(ctx)
		if err != nil {
			return err
		}
		if err := s.hold(st); err != nil {
			return err
		}
	}
	return nil
}

// answer reads the peer's header and writes ours, with the features in the same segment.
func (s *Stream) answer() error {
	h, err := s.header()
	if err != nil {
		return err
	}
	if s.component != nil {
		return s.component.answer(s, h)
	}
	local, err := domainAttr(h.To)
	if err != nil {
		return &StreamError{Condition: ImproperAddressing, Text: "stream header without a valid to", Local: true}
	}
	remote := ""
	if h.From != "" {
		if remote, err = domainAttr(h.From); err != nil {
			return &StreamError{Condition: ImproperAddressing, Text: "stream header without a valid from", Local: true}
		}
	}
	s.mu.Lock()
	changed := s.state&Authenticated != 0 && (local != s.local || remote != s.remote)
	s.local, s.remote, s.id = local, remote, newID()
	s.mu.Unlock()
	switch {
	case changed:
		return &StreamError{Condition: InvalidFrom, Text: "stream header differs from the authenticated one", Local: true}
	case !s.hosts(local):
		return &StreamError{Condition: HostUnknown, Text: local + " is not hosted here", Local: true}
	case s.legacy && !s.cfg.Plaintext && s.State()&Secure == 0:
		return &StreamError{Condition: UnsupportedVersion, Text: "TLS is required here", Local: true}
	}
	b := s.appendHeader(nil, s.legacy)
	if !s.legacy {
		b = s.appendFeatures(b)
	}
	s.debug("stream accepted")
	if err := s.WriteRaw(s.life, b); err != nil {
		return err
	}
	if s.State()&Authenticated != 0 {
		s.provedBoth(pair{local, remote})
	}
	return nil
}

// header reads the peer's stream header and takes from it what both sides check.
func (s *Stream) header() (streamHeader, error) {
	var h streamHeader
	for {
		var err error
		if h, err = s.rd.header(); err == nil {
			break
		}
		if !isWake(err) {
			return h, err
		}
	}
	s.in.next()
	if h.Space != s.space {
		return h, &StreamError{Condition: InvalidNamespace, Text: "content namespace is not " + s.space, Local: true}
	}
	if h.Version != "" {
		major, _, _ := strings.Cut(h.Version, ".")
		if n, err := strconv.Atoi(major); err != nil || n < 1 {
			return h, &StreamError{Condition: UnsupportedVersion, Text: "this is XMPP 1.0", Local: true}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.legacy, s.lang, s.dialbackDeclared = h.Version == "" || s.component != nil, h.Lang, false
	for _, a := range h.Attrs {
		if _, ok := declares(a.Name); ok && a.Value == NSDialback {
			s.dialbackDeclared = true
		}
	}
	return h, nil
}

// appendHeader appends our stream header; without version if the peer's had none (RFC 6120 section 4.7.5).
func (s *Stream) appendHeader(dst []byte, legacy bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	if s.component != nil {
		return s.appendComponentHeader(dst)
	}
	attr := func(name, value string) {
		if value != "" {
			dst = appendAttr(dst, name, value)
		}
	}
	dst = append(dst, "<?xml version='1.0'?><stream:stream"...)
	attr("xmlns", NSServer)
	attr("xmlns:stream", NSStreams)
	// The declaration says that dialback is understood (XEP-0220 section 2.4.1), and Verify needs it.
	if s.initiator || s.cfg.offers(func(f *Feature) bool { return f.dialback != nil }) {
		attr("xmlns:db", NSDialback)
	}
	attr("from", s.local)
	attr("to", s.remote)
	if !s.initiator {
		attr("id", s.id)
	}
	if !legacy {
		attr("version", "1.0")
	}
	attr("xml:lang", orString(s.cfg.Lang, "en"))
	return append(dst, '>')
}

func orString(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

// within is context.WithTimeout, but without a bound if d is negative.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}
