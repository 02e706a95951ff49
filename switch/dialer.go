package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

const (
	defaultStagger     = 250 * time.Millisecond
	defaultDialTimeout = 10 * time.Second
	defaultParallel    = 4
	defaultMaxTries    = 32
)

// A Dialer opens TCP connections and heeds the end of ctx; [*net.Dialer] is one, a proxy's dialer another.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// ErrNoHint says that there was nothing to try.
var ErrNoHint = errors.New("psycswitch: no way to reach the domain is known")

// A Connector turns hints into connections in the way of RFC 8305 ("happy eyeballs"): the next hint is tried when the one before
// has failed or has kept us waiting for a while, several at a time, but never two protocols at a time: hints of
// another protocol wait until all before them have failed. The zero value works. The fields must not change after the
// first use; a Connector is safe for concurrent use.
type Connector struct {
	Dialer   Dialer        // nil: a net.Dialer
	Stagger  time.Duration // head start of one try before the next; 250 ms
	Timeout  time.Duration // for one try; 10 s
	Parallel int           // most tries at a time; 4
	MaxTries int           // most hints tried for one call, the rest is ignored; 32
}

// A Connection is a TCP connection and the hint that led to it.
type Connection struct {
	net.Conn
	Hint Hint
}

// Connect returns the first connection that comes about. If none does, the error joins what went wrong
// with every hint, a [*DialError] or [*ResolveError] each, or is [ErrNoHint].
func (c *Connector) Connect(ctx context.Context, hints iter.Seq2[Hint, error]) (*Connection, error) {
	var errs []error
	for conn, err := range c.Connections(ctx, hints) {
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, ErrNoHint
	}
	return nil, errors.Join(errs...)
}

// Connections yields connections for as long as the caller wants another, because the one before turned out to be no good, and
// an error for each hint that failed. A yielded connection is the caller's to close; those that the caller
// never saw are closed when the loop ends. Nothing new is tried while the caller has a connection in hand. When
// ctx ends, so does the loop, with the context's error as the last one.
func (c *Connector) Connections(ctx context.Context, hints iter.Seq2[Hint, error]) iter.Seq2[*Connection, error] {
	return func(yield func(*Connection, error) bool) {
		r := newRace(c, ctx, hints)
		defer r.stop()
		r.run(yield)
	}
}

// A race is one call of Connections. Its methods are called by one goroutine, which ranges over Connections; pull and
// the tries run beside it.
type race struct {
	c      *Connector
	parent context.Context
	ctx    context.Context // ends with the race
	cancel context.CancelFunc

	hints   chan hintOrError // from pull, closed at the end
	results chan result      // from the tries
	running sync.WaitGroup   // pull

	next     *Hint // pulled and waiting for its turn
	protocol Protocol
	flying   int // tries under way, of protocol
	tried    int
}

type hintOrError struct {
	hint Hint
	err  error
}

type result struct {
	conn *Connection
	err  error
}

func newRace(c *Connector, parent context.Context, hints iter.Seq2[Hint, error]) *race {
	r := &race{
		c: c, parent: parent,
		hints: make(chan hintOrError),
		// Nobody listens while the caller looks at a connection: tries must be able to end all the same.
		results: make(chan result, positive(c.Parallel, defaultParallel)),
	}
	r.ctx, r.cancel = context.WithCancel(parent)
	r.running.Go(func() {
		defer close(r.hints)
		for h, err := range hints {
			select {
			case r.hints <- hintOrError{h, err}:
			case <-r.ctx.Done():
				return
			}
		}
	})
	return r
}

// stop ends whatever still runs and closes connections that nobody took.
func (r *race) stop() {
	r.cancel()
	for ; r.flying > 0; r.flying-- {
		if res := <-r.results; res.conn != nil {
			res.conn.Close()
		}
	}
	r.running.Wait()
}

func (r *race) run(yield func(*Connection, error) bool) {
	hints := r.hints
	headStart := positive(r.c.Stagger, defaultStagger)
	stagger := time.NewTimer(headStart)
	defer stagger.Stop()
	due := true // the last try has had its head start
	for {
		if r.next != nil && r.mayTry(due) {
			r.try()
			due = false
			stagger.Reset(headStart)
			if r.tried == positive(r.c.MaxTries, defaultMaxTries) {
				hints = nil
			}
		}
		more := hints
		if r.next != nil {
			more = nil
		} else if hints == nil && r.flying == 0 {
			return
		}
		select {
		case h, ok := <-more:
			switch {
			case !ok:
				hints = nil
			case h.err != nil:
				if !yield(nil, h.err) {
					return
				}
			default:
				r.next = &h.hint
			}
		case res := <-r.results:
			r.flying--
			due = true
			if !yield(res.conn, res.err) {
				return
			}
		case <-stagger.C:
			due = true
		case <-r.ctx.Done():
			yield(nil, fmt.Errorf("psycswitch: connect: %w", r.parent.Err()))
			return
		}
	}
}

// orPlain returns d, or without one what the net package has.
func orPlain(d Dialer) Dialer {
	if d == nil {
		return new(net.Dialer)
	}
	return d
}

// mayTry reports whether it is the turn of next.
func (r *race) mayTry(due bool) bool {
	if r.flying == 0 {
		return true
	}
	return due && r.next.Protocol == r.protocol && r.flying < positive(r.c.Parallel, defaultParallel)
}

// try dials next.
func (r *race) try() {
	h := *r.next
	r.next = nil
	r.protocol = h.Protocol
	r.flying++
	r.tried++
	dialer := orPlain(r.c.Dialer)
	go func() {
		ctx, cancel := context.WithTimeout(r.ctx, positive(r.c.Timeout, defaultDialTimeout))
		defer cancel()
		conn, err := dialer.DialContext(ctx, "tcp", h.Addr)
		if err != nil {
			r.results <- result{err: &DialError{h, err}}
			return
		}
		r.results <- result{conn: &Connection{conn, h}}
	}()
}

// A DialError says which hint led nowhere. It unwraps to the cause and to the stanza error condition
// remote-server-timeout: the domain exists, but nobody was there.
type DialError struct {
	Hint Hint
	Err  error
}

func (e *DialError) Error() string { return fmt.Sprintf("psycswitch: dial %v: %v", e.Hint, e.Err) }

// Unwrap returns the cause and the condition.
func (e *DialError) Unwrap() []error {
	return []error{e.Err, xmpp.Condition("remote-server-timeout")}
}
