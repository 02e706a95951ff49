package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A plan says what happens to who dials an address.
type plan struct {
	after  time.Duration // negative: never, until the try's time is over
	refuse bool
}

var errRefused = errors.New("connection refused")

// fakeDialer dials by plan and notes when.
type fakeDialer struct {
	plans  map[string]plan
	others plan // for addresses that plans does not hold

	mu      sync.Mutex
	start   time.Time
	dialled []string
	flying  int
	most    int // that were flying at a time
	open    int // connections not closed
}

type fakeConn struct {
	net.Conn
	addr string
	d    *fakeDialer
	once sync.Once
}

func (c *fakeConn) Close() error {
	c.once.Do(func() { c.d.count(&c.d.open, -1) })
	return nil
}

func (d *fakeDialer) count(n *int, by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*n += by
	d.most = max(d.most, d.flying)
}

func (d *fakeDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	d.dialled = append(d.dialled, fmt.Sprintf("%s %v", addr, time.Since(d.start)))
	d.mu.Unlock()
	d.count(&d.flying, 1)
	defer d.count(&d.flying, -1)
	p, ok := d.plans[addr]
	if !ok {
		p = d.others
	}
	var connected <-chan time.Time
	if p.after >= 0 {
		connected = time.After(p.after)
	}
	select {
	case <-connected:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.refuse {
		return nil, errRefused
	}
	d.count(&d.open, 1)
	return &fakeConn{addr: addr, d: d}, nil
}

func hintsTo(hints ...string) iter.Seq2[Hint, error] {
	return func(yield func(Hint, error) bool) {
		for _, s := range hints {
			p, addr, _ := strings.Cut(s, " ")
			h := Hint{Protocol: map[string]Protocol{"PSYC": PSYC, "XMPP": XMPP}[p], Addr: addr}
			if !yield(h, nil) {
				return
			}
		}
	}
}

func TestConnector(t *testing.T) {
	const never = -1
	slow := plan{after: time.Second}
	dead, refused := plan{after: never}, plan{refuse: true}
	tests := []struct {
		name    string
		hints   []string
		plans   map[string]plan
		want    string // the address, "" for failure
		took    time.Duration
		dialled []string
	}{
		{name: "first at once", hints: []string{"PSYC a", "PSYC b", "XMPP c"}, want: "a", dialled: []string{"a 0s"}},
		{name: "no hints"},
		{
			name: "refused: the next at once", hints: []string{"XMPP a", "XMPP b"}, plans: map[string]plan{"a": refused},
			want: "b", dialled: []string{"a 0s", "b 0s"},
		},
		{
			name: "slow: the next after a quarter of a second", hints: []string{"XMPP a", "XMPP b"}, plans: map[string]plan{"a": slow},
			want: "b", took: 250 * time.Millisecond, dialled: []string{"a 0s", "b 250ms"},
		},
		{
			name: "the slow one may still win", hints: []string{"XMPP a", "XMPP b"}, plans: map[string]plan{"a": slow, "b": dead},
			want: "a", took: time.Second, dialled: []string{"a 0s", "b 250ms"},
		},
		{
			name: "XMPP waits until PSYC has failed", hints: []string{"PSYC a", "PSYC b", "XMPP c"}, plans: map[string]plan{"a": dead, "b": {after: 4 * time.Second, refuse: true}},
			want: "c", took: 10 * time.Second, dialled: []string{"a 0s", "b 250ms", "c 10s"},
		},
		{
			name: "slow PSYC wins over quick XMPP", hints: []string{"PSYC a", "XMPP c"}, plans: map[string]plan{"a": {after: 9 * time.Second}},
			want: "a", took: 9 * time.Second, dialled: []string{"a 0s"},
		},
		{
			name: "four at a time", hints: []string{"XMPP a", "XMPP b", "XMPP c", "XMPP d", "XMPP e", "XMPP f"},
			plans: map[string]plan{"a": dead, "b": dead, "c": dead, "d": dead, "e": dead},
			want:  "f", took: 10250 * time.Millisecond,
			dialled: []string{"a 0s", "b 250ms", "c 500ms", "d 750ms", "e 10s", "f 10.25s"},
		},
		{
			name: "nobody there", hints: []string{"PSYC a", "XMPP b"}, plans: map[string]plan{"a": dead, "b": refused},
			took: 10 * time.Second, dialled: []string{"a 0s", "b 10s"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &fakeDialer{plans: tt.plans, start: time.Now()}
				c := &Connector{Dialer: d}
				conn, err := c.Connect(t.Context(), hintsTo(tt.hints...))
				if took := time.Since(d.start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if !slices.Equal(d.dialled, tt.dialled) {
					t.Errorf("dialled %q, want %q", d.dialled, tt.dialled)
				}
				switch {
				case tt.want == "" && err == nil:
					t.Errorf("connected to %v", conn.Hint)
				case tt.want == "" && len(tt.hints) == 0:
					if !errors.Is(err, ErrNoHint) {
						t.Error(err)
					}
				case tt.want == "":
					var de *DialError
					if !errors.As(err, &de) || !errors.Is(err, errRefused) || !errors.Is(err, xmpp.Condition("remote-server-timeout")) {
						t.Error(err)
					}
				case err != nil || conn.Hint.Addr != tt.want || conn.Conn.(*fakeConn).addr != tt.want:
					t.Errorf("connected to %v, %v, want %s", conn, err, tt.want)
				default:
					conn.Close()
				}
				if d.open != 0 || d.flying != 0 {
					t.Errorf("%d connections open, %d tries flying", d.open, d.flying)
				}
			})
		})
	}
}

