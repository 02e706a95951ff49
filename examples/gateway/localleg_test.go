package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/examples/internal/broadcast"
	"github.com/switchyard-im/switchyard/internal/rig"
)

// The stream between a gateway and its server breaks with messages in flight. Neither server acknowledges here, but both answer pings: each
// message comes, in order, and what comes again says so.
func TestLocalLegBreaks(t *testing.T) {
	f := switching
	f.Do(t, f.start)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, way := range []localLeg{{f.prosody, f.ejabberd}, {f.ejabberd, f.prosody}} {
		t.Run("to "+way.to.server.Name, func(t *testing.T) {
			f.users++
			sender, recipient := way.from.user(ctx, t, broadcast.User(f.users)), way.to.user(ctx, t, broadcast.User(f.users))
			next, doubles := 0, 0
			say := func(n int) {
				t.Helper()
				for range n {
					next++
					if err := sender.Send(ctx, fmt.Sprintf("<message type='chat' id='%d' to='%s'><body>hello</body></message>", next, recipient.JID())); err != nil {
						t.Fatal(err)
					}
				}
			}
			heard := 0
			hear := func() {
				t.Helper()
				for heard < next {
					s, err := recipient.Expect(ctx, func(s rig.Stanza) bool { return s.Name.Local == "message" })
					if err != nil {
						t.Fatalf("%d of %d messages have come: %v", heard, next, err)
					}
					n, _ := strconv.Atoi(s.Attribute("id"))
					switch again := strings.Contains(s.XML, "Sent again: it may have arrived before."); {
					case n == heard+1:
						heard = n
					case again && n <= heard:
						doubles++
					default:
						t.Errorf("after %d came %s", heard, s.XML)
					}
				}
			}
			say(1)
			hear()
			for range 2 { // as often as anything goes again
				before := way.sent()
				way.to.s2s.Hold()
				say(20)
				for tick := time.NewTicker(time.Millisecond); way.sent() < before+20; {
					select {
					case <-tick.C:
					case <-ctx.Done():
						t.Fatal("the gateway does not send")
					}
				}
				way.to.s2s.Cut()
				way.to.s2s.Release()
				hear()
			}
			t.Logf("%d messages, %d of them twice", next, doubles)
		})
	}
}

// A localLeg is the last part of the way between two servers: from the gateway of to.
type localLeg struct{ from, to *fronted }

// sent returns how many stanzas the gateway has sent by the stream that it has now.
func (l localLeg) sent() (n int64) {
	for link := range l.to.gateway.local.Links() {
		if link.Dialled && link.Local == l.from.server.Domain && link.Remote == l.to.server.Domain {
			n += int64(link.StanzasOut)
		}
	}
	return n
}

// user logs in a new user who is available.
func (s *fronted) user(ctx context.Context, t *testing.T, name string) rig.User {
	t.Helper()
	u, err := rig.Native(t).Login(ctx, s.server.AddUser(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Send(ctx, "<presence/>"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(context.Background()) })
	return u
}
