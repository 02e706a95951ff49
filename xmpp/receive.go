package xmpp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"os"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

// input is the connection as the reader sees it: every Read has a deadline, and a context can interrupt one without
// harm to what has been read.
type input struct {
	element, idle time.Duration // see Timeouts
	buffered      func() []byte // what the reader holds beyond the last element
	fresh         bool          // no Read since the last element
	begun         time.Time     // when the element that is being read began; zero between elements

	mu         sync.Mutex
	conn       net.Conn // nil once it is not ours to touch
	interrupts []*interrupt
	busy       bool          // in conn.Read
	quiet      chan struct{} // closed when conn.Read returns; nil while nobody waits for that
}

// An interrupt makes Read return early. It is an error so that the reader hands it through.
type interrupt struct {
	cause error
	over  bool
}

func (i *interrupt) Error() string { return i.cause.Error() }
func (i *interrupt) Unwrap() error { return i.cause }

var errWoken = errors.New("xmpp: woken")

func isWake(err error) bool {
	var i *interrupt
	return errors.As(err, &i) && i.cause == errWoken
}

// interruptedBy makes Read return when ctx ends, until the function that it returns is called.
func (in *input) interruptedBy(ctx context.Context) (end func()) {
	i := new(interrupt)
	stop := context.AfterFunc(ctx, func() {
		i.cause = context.Cause(ctx)
		in.raise(i)
	})
	return func() {
		stop()
		in.mu.Lock()
		defer in.mu.Unlock()
		i.over = true
		in.drop(i)
	}
}

// wake makes the Read that is under way, or the next one, return once.
func (in *input) wake() { in.raise(&interrupt{cause: errWoken}) }

func (in *input) raise(i *interrupt) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if i.over || in.conn == nil {
		return
	}
	in.interrupts = append(in.interrupts, i)
	in.conn.SetReadDeadline(time.Unix(1, 0))
}

func (in *input) drop(i *interrupt) {
	for k, other := range in.interrupts {
		if other == i {
			in.interrupts = append(in.interrupts[:k], in.interrupts[k+1:]...)
			return
		}
	}
}

// interrupted returns what has interrupted reading, if anything has.
func (in *input) interrupted() *interrupt {
	if len(in.interrupts) == 0 {
		return nil
	}
	i := in.interrupts[0]
	if i.cause == errWoken {
		in.drop(i)
	}
	return i
}

func (in *input) replace(conn net.Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.conn = conn
}

// leave lets go of the connection, for ever: err is what Read says from now on. It returns when no Read is under way.
func (in *input) leave(err error) {
	in.raise(&interrupt{cause: err})
	in.mu.Lock()
	in.conn = nil
	var quiet chan struct{}
	if in.busy {
		quiet = make(chan struct{})
		in.quiet = quiet
	}
	in.mu.Unlock()
	if quiet != nil {
		<-quiet
	}
}

