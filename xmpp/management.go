package xmpp

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const nsManagement = "urn:xmpp:sm:3"

// ErrResumed ends a stream whose session goes on in another one.
var ErrResumed = errors.New("xmpp: session resumed by another stream")

// ManagementConfig configures [Management]. Zero fields have the defaults given.
type ManagementConfig struct {
	// Queue is the number of bytes of stanzas that the peer has not acknowledged beyond which Send waits; 1 MiB. They
	// are kept until they are acknowledged or the session ends.
	Queue int

	// CountOnly has streams count what they send and keep none of it, for a caller who keeps it until [Stream.Acknowledged] has come that
	// far. A stream that resumes a session then sends nothing again by itself: its Acknowledged tells, as soon as Negotiate has returned,
	// where the caller has to go on. It is not for streams that go both ways ([Bidi]).
	CountOnly bool

	// Resume is how long after the end of its stream a session may be resumed; 5 min. Both sides' bounds hold, the accepting side tells
	// its own. Negative: no resumption.
	Resume time.Duration

	// Suspended is how many sessions without a stream the accepting side keeps; 256. Beyond that the oldest ends.
	Suspended int

	// Answer bounds the peer's answer when it is asked for acknowledgement; 1 min, negative is no bound. A peer that
	// does not answer is gone: the stream ends with [ErrIdle].
	Answer time.Duration

	// Expired is called on the accepting side when a session ends that waited for its resumption. s carried it last;
	// [Stream.Unacknowledged] tells what may have been lost. It runs in a goroutine of its own.
	Expired func(s *Stream)
}

// Management is stream management between servers (XEP-0198, urn:xmpp:sm:3): both sides count stanzas, each acknowledges
// what it has handled, and a session whose connection breaks goes on in another stream without losing or doubling one
// ([Stream.Resume]). It stands last in Config.Features.
//
// A stanza of the peer has been handled when the body of the loop over [Stream.Stanzas] is through with it. Acknowledgement is asked for
// whenever something is sent and no answer is outstanding, so a busy stream asks once in a round trip. Somebody has to range over
// Stanzas on both sides, as there the answers arrive.
//
// A session belongs to what proved it: it is resumed only by a stream on which the peer has proved all pairs of domains of the one before,
// with TLS if that had TLS, and by an identifier that cannot be guessed. Where it is not to be resumed, [Stream.Unacknowledged] gives back
// what the peer may not have handled, to be sent again; Prosody 0.12 acknowledges between servers, but does not resume there.
func Management(cfg ManagementConfig) Feature {
	cfg.Queue = positive(cfg.Queue, 1<<20)
	cfg.Suspended = positive(cfg.Suspended, 256)
	if cfg.Resume == 0 {
		cfg.Resume = 5 * time.Minute
	}
	if cfg.Answer == 0 {
		cfg.Answer = time.Minute
	}
	m := &management{cfg: cfg, sessions: make(map[string]*session)}
	return Feature{
		Name:     xml.Name{Space: nsManagement, Local: "sm"},
		Requires: Authenticated,
		Offer: func(_ *Stream, dst []byte) []byte {
			return append(dst, "<sm xmlns='"+nsManagement+"'/>"...)
		},
		Start: m.start,
		Serve: m.serve,
	}
}

type management struct {
	cfg ManagementConfig

	mu        sync.Mutex
	sessions  map[string]*session // of the accepting side that can be resumed, by id
	suspended []*session          // those of them without a stream, oldest first
}

// A resumption is what the initiating side waits for.
type resumption struct {
	session *session
	done    bool
	err     error
}

func (m *management) newSession(s *Stream) *session {
	return &session{limit: m.cfg.Queue, countOnly: m.cfg.CountOnly, answer: m.cfg.Answer, max: m.cfg.Resume, carrier: s}
}

func (m *management) start(ctx context.Context, s *Stream, _ Element) (State, error) {
	if s.resumes != nil {
		err := m.resume(ctx, s, s.resumes)
		switch {
		case err == nil:
			return 0, nil
		case !errors.Is(err, ErrDeclined):
			return 0, err
		}
		s.debug("session not resumed", "reason", err)
	}
	resume := ""
	if m.cfg.Resume > 0 {
		resume = " resume='true'"
	}
	// The answer may come behind stanzas and is not waited for.
	return 0, s.begin(ctx, m.newSession(s), "<enable xmlns='"+nsManagement+"'"+resume+"/>")
}

