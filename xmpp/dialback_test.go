package xmpp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/switchyard-im/switchyard/uniform"
)

func TestDialback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		hill := n.add("hill.example", nil)
		dale := n.add("dale.example", nil)
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.State(); got != Authenticated|Ready {
			t.Errorf("state %b", got)
		}
		if !s.Authorized("dale.example", "hill.example") || s.Proven("dale.example", "hill.example") {
			t.Error("the pair must be authorized, and nothing proved to the initiating side")
		}
		st := &Stanza{
			Kind: Message, ID: "1",
			From: uniform.MustParseJID("jill@dale.example/pail"), To: uniform.MustParseJID("jack@hill.example"),
		}
		if err := st.SetRaw([]byte(`<body>up</body><x:y xmlns:x='urn:x' x:z="1"><![CDATA[&]]></x:y>`)); err != nil {
			t.Fatal(err)
		}
		want := string(st.AppendFor(nil, NSServer))
		if err := s.Send(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		n.wg.Wait()
		if got := hill.received(); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if want := []string{"dale.example hill.example", "hill.example dale.example"}; !slices.Equal(n.dials, want) {
			t.Errorf("dials %q, want %q", n.dials, want)
		}
		if s.Sent() != 1 {
			t.Errorf("sent %d", s.Sent())
		}
	})
}

func TestDialbackMultiplexing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		hill := n.add("hill.example rooms.hill.example", nil)
		dale := n.add("dale.example rooms.dale.example", nil)
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []pair{
			{"rooms.dale.example", "hill.example"},
			{"dale.example", "rooms.hill.example"},
		} {
			msg := chat("a@"+p.local, "b@"+p.remote, "hello")
			if err := s.Send(t.Context(), msg); !errors.Is(err, NotAuthorized) {
				t.Errorf("%v: Send before Authorize: %v", p, err)
			}
			if err := s.Authorize(t.Context(), p.local, p.remote); err != nil {
				t.Fatal(err)
			}
			if err := s.Send(t.Context(), msg); err != nil {
				t.Error(err)
			}
		}
		// Those who ask for the same pair share an answer.
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := s.Authorize(t.Context(), "rooms.dale.example", "rooms.hill.example"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()

		var refused *StanzaError
		if err := s.Authorize(t.Context(), "dale.example", "moor.example"); !errors.As(err, &refused) ||
			refused.Condition != ItemNotFound {
			t.Errorf("domain that is not hosted there: %v", err)
		}
		if err := s.Authorize(t.Context(), "fake.example", "hill.example"); !errors.As(err, &refused) ||
			refused.Condition != RemoteConnectionFailed {
			t.Errorf("domain without a server: %v", err)
		}
		if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "still there")); err != nil {
			t.Error(err)
		}
		s.Close()
		n.wg.Wait()
		if got := hill.received(); len(got) != 3 {
			t.Errorf("%d stanzas arrived: %q", len(got), got)
		}
	})
}

// Authorize works while somebody ranges over Stanzas, and Verify while nobody does.
func TestAuthorizeWhileRanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		n.add("hill.example", nil)
		dale := n.add("dale.example rooms.dale.example", nil)
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			for _, err := range s.Stanzas(context.Background()) {
				ended <- err
				return
			}
			ended <- nil
		}()
		synctest.Wait()
		if err := s.Authorize(t.Context(), "rooms.dale.example", "hill.example"); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Stanzas ended with %v", err)
		}
		n.wg.Wait()
	})
}

