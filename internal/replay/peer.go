package replay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
)

// A Peer is psyced as it was recorded.
type Peer struct {
	TLS      *tls.Config       // of its server side, for conversations with TLS
	Rename   *strings.Replacer // recorded names of hosts to those of the test; nil: as recorded
	Patience time.Duration     // for what has to come; 10 s
	Ignore   []string          // variables that the side under test may leave out or have otherwise
	Rules    []Rule            // nil: the [Rules]
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
	tags map[string]string // recorded to sent

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
	s := &session{peer: p, c: c, conn: conn, tags: make(map[string]string)}
	defer func() { s.conn.Close() }()
	err := s.play()
	return errors.Join(append(s.broken, err)...)
}

func (s *session) play() error {
	var recorded splitter
	for _, e := range s.c.Events {
		s.at = e.At
		switch {
		case e.TLS:
			if err := s.startTLS(); err != nil {
				return err
			}
		case e.Closed && e.Sender == Psyced:
			return nil
		case e.Closed:
			return s.drain()
		case e.Sender == Psyced:
			if err := s.write(e.Data); err != nil {
				return err
			}
		default:
			units, err := recorded.feed(s.renamed(e.Data))
			if err != nil {
				return err
			}
			for _, u := range units {
				if err := s.expect(u); err != nil {
					return err
				}
			}
		}
	}
	return s.drain()
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
			return &Difference{s.c.String(), s.at, "the greeting comes first", want.Raw, got.Raw}
		}
		if reason := s.differs(want, got); reason != "" {
			return &Difference{s.c.String(), s.at, reason, want.Raw, got.Raw}
		}
		return nil
	}
	return nil
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
		case want.XML == "stream:stream", want.XML == "stream:features", want.XML == "switched":
			return ""
		case normalXML(want.Raw) != normalXML(got.Raw):
			return "another <" + want.XML + "/>"
		}
		return ""
	}
	w, g := want.Packet, got.Packet
	if w.Method != g.Method {
		return fmt.Sprintf("%s instead of %s", g.Method, w.Method)
	}
	if psyc.Inherits(w.Method, "_message") && !bytes.Equal(w.Body, g.Body) {
		return "another text"
	}
	if w.Method == "_request_circuit_shutdown" {
		return ""
	}
	for _, v := range append(slices.Clone(w.Routing), w.Entity...) {
		if slices.Contains(s.peer.Ignore, v.Name) {
			continue
		}
		sent := g.Routing.Get(v.Name)
		if sent == nil {
			sent = g.Entity.Get(v.Name)
		}
		switch {
		case sent == nil:
			return "no " + v.Name
		case v.Name == "_tag":
			s.tags[v.Value.String()] = sent.String()
		case !bytes.Equal(v.Value, sent):
			return fmt.Sprintf("%s is %q", v.Name, sent)
		}
	}
	return ""
}

// normalXML makes both kinds of quotes the same.
func normalXML(b []byte) string { return strings.ReplaceAll(string(b), `"`, "'") }

// drain reads until the side under test hangs up. It may say goodbye, and nothing else.
func (s *session) drain() error {
	for {
		u, err := s.next()
		switch {
		case errors.Is(err, errOwn):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return &Difference{s.c.String(), s.at, "the connection should end: " + err.Error(), nil, nil}
		case u.XML == "/stream:stream", u.Packet != nil && u.Packet.Method == "_request_circuit_shutdown":
		default:
			return &Difference{s.c.String(), s.at, "more than was recorded", nil, u.Raw}
		}
	}
}
