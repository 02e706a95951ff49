package xmpp

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A sluggish connection takes its time to notice a deadline, as one does whose reader is not scheduled at once: what arrives
// until then is still read.
type sluggish struct{ net.Conn }

func (c sluggish) SetReadDeadline(t time.Time) error {
	if t.IsZero() || t.After(time.Now()) {
		return c.Conn.SetReadDeadline(t)
	}
	time.AfterFunc(time.Millisecond, func() { c.Conn.SetReadDeadline(t) })
	return nil
}

// Before it has proved anything a peer may send little. What it sends as soon as it hears that its domain is proved is not
// measured by that.
func TestFirstStanzaAfterDialback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		cfg := acceptPlain()
		decide := make(chan struct{})
		cfg.Features = []Feature{Dialback(DialbackConfig{Verify: func(context.Context, string, string, string, string) error {
			<-decide
			return nil
		}})}
		s := Accept(sluggish{near}, cfg)
		done := make(chan error, 1)
		got := 0
		go func() {
			if err := s.Negotiate(t.Context()); err != nil {
				done <- err
				return
			}
			for _, err := range s.Stanzas(t.Context()) {
				if err != nil {
					done <- err
					return
				}
				got++
			}
			done <- nil
		}()
		p := newPeer(far)
		p.send(dale + prove)
		synctest.Wait() // until the stream reads, and the key is being verified
		close(decide)
		if err := p.want(isProven); err != nil {
			t.Fatal(err)
		}
		p.send("<message from='a@dale.example' to='b@hill.example'>" + strings.Repeat("<x xmlns='urn:x'>", 100) +
			strings.Repeat("</x>", 100) + "</message></stream:stream>")
		if err := <-done; err != nil || got != 1 {
			t.Errorf("%d stanzas, %v", got, err)
		}
		s.Close()
		far.Close()
	})
}
