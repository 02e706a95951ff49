package xmpp

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// A deafConn takes one write, and then no more.
type deafConn struct {
	net.Conn
	heard bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if c.heard {
		return 0, io.ErrClosedPipe
	}
	c.heard = true
	return c.Conn.Write(b)
}

// A peer that refuses us says why and hangs up. We may be writing at that moment; what it said is the error all the same.
func TestComplaintBehindFailedWrite(t *testing.T) {
	for _, test := range []struct {
		name, says string
		want       Condition
	}{
		{"host-unknown", "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>", "host-unknown"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				s := Initiate(&deafConn{Conn: ours}, &Config{
					Local: "hill.example", Remote: "dale.example", Features: []Feature{StartTLS(&tls.Config{ServerName: "dale.example"})},
				})
				go io.Copy(io.Discard, theirs)
				go func() {
					io.WriteString(theirs, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='dale.example' "+
						"to='hill.example' id='1' version='1.0'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>")
					io.WriteString(theirs, test.says)
					theirs.Close()
				}()
				err := s.Negotiate(t.Context())
				var said *StreamError
				switch {
				case test.want == "" && (err == nil || errors.As(err, &said)):
					t.Errorf("ended with %v", err)
				case test.want != "" && (!errors.As(err, &said) || said.Condition != test.want):
					t.Errorf("ended with %v", err)
				}
				s.Close()
			})
		})
	}
}
