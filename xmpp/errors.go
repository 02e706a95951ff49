package xmpp

import (
	"strconv"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// Namespaces of the conditions of stanza and stream errors.
const (
	NSStanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
	NSStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
)

// A StanzaError is the error child of a stanza (RFC 6120 section 8.3). It concerns that stanza alone.
type StanzaError struct {
	Condition Condition
	Type      string // auth, cancel, continue, modify or wait; "" means the condition's own
	By        string // address of the entity that reports the error
	Address   string // of gone and redirect: where to turn to
	Text      string
	Lang      string // of Text
	App       []byte // application-specific condition, raw
}

func (e *StanzaError) Error() string {
	text := "xmpp: stanza error " + string(e.Condition)
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// Unwrap returns the condition.
func (e *StanzaError) Unwrap() error { return e.Condition }

// Error returns the error of a stanza of type error, nil if it is of another type. A condition that is missing is
// UndefinedCondition; one that RFC 6120 does not know is kept.
func (s *Stanza) Error() *StanzaError {
	if s.Type != "error" {
		return nil
	}
	child, _ := s.Child("", "error")
	return readStanzaError(child)
}

// readStanzaError reads an error element, which may be missing.
func readStanzaError(child Element) *StanzaError {
	e := &StanzaError{Condition: UndefinedCondition}
	e.Type, _ = child.Attr("type")
	e.By, _ = child.Attr("by")
	known, texts := false, 0
	for c := range child.Children() {
		switch name := c.Name(); {
		case name.Space != NSStanzaErrors:
			if e.App == nil {
				e.App = c.AppendComplete(nil)
			}
		case name.Local != "text":
			if !known {
				e.Condition, e.Address, known = Condition(name.Local), c.Text(), true
			}
		default:
			if texts++; texts == 1 {
				e.Text = c.Text()
				e.Lang, _ = c.AttrNS(NSXML, "lang")
			}
		}
	}
	return e
}

// append appends the error element; what cannot stand in one is replaced by what comes nearest.
func (e *StanzaError) append(dst []byte) []byte {
	condition := e.Condition
	if !condition.ofStanza() {
		condition = UndefinedCondition
	}
	typ := e.Type
	switch typ {
	case "auth", "cancel", "continue", "modify", "wait":
	default:
		typ = condition.errorType()
	}
	dst = appendAttr(append(dst, "<error"...), "type", typ)
	if e.By != "" {
		dst = appendAttr(dst, "by", e.By)
	}
	dst = append(append(append(dst, "><"...), condition...), " xmlns='"+NSStanzaErrors+"'"...)
	if e.Address != "" {
		dst = AppendText(append(dst, '>'), e.Address)
		dst = append(append(append(dst, "</"...), condition...), '>')
	} else {
		dst = append(dst, "/>"...)
	}
	if e.Text != "" {
		dst = append(dst, "<text xmlns='"+NSStanzaErrors+"'"...)
		if e.Lang != "" {
			dst = appendAttr(dst, "xml:lang", e.Lang)
		}
		dst = append(AppendText(append(dst, '>'), e.Text), "</text>"...)
	}
	return append(append(dst, e.App...), "</error>"...)
}

// A StreamError ends a stream (RFC 6120 section 4.9).
type StreamError struct {
	Condition Condition
	Address   string // of see-other-host: where to turn to
	Text      string
	App       []byte // application-specific condition, raw
	Local     bool   // we sent it
	Err       error  // what made us send it, such as a *[SyntaxError]; nil if there is no more to say
}

func (e *StreamError) Error() string {
	text := "xmpp: peer ended the stream: " + string(e.Condition)
	if e.Local {
		text = "xmpp: " + string(e.Condition)
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the condition and the cause.
func (e *StreamError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Condition}
	}
	return []error{e.Condition, e.Err}
}

// A SyntaxError says what is wrong with XML, and where.
type SyntaxError struct {
	Offset int64 // bytes from the start of the stream, or of what was parsed
	Reason string
}

func (e *SyntaxError) Error() string {
	return e.Reason + " at byte " + strconv.FormatInt(e.Offset, 10)
}

// refused turns what the scanner says about bytes that begin at offset base into a stream error.
func refused(err error, base int64) error {
	e, ok := err.(*xmlscan.Error)
	if !ok {
		return err
	}
	return &StreamError{
		Condition: Condition(e.Condition),
		Local:     true,
		Err:       &SyntaxError{base + int64(e.Offset), e.Reason},
	}
}

// tooLong is the stream error for an element that begins at offset base and is longer than allowed.
func tooLong(limit int, base int64) error {
	return &StreamError{
		Condition: PolicyViolation,
		Local:     true,
		Err:       &SyntaxError{base, "more than " + strconv.Itoa(limit) + " bytes"},
	}
}
