package psyc

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// ackPackets, ackBytes and ackTime are when what has been received is acknowledged: whichever comes first.
	ackPackets = 64
	ackBytes   = 64 << 10
	ackTime    = 200 * time.Millisecond
)

// A receivedSession counts what the peer sends on a circuit, and goes on knowing it after the end of the circuit. The
// goroutine that reads from the circuit calls begin and handled; fence makes that end.
type receivedSession struct {
	wake func() // has an acknowledgement written

	mu      sync.Mutex
	id      SessionID
	opened  bool // by the peer; before that id and owner are not known
	owner   sessionOwner
	circuit *Circuit // nil when it has ended
	names   []string // that the peer had proved when the circuit ended
	ended   time.Time

	answered bool // somebody has asked how much was received; the lock of Sessions guards it

	count    uint64 // packets that have been received, that is, which are done with
	withheld withheld
	working  bool          // with the packet after those
	fenced   bool          // nothing more is received
	idle     chan struct{} // closed when working ends; nil while nobody waits for that

	acked uint64 // what was last said of count
	bytes int    // received since then
	due   bool   // an acknowledgement is to be written, even if there is nothing new in it
	armed bool   // it will be in ackTime
}

// open gives the session its name, once.
func (s *receivedSession) open(id SessionID, owner sessionOwner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return false
	}
	s.opened, s.id, s.owner = true, id, owner
	return true
}

// begin reports whether the next packet may be received.
func (s *receivedSession) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working = !s.fenced
	return s.working
}

// handled counts n packets, of so many bytes, the last of which begin let in; out says that the first was handed out.
func (s *receivedSession) handled(n, size int, out bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working = false
	if s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	if !s.opened {
		return
	}
	n, size = s.withheld.add(n, size, out)
	s.count += uint64(n)
	s.bytes += size
	switch {
	case s.due:
	case s.count-s.acked >= ackPackets || s.bytes >= ackBytes:
		s.due = true
		s.wake()
	case !s.armed:
		s.armed = true
		time.AfterFunc(ackTime, s.overdue)
	}
}

// overdue has what is new acknowledged.
func (s *receivedSession) overdue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	if s.count > s.acked {
		s.due = true
		s.wake()
	}
}

// answer has an acknowledgement written, whatever there is in it.
func (s *receivedSession) answer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = true
	s.wake()
}

// acknowledgement returns what is to be written, nil if nothing is due.
func (s *receivedSession) acknowledgement() *Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.due {
		return nil
	}
	return s.say(methodSession)
}

// lastWord returns what is to be written when the circuit ends in order: the count is final after fence, and otherwise worth telling
// if it is new.
func (s *receivedSession) lastWord() *Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fenced && !s.working:
		return s.say(methodSessionClosed)
	case s.count > s.acked:
		return s.say(methodSession)
	}
	return nil
}

// say needs the lock.
func (s *receivedSession) say(method string) *Packet {
	s.acked, s.bytes, s.due = s.count, 0, false
	p := &Packet{Method: method}
	p.Entity.Set("_amount_received", formatCount(s.count))
	return p
}

// fence makes count final. It waits for the packet that is being worked with, and is false if that takes longer than ctx lasts;
// nothing else is received then, either.
func (s *receivedSession) fence(ctx context.Context) (count uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fenced = true
	for s.working {
		if s.idle == nil {
			s.idle = make(chan struct{})
		}
		idle := s.idle
		s.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil && s.working {
			return 0, false
		}
	}
	return s.count, true
}

// belongs returns the circuit of the session, if that has not ended, what its peer has proved, and who owns the session.
func (s *receivedSession) belongs() (c *Circuit, names []string, owner sessionOwner) {
	s.mu.Lock()
	c, names, owner = s.circuit, s.names, s.owner
	s.mu.Unlock()
	if c != nil {
		names = c.provedNames()
	}
	return c, names, owner
}

// A sessionOwner is who may open and resume sessions.
type sessionOwner struct {
	lease    uint64
	instance string
}

// provedNames returns what the peer has proved, as far as a session is bound to it.
func (c *Circuit) provedNames() (names []string) {
	for name := range c.Proofs() {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Clip(names[:min(len(names), maxSessionNames)])
}

// open enters a session whose circuit has just begun. holds tells what the peer has proved.
func (t *Sessions) open(s *receivedSession, holds func(name string) bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.received[s.id] != nil {
		return &Error{Method: errSession, Text: "There is a session of that name."}
	}
	for _, other := range t.received {
		_, names, owner := other.belongs()
		if s.owner.lease < owner.lease && (s.owner.instance == owner.instance || slices.ContainsFunc(names, holds)) {
			return &Error{Method: errLease, Text: "Somebody else speaks for you now."}
		}
	}
	t.put(s)
	return nil
}

// put needs the lock.
func (t *Sessions) put(s *receivedSession) {
	if t.received == nil {
		t.received = make(map[SessionID]*receivedSession)
	}
	t.received[s.id] = s
}

// find returns the session of that name, nil if there is none any more.
func (t *Sessions) find(id SessionID) *receivedSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.purge(time.Now())
	return t.received[id]
}

