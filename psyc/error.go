package psyc

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the codec, for errors.Is.
var (
	// ErrIncomplete means that the input ends inside a packet.
	ErrIncomplete = errors.New("psyc: packet not complete")
	// ErrNotRepresentable means that a syntax, or the peer that the renderer writes for, cannot carry the packet.
	ErrNotRepresentable = errors.New("psyc: packet cannot be written in this syntax")
	// ErrTooLarge means that a peer exceeded one of the [Limits].
	ErrTooLarge = errors.New("psyc: limit exceeded")
)

// An Error is a PSYC error packet as a Go error: handlers return it, circuits send it, and parsers report broken
// input with it.
type Error struct {
	Method string // the wire condition: _error_invalid_syntax, _failure_unsupported_relay, ...
	Text   string // template for the body; "" leaves it to the receiver
	Vars   Vars   // entity variables that the template speaks of
	Offset int64  // of the offending byte, for syntax errors: in the input of Parse, or in the stream of a Decoder
	Err    error  // cause, never sent
}

// maxErrorText bounds what Error says of a text, and of the values in it, in bytes: both may be a peer's.
const maxErrorText = 1 << 10

// Error returns the method with the rendered text, cut if it is long, and the cause.
func (e *Error) Error() string {
	s := "psyc: " + e.Method
	if e.Text != "" {
		left := maxErrorText
		text := Expand(nil, e.Text[:min(len(e.Text), maxErrorText)], func(name string) (Value, bool) {
			v := e.Vars.Get(name)
			if v == nil || len(v) > left {
				return nil, false
			}
			left -= len(v)
			return v, true
		})
		s += ": " + string(text)
	}
	if e.Offset > 0 || strings.HasPrefix(e.Method, errSyntax10) || strings.HasPrefix(e.Method, errSyntax09) {
		s += fmt.Sprintf(" (at byte %d)", e.Offset)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error whose method e's method inherits from, so that
// errors.Is(err, &Error{Method: "_failure"}) holds for every failure.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && Inherits(e.Method, t.Method)
}

// Conditions that the parsers report. Those of PSYC 1.0 are members of _error_invalid_syntax; those of 0.9 have the
// names that a psyced gives them.
const (
	errSyntax10      = "_error_invalid_syntax"
	errContentLength = "_error_invalid_syntax_length"
	errName          = "_error_invalid_syntax_name"
	errTab           = "_error_invalid_syntax_tab"
	errValueLength   = "_error_invalid_syntax_value_length"
	errValueEnd      = "_error_invalid_syntax_value_end"
	errMethod        = "_error_invalid_syntax_method"
	errDelimiter     = "_error_invalid_syntax_delimiter"

	errSyntax09   = "_error_syntax"
	errSet09      = "_error_syntax_set"
	errAssign09   = "_error_syntax_assign"
	errAugment09  = "_error_syntax_augment"
	errDiminish09 = "_error_syntax_diminish"
	errQuery09    = "_error_syntax_query"
	errAppend09   = "_error_syntax_list_append"
	errVariable09 = "_error_illegal_protocol_variable"
	errMethod09   = "_error_illegal_method"
	errCompact09  = "_error_invalid_method_compact"
	errLength09   = "_error_invalid_length"

	errModifier = "_failure_unsupported_modifier"
	errDiminish = "_failure_unsupported_modifier_diminish"

	errPacketTooLarge = "_error_packet_too_large"
	errHeaderTooLarge = "_error_header_too_large"
	errListTooLarge   = "_error_list_too_large"
	errNameTooLarge   = "_error_name_too_large"
)

func syntaxError(method string, offset int64, text string) *Error {
	return &Error{Method: method, Text: text, Offset: offset}
}

func limitError(method string, offset int, text string) *Error {
	return &Error{Method: method, Text: text, Offset: int64(offset), Err: ErrTooLarge}
}
