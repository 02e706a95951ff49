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

// acceptPlain is a configuration of hill.example that takes everybody's dialback for good but liar.example's.
func acceptPlain() *Config {
	return &Config{
		Plaintext: true,
		Hosted:    func(d string) bool { return d == "hill.example" || d == "rooms.hill.example" },
		Features: []Feature{Dialback(DialbackConfig{
			Secret: []byte("hill"),
			Verify: func(_ context.Context, local, remote, id, key string) error {
				if remote == "liar.example" {
					return ErrInvalidKey
				}
				return nil
			},
		})},
	}
}

const (
	prove    = `<db:result from='dale.example' to='hill.example'>k</db:result>`
	isProven = `<db:result from='hill.example' to='dale.example' type='valid'/>`
)

// What a hostile or broken peer sends, and what the accepting side says.
func TestAcceptBadInput(t *testing.T) {
	header := func(attrs string) string {
		return `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' ` +
			`xmlns:db='jabber:server:dialback' ` + attrs + `>`
	}
	for _, tt := range []struct {
		name string
		sc   script
		cond Condition // of the stream error that ends it
	}{
		{"not XML", script{{send: "GET / HTTP/1.1\r\n\r\n"}}, NotWellFormed},
		{"other stream namespace", script{{send: `<stream:stream xmlns='jabber:server' xmlns:stream='urn:x' to='hill.example'>`}}, InvalidNamespace},
		{"client's namespace", script{{send: `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='hill.example' version='1.0'>`}}, InvalidNamespace},
		{"DTD", script{{send: `<!DOCTYPE x><x/>`}}, RestrictedXML},
		{"no to", script{{send: header("from='dale.example' version='1.0'")}}, ImproperAddressing},
		{"malformed to", script{{send: header("from='dale.example' to='a b' version='1.0'")}}, ImproperAddressing},
		{"malformed from", script{{send: header("from='.' to='hill.example' version='1.0'")}}, ImproperAddressing},
		{"unknown host", script{{send: header("from='dale.example' to='moor.example' version='1.0'")}}, HostUnknown},
		{"version 0.9", script{{send: header("from='dale.example' to='hill.example' version='0.9'")}}, UnsupportedVersion},
		{"version nonsense", script{{send: header("from='dale.example' to='hill.example' version='new'")}}, UnsupportedVersion},
		{"stanza before dialback", script{{send: dale + `<message from='a@dale.example' to='b@hill.example'/>`}}, NotAuthorized},
		{"unknown element", script{{send: dale + `<hello xmlns='urn:x'/>`}}, UnsupportedStanzaType},
		{"features from the initiating side", script{{send: dale + `<stream:features/>`}}, UnsupportedStanzaType},
		{"too large before authentication", script{
			{send: dale + `<db:result from='dale.example' to='hill.example'>`},
			{send: strings.Repeat("k", 8<<10)},
		}, PolicyViolation},
		{"dialback without names", script{{send: dale + `<db:result>k</db:result>`}}, ImproperAddressing},
		{"dialback unknown", script{{send: dale + `<db:hello from='dale.example' to='hill.example'/>`}}, UnsupportedStanzaType},
		{"dialback answer of unknown type", script{{send: dale + `<db:result from='dale.example' to='hill.example' type='maybe'/>`}}, BadFormat},
		{"STARTTLS where there is none", script{{send: dale + `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`}}, UnsupportedStanzaType},

		{"sender not proved", script{
			{send: dale + prove},
			{want: isProven},
			{send: `<message from='a@bank.example' to='b@hill.example'/>`},
		}, InvalidFrom},
		{"host not here", script{
			{send: dale + prove},
			{want: isProven},
			{send: `<message from='a@dale.example' to='b@moor.example'/>`},
		}, HostUnknown},
		{"no from", script{{send: dale + prove}, {want: isProven}, {send: `<message to='b@hill.example'/>`}}, ImproperAddressing},
		{"no to in a stanza", script{{send: dale + prove}, {want: isProven}, {send: `<message from='a@dale.example'/>`}}, ImproperAddressing},
		{"no addresses", script{{send: dale + prove}, {want: isProven}, {send: `<iq type='get' id='1'/>`}}, ImproperAddressing},
		{"malformed from of a domain not proved", script{
			{send: dale + prove},
			{want: isProven},
			{send: `<message from='a@bank.example' to='@@'/>`},
		}, InvalidFrom},
		{"malformed stanza to a host not here", script{
			{send: dale + prove},
			{want: isProven},
			{send: `<iq type='hello' id='1' from='a@dale.example' to='b@moor.example'/>`},
		}, HostUnknown},
		{"not well-formed", script{{send: dale + prove}, {want: isProven}, {send: `<message></presence>`}}, NotWellFormed},
		{"unbound prefix", script{{send: dale + prove}, {want: isProven}, {send: `<message><a:b/></message>`}}, BadNamespacePrefix},
		{"comment", script{{send: dale + prove}, {want: isProven}, {send: `<!-- -->`}}, RestrictedXML},
		{"stanza in another namespace", script{
			{send: dale + prove},
			{want: isProven},
			{send: `<message xmlns='jabber:client' from='a@dale.example' to='b@hill.example'/>`},
		}, UnsupportedStanzaType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Accept(theirs, acceptPlain())
				result := make(chan error, 1)
				go func() { result <- serveAll(t, s) }()
				sc := append(tt.sc, line{want: "<stream:error><" + string(tt.cond) + " "}, line{want: "</stream:stream>"})
				if got := sc.play(t, ours); !strings.HasPrefix(got, prologue+"<stream:stream ") {
					t.Errorf("an error needs a stream around it: %s", got)
				}
				var streamErr *StreamError
				if err := <-result; !errors.As(err, &streamErr) || !streamErr.Local || streamErr.Condition != tt.cond {
					t.Errorf("error %v, want %s of ours", err, tt.cond)
				}
			})
		})
	}
}

