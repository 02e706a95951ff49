package psyc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// ModuleSession is the protocol module of acknowledged delivery, which a circuit with [Config.Sessions] announces beside
// [ModuleProfile]. See "Sessions" in the package documentation.
const ModuleSession = "_switchyard_session"

// Circuit methods of the module.
const (
	methodSessionOpen    = "_notice_session_open"
	methodSession        = "_status_session"
	methodSessionClosed  = "_status_session_closed"
	methodSessionAsk     = "_request_session_acknowledgement"
	methodSessionResume  = "_request_session_resume"
	methodSessionResumed = "_status_session_resumed"

	errSessionUnknown     = "_failure_unknown_session"
	errSessionUnavailable = "_failure_unavailable_session"
	errSession            = "_error_invalid_session"
	errLease              = "_error_invalid_lease"
)

// Errors of sessions.
var (
	// ErrSessionUnknown means that the peer cannot tell how far it got with a session: it has been restarted, has forgotten
	// the session, does not believe that it is ours, or says what cannot be. What was not acknowledged may have arrived or not.
	ErrSessionUnknown = errors.New("psyc: session unknown to the peer")

	// ErrSessionResumed ends a circuit whose peer has asked, on another one, how far its session got.
	ErrSessionResumed = errors.New("psyc: session resumed on another circuit")

	// ErrUnacknowledged means that the peer has acknowledged nothing for [Sessions.Timeout], although there was something.
	ErrUnacknowledged = errors.New("psyc: peer acknowledges nothing")
)

// A SessionID names a session: 128 random bits, which nobody but its two sides knows.
type SessionID [16]byte

// String returns the hexadecimal form, which goes on the wire.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// ParseSessionID reads the 32 hexadecimal digits of [SessionID.String], lower case.
func ParseSessionID(s string) (id SessionID, err error) {
	if len(s) != hex.EncodedLen(len(id)) {
		return SessionID{}, &Error{Method: errSession, Text: "A session is named by 32 hexadecimal digits."}
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return SessionID{}, &Error{Method: errSession, Text: "A session is named by 32 hexadecimal digits.", Err: err}
	}
	return id, nil
}

// A Session is what one side has sent on one circuit. It is a plain value: who keeps it can ask for it later, by another
// circuit ([Circuit.Resume]) and even in another process that has the higher lease.
type Session struct {
	ID           SessionID
	Lease        uint64 // of the owner who opened it
	Sent         uint64 // packets
	Acknowledged uint64 // of them, by the peer
	Final        bool   // the peer has said that it takes nothing beyond Acknowledged

	Peer  string    // the instance of the peer, as in its greeting
	Ended time.Time // when the circuit did; zero if it has not
}

// Sessions makes circuits count and acknowledge packets between entities, so that nothing is lost and nothing doubled
// when circuits break ([Config.Sessions]). All circuits of a process share one: it remembers how far the peers got whose circuits have
// ended. The zero value is ready for use; its fields must not be changed once it is.
type Sessions struct {
	// Lease is the number of the owner: when several processes send for the same names, one after the other, each has a higher
	// one than the one before. A peer refuses who comes with a lower one than it has seen. 0 where there is only one process.
	Lease uint64

	// Window is how many bytes of packets may be unacknowledged on one circuit before Send waits; 16 MiB. A packet that is
	// larger is taken when there is room for anything.
	Window int

	// Timeout is how long the peer may acknowledge nothing, although there is something, before the circuit ends with
	// [ErrUnacknowledged]; 1 min, negative: any time.
	Timeout time.Duration

	// Suspended is how many sessions of peers are remembered whose circuit has ended; 4096, the oldest is forgotten first,
	// and no more than 64 of the peer that has proved the same name.
	Suspended int

	// Resume is how long they are remembered; 10 min.
	Resume time.Duration

	mu       sync.Mutex
	received map[SessionID]*receivedSession
	ended    []*receivedSession // those whose circuit has ended, in that order
	overflow time.Time          // when one of them was last forgotten before its time
}

