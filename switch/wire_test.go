package psycswitch_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A wire is a connection on which a test says by hand what a peer might say.
type wire struct {
	t *testing.T
	net.Conn
	read string // and not yet expected
}

func (w *town) dial(from, to string) *wire {
	w.t.Helper()
	conn, err := w.net.from(from).DialContext(w.t.Context(), "tcp", to)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return &wire{t: w.t, Conn: conn}
}

// accept waits for the next connection to a listener of the test.
func (l *memListener) accept(t *testing.T) *wire {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{t: t, Conn: conn}
}

func (c *wire) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Errorf("writing %q: %v", s, err)
	}
}

// expect reads until want comes, and returns all up to its end.
func (c *wire) expect(want string) string {
	c.t.Helper()
	for b := make([]byte, 4096); ; {
		if i := strings.Index(c.read, want); i >= 0 {
			got := c.read[:i+len(want)]
			c.read = c.read[i+len(want):]
			return got
		}
		c.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.Read(b)
		c.read += string(b[:n])
		if err != nil && n == 0 {
			c.t.Fatalf("waiting for %q: %v; so far %q", want, err, c.read)
		}
	}
}

// rest reads until the peer closes the connection and returns what came.
func (c *wire) rest() string {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	b, err := io.ReadAll(c.Conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("the connection is not closed; so far %q", c.read+string(b))
	}
	return c.read + string(b)
}

const (
	streamNS   = " xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' version='1.0'"
	psycOffer  = "<psyc xmlns='urn:x-switchyard:psyc:0'><syntax>1.0</syntax></psyc>"
	dialbackOn = "<dialback xmlns='urn:xmpp:features:dialback'/>"
	switching  = "<switching xmlns='urn:x-switchyard:psyc:0' h='0'><syntax>1.0</syntax></switching>"
	switched   = "<switched xmlns='urn:x-switchyard:psyc:0' h='0'><syntax>1.0</syntax></switched>"
)

// openStream begins a stream from one domain to another and reads the features.
func (c *wire) openStream(from, to string) (features string) {
	c.t.Helper()
	c.send("<?xml version='1.0'?><stream:stream" + streamNS + " from='" + from + "' to='" + to + "'>")
	return c.expect("</stream:features>")
}

// dialback proves from to to, whose server asks the vouching one.
func (c *wire) dialback(from, to string) {
	c.t.Helper()
	c.openStream(from, to)
	c.send("<db:result from='" + from + "' to='" + to + "'>key</db:result>")
	if got := c.expect("/>"); !strings.Contains(got, "type='valid'") {
		c.t.Fatalf("dialback: %q", got)
	}
}

// external proves from to to by the certificate of the connection.
func (c *wire) external(from, to string) (features string) {
	c.t.Helper()
	c.openStream(from, to)
	c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>" + base64.StdEncoding.EncodeToString([]byte(from)) + "</auth>")
	c.expect("<success")
	return c.openStream(from, to)
}

// vouch answers, at an address, every question about a dialback key with yes, as a server would that is asked about its own.
func (w *town) vouch(addr string) {
	l := w.net.listen(addr)
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				c := &wire{t: w.t, Conn: conn}
				c.expect("xml:lang='en'>")
				c.send("<?xml version='1.0'?><stream:stream" + streamNS + " id='v'><stream:features>" + dialbackOn + "</stream:features>")
				ask := c.expect("</db:verify>")
				value := func(name string) string {
					_, v, _ := strings.Cut(ask, " "+name+"='")
					v, _, _ = strings.Cut(v, "'")
					return v
				}
				c.send("<db:verify from='" + value("to") + "' to='" + value("from") + "' id='" + value("id") + "' type='valid'/>")
				c.expect("</stream:stream>")
				c.send("</stream:stream>")
			}()
		}
	}()
}

// acceptCircuit is the accepting side of a circuit up to the consent to the pair.
func (c *wire) acceptCircuit() {
	c.t.Helper()
	c.expect("_notice_circuit_established")
	c.send(greeting)
	asked := c.expect("_request_authorization")
	_, tag, _ := strings.Cut(asked, ":_tag\t")
	tag, _, _ = strings.Cut(tag, "\n")
	c.send(":_tag_relay\t" + tag + "\n\n_status_authorization\n|\n")
}

// acceptStream is the accepting side up to the proof of the pair, with the given features.
func (c *wire) acceptStream(features string) {
	c.t.Helper()
	c.expect("xml:lang='en'>")
	c.send("<?xml version='1.0'?><stream:stream" + streamNS + " id='s1'><stream:features>" + features + "</stream:features>")
	asked := c.expect("</db:result>")
	_, from, _ := strings.Cut(asked, " from='")
	from, _, _ = strings.Cut(from, "'")
	_, to, _ := strings.Cut(asked, " to='")
	to, _, _ = strings.Cut(to, "'")
	c.send("<db:result from='" + to + "' to='" + from + "' type='valid'/>")
}
