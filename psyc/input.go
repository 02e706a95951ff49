package psyc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// An input reads the packets of a circuit. What is not guarded by its mutex belongs to the holder of the token.
type input struct {
	c     *Circuit
	token chan struct{} // held by who reads
	dec   *Decoder
	pre   []byte  // read from the connection, not yet by the decoder
	next  *Packet // read ahead by Handshake
	state assigned
	hosts hostCache

	inherits  bool      // ModuleState is in use, and inherited is the state
	inherited inherited //

	over  bool   // what was read ended the circuit
	croak *Error // the last packet, if it was a complaint to the circuit

	logged     time.Time // when a single packet was last worth a message
	suppressed int       // messages left out since then

	lastRead atomic.Int64 // when something came from the peer, in nanoseconds since start
	start    time.Time

	held   []heldPacket // read by Request, for Packets; the holder of the token's
	ranged atomic.Bool  // somebody ranges over Packets

	counting bool         // both sides have announced that they count; the holder of the token's
	resuming atomic.Int32 // resumptions being worked on

	mu          sync.Mutex
	by          time.Time // when reading must end; zero: never
	whole       time.Time // when the packet that has begun must be there; zero: none has begun
	interrupted bool      // by the end of a context
}

func (in *input) init(c *Circuit, buffered []byte) {
	in.c = c
	in.token = make(chan struct{}, 1)
	in.pre = append(in.pre, buffered...)
	in.start = time.Now()
}

// silence returns how long nothing has come from the peer.
func (in *input) silence() time.Duration {
	return time.Since(in.start) - time.Duration(in.lastRead.Load())
}

// Read is what the decoder reads from.
func (in *input) Read(b []byte) (int, error) {
	if len(in.pre) > 0 {
		n := copy(b, in.pre)
		if in.pre = in.pre[n:]; len(in.pre) == 0 {
			in.pre = nil
		}
		return n, nil
	}
	// At this moment the decoder holds nothing but the beginning of a packet.
	in.expectWhole(len(in.dec.Buffered()) > 0)
	if len(in.dec.Buffered()) >= maxUnproved && !in.c.initiator && !in.c.proofs.any() {
		return 0, limitError(errPacketTooLarge, maxUnproved, "packet too large for a peer that has proved nothing")
	}
	return in.fill(b)
}

// maxUnproved bounds the packets of a peer that came to us and has not proved any host yet, in bytes. Anybody can open
// any number of connections, so that these must not hold much.
const maxUnproved = 16 << 10

// fill reads from the connection.
func (in *input) fill(b []byte) (int, error) {
	in.arm()
	n, err := in.c.conn.Read(b)
	if n > 0 {
		in.lastRead.Store(int64(time.Since(in.start)))
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = in.timeout()
	}
	return n, err
}

var errInterrupted = errors.New("psyc: reading was ended by a context")

// timeout returns what an exceeded deadline means.
func (in *input) timeout() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.interrupted:
		return errInterrupted
	case !in.by.IsZero() && !time.Now().Before(in.by):
		return ErrHandshakeTimeout
	case !in.whole.IsZero() && !time.Now().Before(in.whole):
		return ErrSlow
	default:
		return ErrSilent
	}
}

// arm sets the deadline of the Read that comes.
func (in *input) arm() {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.by
	if in.c.cfg.PeerTimeout > 0 && !in.c.mute() {
		if silent := time.Now().Add(in.c.cfg.PeerTimeout); t.IsZero() || silent.Before(t) {
			t = silent
		}
	}
	if !in.whole.IsZero() && (t.IsZero() || in.whole.Before(t)) {
		t = in.whole
	}
	if in.interrupted {
		t = past
	}
	in.c.conn.SetReadDeadline(t)
}

// mute reports whether the peer may be well and yet say nothing: psyced swallows keep-alives of the 1.0 syntax.
func (c *Circuit) mute() bool {
	return c.initiator && c.established.Load() && c.Syntax() == PSYC10 && !c.Profile()
}

// expectWhole sets when a packet that has begun must be there. A peer that sends a byte now and then is not silent, and would
// have us hold what it has sent for as long as it likes.
func (in *input) expectWhole(begun bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case !begun || in.c.cfg.PacketTimeout < 0:
		in.whole = time.Time{}
	case in.whole.IsZero():
		in.whole = time.Now().Add(in.c.cfg.PacketTimeout)
	}
}

// until makes reading fail at t, with a zero t never.
func (in *input) until(t time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.by = t
}