// Read reads from the connection. Only the goroutine that reads the stream calls it.
func (in *input) Read(p []byte) (int, error) {
	now := time.Now()
	if in.fresh {
		in.fresh = false
		if !blank(in.buffered()) {
			in.begun = now
		}
	}
	var deadline time.Time
	stalled := !in.begun.IsZero()
	switch {
	case stalled && in.element > 0:
		deadline = in.begun.Add(in.element)
	case !stalled && in.idle > 0:
		deadline = now.Add(in.idle)
	}

	in.mu.Lock()
	if i := in.interrupted(); i != nil {
		in.mu.Unlock()
		return 0, i
	}
	conn := in.conn
	if conn == nil {
		in.mu.Unlock()
		return 0, net.ErrClosed
	}
	conn.SetReadDeadline(deadline)
	in.busy = true
	in.mu.Unlock()

	n, err := conn.Read(p)
	if in.begun.IsZero() && !blank(p[:n]) {
		in.begun = time.Now()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.busy = false
	if in.quiet != nil {
		close(in.quiet)
		in.quiet = nil
	}
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	switch i := in.interrupted(); {
	case i != nil:
		return 0, i
	case stalled:
		return 0, ErrStalled
	default:
		return 0, ErrIdle
	}
}

// next tells that an element has been read.
func (in *input) next() {
	in.fresh, in.begun = true, time.Time{}
}

// blank reports whether b holds nothing but the white space that may stand between elements.
func blank(b []byte) bool {
	return len(bytes.TrimLeft(b, " \t\r\n")) == 0
}

// acquire makes the caller the one who reads.
func (s *Stream) acquire(ctx context.Context) error {
	select {
	case s.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Stream) release() { <-s.reading }

// Stanzas yields what the peer sends, from domains that it proved to domains hosted here. A stanza is good until the
// next one; [Stanza.Clone] keeps it. Stanzas with malformed addresses have been answered already (see Config.Bounce).
// Meanwhile dialback and other features are served.
//
// The loop ends without an error when the peer closes the stream; [Stream.Close] then answers it. Otherwise the last
// thing that it yields is an error: the context's cause, after which Stanzas may be called again; [ErrHijacked]; or
// why the stream has ended, in which case the peer has been told and the connection is being closed. With [Management] a stanza is
// acknowledged when the body of the loop is through with it.
func (s *Stream) Stanzas(ctx context.Context) iter.Seq2[*Stanza, error] {
	return func(yield func(*Stanza, error) bool) {
		if err := s.acquire(ctx); err != nil {
			yield(nil, err)
			return
		}
		defer s.release()
		switch err := s.Err(); {
		case err == ErrClosed:
			return
		case err != nil:
			yield(nil, err)
			return
		case s.State()&Ready == 0:
			yield(nil, errNotNegotiated)
			return
		}
		for len(s.held) > 0 {
			st := s.held[0]
			s.held = s.held[1:]
			s.heldSize -= st.size
			more := yield(st.Stanza, nil)
			st.session.count()
			if !more {
				return
			}
		}
		s.held = nil
		s.rd.rest() // who ranges anew may have had to wait
		s.out.rest()
		defer s.in.interruptedBy(ctx)()
		for {
			st, err := s.step(ctx)
			switch {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, err)
				return
			case st == nil:
			default:
				session := s.counting
				more := yield(st, nil)
				session.count()
				if !more {
					return
				}
			}
		}
	}
}

// heldStanzas is how many stanzas are held for a loop over Stanzas that is yet to come.
const heldStanzas = 64

// A heldStanza is one of those, how many bytes it had, and the session that counts it.
type heldStanza struct {
	*Stanza
	size    int
	session *session
}

// hold keeps a stanza that arrived while the stream was read for something else.
func (s *Stream) hold(st *Stanza) error {
	if st == nil {
		return nil
	}
	size := len(st.ix.Src)
	if len(s.held) == heldStanzas || len(s.held) > 0 && s.heldSize+size > positive(s.cfg.Held, defaultHeld) {
		return s.fail(&StreamError{Condition: ResourceConstraint, Text: "too many stanzas that nobody reads", Local: true})
	}
	s.held = append(s.held, heldStanza{st.Clone(), size, s.counting})
	s.heldSize += size
	return nil
}

// step reads one element and acts on it. It returns a stanza that may pass, nil where the element was something else,
// [io.EOF] at the end of the stream in order, or an error. Unless the error comes from an interrupted Read, it has
// ended the stream.
func (s *Stream) step(ctx context.Context) (*Stanza, error) {
	st, err := s.receive(ctx)
	if err == nil {
		return st, nil
	}
	var i *interrupt
	switch {
	case errors.As(err, &i):
		switch i.cause {
		case errWoken:
			return nil, nil
		case ErrClosed:
			return nil, io.EOF
		}
		return nil, i.cause
	case err == io.EOF:
		s.peerHasClosed()
		return nil, io.EOF
	}
	if err = s.fail(err); err == ErrClosed {
		return nil, io.EOF
	}
	return nil, err
}

func (s *Stream) receive(ctx context.Context) (*Stanza, error) {
	e, err := s.nextElement()
	if err != nil {
		return nil, err
	}
	if e.Is(s.space, "message") || e.Is(s.space, "presence") || e.Is(s.space, "iq") {
		st, err := s.admit(e)
		if st == nil && err == nil {
			s.counting.count() // it has been answered
		}
		return st, err
	}
	return nil, s.dispatch(ctx, e)
}

// nextElement reads the next element, whatever it is but a stream error.
func (s *Stream) nextElement() (Element, error) {
	e, err := s.rd.next()
	if err != nil {
		return e, err
	}
	s.in.next()
	if e.Is(NSStreams, "error") {
		return e, peerError(e)
	}
	return e, nil
}

// admit makes a stanza of e if the peer may send it (RFC 6120 section 8.1): nil without an error if it concerns
// nobody but its sender, who has got an answer.
func (s *Stream) admit(e Element) (*Stanza, error) {
	st, err := s.rd.stanza(e)
	if reason, ok := err.(*StanzaError); ok {
		return nil, s.bounce(st, reason)
	}
	if err != nil {
		return nil, err
	}
	if st.From.IsZero() || st.To.IsZero() {
		return nil, &StreamError{Condition: ImproperAddressing, Text: "stanza without from or to", Local: true}
	}
	p := pair{st.To.Domain(), st.From.Domain()}
	if p != s.admitted {
		if err := s.refusal(p); err != nil {
			return nil, err
		}
		s.admitted = p
	}
	s.mu.Lock()
	s.received++
	s.mu.Unlock()
	return st, nil
}

// refusal returns why a stanza of pair p must not pass, or nil. The sender's domain must have been proved, and the target
// hosted; that the sender has been proved towards this very target is not asked for. Prosody sends its replies on the
// stream of the first of our domains that it talked to, whichever of them they are for.
func (s *Stream) refusal(p pair) error {
	err := &StreamError{Local: true}
	switch {
	case !s.provenFor(""):
		err.Condition, err.Text = NotAuthorized, "stanza before authentication"
	case !s.provenFor(p.remote):
		err.Condition, err.Text = InvalidFrom, p.remote+" has not been proved on this stream"
	case !s.hosts(p.local):
		err.Condition, err.Text = HostUnknown, p.local+" is not hosted here"
	default:
		return nil
	}
	return err
}

// provenFor reports whether the peer has proved remote towards any domain; "" stands for any remote.
func (s *Stream) provenFor(remote string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.proven {
		if remote == "" || p.remote == "" || p.remote == remote {
			return true
		}
	}
	return false
}

// bounce answers a stanza that is none for a reason that concerns its sender alone. A sender without an address that
// can be answered gets nothing.
func (s *Stream) bounce(st *Stanza, reason *StanzaError) error {
	s.warn("stanza refused", "reason", reason)
	p := pair{s.Local(), st.From.Domain()}
	if !st.To.IsZero() {
		p.local = st.To.Domain()
	}
	if p.remote == "" && s.provenFor("") {
		return nil
	}
	if err := s.refusal(p); err != nil || s.cfg.Bounce == nil {
		return err
	}
	if st.To.IsZero() {
		local, err := uniform.NewJID("", p.local, "")
		if err != nil {
			return nil
		}
		st.To = local
	}
	if reply := st.ErrorReply(reason); reply != nil {
		s.cfg.Bounce(reply.Clone())
	}
	return nil
}

// ReadElement reads the next first-level element; it is good until the next one. For features, from Start and Serve,
// where reading is theirs. [io.EOF] is the end of the stream.
func (s *Stream) ReadElement(ctx context.Context) (Element, error) {
	defer s.in.interruptedBy(ctx)()
	for {
		e, err := s.nextElement()
		if isWake(err) {
			continue
		}
		var i *interrupt
		if errors.As(err, &i) {
			err = i.cause
		}
		if err == io.EOF {
			s.peerHasClosed()
		}
		return e, err
	}
}

// peerHasClosed notes the peer's closing tag. Whoever waits for an answer will not get it.
func (s *Stream) peerHasClosed() {
	select {
	case <-s.peerClosed:
		return
	default:
		close(s.peerClosed)
	}
	s.abandon(ErrClosed)
}
