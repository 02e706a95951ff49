package xmpp

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A session is what stream management counts (XEP-0198). It outlives the connection of the stream that carries it, and
// goes on in another stream. The lock of an output may be held when that of a session is taken, never the other way round.
type session struct {
	limit     int           // bytes without acknowledgement beyond which Send waits
	countOnly bool          // see ManagementConfig
	answer    time.Duration // likewise
	forget    func()        // takes it out of the store of the accepting side; nil on the initiating side
	moving    chan struct{} // held, by sending to it, by who has another stream carry it; of the accepting side
	changed   chan struct{} // as in output

	mu      sync.Mutex
	carrier *Stream
	enabled bool          // both sides know of it
	id      string        // for resumption; "" if it cannot be resumed
	max     time.Duration // how long after the end of its carrier
	ended   time.Time     // of the carrier; zero while that lasts
	over    bool          // cannot be resumed any more
	sizes   []int         // of what was sent and has not been acknowledged
	bytes   int           // sum of sizes
	queue   [][]byte      // what was sent and has not been acknowledged, unless countOnly
	acked   uint64        // stanzas of ours that the peer has handled
	handled uint64        // stanzas of the peer that we have handled
	asked   bool          // an <r/> waits for its answer
	timer   *time.Timer   // bounds that
	expiry  *time.Timer   // while suspended, on the accepting side
}

// push counts the stanza in dst[start:], keeps it, and asks for acknowledgement, unless an answer is still to come.
func (ss *session) push(dst []byte, start int) []byte {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.sizes = append(ss.sizes, len(dst)-start)
	ss.bytes += len(dst) - start
	if !ss.countOnly {
		ss.queue = append(ss.queue, bytes.Clone(dst[start:]))
	}
	return ss.ask(dst)
}

// request asks for acknowledgement if there is anything to acknowledge.
func (ss *session) request(dst []byte) []byte {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.ask(dst)
}

// ask is request with ss.mu held.
func (ss *session) ask(dst []byte) []byte {
	if !ss.enabled || ss.asked || len(ss.sizes) == 0 {
		return dst
	}
	ss.asked = true
	if ss.answer > 0 {
		if ss.timer == nil {
			ss.timer = time.AfterFunc(ss.answer, ss.unanswered)
		} else {
			ss.timer.Reset(ss.answer)
		}
	}
	return append(dst, "<r xmlns='"+nsManagement+"'/>"...)
}

// unanswered ends a stream whose peer has stopped to acknowledge.
func (ss *session) unanswered() {
	ss.mu.Lock()
	s, waiting := ss.carrier, ss.asked && ss.ended.IsZero()
	ss.mu.Unlock()
	if waiting {
		s.fail(ErrIdle)
	}
}

// acknowledge drops what the peer says that it has handled: the lower 32 bits of a count (XEP-0198 section 4).
func (ss *session) acknowledge(h uint32) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	n := uint64(h - uint32(ss.acked))
	if n > uint64(len(ss.sizes)) {
		sent := uint32(ss.acked) + uint32(len(ss.sizes))
		return &StreamError{
			Condition: UndefinedCondition, Text: "more acknowledged than sent", Local: true,
			App: []byte("<handled-count-too-high xmlns='" + nsManagement + "' h='" + formatCount(uint64(h)) +
				"' send-count='" + formatCount(uint64(sent)) + "'/>"),
		}
	}
	for _, size := range ss.sizes[:n] {
		ss.bytes -= size
	}
	ss.sizes = slices.Delete(ss.sizes, 0, int(n)) // mostly few are left
	if !ss.countOnly {
		clear(ss.queue[:n])
		ss.queue = ss.queue[n:]
	}
	ss.acked += n
	ss.asked = false
	if ss.timer != nil {
		ss.timer.Stop()
	}
	if ss.changed != nil {
		close(ss.changed)
		ss.changed = nil
	}
	return nil
}

// room waits until there is room for another stanza.
func (ss *session) room(ctx context.Context, s *Stream) error {
	for {
		ss.mu.Lock()
		if ss.bytes < ss.limit {
			ss.mu.Unlock()
			return nil
		}
		if ss.changed == nil {
			ss.changed = make(chan struct{})
		}
		changed := ss.changed
		ss.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.life.Done():
			return s.Err()
		}
	}
}