// serveAll negotiates s and takes no stanza from it; it returns what ended the stream.
func serveAll(t *testing.T, s *Stream) error {
	defer s.Close()
	if err := s.Negotiate(t.Context()); err != nil {
		return err
	}
	for st, err := range s.Stanzas(t.Context()) {
		if err != nil {
			return err
		}
		t.Errorf("stanza got through: %s", st.AppendFor(nil, NSServer))
	}
	return nil
}

// A malformed address concerns one sender: the stream goes on.
func TestMalformedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := acceptPlain()
		var bounced []string
		cfg.Bounce = func(reply *Stanza) { bounced = append(bounced, string(reply.AppendFor(nil, NSServer))) }
		s := Accept(theirs, cfg)
		var got []string
		done := make(chan error, 1)
		go func() {
			err := s.Negotiate(t.Context())
			for st, e := range s.Stanzas(t.Context()) {
				if err = e; e == nil {
					got = append(got, st.ID)
				}
			}
			s.Close()
			done <- err
		}()
		script{
			{send: dale + prove},
			{want: isProven},
			{send: `<message id='1' from='a@dale.example' to='@@'><body>x</body></message>`},
			{send: `<message id='2' from='@dale.example/' to='b@hill.example'/>`},
			{send: `<message id='3' from='a@dale.example' to='b@hill.example' type='error'/>`},
			{send: `<message id='4' from='a@dale.example' to='/' type='error'/>`},
			{send: `</stream:stream>`},
			{want: `</stream:stream>`},
		}.play(t, ours)
		if err := <-done; err != nil {
			t.Errorf("stream ended with %v", err)
		}
		if len(got) != 1 || got[0] != "3" {
			t.Errorf("stanzas %q, want 3 alone", got)
		}
		if len(bounced) != 1 || !strings.Contains(bounced[0], "jid-malformed") || !strings.Contains(bounced[0], "id='1'") ||
			!strings.Contains(bounced[0], "from='hill.example'") || !strings.Contains(bounced[0], "to='a@dale.example'") {
			t.Errorf("bounced %q", bounced)
		}
	})
}

