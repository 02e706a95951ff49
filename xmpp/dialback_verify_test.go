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

// verifying returns a stream that asks dale.example about its keys, and that server, which is there for a minute.
func verifying(t *testing.T) (*Stream, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	s := Initiate(theirs, &Config{Local: "hill.example", Remote: "dale.example", Plaintext: true})
	p := newPeer(ours)
	time.AfterFunc(time.Minute, func() { ours.Close() })
	go p.send(strings.NewReplacer("hill", "dale", "dale", "hill").Replace(hill) + features)
	if err := s.Negotiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, p
}

// asked and answer are what is said about a key; the answer does not repeat it.
func asked(key string) string {
	return "<db:verify from='hill.example' to='dale.example' id='x'>" + key + "</db:verify>"
}

func answer(typ string) string {
	return "<db:verify from='dale.example' to='hill.example' id='x' type='" + typ + "'/>"
}

// The answer about one key is never taken for one about another, although both are for the same pair and stream.
func TestVerifyTwoKeys(t *testing.T) {
	verify := func(ctx context.Context, s *Stream, key string) <-chan error {
		done := make(chan error, 1)
		go func() { done <- s.Verify(ctx, "hill.example", "dale.example", "x", key) }()
		synctest.Wait()
		return done
	}
	for _, tt := range []struct {
		name   string
		first  string
		leaves bool // who asked first does not wait for the answer
		second string
	}{
		{"wrong beside right", "right", false, "wrong"},
		{"right beside wrong", "wrong", false, "right"},
		{"wrong behind right", "right", true, "wrong"},
		{"right behind wrong", "wrong", true, "right"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := verifying(t)
				verdict := map[string]string{"right": "valid", "wrong": "invalid"}
				check := func(key string, err error) {
					if key == "right" && err != nil || key == "wrong" && !errors.Is(err, ErrInvalidKey) {
						t.Errorf("%s key: %v", key, err)
					}
				}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				first := verify(ctx, s, tt.first)
				if tt.leaves {
					leave()
					if err := <-first; !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				}
				second, again := verify(t.Context(), s, tt.second), verify(t.Context(), s, tt.second)
				for _, key := range []string{tt.first, tt.second} {
					if err := p.want(asked(key)); err != nil {
						t.Error(err)
					}
					synctest.Wait() // all who ask the same are there
					p.send(answer(verdict[key]))
				}
				if !tt.leaves {
					check(tt.first, <-first)
				}
				check(tt.second, <-second)
				check(tt.second, <-again)
				if n := s.Pending(); n != 0 {
					t.Errorf("%d pending", n)
				}
				go p.send("</stream:stream>")
				s.Close()
				if n := strings.Count(p.rest(), "<db:verify "); n != 2 {
					t.Errorf("%d questions", n)
				}
			})
		})
	}
}

// A server that never answers does not make the stream remember any number of keys.
func TestVerifyUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := verifying(t)
		gone, cancel := context.WithCancel(t.Context())
		for i := range maxVerifying {
			go func() { s.Verify(gone, "hill.example", "dale.example", strings.Repeat("x", i+1), "k") }()
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := s.Verify(t.Context(), "hill.example", "dale.example", "y", "k"); !errors.Is(err, ResourceConstraint) {
			t.Error(err)
		}
		go p.send("</stream:stream>")
		s.Close()
	})
}
