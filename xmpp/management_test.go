package xmpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const smFeatures = `<stream:features><sm xmlns='urn:xmpp:sm:3'/><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>`

// managedInitiator returns an initiating stream with stream management, and its peer, which has got <enable/>.
func managedInitiator(t *testing.T, cfg ManagementConfig, old *Stream) (*Stream, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := initiatePlain()
	c.Features = append(c.Features, Management(cfg))
	s := Initiate(theirs, c)
	s.Resume(old)
	p := newPeer(ours)
	done := make(chan error, 1)
	go func() { done <- s.Negotiate(t.Context()) }()
	p.send(hill + smFeatures)
	p.want("</db:result>")
	p.send(authorized)
	if old != nil {
		return s, p
	}
	if err := p.want("<enable xmlns='urn:xmpp:sm:3' resume='true'/>"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return s, p
}

// managedAcceptor returns an accepting stream on which dale.example has enabled stream management.
func managedAcceptor(t *testing.T, m Feature) (*Stream, *peer, string) {
	t.Helper()
	s, p := accepted(t, func(c *Config) { c.Features = append(c.Features, m) })
	rangeOver(s)
	p.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	if err := p.want("<enabled xmlns='urn:xmpp:sm:3' id='"); err != nil {
		t.Fatal(err)
	}
	if err := p.want("' resume='true' max='300'/>"); err != nil {
		t.Fatal(err)
	}
	return s, p, s.managed().id
}

// rangeOver reads s until it ends.
func rangeOver(s *Stream) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for _, err := range s.Stanzas(context.Background()) {
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	return ended
}

// sendBodies sends a message for each body.
func sendBodies(t *testing.T, s *Stream, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", body)); err != nil {
			t.Fatal(err)
		}
	}
}

func bodies(stanzas []*Stanza) string {
	var texts []string
	for _, st := range stanzas {
		texts = append(texts, st.Text("body"))
	}
	return strings.Join(texts, " ")
}

// What goes over the wire on the initiating side: nothing is asked before <enabled/>, then once in a round trip.
func TestManagementRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := managedInitiator(t, ManagementConfig{}, nil)
		ended := rangeOver(s)
		sendBodies(t, s, "1", "2")
		synctest.Wait()
		p.send("<enabled xmlns='urn:xmpp:sm:3' resume='true' id='x' max='60'/>")
		if err := p.want("2</body></message><r xmlns='urn:xmpp:sm:3'/>"); err != nil {
			t.Error(err)
		}
		sendBodies(t, s, "3")
		if err := p.want("<body>3</body></message>"); err != nil {
			t.Error(err)
		}
		p.send("<a xmlns='urn:xmpp:sm:3' h='2'/>")
		if err := p.want("<r xmlns='urn:xmpp:sm:3'/>"); err != nil {
			t.Error(err)
		}
		p.send("<r xmlns='urn:xmpp:sm:3'/>")
		if err := p.want("<a xmlns='urn:xmpp:sm:3' h='0'/>"); err != nil {
			t.Error(err)
		}
		if !s.Resumable() {
			t.Error("not resumable")
		}
		p.conn.Close()
		if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("ended with %v", err)
		}
		<-s.Done()
		if time.Sleep(59 * time.Second); !s.Resumable() {
			t.Error("not resumable within the peer's bound")
		}
		if time.Sleep(time.Second); s.Resumable() {
			t.Error("resumable for too long")
		}
		if got := bodies(s.Unacknowledged()); got != "3" {
			t.Errorf("unacknowledged: %q", got)
		}
		if n := strings.Count(p.rest(), "<r "); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// A peer that will not: the stream goes on without.
func TestManagementFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := managedInitiator(t, ManagementConfig{}, nil)
		rangeOver(s)
		p.send("<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		synctest.Wait()
		sendBodies(t, s, "1")
		if err := p.want("<body>1</body></message>"); err != nil {
			t.Error(err)
		}
		if s.Resumable() {
			t.Error("resumable")
		}
		go p.send("</stream:stream>")
		s.Close()
		if got := s.Unacknowledged(); got != nil {
			t.Errorf("unacknowledged: %q", bodies(got))
		}
		if strings.Contains(p.rest(), "<r ") {
			t.Error("asks nevertheless")
		}
	})
}

