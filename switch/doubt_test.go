package psycswitch_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A peer that has been started anew, or that does not keep sessions when they break, cannot tell what had arrived: messages and presence go
// again, marked, requests bounce, and all are counted.
func TestDoubt(t *testing.T) {
	for name, change := range map[string]func(*yard){
		"PSYC":                      func(*yard) {},
		"XMPP":                      func(y *yard) { y.Protocols = psycswitch.XMPP },
		"XMPP that does not resume": unresumable,
		"XMPP with barriers":        unmanagedXMPP,
	} {
		t.Run(name, func(t *testing.T) { inDoubt(t, change) })
	}
}

// unresumable makes a yard find servers that acknowledge over XMPP, but do not resume sessions, as Prosody 0.12 does.
func unresumable(y *yard) { y.Protocols, y.Dialer = psycswitch.XMPP, unresumed{y.Dialer} }

type unresumed struct{ psycswitch.Dialer }

func (d unresumed) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return unresumedConn{conn}, nil
}

type unresumedConn struct{ net.Conn }

func (c unresumedConn) Write(b []byte) (int, error) {
	return c.Conn.Write(bytes.Replace(b, []byte(" resume='true'"), []byte(" resume='none'"), 1))
}

func inDoubt(t *testing.T, change func(*yard)) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		doubt := make(map[string]bool)
		north := w.add("10.0.0.1", plain("north.example"), func(y *yard) {
			y.Trace.Unacknowledged = func(s *xmpp.Stanza) { doubt[s.ID] = true }
			change(y)
		})
		stuck := make(chan struct{})
		south := w.add("10.0.0.2", plain("south.example"), func(y *yard) {
			y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
				y.take(s)
				if s.ID == "m1" {
					<-stuck
				}
				return nil
			})
			y.pings(pong)
		})
		w.start()
		north.send(chat("ada@north.example", "bob@south.example", "m0", "first"))
		south.next()
		time.Sleep(time.Second) // which is acknowledged
		north.send(chat("ada@north.example", "bob@south.example", "m1", "second"))
		south.next()
		for _, text := range []string{
			"<iq type='get' id='q' from='ada@north.example/x' to='bob@south.example/y'><ping xmlns='urn:xmpp:ping'/></iq>",
			"<presence id='p' from='ada@north.example/x' to='bob@south.example'/>",
			"<iq type='result' id='r' from='ada@north.example/x' to='bob@south.example/y'/>",
		} {
			north.send(stanza(t, text))
		}
		time.Sleep(time.Second)
		// The server behind the name is another one now.
		w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.3" + port}}
		south.cut()
		close(stuck)
		heir := w.add("10.0.0.3", plain("south.example"), nil)
		w.startOne(heir)
		for _, want := range []string{"m1", "p", "r"} {
			s := heir.next()
			d, marked := s.Delay()
			if s.ID != want || marked != (s.Kind != xmpp.IQ) || marked && (!sentAgain(s) || d.From != "north.example") {
				t.Errorf("got %s", s.Append(nil))
			}
		}
		if s := north.next(); s.ID != "q" || errorCondition(s) != string(xmpp.RemoteServerTimeout) {
			t.Errorf("got %s", s.Append(nil))
		}
		synctest.Wait()
		if len(doubt) != 4 || doubt["m0"] {
			t.Errorf("in doubt: %v", doubt)
		}
	})
}

// A message that waits for more than a minute says so.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), nil)
		south := w.add("10.0.0.2", plain("south.example"), nil)
		north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
		sent := time.Now()
		time.Sleep(2 * time.Minute)
		w.start()
		d, late := south.next().Delay()
		if !late || d.Reason != "" || d.From != "north.example" || !d.Stamp.Equal(sent) {
			t.Errorf("delay %+v, %v", d, late)
		}
	})
}
