package transcode

import "github.com/switchyard-im/switchyard/xmpp"

// A term is an element that PSYC may have a word for, where it is a child of a stanza.
type term struct {
	space, local string // space is "" for the namespace of the stanza
	mark         byte   // of its text, or of itself
	say          [xmpp.IQ + 1]speaker
}

// A speaker sets the variables that say what an element says and returns the method, "" if there is no word for it.
type speaker func(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) (method string)

var (
	termBody   = term{local: "body", mark: markBody}
	termShow   = term{local: "show"}
	termPacket = term{space: nsPacket, local: "packet"}
)

var terms = [...]*term{
	&termBody,
	{local: "subject", mark: markSubject},
	&termShow,
	{local: "status", mark: markStatus},
	{space: nsNick, local: "nick", mark: markNick},
	{space: nsDelay, local: "delay", mark: markDelay},
	&termPacket,

	{space: nsChatStates, local: "active", say: in(xmpp.Message, sayChatState)},
	{space: nsChatStates, local: "composing", say: in(xmpp.Message, sayChatState)},
	{space: nsChatStates, local: "gone", say: in(xmpp.Message, sayChatState)},
	{space: nsChatStates, local: "inactive", say: in(xmpp.Message, sayChatState)},
	{space: nsChatStates, local: "paused", say: in(xmpp.Message, sayChatState)},
	{space: nsReceipts, local: "received", say: in(xmpp.Message, sayReceipt)},
	{space: nsCorrect, local: "replace", say: in(xmpp.Message, sayCorrection)},
	{space: nsConference, local: "x", say: in(xmpp.Message, sayInvitation)},
	{space: nsMUCUser, local: "x", say: [...]speaker{xmpp.Message: sayMUCUser, xmpp.Presence: sayOccupant, xmpp.IQ: nil}},
	{space: nsMUC, local: "x", say: in(xmpp.Presence, sayEnter)},
	{space: nsMUCAdmin, local: "query", say: in(xmpp.IQ, sayAdmin)},
	{space: nsVersion, local: "query", say: in(xmpp.IQ, sayVersion)},
	{space: nsLast, local: "query", say: in(xmpp.IQ, sayLast)},
	{space: nsTime, local: "time", say: in(xmpp.IQ, sayTime)},
	{space: nsDiscoInfo, local: "query", say: in(xmpp.IQ, sayFeatures)},
	{space: nsDiscoItems, local: "query", say: in(xmpp.IQ, sayItems)},
	{space: nsVCard, local: "vCard", say: in(xmpp.IQ, sayProfile)},
}

// in is the speakers of an element that means something in one kind of stanza.
func in(kind xmpp.Kind, say speaker) (of [xmpp.IQ + 1]speaker) {
	of[kind] = say
	return of
}

// termsBy holds the terms by their buckets: most children of stanzas are none, and have to be told so quickly.
var termsBy = func() (of [buckets][]*term) {
	for _, t := range terms {
		n := bucket([]byte(t.local))
		of[n] = append(of[n], t)
	}
	return of
}()

const buckets = 32

// bucket is where to look for a local name, which is never empty.
func bucket(local []byte) int { return (int(local[0]) + 4*len(local)) % buckets }

// termOf returns the term that a child of a stanza in the given namespace is, nil if it is none.
func termOf(e xmpp.Element, space string) *term {
	local := e.Local()
	for _, t := range termsBy[bucket(local)] {
		if string(local) != t.local {
			continue
		}
		in := t.space
		if in == "" {
			in = space
		}
		if string(e.Space()) == in {
			return t
		}
	}
	return nil
}

// A child is a child element that is a term.
type child struct {
	*term
	xmpp.Element
}

// survey finds the children of s that are terms, for write and restore. An iq has but one.
func (w *writer) survey(s *xmpp.Stanza) {
	w.children, w.hasText, w.inRoom, w.packet = w.children[:0], false, false, xmpp.Element{}
	if s.Kind == xmpp.IQ {
		return
	}
	var last *term
	space := stanzaSpace(s)
	for e := range s.Children() {
		if last = termOf(e, space); last == nil {
			continue
		}
		w.children = append(w.children, child{last, e})
		w.hasText = w.hasText || last == &termBody
		w.inRoom = w.inRoom || last.say[xmpp.Presence] != nil
	}
	if last == &termPacket {
		w.packet = w.children[len(w.children)-1].Element
	}
}

// speak sets the variables of a child if there is a word for it, and returns the method.
func (w *writer) speak(s *xmpp.Stanza, c *child, f form) string {
	say := c.say[s.Kind]
	if say == nil {
		return ""
	}
	n := len(w.p.Entity)
	method := say(w, s, c.Element, f)
	if method == "" {
		w.p.Entity = w.p.Entity[:n]
	}
	return method
}