// Send waits while too much is unacknowledged.
func TestManagementQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := managedInitiator(t, ManagementConfig{Queue: 1000}, nil)
		ended := rangeOver(s)
		p.send("<enabled xmlns='urn:xmpp:sm:3'/>")
		sendBodies(t, s, strings.Repeat("x", 1000))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		next := chat("a@dale.example", "b@hill.example", "next")
		if err := s.Send(ctx, next); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		sent := make(chan error, 1)
		go func() { sent <- s.Send(t.Context(), next) }()
		synctest.Wait()
		p.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if n := s.Acknowledged(); n != 1 {
			t.Errorf("%d acknowledged", n)
		}
		// The peer stops to acknowledge: it is gone.
		start := time.Now()
		sendErr := make(chan error, 1)
		sendBodies(t, s, strings.Repeat("x", 1000))
		go func() { sendErr <- s.Send(t.Context(), next) }()
		if err := <-ended; err != ErrIdle || time.Since(start) != time.Minute {
			t.Errorf("ended with %v after %v", err, time.Since(start))
		}
		if err := <-sendErr; err != ErrIdle {
			t.Errorf("Send: %v", err)
		}
		s.Close()
		p.rest()
	})
}

// What a peer may do wrong, on either side.
func TestManagementBadInput(t *testing.T) {
	const enable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
	failed := func(cond Condition) line {
		return line{want: "<failed xmlns='urn:xmpp:sm:3'><" + string(cond) + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"}
	}
	proven := []line{{send: dale + prove}, {want: isProven}}
	for _, tt := range []struct {
		name string
		sc   script
		cond Condition // of the stream error; "": the stream goes on
	}{
		{"enable before authentication", script{{send: dale + enable}, failed(UnexpectedRequest)}, ""},
		{"resume before authentication", script{{send: dale + `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`}, failed(UnexpectedRequest)}, ""},
		{"enable twice", append(slices.Clone(proven), line{send: enable + enable}, failed(UnexpectedRequest)), ""},
		{"resume of an enabled stream", append(slices.Clone(proven), line{send: enable + `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`}, failed(UnexpectedRequest)), ""},
		{"unknown session", append(slices.Clone(proven), line{send: `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`}, failed(ItemNotFound)), ""},
		{"resume without h", append(slices.Clone(proven), line{send: `<resume xmlns='urn:xmpp:sm:3' previd='x'/>`}), BadFormat},
		{"more than sent", append(slices.Clone(proven), line{send: enable + `<a xmlns='urn:xmpp:sm:3' h='1'/>`}), UndefinedCondition},
		{"no h", append(slices.Clone(proven), line{send: enable + `<a xmlns='urn:xmpp:sm:3'/>`}), BadFormat},
		{"negative h", append(slices.Clone(proven), line{send: enable + `<a xmlns='urn:xmpp:sm:3' h='-1'/>`}), BadFormat},
		{"h of 33 bits", append(slices.Clone(proven), line{send: enable + `<a xmlns='urn:xmpp:sm:3' h='4294967296'/>`}), BadFormat},
		{"request before enable", append(slices.Clone(proven), line{send: `<r xmlns='urn:xmpp:sm:3'/>`}), UnsupportedStanzaType},
		{"acknowledgement before enable", append(slices.Clone(proven), line{send: `<a xmlns='urn:xmpp:sm:3' h='0'/>`}), UnsupportedStanzaType},
		{"enabled from the initiating side", append(slices.Clone(proven), line{send: `<enabled xmlns='urn:xmpp:sm:3'/>`}), UnsupportedStanzaType},
		{"resumed from the initiating side", append(slices.Clone(proven), line{send: `<resumed xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`}), UnsupportedStanzaType},
		{"something else", append(slices.Clone(proven), line{send: `<x xmlns='urn:xmpp:sm:3'/>`}), UnsupportedStanzaType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				cfg := acceptPlain()
				cfg.Features = append(cfg.Features, Management(ManagementConfig{}))
				s := Accept(theirs, cfg)
				result := make(chan error, 1)
				go func() { result <- serveAll(t, s) }()
				sc := slices.Clone(tt.sc)
				if tt.cond != "" {
					sc = append(sc, line{want: "<stream:error><" + string(tt.cond) + " "})
				} else {
					sc = append(sc, line{send: "</stream:stream>"})
				}
				got := sc.play(t, ours)
				if tt.name == "more than sent" && !strings.Contains(got, "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1' send-count='0'/>") {
					t.Errorf("sent %s", got)
				}
				err := <-result
				if tt.cond != "" && !errors.Is(err, tt.cond) || tt.cond == "" && err != nil && err != ErrClosed {
					t.Errorf("error %v, want %q", err, tt.cond)
				}
			})
		})
	}
	for _, tt := range []struct {
		name, send string
		cond       Condition
	}{
		{"enable from the accepting side", enable, UnsupportedStanzaType},
		{"resume from the accepting side", `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`, UnsupportedStanzaType},
		{"enabled twice", `<enabled xmlns='urn:xmpp:sm:3'/><enabled xmlns='urn:xmpp:sm:3'/>`, UnsupportedStanzaType},
		{"failed after enabled", `<enabled xmlns='urn:xmpp:sm:3'/><failed xmlns='urn:xmpp:sm:3'/>`, UnsupportedStanzaType},
		{"resumed without being asked", `<resumed xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`, UnsupportedStanzaType},
		{"less than before", `<enabled xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='4294967295'/>`, UndefinedCondition},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := managedInitiator(t, ManagementConfig{}, nil)
				ended := rangeOver(s)
				p.send(tt.send)
				if err := p.want("<stream:error><" + string(tt.cond) + " "); err != nil {
					t.Error(err)
				}
				if err := <-ended; !errors.Is(err, tt.cond) {
					t.Errorf("error %v", err)
				}
				p.rest()
				<-s.Done()
				if s.Resumable() {
					t.Error("resumable")
				}
			})
		})
	}
}

