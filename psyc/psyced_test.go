package psyc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/switchyard-im/switchyard/internal/replay"
	"github.com/switchyard-im/switchyard/psyc"
)

// left are packets of those sessions that a circuit does not send: one without a source, which asks psyced to take the port for one, one
// that assigns state where psyced has none, and one of somebody else, which ends the circuit.
var left = []string{"No source at all.", "entity assign", "I am not who I claim"}

// TestRecordedCircuits has circuits take the part of the recorded peer: each packet that it sent is sent, each that psyced sent arrives.
func TestRecordedCircuits(t *testing.T) {
	for _, name := range replay.UsedBy(replay.Circuits) {
		t.Run(name, func(t *testing.T) { playCircuit(t, replay.Find(t, name).Without(left...)) })
	}
	for _, name := range []string{"person", "friendship", "place", "incoming", "syntax10"} {
		for _, c := range replay.Own(t, name).Conversations {
			t.Run(c.String(), func(t *testing.T) { playCircuit(t, c) })
		}
	}
}

// playCircuit plays a conversation with a circuit.
func playCircuit(t *testing.T, c *replay.Conversation) {
	steps, err := c.Steps()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		x, y := net.Pipe()
		played := make(chan error, 1)
		go func() { played <- (&replay.Peer{}).Play(y, c.Plaintext()) }()
		own := &part{t: t}
		if err := own.play(x, c, steps); err != nil {
			t.Error(err)
		}
		if err := <-played; err != nil {
			t.Error(err)
		}
	})
}

// A part is what the circuit under test has to say and to hear.
type part struct {
	t       *testing.T
	circuit *psyc.Circuit
	got     chan *psyc.Packet
}

func (p *part) play(conn net.Conn, c *replay.Conversation, steps []replay.Step) error {
	cfg := &psyc.Config{
		Syntax:    psyc.PSYC09,
		Modules:   []string{psyc.ModuleProfile},
		Protocols: []string{"PSYC/1.0 TCP IP/6", "XMPP-S2S/1:5269"},
		Hosted:    func(host string) bool { return !strings.HasPrefix(host, "psyced.") },
		Prove: func(_ context.Context, host string) (psyc.Proof, error) {
			if !strings.HasPrefix(host, "psyced.") {
				return psyc.Proof{}, errors.New("somebody else")
			}
			return psyc.Proof{Kind: psyc.ProofAddress}, nil
		},
	}
	for _, s := range steps {
		if s.Sender == replay.Ours && s.First() && s.Raw[0] == '|' {
			cfg.Syntax = psyc.PSYC10
		}
		if source := s.Packet.Routing.Get("_source"); s.Sender == replay.Ours && source != nil && cfg.Self == "" {
			u, err := source.Uniform()
			if err != nil {
				return err
			}
			cfg.Self = "psyc://" + u.Host() + "/"
		}
	}
	if cfg.Self == "" {
		cfg.Self = "psyc://peer.test/"
	}
	if steps[0].Sender == replay.Ours {
		p.circuit = psyc.Initiate(conn, cfg)
	} else {
		p.circuit = psyc.Accept(conn, cfg)
	}
	p.got = make(chan *psyc.Packet, 100)
	ended := make(chan error, 1)
	go func() {
		defer close(p.got)
		for packet, err := range p.circuit.Packets(context.Background()) {
			if err != nil {
				ended <- err
				return
			}
			p.got <- packet.Clone()
		}
		ended <- nil
	}()
	if err := p.circuit.Handshake(p.t.Context()); err != nil {
		return err
	}
	for _, s := range steps {
		var err error
		switch {
		case s.First() || s.Greeting():
		case s.Packet.Method == "_request_circuit_shutdown":
		case s.Sender == replay.Psyced && s.Packet.Method == "_status_authorization":
		case s.Sender == replay.Ours && s.Packet.Method == "_request_authorization":
			err = p.authorize(s.Packet)
		case s.Sender == replay.Ours:
			err = p.circuit.Send(p.t.Context(), routed(s.Packet))
		default:
			err = p.hear(s.Packet)
		}
		if err != nil {
			p.circuit.Close()
			return err
		}
	}
	p.circuit.Close()
	return <-ended
}

