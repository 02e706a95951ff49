package psyc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A circuit that is closed in order leaves no doubt on either side, even if the peer is in the midst of sending.
func TestSessionClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := counted(t, counting("a.example", new(Sessions)), counting("b.example", &Sessions{Window: 10_000}))
		fromA, fromB := collect(b), make(chan int, 1)
		go func() {
			n := 0
			for range a.Packets(context.Background()) {
				time.Sleep(100 * time.Microsecond)
				n++
			}
			fromB <- n
		}()
		for i := range 10 {
			if err := sendNumber(t, a, ada, bea, i); err != nil {
				t.Fatal(err)
			}
		}
		sent := make(chan error, 1)
		go func() {
			for i := 0; ; i++ {
				if err := sendNumber(t, b, bea, ada, i); err != nil {
					sent <- err
					return
				}
			}
		}()
		time.Sleep(time.Millisecond)
		start := time.Now()
		a.Close()
		if took := time.Since(start); took > ackTime {
			t.Errorf("closing took %v", took)
		}
		<-sent
		<-b.Done()
		if s, _ := a.Session(); s.Acknowledged != 10 || len((<-fromA).packets) != 10 {
			t.Errorf("session of a: %+v", s)
		}
		s, _ := b.Session()
		if came := <-fromB; !s.Final || s.Acknowledged != uint64(came) || s.Sent == s.Acknowledged {
			t.Errorf("%d packets came; session of b: %+v", came, s)
		}
		rest := b.Unacknowledged(s.Acknowledged)
		if len(rest) != int(s.Sent-s.Acknowledged) || string(rest[0].Body) != fmt.Sprint(s.Acknowledged) {
			t.Errorf("%d of %d packets are left, the first is %s", len(rest), s.Sent-s.Acknowledged, rest[0].Body)
		}
	})
}

// Who closes a circuit says how much was received and receives nothing more, even if the peer's session is still on its way.
func TestSessionClosedBeforeOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Sessions)
		c, w := handshaken(t, counting("b.example", s))
		out := collect(c)
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		if got := w.read(); !strings.HasPrefix(got, "\n:_amount_received\t0\n_status_session_closed\n|\n") || !strings.Contains(got, "_request_circuit_shutdown") {
			t.Errorf("said %q", got)
		}
		w.send(opening(idA, "0") + someMessage + someMessage)
		w.Close()
		if r := <-out; len(r.packets) != 0 {
			t.Errorf("%d packets came behind the last word", len(r.packets))
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// After the peer's request to shut down nothing else that counts is written: it would stand behind what has been held back.
func TestSessionHoldsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := handshaken(t, counting("b.example", new(Sessions)))
		c.out.hold()
		if err := sendNumber(t, c, bea, ada, 1); !errors.Is(err, ErrClosed) {
			t.Errorf("Send: %v", err)
		}
		c.Close()
		if got := w.read(); strings.Contains(got, "_message") {
			t.Errorf("wrote %q", got)
		}
	})
}