// Counts wrap at 2^32.
func TestManagementOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := managedInitiator(t, ManagementConfig{}, nil)
		ended := rangeOver(s)
		p.send("<enabled xmlns='urn:xmpp:sm:3'/>")
		synctest.Wait()
		ss := s.managed()
		ss.mu.Lock()
		ss.acked, ss.handled = 1<<32-2, 1<<32
		ss.mu.Unlock()
		sendBodies(t, s, "1", "2", "3")
		p.want("<body>3")
		p.send("<a xmlns='urn:xmpp:sm:3' h='0'/><r xmlns='urn:xmpp:sm:3'/>")
		if err := p.want("<a xmlns='urn:xmpp:sm:3' h='0'/>"); err != nil {
			t.Error(err)
		}
		p.conn.Close()
		<-ended
		<-s.Done()
		if got := bodies(s.Unacknowledged()); got != "3" {
			t.Errorf("unacknowledged: %q", got)
		}
	})
}

// A breakable connection fails on its side when it has carried enough.
type breakable struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (b *breakable) spend(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.left)
	b.left -= n
	return n
}

func (b *breakable) Write(p []byte) (int, error) {
	n := b.spend(len(p))
	if n > 0 {
		if k, err := b.Conn.Write(p[:n]); err != nil {
			return k, err
		}
	}
	if n < len(p) {
		b.Conn.Close()
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// A streamPair is two servers that keep a managed stream going, however often its connection breaks.
type streamPair struct {
	t         *testing.T
	from, to  Config
	mu        sync.Mutex
	got, back []string
	accepted  *Stream
	resumed   int
}

func newStreamPair(t *testing.T, bidi bool, expired func(*Stream)) *streamPair {
	always := func(context.Context, string, string, string, string) error { return nil }
	features := func() (fs []Feature) {
		if bidi {
			fs = append(fs, Bidi(BidiConfig{ByName: true}))
		}
		return append(fs, Dialback(DialbackConfig{Verify: always}), Management(ManagementConfig{Expired: expired}))
	}
	return &streamPair{
		t:    t,
		from: Config{Local: "dale.example", Remote: "hill.example", Plaintext: true, Features: features()},
		to: Config{
			Plaintext: true, Features: features(),
			Hosted: func(d string) bool { return d == "hill.example" },
		},
	}
}

// connect makes a stream whose connection breaks when the two sides have written so much, resuming old. Once it is
// there, stanzas that arrive are kept.
func (sp *streamPair) connect(old *Stream, there, back int) (*Stream, error) {
	ours, theirs := net.Pipe()
	a := Accept(&breakable{Conn: theirs, left: back}, &sp.to)
	go func() {
		if a.Negotiate(context.Background()) != nil {
			a.Close()
			return
		}
		sp.mu.Lock()
		sp.accepted = a
		sp.mu.Unlock()
		sp.keep(a, &sp.got)
		a.Close()
	}()
	s := Initiate(&breakable{Conn: ours, left: there}, &sp.from)
	if old != nil {
		s.Resume(old)
	}
	if err := s.Negotiate(sp.t.Context()); err != nil {
		s.Close()
		return nil, err
	}
	if s.Resumed() {
		sp.resumed++
	}
	go sp.keep(s, &sp.back)
	return s, nil
}

func (sp *streamPair) keep(s *Stream, got *[]string) {
	for st, err := range s.Stanzas(context.Background()) {
		if err != nil {
			return
		}
		sp.mu.Lock()
		*got = append(*got, st.Text("body"))
		sp.mu.Unlock()
	}
}

// Wherever the connection breaks, everything arrives once and in order.
func TestResumeAnywhere(t *testing.T) {
	for _, bidi := range []bool{false, true} {
		t.Run(fmt.Sprintf("bidi %v", bidi), func(t *testing.T) {
			for cut := 1; cut < 3000; cut += 61 {
				synctest.Test(t, func(t *testing.T) {
					sp := newStreamPair(t, bidi, func(s *Stream) { t.Error("a session expired") })
					s, err := sp.connect(nil, 1<<20, 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					first := sp.accepted
					// From now on the connection has not long to live, in either direction in turn.
					limit := s
					if cut%2 == 0 {
						limit = first
					}
					limit.transport().(*breakable).left = cut
					const n = 20
					want, wantBack := "", ""
					for i := range n {
						sendUnlessEnded(t, s, chat("a@dale.example", "b@hill.example", strconv.Itoa(i)))
						want += strconv.Itoa(i) + " "
						if bidi {
							sendUnlessEnded(t, first, chat("b@hill.example", "a@dale.example", strconv.Itoa(i)))
							wantBack += strconv.Itoa(i) + " "
						}
						if i%5 == 0 {
							synctest.Wait()
						}
					}
					synctest.Wait()
					s.transport().Close()
					<-s.Done()
					<-first.Done()
					missing, missingBack := n-int(s.Sent()), n-int(first.Sent())
					// A second connection breaks in the middle of resumption, a third lasts.
					last := s
					if again, err := sp.connect(last, 800+cut, 700+cut/2); err == nil {
						synctest.Wait()
						again.transport().Close()
						<-again.Done()
						last = again
					}
					end, err := sp.connect(last, 1<<20, 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					if !end.Resumed() {
						t.Fatalf("cut %d: not resumed", cut)
					}
					if got := last.Unacknowledged(); got != nil {
						t.Errorf("given back although resumed: %q", bodies(got))
					}
					synctest.Wait()
					for i := n - missing; i < n; i++ {
						sendUnlessEnded(t, end, chat("a@dale.example", "b@hill.example", strconv.Itoa(i)))
					}
					if bidi {
						for i := n - missingBack; i < n; i++ {
							sendUnlessEnded(t, sp.accepted, chat("b@hill.example", "a@dale.example", strconv.Itoa(i)))
						}
					}
					synctest.Wait()
					if got := strings.Join(append(sp.got, ""), " "); got != want {
						t.Errorf("cut %d: got %s", cut, got)
					}
					if got := strings.Join(append(sp.back, ""), " "); got != wantBack {
						t.Errorf("cut %d: got back %s", cut, got)
					}
					end.Close()
				})
			}
		})
	}
}

// sendUnlessEnded sends on a stream whose connection may break any time.
func sendUnlessEnded(t *testing.T, s *Stream, st *Stanza) {
	t.Helper()
	if err := s.Send(t.Context(), st); err != nil {
		if synctest.Wait(); s.Err() == nil {
			t.Errorf("Send: %v", err)
		}
	}
}

// The accepting side's store: sessions end when their time is over, or when there are too many.
func TestSuspendedSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expired []*Stream
		m := Management(ManagementConfig{Suspended: 2, Expired: func(s *Stream) { expired = append(expired, s) }})
		var streams []*Stream
		for range 3 {
			s, p, _ := managedAcceptor(t, m)
			p.conn.Close()
			<-s.Done()
			synctest.Wait()
			streams = append(streams, s)
		}
		if len(expired) != 1 || expired[0] != streams[0] || streams[0].Resumable() || !streams[1].Resumable() {
			t.Errorf("%d sessions expired", len(expired))
		}
		if got := streams[1].Unacknowledged(); got != nil || streams[1].Resumable() {
			t.Error("resumable after its stanzas were given back")
		}
		time.Sleep(5*time.Minute - time.Second)
		synctest.Wait()
		if len(expired) != 1 || !streams[2].Resumable() {
			t.Error("expired too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(expired) != 2 || expired[1] != streams[2] || streams[2].Resumable() {
			t.Errorf("%d sessions expired", len(expired))
		}
		// One that is closed in order is over at once, without a word.
		s, p, _ := managedAcceptor(t, m)
		p.send("</stream:stream>")
		s.Close()
		if !strings.HasSuffix(p.rest(), "<a xmlns='urn:xmpp:sm:3' h='0'/></stream:stream>") {
			t.Error("no last acknowledgement")
		}
		synctest.Wait()
		if len(expired) != 2 || s.Resumable() {
			t.Error("resumable after an orderly close")
		}
	})
}

// A session is resumed by who proves what its stream had proved, and by nobody else, even while that stream lasts.
func TestResumeBinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Management(ManagementConfig{})
		s, p, id := managedAcceptor(t, m)
		p.send(`<message from='a@dale.example' to='b@hill.example'/>`)
		resume := "<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>"
		other, thief := accepted(t, func(c *Config) { c.Features = append(c.Features, m) })
		rangeOver(other)
		// The thief has proved a domain of its own as well, but not the whole of what s proved.
		s.prove(Proof{Local: "hill.example", Remote: "moor.example"})
		thief.send(resume)
		if err := thief.want("<failed xmlns='urn:xmpp:sm:3'><item-not-found "); err != nil {
			t.Error(err)
		}
		if s.Err() != nil || !s.Resumable() {
			t.Error("the session has suffered")
		}
		thief.send(strings.ReplaceAll(prove, "dale", "moor"))
		thief.want("type='valid'/>")
		thief.send(resume)
		if err := thief.want("<resumed xmlns='urn:xmpp:sm:3' h='1' previd='" + id + "'/>"); err != nil {
			t.Error(err)
		}
		if <-s.Done(); s.Err() != ErrResumed || s.Resumable() || !other.Resumable() || !other.Resumed() {
			t.Errorf("the old stream: %v", s.Err())
		}
		p.rest()
		thief.send("</stream:stream>")
		other.Close()
	})
}

