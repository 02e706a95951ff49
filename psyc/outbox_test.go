package psyc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A gate is a connection whose peer takes bytes only as it is told.
type gate struct {
	net.Conn
	mu     sync.Mutex
	open   chan struct{} // closed: writes pass
	writes []string
	fail   int // bytes that the next write takes before it fails; negative: it does not fail
}

func newGate(c net.Conn) *gate {
	g := &gate{Conn: c, open: make(chan struct{}), fail: -1}
	close(g.open)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

var errCut = errors.New("cut")

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	<-open
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail >= 0 && g.fail < len(b) {
		g.writes = append(g.writes, string(b[:g.fail]))
		return g.fail, errCut
	}
	g.writes = append(g.writes, string(b))
	return g.Conn.Write(b)
}

// gated returns a greeted circuit of a.example in the 0.9 syntax whose writes go through a gate.
func gated(t *testing.T, cfg *Config) (*Circuit, *gate, *wire) {
	conn, w := newWire(t)
	g := newGate(conn)
	if cfg == nil {
		cfg = config("a.example")
	}
	cfg.Syntax = PSYC09
	c := Initiate(g, cfg)
	done := make(chan error, 1)
	go func() { done <- c.Handshake(context.Background()) }()
	w.send(psycedGreeting)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.read()
	g.mu.Lock()
	g.writes = nil
	g.mu.Unlock()
	return c, g, w
}

func texts(packets []*Packet) string {
	var s []string
	for _, p := range packets {
		s = append(s, string(p.Body))
	}
	return strings.Join(s, " ")
}

// What gathers while a write is under way goes out with one write, in order.
func TestCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, w := gated(t, nil)
		g.shut()
		var want []byte
		p := message(ada, bea, "")
		for i := range 100 {
			p.Body = fmt.Appendf(p.Body[:0], "%d", i) // p is ours again after each Send
			if err := c.Send(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			want, _ = p.Append(want, PSYC09)
			if i == 0 {
				synctest.Wait()
			}
		}
		g.reopen()
		w.want(string(want))
		if len(g.writes) != 2 {
			t.Errorf("%d writes", len(g.writes))
		}
		c.Close()
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("a.example")
		cfg.Queue = 1000
		c, g, w := gated(t, cfg)
		g.shut()
		body := strings.Repeat("x", 600)
		p := message(ada, bea, body)
		c.Send(t.Context(), p) // with the writer
		synctest.Wait()
		for range 2 {
			if err := c.Send(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Send(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("full queue: %v", err)
		}
		sent := make(chan error, 1)
		go func() { sent <- c.Send(context.Background(), p) }()
		synctest.Wait()
		select {
		case err := <-sent:
			t.Fatalf("full queue took a packet: %v", err)
		default:
		}
		g.reopen()
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if n := strings.Count(w.read(), body); n != 4 {
			t.Errorf("%d packets", n)
		}
		c.Close()
	})
}

func TestNotRepresentable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, w := gated(t, nil)
		if err := c.Send(t.Context(), message(ada, bea, "a\n.\nb")); !errors.Is(err, ErrNotRepresentable) {
			t.Error(err)
		}
		if err := c.Send(t.Context(), message(ada, bea, strings.Repeat("x", 2048))); !errors.Is(err, ErrNotRepresentable) {
			t.Error(err)
		}
		w.want("")
		reply := message(ada, bea, "x")
		reply.Routing.Set("_tag_relay", "t")
		if err := c.Send(t.Context(), reply); err != nil {
			t.Error(err)
		}
		if got := w.read(); !strings.Contains(got, "\n:_tag_reply\tt\n") {
			t.Errorf("wrote %q", got)
		}
		if reply.Routing.Get("_tag_relay") == nil {
			t.Error("Send changed the packet")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Where the profile holds, a 0.9 circuit has no limit of lines, and carries what a psyced would mistake.
func TestProfileRendering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ac, bc := config("a.example"), config("b.example")
		ac.Syntax = PSYC09
		ac.Modules, bc.Modules = []string{ModuleProfile}, []string{ModuleProfile}
		a, b := pipe(ac, bc)
		b.AddProof("a.example", Proof{})
		out := collect(b)
		if err := a.Send(t.Context(), message(ada, bea, strings.Repeat("x\x7f", 5000))); err != nil {
			t.Error(err)
		}
		a.Close()
		if r := <-out; len(r.packets) != 1 || len(r.packets[0].Body) != 10000 {
			t.Errorf("got %d packets, %v", len(r.packets), r.err)
		}
		<-b.Done()
	})
}

