package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/internal/tap"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// people is the subdomain of a server whose people are a component, which can be many and all online.
const people = "people."

// A crowd is the people of a component at one server, who are contacts of users at the other one.
type crowd struct {
	f      *federation
	here   *fronted
	domain string // of the people
	stream *xmpp.Stream
	got    chan *xmpp.Stanza

	user rig.User
	jid  uniform.JID // of the user, bare
	size int         // how many contacts he has
}

// newCrowd begins to be the component there.
func (f *federation) newCrowd(ctx context.Context, t *testing.T, here, there *fronted) *crowd {
	t.Helper()
	c := &crowd{f: f, here: here, domain: people + there.server.Domain, got: make(chan *xmpp.Stanza, 10_000)}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", there.server.Component)
	if err != nil {
		t.Fatal(err)
	}
	c.stream = xmpp.Initiate(conn, &xmpp.Config{
		Local: c.domain, Plaintext: true,
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
	name := fmt.Sprintf("ann%d", c.f.users)
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
	c.say(ctx, t, "<presence><status>hello</status></presence>")
	c.take(ctx, t, n, func(s *xmpp.Stanza) bool { return s.From.Bare() == c.jid && s.Text("status") == "hello" })
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
func (c *crowd) name(i int) string { return fmt.Sprintf("c%d@%s", i, c.domain) }

// bytes returns how many bytes have gone between the gateways.
func (c *crowd) bytes() (n int64) {
	for _, s := range c.f.all() {
		n += s.world.Bytes(tap.Forward) + s.world.Bytes(tap.Backward)
	}
	return n
}

// quiet waits until nothing goes between the gateways any more, acknowledgements included, and returns how many bytes have.
func (c *crowd) quiet() int64 {
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
func (c *crowd) announce(ctx context.Context, t *testing.T, show, status string) (all map[string]string, cost int64) {
	t.Helper()
	before := c.bytes()
	c.say(ctx, t, fmt.Sprintf("<presence><show>%s</show><status>%s</status></presence>", show, status))
	all = c.take(ctx, t, c.size, func(s *xmpp.Stanza) bool { return s.Text("status") == status })
	return all, c.quiet() - before
}

// One change of presence costs the same for 1 contact at the other server and for 1,000, and each gets what he gets over XMPP.
func TestRealFanOut(t *testing.T) {
	for _, f := range []*federation{crowded, plainXMPP} {
		f.Do(t, f.start)
	}
	for name, sides := range map[string]func(f *federation) (here, there *fronted){
		"Prosody to ejabberd": func(f *federation) (*fronted, *fronted) { return f.prosody, f.ejabberd },
		"ejabberd to Prosody": func(f *federation) (*fronted, *fronted) { return f.ejabberd, f.prosody },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			here, there := sides(plainXMPP)
			over := plainXMPP.newCrowd(ctx, t, here, there)
			over.meet(ctx, t, 10)
			xmpp, _ := over.announce(ctx, t, "away", "brb 10 1")
			_, dear := over.announce(ctx, t, "dnd", "brb 10 2")

			here, there = sides(crowded)
			c := crowded.newCrowd(ctx, t, here, there)
			costs := make(map[int]int64)
			for _, n := range []int{1, 10, 100, 1000} {
				c.meet(ctx, t, n)
				all, first := c.announce(ctx, t, "away", fmt.Sprintf("brb %d 1", n))
				if n == 10 && !maps.Equal(all, xmpp) {
					t.Errorf("by PSYC\n%v\nand over XMPP\n%v", all, xmpp)
				}
				for i := range 5 { // other programs run on the machine, and a run that pauses is more than one
					_, costs[n] = c.announce(ctx, t, []string{"dnd", "away"}[i%2], fmt.Sprintf("brb %d %d", n, i+2))
					if costs[n] < costs[1]+200 {
						break
					}
				}
				t.Logf("%d contacts: %d bytes for the first change, %d for the next", n, first, costs[n])
			}
			t.Logf("10 contacts over XMPP: %d bytes", dear)
			for n, cost := range costs {
				if cost-costs[1] > 200 || costs[1]-cost > 200 {
					t.Errorf("%d bytes for %d contacts, %d for one", cost, n, costs[1])
				}
			}
			var fewer, more int64
			for i := range 5 {
				c.shrink(ctx, t)
				_, fewer = c.announce(ctx, t, "xa", fmt.Sprintf("fewer %d", i))
				c.grow(ctx, t)
				_, more = c.announce(ctx, t, "away", fmt.Sprintf("more %d", i))
				if fewer-costs[1000] < 200 && more-costs[1000] < 200 {
					break
				}
			}
			t.Logf("one fewer: %d bytes, one more: %d bytes", fewer, more)
			if fewer-costs[1000] >= 200 || more-costs[1000] >= 200 {
				t.Errorf("one fewer costs %d bytes, one more %d, all 1000 %d", fewer, more, costs[1000])
			}
		})
	}
}