// Who cannot use a connection gets the next, PSYC before XMPP; nothing is tried meanwhile.
func TestConnectorGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDialer{plans: map[string]plan{"b": {refuse: true}}, start: time.Now()}
		c := &Connector{Dialer: d}
		var got []string
		for conn, err := range c.Connections(t.Context(), hintsTo("PSYC a", "PSYC b", "XMPP c", "XMPP d")) {
			if err != nil {
				got = append(got, err.Error())
				continue
			}
			got = append(got, conn.Hint.String())
			time.Sleep(3 * time.Second) // a handshake that fails
			conn.Close()
			if conn.Hint.Addr == "c" {
				break
			}
		}
		if want := []string{"PSYC a", "psycswitch: dial PSYC b: connection refused", "XMPP c"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if want := []string{"a 0s", "b 3s", "c 3s"}; !slices.Equal(d.dialled, want) {
			t.Errorf("dialled %q, want %q", d.dialled, want)
		}
		if d.open != 0 {
			t.Errorf("%d connections open", d.open)
		}
	})
}

// Tries that come to an end while the caller is busy neither hang nor leak.
func TestConnectorClosesWhatNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plans := map[string]plan{}
		var hints []string
		for i := range 4 {
			addr := string(rune('a' + i))
			hints = append(hints, "XMPP "+addr)
			plans[addr] = plan{after: 2 * time.Second}
		}
		d := &fakeDialer{plans: plans, start: time.Now()}
		conn, err := (&Connector{Dialer: d}).Connect(t.Context(), func(yield func(Hint, error) bool) {
			hintsTo(hints...)(yield)
		})
		if err != nil {
			t.Fatal(err)
		}
		if d.most != 4 || d.open != 1 {
			t.Errorf("%d tries at a time, %d connections open", d.most, d.open)
		}
		conn.Close()

		for conn, err := range (&Connector{Dialer: d}).Connections(t.Context(), hintsTo(hints...)) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // the others connect meanwhile
			conn.Close()
			break
		}
		if d.open != 0 {
			t.Errorf("%d connections open", d.open)
		}
	})
}

func TestConnectorContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDialer{plans: map[string]plan{"a": {after: -1}}, start: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := (&Connector{Dialer: d}).Connect(ctx, hintsTo("PSYC a", "XMPP b"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(d.start) != time.Second {
			t.Errorf("after %v: %v", time.Since(d.start), err)
		}
		if len(d.dialled) != 1 || d.flying != 0 {
			t.Errorf("dialled %q, %d flying", d.dialled, d.flying)
		}
	})
}

// A look-up that hangs holds up no try, and its errors are passed on.
func TestConnectorSlowHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDialer{plans: map[string]plan{"a": {after: 3 * time.Second}}, start: time.Now()}
		var errs int
		for conn, err := range (&Connector{Dialer: d}).Connections(t.Context(), func(yield func(Hint, error) bool) {
			if !yield(Hint{}, ErrNoAnswer) || !yield(Hint{Protocol: XMPP, Addr: "a"}, nil) {
				return
			}
			time.Sleep(time.Hour)
			yield(Hint{Protocol: XMPP, Addr: "b"}, nil)
		}) {
			if err != nil {
				errs++
				continue
			}
			if took := time.Since(d.start); conn.Hint.Addr == "a" && took != 3*time.Second {
				t.Errorf("took %v", took)
			}
			conn.Close()
		}
		if errs != 1 || !slices.Equal(d.dialled, []string{"a 0s", "b 1h0m0s"}) {
			t.Errorf("%d errors, dialled %q", errs, d.dialled)
		}
	})
}

// Fifty SRV targets at which nobody answers take a bounded time, and then XMPP gets its turn.
func TestFiftyDeadTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := dnstest.New("_xmpp-server._tcp.d.example. 300 IN SRV 0 0 5269 192.0.2.200.")
		d := &fakeDialer{plans: map[string]plan{}, start: time.Now()}
		for i := range 50 {
			srv.Add(fmt.Sprintf("_psyc._tcp.d.example. 300 IN SRV 0 %d 4404 192.0.2.%d.", i, i))
			d.plans[fmt.Sprintf("192.0.2.%d:4404", i)] = plan{after: -1}
		}
		conn, err := (&Connector{Dialer: d}).Connect(t.Context(), newDNS(srv).Hints(t.Context(), "d.example"))
		if err != nil || conn.Hint.Addr != "192.0.2.200:5269" {
			t.Fatal(conn, err)
		}
		conn.Close()
		if took := time.Since(d.start); took > time.Minute {
			t.Errorf("took %v", took)
		}
		if len(d.dialled) != defaultMaxTargets+1 {
			t.Errorf("%d tries", len(d.dialled))
		}
	})
}

func TestConnectorMaxTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDialer{others: plan{refuse: true}, start: time.Now()}
		endless := func(yield func(Hint, error) bool) {
			for i := 0; yield(Hint{Protocol: XMPP, Addr: fmt.Sprint(i)}, nil); i++ {
			}
		}
		if _, err := (&Connector{Dialer: d}).Connect(t.Context(), endless); !errors.Is(err, errRefused) || len(d.dialled) != defaultMaxTries {
			t.Errorf("%d tries, %v", len(d.dialled), err)
		}
	})
}
