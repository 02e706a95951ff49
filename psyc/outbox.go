package psyc

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keepOut is the largest buffer of sent packets that an idle session keeps.
	keepOut = 4 << 10

	// ownRoom is how much room there is for packets of the circuit's own beyond [Config.Queue]: where it is full of others, the
	// answers to requests of the peer still have to go.
	ownRoom = 16 << 10
)

// past is a deadline that interrupts what is blocked.
var past = time.Unix(1, 0)

// An outbox holds the packets that wait for the writer, in wire form. Send appends at the one end, the writer takes
// all there is.
type outbox struct {
	limit int
	wake  chan struct{} // tells the writer that there is something to do
	write func()        // the writer

	asleep atomic.Bool // no writer runs

	mu       sync.Mutex
	render   Renderer
	short    abbreviator
	buf      []byte
	marks    []mark        // one for each packet in buf
	spare    []byte        // the buffer that the writer is done with
	sparem   []mark        // likewise
	room     chan struct{} // closed when the writer has taken buf; nil if nobody waits for that
	lastSent time.Time
	drowsy   bool      // the writer need not wait for more: nobody has sent anything for a while
	shut     bool      // only packets of the circuit's own are taken
	err      error     // not nil: nothing more is taken
	finishBy time.Time // not zero: write what is left until then
	aborted  bool      // write nothing more

	sent     *sentSession       // counts the packets; nil where nobody does
	own      func(*Packet) bool // says which ones are the circuit's, with sent
	received *receivedSession   // wants acknowledgements written, with sent
	deaf     bool               // nothing comes from the peer any more
	held     []byte             // what has been held back, behind buf, when the circuit ended
	heldm    []mark             // likewise
}

// A mark says where a packet in the outbox ends, and whether the circuit made it itself.
type mark struct {
	end int
	own bool
}

func (o *outbox) init(limit int, write func()) {
	o.limit, o.write = limit, write
	o.wake = make(chan struct{}, 1)
}

// set says how packets are written from now on.
func (o *outbox) set(r Renderer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.render = r
}

// add appends p. It waits for room unless own; a packet of the circuit's own has more room, and is dropped when there
// is none, or it could block the reader and with it the peer.
func (o *outbox) add(ctx context.Context, p *Packet, own bool) error {
	_, err := o.addNumbered(ctx, p, own, true)
	return err
}

// addNumbered is add; number is that of p in the session, 0 if p does not count. With keep the session keeps a copy.
func (o *outbox) addNumbered(ctx context.Context, p *Packet, own, keep bool) (number uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts, err := o.counts(p, own)
	if err != nil {
		return 0, err
	}
	for o.err == nil && !(o.shut && !own) && (len(o.buf) >= o.limit || counts && o.sent.full()) {
		if own {
			if len(o.buf) < o.limit+ownRoom {
				break
			}
			return 0, nil
		}
		if counts && o.sent.full() {
			o.ask()
		}
		if err := o.wait(ctx); err != nil {
			return 0, err
		}
	}
	switch {
	case o.err != nil:
		return 0, o.err
	case o.shut && !own:
		return 0, ErrClosed
	case !counts:
		return 0, o.append(p, own)
	}
	if err := o.open(); err != nil {
		return 0, err
	}
	start := len(o.buf)
	if err := o.append(p, own); err != nil {
		return 0, err
	}
	wire := o.buf[start:]
	if keep {
		wire = o.short.whole(&o.render, p, wire)
	}
	return o.sent.push(wire, keep), nil
}

// wait waits for room, or for what else may change. It needs the lock, and does without while it waits.
func (o *outbox) wait(ctx context.Context) error {
	if o.room == nil {
		o.room = make(chan struct{})
	}
	room := o.room
	o.mu.Unlock()
	defer o.mu.Lock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// makeRoom wakes those who wait. It needs the lock.
func (o *outbox) makeRoom() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// append needs the lock.
func (o *outbox) append(p *Packet, own bool) error {
	if o.render.Syntax == PSYC09 {
		p = withTagReply(p)
	}
	buf, err := o.short.append(o.buf, &o.render, p)
	if err != nil {
		return err
	}
	o.buf = buf
	o.marks = append(o.marks, mark{len(buf), own})
	o.drowsy = o.drowsy && own
	o.signal()
	return nil
}

// withTagReply returns p with the tag that it replies to under the name that psyced looks for in the 0.9 syntax.
func withTagReply(p *Packet) *Packet {
	i := slices.IndexFunc(p.Routing, func(v Var) bool { return v.Name == "_tag_relay" })
	if i < 0 || p.Routing.Get("_tag_reply") != nil {
		return p
	}
	q := *p
	q.Routing = slices.Clone(p.Routing)
	q.Routing[i].Name = "_tag_reply"
	return &q
}

// addIdle appends an empty packet unless something is waiting, or was written less than quiet ago.
func (o *outbox) addIdle(quiet time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && len(o.buf) == 0 && time.Since(o.lastSent) >= quiet {
		o.lastSent = time.Now()
		o.append(&Packet{}, true)
	}
}

// signal tells the writer that there is something to do.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
	if o.asleep.CompareAndSwap(true, false) {
		go o.write()
	}
}

