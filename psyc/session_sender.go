package psyc

import (
	"context"
	"time"
)

// A sentSession counts what this side sends on a circuit, and keeps it until the peer has acknowledged it. It belongs to the
// outbox of the circuit and is guarded by the lock of that.
type sentSession struct {
	id      SessionID
	lease   uint64
	peer    string
	ended   time.Time // when the circuit did
	window  int
	timeout time.Duration
	broken  func() // called when the peer acknowledges nothing

	opened      bool // the packet that opens the session is in the outbox
	asked       bool // so is a request for acknowledgement that has not been answered
	final       bool // the peer takes nothing more
	sent, acked uint64

	sizes    []sentPacket // of the packets that are not acknowledged, from head on
	head     int
	bytes    int    // sum of those
	kept     []byte // the packets among them that are kept, from keptHead on
	keptHead int

	progress time.Time   // of the last acknowledgement, or of the first packet after all were acknowledged
	timer    *time.Timer // looks whether that is too long ago; nil before there was anything
}

// A sentPacket is a packet that is not acknowledged.
type sentPacket struct {
	size int32
	kept bool
}

func (s *sentSession) session() Session {
	return Session{ID: s.id, Lease: s.lease, Sent: s.sent, Acknowledged: s.acked, Final: s.final, Peer: s.peer, Ended: s.ended}
}

// full reports whether the window is. s may be nil.
func (s *sentSession) full() bool { return s != nil && s.bytes >= s.window }

// push counts a packet, and keeps it if told so.
func (s *sentSession) push(wire []byte, keep bool) (number uint64) {
	if s.sent == s.acked {
		s.progress = time.Now()
		s.watch()
	}
	s.sent++
	s.bytes += len(wire)
	s.sizes = append(s.sizes, sentPacket{int32(len(wire)), keep})
	if keep {
		s.kept = append(s.kept, wire...)
	}
	return s.sent
}

// pop drops what the peer has acknowledged.
func (s *sentSession) pop(n uint64) {
	for ; s.acked < n; s.acked++ {
		p := s.sizes[s.head]
		s.head++
		s.bytes -= int(p.size)
		if p.kept {
			s.keptHead += int(p.size)
		}
	}
	s.progress = time.Now()
	if s.head >= len(s.sizes)/2 {
		s.sizes = s.sizes[:copy(s.sizes, s.sizes[s.head:])]
		s.head = 0
	}
	if s.keptHead >= len(s.kept)/2 {
		s.kept = s.kept[:copy(s.kept, s.kept[s.keptHead:])]
		s.keptHead = 0
	}
	if len(s.sizes) == 0 && cap(s.kept) > keepOut {
		s.sizes, s.kept = nil, nil
	}
}

// unacknowledged parses the kept packets with numbers above n.
func (s *sentSession) unacknowledged(n uint64) (left []*Packet) {
	kept, number := s.kept[s.keptHead:], s.acked
	for _, sent := range s.sizes[s.head:] {
		number++
		if !sent.kept {
			continue
		}
		wire := kept[:sent.size]
		kept = kept[sent.size:]
		var p Packet
		if number <= n {
			continue
		}
		if _, err := p.Parse(wire, PSYC10); err == nil {
			left = append(left, p.Clone())
		}
	}
	return left
}

// watch makes sure that somebody looks whether the peer acknowledges.
func (s *sentSession) watch() {
	if s.timeout < 0 {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(s.timeout, s.broken)
	} else {
		s.timer.Reset(s.timeout)
	}
}

// end is called when the circuit ends.
func (s *sentSession) end() {
	if s.ended.IsZero() {
		s.ended = time.Now()
	}
	if s.timer != nil {
		s.timer.Stop()
	}
}

// count makes the outbox count packets as s, those excepted that own says are the circuit's, and acknowledge what r has received.
func (o *outbox) count(s *sentSession, r *receivedSession, own func(*Packet) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sent != nil {
		return
	}
	o.sent, o.received, o.own = s, r, own
	end := s.broken
	s.broken = func() {
		if o.overdue() {
			end()
		}
	}
}

// overdue reports whether the peer has acknowledged nothing for too long; otherwise it sees to it that somebody looks again.
func (o *outbox) overdue() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sent
	if s.sent == s.acked || o.err != nil {
		return false
	}
	if left := s.timeout - time.Since(s.progress); left > 0 {
		s.timer.Reset(left)
		return false
	}
	return true
}

// counts reports whether p counts; the error says that it cannot. It needs the lock.
func (o *outbox) counts(p *Packet, own bool) (bool, error) {
	if o.sent == nil || own || p.empty() {
		return false, nil
	}
	for i := range p.Routing {
		if v := &p.Routing[i]; v.op() != Set || len(v.Value) == 0 {
			return false, ErrRoutingState
		}
	}
	return !o.own(p), nil
}

// open puts what has to be said before the first packet of the session into the outbox. It needs the lock.
func (o *outbox) open() error {
	if o.sent.opened {
		return nil
	}
	o.sent.opened = true
	return o.append(openPacket(o.sent.session()), true)
}

// ask asks for an acknowledgement, because somebody waits for one. It needs the lock.
func (o *outbox) ask() {
	if !o.sent.asked && o.sent.opened {
		o.sent.asked = true
		o.append(&Packet{Method: methodSessionAsk}, true)
	}
}

// acknowledged takes the peer's word that it has received n packets.
func (o *outbox) acknowledged(n uint64, final bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sent
	if s == nil || n < s.acked || n > s.sent || s.final && n != s.acked {
		return &Error{Method: errSession, Text: "You have acknowledged what cannot be."}
	}
	s.pop(n)
	s.asked, s.final = false, s.final || final
	o.makeRoom()
	return nil
}

// acknowledge writes an acknowledgement if one is due. It needs the lock.
func (o *outbox) acknowledge() {
	if o.received == nil {
		return
	}
	if p := o.received.acknowledgement(); p != nil {
		o.append(p, true)
	}
}

// conclude writes what the peer has to hear of its session at the end of the circuit, however much is in front of it. It needs the lock.
func (o *outbox) conclude() {
	if o.received == nil {
		return
	}
	if p := o.received.lastWord(); p != nil {
		o.append(p, true)
	}
}

// hold keeps back all that the writer has not taken, and takes nothing more: the peer has asked for the end, and says nothing more.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deaf, o.shut = true, true
	o.makeRoom()
	o.held, o.heldm = o.buf, o.marks
	o.short.hold()
	o.buf, o.marks = nil, nil
}

// settled waits until all is acknowledged that has been sent, or until ctx ends. Nothing more is taken.
func (o *outbox) settled(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sent == nil {
		return
	}
	o.shut = true
	o.makeRoom() // those who wait for it find that nothing more is taken
	for o.err == nil && o.sent.sent > o.sent.acked && !o.sent.final {
		o.ask()
		if o.wait(ctx) != nil {
			return
		}
	}
}
