package xmpp

import (
	"context"
	"encoding/xml"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// initiatePlain is a configuration of dale.example.
func initiatePlain() *Config {
	return &Config{
		Local: "dale.example", Remote: "hill.example", Plaintext: true,
		Features: []Feature{Dialback(DialbackConfig{Secret: []byte("dale")})},
	}
}

const (
	features   = `<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>`
	authorized = `<db:result from='hill.example' to='dale.example' type='valid'/>`
)

// What an accepting side may do wrong, and what becomes of it.
func TestInitiateBadInput(t *testing.T) {
	header := func(attrs string) string {
		return `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' ` +
			`xmlns:db='jabber:server:dialback' ` + attrs + `>`
	}
	good := "from='hill.example' to='dale.example' id='1' version='1.0'"
	for _, tt := range []struct {
		name  string
		send  string
		want  error
		local bool // the peer gets it as a stream error
	}{
		{"client's namespace", `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>`, InvalidNamespace, true},
		{"somebody else", header("from='moor.example' id='1' version='1.0'"), InvalidFrom, true},
		{"no id", header("from='hill.example' version='1.0'"), BadFormat, true},
		{"empty id", header("from='hill.example' id='' version='1.0'"), BadFormat, true},
		{"version 0.5", header("from='hill.example' id='1' version='0.5'"), UnsupportedVersion, true},
		{"no features", header(good) + `<message/>`, UnsupportedStanzaType, true},
		{"no way in", strings.Replace(header(good), "xmlns:db='jabber:server:dialback' ", "", 1) + `<stream:features/>`, NotAuthorized, false},
		{"stream error", header(good) + `<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`, HostUnknown, false},
		{"see-other-host is not followed", header(good) + `<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>evil.example</see-other-host></stream:error>`, SeeOtherHost, false},
		{"invalid key", header(good) + features + `<db:result from='hill.example' to='dale.example' type='invalid'/>`, ErrInvalidKey, false},
		{"dialback error", header(good) + features + `<db:result from='hill.example' to='dale.example' type='error'><error type='cancel'>` +
			`<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>`, RemoteServerNotFound, false},
		{"closed at once", header(good) + `</stream:stream>`, ErrClosed, false},
		{"closed while dialback is outstanding", header(good) + features + `</stream:stream>`, ErrClosed, false},
		{"stanza from the accepting side", header(good) + features + `<message from='a@hill.example' to='b@dale.example'/>`, NotAuthorized, true},
		{"dialback request from the accepting side", header(good) + features + `<db:result from='hill.example' to='dale.example'>k</db:result>`, UnsupportedStanzaType, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Initiate(theirs, initiatePlain())
				result := make(chan error, 1)
				go func() {
					err := s.Negotiate(t.Context())
					s.Close()
					result <- err
				}()
				sc := script{{want: "from='dale.example' to='hill.example' version='1.0' xml:lang='en'>"}, {send: tt.send}}
				got := sc.play(t, ours)
				err := <-result
				if !errors.Is(err, tt.want) {
					t.Errorf("Negotiate: %v, want %v", err, tt.want)
				}
				if cond, ok := tt.want.(Condition); ok && strings.Contains(got, "<stream:error><"+string(cond)+" ") != tt.local {
					t.Errorf("sent %s", got)
				}
				if strings.Contains(got, "evil") {
					t.Error("followed see-other-host")
				}
				if s.State()&(Authenticated|Ready) != 0 || s.Authorized("dale.example", "hill.example") {
					t.Error("authorized nevertheless")
				}
			})
		})
	}
}

