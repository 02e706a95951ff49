package replay

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A Peer is psyced as it was recorded.
type Peer struct {
	TLS        *tls.Config       // of its server side, for conversations with TLS
	Rename     *strings.Replacer // recorded names of hosts to those of the test; nil: as recorded
	Patience   time.Duration     // for what has to come; 10 s
	Deviations []Deviation       // what the side under test may do otherwise; nil: nothing
	Rules      []Rule            // nil: the [Rules]
	Pace       bool              // psyced says each thing when it did, not as soon as it may: for tests with a clock of their own

	// Trace is told of each unit when its turn has come: ">" before what the side under test has sent as it was recorded, "<" before what
	// psyced said, "-" before what was recorded and is left out, "+" before what is added, with the names of the deviations by which that may be.
	Trace func(line string)
}

// A Difference says where the side under test departs from the recording.
type Difference struct {
	Conversation string
	At           time.Duration // in the recording
	Reason       string
	Want, Got    []byte // what the recorded peer sent, and what came instead; nil: nothing
}

// Error shows both, line by line.
func (d *Difference) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "replay: %s at +%.3f: %s", d.Conversation, d.At.Seconds(), d.Reason)
	for _, part := range []struct {
		what string
		data []byte
	}{{"recorded", d.Want}, {"sent", d.Got}} {
		if part.data != nil {
			fmt.Fprintf(&s, "\n%s:\n%s", part.what, escape(part.data))
		}
	}
	return s.String()
}

// A session is one conversation being played.
type session struct {
	peer *Peer
	c    *Conversation
	conn net.Conn
	at   time.Duration
	tags map[string]string // recorded to sent; of all that go on together

	recorded, said splitter // what the recorded peer sent, and psyced
	over           bool     // psyced has closed

	used []string // deviations that the unit at hand needs

	in      splitter // what comes
	waiting []Unit
	begun   bool // the first line has come
	greeted bool // and the greeting
	broken  []error
	sight   Sight
}

// Play plays psyced's part of c on conn, and closes conn when the recorded session ends. The error is a *[Difference], joined with
// every *[Violation] of a rule, or one of the connection.
func (p *Peer) Play(conn net.Conn, c *Conversation) error {
	return p.PlayAll(func(*Conversation) (net.Conn, error) { return conn, nil }, c)
}

// PlayAll is Play for conversations of one recording that took place at the same time: what happened on all of them happens in the recorded order.
// connect returns the connection for each as soon as something was said on it.
func (p *Peer) PlayAll(connect func(*Conversation) (net.Conn, error), cs ...*Conversation) error {
	var sessions []*session
	of := make(map[*Conversation]*session)
	tags, begun := make(map[string]string), time.Now()
	defer func() {
		for _, s := range sessions {
			s.conn.Close()
		}
	}()
	err := func() error {
		for i, m := range merged(cs) {
			if p.Pace && m.Sender == Psyced {
				// One after the other, also what was recorded at one moment.
				time.Sleep(time.Until(begun.Add(m.At + time.Duration(i)*time.Microsecond)))
			}
			s := of[m.c]
			if s == nil {
				conn, err := connect(m.c)
				if err != nil {
					return fmt.Errorf("replay: %v: %w", m.c, err)
				}
				s = &session{peer: p, c: m.c, conn: conn, tags: tags}
				of[m.c], sessions = s, append(sessions, s)
			}
			if err := s.happens(m.Event); err != nil {
				return err
			}
		}
		for _, s := range sessions {
			if err := s.drain(); err != nil {
				return err
			}
		}
		return nil
	}()
	var broken []error
	for _, s := range sessions {
		broken = append(broken, s.broken...)
	}
	return errors.Join(append(broken, err)...)
}

// A moment is an event and where it was.
type moment struct {
	c *Conversation
	Event
}

// merged returns the events of conversations in their order.
func merged(cs []*Conversation) []moment {
	var all []moment
	for _, c := range cs {
		for _, e := range c.Events {
			all = append(all, moment{c, e})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.At, b.At) })
	return all
}

// happens plays one event.
func (s *session) happens(e Event) error {
	s.at = e.At
	switch {
	case s.over, e.Closed && e.Sender == Ours: // whoever is under test hangs up when it likes
		return nil
	case e.TLS:
		return s.startTLS()
	case e.Closed:
		s.over = true
		return s.conn.Close()
	case e.Sender == Psyced:
		return s.write(e.Data)
	}
	units, err := s.recorded.feed(s.renamed(e.Data))
	for _, u := range units {
		if err := s.expect(u); err != nil {
			return err
		}
	}
	if err != nil && s.peer.Deviations != nil {
		// A mistake on purpose. Nobody makes it again.
		s.recorded.buf = nil
		s.trace("-", "no packet")
		return nil
	}
	return err
}

