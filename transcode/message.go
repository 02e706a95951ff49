package transcode

import (
	"bytes"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Methods of messages. A message without a type is _message: PSYC's word for a text to somebody, said nowhere in
// particular.
const (
	methodMessage      = "_message"
	methodPrivate      = "_message_private"
	methodPublic       = "_message_public"
	methodAnnouncement = "_message_announcement"
)

// messageMethod returns the method of a message type, and whether it says the type exactly.
func messageMethod(typ string) (method string, exact bool) {
	switch typ {
	case "chat":
		return methodPrivate, true
	case "groupchat":
		return methodPublic, true
	case "headline":
		return methodAnnouncement, true
	}
	return methodMessage, typ == ""
}

// meCommand begins the text of an action (XEP-0245); PSYC says it in a variable instead.
const meCommand = "/me "

// message writes a message that has a text to show; it reports false, with nothing written, for all others.
func (w *writer) message(s *xmpp.Stanza, f form) bool {
	if s.Type == "error" {
		return w.failure(s, f)
	}
	raw := s.Raw()
	var texts filling
	var seen [marks + 1]bool
	n, said := len(w.p.Entity), ""
	for i := range w.children {
		c := &w.children[i]
		switch m := c.mark; {
		case m == 0:
			if said == "" {
				if said = w.speak(s, c, f); said != "" {
					texts[markPhrase] = w.phrase(said, s, c.Element, f)
				}
			}
		case m == markStatus, seen[m]:
		case m == markDelay:
			seen[m] = true
			texts[m] = w.sayDelay(s, c.Element, f)
		default:
			seen[m] = true
			texts[m] = w.take(raw, c.Element, m, f)
		}
	}
	topic := said == "" && s.Type == "groupchat" && !seen[markBody] && !seen[markNick] && len(texts[markSubject]) > 0
	method, exact := messageMethod(s.Type)
	switch {
	case len(texts[markBody]) == 0 && said != "" && !psyc.Inherits(said, methodMessage):
		method, exact = said, true
	case topic:
		if method = topicMethod(s); method == methodPlaceTopic {
			w.sayNick(varSourceResource, s.From, f)
		}
	case len(texts[markBody]) == 0:
		w.p.Entity = w.p.Entity[:n]
		w.forget()
		return false
	case said != "":
		method = said
	case f.plain && method == methodMessage:
		method = methodPrivate
	}
	if w.p.Method = method; !exact {
		w.attrs = appendAttribute(w.attrs, "type", s.Type)
	}
	if !topic {
		w.nick(s, texts[markNick], f)
	}
	if len(texts[markSubject]) > 0 {
		w.setBytes(varTopic, texts[markSubject])
	}
	if action, ok := bytes.CutPrefix(texts[markBody], []byte(meCommand)); ok && speakable(action) {
		w.setBytes(varAction, action)
	} else {
		w.p.Body = texts[markBody]
	}
	w.skel = usualMessage(w.skel[:0], &texts)
	usual := w.skel[:len(w.skel):len(w.skel)]
	w.skeleton(raw, usual, f)
	return true
}

// speakable reports whether the text after /me may be the value of _action in either syntax, so that putting /me in front
// of it gives the text back.
func speakable(action []byte) bool {
	return len(action) > 0 && action[0] != ' ' && action[0] != '\t' && fitsValue(action)
}

// nick writes what the sender wants to be called. Outside the profile everybody has a nick, as psyced's people do.
func (w *writer) nick(s *xmpp.Stanza, nick []byte, f form) {
	switch {
	case len(nick) > 0:
		w.setBytes(varNick, nick)
	case f.plain && s.Type == "groupchat" && s.From.Resource() != "" && s.To.Resource() != "":
		w.say(varNick, s.From.Resource(), f)
	case f.plain && s.From.Local() != "":
		w.set(varNick, s.From.Local())
	}
}

// usualMessage appends the skeleton of a message whose variables say it all.
func usualMessage(dst []byte, t *filling) []byte {
	if len(t[markSubject]) > 0 {
		dst = append(dst, "<subject>\x02</subject>"...)
	}
	if len(t[markBody]) > 0 {
		dst = append(dst, "<body>\x01</body>"...)
	}
	if len(t[markPhrase]) > 0 {
		dst = append(dst, markPhrase)
	}
	if len(t[markDelay]) > 0 {
		dst = append(dst, markDelay)
	}
	if len(t[markNick]) > 0 {
		dst = append(dst, nickOpen+"\x04</nick>"...)
	}
	return dst
}