// Answers that nobody has asked for, or for other pairs, authorize nothing.
func TestUnsolicitedResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Initiate(theirs, initiatePlain())
		result := make(chan error, 1)
		go func() { result <- s.Negotiate(t.Context()) }()
		p := newPeer(ours)
		p.send(hill + features +
			`<db:result from='hill.example' to='bank.example' type='valid'/>` + // never asked
			`<db:result from='moor.example' to='dale.example' type='valid'/>` +
			`<db:result from='dale.example' to='hill.example' type='valid'/>` + // the wrong way round
			`<db:verify from='hill.example' to='dale.example' id='h1' type='valid'/>` + // another question
			`<db:verify from='hill.example' to='dale.example' type='valid'/>`)
		if err := p.want("</db:result>"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("Negotiate returned %v", err)
		default:
		}
		for _, pr := range []pair{
			{"bank.example", "hill.example"},
			{"dale.example", "moor.example"},
			{"hill.example", "dale.example"},
			{"dale.example", "hill.example"},
		} {
			if s.Authorized(pr.local, pr.remote) {
				t.Errorf("%v authorized", pr)
			}
		}
		p.send(authorized)
		if err := <-result; err != nil {
			t.Error(err)
		}
		if !s.Authorized("dale.example", "hill.example") {
			t.Error("the right answer was not taken")
		}
		if err := s.Send(t.Context(), chat("a@bank.example", "b@hill.example", "x")); !errors.Is(err, NotAuthorized) {
			t.Errorf("Send from a domain not authorized: %v", err)
		}
		if err := s.Send(t.Context(), &Stanza{Kind: Message}); !errors.Is(err, ImproperAddressing) {
			t.Errorf("Send without addresses: %v", err)
		}
		go p.send("</stream:stream>")
		s.Close()
	})
}

// Prosody repeats the stream's id and the key in its answer.
func TestAnswerWithIDAndKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Initiate(theirs, initiatePlain())
		go script{
			{send: hill + features},
			{want: "</db:result>"},
			{send: `<db:result from='hill.example' id='h1' type='valid' to='dale.example'>f00</db:result>`},
			{want: "</stream:stream>"},
			{send: "</stream:stream>"},
		}.play(t, ours)
		if err := s.Negotiate(t.Context()); err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// Without features, as before XMPP 1.0, the declaration of the namespace is the offer.
func TestInitiateLegacy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Initiate(theirs, initiatePlain())
		go script{
			{send: strings.Replace(hill, "version='1.0' xml:lang='en'", "", 1)},
			{want: "</db:result>"},
			{send: authorized},
			{want: "</stream:stream>"},
			{send: "</stream:stream>"},
		}.play(t, ours)
		if err := s.Negotiate(t.Context()); err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// A peer that has not offered dialback may close the stream on a db:result; it is not sent one.
func TestAuthorizeWithoutDialback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := initiatePlain()
		cfg.Features = append(cfg.Features, Feature{
			Name: xml.Name{Space: "urn:x", Local: "in"},
			Start: func(ctx context.Context, s *Stream, _ Element) (State, error) {
				s.authorize(pair{"dale.example", "hill.example"})
				return Authenticated, nil
			},
		})
		s := Initiate(theirs, cfg)
		bare := strings.Replace(hill, "xmlns:db='jabber:server:dialback' ", "", 1)
		go script{
			{send: bare + `<stream:features><in xmlns='urn:x'/></stream:features>`},
			{want: "</stream:stream>"},
			{send: "</stream:stream>"},
		}.play(t, ours)
		if err := s.Negotiate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Authorize(t.Context(), "moor.example", "hill.example"); !errors.Is(err, ErrDeclined) {
			t.Errorf("Authorize: %v", err)
		}
		s.Close()
	})
}

// The peer's limit is obeyed (XEP-0478); without one the configured.
func TestPeerLimit(t *testing.T) {
	for _, tt := range []struct{ name, limits string }{
		{"advertised", `<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>1000</max-bytes></limits>`},
		{"configured", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				cfg := initiatePlain()
				cfg.PeerLimit = 1000
				if tt.limits != "" {
					cfg.PeerLimit = 0
				}
				s := Initiate(theirs, cfg)
				go script{
					{send: hill + strings.Replace(features, "</stream", tt.limits+"</stream", 1)},
					{want: "</db:result>"},
					{send: authorized},
					{want: "<body>small"},
					{want: "<body>small"},
					{want: "</stream:stream>"},
					{send: "</stream:stream>"},
				}.play(t, ours)
				if err := s.Negotiate(t.Context()); err != nil {
					t.Fatal(err)
				}
				send := func(body string) error {
					return s.Send(t.Context(), chat("a@dale.example", "b@hill.example", body))
				}
				if err := send("small"); err != nil {
					t.Error(err)
				}
				var refused *StanzaError
				if err := send(strings.Repeat("x", 1000)); !errors.As(err, &refused) || refused.Condition != PolicyViolation {
					t.Errorf("large stanza: %v", err)
				}
				if err := send("small"); err != nil {
					t.Error(err)
				}
				if s.Sent() != 2 {
					t.Errorf("sent %d", s.Sent())
				}
				s.Close()
			})
		})
	}
}
