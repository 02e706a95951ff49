package transcode

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A phrase is what PSYC says in a method and variables where XMPP has a child element.
type phrase struct {
	stanzaType
	usual func(dst []byte, w *words) []byte // appends the element that the variables say
}

// phrases are the methods that are a child element, by themselves or through their closest ancestor.
var phrases = map[string]*phrase{
	methodTyping:          {chatType, usualChatState},
	methodReceived:        {chatType, usualReceipt},
	methodCorrected:       {chatType, usualCorrection},
	methodCorrectedPublic: {groupType, usualCorrection},
	methodWhisper:         {chatType, usualWhisper},
	methodInvitation:      {messageType, usualInvitation},
	methodPlaceInvitation: {messageType, usualPlaceInvitation},
	methodInvite:          {messageType, usualInvite},
	methodEnter:           {presenceType, usualEnter},
	methodContextEnter:    {presenceType, usualEnter},
	methodLeave:           {unavailableType, nil},
	methodContextLeave:    {unavailableType, nil},
	methodEntered:         {presenceType, usualOccupant},
	methodNoticeEnter:     {presenceType, usualOccupant},
	methodNoticeLeave:     {unavailableType, usualOccupant},
	methodKick:            {setType, usualKick},
	methodBan:             {setType, usualBan},
	"_echo_ping":          {resultType, usualNothing},
	"_status_version":     {resultType, usualVersion},
	methodLast:            {resultType, usualLast},
	methodTime:            {resultType, usualTime},
	methodFeatures:        {resultType, usualFeatures},
	methodItems:           {resultType, usualItems},
	methodProfile:         {resultType, usualProfile},
	"_status_description": {resultType, usualProfile},
	"_info_description":   {resultType, usualProfile},
}

// isDetail reports whether a variable is one that profile peers get only where it spares the element: few people look at it.
func isDetail(name string) bool {
	switch name {
	case varIdentification, varResource, varRole, varCode:
		return true
	}
	return false
}

// phrase returns the element that a method stands for, with the variables said, and takes e out of the skeleton if that is
// the same.
func (w *writer) phrase(method string, s *xmpp.Stanza, e xmpp.Element, f form) []byte {
	if w.whole {
		return nil
	}
	n := len(w.said)
	if usual := phraseOf(method).usual; usual != nil {
		w.said = usual(w.said, w.words(method, s))
	}
	said := w.said[n:len(w.said):len(w.said)]
	if !w.hollowOut(s, e, markPhrase, said) && s.Kind == xmpp.Presence && !f.plain {
		w.p.Entity = slices.DeleteFunc(w.p.Entity, func(v psyc.Var) bool { return isDetail(v.Name) })
	}
	return said
}

// hollowOut takes e out of the skeleton if the variables say exactly that.
func (w *writer) hollowOut(s *xmpp.Stanza, e xmpp.Element, mark byte, usual []byte) bool {
	start, _, _, end := e.Span()
	if !bytes.Equal(s.Raw()[start:end], usual) {
		return false
	}
	w.hollows = append(w.hollows, hollow{mark, start, end})
	return true
}

// phraseOf returns the phrase that a method is, through its closest ancestor; nil if that is none.
func phraseOf(method string) *phrase { return meaningOf(method).phrase }

// words are what an element is made from.
type words struct {
	method string
	vars   psyc.Vars
	from   uniform.JID
	relay  psyc.Value // who speaks by way of a place
	book   *addressBook
}

// get returns a variable. One without a value says nothing.
func (w *words) get(name string) psyc.Value { return w.vars.Get(name) }

// jid returns the address that two variables spell, zero for none.
func (w *words) jid(name, resource string) uniform.JID {
	u := w.get(name)
	if len(u) == 0 {
		return uniform.JID{}
	}
	j, err := w.book.jid(u, w.get(resource))
	if err != nil {
		return uniform.JID{}
	}
	return j
}

// A part is an element that is a text, and the variable that says it.
type part struct{ name, variable string }

// parts appends those that are said.
func (w *words) parts(dst []byte, parts []part) []byte {
	for _, p := range parts {
		dst = leaf(dst, p.name, w.get(p.variable))
	}
	return dst
}

// attribute appends name='value', with a blank in front, unless there is no value.
func attribute[T ~string | ~[]byte](dst []byte, name string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(append(append(dst, ' '), name...), "='"...)
	if !consistsOf([]byte(value), quotable) {
		return append(xmpp.AppendValue(dst, string(value)), '\'')
	}
	return append(append(dst, value...), '\'')
}

// leaf appends <name>text</name>, unless there is no text.
func leaf(dst []byte, name string, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	dst = append(append(append(dst, '<'), name...), '>')
	dst = appendText(dst, text, usualEscaping)
	return append(append(append(dst, "</"...), name...), '>')
}

// say sets a variable to a text, unless the text is empty or no value in either syntax. The element then differs from
// what the variables say, and travels whole.
func (w *writer) say(name, value string, f form) {
	if len(value) > maxValue {
		return
	}
	w.sayBytes(name, w.keep(value), f)
}

// sayBytes is say for a value that lasts as long as the packet.
func (w *writer) sayBytes(name string, value []byte, f form) {
	switch {
	case plain(value, maxValue):
	case len(value) == 0 || len(value) > maxValue || !utf8.Valid(value):
		return
	case f.plain:
		value = degrade(value, true)
	case !fitsValue(value):
		return
	}
	w.setBytes(name, value)
}

// sayParts says what the parts of e say.
func (w *writer) sayParts(parts []part, space string, e xmpp.Element, f form) {
	for _, p := range parts {
		if c, ok := e.Child(space, p.name); ok {
			w.say(p.variable, c.Text(), f)
		}
	}
}

// sayAttr says what an attribute says.
func (w *writer) sayAttr(name string, e xmpp.Element, attr string, f form) {
	value, _ := e.AttrBytes(attr)
	w.sayBytes(name, value, f)
}

// sayAddress sets variables to what a JID spells.
func (w *writer) sayAddress(name, resource string, jid []byte, f form) {
	j, err := w.book.spelling(jid)
	if err != nil {
		return
	}
	w.say(name, w.book.uniform(j), f)
	if j.Resource() != "" && !f.plain && resource != "" {
		w.say(resource, j.Resource(), f)
	}
}

// sayNick says in _nick what the nick of an address of a room is, in place of the variable of resources.
func (w *writer) sayNick(resource string, j uniform.JID, f form) {
	for i := range w.p.Entity {
		if w.p.Entity[i].Name == resource {
			w.p.Entity[i].Name = varNick
			return
		}
	}
	if f.plain || f.strip {
		w.say(varNick, j.Resource(), f)
	}
}
