package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/examples/internal/broadcast"
	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/internal/tap"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A crowd is the people of a component at one server, who can be many and all online. They are contacts of users at the other one.
type crowd struct {
	f           *federation
	here, there *fronted
	stream      *xmpp.Stream
	got         chan *xmpp.Stanza

	user rig.User
	jid  uniform.JID // of the user, bare
	size int         // how many contacts he has
}

// newCrowd begins to be the component there.
func (f *federation) newCrowd(ctx context.Context, t *testing.T, here, there *fronted) *crowd {
	t.Helper()
	c := &crowd{f: f, here: here, there: there, got: make(chan *xmpp.Stanza, 10_000)}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", there.server.Component)
	if err != nil {
		t.Fatal(err)
	}
	c.stream = xmpp.Initiate(conn, &xmpp.Config{
		Local: broadcast.People + there.server.Domain, Plaintext: true,
		Features: []xmpp.Feature{xmpp.Component(func(string) (string, error) { return there.server.ComponentSecret, nil })},
	})
	if err := c.stream.Negotiate(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s, err := range c.stream.Stanzas(context.Background()) {
			if err != nil {
				return
			}
			c.got <- s.Clone()
		}
	}()
	t.Cleanup(func() { c.stream.Close(); <-ended })
	return c
}

// meet logs in a user with n contacts, in place of the one before.
func (c *crowd) meet(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	if c.user != nil {
		if err := c.user.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	c.f.users++
	name := broadcast.User(c.f.users)
	account := c.here.server.AddUser(t, name)
	var contacts []string
	for i := range n {
		contacts = append(contacts, c.name(i))
	}
	c.here.server.AddSubscribers(t, name, contacts)
	var err error
	if c.user, err = rig.Native(t).Login(ctx, account); err != nil {
		t.Fatal(err)
	}
	c.jid = uniform.MustParseJID(c.user.JID()).Bare()
	c.size = n
	c.say(ctx, t, "<presence>"+broadcast.Presence("", broadcast.Hello)+"</presence>")
	c.take(ctx, t, n, func(s *xmpp.Stanza) bool { return s.From.Bare() == c.jid && s.Text("status") == broadcast.Hello })
	c.quiet()
}

// say has the user say something.
func (c *crowd) say(ctx context.Context, t *testing.T, xml string) {
	t.Helper()
	if err := c.user.Send(ctx, xml); err != nil {
		t.Fatal(err)
	}
}

// take waits for a stanza to each of n people for which want holds, and returns them by name.
func (c *crowd) take(ctx context.Context, t *testing.T, n int, want func(*xmpp.Stanza) bool) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for len(all) < n {
		select {
		case s := <-c.got:
			if !want(s) {
				continue
			}
			name := s.To.Local()
			if _, twice := all[name]; twice {
				t.Errorf("%s gets %s twice", name, s.Append(nil))
			}
			s.To, s.From = uniform.JID{}, uniform.MustParseJID(c.here.server.Domain)
			all[name] = string(s.Append(nil))
		case <-ctx.Done():
			t.Fatalf("%d of %d people have got it", len(all), n)
		}
	}
	return all
}

// shrink and grow make one contact fewer, and one more.
func (c *crowd) shrink(ctx context.Context, t *testing.T) {
	t.Helper()
	c.size--
	c.say(ctx, t, fmt.Sprintf("<presence type='unsubscribed' to='%s'/>", c.name(c.size)))
	c.take(ctx, t, 1, func(s *xmpp.Stanza) bool { return s.Type == "unsubscribed" })
	c.quiet()
}

func (c *crowd) grow(ctx context.Context, t *testing.T) {
	t.Helper()
	who := c.name(c.size)
	c.size++
	if err := c.stream.Send(ctx, &xmpp.Stanza{Kind: xmpp.Presence, Type: "subscribe", From: uniform.MustParseJID(who), To: c.jid}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.user.Expect(ctx, func(s rig.Stanza) bool { return s.Is("presence") && s.Attribute("type") == "subscribe" }); err != nil {
		t.Fatal(err)
	}
	c.say(ctx, t, fmt.Sprintf("<presence type='subscribed' to='%s'/>", who))
	c.take(ctx, t, 1, func(s *xmpp.Stanza) bool { return s.Type == "subscribed" })
	c.quiet()
}

// name returns the address of one of the people.
func (c *crowd) name(i int) string { return broadcast.Contact(i, c.there.server.Domain) }

// bytes returns how many bytes have gone between the gateways.
func (c *crowd) bytes() (n int) {
	for _, s := range c.f.all() {
		n += int(s.world.Bytes(tap.Forward) + s.world.Bytes(tap.Backward))
	}
	return n
}

// quiet waits until nothing goes between the gateways any more, acknowledgements included, and returns how many bytes have.
func (c *crowd) quiet() int {
	for {
		before := c.bytes()
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond) // acknowledgements may take 200
		changed := false
		for _, s := range c.f.all() {
			s.world.Wait(ctx, func() bool {
				changed = c.bytes() != before
				return changed
			})
		}
		cancel()
		if !changed {
			return before
		}
	}
}