// When the accepting side does not know the session any more, what is known to have arrived is not given back.
func TestResumeFailed(t *testing.T) {
	for h, want := range map[string]string{"": "1 2 3", " h='2'": "3", " h='9'": "1 2 3"} {
		synctest.Test(t, func(t *testing.T) {
			s, p := managedInitiator(t, ManagementConfig{}, nil)
			ended := rangeOver(s)
			p.send("<enabled xmlns='urn:xmpp:sm:3' resume='true' id='&quot;x'/>")
			synctest.Wait()
			sendBodies(t, s, "1", "2", "3")
			p.want("<body>3")
			p.conn.Close()
			<-ended
			again, p := managedInitiator(t, ManagementConfig{}, s)
			if err := p.want("<resume xmlns='urn:xmpp:sm:3' h='0' previd='&quot;x'/>"); err != nil {
				t.Error(err)
			}
			p.send("<failed xmlns='urn:xmpp:sm:3'" + h + "><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
			if err := p.want("<enable "); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if again.Resumed() || again.State()&Ready == 0 {
				t.Error("resumed, or not negotiated")
			}
			if got := bodies(s.Unacknowledged()); got != want {
				t.Errorf("unacknowledged: %q, want %q", got, want)
			}
			go p.send("</stream:stream>")
			again.Close()
		})
	}
}