const (
	defaultWindow    = 16 << 20
	defaultUnacked   = time.Minute
	defaultSuspended = 4096
	defaultResume    = 10 * time.Minute

	// maxSuspendedPerName is how many sessions are remembered of one peer.
	maxSuspendedPerName = 64

	// maxSessionNames is how many of the names that a peer has proved on a circuit it has to prove again to resume the session.
	maxSessionNames = 64

	// fenceTime is how long a resumption waits for what is being done with the last packet of the circuit before.
	fenceTime = 10 * time.Second

	// maxAge is the age in seconds beyond which sessions are all the same.
	maxAge = 1 << 30

	// maxResuming is how many requests for resumption are worked on at a time, on one circuit.
	maxResuming = 16
)

func (t *Sessions) window() int {
	if t.Window > 0 {
		return t.Window
	}
	return defaultWindow
}

func (t *Sessions) timeout() time.Duration {
	if t.Timeout != 0 {
		return t.Timeout
	}
	return defaultUnacked
}

func (t *Sessions) resume() time.Duration {
	if t.Resume > 0 {
		return t.Resume
	}
	return defaultResume
}

func (t *Sessions) suspended() int {
	if t.Suspended > 0 {
		return t.Suspended
	}
	return defaultSuspended
}

// modules adds the module to what a circuit announces. t may be nil.
func (t *Sessions) modules(announced []string) []string {
	if t == nil || slices.Contains(announced, ModuleSession) {
		return announced
	}
	return append(slices.Clip(announced), ModuleSession)
}

// useSessions begins to count what is sent, once the greetings have shown that both sides know the module. c.mu is held.
func (c *Circuit) useSessions() {
	if c.cfg.Sessions == nil || !c.profile || c.Syntax() != PSYC10 || !slices.Contains(c.peer.Understands, ModuleSession) {
		return
	}
	s := &sentSession{
		lease:   c.cfg.Sessions.Lease,
		peer:    c.peer.Instance,
		window:  c.cfg.Sessions.window(),
		timeout: c.cfg.Sessions.timeout(),
		broken: func() {
			c.end(fmt.Errorf("psyc: circuit with %s: %w", addr(c.conn.RemoteAddr()), ErrUnacknowledged), nil, false)
		},
	}
	rand.Read(s.id[:])
	c.in.counting = true
	c.out.count(s, c.receiving, c.own)
}

// Session returns what this side has sent; ok is false while the circuit does not count. After the end of the circuit it
// is what [Circuit.Resume] of another one needs.
func (c *Circuit) Session() (s Session, ok bool) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.sent == nil {
		return Session{}, false
	}
	return c.out.sent.session(), true
}

// SendNumbered is [Circuit.Send] for who keeps what it sends: it returns the number of the packet in the session, and the session
// keeps no copy. The number is 0 where the circuit does not count, and for packets that do not count.
func (c *Circuit) SendNumbered(ctx context.Context, p *Packet) (number uint64, err error) {
	if err := c.Handshake(ctx); err != nil {
		return 0, err
	}
	return c.out.addNumbered(ctx, p, false, false)
}

// Unacknowledged returns, in their order, copies of the packets that Send took and whose number is above received:
// what [Circuit.Resume] returned, or [Session].Acknowledged. It returns nil before [Circuit.Done] is closed and where the circuit
// does not count; [Circuit.Unsent] is a part of it.
func (c *Circuit) Unacknowledged(received uint64) []*Packet {
	select {
	case <-c.done:
	default:
		return nil
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.sent == nil {
		return nil
	}
	return c.out.sent.unacknowledged(received)
}

// Resume asks the peer how many packets it has received of s, a session of ours whose circuit has ended. All that has a higher number
// was not received, and will not be: it is to be sent again, by any circuit. Asking again gives the same answer.
//
// The peer answers only who proves, on this circuit, what was proved on the other one. The error wraps [ErrSessionUnknown] if it cannot
// tell, an *[Error] below _error_invalid_lease if somebody with a higher lease owns the session, and otherwise is as for
// [Circuit.Request]: it is worth asking again.
func (c *Circuit) Resume(ctx context.Context, s Session) (received uint64, err error) {
	if s.Final || s.Sent == s.Acknowledged {
		return s.Acknowledged, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("psyc: resume session with %s: %w", addr(c.conn.RemoteAddr()), err)
		}
	}()
	if err := c.Handshake(ctx); err != nil {
		return 0, err
	}
	own, ok := c.Session()
	if !ok {
		return 0, fmt.Errorf("%w: it does not count", ErrSessionUnknown)
	}
	reply, err := c.Request(ctx, resumePacket(s, own.Lease))
	switch {
	case err != nil:
		return 0, err
	case reply.Method == errSessionUnknown:
		return 0, ErrSessionUnknown
	case reply.Method != methodSessionResumed:
		return 0, reply.asError()
	}
	received, err = readCount(reply, "_amount_received")
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrSessionUnknown, err)
	case received < s.Acknowledged || received > s.Sent:
		return 0, fmt.Errorf("%w: it counts %d packets of %d, and has acknowledged %d", ErrSessionUnknown, received, s.Sent, s.Acknowledged)
	}
	return received, nil
}

