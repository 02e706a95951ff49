package psyc

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
)

// A wire is the far end of a circuit under test, where the bytes are seen as they are.
type wire struct {
	net.Conn
	t *testing.T

	mu  sync.Mutex
	got bytes.Buffer
	eof bool
}

// newWire returns the near end, for the circuit, and the wire. What the circuit writes is read at once.
func newWire(t *testing.T) (net.Conn, *wire) {
	near, far := net.Pipe()
	w := &wire{Conn: far, t: t}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := far.Read(b)
			w.mu.Lock()
			w.got.Write(b[:n])
			if err != nil {
				w.eof = true
				w.mu.Unlock()
				return
			}
			w.mu.Unlock()
		}
	}()
	return near, w
}

// send writes s and waits until nothing moves any more.
func (w *wire) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		w.t.Errorf("sending %q: %v", s, err)
	}
	synctest.Wait()
}

// read returns what has come since the last call.
func (w *wire) read() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.got.String()
	w.got.Reset()
	return s
}

// closed reports whether the circuit has closed the connection.
func (w *wire) closed() bool {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.eof
}

// want compares what has come since the last call.
func (w *wire) want(s string) {
	w.t.Helper()
	if got := w.read(); got != s {
		w.t.Errorf("circuit wrote\n%q, want\n%q", got, s)
	}
}

// A received is what a loop over the packets of a circuit got.
type received struct {
	packets []*Packet
	err     error
}

// collect ranges over the packets of c until the circuit ends.
func collect(c *Circuit) <-chan received { return collectContext(context.Background(), c) }

func collectContext(ctx context.Context, c *Circuit) <-chan received {
	out := make(chan received, 1)
	go func() {
		var r received
		for p, err := range c.Packets(ctx) {
			if err != nil {
				r.err = err
				break
			}
			r.packets = append(r.packets, p.Clone())
		}
		out <- r
	}()
	return out
}

// config returns a configuration for a host.
func config(host string) *Config {
	return &Config{
		Self:     "psyc://" + host + "/",
		Instance: [16]byte{0: host[0], 15: 1},
	}
}

// accepted returns a circuit of b.example that has been greeted by a peer, in the syntax of the first line, and is
// being read. The peer has proved a.example.
func accepted(t *testing.T, cfg *Config, line string) (*Circuit, *wire, <-chan received) {
	t.Helper()
	if cfg == nil {
		cfg = config("b.example")
	}
	conn, w := newWire(t)
	c := Accept(conn, cfg)
	if err := c.AddProof("a.example", Proof{Kind: ProofCertificate}); err != nil {
		t.Fatal(err)
	}
	out := collect(c)
	w.send(line + "\n" + map[string]string{
		"|": "\n_notice_circuit_established\n|\n",
		".": ":_source\tpsyc://a.example/\n\n_notice_circuit_established\n.\n",
	}[line])
	w.read()
	return c, w, out
}

// message returns a packet between two people.
func message(from, to, text string) *Packet {
	p := &Packet{Method: "_message_private", Body: []byte(text)}
	p.Routing.Set("_source", from)
	p.Routing.Set("_target", to)
	return p
}

const (
	ada = "psyc://a.example/~ada"
	bea = "psyc://b.example/~bea"
)
