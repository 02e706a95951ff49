package psyc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// counting returns a configuration of a host whose circuits count.
func counting(host string, s *Sessions) *Config {
	cfg := config(host)
	cfg.Modules = []string{ModuleProfile}
	cfg.Sessions = s
	return cfg
}

// counted returns two circuits that are connected, have greeted, count, and believe each other.
func counted(t *testing.T, ac, bc *Config) (a, b *Circuit, cut func()) {
	t.Helper()
	x, y := net.Pipe()
	a, b = Initiate(x, ac), Accept(y, bc)
	a.AddProof("b.example", Proof{Kind: ProofDialled})
	b.AddProof("a.example", Proof{Kind: ProofDialback})
	shake(t, a, b)
	for _, c := range []*Circuit{a, b} {
		if _, ok := c.Session(); !ok {
			t.Fatal("a circuit does not count")
		}
	}
	return a, b, func() {
		x.Close()
		y.Close()
	}
}

func sendNumber(t *testing.T, c *Circuit, from, to string, n int) error {
	return c.Send(t.Context(), message(from, to, fmt.Sprint(n)))
}

// What has been handled is acknowledged in batches, and what is not between entities does not count.
func TestSessionAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []uint64
		ac := counting("a.example", new(Sessions))
		ac.Acknowledged = func(n uint64) { told = append(told, n) }
		a, b, _ := counted(t, ac, counting("b.example", new(Sessions)))
		fromA, fromB := collect(b), collect(a)
		if err := a.Authorize(t.Context(), "a.example", "b.example"); err != nil {
			t.Fatal(err)
		}
		const packets = 1000
		for i := range packets {
			if err := sendNumber(t, a, ada, bea, i); err != nil {
				t.Fatal(err)
			}
		}
		n, err := a.SendNumbered(t.Context(), message(ada, bea, "numbered"))
		if n != packets+1 || err != nil {
			t.Errorf("number %d, %v", n, err)
		}
		if n, err := a.SendNumbered(t.Context(), &Packet{Method: "_notice_x"}); n != 0 || err != nil {
			t.Errorf("a circuit packet has number %d, %v", n, err)
		}
		time.Sleep(ackTime)
		synctest.Wait()
		if s, _ := a.Session(); s.Sent != packets+1 || s.Acknowledged != s.Sent {
			t.Errorf("session %+v", s)
		}
		if len(told) == 0 || len(told) > packets/ackPackets+3 || told[len(told)-1] != packets+1 {
			t.Errorf("%d acknowledgements: %d", len(told), told)
		}
		if s, _ := b.Session(); s.Sent != 0 {
			t.Errorf("the other side has sent %d", s.Sent)
		}
		a.Close()
		if r := <-fromA; len(r.packets) != packets+1 {
			t.Errorf("%d packets came", len(r.packets))
		}
		<-fromB
	})
}

// A peer that acknowledges nothing makes Send wait, holds no more memory than the window, and loses the circuit in the end.
func TestSessionWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := counting("a.example", &Sessions{Window: 10_000})
		conn, w := newWire(t)
		c := Initiate(conn, cfg)
		out := collect(c)
		w.send(sessionGreeting)
		if _, ok := c.Session(); !ok {
			t.Fatal("does not count")
		}
		w.read()
		large := message(ada, bea, strings.Repeat("x", 100_000)) // ten times the window
		if err := c.Send(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		sending := make(chan error, 1)
		go func() { sending <- c.Send(context.Background(), message(ada, bea, "waits")) }()
		if got := w.read(); !strings.HasSuffix(got, "\n_request_session_acknowledgement\n|\n") || strings.Contains(got, "waits") {
			t.Errorf("the last of %d bytes: %q", len(got), got[max(0, len(got)-200):])
		}
		if held := cap(c.out.sent.kept); held > 300_000 {
			t.Errorf("%d bytes are kept", held)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Send(short, message(ada, bea, "")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		w.send("\n:_amount_received\t1\n_status_session\n|\n")
		if err := <-sending; err != nil {
			t.Error(err)
		}
		start := time.Now()
		if r := <-out; !errors.Is(r.err, ErrUnacknowledged) || time.Since(start) > 2*time.Minute {
			t.Errorf("after %v: %v", time.Since(start), r.err)
		}
		if rest := c.Unacknowledged(1); len(rest) != 1 || string(rest[0].Body) != "waits" {
			t.Errorf("%d packets are left", len(rest))
		}
		c.Close()
	})
}

const (
	sessionGreeting = "|\n\n:_uniform_source\tpsyc://a.example/\n:_instance\t0c\n:_understand_modules\t_switchyard;_switchyard_session\n_notice_circuit_established\n|\n"
	idA             = "000102030405060708090a0b0c0d0e0f"
	idB             = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
	someMessage     = ":_source\t" + ada + "\n:_target\t" + bea + "\n\n_message_private\nhello\n|\n"
)

