package transcode

import (
	"bytes"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// natives are the methods that are a type of stanza, by themselves or through their closest ancestor.
var natives = map[string]stanzaType{
	methodMessage:                    {xmpp.Message, ""},
	methodPrivate:                    {xmpp.Message, "chat"},
	methodPublic:                     {xmpp.Message, "groupchat"},
	methodAnnouncement:               {xmpp.Message, "headline"},
	methodSetTopic:                   groupType,
	methodPlaceTopic:                 groupType,
	methodStatusTopic:                groupType,
	methodPresence:                   {xmpp.Presence, ""},
	"_status_presence":               {xmpp.Presence, ""},
	"_status_person_present":         {xmpp.Presence, ""},
	"_status_person_away":            {xmpp.Presence, ""},
	"_status_person_absent":          {xmpp.Presence, "unavailable"},
	methodFriendship:                 {xmpp.Presence, "subscribe"},
	methodFriends:                    {xmpp.Presence, "subscribed"},
	"_status_friendship_established": {xmpp.Presence, "subscribed"},
	methodUnfriend:                   {xmpp.Presence, "unsubscribe"},
	methodUnfriended:                 {xmpp.Presence, "unsubscribed"},
	methodStatusPerson:               {xmpp.Presence, "probe"},
}

// Types that phrases are.
var (
	messageType     = stanzaType{xmpp.Message, ""}
	chatType        = stanzaType{xmpp.Message, "chat"}
	groupType       = stanzaType{xmpp.Message, "groupchat"}
	presenceType    = stanzaType{xmpp.Presence, ""}
	unavailableType = stanzaType{xmpp.Presence, "unavailable"}
	setType         = stanzaType{xmpp.IQ, "set"}
	resultType      = stanzaType{xmpp.IQ, "result"}
)

// A meaning is what a method is, by itself or through its closest ancestor.
type meaning struct {
	phrase     *phrase // nil if it stands for no element
	stanzaType         // zero Kind if it is no type of stanza
	verbatim   bool    // whether the children travel as they are
	occupant   bool    // whether it tells about somebody in a place, by nick
	public     bool    // whether it is a text in a place
	enters     bool    // whether _nick is what the sender wants to be called in the place that it is for
}

// meaningOf returns what a method means.
func meaningOf(method string) meaning {
	if m, ok := meanings[method]; ok {
		return m
	}
	return findMeaning(method)
}

// meanings are those of the methods that stanzas are written as; for all others the ancestors have to be asked.
var meanings = func() map[string]meaning {
	known := map[string]meaning{}
	for method := range phrases {
		known[method] = findMeaning(method)
	}
	for method := range verbatimTypes {
		known[method] = findMeaning(method)
	}
	for method := range natives {
		known[method] = findMeaning(method)
	}
	for _, a := range availabilities {
		known[a.method] = findMeaning(a.method)
	}
	for _, s := range chatStates {
		known[s.method] = findMeaning(s.method)
	}
	for _, p := range partings {
		known[p.method] = findMeaning(p.method)
	}
	for _, e := range entities {
		known[e.method] = findMeaning(e.method)
	}
	return known
}()

// findMeaning asks the ancestors of a method what it means.
func findMeaning(method string) (of meaning) {
	of.occupant, of.public, of.enters = hasOccupant(method), psyc.Inherits(method, methodPublic), entersPlace(method)
	if psyc.Inherits(method, "_jabber") {
		of.verbatim = true
		for m := method; m != "" && of.kind == 0; m = parent(m) {
			of.stanzaType = verbatimTypes[m]
		}
		return of
	}
	first := true
	for m := method; m != ""; m = parent(m) {
		if p, ok := phrases[m]; ok && first {
			of.phrase, first = p, false
		}
		if t, ok := natives[m]; ok {
			of.stanzaType = t
			break
		}
	}
	return of
}

// children puts together the children of the stanza that p is, and returns its kind and type.
func (r *reader) children(p *psyc.Packet) (xmpp.Kind, string, error) {
	r.raw, r.said = empty(r.raw), empty(r.said)
	r.texts, r.filled, r.openType = filling{}, fill{}, false
	xml, err := r.v.xml()
	if err != nil {
		return 0, "", err
	}
	r.xml = xml
	if r.means.verbatim {
		return r.verbatim(p)
	}
	if ph := r.means.phrase; ph != nil && r.may(ph) {
		return r.phrase(p, ph, xml)
	}
	if t := r.means.stanzaType; t.kind != 0 {
		switch t.kind {
		case xmpp.Message:
			err = r.message(p, t.typ, xml)
			r.openType = p.Method == methodMessage
		default:
			t.typ, err = r.presence(p, t.typ, xml)
		}
		return t.kind, t.typ, err
	}
	for i := range requests {
		if q := &requests[i]; psyc.Inherits(p.Method, q.method) && len(r.v.tag) > 0 {
			if r.v.has[fieldXML] {
				r.raw = append(r.raw, xml...)
			} else {
				r.raw = q.usual(r.raw, r.v.value[fieldFragment])
			}
			return xmpp.IQ, "get", nil
		}
	}
	if fail := failureMethod(p.Method); fail != nil {
		return r.failure(p, fail, xml)
	}
	return r.readable(p)
}

// may reports whether the packet has the tag without which a command or an answer is none.
func (r *reader) may(ph *phrase) bool {
	switch ph.stanzaType {
	case resultType:
		return len(r.v.answered) > 0
	case setType:
		return len(r.v.tag) > 0
	}
	return true
}

// phrase reads a method that stands for a child element.
func (r *reader) phrase(p *psyc.Packet, ph *phrase, xml []byte) (kind xmpp.Kind, typ string, err error) {
	if ph.usual != nil && r.wants(xml, markPhrase) {
		r.said = ph.usual(r.said, r.words(p))
	}
	r.texts[markPhrase] = r.said
	switch ph.kind {
	case xmpp.Message:
		err = r.message(p, ph.typ, xml)
	case xmpp.Presence:
		r.texts[markStatus] = r.v.value[fieldDescription]
		show := ""
		if r.v.has[fieldAvailability] && ph.typ == "" {
			show = availabilityOf(p.Method, r.v.value[fieldAvailability]).show
		}
		r.usual = usualPresence(empty(r.usual), show, &r.texts)
		err = r.assemble(xml, r.usual)
	default:
		r.usual = r.usual[:0]
		if len(r.said) > 0 {
			r.usual = append(r.usual, markPhrase)
		}
		err = r.assemble(xml, r.usual)
	}
	return ph.kind, ph.typ, err
}

// wants reports whether the element that a mark stands for is needed: skeletons have it where variables do not say it all.
func (r *reader) wants(xml []byte, mark byte) bool {
	return !r.v.has[fieldXML] || bytes.IndexByte(xml, mark) >= 0
}

// words returns what the element of a packet's method is made from.
func (r *reader) words(p *psyc.Packet) *words {
	r.of = words{p.Method, p.Entity, r.s.From, p.Routing.Get("_source_relay"), r.book}
	return &r.of
}

// verbatim reads a method that carries XML. The variable comes first: the body beside it is a sentence for people.
func (r *reader) verbatim(p *psyc.Packet) (xmpp.Kind, string, error) {
	t := r.means.stanzaType
	if t.kind == 0 {
		return 0, "", &Error{xmpp.FeatureNotImplemented, methodUnsupported, unknownMethod(p.Method)}
	}
	if r.v.has[fieldXML] {
		r.raw = append(r.raw, r.xml...)
	} else {
		r.raw = append(r.raw, p.Body...)
	}
	r.openType = t.typ == ""
	return t.kind, t.typ, nil
}

// assemble fills the texts into the skeleton: that of the packet, or the usual one.
func (r *reader) assemble(xml, usual []byte) error {
	e, err := r.v.escaping()
	if err != nil {
		return err
	}
	if !r.v.has[fieldXML] {
		xml = usual
	}
	r.raw, err = r.texts.fill(r.raw, xml, &r.filled, e)
	return err
}

// message reads a text to somebody.
func (r *reader) message(p *psyc.Packet, typ string, xml []byte) error {
	r.texts[markSubject] = r.v.value[fieldTopic]
	if !r.speaks && !r.enters {
		r.texts[markNick] = r.v.value[fieldNick]
	}
	action := r.v.value[fieldAction]
	switch {
	case !psyc.Inherits(p.Method, methodMessage): // a topic; what is in the body says so in words
	case len(p.Body) == 0 && len(action) > 0:
		r.body = append(append(empty(r.body), meCommand...), action...)
		r.texts[markBody] = r.body
	default:
		r.texts[markBody] = p.Body
	}
	if (r.v.has[fieldTimePlace] || r.v.has[fieldTimeLog]) && psyc.Inherits(p.Method, methodMessage) && r.wants(xml, markDelay) {
		n := len(r.said)
		r.said = usualDelay(r.said, r.words(p))
		r.texts[markDelay] = r.said[n:len(r.said):len(r.said)]
	}
	r.usual = usualMessage(empty(r.usual), &r.texts)
	return r.assemble(xml, r.usual)
}

// presence reads presence and friendship.
func (r *reader) presence(p *psyc.Packet, typ string, xml []byte) (string, error) {
	r.texts[markStatus], r.texts[markNick] = r.v.value[fieldDescription], r.v.value[fieldNick]
	show := ""
	if typ == "" {
		a := availabilityOf(p.Method, r.v.value[fieldAvailability])
		if show = a.show; a.absent {
			typ = "unavailable"
		}
	}
	r.usual = usualPresence(empty(r.usual), show, &r.texts)
	return typ, r.assemble(xml, r.usual)
}

// failure reads a failure as the error of what failed.
func (r *reader) failure(p *psyc.Packet, fail *failure, xml []byte) (xmpp.Kind, string, error) {
	kind := failedKind(p)
	if kind == xmpp.IQ && len(r.v.answered) == 0 {
		kind = xmpp.Message
	}
	if r.v.has[fieldXML] {
		r.raw = append(r.raw, xml...)
		return kind, "error", nil
	}
	text := r.v.value[fieldText]
	if len(text) == 0 && string(p.Body) != fail.text {
		text = psyc.Value(p.Text())
	}
	r.raw = fail.usual(r.raw, fail.typ, text)
	return kind, "error", nil
}

// readable makes a message of what has no stanza: its template with the values filled in.
func (r *reader) readable(p *psyc.Packet) (xmpp.Kind, string, error) {
	if p.Method == "" && len(p.Entity) == 0 || circuit(p) {
		return 0, "", &Error{xmpp.FeatureNotImplemented, methodUnsupported, unknownMethod(p.Method)}
	}
	typ := "chat"
	if isPlace(r.v.context) {
		typ = "groupchat"
	}
	text := p.Text()
	if text == "" {
		text = p.Method
	}
	if text != "" {
		r.raw = append(appendText(append(r.raw, "<body>"...), []byte(text), usualEscaping), "</body>"...)
	}
	return xmpp.Message, typ, nil
}
