package xmpp

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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

func newStreamPair(t *testing.T, bidi, countOnly bool, expired func(*Stream)) *streamPair {
	always := func(context.Context, string, string, string, string) error { return nil }
	features := func() (fs []Feature) {
		if bidi {
			fs = append(fs, Bidi(BidiConfig{ByName: true}))
		}
		return append(fs, Dialback(DialbackConfig{Verify: always}), Management(ManagementConfig{Expired: expired, CountOnly: countOnly}))
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
	for name, is := range map[string]struct{ bidi, countOnly bool }{
		"one way": {}, "both ways": {bidi: true}, "only counted": {countOnly: true},
	} {
		bidi := is.bidi
		t.Run(name, func(t *testing.T) {
			for cut := 1; cut < 3000; cut += 61 {
				synctest.Test(t, func(t *testing.T) {
					sp := newStreamPair(t, bidi, is.countOnly, func(s *Stream) { t.Error("a session expired") })
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
					sent, sentBack := int(s.Sent()), int(first.Sent())
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
					if is.countOnly {
						sent = int(end.Acknowledged()) // the caller sends the rest again
					}
					synctest.Wait()
					for i := sent; i < n; i++ {
						sendUnlessEnded(t, end, chat("a@dale.example", "b@hill.example", strconv.Itoa(i)))
					}
					if bidi {
						for i := sentBack; i < n; i++ {
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

// An attempt to resume whose connection breaks while the old stream is still at work leaves the session to the next one.
func TestResumeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Management(ManagementConfig{})
		s, p := accepted(t, func(c *Config) { c.Features = append(c.Features, m) })
		busy := make(chan struct{})
		go func() {
			for range s.Stanzas(context.Background()) {
				<-busy
			}
		}()
		p.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		p.want("<enabled ")
		resume := "<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + s.managed().id + "'/>"
		p.send(`<message from='a@dale.example' to='b@hill.example'/>`)
		synctest.Wait()
		p.conn.Close()
		attempt := func() (*Stream, *peer) {
			s, p := accepted(t, func(c *Config) { c.Features = append(c.Features, m) })
			rangeOver(s)
			p.send(resume)
			synctest.Wait()
			return s, p
		}
		first, p := attempt()
		p.conn.Close()
		second, p := attempt()
		close(busy)
		if err := p.want("<resumed xmlns='urn:xmpp:sm:3' h='1' "); err != nil {
			t.Error(err)
		}
		if <-first.Done(); first.Resumable() || !second.Resumed() || !second.Resumable() {
			t.Errorf("first: %v, resumable %v; second: resumed %v", first.Err(), first.Resumable(), second.Resumed())
		}
		p.send("</stream:stream>")
		second.Close()
	})
}

// A session ends with the closing tag that the peer has answered, and when a connection breaks there is none that could still arrive.
func TestSessionEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end       func(*Stream, *peer)
		tag       bool // the peer gets a closing tag
		resumable bool
	}{
		"broken":              {func(s *Stream, _ *peer) { s.fail(io.ErrUnexpectedEOF) }, false, true},
		"the peer is silent":  {func(s *Stream, _ *peer) { s.fail(ErrIdle) }, true, true},
		"the peer is wrong":   {func(_ *Stream, p *peer) { p.send("<x xmlns='urn:x'/>") }, true, false},
		"closed, no answer":   {func(s *Stream, _ *peer) { go s.Close() }, true, true},
		"closed and answered": {func(s *Stream, p *peer) { go s.Close(); p.send("</stream:stream>") }, true, false},
		"closed by the peer":  {func(s *Stream, p *peer) { p.send("</stream:stream>"); s.Close() }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := managedInitiator(t, ManagementConfig{}, nil)
				rangeOver(s)
				p.send("<enabled xmlns='urn:xmpp:sm:3' resume='true' id='x'/>")
				synctest.Wait()
				test.end(s, p)
				if tag := strings.HasSuffix(p.rest(), "</stream:stream>"); tag != test.tag {
					t.Errorf("closing tag: %v", tag)
				}
				if <-s.Done(); s.Resumable() != test.resumable {
					t.Errorf("resumable: %v", s.Resumable())
				}
			})
		})
	}
}
