package xmpp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"
)

// After a stream error the peer may still be sending. What it sends is read and thrown away, up to this much, as
// closing the connection over unread bytes could destroy the error on its way (RFC 1122 section 4.2.2.13).
const lingerBytes = 1 << 20

// Close closes the stream in order (RFC 6120 section 4.4): it writes what is queued and the closing tag, waits for the
// peer's within Timeouts.Close, and closes the connection. A loop over Stanzas that runs meanwhile, or begins, still gets what
// arrives and then ends; without one, what arrives is dropped in the end. Close must not be called from the body of that loop,
// which could then not see the peer's closing tag; leave the loop first.
//
// After an error of the stream, Close waits until the connection is closed. It returns an error if the closing tag
// could not be written.
func (s *Stream) Close() error {
	s.mu.Lock()
	ended, opened := s.closing || s.err != nil, s.opened
	hijacked := s.err == ErrHijacked
	s.closing = true
	s.mu.Unlock()
	switch {
	case hijacked:
		return ErrHijacked
	case ended:
		<-s.closed
		return nil
	}
	ctx, cancel := within(context.Background(), s.timeouts.Close)
	defer cancel()
	var err error
	if opened {
		s.out.seal(ErrClosed, s.lastAck()+closingTag)
		if err = s.out.flush(ctx); err == nil {
			s.awaitPeer(ctx)
		}
	}
	if s.conclude(ErrClosed) {
		s.debug("stream closed")
		s.finished()
	}
	<-s.closed
	return err
}

// PeerClosed reports whether the peer's closing tag has been read. After Close that means that the peer has read everything in front of
// ours, as servers answer a closing tag with theirs (RFC 6120 section 4.4).
func (s *Stream) PeerClosed() bool {
	select {
	case <-s.peerClosed:
		return true
	default:
		return false
	}
}

// awaitPeer waits for the peer's closing tag, and reads until there if nobody else does. A stanza is left to a loop over Stanzas that may
// be about to begin.
func (s *Stream) awaitPeer(ctx context.Context) {
	select {
	case <-s.peerClosed:
		return
	default:
	}
	select {
	case <-s.peerClosed:
	case <-s.closed:
	case <-ctx.Done():
	case s.reading <- struct{}{}:
		if !s.readOn(ctx) {
			return
		}
		select {
		case <-s.peerClosed:
		case <-s.closed:
		case <-ctx.Done():
			s.warn("stanza dropped while closing")
		}
	}
}

// readOn reads until a stanza comes, which it holds, or until nothing comes any more. It takes over from the caller who reads, and
// lets go of that.
func (s *Stream) readOn(ctx context.Context) (held bool) {
	defer s.release()
	defer s.in.interruptedBy(ctx)()
	for {
		st, err := s.step(ctx)
		if err != nil {
			return false
		}
		if st != nil {
			return s.hold(st) == nil
		}
	}
}

// fail ends the stream because of err: the peer gets the stream error that it stands for, if any. It returns why the
// stream has ended, which is err unless there was a reason before.
func (s *Stream) fail(err error) error {
	s.mu.Lock()
	if s.closing && !isProtocolError(err) {
		err = ErrClosed // the peer need not wait for us to close the connection
	}
	s.mu.Unlock()
	if !s.conclude(err) {
		return s.Err()
	}
	if err != ErrClosed {
		s.logAt(slog.LevelWarn, "stream failed", []any{"reason", err})
	}
	s.out.seal(err, s.lastWords(err))
	go s.linger(err)
	return err
}

// complaintTime is how long a peer that takes nothing any more may take to say why.
const complaintTime = time.Second

// writingFailed ends the stream. A peer that refuses us while the stream is negotiated says why and hangs up: who negotiates gets the
// time to read that.
func (s *Stream) writingFailed(err error) {
	select {
	case <-s.negotiated:
		s.fail(err)
	default:
		time.AfterFunc(complaintTime, func() { s.fail(err) })
	}
}

// complaint returns the stream error that the peer has sent in front of the end of its stream, or else err. The caller reads.
func (s *Stream) complaint(err error) error {
	for {
		_, ended := s.nextElement()
		var said *StreamError
		switch {
		case errors.As(ended, &said) && !said.Local:
			return ended
		case ended != nil && !isWake(ended):
			return err
		}
	}
}

