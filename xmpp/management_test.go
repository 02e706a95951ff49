package xmpp

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
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
