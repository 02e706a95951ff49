package psycswitch_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A mortal store is what a process has of a store: with its end nothing that it does has any effect.
type mortal struct {
	*psycswitch.MemoryStore
	dead atomic.Bool
}

var errDead = errors.New("dead")

func (m *mortal) Put(ctx context.Context, s *xmpp.Stanza, at time.Time) (string, error) {
	if m.dead.Load() {
		return "", errDead
	}
	return m.MemoryStore.Put(ctx, s, at)
}

func (m *mortal) Delete(ctx context.Context, keys ...string) error {
	if m.dead.Load() {
		return errDead
	}
	return m.MemoryStore.Delete(ctx, keys...)
}

func stored(s psycswitch.Store) (n int) {
	for range s.All(context.Background()) {
		n++
	}
	return n
}

// Both ends die in the middle of a conversation and start again: what a store had accepted comes, and what comes a second time is
// marked.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 2000
		stores := map[string]*psycswitch.MemoryStore{"10.0.0.1": {}, "10.0.0.2": {}}
		var mu sync.Mutex
		came := make(map[string]int) // by sender and number
		accepted := make(map[string]bool)
		marked, last := 0, make(map[string]int)
		generation := func(over *atomic.Bool) (w *town, lives []*mortal) {
			w = newTown(t)
			for ip, domain := range map[string]string{"10.0.0.1": "north.example", "10.0.0.2": "south.example"} {
				life := &mortal{MemoryStore: stores[ip]}
				lives = append(lives, life)
				w.add(ip, plain(domain), func(y *yard) {
					y.Store = life
					y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
						mu.Lock()
						defer mu.Unlock()
						if over.Load() {
							return nil
						}
						if s.Type == "error" {
							t.Errorf("came back: %s", s.Append(nil))
						}
						from := s.From.String()
						key := from + " " + s.ID
						d, again := s.Delay()
						if again = again && strings.HasPrefix(d.Reason, "Sent again"); again {
							marked++
						}
						if came[key]++; came[key] > 1 && !again {
							t.Errorf("%s came twice and is not marked", key)
						}
						n, _ := strconv.Atoi(s.ID)
						if came[key] == 1 && n < last[from] {
							t.Errorf("%s after %d", key, last[from])
						}
						last[from] = max(n, last[from])
						return nil
					})
				})
			}
			w.start()
			return w, lives
		}

		var dead atomic.Bool
		w, lives := generation(&dead)
		var floods sync.WaitGroup
		for _, y := range w.yards {
			from, to := "ada@north.example", "bob@south.example"
			if y.ip == "10.0.0.2" {
				from, to = to, from
			}
			floods.Go(func() {
				for i := range messages {
					time.Sleep(100 * time.Microsecond)
					err := y.Send(t.Context(), chat(from, to, strconv.Itoa(i), "hello"))
					if err != nil && !dead.Load() {
						t.Error(err)
					}
					if err == nil {
						mu.Lock()
						accepted[from+" "+strconv.Itoa(i)] = true
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(90 * time.Millisecond)
		for _, life := range lives {
			life.dead.Store(true)
		}
		dead.Store(true)
		for _, y := range w.yards {
			y.cut()
		}
		floods.Wait()
		w.stop()
		left := stored(stores["10.0.0.1"]) + stored(stores["10.0.0.2"])

		var alive atomic.Bool
		w, _ = generation(&alive)
		time.Sleep(time.Minute)
		w.stop()
		mu.Lock()
		defer mu.Unlock()
		for key := range accepted {
			if came[key] == 0 {
				t.Errorf("%s was accepted and has not come", key)
			}
		}
		twice := 0
		for _, n := range came {
			if n > 1 {
				twice++
			}
		}
		if left == 0 || marked != left || twice == 0 {
			t.Errorf("%d stanzas were left, %d are marked, %d came twice", left, marked, twice)
		}
		if n := stored(stores["10.0.0.1"]) + stored(stores["10.0.0.2"]); n != 0 {
			t.Errorf("%d stanzas are kept for ever", n)
		}
		t.Logf("%d accepted, %d left at the end of the first life, %d came twice", len(accepted), left, twice)
	})
}

// A store that fails refuses what cannot be kept, and keeps nothing of what is refused or bounced.
func TestStoreErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := &mortal{MemoryStore: new(psycswitch.MemoryStore)}
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Store = life })
		w.start()
		north.send(chat("ada@north.example", "bob@nowhere.example", "1", "hello"))
		got := north.next()
		synctest.Wait()
		if got.Type != "error" || stored(life) != 0 {
			t.Errorf("%d stanzas are kept after %s", stored(life), got.Append(nil))
		}
		north.send(chat("ada@north.example", "eve@north.example", "2", "hello"))
		got = north.next()
		synctest.Wait()
		if got.ID != "2" || stored(life) != 0 {
			t.Errorf("%d stanzas are kept after %s", stored(life), got.Append(nil))
		}
		life.dead.Store(true)
		if err := north.Send(t.Context(), chat("ada@north.example", "bob@nowhere.example", "3", "hello")); !errors.Is(err, errDead) {
			t.Errorf("Send: %v", err)
		}
	})
}
