package xmpp_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/internal/tap"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A stream to Prosody breaks with stanzas under way and goes on in another: nothing is lost, and nothing comes twice. The mod_smacks
// of Prosody 0.12 keeps sessions for resumption by the user they belong to, so between servers it echoes resume='true' but
// gives no id; what it has acknowledged is known, and the rest is sent again. A Prosody that resumes passes as well.
func TestRealResume(t *testing.T) {
	ctx := realPeers(t)
	ca := rig.NewCA(t)
	s := newSite(t, ca)
	peer := rig.Prosody(t, rig.Options{
		Security: rig.TLS, CA: ca, Resolver: s.resolver.Addr(), Modules: []string{"smacks"},
	})
	s.meet(peer, s.startTLS(), external(ca), xmpp.Management(xmpp.ManagementConfig{}))
	between, err := tap.Listen("127.0.0.1:0", peer.S2S)
	if err != nil {
		t.Fatal(err)
	}
	defer between.Close()
	user := login(ctx, t, peer, "romeo")
	from := "juliet@" + ours + "/balcony"

	connect := func(old *xmpp.Stream) *xmpp.Stream {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", between.Addr())
		if err != nil {
			t.Fatal(err)
		}
		stream := xmpp.Initiate(conn, s.config(ours, peer.Domain))
		if old != nil {
			stream.Resume(old)
		}
		if err := stream.Negotiate(ctx); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range stream.Stanzas(ctx) {
			}
		}()
		return stream
	}
	next := 0
	send := func(stream *xmpp.Stream, n int) {
		for range n {
			if err := stream.Send(ctx, message(t, from, user.JID(), strconv.Itoa(next))); err != nil {
				t.Fatal(err)
			}
			next++
		}
	}
	acknowledged := func(stream *xmpp.Stream, n uint64) {
		for tick := time.NewTicker(time.Millisecond); stream.Acknowledged() < n; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%d of %d acknowledged", stream.Acknowledged(), n)
			}
		}
	}

	stream := connect(nil)
	send(stream, 50)
	acknowledged(stream, 50)
	between.Hold()
	send(stream, 20)
	between.Cut()
	between.Release()
	select {
	case <-stream.Done():
	case <-ctx.Done():
		t.Fatal("the stream outlives its connection")
	}
	resumable := stream.Resumable()
	again := connect(stream)
	if again.Resumed() != resumable {
		t.Errorf("resumed: %v, but resumable: %v", again.Resumed(), resumable)
	}
	total := uint64(25) // of the new session
	if again.Resumed() {
		total += 50
	} else {
		lost := stream.Unacknowledged()
		if len(lost) != 20 {
			t.Errorf("%d stanzas given back", len(lost))
		}
		for _, st := range lost {
			if err := again.Send(ctx, st); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(again, 5)
	acknowledged(again, total)
	for i := range next {
		got, err := user.Expect(ctx, func(st rig.Stanza) bool { return st.Is("message") })
		if err != nil {
			t.Fatal(err)
		}
		if id := got.Attribute("id"); id != strconv.Itoa(i) {
			t.Fatalf("message %s instead of %d", id, i)
		}
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if rest := again.Unacknowledged(); rest != nil {
		t.Errorf("%d stanzas given back after all were acknowledged", len(rest))
	}
	if rest := user.Unexpected(); len(rest) > 0 {
		t.Errorf("%d stanzas more than sent", len(rest))
	}
}

// The other way round it is Prosody that sends again what we have not acknowledged.
func TestRealResend(t *testing.T) {
	ctx := realPeers(t)
	ca := rig.NewCA(t)
	s := newSite(t, ca)
	between, err := tap.Listen("127.0.0.1:0", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer between.Close()
	s.resolver.Remove("_xmpp-server._tcp."+ours, "")
	s.publish("_xmpp-server._tcp."+ours, between.Addr())
	peer := rig.Prosody(t, rig.Options{
		Security: rig.TLS, CA: ca, Resolver: s.resolver.Addr(),
		Modules: []string{"smacks", "s2s_bidi"}, Extra: "smacks_s2s_resend = true\n",
	})
	s.meet(peer, s.startTLS(), xmpp.Bidi(xmpp.BidiConfig{Verify: trust(ca)}), external(ca), xmpp.Management(xmpp.ManagementConfig{}))
	user := login(ctx, t, peer, "romeo")
	to := "juliet@" + ours + "/balcony"

	next := 0
	send := func(n int) {
		for range n {
			if err := user.Send(ctx, string(message(t, user.JID(), to, strconv.Itoa(next)).AppendFor(nil, xmpp.NSClient))); err != nil {
				t.Fatal(err)
			}
			next++
		}
	}
	receive := func(want func(*xmpp.Stanza) bool) arrived {
		for {
			select {
			case a := <-s.got:
				if want(a.stanza) {
					return a
				}
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
		}
	}
	expected := 0
	messages := func(n int) (last arrived) {
		for range n {
			last = receive(func(st *xmpp.Stanza) bool { return st.Kind == xmpp.Message })
			if last.stanza.ID != strconv.Itoa(expected) {
				t.Fatalf("message %s instead of %d", last.stanza.ID, expected)
			}
			expected++
		}
		return last
	}
	send(50)
	first := messages(50).stream
	// Prosody works a stream in order: with the answer to this, it has had our acknowledgements.
	barrier(ctx, t, first, to, peer.Domain)
	receive(func(st *xmpp.Stanza) bool { return st.Kind == xmpp.IQ && st.ID == "barrier" })
	between.Hold()
	send(20)
	if err := user.Ping(ctx, peer.Domain); err != nil { // and so it has had these
		t.Fatal(err)
	}
	between.Cut()
	between.Release()
	if second := messages(20).stream; second == first {
		t.Error("on the stream that is broken")
	}
	send(5)
	messages(5)
}

// barrier asks peer for an answer.
func barrier(ctx context.Context, t *testing.T, stream *xmpp.Stream, from, peer string) {
	t.Helper()
	ping := &xmpp.Stanza{Kind: xmpp.IQ, Type: "get", ID: "barrier", From: uniform.MustParseJID(from), To: uniform.MustParseJID(peer)}
	if err := ping.SetRaw([]byte("<ping xmlns='urn:xmpp:ping'/>")); err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(ctx, ping); err != nil {
		t.Fatal(err)
	}
}