// count notes that a stanza of the peer has been handled. ss may be nil.
func (ss *session) count() {
	if ss == nil {
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.handled++
}

// appendAck acknowledges what has been handled so far.
func (ss *session) appendAck(dst []byte) []byte {
	return append(append(append(dst, "<a xmlns='"+nsManagement+"' h='"...), ss.h()...), "'/>"...)
}

// h returns what <a/> says.
func (ss *session) h() string {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return formatCount(ss.handled)
}

// formatCount formats a count as it goes on the wire, modulo 2^32.
func formatCount(n uint64) string { return strconv.FormatUint(n&(1<<32-1), 10) }

// resumable reports whether another stream may carry the session on.
func (ss *session) resumable() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return !ss.over && ss.id != "" && (ss.ended.IsZero() || time.Since(ss.ended) < ss.max)
}

// finish ends the session for good and returns what was not acknowledged, unless s carries it no more.
func (ss *session) finish(s *Stream) (queue [][]byte, ok bool) {
	ss.mu.Lock()
	ok = ss.carrier == s
	if ok {
		ss.over = true
		queue = ss.queue
	}
	ss.mu.Unlock()
	if ok && ss.forget != nil {
		ss.forget()
	}
	return queue, ok
}

// carriedBy reports whether s carries the session, or was the last to do so.
func (ss *session) carriedBy(s *Stream) bool {
	return ss.carriedLast() == s
}

// carriedLast returns the stream that carries the session, or did so last.
func (ss *session) carriedLast() *Stream {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.carrier
}

// managed returns the session of s, nil if it has none.
func (s *Stream) managed() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session
}

func (s *Stream) manage(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = ss
}

// begin writes xml and counts every stanza that is sent behind it.
func (s *Stream) begin(ctx context.Context, ss *session, xml string) error {
	s.manage(ss)
	return s.out.append(ctx, func(dst []byte) []byte {
		s.out.session = ss
		return append(dst, xml...)
	})
}

// adopt writes xml, sends again what another stream has sent in vain, and carries the session from there on. Where the caller keeps what it
// sends, the count goes on behind what the peer has acknowledged.
func (s *Stream) adopt(ctx context.Context, ss *session, xml string) error {
	s.manage(ss)
	s.counting = ss
	return s.out.append(ctx, func(dst []byte) []byte {
		s.out.session = ss
		dst = append(dst, xml...)
		ss.mu.Lock()
		defer ss.mu.Unlock()
		ss.carry(s)
		if ss.countOnly {
			ss.sizes, ss.bytes = nil, 0
		}
		for _, stanza := range ss.queue {
			start := len(dst)
			dst = append(dst, stanza...)
			s.out.spans = append(s.out.spans, span{start, len(dst)})
		}
		return ss.ask(dst)
	})
}

// carry makes s the carrier. ss.mu is held.
func (ss *session) carry(s *Stream) { ss.carrier, ss.ended = s, time.Time{} }

// lastAck is what a stream says before its closing tag.
func (s *Stream) lastAck() string {
	ss := s.managed()
	if ss == nil || !ss.isEnabled() {
		return ""
	}
	return string(ss.appendAck(nil))
}

func (ss *session) isEnabled() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.enabled
}

// suspend is called when the stream has ended.
func (s *Stream) suspend() {
	ss := s.managed()
	if ss == nil {
		return
	}
	ss.mu.Lock()
	if ss.carrier != s || !ss.ended.IsZero() {
		ss.mu.Unlock()
		return
	}
	ss.ended = time.Now()
	ss.asked = false
	if ss.timer != nil {
		ss.timer.Stop()
	}
	ss.over = ss.over || ss.id == "" || !s.broke()
	over := ss.over
	ss.mu.Unlock()
	if over && ss.forget != nil {
		ss.forget()
	}
}

// broke reports whether the stream has ended in such a way that the peer may keep the session: the connection has, or our closing tag has no
// answer and may not have arrived. The accepting side, which would have to keep it, has meant what it said.
func (s *Stream) broke() bool {
	err := s.Err()
	var se *StreamError
	switch {
	case errors.As(err, &se):
		return se.Condition == ConnectionTimeout
	case err == ErrClosed:
		return s.initiator && !s.PeerClosed()
	}
	return err != ErrHijacked
}