// watch makes reading fail when ctx ends, until the returned function is called.
func (in *input) watch(ctx context.Context) (stop func()) {
	fired := make(chan struct{})
	off := context.AfterFunc(ctx, func() {
		defer close(fired)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.interrupted = true
		in.c.conn.SetReadDeadline(past)
	})
	return func() {
		if !off() {
			<-fired
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		in.interrupted = false
	}
}

// await waits until t for the start of the next packet, which Packets will read. It is false if there is none.
func (in *input) await(t time.Time) (bool, error) {
	if len(in.pre) > 0 || len(in.dec.Buffered()) > 0 {
		return true, nil
	}
	in.until(t)
	b := make([]byte, 512)
	n, err := in.fill(b)
	in.pre = b[:n]
	if n == 0 && errors.Is(err, ErrHandshakeTimeout) {
		return false, nil
	}
	if n > 0 {
		err = nil
	}
	return n > 0, err
}

// read returns the next packet with the circuit's state applied.
func (in *input) read() (*Packet, error) {
	if p := in.next; p != nil {
		in.next = nil
		return p, nil
	}
	for {
		p, err := in.dec.Next()
		if err != nil {
			return nil, err
		}
		in.expectWhole(false)
		syn := in.c.Syntax()
		var answer *Packet
		if syn == PSYC09 {
			answer = in.state.entity.Answer(p)
		}
		err = in.bring(p, syn)
		if answer != nil && in.c.own(p) {
			in.c.answer(answer)
		}
		if err == nil {
			return p, nil
		}
		var fault *Error
		if !errors.As(err, &fault) || fault.Method != errDiminish {
			return p, err
		}
		in.c.refuse(p, fault) // nothing has changed: no reason to end the circuit
	}
}

// log logs about a single packet, at most once a second, so that the peer cannot fill the log.
func (in *input) log(level slog.Level, msg string, args ...any) {
	now := time.Now()
	if now.Sub(in.logged) < time.Second {
		in.suppressed++
		return
	}
	args = append(args, "peer", in.c.Peer().Root, "suppressed", in.suppressed)
	in.c.log.Log(context.Background(), level, msg, args...)
	in.logged, in.suppressed = now, 0
}

// Body returns the body of the packet that Packets has just yielded, if that was too long to be held (its Size is not
// 0). What is not read of it is skipped.
func (c *Circuit) Body() io.Reader { return c.in.dec.Body() }

// Packets yields the packets that are not the circuit's own affair. These are packets between entities, whose source
// the peer has proved and whose target is hosted here, and complaints: _error, _failure and _warning packets about
// something that we sent, with neither source nor target nor context, and with _tag_relay if that had a tag. Replies
// to [Circuit.Request] go there.
//
// The loop greets if nobody has. It ends silently when the circuit was ended in order, by either side; otherwise with
// an error. After a break, and after the end of ctx, whose error it yields, ranging again goes on. Who begins anew while nothing comes
// saves memory: a loop takes what it needs as packets come, and gives it up at the beginning of the next loop.
func (c *Circuit) Packets(ctx context.Context) iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		if err := c.Handshake(ctx); err != nil {
			if !orderly(err) {
				yield(nil, err)
			}
			return
		}
		if !c.in.ranged.CompareAndSwap(false, true) {
			yield(nil, ErrReading)
			return
		}
		defer c.in.ranged.Store(false)
		select {
		case c.in.token <- struct{}{}: // a Request may have it for a while
			defer func() { <-c.in.token }()
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		case <-c.done:
			return
		}
		if !c.in.yieldHeld(yield) {
			return
		}
		if c.in.next == nil && len(c.in.dec.Buffered()) == 0 {
			c.in.dec.rest() // who ranges anew may have had to wait
		}
		defer c.in.watch(ctx)()
		for {
			p, err := c.in.read()
			if err != nil {
				if err = c.readFailed(ctx, err); err != nil {
					yield(nil, err)
				}
				return
			}
			n, size := c.in.counts(p)
			if !c.in.begin(n) {
				continue
			}
			out := c.admit(ctx, p)
			more := !out || yield(p, nil)
			c.in.handled(n, size, out)
			if !more {
				return
			}
			if c.in.over {
				if err := c.Err(); !orderly(err) {
					yield(nil, err)
				}
				return
			}
		}
	}
}

// yieldHeld yields what has been read by Request. It reports false when the loop is over.
func (in *input) yieldHeld(yield func(*Packet, error) bool) bool {
	for len(in.held) > 0 {
		h := in.held[0]
		in.held = in.held[1:]
		if !in.begin(h.n) {
			continue
		}
		more := yield(h.packet, nil)
		in.handled(h.n, h.size, true)
		if !more {
			return false
		}
	}
	return true
}

func orderly(err error) bool { return errors.Is(err, ErrClosed) || errors.Is(err, io.EOF) }

// readFailed ends the circuit for what the decoder reported, and returns what the loop over Packets shall say.
func (c *Circuit) readFailed(ctx context.Context, err error) error {
	if errors.Is(err, errInterrupted) && c.Err() == nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errInterrupted
	}
	peer := addr(c.conn.RemoteAddr())
	var malformed *Error
	switch {
	case errors.As(err, &malformed):
		c.end(fmt.Errorf("psyc: circuit with %s: %w", peer, err), malformed.packet(), true)
	case errors.Is(err, ErrSilent), errors.Is(err, ErrSlow):
		c.end(fmt.Errorf("psyc: circuit with %s: %w", peer, err), nil, false)
	case c.in.croak != nil:
		c.end(fmt.Errorf("psyc: %s hung up: %w", peer, c.in.croak), nil, false)
	case err == io.EOF:
		c.end(io.EOF, nil, false)
	default:
		c.end(fmt.Errorf("psyc: circuit with %s: %w", peer, err), nil, false)
	}
	if err := c.Err(); !orderly(err) {
		return err
	}
	return nil
}
