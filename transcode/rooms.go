package transcode

import (
	"bytes"
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Rooms of XEP-0045 are places of PSYC.
const (
	methodEnter           = "_request_enter"
	methodContextEnter    = "_request_context_enter"
	methodLeave           = "_request_leave"
	methodContextLeave    = "_request_context_leave"
	methodEntered         = "_echo_place_enter"
	methodNoticeEnter     = "_notice_place_enter"
	methodNoticeLeave     = "_notice_place_leave"
	methodSetTopic        = "_request_set_topic"
	methodPlaceTopic      = "_notice_place_topic"
	methodStatusTopic     = "_status_place_topic"
	methodWhisper         = "_message_public_whisper"
	methodInvitation      = "_notice_invitation"
	methodPlaceInvitation = "_notice_invitation_place"
	methodInvite          = "_request_invitation"
	methodKick            = "_request_kick"
	methodBan             = "_request_ban"

	varPassword       = "_password"
	varHistory        = "_amount_history"
	varDuty           = "_duty"
	varRole           = "_role"
	varNickNew        = "_nick_new"
	varNickActor      = "_nick_actor"
	varReason         = "_reason"
	varCode           = "_code"
	varIdentification = "_identification"
	varResource       = "_resource_identification"
	varPlace          = "_place"
	varInvitation     = "_invitation"
	varPerson         = "_person"

	nsMUCAdmin   = "http://jabber.org/protocol/muc#admin"
	nsConference = "jabber:x:conference"
)

// duties are PSYC's words for affiliations.
var duties = [...]struct{ duty, affiliation string }{
	{"owner", "owner"},
	{"administrator", "admin"},
	{"member", "member"},
	{"outcast", "outcast"},
	{"none", "none"},
}

// A parting is a way to leave a room and the status code that tells it.
type parting struct{ method, code string }

var partings = [...]parting{
	{methodNoticeLeave + "_banned", "301"},
	{methodNoticeLeave + "_nick", "303"}, // for another nick
	{methodNoticeLeave + "_kicked", "307"},
	{methodNoticeLeave + "_removed", "321"},
	{methodNoticeLeave + "_restricted", "322"},
	{methodNoticeLeave + "_shutdown", "332"},
}

// sayEnter reads a request to enter a room.
func sayEnter(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	if s.Type != "" || s.To.Resource() == "" {
		return ""
	}
	w.sayNick(varTargetResource, s.To, f)
	if h, ok := e.Child(nsMUC, "history"); ok {
		w.sayAttr(varHistory, h, "maxstanzas", f)
	}
	if password, ok := e.Child(nsMUC, "password"); ok {
		w.say(varPassword, password.Text(), f)
	}
	return methodEnter
}

func usualEnter(dst []byte, w *words) []byte {
	dst = append(dst, "<x xmlns='"+nsMUC+"'"...)
	history, password := w.get(varHistory), w.get(varPassword)
	if len(history) == 0 && len(password) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(dst, '>')
	if len(history) > 0 {
		dst = append(attribute(append(dst, "<history"...), "maxstanzas", history), "/>"...)
	}
	return append(leaf(dst, "password", password), "</x>"...)
}

// leaves reports whether a presence is the parting of a place that is known as one.
func leaves(s *xmpp.Stanza) bool {
	return s.Type == "unavailable" && s.To.Resource() != "" && strings.HasPrefix(s.To.Local(), "*")
}

// sayOccupant reads what a room tells about somebody in it.
func sayOccupant(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	item, ok := e.Child(nsMUCUser, "item")
	if !ok || s.Type != "" && s.Type != "unavailable" || s.From.Resource() == "" {
		return ""
	}
	n, entered, last := len(w.buf), false, -1 // the last of the partings that is told
	for c := range e.Children() {
		if !c.Is(nsMUCUser, "status") {
			continue
		}
		code, _ := c.AttrBytes("code")
		if len(code) == 0 {
			continue
		}
		if len(w.buf) > n {
			w.buf = append(w.buf, ' ')
		}
		w.buf = append(w.buf, code...)
		if entered = entered || string(code) == "110"; s.Type != "" {
			last = max(last, partingOf(code))
		}
	}
	codes := w.buf[n:len(w.buf):len(w.buf)]
	method, code := methodNoticeEnter, ""
	switch {
	case last >= 0:
		method, code = partings[last].method, partings[last].code
	case s.Type != "":
		method = methodNoticeLeave
	case entered:
		method, code = methodEntered, "110"
	default:
		if _, shows := s.Child("", "show"); shows {
			method = methodNoticeEnter + "_again"
		}
	}
	w.sayNick(varSourceResource, s.From, f)
	var role, jid, newNick []byte
	for name, value := range item.AttrsBytes() {
		switch string(name) {
		case "affiliation":
			w.sayDuty(value)
		case "role":
			role = value
		case "jid":
			// Spelt in another order than usualOccupant does it, it travels as XML, and needs no details beside.
			jid, w.whole = value, !f.plain && role != nil
		case "nick":
			newNick = value
		}
	}
	if !w.whole {
		if string(role) != usualRole(s.Type != "") {
			w.sayBytes(varRole, role, f)
		}
		if jid != nil {
			w.sayAddress(varIdentification, varResource, jid, f)
		}
	}
	w.sayBytes(varNickNew, newNick, f)
	if actor, ok := item.Child(nsMUCUser, "actor"); ok {
		w.sayAttr(varNickActor, actor, "nick", f)
	}
	if reason, ok := item.Child(nsMUCUser, "reason"); ok {
		w.say(varReason, reason.Text(), f)
	}
	if !w.whole && string(codes) != code {
		w.sayBytes(varCode, codes, f)
	}
	return method
}

// sayDuty says what PSYC calls an affiliation.
func (w *writer) sayDuty(affiliation []byte) {
	for i := range duties {
		if d := &duties[i]; d.affiliation == string(affiliation) && d.affiliation != "none" {
			w.set(varDuty, d.duty)
			return
		}
	}
}

// partingOf returns the number of the parting that a status code tells, -1 if it tells none.
func partingOf(code []byte) int {
	for i := range partings {
		if partings[i].code == string(code) {
			return i
		}
	}
	return -1
}

// usualRole is the role of who enters or has left, unless a room says otherwise.
func usualRole(left bool) string {
	if left {
		return "none"
	}
	return "participant"
}

func usualOccupant(dst []byte, w *words) []byte {
	left := psyc.Inherits(w.method, methodNoticeLeave)
	affiliation, duty := "none", w.get(varDuty)
	for _, d := range duties {
		if d.duty == string(duty) {
			affiliation = d.affiliation
		}
	}
	role := string(w.get(varRole))
	if role == "" {
		role = usualRole(left)
	}
	jid := w.jid(varIdentification, varResource)
	if jid.IsZero() && len(w.relay) > 0 {
		jid, _ = w.book.jid(w.relay, nil)
	}
	dst = append(append(append(dst, "<x xmlns='"+nsMUCUser+"'><item affiliation='"...), affiliation...), '\'')
	dst = attribute(dst, "jid", jid.String())
	dst = attribute(attribute(dst, "nick", w.get(varNickNew)), "role", role)
	actor, reason := w.get(varNickActor), w.get(varReason)
	if len(actor) == 0 && len(reason) == 0 {
		dst = append(dst, "/>"...)
	} else {
		dst = append(dst, '>')
		if len(actor) > 0 {
			dst = append(attribute(append(dst, "<actor"...), "nick", actor), "/>"...)
		}
		dst = append(leaf(dst, "reason", reason), "</item>"...)
	}
	if codes := w.get(varCode); len(codes) > 0 {
		for code := range bytes.FieldsSeq(codes) {
			dst = append(attribute(append(dst, "<status"...), "code", code), "/>"...)
		}
	} else if code := impliedCode(w.method); code != "" {
		dst = append(attribute(append(dst, "<status"...), "code", code), "/>"...)
	}
	return append(dst, "</x>"...)
}

// impliedCode returns the status code that a method tells.
func impliedCode(method string) string {
	if psyc.Inherits(method, methodEntered) {
		return "110"
	}
	for _, p := range partings {
		if psyc.Inherits(method, p.method) {
			return p.code
		}
	}
	return ""
}

// sayMUCUser reads the sign of a private message, and invitations by way of a room.
func sayMUCUser(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	if s.Type == "chat" {
		if len(s.Text("body")) == 0 || len(e.Inner()) > 0 {
			return ""
		}
		return methodWhisper
	}
	invite, ok := e.Child(nsMUCUser, "invite")
	if !ok || !w.silent(s, "") {
		return ""
	}
	method := methodInvite
	if to, ok := invite.AttrBytes("to"); ok {
		w.sayAddress(varInvitation, varResource, to, f)
	} else {
		from, _ := invite.AttrBytes("from")
		w.sayAddress(varIdentification, varResource, from, f)
		w.say(varPlace, w.book.uniform(s.From), f)
		method = methodPlaceInvitation
	}
	if reason, ok := invite.Child(nsMUCUser, "reason"); ok {
		w.say(varReason, reason.Text(), f)
	}
	if password, ok := e.Child(nsMUCUser, "password"); ok {
		w.say(varPassword, password.Text(), f)
	}
	return method
}

func usualWhisper(dst []byte, _ *words) []byte { return append(dst, "<x xmlns='"+nsMUCUser+"'/>"...) }

// usualInvite is what a person asks a room for, usualPlaceInvitation what the room then sends.
func usualInvite(dst []byte, w *words) []byte {
	return mediated(dst, w, "to", w.jid(varInvitation, varResource).String())
}

func usualPlaceInvitation(dst []byte, w *words) []byte {
	return mediated(dst, w, "from", w.jid(varIdentification, varResource).String())
}

func mediated(dst []byte, w *words, attr, jid string) []byte {
	dst = attribute(append(dst, "<x xmlns='"+nsMUCUser+"'><invite"...), attr, []byte(jid))
	if reason := w.get(varReason); len(reason) == 0 {
		dst = append(dst, "/>"...)
	} else {
		dst = append(leaf(append(dst, '>'), "reason", reason), "</invite>"...)
	}
	return append(leaf(dst, "password", w.get(varPassword)), "</x>"...)
}

// sayInvitation reads an invitation from person to person (XEP-0249).
func sayInvitation(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	jid, _ := e.AttrBytes("jid")
	if !w.silent(s, "") {
		return ""
	}
	n := len(w.p.Entity)
	w.sayAddress(varPlace, "", jid, f)
	if len(w.p.Entity) == n {
		return ""
	}
	w.sayAttr(varPassword, e, "password", f)
	w.sayAttr(varReason, e, "reason", f)
	return methodInvitation
}

func usualInvitation(dst []byte, w *words) []byte {
	dst = attribute(append(dst, "<x xmlns='"+nsConference+"'"...), "jid", w.jid(varPlace, "").String())
	dst = attribute(dst, "password", w.get(varPassword))
	return append(attribute(dst, "reason", w.get(varReason)), "/>"...)
}

// sayAdmin reads a request to throw somebody out.
func sayAdmin(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	item, ok := e.Child(nsMUCAdmin, "item")
	if !ok || s.Type != "set" {
		return ""
	}
	role, _ := item.Attr("role")
	affiliation, _ := item.Attr("affiliation")
	jid, _ := item.AttrBytes("jid")
	method := ""
	n := len(w.p.Entity)
	switch {
	case role == "none" && affiliation == "":
		w.sayAttr(varPerson, item, "nick", f)
		method = methodKick
	case affiliation == "outcast" && role == "":
		w.sayAddress(varPerson, "", jid, f)
		method = methodBan
	}
	if len(w.p.Entity) == n {
		return ""
	}
	if reason, ok := item.Child(nsMUCAdmin, "reason"); ok {
		w.say(varReason, reason.Text(), f)
	}
	return method
}

func usualKick(dst []byte, w *words) []byte {
	return throwOut(attribute(append(dst, "<query xmlns='"+nsMUCAdmin+"'><item"...), "nick", w.get(varPerson)), "role='none'", w)
}

func usualBan(dst []byte, w *words) []byte {
	dst = append(dst, "<query xmlns='"+nsMUCAdmin+"'><item affiliation='outcast'"...)
	return throwOut(dst, "jid='"+string(xmpp.AppendValue(nil, w.jid(varPerson, "").String()))+"'", w)
}

func throwOut(dst []byte, attr string, w *words) []byte {
	dst = append(append(dst, ' '), attr...)
	if reason := w.get(varReason); len(reason) > 0 {
		return append(leaf(append(dst, '>'), "reason", reason), "</item></query>"...)
	}
	return append(dst, "/></query>"...)
}

// occupants are the methods whose _nick is the nick in a place of who speaks there.
var occupants = [...]string{methodPublic, methodPlaceTopic, methodNoticeEnter, methodNoticeLeave, methodEntered}

// hasOccupant reports whether a method tells about somebody in a place, by nick.
func hasOccupant(method string) bool {
	return psyc.InheritsAny(method, occupants[:]...) && !psyc.Inherits(method, methodWhisper)
}

// entersPlace reports whether _nick is what the sender of a method wants to be called in the place that it is for.
func entersPlace(method string) bool {
	return psyc.InheritsAny(method, methodEnter, methodContextEnter, methodLeave, methodContextLeave)
}

// topicMethod returns the method of a subject alone, which is a topic: asked for, set by somebody, or as it is.
func topicMethod(s *xmpp.Stanza) string {
	switch {
	case s.From.Resource() == "" && s.To.Resource() != "":
		return methodStatusTopic
	case s.To.Resource() != "":
		return methodPlaceTopic
	}
	return methodSetTopic
}
