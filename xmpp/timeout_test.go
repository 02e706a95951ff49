package xmpp

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A peer that dawdles costs a bounded time, wherever it does so.
func TestDawdling(t *testing.T) {
	for _, tt := range []struct {
		name  string
		proof bool // first
		every time.Duration
		send  string // a byte every so often, again and again
		after time.Duration
		want  error
	}{
		{"says nothing", false, 0, "", 30 * time.Second, context.DeadlineExceeded},
		{"blanks before authentication", false, time.Second, " ", 30 * time.Second, context.DeadlineExceeded},
		{"header a byte a second", false, time.Second, dale, 30 * time.Second, context.DeadlineExceeded},
		{"silent afterwards", true, 0, "", time.Hour, ErrIdle},
		{"stalls in a stanza", true, 0, "<message from='a@dale.exa", time.Minute, ErrStalled},
		{"stanza a byte a second", true, time.Second, "<message><body>" + strings.Repeat("x", 1000), time.Minute, ErrStalled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *Stream
				var p *peer
				if tt.proof {
					s, p = accepted(t, nil)
				} else {
					ours, theirs := net.Pipe()
					s, p = Accept(theirs, acceptPlain()), newPeer(ours)
				}
				start := time.Now()
				done := make(chan error, 1)
				go func() {
					err := errNotNegotiated
					if !tt.proof {
						err = s.Negotiate(t.Context())
					}
					for _, e := range s.Stanzas(t.Context()) {
						err = e
					}
					done <- err
					s.Close()
				}()
				go func() {
					for i := 0; ; i++ {
						switch {
						case tt.every == 0:
							p.send(tt.send)
							return
						case tt.send == " ":
							p.send(" ")
						case i < len(tt.send):
							p.send(tt.send[i : i+1])
						}
						select {
						case <-s.Done():
							return
						case <-time.After(tt.every):
						}
					}
				}()
				err := <-done
				if d := time.Since(start); !errors.Is(err, tt.want) || d != tt.after {
					t.Errorf("after %v: %v; want %v after %v", d, err, tt.want, tt.after)
				}
				if got := p.rest(); !strings.HasSuffix(got, "<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>") {
					t.Errorf("said %s", got)
				}
			})
		})
	}
}

// White space is a sign of life, and a stream that has nothing to say gives one.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		icfg, acfg := initiatePlain(), acceptPlain()
		icfg.Timeouts.KeepAlive = 10 * time.Second
		acfg.Timeouts.Idle = 15 * time.Second
		acfg.Timeouts.KeepAlive = -1
		i, a := Initiate(ours, icfg), Accept(theirs, acfg)
		var got []string
		ended := make(chan error, 1)
		go func() {
			err := a.Negotiate(t.Context())
			for st, e := range a.Stanzas(t.Context()) {
				if err = e; e == nil {
					got = append(got, st.Text("body"))
				}
			}
			a.Close()
			ended <- err
		}()
		if err := i.Negotiate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := i.Send(t.Context(), chat("a@dale.example", "b@hill.example", "still here")); err != nil {
			t.Error(err)
		}
		i.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(got) != 1 {
			t.Errorf("got %q", got)
		}
	})
}

// No blank where something else has been written.
func TestKeepAliveOnlyWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := established(t, func(cfg *Config) { cfg.Timeouts.KeepAlive = 10 * time.Second })
		for range 20 {
			time.Sleep(6 * time.Second)
			if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "x")); err != nil {
				t.Fatal(err)
			}
		}
		go p.send("</stream:stream>")
		s.Close()
		if got := p.rest(); strings.Contains(got, "> <") {
			t.Errorf("blanks in %s", got)
		}
	})
}

// The caller's context bounds Negotiate as well, and Authorize and Verify alone.
func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, theirs := net.Pipe()
		s := Accept(theirs, acceptPlain())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := s.Negotiate(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Negotiate: %v", err)
		}
		s.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		s, p := established(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Authorize(ctx, "rooms.dale.example", "hill.example"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Authorize: %v", err)
		}
		if n := s.Pending(); n != 0 {
			t.Errorf("%d exchanges pending", n)
		}
		if err := s.Verify(ctx, "dale.example", "hill.example", "x", "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Verify: %v", err)
		}
		if n := s.Pending(); n != 1 { // the answer may still come
			t.Errorf("%d exchanges pending", n)
		}
		// An answer that comes too late is one that nobody has asked for.
		go func() {
			p.send("<db:result from='hill.example' to='rooms.dale.example' type='valid'/>")
			p.send("</stream:stream>")
		}()
		if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "unharmed")); err != nil {
			t.Error(err)
		}
		s.Close()
		if s.Authorized("rooms.dale.example", "hill.example") {
			t.Error("authorized too late")
		}
	})
}
