package xmpp

import (
	"context"
	"errors"
	"strings"

	"github.com/switchyard-im/switchyard/uniform"
)

// Reply returns an empty stanza of the same kind and id, of type typ, back to the sender.
func (s *Stanza) Reply(typ string) *Stanza {
	r := &Stanza{Kind: s.Kind, Type: typ, ID: s.ID, From: s.To, To: s.From, Space: s.Space}
	if id, ok := s.attr("id"); ok && s.ID == "" {
		r.Attrs = []Attr{{"id", id}}
	}
	return r
}

// ErrorReply returns the answer to s that err calls for, or nil where RFC 6120 forbids one: an error is never answered by
// an error (section 8.3.1), and neither is the result of an iq (section 8.2.3). It does not echo the children of s.
//
// A *[StanzaError] is taken as it is, a [Condition] becomes one; an address that cannot be parsed is jid-malformed, an
// expired context remote-server-timeout. Any other error becomes internal-server-error without its text, which is not for
// strangers; no error calls for no answer. Where the address that s was sent to is malformed, the answer comes from its domain, if that can be told.
func (s *Stanza) ErrorReply(err error) *Stanza {
	if err == nil || s.Type == "error" || s.Kind == IQ && s.Type == "result" || s.Kind == 0 {
		return nil
	}
	r := s.Reply("error")
	if to, ok := s.attr("to"); ok && r.From.IsZero() {
		domain, _, _ := strings.Cut(to, "/")
		if i := strings.IndexByte(domain, '@'); i >= 0 {
			domain = domain[i+1:]
		}
		r.From, _ = uniform.RelayJID(domain)
	}
	var malformed *uniform.Error
	e := new(StanzaError)
	switch {
	case errors.As(err, &e):
	case errors.As(err, &e.Condition) && e.Condition.ofStanza():
	case errors.As(err, &malformed):
		e.Condition, e.Text = JIDMalformed, malformed.Reason
	case errors.Is(err, context.DeadlineExceeded):
		e.Condition = RemoteServerTimeout
	default:
		e.Condition = InternalServerError
	}
	if r.SetRaw(e.append(nil)) != nil {
		bare := *e
		bare.App = nil // which can only be what is wrong
		_ = r.SetRaw(bare.append(nil))
	}
	return r
}
