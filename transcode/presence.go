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
	raw, space := s.Raw(), stanzaSpace(s)
	var texts filling
	var seen [marks + 1]bool
	show, shows := "", 0
	for e := range s.Children() {
		n := e.Name()
		if n.Space == nsMUC || n.Space == nsMUCUser {
			w.forget()
			return false
		}
		if e.Is(space, "show") {
			show = e.Text()
			shows++
		}
		m := markOf(e, space)
		if (m == markStatus || m == markNick) && !seen[m] {
			seen[m] = true
			texts[m] = w.take(raw, e, byte(m), f)
		}
	}
	a, ok := shown(show)
	switch method := subscription(s.Type); {
	case s.Type == "unavailable":
		a = availabilities[1]
		w.p.Method = a.method
		w.set(varAvailability, a.degree)
	case s.Type == "" && ok && shows < 2:
		w.p.Method = a.method
		w.set(varAvailability, a.degree)
	case method != "":
		w.p.Method = method
	default:
		w.forget()
		return false
	}
	if len(texts[markStatus]) > 0 {
		w.setBytes(varDescription, texts[markStatus])
	}
	w.nick(s, texts[markNick], f)
	if s.Type != "" {
		show = ""
	} else {
		show = a.show
	}
	w.skel = usualPresence(w.skel[:0], show, &texts)
	w.skeleton(raw, w.skel[:len(w.skel):len(w.skel)], f)
	return true
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
