package xmlscan

import "strconv"

// Stream error conditions of RFC 6120 section 4.9.3 that an [Error] may carry.
const (
	NotWellFormed       = "not-well-formed"
	RestrictedXML       = "restricted-xml"
	BadNamespacePrefix  = "bad-namespace-prefix"
	InvalidXML          = "invalid-xml"
	UnsupportedEncoding = "unsupported-encoding"
	PolicyViolation     = "policy-violation"
)

// An Error says why bytes were refused. After an Error the scanner cannot go on: where the next element would begin is
// not known.
type Error struct {
	Condition string // of the stream error that the sender deserves
	Offset    int    // bytes from the start of what was scanned
	Reason    string
}

func (e *Error) Error() string {
	return "xml: " + e.Reason + " at byte " + strconv.Itoa(e.Offset) + " (" + e.Condition + ")"
}
