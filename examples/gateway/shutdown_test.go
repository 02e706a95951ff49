package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A ledger says what became of the messages from one server to the other.
type ledger struct {
	mu      sync.Mutex
	taken   map[string]bool // Send took them
	arrived map[string]int
	failed  map[string]int // came back as errors
	enough  chan struct{}  // closed when some have arrived
	changed chan struct{}
}

func newLedger() *ledger {
	return &ledger{
		taken: make(map[string]bool), arrived: make(map[string]int), failed: make(map[string]int),
		enough: make(chan struct{}), changed: make(chan struct{}, 1),
	}
}

// note counts a stanza that one of the servers got.
func (l *ledger) note(s *xmpp.Stanza, enough int) {
	l.mu.Lock()
	if s.Type == "error" {
		l.failed[s.ID]++
	} else if l.arrived[s.ID]++; len(l.arrived) == enough {
		close(l.enough)
	}
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// open returns how many messages are unaccounted for.
func (l *ledger) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for id := range l.taken {
		if l.arrived[id]+l.failed[id] == 0 {
			n++
		}
	}
	return n
}

// check demands that everything that was taken either arrived or failed, once.
func (l *ledger) check(t *testing.T, direction string) {
	t.Helper()
	deadline := time.After(patience)
	for l.open() > 0 {
		select {
		case <-l.changed:
		case <-deadline:
			t.Errorf("%s: %d of %d messages are lost", direction, l.open(), len(l.taken))
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.taken {
		if n := l.arrived[id] + l.failed[id]; n != 1 {
			t.Errorf("%s: message %s arrived %d times and failed %d times", direction, id, l.arrived[id], l.failed[id])
		}
	}
	t.Logf("%s: %d taken, %d arrived, %d failed", direction, len(l.taken), len(l.arrived), len(l.failed))
}

// A gateway that is told to stop in the middle of a flood must deliver or give back every single message.
func TestShutdownLosesNothing(t *testing.T) {
	for _, test := range []struct {
		name      string
		protocols psycswitch.Protocol
	}{{"PSYC", 0}, {"XMPP", psycswitch.XMPP}} {
		t.Run(test.name, func(t *testing.T) { testShutdown(t, test.protocols) })
	}
}

func testShutdown(t *testing.T, protocols psycswitch.Protocol) {
	const before = 1_000 // messages have arrived, each way, when the gateway is told to stop
	outward, inward := newLedger(), newLedger()
	f := newFront(t, protocols, testLogger("gateway"), func(f *front, cfg *Config) {
		f.home.Queue.Stanzas, f.away.Queue.Stanzas, cfg.Queue.Stanzas = before, before, before
		f.home.Grace, f.away.Grace = time.Second, time.Second
		cfg.Timeout.Shutdown = Duration(4 * patience)
		f.home.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			if s.Type == "error" {
				outward.note(s, before)
			} else {
				inward.note(s, before)
			}
			return nil
		})
		f.away.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			if s.Type == "error" {
				inward.note(s, before)
			} else {
				outward.note(s, before)
			}
			return nil
		})
	})

	var flooding sync.WaitGroup
	flood := func(l *ledger, from *neighbour, sender, recipient string) {
		for i := 0; ; i++ {
			id := strconv.Itoa(i)
			err := from.Send(t.Context(), chat(sender, recipient, id, fmt.Sprintf("message %d of the flood", i)))
			switch {
			case errors.Is(err, psycswitch.ErrQueueFull):
				continue // not taken
			case errors.Is(err, psycswitch.ErrClosed):
				return
			case err != nil:
				t.Error(err)
				return
			}
			l.mu.Lock()
			l.taken[id] = true
			l.mu.Unlock()
		}
	}
	flooding.Go(func() { flood(outward, f.home, "ada@"+home+"/a", "bob@"+away+"/b") })
	flooding.Go(func() { flood(inward, f.away, "bob@"+away+"/b", "ada@"+home+"/a") })
	for _, l := range []*ledger{outward, inward} {
		select {
		case <-l.enough:
		case <-time.After(patience):
			t.Fatal("the flood does not flow")
		}
	}
	began := time.Now()
	f.stop()
	select {
	case err := <-f.done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		t.Logf("stopped within %v", time.Since(began))
	case <-time.After(patience):
		t.Error("the gateway does not stop")
	}
	// They would try for a while to reach the gateway again.
	f.home.end()
	f.away.end()
	flooding.Wait()
	outward.check(t, "outward")
	inward.check(t, "inward")
}

// However little the others do, the gateway stops within its time.
func TestShutdownIsBounded(t *testing.T) {
	silent := listen(t)
	f := newFront(t, 0, testLogger("gateway"), func(_ *front, cfg *Config) {
		cfg.Timeout.Shutdown = Duration(time.Second)
		cfg.Routes = []Route{{Domain: away, XMPP: []string{silent.Addr().String()}}}
	})
	if err := f.home.Send(t.Context(), chat("ada@"+home+"/a", "bob@"+away, "1", "anybody there?")); err != nil {
		t.Fatal(err)
	}
	conn, err := silent.Accept() // and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	f.stop()
	select {
	case <-f.done:
		if d := time.Since(began); d > 1500*time.Millisecond {
			t.Errorf("stopped after %v", d)
		}
	case <-time.After(patience):
		t.Fatal("the gateway does not stop")
	}
	if s := receive(t, f.home.got); s.Type != "error" || s.ID != "1" {
		t.Errorf("got %s", s.Append(nil))
	}
}
