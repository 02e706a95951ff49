package psycswitch_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// TestLongStanzas sends by a circuit what is longer than most, and too long: a packet that the peer does not take would end the
// circuit for everybody, and one that is taken must arrive whole.
func TestLongStanzas(t *testing.T) {
	f := newFortress(t, nil)
	link, err := psycswitch.Dial(t.Context(), &psycswitch.Config{
		Hosts:    psycswitch.StaticHosts{"evil.example": nil},
		Insecure: psycswitch.Plaintext,
		Resolver: &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
			"north.example": {{Protocol: psycswitch.XMPP, Addr: f.addr}},
		}},
	}, "evil.example", "north.example")
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	if p := link.Info().Protocol; p != psycswitch.PSYC {
		t.Fatalf("link speaks %v", p)
	}
	from, to := uniform.MustParseJID("mallory@evil.example"), uniform.MustParseJID("ada@north.example")
	native := func(n int) *xmpp.Stanza {
		s := &xmpp.Stanza{Kind: xmpp.Message, Type: "chat", From: from, To: to}
		s.SetText("body", strings.Repeat("x", n))
		return s
	}
	verbatim := func(n int) *xmpp.Stanza {
		s := &xmpp.Stanza{Kind: xmpp.IQ, Type: "set", ID: "1", From: from, To: to}
		if err := s.SetRaw([]byte("<x xmlns='urn:x'>" + strings.Repeat("x", n) + "</x>")); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, tt := range []struct {
		stanza *xmpp.Stanza
		taken  bool
	}{
		{native(1), true},
		{native(64<<10 - 1), true},
		{native(64<<10 + 1), true},
		{verbatim(300 << 10), true},
		{native(512<<10 - 1000), true},
		{native(512 << 10), false},
		{native(2), true},
	} {
		err := link.Send(t.Context(), tt.stanza)
		if !tt.taken {
			var refusal *xmpp.StanzaError
			if !errors.As(err, &refusal) || refusal.Condition != xmpp.PolicyViolation {
				t.Errorf("%d bytes: %v", len(tt.stanza.Raw()), err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-f.got:
			if string(got.Raw()) != string(tt.stanza.Raw()) {
				t.Errorf("%d bytes arrived as %d", len(tt.stanza.Raw()), len(got.Raw()))
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d bytes did not arrive", len(tt.stanza.Raw()))
		}
	}
}