// forestall makes a session that has not been opened one that is over, of which nothing was received. It returns what there is under that
// name now: nil if the peer has proved no names, as it could not be remembered.
func (t *Sessions) forestall(id SessionID, owner sessionOwner, names []string) *receivedSession {
	if len(names) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.received[id]; r != nil {
		return r
	}
	r := &receivedSession{id: id, opened: true, fenced: true, owner: owner, names: names}
	t.put(r)
	t.retain(r, time.Now())
	return r
}

// remembers reports whether a session would be known whose circuit ended at that time, as its sender says: the circuit may have ended
// earlier for the receiver.
func (t *Sessions) remembers(ended time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	return now.Sub(ended) < t.resume()/2 && (t.overflow.IsZero() || now.Sub(t.overflow) >= t.resume())
}

// own makes somebody the owner of a session, who now hears what was received.
func (t *Sessions) own(s *receivedSession, owner sessionOwner) {
	t.mu.Lock()
	s.answered = true
	t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = owner
}

// suspend remembers a session whose circuit has ended, unless the peer has proved nothing: nobody could resume it.
func (t *Sessions) suspend(s *receivedSession) {
	_, names, _ := s.belongs()
	now := time.Now()
	s.mu.Lock()
	s.circuit, s.names = nil, names
	s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(names) == 0 {
		delete(t.received, s.id)
		return
	}
	t.retain(s, now)
}

// retain remembers a session that has ended, for a time. It needs the lock.
func (t *Sessions) retain(s *receivedSession, now time.Time) {
	names := s.names
	s.ended = now
	t.purge(now)
	t.ended = append(t.ended, s)
	same := 0
	for _, other := range t.ended {
		if other.names[0] == names[0] {
			same++
		}
	}
	switch {
	case same > maxSuspendedPerName:
		t.drop(func(other *receivedSession) bool { return other.names[0] == names[0] }, now)
	case len(t.ended) > t.suspended():
		t.drop(func(*receivedSession) bool { return true }, now)
	}
}

// drop forgets the oldest session of those, before its time: one that has been asked for if there is any. It needs the lock.
func (t *Sessions) drop(those func(*receivedSession) bool, now time.Time) {
	i := slices.IndexFunc(t.ended, func(s *receivedSession) bool { return those(s) && s.answered })
	if i < 0 {
		t.overflow = now
		i = slices.IndexFunc(t.ended, those)
	}
	delete(t.received, t.ended[i].id)
	t.ended = slices.Delete(t.ended, i, i+1)
}

// purge forgets what nobody has resumed in time. It needs the lock.
func (t *Sessions) purge(now time.Time) {
	n := 0
	for n < len(t.ended) && now.Sub(t.ended[n].ended) >= t.resume() {
		delete(t.received, t.ended[n].id)
		n++
	}
	t.ended = slices.Delete(t.ended, 0, n)
}

// A heldPacket is a packet for the application that Packets has yet to yield. It counts for n, of so many bytes: itself, and
// what came behind it and was not for the application.
type heldPacket struct {
	packet  *Packet
	n, size int
}

// counts returns 1, and how long p is, if p counts; otherwise 0.
func (in *input) counts(p *Packet) (n, size int) {
	if !in.counting || p.empty() || in.c.own(p) {
		return 0, 0
	}
	return 1, payload(p)
}

// begin and handled stand before and behind the work with a packet that counts for n. begin is false if the packet
// must not be received any more.
func (in *input) begin(n int) bool { return n == 0 || in.c.receiving.begin() }

func (in *input) handled(n, size int, out bool) {
	if n > 0 {
		in.c.receiving.handled(n, size, out)
	}
}

// passed counts a packet that was not for the application, behind those that are still held.
func (in *input) passed(n, size int) {
	if last := len(in.held) - 1; last >= 0 {
		in.held[last].n += n
		in.held[last].size += size
	} else if n > 0 && in.begin(n) {
		in.handled(n, size, false)
	}
}

// payload is about how long p is on the wire.
func payload(p *Packet) int {
	n := len(p.Body) + int(p.Size)
	for _, vars := range [...]Vars{p.Routing, p.Entity} {
		for i := range vars {
			n += len(vars[i].Name) + len(vars[i].Value)
		}
	}
	return n
}
