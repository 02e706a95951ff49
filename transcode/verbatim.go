package transcode

import (
	"github.com/switchyard-im/switchyard/xmpp"
)

// verbatims are the methods of what has no native form, by kind of stanza. Types that RFC 6120 and 6121 define are part of the
// method, as psyced has it; any other type stands among the attributes of what the first method is for.
var verbatims = [...][]struct{ typ, method string }{
	xmpp.Message: {
		{"", "_jabber_message"},
		{"chat", "_jabber_message_chat"},
		{"normal", "_jabber_message_normal"},
		{"headline", "_jabber_message_headline"},
		{"groupchat", "_jabber_message_groupchat"},
		{"error", "_jabber_message_error"},
	},
	xmpp.Presence: {
		{"", "_jabber_presence"},
		{"unavailable", "_jabber_presence_unavailable"},
		{"subscribe", "_jabber_presence_subscribe"},
		{"subscribed", "_jabber_presence_subscribed"},
		{"unsubscribe", "_jabber_presence_unsubscribe"},
		{"unsubscribed", "_jabber_presence_unsubscribed"},
		{"probe", "_jabber_presence_probe"},
		{"error", "_jabber_presence_error"},
	},
	xmpp.IQ: {
		{"", "_jabber_iq"},
		{"get", "_jabber_iq_get"},
		{"set", "_jabber_iq_set"},
		{"result", "_jabber_iq_result"},
		{"error", "_jabber_iq_error"},
	},
}

// verbatimMethod returns the method of a type of stanza, and whether it says the type.
func verbatimMethod(kind xmpp.Kind, typ string) (method string, exact bool) {
	for _, v := range verbatims[kind] {
		if v.typ == typ {
			return v.method, true
		}
	}
	return verbatims[kind][0].method, false
}

// verbatimTypes is verbatims the other way round.
var verbatimTypes = func() map[string]stanzaType {
	types := map[string]stanzaType{}
	for kind := range verbatims {
		for _, v := range verbatims[kind] {
			types[v.method] = stanzaType{xmpp.Kind(kind), v.typ}
		}
	}
	return types
}()

type stanzaType struct {
	kind xmpp.Kind
	typ  string
}

// verbatim writes the children as they are: in the body where it can hold any byte, else in _jabber_XML, which is where
// psyced looks for them.
func (w *writer) verbatim(s *xmpp.Stanza, f form) {
	method, exact := verbatimMethod(s.Kind, s.Type)
	if w.p.Method = method; !exact {
		w.attrs = appendAttribute(w.attrs, "type", s.Type)
	}
	switch raw := s.Raw(); {
	case !f.lines():
		w.p.Body = raw
	case len(raw) > 0:
		w.xml(raw, f)
	}
}
