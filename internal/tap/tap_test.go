package tap_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/tap"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// echo starts a server that sends everything back and closes when its client does.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func listen(t *testing.T) *tap.Tap {
	t.Helper()
	p, err := tap.Listen("127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func dial(t *testing.T, p *tap.Tap) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("heard %q, %v; want %q", got, err, text)
	}
}

// refused demands that a new connection is reset, which the dialler may learn at once or with its first read.
func refused(t *testing.T, p *tap.Tap) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("read: %v, want a reset", err)
	}
}

func wait(t *testing.T, p *tap.Tap, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Wait(ctx, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

func TestRecord(t *testing.T) {
	p := listen(t)
	conn := dial(t, p)
	say(t, conn, "one")
	hear(t, conn, "one")
	say(t, conn, "two")
	conn.CloseWrite()
	rest, err := io.ReadAll(conn)
	if err != nil || string(rest) != "two" {
		t.Fatalf("after closing one way: %q, %v", rest, err)
	}
	c := p.Conns()[0]
	wait(t, p, "the end", c.Ended)
	for _, d := range []tap.Direction{tap.Forward, tap.Backward} {
		if got := c.Stream(d); string(got) != "onetwo" || c.Bytes(d) != 6 || p.Bytes(d) != 6 {
			t.Errorf("%v %q, %d bytes, %d in all; want onetwo", d, got, c.Bytes(d), p.Bytes(d))
		}
	}
	chunks := c.Chunks()
	if len(chunks) < 4 || chunks[0].Direction != tap.Forward || chunks[1].Direction != tap.Backward {
		t.Errorf("chunks %v", chunks)
	}
}

// A client that writes much before it reads meets a full queue and full buffers; nothing may be lost.
func TestVolume(t *testing.T) {
	p := listen(t)
	conn := dial(t, p)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	go func() {
		conn.Write(data)
		conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(data), err)
	}
	if c := p.Conns()[0]; !bytes.Equal(c.Stream(tap.Forward), data) {
		t.Errorf("%d bytes recorded of %d", len(c.Stream(tap.Forward)), len(data))
	}
}

func TestCut(t *testing.T) {
	p := listen(t)
	conn := dial(t, p)
	say(t, conn, "x")
	hear(t, conn, "x")
	p.Cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after Cut: %v, want a reset", err)
	}
	wait(t, p, "the end", p.Conns()[0].Ended)
	conn = dial(t, p)
	say(t, conn, "y")
	hear(t, conn, "y")
}

func TestRefuse(t *testing.T) {
	p := listen(t)
	p.Refuse(true)
	refused(t, p)
	if n := len(p.Conns()); n != 0 {
		t.Errorf("%d connections passed", n)
	}
	p.Refuse(false)
	conn := dial(t, p)
	say(t, conn, "x")
	hear(t, conn, "x")
}

func TestHold(t *testing.T) {
	p := listen(t)
	conn := dial(t, p)
	say(t, conn, "x")
	hear(t, conn, "x")
	p.Hold()
	say(t, conn, "y")
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v from a held connection", n, err)
	}
	if n := p.Bytes(tap.Forward); n != 1 {
		t.Errorf("%d bytes passed, want 1", n)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	p.Release()
	hear(t, conn, "y")
}

func TestDelay(t *testing.T) {
	const delay = 50 * time.Millisecond
	p := listen(t)
	conn := dial(t, p)
	p.Delay(delay)
	say(t, conn, "x")
	hear(t, conn, "x") // may have been read before Delay
	start := time.Now()
	say(t, conn, "y")
	hear(t, conn, "y")
	if d := time.Since(start); d < 2*delay {
		t.Errorf("there and back in %v, want at least %v", d, 2*delay)
	}
}

func TestClose(t *testing.T) {
	p := listen(t)
	conn := dial(t, p)
	say(t, conn, "x")
	hear(t, conn, "x")
	p.Hold()
	say(t, conn, "y")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("read after Close")
	}
	if got := p.Conns()[0].Stream(tap.Backward); string(got) != "x" {
		t.Errorf("recorded %q", got)
	}
}

func TestTargetDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p, err := tap.Listen("127.0.0.1:0", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	refused(t, p)
}
