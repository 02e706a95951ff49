package psycswitch_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// A dialClock notes when it is asked to dial.
type dialClock struct {
	psycswitch.Dialer
	mu sync.Mutex
	at []time.Time
}

func (d *dialClock) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	d.at = append(d.at, time.Now())
	d.mu.Unlock()
	return d.Dialer.DialContext(ctx, network, addr)
}

// Routers that have lost the same server at the same moment look for it again and again, at first in haste and then up to once a minute, and
// none of them as the others do.
func TestComeback(t *testing.T) {
	const routers = 20
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		south := w.add("10.0.0.100", plain("south.example"), nil)
		clocks := make([]*dialClock, routers)
		yards := make([]*yard, routers)
		say := func(id string) {
			for i, y := range yards {
				y.send(chat(fmt.Sprintf("ada@north%d.example", i), "bob@south.example", id, "hello"))
			}
		}
		for i := range routers {
			yards[i] = w.add(fmt.Sprintf("10.0.0.%d", i+1), plain(fmt.Sprintf("north%d.example", i)), func(y *yard) {
				clocks[i] = &dialClock{Dialer: y.Dialer}
				y.Dialer, y.Persist = clocks[i], true
			})
		}
		w.start()
		say("1")
		for range routers {
			south.next()
		}
		south.stop()
		synctest.Wait()
		for _, c := range clocks {
			c.at = nil
		}
		say("2")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		haste, patience := 0, 0
		for k := 0; ; k++ {
			gaps := make(map[time.Duration]bool)
			for _, c := range clocks {
				if k+1 >= len(c.at) {
					if haste < 5 || patience < 8 {
						t.Errorf("only %d attempts in the first seconds and %d later", haste, patience)
					}
					return
				}
				gap := c.at[k+1].Sub(c.at[k])
				gaps[gap] = true
				if gap > time.Minute {
					t.Errorf("attempt %d comes after %v", k+2, gap)
				}
			}
			if since := clocks[0].at[k].Sub(clocks[0].at[0]); since < 30*time.Second {
				haste++
			} else {
				patience++
			}
			if len(gaps) < routers/2 {
				t.Errorf("attempt %d comes after %v", k+2, gaps)
			}
		}
	})
}
