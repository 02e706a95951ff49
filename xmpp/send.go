package xmpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// output is what waits to be written. While anything does, one goroutine writes it, as much at a time as there is;
// an idle stream has none.
type output struct {
	limit     int           // bytes waiting beyond which append waits
	timeout   time.Duration // of one write
	keepAlive time.Duration
	broken    func(error) // called once, in the writing goroutine, when a write has failed

	mu                   sync.Mutex
	conn                 net.Conn
	buf                  []byte
	spans                []span // of the stanzas in buf
	spare                []byte // the buffer that was written last, to be used again
	spared               []span // likewise
	writing              bool
	changed              chan struct{} // closed when writing goes on or ends; nil while nobody waits for that
	sealed               error         // nothing more may be appended, and why
	err                  error         // a write has failed
	last                 time.Time     // of the last write
	stanzas              uint64
	timer                *time.Timer // for keep-alive
	session              *session    // keeps what is sent; nil without stream management
	owesAck, owesRequest bool        // to be written with what comes next, or alone
}

// A span is where a stanza stands in a buffer.
type span struct{ start, end int }

// append lets f append to what waits, as soon as there is room.
func (o *output) append(ctx context.Context, f func(dst []byte) []byte) error {
	o.mu.Lock()
	for o.sealed == nil && o.err == nil && len(o.buf) >= o.limit {
		if err := o.wait(ctx); err != nil {
			o.mu.Unlock()
			return err
		}
	}
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return o.err
	case o.sealed != nil:
		return o.sealed
	}
	o.buf = f(o.buf)
	o.start()
	return nil
}

// start makes sure that somebody writes. o.mu is held.
func (o *output) start() {
	if !o.writing && len(o.buf) > 0 {
		o.writing = true
		go o.write()
	}
}

// owe has an acknowledgement, or a request for one, written. It never waits: if both sides waited for room before they
// acknowledge, neither would read. However often it is called, the peer gets no more of them than it reads.
func (o *output) owe(ack, request bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owesAck = o.owesAck || ack
	o.owesRequest = o.owesRequest || request
	if !o.writing {
		o.settle()
		o.start()
	}
}

// settle appends what is owed. o.mu is held.
func (o *output) settle() {
	if o.sealed == nil && o.session != nil {
		if o.owesAck {
			o.buf = o.session.appendAck(o.buf)
		}
		if o.owesRequest {
			o.buf = o.session.request(o.buf)
		}
	}
	o.owesAck, o.owesRequest = false, false
}

// wait waits for the writing goroutine to go on, or for ctx. o.mu is held, but not while it waits.
func (o *output) wait(ctx context.Context) error {
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	changed := o.changed
	o.mu.Unlock()
	defer o.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// signal wakes those who wait. o.mu is held.
func (o *output) signal() {
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

// write writes until nothing waits.
func (o *output) write() {
	o.mu.Lock()
	for o.err == nil {
		o.settle()
		if len(o.buf) == 0 {
			break
		}
		b, spans, conn := o.buf, o.spans, o.conn
		o.buf, o.spans = o.spare[:0], o.spared[:0]
		o.spare, o.spared = nil, nil
		o.signal()
		o.mu.Unlock()
		var deadline time.Time
		if o.timeout > 0 {
			deadline = time.Now().Add(o.timeout)
		}
		conn.SetWriteDeadline(deadline)
		n, err := conn.Write(b)
		o.mu.Lock()
		o.last = time.Now()
		if err != nil {
			o.err = fmt.Errorf("xmpp: writing: %w", err)
			o.putBack(b, spans, n)
			break
		}
		o.spare, o.spared = b, spans
	}
	// What may wait at any time is worth keeping until the stream rests; a stanza that was larger still is not.
	if cap(o.buf) > 2*o.limit && len(o.buf) == 0 {
		o.buf, o.spans = nil, nil
	}
	if cap(o.spare) > 2*o.limit {
		o.spare, o.spared = nil, nil
	}
	o.writing = false
	o.signal()
	err := o.err
	o.mu.Unlock()
	if err != nil {
		o.broken(err)
	}
}

// hasFailed reports whether err is that nothing can be written any more.
func (o *output) hasFailed(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err != nil && errors.Is(err, o.err)
}

// rest gives up the memory that is of use only while stanzas go.
func (o *output) rest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing && len(o.buf) == 0 {
		o.buf, o.spans = nil, nil
		o.spare, o.spared = nil, nil
	}
}

// putBack returns to the head of what waits the stanzas of which not all is among the first n bytes. o.mu is held.
func (o *output) putBack(b []byte, spans []span, n int) {
	var back []byte
	var backs []span
	for _, sp := range spans {
		if sp.end > n {
			start := len(back)
			back = append(back, b[sp.start:sp.end]...)
			backs = append(backs, span{start, len(back)})
		}
	}
	for _, sp := range o.spans {
		backs = append(backs, span{sp.start + len(back), sp.end + len(back)})
	}
	o.buf, o.spans = append(back, o.buf...), backs
}

// flush waits until everything has been written.
func (o *output) flush(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing {
		if err := o.wait(ctx); err != nil {
			return err
		}
	}
	return o.err
}

// seal appends the last words, if any, and refuses everything else with err from now on. It reports whether it was
// the first to do so.
func (o *output) seal(err error, last string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
	}
	if o.sealed != nil {
		return false
	}
	o.sealed = err
	if o.err == nil {
		o.buf = append(o.buf, last...)
		o.start()
	}
	o.signal()
	return true
}

