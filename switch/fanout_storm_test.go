package psycswitch_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A choir is people who announce themselves to changing audiences, talk in between, and are cut off again and again. What goes between two
// bare addresses has to arrive in full, once, and in order.
type choir struct {
	town         *town
	north, south *yard

	mu        sync.Mutex
	sent, got map[string][]string // by bare source and target
	came      int
	next      int // arrival before which something happens
	accidents int
	happen    func(n int) // what happens
	logged    map[string]int
	random    *rand.Rand
}

func newChoir(t *testing.T, seed uint64, change func(*yard)) *choir {
	c := &choir{town: newTown(t), sent: make(map[string][]string), got: make(map[string][]string), logged: make(map[string]int), random: rand.New(rand.NewPCG(seed, 1))}
	both := func(y *yard) {
		y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			c.take(s)
			y.note(func() {})
			return nil
		})
		y.Trace.Bounced = func(s *xmpp.Stanza, err error) { t.Errorf("bounced: %s: %v", s.Append(nil), err) }
		y.Trace.Unacknowledged = func(s *xmpp.Stanza) { t.Errorf("in doubt: %s", s.Append(nil)) }
		y.Logger = slog.New(c)
		change(y)
	}
	c.north = c.town.add("10.0.0.1", plain("a.north.example", "b.north.example"), both)
	c.south = c.town.add("10.0.0.2", plain("a.south.example", "b.south.example"), both)
	return c
}

// Enabled, Handle, WithAttrs and WithGroup make a choir a [slog.Handler], which counts messages.
func (c *choir) Enabled(context.Context, slog.Level) bool { return true }

func (c *choir) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logged[r.Message]++
	return nil
}

func (c *choir) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *choir) WithGroup(string) slog.Handler      { return c }

// said is what has to be the same about what was sent and what came.
func said(s *xmpp.Stanza) string {
	return fmt.Sprintf("%v %s %s from %s to %s: %s", s.Kind, s.Type, s.ID, s.From, s.To, s.Raw())
}

func (c *choir) take(s *xmpp.Stanza) {
	c.mu.Lock()
	pair := s.From.Bare().String() + " " + s.To.Bare().String()
	c.got[pair] = append(c.got[pair], said(s))
	c.came++
	happens, n := c.next > 0 && c.came >= c.next, c.accidents
	if happens {
		c.accidents++
		c.next = c.came + 1 + c.random.IntN(150)
	}
	c.mu.Unlock()
	if happens {
		c.happen(n)
	}
}

func (c *choir) send(y *yard, text string) {
	s := stanza(c.town.t, text)
	c.mu.Lock()
	pair := s.From.Bare().String() + " " + s.To.Bare().String()
	c.sent[pair] = append(c.sent[pair], said(s))
	c.mu.Unlock()
	y.send(s)
}

