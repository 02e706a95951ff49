package uniform

import (
	"fmt"
	"strconv"
)

// An Error says what is wrong with an address, and where. On the wire it is
// jid-malformed in XMPP (RFC 6120 section 8.3.3.8) and _error_invalid_uniform in PSYC.
type Error struct {
	Input  string // what was given, however long
	Offset int    // where the offending byte or part begins, in bytes into Input
	Reason string
}

// Error quotes at most the first 80 bytes of the input.
func (e *Error) Error() string {
	return fmt.Sprintf("uniform: %s: %s at byte %d", quote(e.Input), e.Reason, e.Offset)
}

// A NoJIDError says that a uniform is well formed, but that no JID maps back to it. A gateway may give it one of its
// own by [Uniform.EscapedJID]. It comes up where a packet is to become a stanza, and is answered there with
// _error_invalid_uniform_source or _error_invalid_uniform_target.
type NoJIDError struct {
	Uniform Uniform
	Reason  string
}

func (e *NoJIDError) Error() string {
	return fmt.Sprintf("uniform: %s has no JID: %s", quote(e.Uniform.s), e.Reason)
}

// quote keeps a hostile address of any length from filling a log.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// A fault is an Error about a part, before it is known what the whole is.
type fault struct {
	offset int // into the part
	reason string
}

// behind moves the offset into a whole in which the part begins at offset.
func (f *fault) behind(offset int) *fault { return &fault{offset + f.offset, f.reason} }

// in makes the fault of a part an Error about the whole input, in which the part begins at offset.
func (f *fault) in(input string, offset int) *Error {
	return &Error{Input: input, Offset: offset + f.offset, Reason: f.reason}
}
