package psycswitch_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

const greeting = "|\n\n:_uniform_source\tpsyc://far.example/\n:_understand_modules\t_switchyard\n_notice_circuit_established\n|\n\n_status_circuit\n|\n"

// What a peer may do with our <switching/>, and what becomes of the stanza that waits.
func TestInitiatorOfTheSwitch(t *testing.T) {
	for _, test := range []struct {
		name   string
		offer  string // a feature
		answer string // to <switching/>
		hangUp bool   // instead of an answer

		asks   bool // we ask for the switch
		psyc   bool // the stanza goes by PSYC
		again  bool // on a second connection, by XMPP
		within time.Duration
	}{
		{name: "no offer"},
		{name: "psyced's offer of another scheme", offer: "<switch xmlns='http://switch.psyced.org'><scheme>irc</scheme></switch>"},
		{name: "unknown syntax", offer: "<psyc xmlns='urn:x-switchyard:psyc:0'><syntax>7.0</syntax></psyc>"},
		{name: "no syntax", offer: "<psyc xmlns='urn:x-switchyard:psyc:0'/>"},
		{name: "yes", offer: psycOffer, answer: switched, asks: true, psyc: true},
		{name: "greeting at once", offer: psycOffer, answer: switched + greeting, asks: true, psyc: true},
		{name: "refused", offer: psycOffer, answer: "<not-switched xmlns='urn:x-switchyard:psyc:0'/>", asks: true},
		{name: "stanzas counted that we did not send", offer: psycOffer, answer: strings.Replace(switched, "h='0'", "h='3'", 1), asks: true, again: true},
		{name: "another element", offer: psycOffer, answer: "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", asks: true, again: true},
		{name: "a stanza", offer: psycOffer, answer: "<message from='x@far.example' to='ada@north.example'/>", asks: true, again: true},
		{name: "garbage", offer: psycOffer, answer: "\x00\xff<<<", asks: true, again: true},
		{name: "garbage behind the answer", offer: psycOffer, answer: switched + "<message/>\n", asks: true, again: true},
		{name: "no answer", offer: psycOffer, asks: true, again: true, within: 10 * time.Second},
		{name: "hang-up", offer: psycOffer, hangUp: true, asks: true, again: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
				north := w.add("10.0.0.1", plain("north.example"), nil)
				w.start()
				far := w.net.listen("10.0.0.9" + port)
				start := time.Now()
				north.send(chat("ada@north.example/a", "bob@far.example", "1", "hello"))
				c := far.accept(t)
				c.acceptStream(test.offer + dialbackOn)
				if test.asks {
					if got := c.expect("</switching>"); got != switching {
						t.Errorf("asked with %q", got)
					}
					if test.answer != "" {
						c.send(test.answer)
					}
					if test.hangUp {
						c.Close()
					}
				}
				if test.again {
					c = far.accept(t)
					c.acceptStream(test.offer + dialbackOn)
				}
				if test.psyc {
					c.expect("|\n")
					if !strings.Contains(test.answer, greeting) {
						c.send(greeting)
					}
					c.expect("_message_private\n")
				} else {
					c.expect("<message ")
				}
				if got := c.expect("hello"); strings.Contains(got, "switching") {
					t.Errorf("asked once more: %q", got)
				}
				if took := time.Since(start); took > test.within {
					t.Errorf("it took %v", took)
				}
				if north.links() != 1 {
					t.Errorf("%d links", north.links())
				}
			})
		})
	}
}

// A peer with which the switch failed is not asked again for an hour, and then is.
func TestFailedSwitchIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.9" + port}}
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Barriers.Delay = -1 }) // what it says comes once
		w.start()
		far := w.net.listen("10.0.0.9" + port)
		for _, step := range []struct {
			after time.Duration
			asks  bool
		}{{0, true}, {0, false}, {30 * time.Minute, false}, {31 * time.Minute, true}} {
			time.Sleep(step.after)
			north.send(chat("ada@north.example/a", "bob@far.example", "1", "hello"))
			c := far.accept(t)
			c.acceptStream(psycOffer + dialbackOn)
			if step.asks {
				c.expect("</switching>")
				c.Close()
				c = far.accept(t)
				c.acceptStream(psycOffer + dialbackOn)
			}
			if got := c.expect("hello"); strings.Contains(got, "switching") {
				t.Errorf("asked after %v", step.after)
			}
			c.send("</stream:stream>")
			c.rest()
			north.await("the end of the link", func() bool { return north.links() == 0 })
		}
	})
}