// A peer that hangs up on us may have said why before our write failed.
func TestCroakBehindFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, w := gated(t, nil)
		out := collect(c)
		synctest.Wait()
		g.fail = 0
		c.Send(t.Context(), message(ada, bea, "one"))
		synctest.Wait()
		w.send("\n_error_invalid_host_certificate\n.\n")
		w.Close()
		<-out
		<-c.Done()
		if !errors.Is(c.Err(), &Error{Method: "_error_invalid_host_certificate"}) {
			t.Error(c.Err())
		}
		if got := texts(c.Unsent()); got != "one" {
			t.Errorf("unsent %q", got)
		}
	})
}

// A write that fails in the middle of a packet leaves that packet and all behind it with the circuit.
func TestUnsent(t *testing.T) {
	one, _ := message(ada, bea, "one").Append(nil, PSYC09)
	for _, cut := range []int{0, 1, len(one) - 1, len(one), len(one) + 1} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, g, _ := gated(t, nil)
				g.shut()
				g.fail = cut
				for i, text := range []string{"one", "two", "three"} {
					if err := c.Send(t.Context(), message(ada, bea, text)); err != nil {
						t.Fatal(err)
					}
					if i == 1 && c.Unsent() != nil {
						t.Error("unsent packets of an open circuit")
					}
				}
				g.reopen()
				<-c.Done()
				if !errors.Is(c.Err(), errCut) {
					t.Error(c.Err())
				}
				want := "one two three"
				if cut >= len(one) {
					want = "two three"
				}
				left := c.Unsent()
				if got := texts(left); got != want {
					t.Errorf("unsent %q, want %q", got, want)
				}
				for _, p := range left {
					if !p.Equal(message(ada, bea, string(p.Body))) {
						t.Errorf("came back as %+v", p)
					}
				}
				if err := c.Send(t.Context(), message(ada, bea, "four")); !errors.Is(err, errCut) {
					t.Error(err)
				}
				if err := c.Close(); !errors.Is(err, errCut) {
					t.Error(err)
				}
			})
		})
	}
}

func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := net.Pipe()
		cfg := config("a.example")
		cfg.Syntax, cfg.Switched = PSYC09, true
		c := Initiate(x, cfg)
		start := time.Now()
		if err := c.Send(t.Context(), message(ada, bea, "one")); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		var timeout net.Error
		if !errors.As(c.Err(), &timeout) || !timeout.Timeout() || time.Since(start) < 30*time.Second || time.Since(start) > 32*time.Second {
			t.Errorf("after %v: %v", time.Since(start), c.Err())
		}
		if got := texts(c.Unsent()); got != "one" {
			t.Errorf("unsent %q", got)
		}
		y.Close()
	})
}

// Close writes what was accepted; when the peer takes nothing, it gives up in time and says what was left.
func TestCloseFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, w := gated(t, nil)
		g.shut()
		for i := range 10 {
			c.Send(t.Context(), message(ada, bea, fmt.Sprint(i)))
		}
		time.AfterFunc(500*time.Millisecond, g.reopen)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		got := w.read()
		if strings.Count(got, "_message_private") != 10 || !strings.HasSuffix(got, "_request_circuit_shutdown\n.\n") {
			t.Errorf("wrote %q", got)
		}
		if c.Unsent() != nil || !w.closed() {
			t.Error("not all was written")
		}
		if err := c.Send(t.Context(), message(ada, bea, "late")); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := net.Pipe()
		cfg := config("a.example")
		cfg.Syntax, cfg.Switched = PSYC09, true
		c := Initiate(x, cfg)
		c.Send(t.Context(), message(ada, bea, "one"))
		c.Send(t.Context(), message(ada, bea, "two"))
		sent := make(chan error, 1)
		start := time.Now()
		err := c.Close()
		if took := time.Since(start); took < time.Second || took > 3*time.Second {
			t.Errorf("close took %v", took)
		}
		if !errors.Is(err, ErrClosed) && err == nil {
			t.Errorf("close: %v", err)
		}
		close(sent)
		if got := texts(c.Unsent()); got != "one two" {
			t.Errorf("unsent %q", got)
		}
		y.Close()
	})
}