// resume has s carry the session of old on. [ErrDeclined] means that it cannot.
func (m *management) resume(ctx context.Context, s, old *Stream) error {
	ss := old.managed()
	switch {
	case ss == nil:
		return fmt.Errorf("%w: the stream had no session", ErrDeclined)
	case old.Err() == nil:
		return fmt.Errorf("%w: the stream still lasts", ErrDeclined)
	}
	if err := old.acquire(ctx); err != nil { // what its loop is at has to be counted
		return err
	}
	defer old.release()
	if !ss.resumable() || !ss.carriedBy(old) || len(old.held) > 0 || old.Local() != s.Local() || old.Remote() != s.Remote() ||
		differ(old, s) {
		return fmt.Errorf("%w: the session cannot go on here", ErrDeclined)
	}
	for _, p := range old.authorizedPairs() {
		switch err := s.authorizePair(ctx, p, true); {
		case err == errNoDialback, answeredNo(err), errors.Is(err, ErrDeclined):
			return fmt.Errorf("%w: %w", ErrDeclined, err)
		case err != nil:
			return err
		}
	}
	s.rd.limit(s.cfg.Limits)
	s.resuming = &resumption{session: ss}
	resume := "<resume xmlns='" + nsManagement + "' h='" + ss.h() + "' previd='" + string(AppendValue(nil, ss.id)) + "'/>"
	if err := s.WriteRaw(ctx, []byte(resume)); err != nil {
		return err
	}
	for !s.resuming.done {
		st, err := s.step(ctx)
		if err == nil {
			err = s.hold(st)
		}
		if err != nil {
			return err
		}
	}
	return s.resuming.err
}

// differ reports whether a session cannot move from one stream to the other, whatever they prove.
func differ(old, s *Stream) bool {
	return (old.State()^s.State())&(Secure|Bidirectional) != 0
}

func (s *Stream) authorizedPairs() []pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	pairs := make([]pair, 0, len(s.authorized))
	for p := range s.authorized {
		pairs = append(pairs, p)
	}
	return pairs
}

func (m *management) serve(ctx context.Context, s *Stream, e Element) (State, error) {
	ss := s.managed()
	switch name := e.Name().Local; {
	case name == "enable" && !s.initiator:
		return 0, m.enable(ctx, s, e)
	case name == "resume" && !s.initiator:
		return 0, m.serveResume(ctx, s, e)
	case name == "enabled" && s.initiator && ss != nil && !ss.isEnabled():
		s.counting = ss
		ss.open(e)
		s.out.owe(false, true)
		return 0, nil
	case name == "resumed" && s.initiator && s.resuming != nil && !s.resuming.done:
		return 0, s.resumed(ctx, e)
	case name == "failed" && s.initiator:
		return 0, s.notManaged(ss, e)
	case name == "r" && ss != nil && ss.isEnabled():
		s.out.owe(true, false)
		return 0, nil
	case name == "a" && ss != nil && ss.isEnabled():
		h, err := handledCount(e)
		if err == nil {
			err = ss.acknowledge(h)
		}
		s.out.owe(false, true)
		return 0, err
	}
	return 0, unsupported(e)
}

// handledCount reads the attribute h.
func handledCount(e Element) (uint32, error) {
	value, _ := e.Attr("h")
	h, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0, &StreamError{Condition: BadFormat, Text: "acknowledgement without a valid h", Local: true}
	}
	return uint32(h), nil
}

// open takes in <enabled/>.
func (ss *session) open(enabled Element) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.enabled = true
	if resume, _ := enabled.Attr("resume"); ss.max <= 0 || resume != "true" && resume != "1" {
		return
	}
	ss.id, _ = enabled.Attr("id")
	value, _ := enabled.Attr("max")
	if max, err := strconv.ParseUint(value, 10, 31); err == nil {
		ss.max = min(ss.max, time.Duration(max)*time.Second)
	}
}

// resumed goes on with the session that the peer has found.
func (s *Stream) resumed(ctx context.Context, e Element) error {
	r := s.resuming
	if previd, _ := e.Attr("previd"); previd != r.session.id {
		return &StreamError{Condition: BadFormat, Text: "another session resumed", Local: true}
	}
	h, err := handledCount(e)
	if err == nil {
		err = r.session.acknowledge(h)
	}
	if err != nil {
		return err
	}
	r.done = true
	s.mu.Lock()
	s.isResumed = true
	s.mu.Unlock()
	s.debug("session resumed")
	return s.adopt(ctx, r.session, "")
}

