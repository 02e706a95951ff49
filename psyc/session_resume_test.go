package psyc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Circuits break again and again, at any byte and in any state of the conversation: what comes is what was sent, once and in
// order.
func TestSessionResumed(t *testing.T) {
	const packets, cuts = 5000, 40
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			as, bs := &Sessions{Window: 20_000}, new(Sessions)
			var came []string
			var broken *Circuit
			var pending []*Packet // to be sent before anything else
			next, breaks := 0, 0
			for circuits := 0; next < packets || len(pending) > 0; circuits++ {
				if circuits > 4*cuts {
					t.Fatalf("%d packets have come, and it does not end", len(came))
				}
				a, b, cut := counted(t, counting("a.example", as), counting("b.example", bs))
				limit := packets + 1
				if breaks < cuts {
					limit = len(came) + random.IntN(100)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					for p, err := range b.Packets(t.Context()) {
						if err != nil {
							return
						}
						if len(came) >= limit {
							go cut() // in the midst of handling
							time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
						}
						came = append(came, string(p.Body))
					}
				}()
				fromB := collect(a)
				err := error(nil)
				if broken != nil {
					s, _ := broken.Session()
					var received uint64
					for range 2 { // asking twice changes nothing
						var n uint64
						if n, err = a.Resume(t.Context(), s); err != nil {
							break
						}
						if received != 0 && n != received {
							t.Errorf("%d packets received, and then %d", received, n)
						}
						received = n
					}
					if err == nil {
						pending = append(broken.Unacknowledged(received), pending...)
						broken = nil
					} else if errors.Is(err, ErrSessionUnknown) {
						t.Fatal(err)
					}
				}
				for err == nil && broken == nil && len(pending) > 0 {
					if err = a.Send(t.Context(), pending[0]); err == nil {
						pending = pending[1:]
					}
				}
				for err == nil && next < packets {
					if err = sendNumber(t, a, ada, bea, next); err == nil {
						next++
					}
				}
				if err == nil {
					a.Close()
				}
				cut()
				<-a.Done()
				<-b.Done()
				<-done
				<-fromB
				if s, _ := a.Session(); s.Sent > s.Acknowledged {
					if broken != nil {
						t.Fatalf("%d packets sent before the resumption", s.Sent)
					}
					broken = a
					breaks++
				}
				if broken != nil && next == packets && len(pending) == 0 {
					pending = append(pending, message(ada, bea, "end"))
				}
			}
			for i := range packets {
				if i >= len(came) || came[i] != fmt.Sprint(i) {
					t.Fatalf("seed %d: after %d packets %q", seed, i, came[i:min(len(came), i+3)])
				}
			}
			if breaks < cuts/2 {
				t.Errorf("only %d breaks", breaks)
			}
		})
	}
}

// Only who owns a session is told how far it got, and nobody else can end it.
func TestSessionOwner(t *testing.T) {
	other := strings.Replace(sessionGreeting, "0c", "0d", 1)
	for name, test := range map[string]struct {
		greeting string
		proved   []string
		says     string
		want     string // method of the answer
		alive    bool   // the circuit of the session goes on
	}{
		"the owner":               {sessionGreeting, []string{"a.example", "c.example"}, resuming(idA, "7", "1"), methodSessionResumed, false},
		"the owner, renewed":      {sessionGreeting, []string{"a.example", "c.example"}, resuming(idA, "8", "1"), methodSessionResumed, false},
		"a successor":             {other, []string{"a.example", "c.example"}, resuming(idA, "8", "1"), methodSessionResumed, false},
		"a rival":                 {other, []string{"a.example", "c.example"}, resuming(idA, "7", "1"), errSessionUnknown, true},
		"a predecessor":           {other, []string{"a.example", "c.example"}, resuming(idA, "6", "1"), errLease, true},
		"who proves a part":       {sessionGreeting, []string{"a.example"}, resuming(idA, "7", "1"), errSessionUnknown, true},
		"who proves nothing":      {sessionGreeting, nil, resuming(idA, "7", "1"), errSessionUnknown, true},
		"another name":            {sessionGreeting, []string{"a.example", "c.example"}, resuming(idB, "7", "1"), errSessionUnknown, true},
		"no name":                 {sessionGreeting, []string{"a.example", "c.example"}, resuming("", "7", "1"), errSession, true},
		"itself":                  {sessionGreeting, []string{"a.example", "c.example"}, opening(idB, "7") + resuming(idB, "7", "0"), errSession, true},
		"who heard of more":       {sessionGreeting, []string{"a.example", "c.example"}, resuming(idA, "7", "4"), errSessionUnknown, false},
		"who says no number":      {sessionGreeting, []string{"a.example", "c.example"}, resuming(idA, "7", "x"), errSession, true},
		"the owner, a second way": {sessionGreeting, []string{"a.example", "c.example"}, resuming(idA, "7", "0") + resuming(idA, "7", "1"), methodSessionResumed, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(Sessions)
				old, ow, oout := peerWire(t, s, sessionGreeting, "a.example", "c.example")
				ow.send(opening(idA, "7") + someMessage + someMessage + someMessage)
				ow.read()
				c, w, out := peerWire(t, s, test.greeting, test.proved...)
				w.send(test.says)
				got := w.read()
				if !strings.Contains(got, "_tag_relay\tt\n") || !strings.Contains(got, "\n"+test.want+"\n") {
					t.Errorf("answered %q", got)
				}
				if test.want == methodSessionResumed && strings.Count(got, ":_amount_received\t3\n") != strings.Count(test.says, "_request") {
					t.Errorf("answered %q", got)
				}
				if alive := old.Err() == nil; alive != test.alive {
					t.Errorf("the circuit of the session: %v", old.Err())
				}
				if test.alive {
					ow.send(someMessage)
				}
				old.Close()
				c.Close()
				want := 3
				if test.alive {
					want++
				}
				if r := <-oout; len(r.packets) != want {
					t.Errorf("%d packets came", len(r.packets))
				}
				<-out
			})
		})
	}
}