// isProtocolError reports whether err is about what a peer said, not about the connection.
func isProtocolError(err error) bool {
	var se *StreamError
	return errors.As(err, &se)
}

// conclude marks the stream as ended by err and reports whether it had not been before.
func (s *Stream) conclude(err error) bool {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return false
	}
	s.err = err
	s.mu.Unlock()
	s.end()
	s.abandon(err)
	return true
}

// lastWords returns what the peer is told of err: a stream error, if it stands for one, and the closing tag, unless the session may be resumed.
func (s *Stream) lastWords(err error) string {
	var se *StreamError
	switch {
	case errors.As(err, &se) && se.Local:
	case errors.Is(err, ErrStalled), errors.Is(err, ErrIdle), errors.Is(err, context.DeadlineExceeded):
		se = &StreamError{Condition: ConnectionTimeout}
	default:
		se = nil
	}
	if se == nil && s.Resumable() {
		return "" // what still gets through must not end the session there
	}
	var b []byte
	if !s.hasOpened() {
		if se == nil || s.initiator {
			return ""
		}
		// An error is only understood inside a stream (RFC 6120 section 4.9.1.2).
		b = s.appendHeader(b, false)
	}
	if se != nil {
		b = appendStreamError(b, se)
	}
	return string(append(b, closingTag...))
}

func (s *Stream) hasOpened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// linger gives the last words time to arrive and closes the connection.
func (s *Stream) linger(err error) {
	defer s.finished()
	ctx, cancel := within(context.Background(), s.timeouts.Close)
	defer cancel()
	if s.out.flush(ctx) != nil {
		return
	}
	s.in.leave(err)
	conn := s.transport()
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetReadDeadline(deadline)
	}
	io.CopyN(io.Discard, conn, lingerBytes)
}

// finished closes the connection.
func (s *Stream) finished() {
	s.finish.Do(func() {
		s.transport().Close()
		s.in.leave(s.Err())
		s.suspend()
		close(s.closed)
	})
}

// Hijack ends the stream without a closing tag and returns the connection and what was read beyond the last element,
// for another protocol; compare [net/http.Hijacker]. What was queued has been written; nothing else will be, and
// the connection has no deadlines. All methods return [ErrHijacked] afterwards. Hijack is for features, from Start and
// Serve, and for the goroutine that ranges over Stanzas, outside the loop.
func (s *Stream) Hijack() (net.Conn, []byte, error) {
	s.out.seal(ErrHijacked, "")
	ctx, cancel := within(context.Background(), s.timeouts.Write)
	defer cancel()
	if err := s.out.flush(ctx); err != nil {
		return nil, nil, s.fail(err)
	}
	if !s.conclude(ErrHijacked) {
		return nil, nil, s.Err()
	}
	s.in.leave(ErrHijacked)
	conn := s.transport()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, nil, err
	}
	s.debug("connection taken over")
	s.finish.Do(func() {
		s.suspend()
		close(s.closed)
	})
	return conn, bytes.Clone(s.rd.buffered()), nil
}

// peerError makes an error of <stream:error/> (RFC 6120 section 4.9). A see-other-host is reported, never followed.
func peerError(e Element) error {
	err := &StreamError{Condition: UndefinedCondition}
	for child := range e.Children() {
		name := child.Name()
		switch {
		case name.Space != NSStreamErrors:
			err.App = child.AppendComplete(nil)
		case name.Local == "text":
			err.Text = child.Text()
		default:
			err.Condition = Condition(name.Local)
			err.Address = child.Text()
		}
	}
	return err
}

// appendStreamError appends e as it goes on the wire.
func appendStreamError(dst []byte, e *StreamError) []byte {
	dst = append(append(append(dst, "<stream:error><"...), e.Condition...), " xmlns='"+NSStreamErrors+"'/>"...)
	if e.Text != "" {
		dst = append(dst, "<text xmlns='"+NSStreamErrors+"' xml:lang='en'>"...)
		dst = append(AppendText(dst, e.Text), "</text>"...)
	}
	return append(append(dst, e.App...), "</stream:error>"...)
}
