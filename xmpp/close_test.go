package xmpp

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// established returns an initiating stream that may send from dale.example to hill.example, and its peer.
func established(t *testing.T, change func(*Config)) (*Stream, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	cfg := initiatePlain()
	if change != nil {
		change(cfg)
	}
	s := Initiate(theirs, cfg)
	p := newPeer(ours)
	done := make(chan error, 1)
	go func() { done <- s.Negotiate(t.Context()) }()
	p.send(hill + features)
	p.want("</db:result>")
	p.send(authorized)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return s, p
}

// accepted returns an accepting stream on which dale.example has been proved, and its peer.
func accepted(t *testing.T, change func(*Config)) (*Stream, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	cfg := acceptPlain()
	if change != nil {
		change(cfg)
	}
	s := Accept(theirs, cfg)
	p := newPeer(ours)
	done := make(chan error, 1)
	go func() { done <- s.Negotiate(t.Context()) }()
	p.send(dale + prove)
	if err := p.want(isProven); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return s, p
}

// Close delivers what was queued before, and a loop over Stanzas what arrives before the peer's closing tag.
func TestCloseInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := accepted(t, nil)
		var got []string
		ended := make(chan error, 1)
		go func() {
			for st, err := range s.Stanzas(context.Background()) {
				if err != nil {
					ended <- err
					return
				}
				got = append(got, st.ID)
			}
			ended <- nil
		}()
		p.send(`<message id='1' from='a@dale.example' to='b@hill.example'/>`)
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		if err := p.want("</stream:stream>"); err != nil {
			t.Error(err)
		}
		p.send(`<message id='2' from='a@dale.example' to='b@hill.example'/>`)
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close did not wait for the peer")
		default:
		}
		if err := s.Send(t.Context(), chat("b@hill.example", "a@dale.example", "x")); err == nil {
			t.Error("Send after Close")
		}
		p.send(`<message id='3' from='a@dale.example' to='b@hill.example'/></stream:stream>`)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Stanzas ended with %v", err)
		}
		if strings.Join(got, "") != "123" {
			t.Errorf("got %q", got)
		}
		if s.Err() != ErrClosed {
			t.Errorf("Err %v", s.Err())
		}
		<-s.Done()
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		for _, err := range s.Stanzas(t.Context()) {
			t.Errorf("Stanzas after Close yields %v", err)
		}
	})
}

// A peer that does not answer the closing tag is waited for within the bound.
func TestCloseWithoutAnswer(t *testing.T) {
	for _, ranging := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, p := established(t, nil)
			ended := make(chan struct{})
			if ranging {
				go func() {
					for _, err := range s.Stanzas(context.Background()) {
						t.Errorf("Stanzas yields %v", err)
					}
					close(ended)
				}()
				synctest.Wait()
			}
			if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "last words")); err != nil {
				t.Error(err)
			}
			start := time.Now()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d != 5*time.Second {
				t.Errorf("Close took %v", d)
			}
			if got := p.rest(); !strings.HasSuffix(got, "last words</body></message></stream:stream>") {
				t.Errorf("sent %s", got)
			}
			if ranging {
				<-ended
			}
		})
	}
}

// A connection that breaks is an error of the stream, and not an orderly end.
func TestConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := accepted(t, nil)
		p.conn.Close()
		n := 0
		for _, err := range s.Stanzas(t.Context()) {
			if n++; !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("Stanzas yields %v", err)
			}
		}
		if n != 1 || s.Err() == nil {
			t.Errorf("%d errors, Err %v", n, s.Err())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The context of the loop ends the loop, not the stream, whatever has been read of an element.
func TestStanzasContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := accepted(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			p.send(`<message id='1' from='a@dale.example' `)
			cancel()
		}()
		for _, err := range s.Stanzas(ctx) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Stanzas yields %v", err)
			}
		}
		go p.send(`to='b@hill.example'/></stream:stream>`)
		n := 0
		for st, err := range s.Stanzas(t.Context()) {
			if n++; err != nil || st.ID != "1" {
				t.Errorf("then yields %v, %v", st, err)
			}
		}
		if n != 1 || s.Received() != 1 {
			t.Errorf("%d stanzas, Received %d", n, s.Received())
		}
		s.Close()
	})
}

// Only the closing tag tells that the peer is through with the stream, not the end of the connection.
func TestPeerClosed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(p *peer) // to our closing tag
		want   bool
		unread bool // what is wanted where nobody ranges over the stream
	}{
		{"closing tag", func(p *peer) { p.send("</stream:stream>") }, true, true},
		{"stanza, then closing tag", func(p *peer) {
			p.send(`<message id='1' from='a@dale.example' to='b@hill.example'/></stream:stream>`)
		}, true, false}, // the stanza is kept for a loop that may begin
		{"hangs up", func(p *peer) { p.conn.Close() }, false, false},
		{"silence", func(*peer) {}, false, false},
		{"stream error", func(p *peer) {
			p.send("<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
			p.conn.Close()
		}, false, false},
		{"half a tag", func(p *peer) { p.send("</stream:stre"); p.conn.Close() }, false, false},
	} {
		for _, ranging := range []bool{false, true} {
			want := tt.want
			if !ranging {
				want = tt.unread
			}
			t.Run(fmt.Sprintf("%s, ranging %v", tt.name, ranging), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, p := accepted(t, nil)
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						if ranging {
							for range s.Stanzas(context.Background()) {
							}
						}
					}()
					synctest.Wait()
					if s.PeerClosed() {
						t.Error("before it was closed")
					}
					go func() {
						if err := p.want("</stream:stream>"); err != nil {
							t.Error(err)
						}
						tt.answer(p)
					}()
					s.Close()
					<-ended
					if got := s.PeerClosed(); got != want {
						t.Errorf("%v, want %v", got, want)
					}
				})
			})
		}
	}
	// A peer that closes first.
	synctest.Test(t, func(t *testing.T) {
		s, p := accepted(t, nil)
		go p.send("</stream:stream>")
		for _, err := range s.Stanzas(t.Context()) {
			t.Error(err)
		}
		if !s.PeerClosed() {
			t.Error("not noticed")
		}
		s.Close()
		if !s.PeerClosed() {
			t.Error("forgotten")
		}
	})
}