// sessionPacket acts on a circuit packet of the module. It reports whether p is one.
func (c *Circuit) sessionPacket(p *Packet) bool {
	if c.cfg.Sessions == nil {
		return false
	}
	var err error
	switch p.Method {
	case methodSessionOpen:
		err = c.openSession(p)
	case methodSession, methodSessionClosed:
		var n uint64
		if n, err = readCount(p, "_amount_received"); err == nil {
			err = c.out.acknowledged(n, p.Method == methodSessionClosed)
		}
		if err == nil && c.cfg.Acknowledged != nil {
			c.cfg.Acknowledged(n)
		}
	case methodSessionAsk:
		if c.in.counting {
			c.receiving.answer()
		}
	case methodSessionResume:
		c.serveResume(p)
	default:
		return false
	}
	if err != nil {
		// One of the sides has lost count; nothing that either would say from now on can be relied upon.
		fault := err.(*Error)
		c.end(fmt.Errorf("psyc: circuit with %s: %w", addr(c.conn.RemoteAddr()), fault), fault.packet(), true)
		c.in.over = true
	}
	return true
}

// readCount reads a count of packets.
func readCount(p *Packet, name string) (uint64, error) {
	v := p.Entity.Get(name)
	n, err := strconv.ParseUint(string(v), 10, 63)
	if err != nil || len(v) > 1 && v[0] == '0' {
		return 0, &Error{Method: errSession, Text: "[_variable_name] is no number.", Vars: Vars{{Name: "_variable_name", Value: Value(name)}}, Err: err}
	}
	return n, nil
}

func formatCount(n uint64) string { return strconv.FormatUint(n, 10) }

// openPacket begins the session s.
func openPacket(s Session) *Packet {
	p := &Packet{Method: methodSessionOpen}
	p.Entity.Set("_session", s.ID.String())
	p.Entity.Set("_lease", formatCount(s.Lease))
	return p
}

// resumePacket asks for s on behalf of the owner with a lease.
func resumePacket(s Session, lease uint64) *Packet {
	p := openPacket(Session{ID: s.ID, Lease: lease})
	p.Method = methodSessionResume
	p.Entity.Set("_amount_acknowledged", formatCount(s.Acknowledged))
	if s.Peer != "" && !s.Ended.IsZero() {
		p.Entity.Set("_instance", s.Peer)
		p.Entity.Set("_time_ended", formatCount(uint64(max(0, time.Since(s.Ended)/time.Second))))
	}
	return p
}

// readSession reads what openPacket and resumePacket write.
func readSession(p *Packet) (s Session, err error) {
	if s.ID, err = ParseSessionID(p.Entity.Get("_session").String()); err != nil {
		return Session{}, err
	}
	if s.Lease, err = readCount(p, "_lease"); err != nil {
		return Session{}, err
	}
	if p.Method != methodSessionResume {
		return s, nil
	}
	if s.Acknowledged, err = readCount(p, "_amount_acknowledged"); err != nil || p.Entity.Get("_instance") == nil {
		return s, err
	}
	s.Peer = p.Entity.Get("_instance").String()
	age, err := readCount(p, "_time_ended")
	s.Ended = time.Now().Add(-time.Duration(min(age, maxAge)) * time.Second)
	return s, err
}