// What a peer may say to begin the switch, and what it gets.
func TestReceiverOfTheSwitch(t *testing.T) {
	const (
		refusal = "<not-switched xmlns='urn:x-switchyard:psyc:0'/>"
		message = "<message id='1' from='x@peer.example' to='y@north.example'><body>hello</body></message>"
		silence = "nothing at all"
		packet  = ":_source\tpsyc://peer.example/~x\n:_target\tpsyc://north.example/~y\n\n_message_private\nhello\n|\n"
	)
	for _, test := range []struct {
		name   string
		before bool   // before any proof
		say    string // after the proof
		want   string // answer
		then   string // what is said after it
		end    string // how the connection ends; "" if it goes on and hello arrives
	}{
		{name: "yes", say: switching, want: switched, then: greeting + packet},
		{name: "without waiting for the answer", say: switching + greeting + packet, want: switched},
		{name: "stanzas first", say: message + switching, want: strings.Replace(switched, "h='0'", "h='1'", 1), then: greeting},
		{name: "before the proof", before: true, say: switching, want: refusal, then: message},
		{name: "unknown syntax", say: strings.Replace(switching, "1.0", "0.5", 1), want: refusal, then: message},
		{name: "no syntax", say: "<switching xmlns='urn:x-switchyard:psyc:0'/>", want: refusal, then: message},
		{name: "unknown element", say: "<switcheroo xmlns='urn:x-switchyard:psyc:0'/>", want: refusal, then: message},
		{name: "psyced's element", say: "<switching xmlns='http://switch.psyced.org'><scheme>psyc</scheme></switching>", want: refusal, then: message},
		{name: "while a key is being verified", say: "<db:result from='other.example' to='north.example'>key</db:result>" + switching, want: refusal, then: message},
		{name: "garbage afterwards", say: switching + "\x00garbage", want: switched, end: "_error"},
		{name: "XML afterwards", say: switching + message, want: switched, end: "_error"},
		{name: "nothing afterwards", say: switching, want: switched, end: silence},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.resolver.Domains["peer.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.7" + port}}
				w.resolver.Domains["other.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "192.0.2.7" + port}}
				w.vouch("10.0.0.7" + port)
				north := w.add("10.0.0.1", plain("north.example"), nil)
				w.start()
				c := w.dial("10.0.0.7", "10.0.0.1"+port)
				if test.before {
					c.openStream("peer.example", "north.example")
				} else {
					c.dialback("peer.example", "north.example")
				}
				c.send(test.say)
				c.expect(test.want)
				if test.before {
					c.send("<db:result from='peer.example' to='north.example'>key</db:result>")
					c.expect("type='valid'/>")
				}
				if test.then != "" {
					c.send(test.then)
				}
				switch test.end {
				case "":
					if got := north.next(); got.Text("body") != "hello" || got.From.Bare().String() != "x@peer.example" {
						t.Errorf("got %s", got.Append(nil))
					}
				default:
					if got := c.rest(); test.end != silence && !strings.Contains(got, test.end) {
						t.Errorf("the connection ended with %q", got)
					}
					north.await("the end", func() bool { return len(north.downs) == 1 && north.downs[0] != nil })
				}
			})
		})
	}
}

// A PSYC hint that does not work is left alone for a while where XMPP does, and that ends when XMPP fails.
func TestSpokenIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["south.example"] = []psycswitch.Hint{
			{Protocol: psycswitch.PSYC, Addr: "10.9.9.9:4404"},
			{Protocol: psycswitch.XMPP, Addr: "10.0.0.2" + port},
		}
		north := w.add("10.0.0.1", plain("north.example"), nil)
		south := w.add("10.0.0.2", plain("south.example"), func(y *yard) { y.Protocols = psycswitch.XMPP })
		w.start()
		for i, want := range []struct {
			after time.Duration
			psyc  int // tries so far
		}{{0, 1}, {time.Minute, 1}, {11 * time.Minute, 2}} {
			time.Sleep(want.after)
			north.send(chat("ada@north.example/a", "bob@south.example", "1", "hello"))
			south.next()
			if n := w.net.dialled("10.9.9.9:4404"); n != want.psyc {
				t.Errorf("round %d: PSYC has been tried %d times", i, n)
			}
			synctest.Wait() // the message is acknowledged, so that there is nothing to redial for
			south.cut()
			north.await("the end of the link", func() bool { return len(north.downs) == i+1 })
		}
		// Once XMPP fails as well, everything is tried.
		south.stop()
		north.send(chat("ada@north.example/a", "bob@south.example", "1", "hello"))
		if got := north.next(); errorCondition(got) != string(xmpp.RemoteServerTimeout) {
			t.Errorf("got %s", got.Append(nil))
		}
		if n := w.net.dialled("10.9.9.9:4404"); n < 3 {
			t.Errorf("PSYC has been tried %d times", n)
		}
	})
}
