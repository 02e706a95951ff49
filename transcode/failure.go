package transcode

import (
	"bytes"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// nsStanzas is the namespace of the conditions of RFC 6120 section 8.3.3.
const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"

// A failure is a stanza error condition and what PSYC calls it.
type failure struct {
	condition xmpp.Condition
	typ       string // that the condition usually has
	method    string
	text      string // template for people
}

// failures pair the conditions of RFC 6120 with methods, one to one. Where psyced has a word for it, it is psyced's.
var failures = [...]failure{
	{"bad-request", "modify", "_error_invalid_request", "[_source] does not understand the request."},
	{"conflict", "cancel", "_error_unavailable_nick", "That is taken already."},
	{"feature-not-implemented", "cancel", "_error_unsupported_method", "[_source] cannot do that."},
	{"forbidden", "auth", "_error_rejected_access", "You may not do that."},
	{"gone", "cancel", "_failure_redirect_permanent", "[_source] has moved for good."},
	{"internal-server-error", "cancel", "_failure_internal", "[_source] has a problem."},
	{"item-not-found", "cancel", "_error_unknown_name_user", "[_source] does not exist."},
	{"jid-malformed", "modify", "_error_invalid_uniform", "That is no address."},
	{"not-acceptable", "modify", "_error_unacceptable", "[_source] does not accept that."},
	{"not-allowed", "cancel", "_error_restricted", "Nobody may do that."},
	{"not-authorized", "auth", "_error_necessary_authentication", "You have to prove who you are."},
	{"payment-required", "auth", "_error_necessary_payment", "You have to pay for that."},
	{"policy-violation", "modify", "_error_rejected_policy", "That is against the rules of [_source]."},
	{"recipient-unavailable", "wait", "_failure_unavailable_recipient", "[_source] is not there."},
	{"redirect", "modify", "_failure_redirect_temporary", "[_source] is somewhere else for now."},
	{"registration-required", "auth", "_failure_necessary_registration", "You have to be registered for that."},
	{"remote-server-not-found", "cancel", "_failure_unsuccessful_delivery_resolve", "The server of [_source] was not found."},
	{"remote-server-timeout", "wait", "_failure_unsuccessful_delivery_timeout", "The server of [_source] does not answer."},
	{"resource-constraint", "wait", "_failure_exhausted", "[_source] has too much to do."},
	{"service-unavailable", "cancel", "_failure_unavailable_service", "[_source] does not offer that."},
	{"subscription-required", "auth", "_error_necessary_friendship", "You have to be friends for that."},
	{"undefined-condition", "cancel", "_failure_undefined", "Something went wrong."},
	{"unexpected-request", "wait", "_error_unexpected_request", "That came at the wrong time."},
}

// failed are further methods of psyced and the conditions closest to them; the longest ancestor counts.
var failed = map[string]xmpp.Condition{
	"_error":                                      "undefined-condition",
	"_error_illegal":                              "not-acceptable",
	"_error_illegal_uniform":                      "jid-malformed",
	"_error_invalid":                              "bad-request",
	"_error_invalid_authentication":               "not-authorized",
	"_error_necessary":                            "not-allowed",
	"_error_necessary_membership":                 "registration-required",
	"_error_place_enter":                          "not-allowed",
	"_error_place_enter_necessary_invitation":     "registration-required",
	"_error_rejected":                             "forbidden",
	"_error_unavailable":                          "conflict",
	"_error_unknown":                              "item-not-found",
	"_error_unsupported":                          "feature-not-implemented",
	"_failure":                                    "undefined-condition",
	"_failure_filter":                             "forbidden",
	"_failure_unavailable":                        "service-unavailable",
	"_failure_unsuccessful_delivery":              "remote-server-not-found",
	"_failure_unsuccessful_delivery_disconnect":   "remote-server-timeout",
	"_failure_unsuccessful_delivery_repeated":     "remote-server-timeout",
	"_failure_unsupported":                        "feature-not-implemented",
	"_failure_unsupported_function_whisper":       "service-unavailable",
	"_failure_unsuccessful_delivery_host_unknown": "remote-server-not-found",
	"_failure_unsuccessful_delivery_timeout":      "remote-server-timeout",
	"_failure_necessary":                          "registration-required",
}

// Failure returns the method that says in PSYC what a stanza error condition says in XMPP.
func Failure(c xmpp.Condition) string {
	f := failureOf(c)
	if f == nil {
		f = failureOf(xmpp.UndefinedCondition)
	}
	return f.method
}

// Condition returns the stanza error condition that comes closest to a failure or error of PSYC, and whether method is one.
func Condition(method string) (c xmpp.Condition, ok bool) {
	f := failureMethod(method)
	if f == nil {
		return "", false
	}
	return f.condition, true
}

// failureOf returns what a condition is called.
func failureOf(c xmpp.Condition) *failure {
	for i := range failures {
		if failures[i].condition == c {
			return &failures[i]
		}
	}
	return nil
}

// failureMethod returns the failure that a method names, through its closest ancestor.
func failureMethod(method string) *failure {
	for m := method; m != ""; m = parent(m) {
		for i := range failures {
			if failures[i].method == m {
				return &failures[i]
			}
		}
		if c, ok := failed[m]; ok {
			return failureOf(c)
		}
	}
	return nil
}

// parent returns the keyword that one inherits from, "" from none.
func parent(keyword string) string {
	for i := len(keyword) - 1; i > 0; i-- {
		if keyword[i] == '_' {
			return keyword[:i]
		}
	}
	return ""
}

// failure writes an error whose condition PSYC has a word for. That of a presence or an iq says in _method_relay what it is
// about; to profile peers it travels verbatim where there is more to it than a condition and a text.
func (w *writer) failure(s *xmpp.Stanza, f form) bool {
	e, ok := s.Child("", "error")
	if !ok {
		return false
	}
	var found *failure
	var text []byte
	n, vars := len(w.buf), len(w.p.Entity)
	for c := range e.Children() {
		switch name := c.Name(); {
		case name.Space != nsStanzas:
		case name.Local == "text":
			if text == nil {
				w.buf = append(w.buf, c.Text()...)
				text = w.buf[n:len(w.buf):len(w.buf)]
			}
		case found == nil:
			found = failureOf(xmpp.Condition(name.Local))
			if found == nil {
				return false
			}
		}
	}
	if found == nil {
		return false
	}
	if f.lines() {
		text = degrade(text, f.plain)
	}
	w.p.Method = found.method
	w.p.Body = w.keep(found.text)
	if len(text) > 0 && len(text) <= longestDisplay {
		w.setBytes(varText, text)
	} else {
		text = nil
	}
	raw := s.Raw()
	w.skel = found.usual(w.skel[:0], found.typ, text)
	usual := bytes.Equal(raw, w.skel)
	if about := relayed[s.Kind]; about != "" {
		if !usual && !f.plain {
			w.p.Entity, w.p.Body = w.p.Entity[:vars], nil
			return false
		}
		w.set(varMethodRelay, about)
	}
	if !usual && !f.plain {
		w.xml(raw, f)
	}
	return true
}

// relayed says what an error is about that is not about a message.
var relayed = map[xmpp.Kind]string{xmpp.Presence: methodPresence, xmpp.IQ: "_jabber_iq"}

// usual appends the error of a failure whose variables say it all.
func (f *failure) usual(dst []byte, typ string, text []byte) []byte {
	dst = append(append(append(dst, "<error type='"...), typ...), "'><"...)
	dst = append(append(dst, f.condition...), " xmlns='"+nsStanzas+"'/>"...)
	if len(text) > 0 {
		dst = append(dst, "<text xmlns='"+nsStanzas+"'>"...)
		dst = append(appendText(dst, text, usualEscaping), "</text>"...)
	}
	return append(dst, "</error>"...)
}

// failedKind returns the kind of stanza that a failure is about, as far as it says.
func failedKind(p *psyc.Packet) xmpp.Kind {
	relay := p.Entity.Get(varMethodRelay).String()
	switch {
	case psyc.Inherits(relay, "_jabber_iq"):
		return xmpp.IQ
	case psyc.Inherits(relay, "_jabber_presence"), psyc.Inherits(relay, methodPresence),
		psyc.Inherits(relay, methodFriendship), psyc.Inherits(relay, "_notice_friendship"),
		psyc.Inherits(relay, methodStatusPerson), entersPlace(relay), psyc.Inherits(p.Method, "_error_place_enter"),
		psyc.Inherits(p.Method, "_error_illegal_name_person_place"), psyc.Inherits(p.Method, "_error_unavailable_nick_place"):
		return xmpp.Presence
	}
	for i := range requests {
		if psyc.Inherits(relay, requests[i].method) {
			return xmpp.IQ
		}
	}
	return xmpp.Message
}