func (s *session) trace(sign, what string, by ...string) {
	if s.peer.Trace == nil {
		return
	}
	line := sign + " " + what
	if len(by) > 0 {
		line += " (" + strings.Join(by, ", ") + ")"
	}
	if s.c.Name != "" {
		line = s.c.Name + " " + line
	}
	s.peer.Trace(line)
}

func (s *session) patience() time.Time {
	wait := s.peer.Patience
	if wait <= 0 {
		wait = 10 * time.Second
	}
	return time.Now().Add(wait)
}

func (s *session) startTLS() error {
	t := tls.Server(s.conn, s.peer.TLS)
	t.SetDeadline(s.patience())
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("replay: %v at +%.3f: TLS: %w", s.c, s.at.Seconds(), err)
	}
	t.SetDeadline(time.Time{})
	s.conn = t
	return nil
}

func (s *session) renamed(data []byte) []byte {
	if s.peer.Rename == nil {
		return data
	}
	return []byte(s.peer.Rename.Replace(string(data)))
}

// write sends a piece as psyced did, with the tags that were sent to it.
func (s *session) write(data []byte) error {
	data = s.renamed(data)
	for recorded, sent := range s.tags {
		for _, name := range []string{":_tag\t", ":_tag_reply\t", ":_tag_relay\t"} {
			data = bytes.ReplaceAll(data, []byte(name+recorded+"\n"), []byte(name+sent+"\n"))
		}
	}
	s.sight.answer(data)
	units, _ := s.said.feed(data) // psyced makes mistakes, too
	for _, u := range units {
		s.trace("<", u.Name())
	}
	s.conn.SetWriteDeadline(s.patience())
	if _, err := s.conn.Write(data); err != nil {
		return &Difference{Conversation: s.c.String(), At: s.at, Reason: "what psyced says is not read: " + err.Error(), Want: data}
	}
	return nil
}

// next returns the next unit that comes, greetings and keep-alives apart.
func (s *session) next() (Unit, error) {
	for {
		if len(s.waiting) > 0 {
			u := s.waiting[0]
			s.waiting = s.waiting[1:]
			s.check(u)
			switch {
			case u.First():
				s.begun = true
			case u.Greeting():
				s.greeted = s.greeted || u.Packet.Method == "_notice_circuit_established"
			default:
				return u, nil
			}
			return u, errOwn
		}
		b := make([]byte, 64<<10)
		s.conn.SetReadDeadline(s.patience())
		n, err := s.conn.Read(b)
		units, bad := s.in.feed(b[:n])
		s.waiting = append(s.waiting, units...)
		if bad != nil {
			return Unit{}, bad
		}
		if err != nil && len(units) == 0 {
			return Unit{}, err
		}
	}
}

var errOwn = errors.New("replay: the circuit's own")

// check applies the rules.
func (s *session) check(u Unit) {
	rules := s.peer.Rules
	if rules == nil {
		rules = Rules
	}
	s.sight.Unit, s.sight.Now = u, time.Now()
	for _, r := range rules {
		if err := r.Check(&s.sight); err != nil {
			s.broken = append(s.broken, &Violation{Rule: r, Conversation: s.c.String(), Sent: u.Raw, Err: err})
		}
	}
	s.sight.remember()
}

// expect waits for what matches the recorded unit want.
func (s *session) expect(want Unit) error {
	for _, d := range s.peer.Deviations {
		if d.Leaves != nil && d.Leaves(want) {
			s.trace("-", want.Name(), d.Name)
			return nil
		}
	}
	done := func() bool { return false }
	switch {
	case want.First():
		done = func() bool { return s.begun }
	case want.Greeting() && want.Packet.Method == "_status_circuit":
		return nil
	case want.Greeting():
		done = func() bool { return s.greeted }
	}
	for !done() {
		got, err := s.next()
		switch {
		case errors.Is(err, errOwn):
			continue
		case err != nil:
			return &Difference{s.c.String(), s.at, "nothing more comes: " + err.Error(), want.Raw, nil}
		case want.First() || want.Greeting():
			if added, err := s.added(got); err != nil {
				return err
			} else if !added {
				return &Difference{s.c.String(), s.at, "the greeting comes first", want.Raw, got.Raw}
			}
			continue
		}
		s.used = nil
		reason := s.differs(want, got)
		if reason == "" {
			s.trace(">", got.Name(), s.used...)
			return nil
		}
		if added, err := s.added(got); err != nil {
			return err
		} else if !added {
			return &Difference{s.c.String(), s.at, reason, want.Raw, got.Raw}
		}
	}
	return nil
}

