package transcode

import (
	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Methods of presence.
const (
	methodPresence     = "_notice_presence"
	methodHere         = "_notice_presence_here"
	methodTalkative    = "_notice_presence_here_talkative"
	methodBusy         = "_notice_presence_here_busy"
	methodAway         = "_notice_presence_away"
	methodVacation     = "_notice_presence_absent_vacation"
	methodAbsent       = "_notice_presence_absent"
	methodFriendship   = "_request_friendship"
	methodFriends      = "_notice_friendship_established"
	methodUnfriend     = "_notice_friendship_removed"
	methodUnfriended   = "_notice_friendship_removed_implied"
	methodStatusPerson = "_request_status_person"
)

// An availability is one of PSYC's degrees with the method that announces it and what XMPP calls it.
type availability struct {
	degree, method, show string
	absent               bool
}

// availabilities, by degree. Several degrees may look alike in XMPP; the one that shown returns is what a show is written
// as, so that no show changes on its way.
var availabilities = [10]availability{
	{"0", methodAbsent, "", true}, // unknown
	{"1", methodAbsent, "", true},
	{"2", methodVacation, "xa", false},
	{"3", methodAway, "away", false},
	{"4", methodBusy, "dnd", false},
	{"5", methodBusy, "dnd", false}, // nearby
	{"6", methodBusy, "dnd", false}, // busy
	{"7", methodHere, "", false},
	{"8", methodTalkative, "chat", false},
	{"9", methodTalkative, "chat", false}, // realtime
}

// shown returns the availability that a <show/> is written as.
func shown(show string) (availability, bool) {
	switch show {
	case "":
		return availabilities[7], true
	case "chat":
		return availabilities[8], true
	case "dnd":
		return availabilities[4], true
	case "away":
		return availabilities[3], true
	case "xa":
		return availabilities[2], true
	}
	return availability{}, false
}

// subscription returns the method of a type of presence that is about friendship.
func subscription(typ string) string {
	switch typ {
	case "subscribe":
		return methodFriendship
	case "subscribed":
		return methodFriends
	case "unsubscribe":
		return methodUnfriend
	case "unsubscribed":
		return methodUnfriended
	case "probe":
		return methodStatusPerson
	}
	return ""
}

// Namespaces of group chat. A presence that has one of them speaks of a place, not of a person.
const (
	nsMUC     = "http://jabber.org/protocol/muc"
	nsMUCUser = "http://jabber.org/protocol/muc#user"
)

// presence writes a presence of a person; it reports false, with nothing written, for all others.
func (w *writer) presence(s *xmpp.Stanza, f form) bool {
	if s.Type == "error" {
		return w.failure(s, f)
	}
	raw, left := s.Raw(), leaves(s) && !w.inRoom
	var texts filling
	var seen [marks + 1]bool
	shows, said := 0, ""
	a, ok := shown("")
	for i := range w.children {
		c := &w.children[i]
		switch m := c.mark; {
		case c.term == &termShow:
			n := len(w.buf)
			w.buf = c.AppendText(w.buf)
			a, ok = shown(string(w.buf[n:]))
			shows++
		case m == markStatus && !seen[m], m == markNick && !seen[m] && !w.inRoom && !left:
			seen[m] = true
			texts[m] = w.take(raw, c.Element, m, f)
		case c.say[xmpp.Presence] != nil && said == "":
			if said = w.speak(s, c, f); said == "" {
				return w.wordless()
			}
			texts[markPhrase] = w.phrase(said, s, c.Element, f)
		}
	}
	if left {
		said = methodLeave
		w.sayNick(varTargetResource, s.To, f)
	}
	show := ""
	if said != "" {
		w.p.Method = said
		if ok && shows == 1 && s.Type == "" {
			show = a.show
			w.set(varAvailability, a.degree)
		}
		if len(texts[markStatus]) > 0 {
			w.setBytes(varDescription, texts[markStatus])
		}
		w.skel = usualPresence(w.skel[:0], show, &texts)
		w.skeleton(raw, w.skel[:len(w.skel):len(w.skel)], f)
		return true
	}
	switch method := subscription(s.Type); {
	case s.Type == "unavailable":
		w.p.Method = availabilities[1].method
		w.degree(availabilities[1], f)
	case s.Type == "" && ok && shows < 2:
		w.p.Method = a.method
		w.degree(a, f)
	case method != "":
		w.p.Method = method
	default:
		return w.wordless()
	}
	if len(texts[markStatus]) > 0 {
		w.setBytes(varDescription, texts[markStatus])
	}
	w.nick(s, texts[markNick], f)
	if s.Type == "" {
		show = a.show
	}
	w.skel = usualPresence(w.skel[:0], show, &texts)
	w.skeleton(raw, w.skel[:len(w.skel):len(w.skel)], f)
	return true
}

// degree says how available somebody is. Profile peers know from the method.
func (w *writer) degree(a availability, f form) {
	if f.plain {
		w.set(varAvailability, a.degree)
	}
}

// wordless takes back what was noted of a stanza for which there is no word, and reports false.
func (w *writer) wordless() bool {
	w.forget()
	return false
}

// forget takes back the hollows noted so far.
func (w *writer) forget() { w.hollows, w.style = w.hollows[:0], style{} }

// usualPresence appends the skeleton of a presence whose variables say it all.
func usualPresence(dst []byte, show string, t *filling) []byte {
	if show != "" {
		dst = append(append(append(dst, "<show>"...), show...), "</show>"...)
	}
	if len(t[markStatus]) > 0 {
		dst = append(dst, "<status>\x03</status>"...)
	}
	if len(t[markPhrase]) > 0 {
		dst = append(dst, markPhrase)
	}
	if len(t[markNick]) > 0 {
		dst = append(dst, nickOpen+"\x04</nick>"...)
	}
	return dst
}

// availabilityOf reads what a packet says of its sender's presence. The degree is what counts; the method tells less,
// and is all that some senders give.
func availabilityOf(method string, degree psyc.Value) availability {
	if len(degree) > 0 && '0' <= degree[0] && degree[0] <= '9' {
		return availabilities[degree[0]-'0']
	}
	switch method { // as nearly everybody spells them
	case methodAbsent:
		return availabilities[1]
	case methodVacation:
		return availabilities[2]
	case methodAway:
		return availabilities[3]
	case methodBusy:
		return availabilities[4]
	case methodHere:
		return availabilities[7]
	case methodTalkative:
		return availabilities[8]
	}
	switch {
	case psyc.Matches(method, "_absent_vacation"):
		return availabilities[2]
	case psyc.Matches(method, "_absent"):
		return availabilities[1]
	case psyc.Matches(method, "_away"):
		return availabilities[3]
	case psyc.Matches(method, "_here_busy"):
		return availabilities[4]
	case psyc.Matches(method, "_here_talkative"):
		return availabilities[8]
	}
	return availabilities[7]
}
