// Package tap puts a listener in front of a TCP server, for tests of what two programs say to each other and of how they bear a bad
// network: it passes bytes both ways, counts and records them, and can delay, hold up or cut the connections.
package tap

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// Direction is one of the two ways through a connection.
type Direction int

const (
	// Forward is from the program that dialled the tap to the target.
	Forward Direction = iota
	// Backward is from the target to the program that dialled.
	Backward
)

func (d Direction) String() string {
	if d == Forward {
		return "=>"
	}
	return "<="
}

// Tap is a listener and the connections that it passes on. Its methods may be called at the same time.
type Tap struct {
	listener net.Listener
	target   string
	cancel   context.CancelFunc
	done     sync.WaitGroup // accept loop and connections

	mu      sync.Mutex
	conns   []*Conn
	changed chan struct{} // closed and replaced whenever something a condition of Wait may look at has changed
	open    chan struct{} // closed unless the tap is held
	delay   time.Duration
	refuse  bool
}

// Listen starts a tap in front of target on addr ("127.0.0.1:0" for any port). Close ends it.
func Listen(addr, target string) (*Tap, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tap{listener: l, target: target, cancel: cancel, changed: make(chan struct{}), open: make(chan struct{})}
	close(t.open)
	t.done.Add(1)
	go t.accept(ctx)
	return t, nil
}

// Addr is where the tap listens.
func (t *Tap) Addr() string { return t.listener.Addr().String() }

// Close stops listening, cuts all connections and waits until nothing of the tap runs any more. What it recorded stays.
func (t *Tap) Close() error {
	t.cancel()
	err := t.listener.Close()
	t.Cut()
	t.done.Wait()
	return err
}

// Conns returns all connections so far, oldest first.
func (t *Tap) Conns() []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.conns)
}

// Bytes returns how many bytes all connections together have passed on.
func (t *Tap) Bytes(d Direction) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum int64
	for _, c := range t.conns {
		sum += c.bytes[d]
	}
	return sum
}

// Cut breaks all connections with a reset, as a crash of either end would. New ones are accepted.
func (t *Tap) Cut() {
	for _, c := range t.Conns() {
		c.Cut()
	}
}

// Refuse makes the tap reset every new connection (true) or pass it on again (false).
func (t *Tap) Refuse(refuse bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refuse = refuse
}

// Delay makes every byte read from now on arrive that much later than it came. It costs latency, not throughput.
func (t *Tap) Delay(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delay = d
}

// Hold stops passing anything on, both ways and on all connections, without closing them: as a half-open connection or a peer that does
// not read. What the tap does not take fills the buffers of the kernel until writers block. Release ends that.
func (t *Tap) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isOpen() {
		t.open = make(chan struct{})
	}
}

// Release undoes Hold.
func (t *Tap) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isOpen() {
		close(t.open)
	}
}

func (t *Tap) isOpen() bool {
	select {
	case <-t.open:
		return true
	default:
		return false
	}
}

// Wait waits until condition holds. It is asked again whenever bytes were passed or a connection began or ended.
func (t *Tap) Wait(ctx context.Context, condition func() bool) error {
	for {
		t.mu.Lock()
		changed := t.changed
		t.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// change runs f under the lock and wakes Wait.
func (t *Tap) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *Tap) accept(ctx context.Context) {
	defer t.done.Done()
	for {
		dialler, err := t.listener.Accept()
		if err != nil {
			return // closed
		}
		ctx, cancel := context.WithCancel(ctx)
		c := &Conn{tap: t, cancel: cancel, dialler: dialler}
		var refuse bool
		t.change(func() {
			if refuse = t.refuse || ctx.Err() != nil; !refuse {
				t.conns = append(t.conns, c)
				t.done.Add(1)
			}
		})
		if refuse {
			c.Cut()
			continue
		}
		go c.run(ctx)
	}
}

// pass waits until the tap is not held, and returns the delay.
func (t *Tap) pass(ctx context.Context) (delay time.Duration, err error) {
	t.mu.Lock()
	open, delay := t.open, t.delay
	t.mu.Unlock()
	select {
	case <-open:
		return delay, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
