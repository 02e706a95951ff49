package psyc

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What the loop withholds does not count, nor what comes behind it, whether the loop got that or the circuit refused it.
func TestWithhold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := strings.Replace(someMessage, "b.example", "c.example", 1)
		conn, w := newWire(t)
		c := Accept(conn, counting("b.example", new(Sessions)))
		c.AddProof("a.example", Proof{Kind: ProofDialback})
		withhold := []int{0, 1, 2, 3, 1, 0, 2, 0}
		done := make(chan struct{})
		go func() {
			defer close(done)
			i := 0
			for range c.Packets(t.Context()) {
				c.Withhold(withhold[i])
				i++
			}
			if i != len(withhold) {
				t.Errorf("%d packets", i)
			}
		}()
		w.send(sessionGreeting + opening(idA, "0"))
		w.read()
		for i, step := range []struct {
			sent  string
			count int
		}{
			{someMessage, 1},
			{someMessage, 1},
			{refused, 1},
			{someMessage, 1},
			{someMessage, 1},
			{refused + refused, 1},
			{someMessage, 7}, // the last one is all that is withheld
			{someMessage, 9},
			{someMessage, 9}, // more than there can be
			{refused, 9},
			{someMessage, 12},
			{refused, 13},
		} {
			w.send(step.sent + "\n_request_session_acknowledgement\n|\n")
			time.Sleep(time.Second)
			if got := w.read(); !strings.Contains(got, fmt.Sprintf(":_amount_received\t%d\n_status_session\n", step.count)) {
				t.Errorf("step %d: not %d: %q", i, step.count, got)
			}
		}
		w.Close()
		<-done
		c.Close()
	})
}