// A peer older than XMPP 1.0 gets no version and no features, but dialback.
func TestAcceptLegacy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Accept(theirs, acceptPlain())
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		got := script{
			{send: strings.Replace(dale, "version='1.0' xml:lang='en'", "", 1)},
			{want: "xml:lang='en'>"},
			{send: prove},
			{want: isProven},
			{send: `</stream:stream>`},
			{want: `</stream:stream>`},
		}.play(t, ours)
		if err := <-done; err != nil && err != ErrClosed { // the peer may close before Negotiate returns
			t.Error(err)
		}
		if strings.Contains(got, "version='1.0'?><stream:stream version") || strings.Contains(got, "features") {
			t.Errorf("answered %s", got)
		}
		if h := got[len(prologue):strings.Index(got, isProven)]; strings.Contains(h, "version=") {
			t.Errorf("header with version: %s", h)
		}
	})
}

// A later minor or major version is answered with 1.0.
func TestAcceptLaterVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Accept(theirs, acceptPlain())
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		script{
			{send: strings.Replace(dale, "version='1.0' xml", "version='2.7' xml", 1)},
			{want: "version='1.0'"},
			{want: "</stream:features>"},
			{send: prove},
			{want: isProven},
			{send: `</stream:stream>`},
		}.play(t, ours)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The header and the features leave in one write, as Prosody does it.
func TestHeaderAndFeaturesInOneSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := Accept(theirs, acceptPlain())
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		ours.Write([]byte(dale))
		b := make([]byte, 4096)
		n, err := ours.Read(b)
		if err != nil || !strings.HasSuffix(string(b[:n]), "</stream:features>") {
			t.Errorf("first read: %v %s", err, b[:n])
		}
		if got := string(b[:n]); !strings.Contains(got, "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>") ||
			!strings.Contains(got, "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes><idle-seconds>3600</idle-seconds></limits>") {
			t.Errorf("features %s", got)
		}
		ours.Close()
		if err := <-done; err == nil {
			t.Error("a lost connection is no orderly end")
		}
	})
}

// After authentication a stanza may be as large as Limits say.
func TestLimitsAfterAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := accepted(t, func(cfg *Config) { cfg.Limits.Stanza = 20 << 10 })
		body := strings.Repeat("x", 19<<10)
		go p.send(`<message from='a@dale.example' to='b@hill.example'><body>` + body + `</body></message>` +
			`<message from='a@dale.example' to='b@hill.example'><body>xx` + body + body + `</body></message>`)
		n := 0
		for st, err := range s.Stanzas(t.Context()) {
			switch {
			case err == nil && st.Text("body") == body:
				n++
			case !errors.Is(err, PolicyViolation):
				t.Errorf("yields %v, %v", st, err)
			}
		}
		if n != 1 {
			t.Errorf("%d stanzas", n)
		}
		s.Close()
	})
}

// After a restart our header is owed again, also to a peer whose own is no good.
func TestErrorAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := acceptPlain()
		cfg.Features = append(cfg.Features, Feature{
			Name:  xml.Name{Space: "urn:x", Local: "again"},
			Serve: func(context.Context, *Stream, Element) (State, error) { return Restart, nil },
		})
		s := Accept(theirs, cfg)
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		script{
			{send: dale},
			{want: "</stream:features>"},
			{send: "<again xmlns='urn:x'/>" + strings.Replace(dale, "hill", "moor", 1)},
			{want: "<stream:stream "},
			{want: "<stream:error><host-unknown"},
		}.play(t, ours)
		if err := <-done; !errors.Is(err, HostUnknown) {
			t.Error(err)
		}
	})
}

// A peer that tries again and again to authenticate is cut off.
func TestTooManyAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := acceptPlain()
		cfg.Features = append(cfg.Features, External(nil))
		s := Accept(theirs, cfg)
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		const auth, failure = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", "<encryption-required/></failure>"
		script{
			{send: dale + auth + auth + auth + auth},
			{want: failure},
			{want: failure},
			{want: failure},
			{want: "<stream:error><policy-violation"},
		}.play(t, ours)
		if err := <-done; !errors.Is(err, PolicyViolation) {
			t.Error(err)
		}
	})
}