// announce changes the user's presence, and returns what each of the people got, and how many bytes went between the gateways.
func (c *crowd) announce(ctx context.Context, t *testing.T, show, status string) (all map[string]string, cost int) {
	t.Helper()
	before := c.bytes()
	c.say(ctx, t, "<presence>"+broadcast.Presence(show, status)+"</presence>")
	all = c.take(ctx, t, c.size, func(s *xmpp.Stanza) bool { return s.Text("status") == status })
	return all, c.quiet() - before
}

// attempts is how often a cost is measured until it is what it should be: other programs run on the machine, and a run that pauses is more
// than one.
const attempts = 5

// One change of presence costs the same for 1 contact at the other server and for 1,000, which is what the simulator says, too, and each gets
// what he gets over XMPP.
func TestRealFanOut(t *testing.T) {
	plainXMPP.Do(t, plainXMPP.start)
	// New circuits: those on which the other direction has been in use, for subscriptions or after 16 casts, have longer acknowledgements. Runs
	// are to have time to stay together on a slow machine.
	crowded := &federation{plaintext: true, psyc: true, delay: 300 * time.Millisecond}
	crowded.start(t)
	for _, measured := range broadcast.Measurements {
		t.Run(measured.From, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			here, there := plainXMPP.from(measured.From)
			over := plainXMPP.newCrowd(ctx, t, here, there)
			over.meet(ctx, t, 10)
			show, status := broadcast.Change(10, 1)
			xmpp, _ := over.announce(ctx, t, show, status)
			show, status = broadcast.Change(10, 2)
			_, dear := over.announce(ctx, t, show, status)
			t.Logf("10 contacts over XMPP: %d bytes", dear)

			here, there = crowded.from(measured.From)
			c := crowded.newCrowd(ctx, t, here, there)
			var costs [len(broadcast.Sizes)]int
			for i, n := range broadcast.Sizes {
				c.meet(ctx, t, n)
				show, status := broadcast.Change(n, 1)
				all, first := c.announce(ctx, t, show, status)
				if n == 10 && !maps.Equal(all, xmpp) {
					t.Errorf("by PSYC\n%v\nand over XMPP\n%v", all, xmpp)
				}
				for k := range attempts {
					show, status = broadcast.Change(n, k+2)
					_, costs[i] = c.announce(ctx, t, show, status)
					if broadcast.Agree(costs[i], measured.Bytes[i]) {
						break
					}
				}
				t.Logf("%d contacts: %d bytes for the first change, %d for the next", n, first, costs[i])
				if !broadcast.Agree(costs[i], measured.Bytes[i]) {
					t.Errorf("%d bytes for %d contacts, measured before and simulated %d", costs[i], n, measured.Bytes[i])
				}
			}
			one, all := costs[0], costs[len(costs)-1]
			for i, cost := range costs {
				if cost-one > 200 || one-cost > 200 {
					t.Errorf("%d bytes for %d contacts, %d for one", cost, broadcast.Sizes[i], one)
				}
			}
			var fewer, more int
			for i := range attempts {
				c.shrink(ctx, t)
				_, fewer = c.announce(ctx, t, "xa", fmt.Sprintf("fewer %d", i))
				c.grow(ctx, t)
				_, more = c.announce(ctx, t, "away", fmt.Sprintf("more %d", i))
				if fewer-all < 200 && more-all < 200 {
					break
				}
			}
			t.Logf("one fewer: %d bytes, one more: %d bytes", fewer, more)
			if fewer-all >= 200 || more-all >= 200 {
				t.Errorf("one fewer costs %d bytes, one more %d, all %d %d", fewer, more, c.size, all)
			}
		})
	}
}

// from returns the server of a domain and the other one.
func (f *federation) from(domain string) (here, there *fronted) {
	if domain == f.prosody.server.Domain {
		return f.prosody, f.ejabberd
	}
	return f.ejabberd, f.prosody
}
