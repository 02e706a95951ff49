package xmpp

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// Conversations with the structure that Prosody 0.12 and ejabberd 23.01 give them, whatever they are about: the order of
// attributes, ids that are there and empty, answers with and without the key, what comes in one segment and what in two.

func TestProsodyInitiates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Accept(theirs, acceptPlain())
		done := make(chan error, 1)
		var got []string
		go func() {
			err := s.Negotiate(t.Context())
			for st, e := range s.Stanzas(t.Context()) {
				if err = e; e == nil {
					got = append(got, st.Kind.String()+" "+st.Type)
				}
			}
			s.Close()
			done <- err
		}()
		all := script{
			{send: `<?xml version='1.0'?><stream:stream from='dale.example' version='1.0' xmlns:stream='http://etherx.jabber.org/streams' xml:lang='en' xmlns='jabber:server' xmlns:db='jabber:server:dialback' id='' to='hill.example'>`},
			{want: `<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>`},
			{send: `<db:result from='dale.example' to='hill.example'>0123456789abcdef</db:result>`},
			{want: `<db:result from='hill.example' to='dale.example' type='valid'/>`},
			// The outgoing stream serves for asking as well.
			{send: `<db:verify from='dale.example' id='of-hill' to='hill.example'>fedcba</db:verify>`},
			{want: `<db:verify from='hill.example' to='dale.example' id='of-hill' type='invalid'/>`},
			// Three stanzas in one write.
			{send: `<presence from='jill@dale.example' to='jack@hill.example' xml:lang='en' id='s1' type='subscribed'/>` +
				`<presence from='jill@dale.example/well' to='jack@hill.example' id='s2' xml:lang='en'><delay from='dale.example' xmlns='urn:xmpp:delay' stamp='2026-11-22T15:00:00Z'/></presence>` +
				`<presence from='jill@dale.example' type='probe' to='jack@hill.example'/>`},
			// A reply to another of our domains comes on the same stream.
			{send: `<iq from='dale.example' type='result' id='v' to='rooms.hill.example'/> `},
			{send: `</stream:stream>`},
			{want: `</stream:stream>`},
		}.play(t, ours)
		if err := <-done; err != nil {
			t.Errorf("%v\n%s", err, all)
		}
		if want := "presence subscribed,presence ,presence probe,iq result"; strings.Join(got, ",") != want {
			t.Errorf("got %q", got)
		}
		if s.Lang() != "en" || s.Local() != "hill.example" || s.Remote() != "dale.example" {
			t.Errorf("lang %q local %q remote %q", s.Lang(), s.Local(), s.Remote())
		}
	})
}

func TestEjabberdInitiates(t *testing.T) {
	header := `<?xml version='1.0'?><stream:stream version='1.0' xml:lang='en' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' to='hill.example' from='dale.example' xmlns='jabber:server'>`
	t.Run("to send", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			s := Accept(theirs, acceptPlain())
			done := make(chan error, 1)
			go func() {
				err := s.Negotiate(t.Context())
				for _, err = range s.Stanzas(t.Context()) {
				}
				s.Close()
				done <- err
			}()
			script{
				{send: header},
				{want: `</stream:features>`},
				{send: `<db:result to='hill.example' from='dale.example'>0123456789abcdef</db:result>`},
				{want: `type='valid'/>`},
				{send: `<message xml:lang='en' to='jack@hill.example' from='jill@dale.example/well' type='chat' id='1'><body>up</body></message>`},
				{send: `</stream:stream>`},
				{want: `</stream:stream>`},
			}.play(t, ours)
			if err := <-done; err != nil || s.Received() != 1 {
				t.Errorf("%v, %d stanzas", err, s.Received())
			}
		})
	})
	// A connection of its own for each db:verify, closed at once.
	t.Run("to verify", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			s := Accept(theirs, acceptPlain())
			done := make(chan error, 1)
			go func() { done <- serveAll(t, s) }()
			key := Dialback(DialbackConfig{Secret: []byte("hill")}).dialback.key("dale.example", "hill.example", "354565")
			script{
				{send: header},
				{want: `</stream:features>`},
				{send: `<db:verify id='354565' to='hill.example' from='dale.example'>` + key + `</db:verify>`},
				{want: `id='354565' type='valid'/>`},
				{send: `</stream:stream>`},
				{want: `</stream:stream>`},
			}.play(t, ours)
			if err := <-done; err != ErrClosed {
				t.Errorf("Negotiate: %v", err)
			}
		})
	})
}

func TestServersAccept(t *testing.T) {
	for _, tt := range []struct {
		name string
		sc   script
	}{
		{"Prosody", script{
			{send: `<?xml version='1.0'?><stream:stream from='hill.example' version='1.0' xmlns:stream='http://etherx.jabber.org/streams' xml:lang='en' xmlns='jabber:server' xmlns:db='jabber:server:dialback' id='745b8739-29be' to='dale.example'><stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>`},
			{want: `</db:result>`},
			{send: `<db:result from='hill.example' type='valid' id='745b8739-29be' to='dale.example'>0123456789abcdef</db:result>`},
		}},
		// Header and features in two segments, mechanisms without one.
		{"ejabberd", script{
			{send: `<?xml version='1.0'?><stream:stream id='3545650744' version='1.0' xml:lang='en' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' to='dale.example' from='hill.example' xmlns='jabber:server'>`},
			{send: `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>`},
			{want: `</db:result>`},
			{send: `<db:result type='valid' to='dale.example' from='hill.example'/>`},
		}},
		// Prefixes that are nobody's habit.
		{"a stranger", script{
			{send: `<s:stream xmlns:s="http://etherx.jabber.org/streams" xmlns="jabber:server" xmlns:d="jabber:server:dialback" to="dale.example" from="hill.example" id="&lt;1&gt;" version="1.0"><s:features><d:x xmlns:d="urn:x"/><f:dialback xmlns:f="urn:xmpp:features:dialback"/></s:features>`},
			{want: `</db:result>`},
			{send: `<d:result type="valid" to="dale.example" from="hill.example"/>`},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				cfg := initiatePlain()
				cfg.Features = append([]Feature{External(nil)}, cfg.Features...)
				s := Initiate(theirs, cfg)
				done := make(chan error, 1)
				go func() {
					err := s.Negotiate(t.Context())
					if err == nil {
						err = s.Send(t.Context(), chat("jill@dale.example", "jack@hill.example", "up"))
					}
					s.Close()
					done <- err
				}()
				all := append(tt.sc, line{want: "<body>up</body></message></stream:stream>"}, line{send: "</stream:stream>"}).play(t, ours)
				if err := <-done; err != nil {
					t.Errorf("%v\n%s", err, all)
				}
			})
		})
	}
}

// After TLS: EXTERNAL is offered to everybody and refused, dialback follows on the same stream.
func TestExternalRefusedThenDialback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := initiatePlain()
		x := External(nil)
		x.Requires = 0 // TLS is not what this test is about
		cfg.Features = append([]Feature{x}, cfg.Features...)
		s := Initiate(theirs, cfg)
		done := make(chan error, 1)
		go func() {
			err := s.Negotiate(t.Context())
			s.Close()
			done <- err
		}()
		script{
			{send: hill + `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>`},
			{want: `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZGFsZS5leGFtcGxl</auth>`},
			{send: `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>unable to verify the first certificate</text></failure>`},
			{want: `</db:result>`},
			{send: authorized},
			{want: `</stream:stream>`},
			{send: `</stream:stream>`},
		}.play(t, ours)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