// openSession begins to count what the peer sends.
func (c *Circuit) openSession(p *Packet) error {
	s, err := readSession(p)
	if err != nil {
		return err
	}
	if !c.receiving.open(s.ID, sessionOwner{s.Lease, c.Peer().Instance}) {
		return &Error{Method: errSession, Text: "This circuit has a session."}
	}
	if err := c.cfg.Sessions.open(c.receiving, c.proofs.holds); err != nil {
		return err
	}
	c.mu.Lock()
	c.opened = true
	over := c.over
	c.mu.Unlock()
	if over {
		c.cfg.Sessions.suspend(c.receiving)
	}
	return nil
}

// suspendSession remembers what was received on the circuit, which has ended.
func (c *Circuit) suspendSession() {
	c.mu.Lock()
	c.over = true
	opened := c.opened
	c.mu.Unlock()
	if opened {
		c.cfg.Sessions.suspend(c.receiving)
	}
}

// closeSession brings the counts of both sides to rest before the circuit is closed: what was sent is acknowledged, and nothing that counts
// is received any more, whether the peer has opened its session yet or not.
func (c *Circuit) closeSession() {
	if c.cfg.Sessions == nil || c.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.CloseTimeout)
	defer cancel()
	c.out.settled(ctx)
	c.receiving.fence(ctx)
}

// peerCloses ends the circuit because the peer has asked for that. If it counts, it hears the last of what was received.
func (c *Circuit) peerCloses() {
	if !c.in.counting {
		c.end(io.EOF, nil, false)
		return
	}
	c.receiving.fence(c.ctx)
	c.out.hold()
	c.end(io.EOF, nil, true)
}

// serveResume answers how far the peer got with a session of another circuit, without keeping the reader waiting.
func (c *Circuit) serveResume(p *Packet) {
	answer := &Packet{}
	answer.tagLike(p)
	s, err := readSession(p)
	if err != nil {
		answer.Method = errSession
		c.answer(answer)
		return
	}
	if c.in.resuming.Add(1) > maxResuming {
		c.in.resuming.Add(-1)
		answer.Method = errSessionUnavailable
		c.answer(answer)
		return
	}
	go func() {
		defer c.in.resuming.Add(-1)
		var received uint64
		received, answer.Method = c.received(c.ctx, s)
		if answer.Method == methodSessionResumed {
			answer.Entity.Set("_session", s.ID.String())
			answer.Entity.Set("_amount_received", formatCount(received))
		} else {
			c.log.Log(c.ctx, slog.LevelWarn, "session not resumed", "peer", c.Peer().Root, "answer", answer.Method)
		}
		c.answer(answer)
	}()
}

// received ends a session that the peer had on another circuit and returns how many of its packets were received, with the method of
// the answer. Who does not own the session hears the same as if there were none.
func (c *Circuit) received(ctx context.Context, asked Session) (uint64, string) {
	instance := c.Peer().Instance
	r := c.cfg.Sessions.find(asked.ID)
	if r == nil && asked.Acknowledged == 0 && asked.Peer == hex.EncodeToString(c.cfg.Instance[:]) && c.cfg.Sessions.remembers(asked.Ended) {
		// Its first packet has been lost, or waits unread on the other circuit. Then it has come too late.
		r = c.cfg.Sessions.forestall(asked.ID, sessionOwner{asked.Lease, instance}, c.provedNames())
	}
	if r == nil {
		return 0, errSessionUnknown
	}
	old, names, owner := r.belongs()
	if old == c {
		return 0, errSession
	}
	if len(names) == 0 {
		return 0, errSessionUnknown
	}
	for _, name := range names {
		if c.prove(ctx, name, c.selfHost) != nil {
			return 0, errSessionUnknown
		}
	}
	switch {
	case asked.Lease < owner.lease:
		return 0, errLease
	case instance != owner.instance && asked.Lease == owner.lease:
		return 0, errSessionUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, fenceTime)
	defer cancel()
	count, ok := r.fence(ctx)
	if !ok {
		return 0, errSessionUnavailable
	}
	if old != nil {
		old.end(ErrSessionResumed, nil, false)
	}
	if asked.Acknowledged > count {
		return 0, errSessionUnknown // what we know is older than what we have said
	}
	c.cfg.Sessions.own(r, sessionOwner{asked.Lease, instance})
	return count, methodSessionResumed
}