// A Send that waits for room ends with the circuit.
func TestCloseWakesSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("a.example")
		cfg.Queue = 1
		c, g, _ := gated(t, cfg)
		g.shut()
		sent := make(chan error, 5)
		for range cap(sent) {
			go func() { sent <- c.Send(context.Background(), message(ada, bea, "x")) }()
		}
		synctest.Wait()
		go func() {
			time.Sleep(time.Hour)
			g.reopen()
		}()
		c.end(ErrClosed, nil, false)
		taken := 0
		for range cap(sent) {
			if err := <-sent; err == nil {
				taken++
			} else if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}
		<-c.Done()
		if taken != 2 {
			t.Errorf("%d packets taken", taken)
		}
	})
}

// While Close waits, the loop over Packets gets what the peer still sends.
func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, out := accepted(t, nil, ".")
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		w.want(":_source\tpsyc://b.example/\n\n_request_circuit_shutdown\n.\n")
		time.Sleep(500 * time.Millisecond)
		w.send(":_source\t" + ada + "\n:_target\t" + bea + "\n\n_message\nlast\n.\n")
		w.Close()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if r := <-out; r.err != nil || texts(r.packets) != "last" {
			t.Errorf("got %q, %v", texts(r.packets), r.err)
		}
	})
}

// Close of a circuit on which nothing was done closes the connection.
func TestCloseUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, w := newWire(t)
		c := Accept(conn, nil)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if !w.closed() {
			t.Error("connection left open")
		}
		if err := c.Handshake(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		for _, err := range c.Packets(t.Context()) {
			t.Error(err)
		}
	})
}

// A peer that reads nothing of what it is told, and provokes answers without end, does not make the queue grow.
func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := net.Pipe()
		cfg := config("b.example")
		cfg.Queue = 10 << 10
		cfg.WriteTimeout = time.Hour
		c := Accept(x, cfg)
		out := collect(c)
		io.WriteString(y, ".\n")
		provocation := bytes.Repeat([]byte(":_source\tpsyc://evil.example/\n\n_request_x\n.\n"), 100)
		for range 100 {
			y.Write(provocation)
		}
		c.out.mu.Lock()
		if n := len(c.out.buf); n > cfg.Queue+ownRoom+200 {
			t.Errorf("%d bytes queued", n)
		}
		c.out.mu.Unlock()
		y.Close()
		<-out
		<-c.Done()
	})
}

func TestReadingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, out := accepted(t, nil, ".")
		for _, err := range c.Packets(t.Context()) {
			if !errors.Is(err, ErrReading) {
				t.Error(err)
			}
		}
		w.Close()
		<-out
	})
}

// A loop may be left and begun again; the end of its context ends reading, not sending.
func TestLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, w := newWire(t)
		c := Accept(conn, config("b.example"))
		c.AddProof("a.example", Proof{})
		next := func(ctx context.Context) (string, error) {
			for p, err := range c.Packets(ctx) {
				if err != nil {
					return "", err
				}
				return string(p.Body), nil
			}
			return "", io.EOF
		}
		go io.WriteString(w, ".\n"+strings.Repeat(":_source\t"+ada+"\n:_target\t"+bea+"\n\n_message\nx\n.\n", 5))
		for range 3 {
			if s, err := next(t.Context()); s != "x" || err != nil {
				t.Errorf("%q, %v", s, err)
			}
		}
		ended, end := context.WithCancel(t.Context())
		defer end()
		for range c.Packets(ended) {
			end() // while nobody reads
			synctest.Wait()
			break
		}
		if s, err := next(t.Context()); s != "x" || err != nil {
			t.Errorf("after a context ended outside reading: %q, %v", s, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		w.read()
		if err := c.Send(t.Context(), &Packet{}); err != nil {
			t.Error(err)
		}
		w.want(".\n")
		go io.WriteString(w, ":_source\t"+ada+"\n:_target\t"+bea+"\n\n_message\ny\n.\n")
		if s, err := next(t.Context()); s != "y" || err != nil {
			t.Errorf("after a context ended: %q, %v", s, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What is still queued when the peer asks for the end is not written any more: a psyced reads nothing after that.
func TestUnsentAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, w := gated(t, nil)
		out := collect(c)
		g.shut()
		c.Send(t.Context(), message(ada, bea, "one")) // in a write that gets nowhere
		synctest.Wait()
		c.Send(t.Context(), message(ada, bea, "two"))
		w.send("\n_request_circuit_shutdown\n.\n")
		g.reopen()
		<-out
		<-c.Done()
		if got := texts(c.Unsent()); got != "one two" {
			t.Errorf("unsent %q", got)
		}
	})
}
