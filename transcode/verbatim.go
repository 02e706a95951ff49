package transcode

import (
	"github.com/switchyard-im/switchyard/xmpp"
)

// The methods of what has no native form. Types that RFC 6120 and 6121 define are part of the method, as psyced has it;
// any other type stands among the attributes.
var verbatims = map[string]struct {
	kind xmpp.Kind
	typ  string
}{
	"_jabber_message":               {xmpp.Message, ""},
	"_jabber_message_chat":          {xmpp.Message, "chat"},
	"_jabber_message_normal":        {xmpp.Message, "normal"},
	"_jabber_message_headline":      {xmpp.Message, "headline"},
	"_jabber_message_groupchat":     {xmpp.Message, "groupchat"},
	"_jabber_message_error":         {xmpp.Message, "error"},
	"_jabber_presence":              {xmpp.Presence, ""},
	"_jabber_presence_unavailable":  {xmpp.Presence, "unavailable"},
	"_jabber_presence_subscribe":    {xmpp.Presence, "subscribe"},
	"_jabber_presence_subscribed":   {xmpp.Presence, "subscribed"},
	"_jabber_presence_unsubscribe":  {xmpp.Presence, "unsubscribe"},
	"_jabber_presence_unsubscribed": {xmpp.Presence, "unsubscribed"},
	"_jabber_presence_probe":        {xmpp.Presence, "probe"},
	"_jabber_presence_error":        {xmpp.Presence, "error"},
	"_jabber_iq":                    {xmpp.IQ, ""},
	"_jabber_iq_get":                {xmpp.IQ, "get"},
	"_jabber_iq_set":                {xmpp.IQ, "set"},
	"_jabber_iq_result":             {xmpp.IQ, "result"},
	"_jabber_iq_error":              {xmpp.IQ, "error"},
}

// verbatimMethods is verbatims the other way round.
var verbatimMethods = func() map[stanzaType]string {
	m := make(map[stanzaType]string)
	for method, v := range verbatims {
		m[stanzaType{v.kind, v.typ}] = method
	}
	return m
}()

type stanzaType struct {
	kind xmpp.Kind
	typ  string
}

// verbatim writes the children as they are: in the body where it can hold any byte, else in _jabber_XML, which is where
// psyced looks for them.
func (w *writer) verbatim(s *xmpp.Stanza, f form) {
	method, ok := verbatimMethods[stanzaType{s.Kind, s.Type}]
	if !ok {
		method = verbatimMethods[stanzaType{s.Kind, ""}]
		w.attrs = appendAttribute(w.attrs, "type", s.Type)
	}
	w.p.Method = method
	switch raw := s.Raw(); {
	case !f.lines():
		w.p.Body = raw
	case len(raw) > 0:
		w.xml(raw, f)
	}
}
