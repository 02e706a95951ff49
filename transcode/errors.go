package transcode

import (
	"fmt"

	"github.com/switchyard-im/switchyard/xmpp"
)

// An Error says why something cannot be converted, in the words of both wires.
type Error struct {
	Condition xmpp.Condition // what an XMPP sender is told (RFC 6120 section 8.3.3)
	Method    string         // what a PSYC sender is told
	Err       error          // what is wrong; wraps errors of the packages uniform, psyc and xmpp
}

func (e *Error) Error() string { return "transcode: " + e.Err.Error() }

// Unwrap makes errors.Is find the condition as well as the cause.
func (e *Error) Unwrap() []error { return []error{e.Condition, e.Err} }

// Methods of the errors that packets cause.
const (
	methodInvalidProfile = "_error_invalid_profile" // a packet contradicts itself, or its XML is broken
	methodInvalidUniform = "_error_invalid_uniform"
	methodUnsupported    = "_error_unsupported_method"
	methodState          = "_failure_unsupported_state"
	methodRejected       = "_error_rejected_policy"
	methodExhausted      = "_failure_exhausted"
)

// contradiction is the error about a packet of a profile peer that no stanza can give.
func contradiction(format string, args ...any) *Error {
	return &Error{xmpp.BadRequest, methodInvalidProfile, fmt.Errorf(format, args...)}
}

// badAddress is the error about an address that has no counterpart.
func badAddress(what string, err error) *Error {
	return &Error{xmpp.JIDMalformed, methodInvalidUniform, fmt.Errorf("%s: %w", what, err)}
}