// take gives the writer all that waits; more is false when the writer has to end.
func (o *outbox) take() (buf []byte, marks []mark, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.aborted || o.err != nil && len(o.buf) == 0 {
		return nil, nil, false
	}
	o.acknowledge()
	if len(o.buf) == 0 {
		return nil, nil, true
	}
	buf, marks = o.buf, o.marks
	o.short.take()
	o.buf, o.marks = o.spare, o.sparem
	o.spare, o.sparem = nil, nil
	o.lastSent = time.Now()
	o.makeRoom()
	return buf, marks, true
}

// wrote takes buf back when its first n bytes are written. The packets that are not written whole return to the head
// of the queue.
func (o *outbox) wrote(buf []byte, marks []mark, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n == len(buf) {
		o.spare, o.sparem = buf[:0], marks[:0]
		return
	}
	done, start := 0, 0
	for done < len(marks) && marks[done].end <= n {
		start = marks[done].end
		done++
	}
	o.short.wrote(buf[:start])
	rest := append([]byte(nil), buf[start:]...)
	var restm []mark
	for _, m := range marks[done:] {
		restm = append(restm, mark{m.end - start, m.own})
	}
	for _, m := range o.marks {
		restm = append(restm, mark{m.end + len(rest), m.own})
	}
	o.buf, o.marks = append(rest, o.buf...), restm
}

// sleep reports whether the writer, which has found nothing to write, ends for now. The next signal starts it again.
func (o *outbox) sleep() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.drowsy || len(o.buf) > 0 || o.err != nil {
		return false
	}
	o.asleep.Store(true)
	// Who has signalled may have been too early to find nobody awake.
	return len(o.wake) == 0 || !o.asleep.CompareAndSwap(true, false)
}

// trim gives back what an idle circuit does not need.
func (o *outbox) trim() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drowsy = true
	if !o.asleep.Load() {
		o.signal()
	}
	o.spare, o.sparem, o.short.packet = nil, nil, Packet{}
	if len(o.buf) == 0 {
		o.buf, o.marks = nil, nil
	}
}

// finish takes nothing more and lets the writer write what is left, with last as the last packet, until the deadline.
func (o *outbox) finish(err error, deadline time.Time, last *Packet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conclude()
	if last != nil {
		o.append(last, true)
	}
	o.finishBy = deadline
	o.close(err)
}

// abort takes nothing more and stops the writer.
func (o *outbox) abort(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.aborted = true
	o.close(err)
}

// close needs the lock.
func (o *outbox) close(err error) {
	o.err = err
	if o.sent != nil {
		o.sent.end()
	}
	o.makeRoom()
	o.signal()
}

// deadline returns until when the writer may write, now being given timeout for its next bytes.
// It needs the lock.
func (o *outbox) deadline(timeout time.Duration) time.Time {
	t := time.Now().Add(timeout)
	switch {
	case o.aborted:
		return past
	case !o.finishBy.IsZero() && o.finishBy.Before(t):
		return o.finishBy
	default:
		return t
	}
}

// cause returns why nothing more is taken.
func (o *outbox) cause() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// unsentCount counts the packets of Send that are left.
func (o *outbox) unsentCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, marks := range [...][]mark{o.marks, o.heldm} {
		for _, m := range marks {
			if !m.own {
				n++
			}
		}
	}
	return n
}

// unsent parses the packets of Send that are left.
func (o *outbox) unsent() []*Packet {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(o.parse(o.buf, o.marks, o.short.waiting), o.parse(o.held, o.heldm, o.short.held)...)
}

// parse parses packets of Send, of which the first inherits in.
func (o *outbox) parse(buf []byte, marks []mark, in inherited) (packets []*Packet) {
	in = in.clone()
	start := 0
	for _, m := range marks {
		var p Packet
		_, err := p.Parse(buf[start:m.end], o.render.Syntax)
		if err == nil && o.short.on {
			err = in.apply(&p)
		}
		if err == nil && !m.own {
			packets = append(packets, p.Clone())
		}
		start = m.end
	}
	return packets
}