// An error while a db:verify is outstanding ends the wait.
func TestVerifyOnLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Initiate(theirs, &Config{Local: "hill.example", Remote: "dale.example", Plaintext: true})
		go script{
			{send: strings.NewReplacer("hill", "dale", "dale", "hill").Replace(hill) + features},
			{want: "<db:verify from='hill.example' to='dale.example' id='x'>k</db:verify>"},
			{send: "</stream:stream>"},
		}.play(t, ours)
		if err := s.Negotiate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(t.Context(), "hill.example", "dale.example", "x", "k"); !errors.Is(err, ErrClosed) {
			t.Errorf("Verify: %v", err)
		}
		s.Close()
	})
}

// switchTo is a feature that takes the connection over, as the switch to PSYC does it.
func switchTo(h chan<- hijacked) Feature {
	const space = "urn:example:switch"
	return Feature{
		Name:     xml.Name{Space: space, Local: "other"},
		Requires: Authenticated,
		Offer:    func(_ *Stream, dst []byte) []byte { return append(dst, "<other xmlns='"+space+"'/>"...) },
		Start: func(ctx context.Context, s *Stream, offer Element) (State, error) {
			if err := s.WriteRaw(ctx, []byte("<switching xmlns='"+space+"'/>")); err != nil {
				return 0, err
			}
			e, err := s.ReadElement(ctx)
			if err != nil {
				return 0, err
			}
			if !e.Is(space, "switched") || !offer.Is(space, "other") {
				return 0, BadRequest
			}
			conn, rest, err := s.Hijack()
			h <- hijacked{conn, rest, err}
			return 0, nil
		},
		Serve: func(ctx context.Context, s *Stream, e Element) (State, error) {
			if err := s.WriteRaw(ctx, []byte("<switched xmlns='"+space+"'/>")); err != nil {
				return 0, err
			}
			conn, rest, err := s.Hijack()
			h <- hijacked{conn, rest, err}
			return 0, ErrHijacked
		},
	}
}

type hijacked struct {
	conn net.Conn
	rest []byte
	err  error
}

// The initiating side switches after dialback, when no features come any more; the accepting side while it ranges.
func TestHijack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		in, out := make(chan hijacked, 1), make(chan hijacked, 1)
		acfg, icfg := acceptPlain(), initiatePlain()
		acfg.Features = append(acfg.Features, switchTo(in))
		icfg.Features = append([]Feature{switchTo(out)}, icfg.Features...)
		acfg.Timeouts.Idle, acfg.Timeouts.KeepAlive = time.Minute, time.Minute
		icfg.Timeouts.KeepAlive = time.Minute
		a, i := Accept(theirs, acfg), Initiate(ours, icfg)
		ended := make(chan error, 1)
		go func() {
			if err := a.Negotiate(t.Context()); err != nil {
				ended <- err
				return
			}
			for _, err := range a.Stanzas(t.Context()) {
				ended <- err
			}
		}()
		if err := i.Negotiate(t.Context()); err != ErrHijacked {
			t.Fatalf("Negotiate: %v", err)
		}
		if err := <-ended; err != ErrHijacked {
			t.Errorf("Stanzas: %v", err)
		}
		there, here := <-in, <-out
		if there.err != nil || here.err != nil || len(there.rest)+len(here.rest) != 0 {
			t.Fatalf("%+v %+v", there, here)
		}
		for _, s := range []*Stream{a, i} {
			if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "x")); err != ErrHijacked {
				t.Errorf("Send: %v", err)
			}
			if err := s.Close(); err != ErrHijacked {
				t.Errorf("Close: %v", err)
			}
			if _, _, err := s.Hijack(); err != ErrHijacked {
				t.Errorf("Hijack: %v", err)
			}
			for _, err := range s.Stanzas(t.Context()) {
				if err != ErrHijacked {
					t.Errorf("Stanzas: %v", err)
				}
			}
			<-s.Done()
		}
		// The other protocol is alone on the connection, for ever: no blanks, no deadlines.
		go func() {
			time.Sleep(24 * time.Hour)
			here.conn.Write([]byte(".\n"))
		}()
		b := make([]byte, 10)
		if n, err := there.conn.Read(b); err != nil || string(b[:n]) != ".\n" {
			t.Errorf("read %q, %v", b[:n], err)
		}
		here.conn.Close()
		there.conn.Close()
	})
}

// What was read beyond the last element belongs to the other protocol, to the byte.
func TestHijackRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := make(chan hijacked, 1)
		s, p := accepted(t, func(cfg *Config) { cfg.Features = append(cfg.Features, switchTo(h)) })
		go p.send(`<message id='1' from='a@dale.example' to='b@hill.example'/><switching xmlns='urn:example:switch'/>.` + "\n:_source")
		var got []string
		var last error
		for st, err := range s.Stanzas(t.Context()) {
			if last = err; err == nil {
				got = append(got, st.ID)
			}
		}
		if last != ErrHijacked || len(got) != 1 {
			t.Errorf("got %q, then %v", got, last)
		}
		if took := <-h; string(took.rest) != ".\n:_source" {
			t.Errorf("rest %q", took.rest)
		}
		if err := p.want("<switched xmlns='urn:example:switch'/>"); err != nil {
			t.Error(err)
		}
		p.conn.Close()
	})
}
