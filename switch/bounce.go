package psycswitch

import (
	"context"
	"errors"
	"net"
	"os"

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

// condition says in the words of RFC 6120 section 8.3.3 why a stanza could not be delivered.
func condition(err error) xmpp.Condition {
	var (
		cond xmpp.Condition
		dns  *net.DNSError
	)
	switch {
	case errors.Is(err, ErrQueueFull):
		return xmpp.ResourceConstraint
	case errors.Is(err, ErrNotHosted):
		return xmpp.ItemNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return xmpp.RemoteServerTimeout
	case errors.Is(err, ErrNotOffered), errors.As(err, &dns):
		return xmpp.RemoteServerNotFound
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrNotProven):
		return xmpp.RemoteServerNotFound
	case errors.As(err, &cond):
		return cond
	}
	return xmpp.RemoteServerTimeout
}
