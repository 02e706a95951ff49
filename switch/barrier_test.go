package psycswitch_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// pings has the yard answer pings (XEP-0199) by itself, and returns how many have come. All else goes to the handler that it had.
func (y *yard) pings(answer func(*xmpp.Stanza) *xmpp.Stanza) *int {
	n, handler := new(int), y.Handler
	y.Handler = psycswitch.HandlerFunc(func(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
		if _, ok := s.Child("urn:xmpp:ping", "ping"); !ok {
			return handler.HandleStanza(ctx, out, s)
		}
		y.note(func() { *n++ })
		if s = answer(s); s == nil {
			return nil
		}
		return out.Send(ctx, s)
	})
	return n
}

func pong(s *xmpp.Stanza) *xmpp.Stanza   { return s.Reply("result") }
func noPong(s *xmpp.Stanza) *xmpp.Stanza { return s.ErrorReply(xmpp.ServiceUnavailable) }
func silent(*xmpp.Stanza) *xmpp.Stanza   { return nil }

// unmanagedXMPP makes a yard a server without stream management, and without PSYC.
func unmanagedXMPP(y *yard) { y.Protocols, y.Dialer = psycswitch.XMPP, unmanaged{y.Dialer} }

// Where nobody acknowledges, but pings are answered, every message comes in order and at least once, or comes back, and what comes again says
// so: no more than what was sent behind the last barrier.
func TestStormWithBarriers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStorm(t, 0, 20_000, func(y *yard) {
			unmanagedXMPP(y)
			y.pings(pong)
		})
		w.pace = 50 * time.Millisecond // a link lasts for some barriers
		w.seen.again = true
		w.rage(t)
		w.atLeastOnce(t, 6)
	})
}

// A barrier is sent when so many stanzas have gone, or a while after the first, if anything has gone that is not an answer. What it asks the link alone
// is told.
func TestBarriers(t *testing.T) {
	const result = "<iq type='result' id='1' from='ada@north.example/x' to='bob@south.example/y'/>"
	for name, test := range map[string]struct {
		stanzas  int
		text     string // instead of a message
		barriers psycswitch.Barriers
		answer   func(*xmpp.Stanza) *xmpp.Stanza // pong if nil
		now      int                             // barriers at once
		soon     int                             // and within a second
		left     int                             // stanzas without an acknowledgement
	}{
		"one message":   {stanzas: 1, soon: 1},
		"63 messages":   {stanzas: 63, soon: 1},
		"64 messages":   {stanzas: 64, now: 1, soon: 1},
		"200 messages":  {stanzas: 200, now: 3, soon: 4},
		"errors":        {stanzas: 200, answer: noPong, now: 3, soon: 4},
		"presence":      {stanzas: 1, text: "<presence from='ada@north.example/x' to='bob@south.example'/>", soon: 1},
		"answers":       {stanzas: 100, text: result, left: 100},
		"silence":       {stanzas: 65, answer: silent, now: 1, soon: 2, left: 65},
		"often":         {stanzas: 10, barriers: psycswitch.Barriers{Stanzas: 5, Delay: time.Hour}, now: 2, soon: 2},
		"a longer wait": {stanzas: 100, barriers: psycswitch.Barriers{Stanzas: 1000, Delay: time.Minute}, left: 100},
		"no delay":      {stanzas: 100, barriers: psycswitch.Barriers{Delay: -1}, left: 100},
		"no stanzas":    {stanzas: 100, barriers: psycswitch.Barriers{Stanzas: -1}, left: 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
					unmanagedXMPP(y)
					y.Barriers = test.barriers
				})
				var pings *int
				south := w.add("10.0.0.2", plain("south.example"), func(y *yard) {
					unmanagedXMPP(y)
					if test.answer == nil {
						test.answer = pong
					}
					pings = y.pings(test.answer)
				})
				w.start()
				for i := range test.stanzas {
					s := chat("ada@north.example", "bob@south.example", strconv.Itoa(i), "hello")
					if test.text != "" {
						s = stanza(t, test.text)
					}
					north.send(s)
				}
				check := func(when string, want int) {
					t.Helper()
					south.mu.Lock()
					defer south.mu.Unlock()
					if *pings != want {
						t.Errorf("%s: %d barriers, want %d", when, *pings, want)
					}
				}
				synctest.Wait()
				check("at once", test.now)
				time.Sleep(time.Second)
				check("soon", test.soon)
				if n := psycswitch.InFlight(north.Router); n != test.left {
					t.Errorf("%d stanzas without an acknowledgement, want %d", n, test.left)
				}
				// Answers call for no barrier on the other side.
				time.Sleep(20 * time.Second)
				check("later", test.soon)
				if _, got := north.accounts(); len(got) != 0 {
					t.Errorf("the handler got %s", got[0].Append(nil))
				}
			})
		})
	}
}

