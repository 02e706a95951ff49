package tap

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// RecordLimit is how many bytes of a connection, both ways together, are recorded. What comes after them is passed on and counted only.
const RecordLimit = 16 << 20

const (
	dialTimeout = 10 * time.Second
	chunkSize   = 32 << 10
	// queueLength is how many chunks may be under way in one direction while there is a delay; then the tap reads no more.
	queueLength = 256
)

// Conn is a connection through a tap. It is kept after its end.
type Conn struct {
	tap     *Tap
	cancel  context.CancelFunc
	dialler net.Conn

	// Guarded by tap.mu:
	target   net.Conn // nil until it is reached
	cut      bool
	chunks   []Chunk
	recorded int
	bytes    [2]int64
	ended    bool
}

// Chunk is what was passed on in one piece.
type Chunk struct {
	Direction Direction
	Data      []byte
}

// Bytes returns how many bytes the connection has passed on.
func (c *Conn) Bytes(d Direction) int64 {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	return c.bytes[d]
}

// Chunks returns what was passed on, in order, as far as it was recorded. The bytes are not to be changed.
func (c *Conn) Chunks() []Chunk {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	return slices.Clone(c.chunks)
}

// Stream returns what was passed on in one direction, as far as it was recorded. A program has received nothing that is not in it.
func (c *Conn) Stream(d Direction) []byte {
	var stream []byte
	for _, chunk := range c.Chunks() {
		if chunk.Direction == d {
			stream = append(stream, chunk.Data...)
		}
	}
	return stream
}

// Ended says whether the connection is over.
func (c *Conn) Ended() bool {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	return c.ended
}

// Cut breaks the connection with a reset to both ends.
func (c *Conn) Cut() {
	c.cancel()
	c.tap.mu.Lock()
	target := c.target
	c.cut = true
	c.tap.mu.Unlock()
	reset(c.dialler)
	if target != nil {
		reset(target)
	}
}

// reset closes a connection so that the other end sees an error instead of an orderly end.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// run dials the target and passes on until both directions have ended or the connection was cut.
func (c *Conn) run(ctx context.Context) {
	defer c.tap.done.Done()
	defer c.tap.change(func() { c.ended = true })
	defer c.cancel()
	dialer := net.Dialer{Timeout: dialTimeout}
	target, err := dialer.DialContext(ctx, "tcp", c.tap.target)
	if err != nil {
		c.Cut()
		return
	}
	var cut bool
	c.tap.change(func() { c.target, cut = target, c.cut })
	if cut {
		reset(target)
		return
	}
	var tasks sync.WaitGroup
	task := func(f func() error) {
		tasks.Go(func() {
			if err := f(); err != nil {
				c.Cut() // which ends the other tasks
			}
		})
	}
	for d, way := range [][2]net.Conn{Forward: {c.dialler, target}, Backward: {target, c.dialler}} {
		queue := make(chan delivery, queueLength)
		task(func() error { return c.read(ctx, way[0], queue) })
		task(func() error { return c.write(ctx, way[1], Direction(d), queue) })
	}
	tasks.Wait()
	c.dialler.Close()
	target.Close()
}

// delivery is a chunk and when it is due.
type delivery struct {
	data []byte
	due  time.Time
}

// read queues what comes, until the end of the stream.
func (c *Conn) read(ctx context.Context, from net.Conn, queue chan<- delivery) error {
	defer close(queue)
	for {
		delay, err := c.tap.pass(ctx)
		if err != nil {
			return err
		}
		buffer := make([]byte, chunkSize)
		n, err := from.Read(buffer)
		if n > 0 {
			select {
			case queue <- delivery{buffer[:n], time.Now().Add(delay)}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// write records what is queued and delivers it when it is due, and then the end of the stream.
func (c *Conn) write(ctx context.Context, to net.Conn, d Direction, queue <-chan delivery) error {
	for next := range queue {
		if err := sleep(ctx, time.Until(next.due)); err != nil {
			return err
		}
		if _, err := c.tap.pass(ctx); err != nil {
			return err
		}
		c.tap.change(func() { c.record(d, next.data) })
		if _, err := to.Write(next.data); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return to.(*net.TCPConn).CloseWrite()
}

// record counts and keeps a chunk. The tap is locked.
func (c *Conn) record(d Direction, data []byte) {
	c.bytes[d] += int64(len(data))
	data = data[:min(len(data), RecordLimit-c.recorded)]
	if len(data) > 0 {
		c.recorded += len(data)
		c.chunks = append(c.chunks, Chunk{d, data})
	}
}

// sleep waits until the time is over or the context is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
