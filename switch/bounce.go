package psycswitch

import (
	"errors"
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// answerable reports whether the sender of s may be told that s did not arrive. Nobody asks to hear of headlines,
// results, errors, or of presence that goes to a whole roster, and an answer to an error would make a loop
// (RFC 6120 section 8.3.1, RFC 6121 section 8).
func answerable(s *xmpp.Stanza) bool {
	switch s.Kind {
	case xmpp.Message:
		return s.Type != "error" && s.Type != "headline"
	case xmpp.IQ:
		return s.Type == "get" || s.Type == "set"
	case xmpp.Presence:
		if s.Type == "subscribe" {
			return true
		}
		// A presence to a full address goes to a room, and a room that cannot be entered must be heard of.
		return s.Type == "" && s.To.Resource() != ""
	}
	return false
}

// maxEcho is how many bytes of a stanza its bounce repeats.
const maxEcho = 16 << 10

// bounced returns what the sender of s, who is one of ours, gets because of err; nil if nothing.
//
// The sender's children stand in front of the error (RFC 6120 section 8.3.1 leaves that open): what somebody wrote is not gone
// for them. Those that were refused for what they are stay out.
func bounced(s *xmpp.Stanza, err error) *xmpp.Stanza {
	if !answerable(s) {
		return nil
	}
	reason := stanzaError(err)
	reply := s.ErrorReply(reason)
	if reply == nil || reason.Condition == xmpp.PolicyViolation || len(s.Raw()) > maxEcho || s.Prefix != "" {
		return reply
	}
	plain := reply.Clone()
	for _, a := range s.Attrs {
		if a.Name == "xmlns" || strings.HasPrefix(a.Name, "xmlns:") {
			reply.Attrs = append(reply.Attrs, a)
		}
	}
	children := append(s.Raw()[:len(s.Raw()):len(s.Raw())], reply.Raw()...)
	if reply.SetRaw(children) != nil {
		return plain
	}
	return reply
}

// stanzaError says in the words of RFC 6120 section 8.3.3 why a stanza could not be delivered.
func stanzaError(err error) *xmpp.StanzaError {
	var own *xmpp.StanzaError
	if errors.As(err, &own) && !errors.Is(err, ErrUnreachable) {
		return own
	}
	reply := &xmpp.StanzaError{Condition: condition(err)}
	var doubt *doubtError
	if errors.As(err, &doubt) {
		reply.Text = doubtText
	}
	return reply
}

// A doubtError is why something bounces that may have arrived before.
type doubtError struct{ error }

func (e *doubtError) Unwrap() error { return e.error }

const doubtText = "It may have arrived."

// condition is stanzaError for what is no stanza error yet.
func condition(err error) xmpp.Condition {
	var cond xmpp.Condition
	switch {
	case errors.Is(err, ErrUnreachable):
		if notFound(err) {
			return xmpp.RemoteServerNotFound
		}
		return xmpp.RemoteServerTimeout
	case errors.Is(err, ErrQueueFull):
		return xmpp.ResourceConstraint
	case errors.Is(err, ErrNotHosted):
		return xmpp.ItemNotFound
	case errors.Is(err, psyc.ErrNotRepresentable), errors.Is(err, psyc.ErrTooLarge):
		return xmpp.PolicyViolation
	case errors.As(err, &cond):
		return cond
	}
	return xmpp.RemoteServerTimeout
}

// notFound reports whether a failure to reach a domain says that there is no such domain: that DNS has no way to it, or that
// who answers there does not host it. A domain whose servers do not answer, or with whom we come to no terms, is there.
func notFound(err error) bool {
	found, missing := false, false
	for e := range causes(err) {
		switch e := e.(type) {
		case *ResolveError:
			found = found || e.Timeout()
			missing = missing || !e.Timeout()
		case *DialError:
			if unknownThere(e) {
				return true
			}
			found = true
		}
	}
	return missing && !found
}

// unknownThere reports whether a peer said that it does not host the domain that we wanted.
func unknownThere(err error) bool {
	var said *psyc.Error
	return errors.Is(err, xmpp.HostUnknown) || errors.Is(err, xmpp.HostGone) ||
		errors.As(err, &said) && psyc.Inherits(said.Method, "_error_invalid_uniform_target")
}

// causes yields err and all that it wraps.
func causes(err error) func(yield func(error) bool) {
	return func(yield func(error) bool) { walk(err, yield) }
}

func walk(err error, yield func(error) bool) bool {
	if err == nil {
		return true
	}
	if !yield(err) {
		return false
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return walk(e.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if !walk(inner, yield) {
				return false
			}
		}
	}
	return true
}

// answerTo says what the sender of a stanza is told that a handler refused with err. Errors of routers are no conditions
// by themselves.
func answerTo(err error) error {
	var cond xmpp.Condition
	switch {
	case errors.As(err, &cond):
		return err
	case errors.Is(err, ErrQueueFull), errors.Is(err, ErrNotHosted), errors.Is(err, ErrUnreachable), errors.Is(err, ErrClosed):
		return condition(err)
	}
	return err
}