// routed has the tag where it belongs; psyced takes it in either header.
func routed(p *psyc.Packet) *psyc.Packet {
	p = p.Clone()
	p.Entity = slices.DeleteFunc(p.Entity, func(v psyc.Var) bool {
		if v.Name == "_tag" {
			p.Routing = append(p.Routing, v)
		}
		return v.Name == "_tag"
	})
	return p
}

func (p *part) authorize(packet *psyc.Packet) error {
	source, err := packet.Entity.Get("_uniform_source").Uniform()
	if err != nil {
		return err
	}
	target, err := packet.Entity.Get("_uniform_target").Uniform()
	if err != nil {
		return err
	}
	return p.circuit.Authorize(p.t.Context(), source.Host(), target.Host())
}

// hear waits for a packet that psyced sent.
func (p *part) hear(want *psyc.Packet) error {
	got, ok := <-p.got
	if !ok {
		return fmt.Errorf("%s did not arrive: the circuit ended with %v", want.Method, p.circuit.Err())
	}
	if got.Method != want.Method || !bytes.Equal(got.Body, want.Body) || len(got.Entity) != len(want.Entity) {
		return fmt.Errorf("%s arrived instead of %s:\n%+v\n%+v", got.Method, want.Method, got, want)
	}
	return nil
}

// A deafConn is a connection whose other end takes nothing any more, once it is closed to writing.
type deafConn struct {
	net.Conn
	closed atomic.Bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

// TestLastWords: psyced closes as soon as it has complained, so that we may be writing when the complaint has yet to be read. It is
// the complaint that a request fails with.
func TestLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := net.Pipe()
		conn := &deafConn{Conn: x}
		c := psyc.Initiate(conn, &psyc.Config{Syntax: psyc.PSYC09, Self: "psyc://peer.example/"})
		go io.Copy(io.Discard, y)
		go io.WriteString(y, ".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n")
		if err := c.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until our greeting is out
		conn.closed.Store(true)
		answered := make(chan error, 1)
		go func() {
			ping := &psyc.Packet{Method: "_request_ping"}
			ping.Routing.Set("_source", "psyc://peer.example/~cleo")
			ping.Routing.Set("_target", "psyc://psyced.example/")
			_, err := c.Request(t.Context(), ping)
			answered <- err
		}()
		synctest.Wait()
		io.WriteString(y, "\n:_host\tpeer.example\n_error_rejected_relay_incoming\nNo.\n.\n")
		y.Close()
		var said *psyc.Error
		if err := <-answered; !errors.As(err, &said) || said.Method != "_error_rejected_relay_incoming" {
			t.Errorf("the request failed with %v", err)
		}
		<-c.Done()
	})
}

// TestModulesOfGreeting: psyced writes what it understands as texts between semicolons, others as a list.
func TestModulesOfGreeting(t *testing.T) {
	for name, modules := range map[string]string{
		"texts": ":_understand_modules\t_context;_encrypt\n",
		"list":  ":_understand_modules\t_context\n:\t_encrypt\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, y := net.Pipe()
				c := psyc.Initiate(x, &psyc.Config{Syntax: psyc.PSYC09, Self: "psyc://peer.example/"})
				go io.Copy(io.Discard, y)
				go io.WriteString(y, ".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n:_source\tpsyc://psyced.example/\n\n"+modules+"_status_circuit\n.\n")
				over := make(chan error, 1)
				go func() {
					for _, err := range c.Packets(context.Background()) {
						over <- err
					}
					close(over)
				}()
				synctest.Wait()
				if got := c.Peer().Understands; !slices.Equal(got, []string{"_context", "_encrypt"}) {
					t.Errorf("understands %q", got)
				}
				y.Close()
				if err := <-over; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestRoutingBehind: what stands behind the empty line is nobody's address, whatever its name is. psyced takes variables from anywhere, and users of
// XMPP behind it may have chosen some of them.
func TestRoutingBehind(t *testing.T) {
	var p psyc.Packet
	if _, err := p.Parse([]byte(":_source\tpsyc://psyced.example/~ada\n\n:_source\tpsyc://psyced.example/~admin\n:_target\tpsyc://peer.example/~cleo\n_message_private\nhi\n.\n"), psyc.PSYC09); err != nil {
		t.Fatal(err)
	}
	if got := p.Routing.Get("_source").String(); got != "psyc://psyced.example/~ada" {
		t.Errorf("the source is %q", got)
	}
	if got := p.Routing.Get("_target"); got != nil {
		t.Errorf("the target is %q", got)
	}
}
