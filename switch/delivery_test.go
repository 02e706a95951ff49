package psycswitch_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Books compare numbered messages of many senders with what came of them.
type books struct {
	mu      sync.Mutex
	next    map[string]int // by route: the number that is due
	came    int
	bounced map[string]bool
	doubt   map[string]bool // unacknowledged
	missing map[string]bool // not come in their order
	again   bool            // they may come again if they say so
	doubles int             // that have
	wrong   []string
}

func newBooks() *books {
	return &books{next: make(map[string]int), bounced: make(map[string]bool), doubt: make(map[string]bool), missing: make(map[string]bool)}
}

func entry(from, to, id string) string { return from + " " + to + " " + id }

// take enters a message that came, or came back, and returns how many have come.
func (b *books) take(s *xmpp.Stanza) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, to := s.From.String(), s.To.String()
	if s.Type == "error" {
		b.bounced[entry(to, from, s.ID)] = true
		return b.came
	}
	key := from + " " + to
	n, err := strconv.Atoi(s.ID)
	switch {
	case err == nil && b.again && n < b.next[key] && sentAgain(s):
		b.doubles++
		return b.came
	case err != nil || n < b.next[key]:
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %q where %d was due", key, s.ID, b.next[key]))
	case s.Text("body") != strings.Repeat("x", 10+n%300):
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s came with another text", key, s.ID))
	}
	b.came++
	for ; b.next[key] < n; b.next[key]++ {
		b.missing[key+" "+strconv.Itoa(b.next[key])] = true
	}
	b.next[key] = n + 1
	return b.came
}

// sentAgain reports whether s says that it may have come before.
func sentAgain(s *xmpp.Stanza) bool {
	d, ok := s.Delay()
	return ok && strings.HasPrefix(d.Reason, "Sent again")
}

func (b *books) unacknowledged(s *xmpp.Stanza) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doubt[entry(s.From.String(), s.To.String(), s.ID)] = true
}

// A storm is a flood of messages both ways between two yards, with several domains each, whose connections are cut again and again.
type storm struct {
	town         *town
	north, south *yard
	seen         *books
	senders      []string      // pairs, as entry has them
	each         int           // messages of each
	pace         time.Duration // of one sender; what is in flight when a link breaks depends on it
	cuts         int
}

const stormCuts = 200

func newStorm(t *testing.T, seed uint64, messages int, change func(*yard)) *storm {
	w := &storm{town: newTown(t), seen: newBooks()}
	random := rand.New(rand.NewPCG(seed, 0))
	next := 50
	handler := func(y *yard) {
		y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			came := w.seen.take(s)
			w.seen.mu.Lock()
			cut := came >= next && w.cuts < stormCuts
			if cut {
				w.cuts++
				next = came + 1 + random.IntN(3*messages/2/stormCuts)
			}
			w.seen.mu.Unlock()
			if cut {
				w.north.cut()
				w.south.cut()
			}
			y.note(func() {})
			return nil
		})
		y.Trace.Unacknowledged = w.seen.unacknowledged
		if change != nil {
			change(y)
		}
	}
	w.north = w.town.add("10.0.0.1", plain("a.north.example", "b.north.example"), handler)
	w.south = w.town.add("10.0.0.2", plain("a.south.example", "b.south.example"), handler)
	w.senders = []string{
		"ada@a.north.example bob@a.south.example", "ada@a.north.example bob@b.south.example", "eve@b.north.example bob@b.south.example",
		"bob@a.south.example ada@a.north.example", "bob@b.south.example eve@b.north.example",
	}
	w.each = messages / len(w.senders)
	return w
}

// yard returns where an address lives.
func (w *storm) yard(address string) *yard {
	if strings.Contains(address, "south") {
		return w.south
	}
	return w.north
}

// rage sends all there is and waits until it has come or is accounted for.
func (w *storm) rage(t *testing.T) {
	w.town.start()
	// Once a domain has been reached, failures to reach it again are borne for a while.
	for i, pair := range w.senders {
		from, to, _ := strings.Cut(pair, " ")
		w.yard(from).send(chat(from, to, "0", strings.Repeat("x", 10)))
		w.yard(to).await("the first of "+pair, func() bool {
			w.seen.mu.Lock()
			defer w.seen.mu.Unlock()
			return w.seen.came == i+1
		})
	}
	synctest.Wait() // sessions of streams have to be answered before they can be taken up
	var floods sync.WaitGroup
	for _, pair := range w.senders {
		from, to, _ := strings.Cut(pair, " ")
		y := w.yard(from)
		floods.Go(func() {
			for i := 1; i < w.each; i++ {
				time.Sleep(w.pace)
				y.send(chat(from, to, strconv.Itoa(i), strings.Repeat("x", 10+i%300)))
			}
		})
	}
	floods.Wait()
	last := -1
	for settled := time.Now(); time.Since(settled) < time.Minute; time.Sleep(time.Second) {
		w.seen.mu.Lock()
		n := w.seen.came + len(w.seen.bounced) + len(w.seen.doubt)
		w.seen.mu.Unlock()
		if n != last {
			last, settled = n, time.Now()
		}
	}
	w.town.stop()
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	for i, wrong := range w.seen.wrong {
		if i < 5 {
			t.Error(wrong)
		}
	}
	for _, pair := range w.senders {
		for ; w.seen.next[pair] < w.each; w.seen.next[pair]++ {
			w.seen.missing[pair+" "+strconv.Itoa(w.seen.next[pair])] = true
		}
	}
	if w.cuts != stormCuts {
		t.Errorf("only %d cuts", w.cuts)
	}
	t.Logf("%d of %d messages came, %d bounced, %d in doubt, after %d cuts, with %d and %d connections", w.seen.came, w.each*len(w.senders),
		len(w.seen.bounced), len(w.seen.doubt), w.cuts, w.town.net.dialled(w.north.ip+port), w.town.net.dialled(w.south.ip+port))
}