// notManaged takes in <failed/>, the answer to <resume/> or to <enable/>.
func (s *Stream) notManaged(ss *session, e Element) error {
	switch r := s.resuming; {
	case r != nil && !r.done:
		r.done = true
		r.err = fmt.Errorf("%w: %w", ErrDeclined, failedCondition(e))
		if h, err := handledCount(e); err == nil {
			_ = r.session.acknowledge(h) // better than nothing; too much is nothing
		}
		return nil
	case ss != nil && !ss.isEnabled():
		s.debug("no stream management", "reason", failedCondition(e))
		s.manage(nil)
		return s.out.append(s.life, func(dst []byte) []byte {
			s.out.session = nil
			return dst
		})
	}
	return unsupported(e)
}

func failedCondition(e Element) Condition {
	for c := range e.Children() {
		if c.Name().Space == NSStanzaErrors && c.Name().Local != "text" {
			return Condition(c.Name().Local)
		}
	}
	return UndefinedCondition
}

// refuse answers that there will be no session; the stream goes on.
func (m *management) refuse(ctx context.Context, s *Stream, condition Condition) error {
	s.debug("no stream management", "reason", condition)
	return s.WriteRaw(ctx, []byte("<failed xmlns='"+nsManagement+"'><"+string(condition)+" xmlns='"+NSStanzaErrors+"'/></failed>"))
}

// enable begins a session on the accepting side.
func (m *management) enable(ctx context.Context, s *Stream, e Element) error {
	if s.State()&Authenticated == 0 || s.managed() != nil {
		return m.refuse(ctx, s, UnexpectedRequest)
	}
	ss := m.newSession(s)
	ss.enabled = true
	answer := "<enabled xmlns='" + nsManagement + "'"
	if resume, _ := e.Attr("resume"); ss.max > 0 && (resume == "true" || resume == "1") {
		ss.id, ss.moving = rand.Text(), make(chan struct{}, 1)
		ss.forget = func() { m.forget(ss) }
		m.mu.Lock()
		m.sessions[ss.id] = ss
		m.mu.Unlock()
		answer += " id='" + ss.id + "' resume='true' max='" + strconv.FormatInt(int64(ss.max/time.Second), 10) + "'"
		context.AfterFunc(s.life, func() { m.await(ss, s) })
	}
	s.counting = ss
	return s.begin(ctx, ss, answer+"/>")
}

// await lets a session wait for its resumption when the stream that carries it has ended.
func (m *management) await(ss *session, s *Stream) {
	<-s.closed
	m.mu.Lock()
	var excess *session
	if m.sessions[ss.id] == ss && ss.carriedBy(s) {
		ss.mu.Lock()
		ss.expiry = time.AfterFunc(ss.max, func() { m.expire(ss) })
		ss.mu.Unlock()
		if m.suspended = append(m.suspended, ss); len(m.suspended) > m.cfg.Suspended {
			excess = m.suspended[0]
		}
	}
	m.mu.Unlock()
	if excess != nil {
		m.expire(excess)
	}
}