func opening(id, lease string) string {
	return "\n:_session\t" + id + "\n:_lease\t" + lease + "\n_notice_session_open\n|\n"
}

func resuming(id, lease, acked string) string {
	return ":_tag\tt\n\n:_session\t" + id + "\n:_lease\t" + lease + "\n:_amount_acknowledged\t" + acked + "\n_request_session_resume\n|\n"
}

// peerWire is a circuit of b.example with a peer whose words are those of the test.
func peerWire(t *testing.T, s *Sessions, greeting string, proved ...string) (*Circuit, *wire, <-chan received) {
	t.Helper()
	conn, w := newWire(t)
	c := Accept(conn, counting("b.example", s))
	for _, name := range proved {
		c.AddProof(name, Proof{Kind: ProofDialback})
	}
	out := collect(c)
	w.send(greeting)
	w.read()
	return c, w, out
}

// handshaken returns an accepted circuit that has greeted a peer of the module, and that nobody reads yet.
func handshaken(t *testing.T, cfg *Config) (*Circuit, *wire) {
	t.Helper()
	conn, w := newWire(t)
	c := Accept(conn, cfg)
	c.AddProof("a.example", Proof{Kind: ProofDialback})
	shaken := make(chan error, 1)
	go func() { shaken <- c.Handshake(context.Background()) }()
	w.send(sessionGreeting)
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	w.read()
	return c, w
}

// What a peer says that cannot be ends the circuit.
func TestSessionNonsense(t *testing.T) {
	for name, test := range map[string]struct {
		sent int // by us, before
		says string
		want string // method
	}{
		"acknowledges what was never sent":   {2, "\n:_amount_received\t3\n_status_session\n|\n", errSession},
		"acknowledges without a session":     {0, "\n:_amount_received\t1\n_status_session\n|\n", errSession},
		"acknowledges less than before":      {2, "\n:_amount_received\t2\n_status_session\n|\n\n:_amount_received\t1\n_status_session\n|\n", errSession},
		"acknowledges more after the last":   {2, "\n:_amount_received\t1\n_status_session_closed\n|\n\n:_amount_received\t2\n_status_session\n|\n", errSession},
		"acknowledges by no number":          {2, "\n:_amount_received\t-1\n_status_session\n|\n", errSession},
		"acknowledges beyond all numbers":    {2, "\n:_amount_received\t9223372036854775808\n_status_session\n|\n", errSession},
		"acknowledges nothing":               {2, "\n_status_session\n|\n", errSession},
		"opens twice":                        {0, opening(idA, "0") + opening(idB, "0"), errSession},
		"opens what is open elsewhere":       {0, opening(idB, "0"), errSession},
		"opens without a name":               {0, "\n:_lease\t0\n_notice_session_open\n|\n", errSession},
		"opens a long name":                  {0, opening(idA+"00", "0"), errSession},
		"opens with a name in capitals":      {0, opening(strings.ToUpper(idA), "0"), errSession},
		"opens without a lease":              {0, "\n:_session\t" + idA + "\n_notice_session_open\n|\n", errSession},
		"opens with the lease of a previous": {0, opening(idA, "6"), errLease},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(Sessions)
				other, ow, oout := peerWire(t, s, sessionGreeting, "a.example")
				ow.send(opening(idB, "7"))
				if strings.HasPrefix(name, "opens what") {
					test.says = opening(idB, "7")
				}
				if test.want == errSession {
					test.says = strings.ReplaceAll(test.says, "_lease\t0", "_lease\t7")
				}
				c, w, out := peerWire(t, s, sessionGreeting, "a.example")
				for i := range test.sent {
					if err := sendNumber(t, c, bea, ada, i); err != nil {
						t.Fatal(err)
					}
				}
				w.read()
				w.send(test.says)
				if got := w.read(); !strings.Contains(got, "\n"+test.want+"\n") {
					t.Errorf("answered %q", got)
				}
				if r := <-out; !errors.Is(r.err, &Error{Method: test.want}) {
					t.Errorf("ended with %v", r.err)
				}
				<-c.Done()
				if !w.closed() {
					t.Error("the connection is open")
				}
				if err := other.Err(); err != nil {
					t.Errorf("the other circuit has ended: %v", err)
				}
				other.Close()
				<-oout
				c.Close()
			})
		})
	}
}