// added reports whether got may be sent although it was not recorded, and answers it.
func (s *session) added(got Unit) (bool, error) {
	for _, d := range s.peer.Deviations {
		if d.Adds == nil {
			continue
		}
		if answer, ok := d.Adds(got); ok {
			s.trace("+", got.Name(), d.Name)
			if answer == "" {
				return true, nil
			}
			return true, s.write([]byte(answer))
		}
	}
	return false, nil
}

// differs says in what got departs from want.
func (s *session) differs(want, got Unit) string {
	if (want.Packet == nil) != (got.Packet == nil) {
		return "XML against a packet"
	}
	if want.Packet == nil {
		switch {
		case want.XML != got.XML:
			return fmt.Sprintf("<%s> instead of <%s>", got.XML, want.XML)
		case want.XML == "stream:stream", want.XML == "stream:features", want.XML == "switched", want.XML == "db:result":
			return "" // names, keys and numbers are of one's own
		case want.Stanza():
			return differentStanza(want.Raw, got.Raw)
		case normalXML(want.Raw) != normalXML(got.Raw):
			return "another <" + want.XML + "/>"
		}
		return ""
	}
	w, g := want.Packet, got.Packet
	for _, d := range s.peer.Deviations {
		if d.Stands != nil && d.Stands(want, got) {
			s.used = []string{d.Name}
			return ""
		}
	}
	if w.Method != g.Method && !s.otherwise(want, got, "") {
		return fmt.Sprintf("%s instead of %s", g.Method, w.Method)
	}
	if psyc.Inherits(w.Method, "_message") && !bytes.Equal(w.Body, g.Body) {
		return "another text"
	}
	if w.Method == "_request_circuit_shutdown" {
		return ""
	}
	for _, v := range append(slices.Clone(w.Routing), w.Entity...) {
		sent := g.Routing.Get(v.Name)
		if sent == nil {
			sent = g.Entity.Get(v.Name)
		}
		switch {
		case sent != nil && v.Name == "_tag":
			s.tags[v.Value.String()] = sent.String()
		case bytes.Equal(v.Value, sent), s.otherwise(want, got, v.Name):
		case sent == nil:
			return "no " + v.Name
		default:
			return fmt.Sprintf("%s is %q", v.Name, sent)
		}
	}
	return ""
}

// otherwise reports whether a variable, or the method if name is empty, may differ.
func (s *session) otherwise(want, got Unit, name string) bool {
	for _, d := range s.peer.Deviations {
		if d.Otherwise != nil && d.Otherwise(want, got, name) {
			if !slices.Contains(s.used, d.Name) {
				s.used = append(s.used, d.Name)
			}
			return true
		}
	}
	return false
}

// differentStanza says in what a stanza departs from the recorded one; the order of attributes does not count.
func differentStanza(want, got []byte) string {
	w, err := xmpp.Parse(want)
	if err != nil {
		return "no stanza was recorded: " + err.Error()
	}
	g, err := xmpp.Parse(got)
	switch {
	case err != nil:
		return "no stanza: " + err.Error()
	case w.Kind != g.Kind, w.Type != g.Type, w.From != g.From, w.To != g.To, w.ID != g.ID, !bytes.Equal(w.Raw(), g.Raw()):
		return "another stanza"
	}
	return ""
}

// normalXML makes both kinds of quotes the same.
func normalXML(b []byte) string { return strings.ReplaceAll(string(b), `"`, "'") }

// drain reads until the side under test hangs up. It may say goodbye and what deviations add, and nothing else.
func (s *session) drain() error {
	for !s.over {
		u, err := s.next()
		switch {
		case errors.Is(err, errOwn):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return &Difference{s.c.String(), s.at, "the connection should end: " + err.Error(), nil, nil}
		case u.XML == "/stream:stream", u.Packet != nil && u.Packet.Method == "_request_circuit_shutdown":
		default:
			if added, err := s.added(u); err != nil {
				return err
			} else if !added {
				return &Difference{s.c.String(), s.at, "more than was recorded", nil, u.Raw}
			}
		}
	}
	return nil
}