// sing has one person of y announce something to an audience that changes, a number of times; to full addresses, for which presence that waits
// for a link is not replaced by newer presence.
func (c *choir) sing(y *yard, from, where string, rounds int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	var audience []string
	for i := range 30 {
		audience = append(audience, fmt.Sprintf("c%d@%s.%s", i, []string{"a", "b"}[i/20], where))
	}
	for r := range rounds {
		if random.IntN(4) == 0 {
			random.Shuffle(len(audience), func(i, j int) { audience[i], audience[j] = audience[j], audience[i] })
		}
		now := audience[:1+random.IntN(len(audience))]
		if random.IntN(2) == 0 {
			now = audience
		}
		for i, to := range now {
			switch {
			case r%5 == 4:
				c.send(y, fmt.Sprintf("<message type='groupchat' from='%s' to='%s/x' id='%d'><body>%d</body></message>", from, to, r, r))
			default:
				c.send(y, fmt.Sprintf("<presence from='%s' to='%s/x'><status>%d</status></presence>", from, to, r))
			}
			if random.IntN(60) == 0 {
				c.send(y, fmt.Sprintf("<message type='chat' from='%s' to='%s' id='%d-%d'><body>hi</body></message>", from, to, r, i))
			}
		}
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
}

// perform has everybody sing, and compares.
func (c *choir) perform(t *testing.T, rounds int) (casts int64) {
	c.town.start()
	for _, pair := range []string{"aa", "ab", "ba", "bb"} { // once a domain has been reached, failures to reach it again are borne for a while
		c.send(c.north, fmt.Sprintf("<message from='eve@%c.north.example' to='bob@%c.south.example'><body>the first</body></message>", pair[0], pair[1]))
		c.send(c.south, fmt.Sprintf("<message from='bob@%c.south.example' to='eve@%c.north.example'><body>the first</body></message>", pair[0], pair[1]))
	}
	time.Sleep(time.Second)
	c.mu.Lock()
	c.next = c.came + 100
	c.mu.Unlock()
	var singing sync.WaitGroup
	for i, who := range []struct {
		y           *yard
		from, where string
	}{
		{c.north, "ann@a.north.example/desk", "south.example"},
		{c.north, "room@b.north.example/eve", "south.example"},
		{c.south, "bob@a.south.example/desk", "north.example"},
		{c.north, "a.north.example", "south.example"},
	} {
		singing.Go(func() { c.sing(who.y, who.from, who.where, rounds, uint64(i)) })
	}
	singing.Wait()
	c.mu.Lock()
	c.next = 0
	c.mu.Unlock()
	for last, came := -1, 0; last != came; time.Sleep(time.Minute) {
		last = came
		c.mu.Lock()
		came = c.came
		c.mu.Unlock()
	}
	for _, y := range c.town.yards {
		for info := range y.Links() {
			casts += info.CastsOut
		}
	}
	c.town.stop()
	var pairs []string
	for pair := range c.sent {
		pairs = append(pairs, pair)
	}
	slices.Sort(pairs)
	for _, pair := range pairs {
		for i, sent := range c.sent[pair] {
			if i >= len(c.got[pair]) || c.got[pair][i] != sent {
				t.Fatalf("%s: sent\n%s\nand got behind the same\n%s", pair, strings.Join(c.sent[pair][i:], "\n"), strings.Join(c.got[pair][i:], "\n"))
			}
		}
		if sent, got := len(c.sent[pair]), len(c.got[pair]); sent != got {
			t.Errorf("%s: sent %d, got %d", pair, sent, got)
		}
	}
	if len(c.got) != len(c.sent) {
		t.Errorf("%d pairs talked, %d heard", len(c.sent), len(c.got))
	}
	t.Logf("%d stanzas, %d accidents, %d questions, %d refusals, %d casts on the last links, %d connections", c.came, c.accidents, c.logged["audience in doubt"], c.logged["packet refused"], casts, c.town.net.dialled(c.south.ip+port)+c.town.net.dialled(c.north.ip+port))
	return casts
}

// Links that are cut in the middle of casts: nothing comes twice, nothing is missing.
func TestCutCasts(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			c := newChoir(t, seed, func(*yard) {})
			c.happen = func(int) { c.north.cut(); c.south.cut() }
			c.perform(t, 100)
			if c.accidents < 20 {
				t.Errorf("only %d cuts", c.accidents)
			}
		})
	}
}

// Receivers that lose what they were told of audiences ask for it, and nothing is lost or comes twice, even if links are cut while they wait.
func TestCastsInDoubt(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			c := newChoir(t, seed, func(*yard) {})
			c.town.net.delay = 3 * time.Millisecond
			c.happen = func(n int) {
				if n%8 == 7 {
					c.north.cut()
					c.south.cut()
					return
				}
				// Not from the goroutine that reads.
				go func() {
					psycswitch.ForgetAudiences(c.north.Router)
					psycswitch.ForgetAudiences(c.south.Router)
				}()
			}
			c.perform(t, 100)
			if n := c.logged["audience in doubt"]; n < 20 || c.accidents < 20 {
				t.Errorf("only %d accidents, %d questions", c.accidents, n)
			}
		})
	}
}

// Receivers that refuse casts get the copies one by one.
func TestRefusedCasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChoir(t, 1, func(y *yard) { y.Casts.Rate = 2_000 })
		c.happen = func(n int) {
			if n%10 == 9 {
				c.north.cut()
			}
		}
		c.perform(t, 60)
		if n := c.logged["packet refused"]; n < 5 {
			t.Errorf("only %d refusals", n)
		}
	})
}