// Between Switchyards every message arrives exactly once and in order, or bounces, however often the connections break.
func TestStormBetweenSwitchyards(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			w := newStorm(t, seed, 20_000, nil)
			w.rage(t)
			w.exactlyOnce(t)
		})
	}
}

// exactlyOnce checks that what has not come has come back, and that nothing is in doubt.
func (w *storm) exactlyOnce(t *testing.T) {
	for m := range w.seen.missing {
		if !w.seen.bounced[m] {
			t.Fatalf("%d messages have not come, and %s has not come back", len(w.seen.missing), m)
		}
	}
	if came := w.seen.came; came+len(w.seen.bounced) != w.each*len(w.senders) {
		t.Errorf("%d messages came and %d came back", came, len(w.seen.bounced))
	}
	if len(w.seen.doubt) > 0 {
		t.Errorf("%d messages are in doubt", len(w.seen.doubt))
	}
}

// atLeastOnce checks that what has not come has come back, and that no more has come again than window messages of a sender for each cut.
func (w *storm) atLeastOnce(t *testing.T, window int) {
	t.Logf("%d doubles", w.seen.doubles)
	for m := range w.seen.missing {
		if !w.seen.bounced[m] {
			t.Fatalf("%d messages have not come, and %s has not come back", len(w.seen.missing), m)
		}
	}
	if most := w.cuts * len(w.senders) * window; w.seen.doubles == 0 || w.seen.doubles > most {
		t.Errorf("%d messages have come again", w.seen.doubles)
	}
}

// So it is over XMPP, where streams take up the sessions of those that have broken (XEP-0198).
func TestStormOverXMPP(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			w := newStorm(t, seed, 20_000, func(y *yard) { y.Protocols = psycswitch.XMPP })
			w.pace = time.Millisecond
			w.rage(t)
			w.exactlyOnce(t)
		})
	}
}

// unmanaged connections lead to servers that do not offer stream management (XEP-0198).
type unmanaged struct{ psycswitch.Dialer }

func (d unmanaged) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return unmanagedConn{conn}, nil
}

type unmanagedConn struct{ net.Conn }

// Read relies on the network of tests, which does not split what was written at once.
func (c unmanagedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	offer := []byte("urn:xmpp:sm:3")
	if at := bytes.Index(b[:n], offer); at >= 0 {
		copy(b[at:], "urn:example:1")
	}
	return n, err
}

// Write sees to it that the offer is hidden indeed.
func (c unmanagedConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("urn:xmpp:sm:3")) {
		panic("a server that does not offer stream management is asked for it")
	}
	return c.Conn.Write(b)
}

// Where sessions are switched off, every message arrives at most once and in order, and what has not come has bounced or is counted as
// unacknowledged, whether the server acknowledges or not.
func TestStormWithoutSessions(t *testing.T) {
	for name, dialer := range map[string]func(psycswitch.Dialer) psycswitch.Dialer{
		"managed":   func(d psycswitch.Dialer) psycswitch.Dialer { return d },
		"unmanaged": func(d psycswitch.Dialer) psycswitch.Dialer { return unmanaged{d} },
	} {
		t.Run(name, func(t *testing.T) {
			stormAtMostOnce(t, func(y *yard) {
				y.Protocols, y.NoSessions = psycswitch.XMPP, true
				y.Dialer = dialer(y.Dialer)
			})
		})
	}
}

func stormAtMostOnce(t *testing.T, change func(*yard)) {
	synctest.Test(t, func(t *testing.T) {
		w := newStorm(t, 0, 20_000, change)
		w.pace = time.Millisecond
		w.rage(t)
		for m := range w.seen.missing {
			if !w.seen.bounced[m] && !w.seen.doubt[m] {
				t.Fatalf("%d messages have not come, and %s is not accounted for", len(w.seen.missing), m)
			}
		}
		for m := range w.seen.bounced {
			if !w.seen.missing[m] {
				t.Errorf("%s has come and come back", m)
			}
		}
		if w.seen.came < w.each*len(w.senders)/2 {
			t.Error("too few messages have come")
		}
	})
}
