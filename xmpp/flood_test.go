package xmpp

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// A peer of many domains proves one after the other.
func TestProofFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := Accept(near, acceptPlain())
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		p := newPeer(far)
		p.send(dale)
		for i := range maxProven + 20 {
			p.send(fmt.Sprintf(`<db:result from='d%d.example' to='hill.example'>k</db:result>`, i))
			want := "type='valid'/>"
			if i >= maxProven {
				want = "<resource-constraint"
			}
			if err := p.want(want); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(s.Proofs()); n != maxProven {
			t.Errorf("%d proofs", n)
		}
		p.send("</stream:stream>")
		if err := <-done; err != nil {
			t.Error(err)
		}
		far.Close()
	})
}

// Anybody may ask for our word on keys, and each that is not ours is worth a line in the log.
func TestVerifyFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		cfg := acceptPlain()
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		near, far := net.Pipe()
		s := Accept(near, cfg)
		done := make(chan error, 1)
		go func() { done <- serveAll(t, s) }()
		p := newPeer(far)
		p.send(dale + strings.Repeat(`<db:verify from='dale.example' to='hill.example' id='x'>k</db:verify>`, 5000) + "</stream:stream>")
		<-done
		if n := strings.Count(p.rest(), "type='invalid'"); n != 5000 {
			t.Errorf("%d answers", n)
		}
		if n := strings.Count(log.String(), "\n"); n > 2 {
			t.Errorf("%d lines in the log", n)
		}
	})
}
