package xmpp_test

import (
	"context"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/xmpp"
)

// One stream carries both directions, whoever opened it.
func TestRealBidi(t *testing.T) {
	t.Run("EXTERNAL", func(t *testing.T) { realBidi(t, rig.TLS) })
	t.Run("dialback", func(t *testing.T) { realBidi(t, rig.TLSDialback) })
}

func realBidi(t *testing.T, security rig.Security) {
	ctx := realPeers(t)
	ca := rig.NewCA(t)
	s := newSite(t, ca)
	peer := rig.Prosody(t, rig.Options{
		Security: security, CA: ca, Resolver: s.resolver.Addr(), Modules: []string{"s2s_bidi"},
	})
	by, authentication := xmpp.ByExternal, external(ca)
	if security == rig.TLSDialback {
		by, authentication = xmpp.ByDialback, s.dialback
	}
	s.meet(peer, s.startTLS(), xmpp.Bidi(xmpp.BidiConfig{Verify: trust(ca)}), authentication)
	user := login(ctx, t, peer, "romeo")

	t.Run("we initiate", func(t *testing.T) {
		local := oursDirect // which Prosody cannot find, and need not
		if security == rig.TLSDialback {
			local = ours // whose server it has to ask
		}
		stream, err := s.dial(ctx, local, "")
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
		s.to(ctx, t, stream, "juliet@"+local+"/balcony", user, "out1")
		// With dialback Prosody has a stream of its own by now, which it has asked about our key.
		if a := s.from(ctx, t, user, "juliet@"+local+"/balcony", "in1"); a.stream != stream && security == rig.TLS {
			t.Error("the answer took another stream")
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("Prosody initiates", func(t *testing.T) {
		a := s.from(ctx, t, user, "juliet@"+ours+"/balcony", "in2")
		if a.stream.State()&xmpp.Bidirectional == 0 || !a.stream.Authorized(ours, peer.Domain) || proof(a.stream, peer.Domain) != by {
			t.Errorf("state %b, proofs %v", a.stream.State(), a.stream.Proofs())
		}
		s.to(ctx, t, a.stream, "juliet@"+ours+"/balcony", user, "out2")
		if again := s.from(ctx, t, user, "juliet@"+ours+"/balcony", "in3"); again.stream != a.stream {
			t.Error("the second stanza came on another stream")
		}
	})
}
