package psyc

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A counter counts the bytes written to a connection.
type counter struct {
	net.Conn
	n atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// Two circuits with nothing to say exchange a handful of bytes a minute, and stay.
func TestIdleCircuits(t *testing.T) {
	for _, syntax := range []Syntax{PSYC10, PSYC09} {
		t.Run(syntax.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, y := net.Pipe()
				wa, wb := &counter{Conn: x}, &counter{Conn: y}
				cfg := config("a.example")
				cfg.Syntax = syntax
				a, b := Initiate(wa, cfg), Accept(wb, config("b.example"))
				shake(t, a, b)
				fromA, fromB := collect(b), collect(a)
				synctest.Wait()
				before := wa.n.Load() + wb.n.Load()
				time.Sleep(time.Hour)
				synctest.Wait()
				bytes := wa.n.Load() + wb.n.Load() - before
				if bytes < 2*60 || bytes > 2*2*60 {
					t.Errorf("%d bytes in an idle hour", bytes)
				}
				if a.Err() != nil || b.Err() != nil {
					t.Errorf("ended with %v, %v", a.Err(), b.Err())
				}
				a.Close()
				<-fromA
				<-fromB
			})
		})
	}
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, out := accepted(t, nil, ".")
		time.Sleep(30 * time.Second)
		w.send(".\n") // a ping of the peer puts ours off, and we have not written for 30 s
		w.want(".\n")
		w.send(".\n.\n.\n") // the next ones come too soon
		w.want("")
		time.Sleep(59 * time.Second)
		w.want("")
		time.Sleep(time.Second)
		w.want(".\n")
		// A psyced answers one ping in two minutes.
		for range 60 {
			w.send(".\n")
			time.Sleep(2 * time.Minute)
		}
		if got := w.read(); len(got) > 60*2*2 || strings.Trim(got, ".\n") != "" || got == "" {
			t.Errorf("wrote %q", got)
		}
		if c.Err() != nil {
			t.Error(c.Err())
		}
		c.Close()
		<-out
	})
}

func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg := config("b.example")
		cfg.PeerTimeout = 4*time.Minute + 30*time.Second
		c, w, out := accepted(t, cfg, "|")
		r := <-out
		if !errors.Is(r.err, ErrSilent) || !errors.Is(c.Err(), ErrSilent) {
			t.Errorf("ended with %v, %v", r.err, c.Err())
		}
		if took := time.Since(start); took != cfg.PeerTimeout {
			t.Errorf("after %v", took)
		}
		<-c.Done()
		w.want("|\n|\n|\n|\n")
		if !w.closed() {
			t.Error("connection left open")
		}
		if err := c.Send(t.Context(), &Packet{}); !errors.Is(err, ErrSilent) {
			t.Errorf("send: %v", err)
		}
	})
}

func TestSilentHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := newWire(t)
		cfg := config("a.example")
		cfg.PeerTimeout = 10 * time.Second
		c := Initiate(conn, cfg)
		start := time.Now()
		if err := c.Handshake(t.Context()); !errors.Is(err, ErrSilent) || time.Since(start) != cfg.PeerTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-c.Done()
	})
}

func TestKeepAliveOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("b.example")
		cfg.Ping, cfg.PeerTimeout = -1, -1
		c, w, out := accepted(t, cfg, "|")
		time.Sleep(24 * time.Hour)
		w.want("")
		if c.Err() != nil {
			t.Error(c.Err())
		}
		w.Close()
		<-out
	})
}

// A peer that drips one packet is never silent, and ends the circuit all the same; one that drips many packets does not.
func TestSlowPacket(t *testing.T) {
	for _, test := range []struct {
		name, wire string
		slow       bool
	}{
		{"one packet", strings.Repeat("x", 100), true},
		{"many packets", strings.Repeat(".\n", 50), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, out := accepted(t, nil, ".")
				if test.slow {
					w.send(":_source\tpsyc://a.example/~ada\n\n_message\n")
				}
				for i := range test.wire {
					w.send(test.wire[i : i+1])
					time.Sleep(7 * time.Second) // of which a minute is no multiple
					if c.Err() != nil {
						break
					}
				}
				if errors.Is(c.Err(), ErrSlow) != test.slow {
					t.Errorf("ended with %v", c.Err())
				}
				c.Close()
				<-out
			})
		})
	}
}

// psyced swallows keep-alives of the 1.0 syntax: it may be silent for as long as it likes.
func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, w := newWire(t)
		c := Initiate(conn, config("a.example"))
		out := collect(c)
		w.send("|\n")
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.read(); strings.Count(got, "|\n") < 55 {
			t.Errorf("wrote %q", got)
		}
		if c.Err() != nil {
			t.Errorf("ended with %v", c.Err())
		}
		c.Close()
		<-out
	})
}
