package xmpp_test

import (
	"context"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/xmpp"
)

// One stream carries both directions, whoever opened it.
func TestRealBidi(t *testing.T) {
	ctx := realPeers(t)
	ca := rig.NewCA(t)
	s := newSite(t, ca)
	peer := rig.Prosody(t, rig.Options{
		Security: rig.TLS, CA: ca, Resolver: s.resolver.Addr(), Modules: []string{"s2s_bidi"},
	})
	s.meet(peer, s.startTLS(), xmpp.Bidi(xmpp.BidiConfig{Verify: trust(ca)}), external(ca))
	user := login(ctx, t, peer, "romeo")

	t.Run("we initiate", func(t *testing.T) {
		// Prosody cannot find this domain, and need not.
		stream, err := s.dial(ctx, oursDirect, "")
		if err != nil {
			t.Fatal(err)
		}
		if stream.State()&xmpp.Bidirectional == 0 || proof(stream, peer.Domain) != xmpp.ByServerCertificate {
			t.Errorf("state %b, proofs %v", stream.State(), stream.Proofs())
		}
		go func() {
			for st, err := range stream.Stanzas(context.Background()) {
				if err != nil {
					s.ended <- err
					return
				}
				s.got <- arrived{st.Clone(), stream}
			}
		}()
		s.to(ctx, t, stream, "juliet@"+oursDirect+"/balcony", user, "out1")
		if a := s.from(ctx, t, user, "juliet@"+oursDirect+"/balcony", "in1"); a.stream != stream {
			t.Error("the answer took another stream")
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("Prosody initiates", func(t *testing.T) {
		a := s.from(ctx, t, user, "juliet@"+ours+"/balcony", "in2")
		if a.stream.State()&xmpp.Bidirectional == 0 || !a.stream.Authorized(ours, peer.Domain) {
			t.Errorf("state %b", a.stream.State())
		}
		s.to(ctx, t, a.stream, "juliet@"+ours+"/balcony", user, "out2")
		if again := s.from(ctx, t, user, "juliet@"+ours+"/balcony", "in3"); again.stream != a.stream {
			t.Error("the second stanza came on another stream")
		}
	})
}