// take removes a session from the store; it reports whether it was there. m.mu is held.
func (m *management) take(ss *session) bool {
	if m.sessions[ss.id] != ss {
		return false
	}
	delete(m.sessions, ss.id)
	for i, other := range m.suspended {
		if other == ss {
			m.suspended = append(m.suspended[:i], m.suspended[i+1:]...)
			break
		}
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.expiry != nil {
		ss.expiry.Stop()
		ss.expiry = nil
	}
	return true
}

func (m *management) forget(ss *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.take(ss)
}

// expire ends a session that nobody has resumed.
func (m *management) expire(ss *session) {
	m.mu.Lock()
	taken := m.take(ss)
	m.mu.Unlock()
	if !taken {
		return
	}
	ss.mu.Lock()
	ss.over = true
	s := ss.carrier
	ss.mu.Unlock()
	if m.cfg.Expired != nil {
		m.cfg.Expired(s)
	}
}

// serveResume lets s carry an earlier session on, if it proves what that one proved.
func (m *management) serveResume(ctx context.Context, s *Stream, e Element) error {
	if s.State()&Authenticated == 0 || s.managed() != nil {
		return m.refuse(ctx, s, UnexpectedRequest)
	}
	h, err := handledCount(e)
	if err != nil {
		return err
	}
	previd, _ := e.Attr("previd")
	m.mu.Lock()
	ss := m.sessions[previd]
	m.mu.Unlock()
	if ss == nil {
		return m.refuse(ctx, s, ItemNotFound)
	}
	wait, cancel := within(ctx, s.timeouts.Negotiate)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	select {
	case ss.moving <- struct{}{}: // an attempt whose connection broke may be under way
		defer func() { <-ss.moving }()
	case <-wait.Done():
		return context.Cause(wait) // the session is still there for the next attempt
	}
	old := ss.carriedLast()
	if differ(old, s) || !s.provesAll(old) {
		s.warn("attempt to resume the session of others")
		return m.refuse(ctx, s, ItemNotFound)
	}
	// The peer knows better than we do that the connection is gone.
	if old.conclude(ErrResumed) {
		old.out.seal(ErrResumed, "")
		old.finished()
	}
	<-old.closed
	if err := old.acquire(wait); err != nil { // what its loop is at has to be counted
		return err
	}
	defer old.release()
	m.mu.Lock()
	found := m.take(ss)
	m.mu.Unlock()
	switch {
	case !found:
		return m.refuse(ctx, s, ItemNotFound)
	case len(old.held) > 0:
		m.lose(ss, old)
		return m.refuse(ctx, s, ItemNotFound)
	}
	if err := ss.acknowledge(h); err != nil {
		m.lose(ss, old)
		return err
	}
	ss.mu.Lock()
	ss.carry(s)
	ss.mu.Unlock()
	m.mu.Lock()
	m.sessions[ss.id] = ss
	m.mu.Unlock()
	s.mu.Lock()
	s.isResumed = true
	s.mu.Unlock()
	s.debug("session resumed")
	err = s.adopt(ctx, ss, "<resumed xmlns='"+nsManagement+"' h='"+ss.h()+"' previd='"+ss.id+"'/>")
	context.AfterFunc(s.life, func() { m.await(ss, s) })
	return err
}

// lose ends a session that was to be resumed and could not be.
func (m *management) lose(ss *session, old *Stream) {
	ss.mu.Lock()
	ss.over = true
	ss.mu.Unlock()
	if m.cfg.Expired != nil {
		go m.cfg.Expired(old)
	}
}

// provesAll reports whether the peer has proved on s all that it had on old.
func (s *Stream) provesAll(old *Stream) bool {
	for _, p := range old.Proofs() {
		if !s.Proven(p.Local, p.Remote) {
			return false
		}
	}
	return true
}

// Resume makes Negotiate go on with the session of old, an initiating stream between the same two domains that has ended. It is called
// before Negotiate; Config.Features has to contain [Management]. Pairs that were authorized on old are
// authorized again.
//
// If that succeeds, [Stream.Resumed] is true: what was sent on old and did not arrive is sent again, before anything else (but see
// ManagementConfig.CountOnly). Otherwise the stream begins a session of its own, and old.[Stream.Unacknowledged] is to be sent again by the
// caller.
func (s *Stream) Resume(old *Stream) { s.resumes = old }

// Resumed reports whether the stream goes on with the session of another one. On the accepting side that may happen at
// any time after Negotiate.
func (s *Stream) Resumed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isResumed
}

// Resumable reports whether the session of the stream can go on in another stream, before or after the end of this one.
func (s *Stream) Resumable() bool {
	ss := s.managed()
	return ss != nil && ss.isEnabled() && ss.carriedBy(s) && ss.resumable()
}

// Managed reports whether the stream has a session: the peer offers stream management and has not refused it yet.
func (s *Stream) Managed() bool { return s.managed() != nil }

// Acknowledged returns how many stanzas the peer has acknowledged, counted from the beginning of the session; 0 without one.
func (s *Stream) Acknowledged() uint64 {
	ss := s.managed()
	if ss == nil {
		return 0
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.acked
}

// Unacknowledged returns the stanzas that Send took and that the peer has not acknowledged when the stream ended, in their order:
// [Stream.Unsent] and those before of which it is not known whether they arrived. The session is over with that, and
// cannot be resumed any more.
//
// Without [Management], or with ManagementConfig.CountOnly, it is Unsent. It returns nil before [Stream.Done] is closed, and if another stream carries the session on.
func (s *Stream) Unacknowledged() []*Stanza {
	select {
	case <-s.closed:
	default:
		return nil
	}
	ss := s.managed()
	if ss == nil {
		return s.Unsent()
	}
	queue, ok := ss.finish(s)
	if ok && ss.countOnly {
		return s.Unsent()
	}
	var stanzas []*Stanza
	for _, raw := range queue {
		if st, err := parseIn(raw, s.space); err == nil {
			stanzas = append(stanzas, st.Clone())
		}
	}
	return stanzas
}