func TestForgedKey(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(fmt.Sprintf("other pair proved %v", other), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				n.add("hill.example", nil)
				n.add("bank.example", nil) // with a secret of its own
				dale := n.add("dale.example", nil)
				conn, _ := n.dial("", "hill.example")
				features := dale.cfg.Features
				if !other {
					// Only the forged domain is asked for, by a stream that has not authenticated otherwise.
					s := Initiate(conn, &Config{Local: "bank.example", Remote: "hill.example", Plaintext: true, Features: features})
					if err := s.Negotiate(t.Context()); !errors.Is(err, ErrInvalidKey) {
						t.Errorf("Negotiate: %v, want ErrInvalidKey", err)
					}
					s.Close()
					n.wg.Wait()
					return
				}
				s := Initiate(conn, &Config{Local: "dale.example", Remote: "hill.example", Plaintext: true, Features: features})
				if err := s.Negotiate(t.Context()); err != nil {
					t.Fatal(err)
				}
				err := s.Authorize(t.Context(), "bank.example", "hill.example")
				if !errors.Is(err, Forbidden) {
					t.Errorf("Authorize: %v, want forbidden", err)
				}
				if err := s.Send(t.Context(), chat("a@dale.example", "b@hill.example", "unharmed")); err != nil {
					t.Error(err)
				}
				s.Close()
				n.wg.Wait()
				if got := n.servers["hill.example"].received(); len(got) != 1 {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// Vectors of XEP-0185 section 3 and of XEP-0220 sections 2.1.1 and 2.2.2.
func TestDialbackKey(t *testing.T) {
	for _, tt := range []struct{ secret, receiver, originator, id, want string }{
		{"s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"},
		{"s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F", "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"},
		{"d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25", "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d"},
	} {
		d := Dialback(DialbackConfig{Secret: []byte(tt.secret)}).dialback
		if got := d.key(tt.receiver, tt.originator, tt.id); got != tt.want {
			t.Errorf("key(%q, %q, %q) = %s, want %s", tt.receiver, tt.originator, tt.id, got, tt.want)
		}
	}
	if a, b := Dialback(DialbackConfig{}).dialback, Dialback(DialbackConfig{}).dialback; a.key("r", "o", "1") == b.key("r", "o", "1") {
		t.Error("two processes without a secret have the same")
	}
}

// The authoritative role.
func TestVouch(t *testing.T) {
	secret := []byte("hill")
	key := Dialback(DialbackConfig{Secret: secret}).dialback.key("dale.example", "hill.example", "7")
	verify := func(from, to, id, key string) string {
		return "<db:verify from='" + from + "' to='" + to + "' id='" + id + "'>" + key + "</db:verify>"
	}
	for _, tt := range []struct{ name, send, want string }{
		{"our key", verify("dale.example", "hill.example", "7", key), "<db:verify from='hill.example' to='dale.example' id='7' type='valid'/>"},
		{"white space around it", verify("dale.example", "hill.example", "7", "\n  "+key+"\n"), "id='7' type='valid'/>"},
		{"capitals in the names", verify("Dale.Example", "HILL.example", "7", key), "id='7' type='valid'/>"},
		{"another id", verify("dale.example", "hill.example", "8", key), "id='8' type='invalid'/>"},
		{"another receiver", verify("moor.example", "hill.example", "7", key), "to='moor.example' id='7' type='invalid'/>"},
		{"another of our domains", verify("dale.example", "rooms.hill.example", "7", key), "id='7' type='invalid'/>"},
		{"half a key", verify("dale.example", "hill.example", "7", key[:32]), "type='invalid'/>"},
		{"no key", verify("dale.example", "hill.example", "7", ""), "type='invalid'/>"},
		{"no id", "<db:verify from='dale.example' to='hill.example'>" + key + "</db:verify>", "type='invalid'/>"},
		{
			"not hosted", verify("dale.example", "moor.example", "7", key),
			"<db:verify from='moor.example' to='dale.example' id='7' type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Accept(theirs, acceptPlain())
				done := make(chan error, 1)
				go func() { done <- serveAll(t, s) }()
				script{
					{send: dale},
					{want: "</stream:features>"},
					{send: tt.send},
					{want: tt.want},
					{send: "</stream:stream>"},
					{want: "</stream:stream>"},
				}.play(t, ours)
				if err := <-done; err != ErrClosed {
					t.Errorf("Negotiate: %v", err)
				}
				if len(s.Proofs()) != 0 {
					t.Error("a db:verify proves nothing")
				}
			})
		})
	}
}

// With LiveOnly a key is good while its db:result is outstanding, and no longer.
func TestLiveOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		var keys []string
		n.add("hill.example", func(srv *testServer) {
			srv.cfg.Features = []Feature{Dialback(DialbackConfig{Verify: func(ctx context.Context, local, remote, id, key string) error {
				keys = append(keys, id, key)
				return srv.verify(ctx, local, remote, id, key)
			}})}
		})
		dale := n.add("dale.example", func(srv *testServer) {
			srv.cfg.Features = []Feature{Dialback(DialbackConfig{Secret: []byte("dale"), LiveOnly: true, Verify: srv.verify})}
		})
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) != 2 {
			t.Fatalf("keys %q", keys)
		}
		if err := n.servers["hill.example"].verify(t.Context(), "hill.example", "dale.example", keys[0], keys[1]); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("a used key: %v", err)
		}
		s.Close()
		n.wg.Wait()
	})
}

