package xmpp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/switchyard-im/switchyard/uniform"
)

func TestDialback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		hill := n.add("hill.example", nil)
		dale := n.add("dale.example", nil)
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.State(); got != Authenticated|Ready {
			t.Errorf("state %b", got)
		}
		if !s.Authorized("dale.example", "hill.example") || s.Proven("dale.example", "hill.example") {
			t.Error("the pair must be authorized, and nothing proved to the initiating side")
		}
		st := &Stanza{
			Kind: Message, ID: "1",
			From: uniform.MustParseJID("jill@dale.example/pail"), To: uniform.MustParseJID("jack@hill.example"),
		}
		if err := st.SetRaw([]byte(`<body>up</body><x:y xmlns:x='urn:x' x:z="1"><![CDATA[&]]></x:y>`)); err != nil {
			t.Fatal(err)
		}
		want := string(st.AppendFor(nil, NSServer))
		if err := s.Send(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		n.wg.Wait()
		if got := hill.received(); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if want := []string{"dale.example hill.example", "hill.example dale.example"}; !slices.Equal(n.dials, want) {
			t.Errorf("dials %q, want %q", n.dials, want)
		}
		if s.Sent() != 1 {
			t.Errorf("sent %d", s.Sent())
		}
	})
}

func TestDialbackMultiplexing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		hill := n.add("hill.example rooms.hill.example", nil)
		dale := n.add("dale.example rooms.dale.example", nil)
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []pair{
			{"rooms.dale.example", "hill.example"},
			{"dale.example", "rooms.hill.example"},
		} {
			msg := chat("a@"+p.local, "b@"+p.remote, "hello")
			if err := s.Send(t.Context(), msg); !errors.Is(err, NotAuthorized) {
				t.Errorf("%v: Send before Authorize: %v", p, err)
			}
			if err := s.Authorize(t.Context(), p.local, p.remote); err != nil {
				t.Fatal(err)
			}
			if err := s.Send(t.Context(), msg); err != nil {
				t.Error(err)
			}
		}
		// Those who ask for the same pair share an answer.
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := s.Authorize(t.Context(), "rooms.dale.example", "rooms.hill.example"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()

		var refused *StanzaError
		if err := s.Authorize(t.Context(), "dale.example", "moor.example"); !errors.As(err, &refused) ||
			refused.Condition != ItemNotFound {
			t.Errorf("domain that is not hosted there: %v", err)
		}
		if err := s.Authorize(t.Context(), "fake.example", "hill.example"); !errors.As(err, &refused) ||
			refused.Condition != RemoteConnectionFailed {
			t.Errorf("domain without a server: %v", err)
		}
		if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "still there")); err != nil {
			t.Error(err)
		}
		s.Close()
		n.wg.Wait()
		if got := hill.received(); len(got) != 3 {
			t.Errorf("%d stanzas arrived: %q", len(got), got)
		}
	})
}

// Authorize works while somebody ranges over Stanzas, and Verify while nobody does.
func TestAuthorizeWhileRanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		n.add("hill.example", nil)
		dale := n.add("dale.example rooms.dale.example", nil)
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			for _, err := range s.Stanzas(context.Background()) {
				ended <- err
				return
			}
			ended <- nil
		}()
		synctest.Wait()
		if err := s.Authorize(t.Context(), "rooms.dale.example", "hill.example"); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Stanzas ended with %v", err)
		}
		n.wg.Wait()
	})
}

func TestForgedKey(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(fmt.Sprintf("other pair proved %v", other), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				n.add("hill.example", nil)
				n.add("bank.example", nil) // with a secret of its own
				dale := n.add("dale.example", nil)
				conn, _ := n.dial("", "hill.example")
				features := dale.cfg.Features
				if !other {
					// Only the forged domain is asked for, by a stream that has not authenticated otherwise.
					s := Initiate(conn, &Config{Local: "bank.example", Remote: "hill.example", Plaintext: true, Features: features})
					if err := s.Negotiate(t.Context()); !errors.Is(err, ErrInvalidKey) {
						t.Errorf("Negotiate: %v, want ErrInvalidKey", err)
					}
					s.Close()
					n.wg.Wait()
					return
				}
				s := Initiate(conn, &Config{Local: "dale.example", Remote: "hill.example", Plaintext: true, Features: features})
				if err := s.Negotiate(t.Context()); err != nil {
					t.Fatal(err)
				}
				err := s.Authorize(t.Context(), "bank.example", "hill.example")
				if !errors.Is(err, Forbidden) {
					t.Errorf("Authorize: %v, want forbidden", err)
				}
				if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "unharmed")); err != nil {
					t.Error(err)
				}
				s.Close()
				n.wg.Wait()
				if got := n.servers["hill.example"].received(); len(got) != 1 {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}
