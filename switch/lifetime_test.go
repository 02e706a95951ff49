package psycswitch_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// What waits for a domain that cannot be reached is given up when it is too old, each kind at its time, and only those hear of it who wait
// for an answer.
func TestLifetimes(t *testing.T) {
	for name, test := range map[string]struct {
		stanza string
		life   time.Duration
		error  bool // its sender hears of it
	}{
		"a question":          {"<iq type='get' id='1' from='ada@north.example/x' to='bob@far.example/y'><ping xmlns='urn:xmpp:ping'/></iq>", time.Minute, true},
		"an answer":           {"<iq type='result' id='1' from='ada@north.example/x' to='bob@far.example/y'/>", time.Minute, false},
		"presence":            {"<presence id='1' from='ada@north.example/x' to='bob@far.example'/>", 5 * time.Minute, false},
		"the end of presence": {"<presence type='unavailable' id='1' from='ada@north.example/x' to='bob@far.example'/>", 5 * time.Minute, false},
		"a probe":             {"<presence type='probe' id='1' from='ada@north.example/x' to='bob@far.example'/>", 5 * time.Minute, false},
		"presence in a room":  {"<presence id='1' from='ada@north.example/x' to='room@far.example/ada'/>", 5 * time.Minute, true},
		"a subscription":      {"<presence type='subscribe' id='1' from='ada@north.example' to='bob@far.example'/>", time.Hour, true},
		"a message":           {"<message type='chat' id='1' from='ada@north.example/x' to='bob@far.example'><body>hello</body></message>", time.Hour, true},
		"a headline":          {"<message type='headline' id='1' from='ada@north.example/x' to='bob@far.example'><body>hello</body></message>", time.Hour, false},
		"an error":            {"<message type='error' id='1' from='ada@north.example/x' to='bob@far.example'/>", time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
				north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Persist = true })
				w.start()
				north.send(stanza(t, test.stanza))
				time.Sleep(test.life - time.Second)
				if lost, _ := north.accounts(); len(lost) != 0 {
					t.Errorf("given up too early: %v", lost)
				}
				time.Sleep(2 * time.Second)
				lost, back := north.accounts()
				if len(lost) != 1 || len(back) == 1 != test.error {
					t.Errorf("%d given up, %d came back", len(lost), len(back))
				}
				for _, s := range back {
					if c := errorCondition(s); c != "remote-server-timeout" {
						t.Errorf("came back with %q", c)
					}
				}
				if n := w.net.dialled("10.0.0.9" + port); n < 5 || n > 5+2*int(test.life/time.Minute) {
					t.Errorf("dialled %d times", n)
				}
			})
		})
	}
}

// When a domain can be reached again, it gets what is still wanted, in order, and of the presence of each of its contacts the newest.
func TestPersist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.2" + port}}
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			y.Persist, y.Store = true, new(psycswitch.MemoryStore)
			y.Lifetimes.Presence = 10 * time.Minute
		})
		w.start()
		for _, text := range []string{
			"<iq type='get' id='question' from='ada@north.example/x' to='bob@south.example/y'><ping xmlns='urn:xmpp:ping'/></iq>",
			"<message type='chat' id='first' from='ada@north.example/x' to='bob@south.example'><body>hello</body></message>",
			"<presence id='old' from='ada@north.example/x' to='bob@south.example'/>",
			"<presence id='other' from='ada@north.example/y' to='bob@south.example'/>",
			"<presence type='subscribe' id='subscription' from='ada@north.example' to='bob@south.example'/>",
			"<presence id='room' from='ada@north.example/x' to='room@south.example/ada'/>",
			"<presence id='newer' from='ada@north.example/x' to='bob@south.example'><show>away</show></presence>",
			"<presence id='renamed' from='ada@north.example/x' to='room@south.example/ada'/>",
			"<presence type='unavailable' id='newest' from='ada@north.example/x' to='bob@south.example'/>",
			"<message type='chat' id='last' from='ada@north.example/x' to='bob@south.example'><body>hello</body></message>",
		} {
			north.send(stanza(t, text))
		}
		time.Sleep(2 * time.Minute)
		if got := north.next(); got.ID != "question" || errorCondition(got) != "remote-server-timeout" {
			t.Errorf("came back: %s", got.Append(nil))
		}
		south := w.add("10.0.0.2", plain("south.example"), nil)
		w.startOne(south)
		time.Sleep(time.Minute + time.Second) // the longest pause
		_, got := south.accounts()
		var came []string
		for _, s := range got {
			came = append(came, s.ID)
		}
		if want := strings.Fields("first other subscription room renamed newest last"); !slices.Equal(came, want) {
			t.Errorf("came: %q, not %q", came, want)
		}
		if d, marked := got[0].Delay(); !marked || d.From != "north.example" {
			t.Errorf("a message is late and does not say so: %s", got[0].Append(nil))
		}
		for s := range north.Store.All(t.Context()) {
			t.Errorf("left in the store: %s", s.Stanza.ID)
		}
	})
}

// What is too old is given up behind what waits for ever, too, and nothing of it is left.
func TestExpiredBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			y.Persist = true
			y.Lifetimes.Message = -1
		})
		w.start()
		north.send(chat("ada@north.example", "bob@far.example", "message", "hello"))
		north.send(stanza(t, "<iq type='get' id='question' from='ada@north.example/x' to='bob@far.example/y'><ping xmlns='urn:xmpp:ping'/></iq>"))
		north.send(stanza(t, "<presence id='presence' from='ada@north.example/x' to='bob@far.example'/>"))
		time.Sleep(time.Minute + time.Second)
		if lost, back := north.accounts(); len(lost) != 1 || len(back) != 1 || back[0].ID != "question" {
			t.Errorf("given up after a minute: %v", lost)
		}
		if n := psycswitch.Presences(north.Router); n != 1 {
			t.Errorf("%d presences wait", n)
		}
		time.Sleep(4 * time.Minute)
		if lost, _ := north.accounts(); len(lost) != 2 {
			t.Errorf("given up after five minutes: %v", lost)
		}
		if n := psycswitch.Presences(north.Router); n != 0 {
			t.Errorf("%d presences wait that have been given up", n)
		}
		time.Sleep(24 * time.Hour)
		far := w.add("10.0.0.9", plain("far.example"), nil)
		w.startOne(far)
		time.Sleep(time.Minute + time.Second) // the longest pause
		if _, got := far.accounts(); len(got) != 1 || got[0].ID != "message" {
			t.Errorf("%d stanzas came", len(got))
		}
	})
}

// A router that ends does not wait for domains that it cannot reach.
func TestPersistEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Persist = true })
		w.start()
		north.send(chat("ada@north.example", "bob@far.example", "1", "hello"))
		time.Sleep(10 * time.Minute)
		start := time.Now()
		north.stop()
		if _, back := north.accounts(); time.Since(start) > time.Second || len(back) != 1 {
			t.Errorf("it took %v; %d came back", time.Since(start), len(back))
		}
	})
}
