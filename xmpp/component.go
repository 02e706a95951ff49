package xmpp

import (
	"context"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

// Component is the stream between a server and an external component (XEP-0114, jabber:component:accept): the
// component initiates, the server accepts, and stanzas flow both ways. secret returns what the two share; a component
// that is called by several domains has a stream for each.
//
// On the initiating side Config.Local is the component's domain; Config.Remote is not said to the server and may be
// empty. The stream may send from addresses of that domain to anybody, and gets what anybody sends to it. On the accepting side
// [Stream.Remote] is the component's domain and Config.Hosted is not asked: a component may write to all the world, and it is
// the caller who routes. In either role the domain that stands for "any" in a [Proof] is "".
//
// An error of secret, or an empty secret, refuses the component: with the [Condition] that it wraps, such as [Conflict] for a
// domain that is connected already, and otherwise with host-unknown.
//
// XEP-0114 has no features and no STARTTLS: the stream negotiates none of the others in Config.Features, and needs
// Config.Plaintext or a connection that is TLS from the start. The handshake proves the component to the server and nothing
// to the component, which has to know whom it dials.
func Component(secret func(domain string) (string, error)) Feature {
	c := &component{secret: secret}
	return Feature{
		Name:          xml.Name{Space: NSAccept, Local: "handshake"},
		Excludes:      Authenticated,
		Start:         c.start,
		Serve:         c.serve,
		authenticates: true,
		component:     c,
	}
}

type component struct {
	secret func(domain string) (string, error)
}

// handshake returns the credential for a stream id (XEP-0114 section 3).
func (c *component) handshake(domain, id string) (string, error) {
	secret, err := c.secret(domain)
	if err == nil && secret == "" {
		err = errors.New("no secret")
	}
	if err != nil {
		return "", fmt.Errorf("xmpp: component %s: %w", domain, err)
	}
	sum := sha1.Sum([]byte(id + secret))
	return hex.EncodeToString(sum[:]), nil
}

func (c *component) start(ctx context.Context, s *Stream, _ Element) (State, error) {
	handshake, err := c.handshake(s.Local(), s.ID())
	if err != nil {
		return 0, err
	}
	if err := s.WriteRaw(ctx, []byte("<handshake>"+handshake+"</handshake>")); err != nil {
		return 0, err
	}
	e, err := s.ReadElement(ctx)
	if err != nil {
		return 0, err
	}
	if !e.Is(NSAccept, "handshake") {
		return 0, unsupported(e)
	}
	s.authorize(pair{local: s.Local()})
	s.prove(Proof{Local: s.Local(), By: ByHandshake})
	return Authenticated, nil
}

func (c *component) serve(ctx context.Context, s *Stream, e Element) (State, error) {
	if s.initiator || s.State()&Authenticated != 0 || e.Name().Local != "handshake" {
		return 0, unsupported(e)
	}
	want, err := c.handshake(s.Remote(), s.ID())
	if err != nil {
		return 0, componentRefused(err)
	}
	got := strings.ToLower(strings.TrimSpace(e.Text()))
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 0 {
		return 0, &StreamError{Condition: NotAuthorized, Text: "wrong handshake", Local: true}
	}
	s.prove(Proof{Remote: s.Remote(), By: ByHandshake})
	if err := s.WriteRaw(ctx, []byte("<handshake/>")); err != nil {
		return 0, err
	}
	s.authorize(pair{remote: s.Remote()})
	return Authenticated, nil
}

// answer reads the domain out of the component's header and writes ours.
func (c *component) answer(s *Stream, h streamHeader) error {
	domain, err := domainAttr(h.To)
	if err != nil {
		return &StreamError{Condition: ImproperAddressing, Text: "stream header without a valid to", Local: true}
	}
	s.mu.Lock()
	s.remote, s.id = domain, newID()
	s.mu.Unlock()
	if !s.cfg.Plaintext && s.State()&Secure == 0 {
		return &StreamError{Condition: PolicyViolation, Text: "TLS is required here", Local: true}
	}
	if _, err := c.handshake(domain, s.ID()); err != nil {
		return componentRefused(err)
	}
	s.debug("component stream accepted")
	return s.WriteRaw(s.life, s.appendHeader(nil, true))
}

// componentRefused returns the stream error for a component without a secret.
func componentRefused(err error) error {
	refusal := &StreamError{Condition: HostUnknown, Local: true, Err: err}
	errors.As(err, &refusal.Condition)
	return refusal
}

// appendComponentHeader appends our stream header. Both sides' headers name the component: its own in to, the
// server's in from (XEP-0114 section 3). s.mu is held.
func (s *Stream) appendComponentHeader(dst []byte) []byte {
	dst = append(dst, "<?xml version='1.0'?><stream:stream xmlns='"+NSAccept+"' xmlns:stream='"+NSStreams+"'"...)
	if s.initiator {
		return append(appendAttr(dst, "to", s.local), '>')
	}
	if s.remote != "" {
		dst = appendAttr(dst, "from", s.remote)
	}
	if s.id != "" {
		dst = appendAttr(dst, "id", s.id)
	}
	return append(dst, '>')
}
