package xmpp_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/xmpp"
)

// We are a component of real servers.
func TestRealComponent(t *testing.T) {
	const domain = "gossip.test"
	for _, server := range starters {
		t.Run(server.name, func(t *testing.T) {
			ctx := realPeers(t)
			s := newSite(t, nil)
			peer := server.start(t, rig.Options{Resolver: s.resolver.Addr(), Component: domain})
			connect := func(domain, secret string) (*xmpp.Stream, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "tcp", peer.Component)
				if err != nil {
					t.Fatal(err)
				}
				stream := xmpp.Initiate(conn, &xmpp.Config{
					Local: domain, Plaintext: true,
					Features: []xmpp.Feature{xmpp.Component(func(string) (string, error) { return secret, nil })},
				})
				return stream, stream.Negotiate(ctx)
			}
			for name, wrong := range map[string]struct{ domain, secret string }{
				"wrong secret": {domain, peer.ComponentSecret + "x"},
				"wrong domain": {"moor.test", peer.ComponentSecret},
			} {
				stream, err := connect(wrong.domain, wrong.secret)
				// ejabberd says not-authorized in both cases.
				if !errors.Is(err, xmpp.NotAuthorized) && !(wrong.domain != domain && errors.Is(err, xmpp.HostUnknown)) {
					t.Errorf("%s: %v", name, err)
				}
				stream.Close()
			}
			stream, err := connect(domain, peer.ComponentSecret)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				for st, err := range stream.Stanzas(context.Background()) {
					if err != nil {
						ended <- err
						return
					}
					s.got <- arrived{st.Clone(), stream}
				}
				ended <- nil
			}()
			user := login(ctx, t, peer, "romeo")
			for _, id := range []string{"1", "2"} {
				s.to(ctx, t, stream, "rose@"+domain+"/x", user, "out"+id)
				s.from(ctx, t, user, "rose@"+domain+"/x", "in"+id)
			}
			if err := stream.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
