package main

import (
	"io"
	"time"
)

// A published scenario is one of Kille and Jennings 2007 (http://blog.isode.com/2007/07/index.html): two domains whose users have all their
// contacts with the other one.
type published struct {
	users    int     // of each domain
	contacts float64 // of each user
	changes  float64 // of presence, an hour
	kBs      float64 // published, of both directions
}

// isode holds the rows for XMPP.
var isode = []published{
	{20_000, 4, 3, 30},
	{20_000, 20, 3, 150},
	{60_000, 10, 3, 225},
	{10_000_000, 10, 6, 70_833},
}

// What the published rows are made of. The text of the analysis that they were computed with is no longer to be had. These two constants are
// fitted: 200 bytes for a change of presence and 600 bytes for the beginning and the end of a session of eight hours, for each contact, give all
// four rows, which have two rates of changes and three products of users and contacts.
const (
	isodeSession = 8 * time.Hour
	isodeChange  = 200
	isodeEnds    = 600
)

// arithmetic returns what the row follows from, in kB/s.
func (p published) arithmetic() float64 {
	each := isodeEnds + isodeChange*p.changes*isodeSession.Hours()
	return 2 * float64(p.users) * p.contacts * each / isodeSession.Seconds() / 1000
}

// model returns the assumptions of the scenario, with presence of so many bytes. roomy says whether fan-out has room for
// all audiences.
func (p published) model(m *Model, bytes int, roomy bool) *Model {
	s := *m
	s.Users, s.Servers, s.Zipf = 2*p.users, 2, 0
	s.Contacts, s.Spread, s.Home = p.contacts, 0, 0
	s.Clients, s.Logons, s.Session, s.Changes = 1, 1, isodeSession, p.changes
	s.Chats, s.Rooms, s.Caps, s.StatusBytes = 0, 0, false, 0
	s.pad(bytes)
	if roomy {
		s.Audiences, s.Members = p.users, int(float64(p.users)*p.contacts)
	}
	return &s
}

// pad makes the text of a presence as long as stanzas of so many bytes need.
func (m *Model) pad(bytes int) {
	from, to := jid(name("u", 0, m.NameBytes), domain(0), name("c", 0, m.ResourceBytes)), jid(name("u", 0, m.NameBytes), domain(0), "")
	m.StatusBytes = 1
	total := 0
	for n := range shows {
		s := newAuthor(m).presence(from, n)
		s.To = to
		total += len(s.Append(nil))
	}
	m.StatusBytes = max(bytes-total/len(shows)+1, 0)
}

// simulated returns kB/s while the session lasts.
func (p published) simulated(m *Model, roomy bool) (*result, [protocols]float64, error) {
	var kBs [protocols]float64
	r, err := simulate(p.model(m, isodeChange, roomy))
	if err != nil {
		return nil, kBs, err
	}
	for k := range kBs {
		kBs[k] = r.total[k].bytes / isodeSession.Seconds() / 1000
	}
	return r, kBs, nil
}

// Hancke 2008 (https://mail.jabber.org/pipermail/standards/2008-March/018271.html) compares, for the first scenario of
// draft-saintandre-xmpp-presence-analysis, RFC 3920 with stanza repeaters, which send one stanza to each remote domain, longer by 180
// bytes.
const (
	hanckeXMPP      = 580_000_000
	hanckeRepeaters = 251_200_000
	hanckePresence  = 300 // bytes
	hanckeProbe     = 100 // of a probe, and of unavailable presence
	hanckeLonger    = 180
)

// hanckeArithmetic returns the bytes of the users of one domain in a session of eight hours: presence at its beginning and at each change, a
// probe, and unavailable presence, to each contact or once. That the scenario has the users and contacts of Isode's first row is inferred from
// the sum for repeaters.
func hanckeArithmetic(p published) (perContact, repeaters float64) {
	stanzas := 1 + p.changes*isodeSession.Hours()
	perContact = float64(p.users) * p.contacts * (stanzas*hanckePresence + 2*hanckeProbe)
	repeaters = float64(p.users) * (stanzas*(hanckePresence+hanckeLonger) + 2*(hanckeProbe+hanckeLonger))
	return perContact, repeaters
}

// printPublished writes what others computed beside what the simulator makes of their assumptions. The first row is Hancke's scenario, too.
func printPublished(w io.Writer, m *Model, rows []published) error {
	t := newTable(w, "Kille and Jennings 2007: two domains, each user with contacts in the other; kB/s of presence in eight hours")
	t.row("users/domain", "contacts", "changes/h", "published", "its arithmetic", "XMPP", "of published", "zlib/stanza", "zlib/write", "PSYC", "fan-out", "all audiences", "error")
	for _, p := range rows {
		r, kBs, err := p.simulated(m, false)
		if err != nil {
			return err
		}
		_, roomy, err := p.simulated(m, true)
		if err != nil {
			return err
		}
		t.row(p.users, p.contacts, p.changes, p.kBs, p.arithmetic(), kBs[plainXMPP], percent(kBs[plainXMPP], p.kBs), kBs[zlibStanza], kBs[zlibWrite],
			kBs[unicast], kBs[fanOut], roomy[fanOut], r.accuracy())
	}
	t.Flush()
	paragraph(w, `Arithmetic: 200 bytes for each change and 600 for beginning and end of a session, for each contact, fitted to the four rows, which it gives. The simulator sends
		changes of 200 bytes likewise, but probes, answers of those who are there, and unavailable presence as long as they are. "fan-out" remembers
		-audiences on the link, "all audiences" as many as there are users.`)

	first := rows[0]
	each, repeaters := hanckeArithmetic(first)
	t = newTable(w, "Hancke 2008: MB of one domain in eight hours, 20,000 users with 4 contacts each in one other domain")
	t.row("", "published", "its arithmetic", "of published")
	t.row("RFC 3920", hanckeXMPP/1e6, each/1e6, percent(each, hanckeXMPP))
	t.row("repeaters", hanckeRepeaters/1e6, repeaters/1e6, percent(repeaters, hanckeRepeaters))
	t.row("saving", percent(hanckeXMPP-hanckeRepeaters, hanckeXMPP), percent(each-repeaters, each), "")
	t.Flush()
	r, err := simulate(first.model(m, hanckePresence, true))
	if err != nil {
		return err
	}
	t = newTable(w, "The same in the simulator, with presence of 300 bytes and room for all audiences")
	t.row("", "MB", "saving")
	for p := range r.total {
		t.row(protocol(p).String(), r.total[p].bytes/2e6, percent(r.total[plainXMPP].bytes-r.total[p].bytes, r.total[plainXMPP].bytes))
	}
	t.Flush()
	paragraph(w, `Arithmetic: 25 presences, a probe and an unavailable presence, to each contact or once, of 300 and 100 bytes, with repeaters 180 more. It gives the published
		sum for repeaters; that for RFC 3920 is lower by 1,800 bytes a user, and which stanzas it leaves out is not known.`)
	return nil
}