// Verification neither holds up the stream nor is it unbounded.
func TestVerifyConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, p := accepted(t, func(cfg *Config) {
			cfg.Features = []Feature{Dialback(DialbackConfig{
				Outstanding: 2,
				Verify: func(ctx context.Context, local, remote, id, key string) error {
					if remote == "dale.example" {
						return nil
					}
					select {
					case <-release:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				},
			})}
		})
		got := make(chan string, 10)
		ended := make(chan error, 1)
		go func() {
			var err error
			for st, e := range s.Stanzas(context.Background()) {
				if err = e; e == nil {
					got <- st.ID
				}
			}
			ended <- err
		}()
		for i := range 3 {
			p.send(fmt.Sprintf("<db:result from='d%d.example' to='hill.example'>k</db:result>", i))
		}
		if err := p.want("to='d2.example' type='error'><error type='wait'><resource-constraint"); err != nil {
			t.Error(err)
		}
		if n := s.Pending(); n != 2 {
			t.Errorf("%d pending", n)
		}
		p.send("<message id='1' from='a@dale.example' to='b@hill.example'/>")
		if id := <-got; id != "1" {
			t.Errorf("got %s", id)
		}
		if s.Proven("hill.example", "d0.example") {
			t.Error("proven before its time")
		}
		release <- struct{}{}
		if err := p.want("type='valid'/>"); err != nil {
			t.Error(err)
		}
		// The other one runs into the time-out.
		if err := p.want("type='error'><error type='wait'><remote-server-timeout"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := s.Pending(); n != 0 {
			t.Errorf("%d pending", n)
		}
		// A verification ends with the stream.
		p.send("<db:result from='d3.example' to='hill.example'>k</db:result>")
		p.send("</stream:stream>")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// What an initiating server is told when its key could not be verified (XEP-0220 section 2.5).
func TestVerifyError(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Condition
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, RemoteConnectionFailed},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, RemoteConnectionFailed},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, RemoteServerTimeout},
		{context.DeadlineExceeded, RemoteServerTimeout},
		{fmt.Errorf("verifying: %w", io.ErrUnexpectedEOF), RemoteServerTimeout},
		{fmt.Errorf("verifying: %w", ErrClosed), RemoteServerTimeout},
		{&StanzaError{Condition: ItemNotFound}, RemoteServerNotFound},
		{fmt.Errorf("verifying: %w", &StanzaError{Condition: PolicyViolation}), RemoteServerNotFound},
		{&StreamError{Condition: HostUnknown}, RemoteServerNotFound},
		{&StreamError{Condition: SystemShutdown}, RemoteServerTimeout},
		{NotAuthorized, NotAuthorized},
		{errors.New("anything"), RemoteConnectionFailed},
	} {
		if got := verifyError(tt.err); got.Condition != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, got.Condition, tt.want)
		}
	}
}

// The stream's own pair is refused with an error that says why.
func TestDialbackRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		verify func(context.Context, string, string, string, string) error
		want   error
	}{
		{"no way to verify", nil, NotAuthorized},
		{"nobody there", func(context.Context, string, string, string, string) error { return errors.New("x") }, RemoteConnectionFailed},
		{"key not known there", func(context.Context, string, string, string, string) error { return ErrInvalidKey }, ErrInvalidKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				n.add("hill.example", func(srv *testServer) {
					srv.cfg.Features = []Feature{Dialback(DialbackConfig{Verify: tt.verify})}
				})
				s, err := n.add("dale.example", nil).connect("dale.example", "hill.example")
				if !errors.Is(err, tt.want) || !errors.Is(err, ErrDeclined) {
					t.Errorf("Negotiate: %v, want %v", err, tt.want)
				}
				s.Close()
				n.wg.Wait()
			})
		})
	}
}

// What is logged says who and why, and never a key.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex
		logger := slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		var key string
		n := newTestNet(t)
		n.add("hill.example", func(srv *testServer) {
			srv.cfg.Logger = logger
			srv.cfg.Features = []Feature{Dialback(DialbackConfig{Verify: func(ctx context.Context, local, remote, id, k string) error {
				key = k
				return srv.verify(ctx, local, remote, id, k)
			}})}
		})
		dale := n.add("dale.example", func(srv *testServer) { srv.cfg.Logger = logger })
		n.add("bank.example", nil)
		s, err := dale.connect("dale.example", "hill.example")
		if err != nil {
			t.Fatal(err)
		}
		s.Authorize(t.Context(), "bank.example", "hill.example")
		s.Close()
		n.wg.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, want := range []string{"domain proved", "forged dialback key", "from=bank.example", "local=dale.example remote=hill.example stream="} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log without %q:\n%s", want, &log)
			}
		}
		if key == "" || strings.Contains(log.String(), key) {
			t.Errorf("key %q in the log:\n%s", key, &log)
		}
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