// A session whose packet is still being worked with is not answered for before that is done.
func TestResumeWaits(t *testing.T) {
	for name, test := range map[string]struct {
		work time.Duration
		want string
	}{"short": {time.Second, "received\t1\n"}, "long": {time.Minute, errSessionUnavailable}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(Sessions)
				conn, ow := newWire(t)
				old := Accept(conn, counting("b.example", s))
				old.AddProof("a.example", Proof{Kind: ProofDialback})
				came := make(chan int, 1)
				go func() {
					n := 0
					for range old.Packets(context.Background()) {
						time.Sleep(test.work)
						n++
					}
					came <- n
				}()
				ow.send(sessionGreeting + opening(idA, "0") + someMessage)
				go io.WriteString(ow, someMessage+someMessage)
				c, w, out := peerWire(t, s, sessionGreeting, "a.example")
				start := time.Now()
				w.send(resuming(idA, "0", "0"))
				time.Sleep(fenceTime)
				if got := w.read(); !strings.Contains(got, test.want) {
					t.Errorf("after %v %q", time.Since(start), got)
				}
				ow.Close()
				old.Close()
				if n := <-came; n < 1 || n > 2 { // the error that ends the loop, perhaps
					t.Errorf("%d packets came", n)
				}
				c.Close()
				<-out
			})
		})
	}
}

// What is remembered of circuits that have ended is bounded, and ends.
func TestSessionsSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sessions{Suspended: 80}
		end := func(id int, names ...string) {
			c, w, out := peerWire(t, s, sessionGreeting, names...)
			w.send(opening(fmt.Sprintf("%032x", id), "0"))
			w.Close()
			<-out
			c.Close()
		}
		end(0)
		if len(s.received) != 0 {
			t.Error("a session is kept that nobody can resume")
		}
		for i := range 2 * maxSuspendedPerName {
			end(1+i, "a.example")
		}
		if len(s.received) != maxSuspendedPerName || len(s.ended) != maxSuspendedPerName {
			t.Errorf("%d sessions of one peer are kept", len(s.received))
		}
		for i := range 100 {
			end(1000+i, fmt.Sprintf("host%d.example", i))
		}
		if len(s.received) != 80 || len(s.ended) != 80 {
			t.Errorf("%d sessions are kept", len(s.received))
		}
		time.Sleep(s.resume())
		if s.find(SessionID{15: 1}) != nil || len(s.received) != 0 || len(s.ended) != 0 {
			t.Errorf("%d sessions are kept for ever", len(s.received))
		}
	})
}