// A peer that does not answer is not asked for an hour, and what was sent counts as arrived after a minute, or is lost with the link.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		var lost []string
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			unmanagedXMPP(y)
			y.Trace.Unacknowledged = func(s *xmpp.Stanza) { y.note(func() { lost = append(lost, s.ID) }) }
		})
		var pings *int
		var answers atomic.Bool
		south := w.add("10.0.0.2", plain("south.example"), func(y *yard) {
			unmanagedXMPP(y)
			pings = y.pings(func(s *xmpp.Stanza) *xmpp.Stanza {
				if !answers.Load() {
					return nil
				}
				return pong(s)
			})
		})
		w.start()
		say := func(id string) {
			north.send(chat("ada@north.example", "bob@south.example", id, "hello"))
			if s := south.next(); s.ID != id || sentAgain(s) {
				t.Errorf("got %s", s.Append(nil))
			}
			time.Sleep(time.Second)
		}
		asked := func(want int) {
			t.Helper()
			south.mu.Lock()
			defer south.mu.Unlock()
			if *pings != want {
				t.Errorf("asked %d times, want %d", *pings, want)
			}
		}
		// In doubt while the first barrier may still be answered.
		say("1")
		south.cut()
		if s := south.next(); s.ID != "1" || !sentAgain(s) {
			t.Errorf("got %s", s.Append(nil))
		}
		time.Sleep(40 * time.Second)
		asked(2)
		say("2")
		asked(2)
		south.cut()
		time.Sleep(time.Minute)
		north.mu.Lock()
		if len(lost) != 3 || lost[2] != "2" {
			t.Errorf("unacknowledged: %q", lost)
		}
		north.mu.Unlock()
		say("3")
		asked(2)
		time.Sleep(2 * time.Minute)
		if n := psycswitch.InFlight(north.Router); n != 0 {
			t.Errorf("%d stanzas in flight", n)
		}
		time.Sleep(time.Hour)
		answers.Store(true)
		say("4")
		asked(3)
		if n := psycswitch.InFlight(north.Router); n != 0 {
			t.Errorf("%d stanzas in flight", n)
		}
		if _, got := south.accounts(); len(got) != 0 {
			t.Errorf("came as well: %s", got[0].Append(nil))
		}
	})
}

// An answer that comes when the link has broken still tells what has arrived.
func TestAnswerAfterTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, north, south, _ := gatedTown(t, func(y *yard) {
			unmanagedXMPP(y)
			y.Trace.Unacknowledged = func(s *xmpp.Stanza) { t.Errorf("in doubt: %s", s.Append(nil)) }
		})
		north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
		time.Sleep(200*time.Millisecond + w.net.delay + w.net.delay/2)
		south.cut()
		time.Sleep(time.Minute)
		if _, got := south.accounts(); len(got) != 1 {
			t.Errorf("%d came", len(got))
		}
	})
}

// A peer that answers after all is asked again.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), unmanagedXMPP)
		var asked atomic.Int64
		w.add("10.0.0.2", plain("south.example"), func(y *yard) {
			unmanagedXMPP(y)
			y.pings(func(s *xmpp.Stanza) *xmpp.Stanza {
				if asked.Add(1) == 1 {
					time.Sleep(time.Minute)
				}
				return pong(s)
			})
		})
		w.start()
		for i, want := range []int64{1, 1, 2} {
			north.send(chat("ada@north.example", "bob@south.example", strconv.Itoa(i), "hello"))
			time.Sleep(40 * time.Second) // the answer is overdue after the first message, and there after the second
			if n := asked.Load(); n != want {
				t.Errorf("after message %d: %d barriers, want %d", i, n, want)
			}
		}
		if n := psycswitch.InFlight(north.Router); n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
}