// A peer that does not know the module is not counted, and a session needs no question where there is no doubt.
func TestSessionAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := config("a.example")
		plain.Modules = []string{ModuleProfile}
		a, b := pipe(plain, counting("b.example", new(Sessions)))
		b.AddProof("a.example", Proof{Kind: ProofDialback})
		shake(t, a, b)
		fromA, fromB := collect(b), collect(a)
		if _, ok := b.Session(); ok {
			t.Error("counts")
		}
		if n, err := b.SendNumbered(t.Context(), &Packet{Method: "_notice_x"}); n != 0 || err != nil {
			t.Errorf("number %d, %v", n, err)
		}
		if _, err := b.Resume(t.Context(), Session{Sent: 2, Acknowledged: 1}); !errors.Is(err, ErrSessionUnknown) {
			t.Error(err)
		}
		for _, s := range []Session{{Sent: 3, Acknowledged: 3}, {Sent: 9, Acknowledged: 3, Final: true}} {
			if n, err := b.Resume(t.Context(), s); n != 3 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		a.Close()
		<-fromA
		<-fromB
		if rest := b.Unacknowledged(0); rest != nil {
			t.Errorf("%d packets are left", len(rest))
		}
	})
}

// A packet of a session does not lean on those before it.
func TestSessionRoutingState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, cut := counted(t, counting("a.example", new(Sessions)), counting("b.example", new(Sessions)))
		for _, v := range []Var{{Assign, "_source", Value(ada)}, {Diminish, "_target", nil}, {Set, "_tag", Value{}}} {
			p := message(ada, bea, "hello")
			p.Routing = append(p.Routing, v)
			if err := a.Send(t.Context(), p); !errors.Is(err, ErrRoutingState) {
				t.Errorf("%c%s: %v", v.Op, v.Name, err)
			}
		}
		cut()
		a.Close()
		b.Close()
	})
}

// Packets that Request has read ahead are counted when they are handled, and with them what came behind.
func TestSessionHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := handshaken(t, counting("b.example", new(Sessions)))
		asked := make(chan error, 1)
		go func() {
			_, err := c.Request(context.Background(), message(bea, ada, "?"))
			asked <- err
		}()
		_, tag, _ := strings.Cut(w.read(), ":_tag\t")
		tag, _, _ = strings.Cut(tag, "\n")
		w.send(opening(idA, "0") + someMessage + someMessage +
			strings.Replace(someMessage, "\n\n_", "\n:_tag_relay\t"+tag+"\n\n_", 1))
		if err := <-asked; err != nil {
			t.Fatal(err)
		}
		if n := c.receiving.count; n != 0 {
			t.Errorf("%d packets are handled that nobody has seen", n)
		}
		for range c.Packets(t.Context()) {
			break
		}
		if n := c.receiving.count; n != 1 {
			t.Errorf("%d packets are handled, and not one", n)
		}
		for range c.Packets(t.Context()) {
			break
		}
		if n := c.receiving.count; n != 3 {
			t.Errorf("%d packets are handled, and not three", n)
		}
		w.Close()
		c.Close()
	})
}

// Whatever stands in the packets of the module is understood as what it is written as, or refused.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		opening(idA, "0"), resuming(idB, "18446744073709551615", "9223372036854775807"), resuming(idA, "01", "1"), opening("x", ""),
		"\n:_amount_received\t12\n_status_session\n|\n", "\n=_session\t" + idA + "\n:_lease\t+1\n_request_session_resume\n|\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var p Packet
		if _, err := p.Parse(wire, PSYC10); err != nil {
			return
		}
		s, err := readSession(&p)
		if err == nil {
			again := openPacket(s)
			if p.Method == methodSessionResume {
				again = resumePacket(s, s.Lease)
			}
			for _, v := range again.Entity {
				if got := p.Entity.Get(v.Name); string(got) != string(v.Value) {
					t.Errorf("%s: %q read as %q", v.Name, got, v.Value)
				}
			}
		} else if !errors.Is(err, &Error{Method: errSession}) {
			t.Errorf("%v", err)
		}
		if n, err := readCount(&p, "_amount_received"); err == nil && formatCount(n) != p.Entity.Get("_amount_received").String() {
			t.Errorf("%q read as %d", p.Entity.Get("_amount_received"), n)
		}
		synctest.Test(t, func(t *testing.T) {
			s := new(Sessions)
			conn, w := newWire(t)
			c := Accept(conn, counting("b.example", s))
			c.AddProof("a.example", Proof{Kind: ProofDialback})
			go func() {
				io.WriteString(w, sessionGreeting)
				w.Write(wire)
				io.WriteString(w, someMessage)
				w.Close()
			}()
			for range c.Packets(t.Context()) {
			}
			c.Close()
			if len(s.received) != len(s.ended) {
				t.Errorf("%d sessions, %d of them suspended", len(s.received), len(s.ended))
			}
		})
	})
}