// The peer's answer to a resumption is believed only where it can be true.
func TestResumeAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer string // method and what stands in front of it
		want   error
	}{
		"as many":   {":_amount_received\t5\n" + methodSessionResumed, nil},
		"all":       {":_amount_received\t9\n" + methodSessionResumed, nil},
		"fewer":     {":_amount_received\t4\n" + methodSessionResumed, ErrSessionUnknown},
		"too many":  {":_amount_received\t10\n" + methodSessionResumed, ErrSessionUnknown},
		"no number": {methodSessionResumed, ErrSessionUnknown},
		"unknown":   {errSessionUnknown, ErrSessionUnknown},
		"busy":      {errSessionUnavailable, &Error{Method: errSessionUnavailable}},
		"lease":     {errLease, &Error{Method: errLease}},
		"nonsense":  {"_status_session", &Error{Method: "_status_session"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, out := peerWire(t, &Sessions{Lease: 3}, sessionGreeting, "a.example")
				done := make(chan error, 1)
				go func() {
					n, err := c.Resume(t.Context(), Session{ID: SessionID{15: 1}, Sent: 9, Acknowledged: 5})
					if err == nil && (n < 5 || n > 9) {
						err = fmt.Errorf("%d received", n)
					}
					done <- err
				}()
				_, tag, _ := strings.Cut(w.read(), ":_tag\t")
				tag, asked, _ := strings.Cut(tag, "\n")
				if asked != "104\n:_session 32\t00000000000000000000000000000001\n:_lease\t3\n:_amount_acknowledged\t5\n_request_session_resume\n|\n" {
					t.Errorf("asked %q", asked)
				}
				w.send(":_tag_relay\t" + tag + "\n\n" + test.answer + "\n|\n")
				if err := <-done; !errors.Is(err, test.want) {
					t.Errorf("%v", err)
				}
				c.Close()
				<-out
			})
		})
	}
}

// A session of which nothing has been read is over once its sender has heard so, even if its packets still wait to be read.
func TestResumeForestalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Sessions)
		cfg := counting("b.example", s)
		cfg.Instance = [16]byte{1}
		old, ow := handshaken(t, cfg)
		conn, w := newWire(t)
		c := Accept(conn, cfg)
		c.AddProof("a.example", Proof{Kind: ProofDialback})
		out := collect(c)
		w.send(sessionGreeting)
		w.read()
		w.send(strings.Replace(resuming(idA, "0", "0"), "_request", ":_instance\t01"+strings.Repeat("00", 15)+"\n:_time_ended\t0\n_request", 1))
		if got := w.read(); !strings.Contains(got, ":_amount_received\t0\n_status_session_resumed\n") {
			t.Errorf("answered %q", got)
		}
		late := collect(old)
		ow.send(opening(idA, "0") + someMessage)
		if r := <-late; len(r.packets) != 0 || !errors.Is(r.err, &Error{Method: errSession}) {
			t.Errorf("%d packets came, and %v", len(r.packets), r.err)
		}
		ow.Close()
		old.Close()
		c.Close()
		<-out
	})
}

// Names that no certificate in TLS proves are proved anew by the circuit that resumes, as the receiver asks for them, and a session is bound
// to these names like to any other.
func TestResumeByHostProofs(t *testing.T) {
	for name, test := range map[string]struct {
		lost []string // names without a certificate by then
		want error
	}{
		"all names":  {nil, nil},
		"one is not": {[]string{"a2.example"}, ErrSessionUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := newSigner(t)
				ours := map[string]*tls.Certificate{"a1.example": ca.named("a1.example"), "a2.example": ca.named("a2.example")}
				as, bs := new(Sessions), new(Sessions)
				connect := func(connection string) (a, b *Circuit, cut func()) {
					ac, bc := ca.certified(connection, ours, "a.example"), ca.certified(connection, nil, "b.example")
					ac.Modules, ac.Sessions = []string{ModuleProfile}, as
					bc.Modules, bc.Sessions = []string{ModuleProfile}, bs
					x, y := net.Pipe()
					a, b = Initiate(x, ac), Accept(y, bc)
					shake(t, a, b)
					return a, b, func() { x.Close() }
				}
				a, b, cut := connect("one")
				fromA, fromB := collect(b), collect(a)
				for _, host := range []string{"a1.example", "a2.example"} {
					if err := a.Authorize(t.Context(), host, "b.example"); err != nil {
						t.Fatal(err)
					}
					if err := a.Send(t.Context(), message("psyc://"+host+"/~ada", "psyc://b.example/~bea", host)); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				cut()
				if r := <-fromA; len(r.packets) != 2 {
					t.Errorf("%d packets came", len(r.packets))
				}
				<-fromB
				<-a.Done()
				<-b.Done()
				for _, host := range test.lost {
					delete(ours, host)
				}
				s, _ := a.Session()
				a, b, _ = connect("two")
				fromA, fromB = collect(b), collect(a)
				if n, err := a.Resume(t.Context(), s); !errors.Is(err, test.want) || err == nil && n != 2 {
					t.Errorf("%d received, %v", n, err)
				}
				if s.Acknowledged != 0 {
					t.Errorf("%d acknowledged before", s.Acknowledged)
				}
				for _, host := range []string{"a1.example", "a2.example"} {
					if _, certified := ours[host]; b.Proven(host) != certified {
						t.Errorf("%s: proved: %v", host, b.Proven(host))
					}
				}
				a.Close()
				<-fromA
				<-fromB
			})
		})
	}
}
