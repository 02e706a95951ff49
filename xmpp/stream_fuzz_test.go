package xmpp

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// FuzzAccept throws anything at an accepting stream: it must come to an end, without a panic, and whatever gets through
// must come from a domain that was proved and be for one that is hosted.
func FuzzAccept(f *testing.F) {
	message := `<message from='a@dale.example' to='b@hill.example'><body>x</body></message>`
	for _, seed := range []string{
		dale + prove + message + `</stream:stream>`,
		dale + `<db:verify from='dale.example' to='hill.example' id='1'>k</db:verify></stream:stream>`,
		dale + prove + `<db:result from='rooms.dale.example' to='rooms.hill.example'>k</db:result>` + message,
		dale + `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`,
		dale + `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`,
		dale + prove + ` <message to='@@' from='a@dale.example'/><iq/>`,
		strings.Replace(dale, "1.0", "0.9", 1), "GET / HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		ours, theirs := net.Pipe()
		cfg := acceptPlain()
		cfg.Features = append([]Feature{StartTLS(nil), External(nil)}, cfg.Features...)
		cfg.Timeouts = Timeouts{Negotiate: time.Second, Idle: time.Second, Element: time.Second, Close: time.Second, Write: time.Second}
		s := Accept(theirs, cfg)
		p := newPeer(ours)
		go func() {
			ours.Write(in)
			ours.Close()
		}()
		if s.Negotiate(context.Background()) == nil {
			for st, err := range s.Stanzas(context.Background()) {
				if err == nil && (!s.provenFor(st.From.Domain()) || !cfg.Hosted(st.To.Domain())) {
					t.Errorf("got through: %s", st.AppendFor(nil, NSServer))
				}
			}
		}
		s.Close()
		p.rest()
		if s.Pending() != 0 && s.Err() == nil {
			t.Error("something is still going on")
		}
	})
}
