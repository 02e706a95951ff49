package xmpp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a connection whose writes wait until they are let go.
type stuck struct {
	net.Conn
	mu     sync.Mutex
	on     bool
	writes [][]byte
	free   chan struct{}
}

func (c *stuck) Write(b []byte) (int, error) {
	c.mu.Lock()
	on := c.on
	if on {
		c.writes = append(c.writes, bytes.Clone(b))
	}
	c.mu.Unlock()
	if on {
		<-c.free
	}
	return c.Conn.Write(b)
}

// Send waits when too much waits to be written, and what waits goes out in one write.
func TestSendQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		conn := &stuck{Conn: theirs, free: make(chan struct{})}
		cfg := initiatePlain()
		cfg.SendQueue = 1000
		s := Initiate(conn, cfg)
		p := newPeer(ours)
		done := make(chan error, 1)
		go func() { done <- s.Negotiate(t.Context()) }()
		p.send(hill + features)
		p.want("</db:result>")
		p.send(authorized)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		conn.mu.Lock()
		conn.on = true
		conn.mu.Unlock()

		sent := 0
		var err error
		for err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err = s.Send(ctx, chat("a@dale.example", "b@hill.example", fmt.Sprint(sent))); err == nil {
				sent++
			}
			cancel()
			synctest.Wait()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		// One stanza is being written, then as many wait as make 1000 bytes.
		size := len(chat("a@dale.example", "b@hill.example", "1").AppendFor(nil, NSServer))
		if want := 1 + (1000+size-1)/size; sent != want {
			t.Errorf("%d stanzas of %d bytes were taken, want %d", sent, size, want)
		}
		close(conn.free)
		if err := p.want(fmt.Sprintf("<body>%d</body></message>", sent-1)); err != nil {
			t.Error(err)
		}
		if len(conn.writes) != 2 {
			t.Errorf("%d writes, want 2", len(conn.writes))
		}
		if n := strings.Count(string(p.all), "<message "); n != sent {
			t.Errorf("%d stanzas arrived, want %d", n, sent)
		}
		go p.send("</stream:stream>")
		s.Close()
	})
}

// A stanza may be changed as soon as Send has returned.
func TestSendDoesNotRetain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := established(t, nil)
		st := chat("a@dale.example", "b@hill.example", "0")
		for i := range 100 {
			st.SetText("body", fmt.Sprint(i))
			if err := s.Send(t.Context(), st); err != nil {
				t.Fatal(err)
			}
		}
		go p.send("</stream:stream>")
		s.Close()
		got := p.rest()
		for i := range 100 {
			if !strings.Contains(got, fmt.Sprintf("<body>%d</body>", i)) {
				t.Errorf("%d is missing", i)
			}
		}
	})
}

// Stanzas of one sender keep their order, whoever else sends.
func TestSendConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := established(t, nil)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 50 {
					if err := s.Send(t.Context(), chat(fmt.Sprintf("s%d@dale.example", g), "b@hill.example", fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		go p.send("</stream:stream>")
		s.Close()
		next := make(map[string]int)
		for m := range strings.SplitSeq(p.rest(), "<message ") {
			_, from, ok := strings.Cut(m, "from='")
			if !ok || !strings.Contains(m, "<body>") {
				continue
			}
			from, _, _ = strings.Cut(from, "@")
			if want := fmt.Sprintf("<body>%d<", next[from]); !strings.Contains(m, want) {
				t.Errorf("%s out of order: %s, want %s", from, m, want)
			}
			next[from]++
		}
		if len(next) != 4 {
			t.Errorf("senders %v", next)
		}
	})
}

// A peer that does not read costs one time-out.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Initiate(theirs, initiatePlain())
		done := make(chan error, 1)
		go func() { done <- s.Negotiate(t.Context()) }()
		b := make([]byte, 1000)
		ours.Read(b)
		ours.Write([]byte(hill + features))
		ours.Read(b)
		ours.Write([]byte(authorized))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "x")); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("ended after %v", d)
		}
		if err := s.Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Err %v", err)
		}
		if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		s.Close()
	})
}

// What a write that is under way does not deliver is unsent too, even if it fails after the stream has ended.
func TestUnsentWaitsForWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		conn := &stuck{Conn: theirs, free: make(chan struct{})}
		s := Initiate(conn, initiatePlain())
		p := newPeer(ours)
		done := make(chan error, 1)
		go func() { done <- s.Negotiate(t.Context()) }()
		p.send(hill + features)
		p.want("</db:result>")
		p.send(authorized)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		conn.mu.Lock()
		conn.on = true
		conn.mu.Unlock()
		for _, body := range []string{"1", "2"} {
			if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", body)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if s.Close() == nil {
			t.Error("Close says that all was written")
		}
		unsent := make(chan []*Stanza)
		go func() { unsent <- s.Unsent() }()
		synctest.Wait()
		close(conn.free)
		got := <-unsent
		if len(got) != 2 || got[0].Text("body") != "1" || got[1].Text("body") != "2" {
			t.Errorf("unsent %v", got)
		}
	})
}

func BenchmarkSend(b *testing.B) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	s := Initiate(theirs, initiatePlain())
	s.authorize(pair{"dale.example", "hill.example"})
	go func() {
		for buf := make([]byte, 1<<16); ; {
			if _, err := ours.Read(buf); err != nil {
				return
			}
		}
	}()
	st := chat("a@dale.example", "b@hill.example", "the same again and again")
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if err := s.Send(b.Context(), st); err != nil {
			b.Fatal(err)
		}
	}
}

// flowing is a connection on which a stanza arrives again and again, after what comes first.
type flowing struct {
	net.Conn
	src io.Reader
}

func (c *flowing) Read(p []byte) (int, error)       { return c.src.Read(p) }
func (c *flowing) Write(p []byte) (int, error)      { return len(p), nil }
func (c *flowing) SetReadDeadline(time.Time) error  { return nil }
func (c *flowing) SetWriteDeadline(time.Time) error { return nil }

func BenchmarkStanzas(b *testing.B) {
	st := "<message xml:lang='en' to='b@hill.example' from='a@dale.example/well' type='chat' id='4eb47489f56f4b339e1b'><body>the same again and again</body></message>"
	s := Accept(&flowing{src: io.MultiReader(strings.NewReader(dale), &endless{stanza: st})}, acceptPlain())
	if err := s.answer(); err != nil {
		b.Fatal(err)
	}
	s.prove(Proof{Local: "hill.example", Remote: "dale.example", By: ByDialback})
	s.state |= Ready
	b.ReportAllocs()
	b.SetBytes(int64(len(st)))
	b.ResetTimer()
	n := 0
	for _, err := range s.Stanzas(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if n++; n == b.N {
			break
		}
	}
}