// keep starts writing a blank wherever nothing else has been written for a while.
func (o *output) keep() {
	if o.keepAlive <= 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timer = time.AfterFunc(o.keepAlive, o.blank)
}

func (o *output) blank() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed != nil || o.err != nil {
		return
	}
	rest := o.keepAlive - time.Since(o.last)
	if rest <= 0 {
		if !o.writing {
			o.buf = append(o.buf, ' ')
			o.start()
		}
		rest = o.keepAlive
	}
	o.timer.Reset(rest)
}

func (o *output) replace(conn net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conn = conn
}

// Send queues st for writing and returns when st may be reused: it has been encoded then, not necessarily written.
// It waits, within ctx, while more than Config.SendQueue bytes wait already.
//
// A stanza from or to a domain for which the pair is not [Stream.Authorized] is refused with [NotAuthorized], one
// without from or to with [ImproperAddressing], and one that is larger than the peer takes (XEP-0478) with a
// [*StanzaError] policy-violation for its sender; the stream goes on in all three cases. Once the peer has closed the
// stream, which the loop over Stanzas or a pending Authorize or Verify finds out, Send returns [ErrClosed].
func (s *Stream) Send(ctx context.Context, st *Stanza) error {
	if st.From.IsZero() || st.To.IsZero() {
		return fmt.Errorf("xmpp: sending a stanza: %w", ImproperAddressing)
	}
	local, remote := st.From.Domain(), st.To.Domain()
	s.mu.Lock()
	ok := covers(s.authorized, pair{local, remote})
	limit, err, session := s.peerLimit, s.err, s.session
	s.mu.Unlock()
	select {
	case <-s.peerClosed:
		if err == nil {
			err = ErrClosed
		}
	default:
	}
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("xmpp: sending from %s to %s: %w", local, remote, NotAuthorized)
	}
	if session != nil {
		if err := session.room(ctx, s); err != nil {
			return err
		}
	}
	size := 0
	err = s.out.append(ctx, func(dst []byte) []byte {
		whole := st.AppendFor(dst, s.space)
		if size = len(whole) - len(dst); size > limit {
			return dst
		}
		s.out.stanzas++
		s.out.spans = append(s.out.spans, span{len(dst), len(whole)})
		if s.out.session != nil {
			return s.out.session.push(whole, len(dst))
		}
		return whole
	})
	if err == nil && size > limit {
		return &StanzaError{
			Condition: PolicyViolation, Type: "modify",
			Text: fmt.Sprintf("stanza of %d bytes; %s takes %d", size, remote, limit),
		}
	}
	return err
}

// Unsent returns the stanzas that Send took and that had not been written in full when the stream ended, in their order.
// The peer has seen none of them whole. It returns nil before [Stream.Done] is closed, and after a hijack, which
// writes everything first. If another stream carries the session on, that one has sent them, too.
func (s *Stream) Unsent() []*Stanza {
	select {
	case <-s.closed:
	default:
		return nil
	}
	if ss := s.managed(); ss != nil && !ss.carriedBy(s) {
		return nil
	}
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing { // not for long, on a closed connection
		o.wait(context.Background())
	}
	var unsent []*Stanza
	for _, sp := range o.spans {
		if st, err := parseIn(o.buf[sp.start:sp.end], s.space); err == nil {
			unsent = append(unsent, st.Clone())
		}
	}
	return unsent
}

// WriteRaw queues XML as it is. For features.
func (s *Stream) WriteRaw(ctx context.Context, b []byte) error {
	return s.out.append(ctx, func(dst []byte) []byte { return append(dst, b...) })
}
