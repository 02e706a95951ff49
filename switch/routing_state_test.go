package psycswitch_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"sync/atomic"
	"testing"

	"github.com/switchyard-im/switchyard/internal/shared"
	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A tallyConn counts the bytes that are written to it.
type tallyConn struct {
	net.Conn
	written atomic.Int64
}

func (c *tallyConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// TestConversationsOverCircuits bounds the size of what two servers say to each other over a circuit, which carries both directions and
// leaves out the addresses that stay the same; greetings and acknowledgements included.
func TestConversationsOverCircuits(t *testing.T) {
	var conversations []*xmpp.Stanza
	size := 0
	in := bufio.NewScanner(shared.Open(t, "corpus/conversations.jsonl"))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var entry struct{ XML string }
		if err := json.Unmarshal(in.Bytes(), &entry); err != nil {
			t.Fatal(err)
		}
		for s, err := range xmpp.NewDecoder(bytes.NewReader([]byte(entry.XML))).Stanzas() {
			if err != nil {
				t.Fatal(err)
			}
			conversations = append(conversations, s.Clone())
		}
		size += len(entry.XML)
	}
	for _, tt := range []struct {
		name     string
		repeat   bool
		sessions bool
		percent  float64 // at most
	}{
		{"state", false, false, 85},
		{"state and sessions", false, true, 85},
		{"repeated", true, false, 125},
	} {
		t.Run(tt.name, func(t *testing.T) {
			north, south := net.Pipe()
			ours, theirs := &tallyConn{Conn: north}, &tallyConn{Conn: south}
			config := func(host string) *psyc.Config {
				cfg := &psyc.Config{
					Self: "psyc://" + host + "/", Instance: [16]byte{host[0]}, Modules: []string{psyc.ModuleProfile}, RepeatAddresses: tt.repeat,
					Hosted: func(string) bool { return true }, // circuits are told apart by who proved what
				}
				if tt.sessions {
					cfg.Sessions = new(psyc.Sessions)
				}
				return cfg
			}
			circuits := map[bool]*psyc.Circuit{ // by whether the sender's host is the one that the first stanza is from
				true: psyc.Initiate(ours, config("north.example")), false: psyc.Accept(theirs, config("south.example")),
			}
			home := conversations[0].From.Domain()
			came := map[bool]chan []byte{true: make(chan []byte, len(conversations)), false: make(chan []byte, len(conversations))}
			for side, c := range circuits {
				for _, s := range conversations {
					if domain := s.From.Domain(); (domain == home) != side {
						if err := c.AddProof(domain, psyc.Proof{Kind: psyc.ProofCertificate}); err != nil {
							t.Fatal(err)
						}
					}
				}
				go func() {
					var conv transcode.Converter
					for p, err := range c.Packets(context.Background()) {
						if err != nil {
							t.Error(err)
							break
						}
						s, err := conv.Stanza(p)
						if err != nil {
							t.Errorf("%+v: %v", p, err)
							break
						}
						came[side] <- s.Append(nil)
					}
					close(came[side])
				}()
			}
			var conv transcode.Converter
			for _, s := range conversations {
				p, err := conv.Packet(s)
				if err != nil {
					t.Fatal(err)
				}
				if err := circuits[s.From.Domain() == home].Send(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range conversations {
				if got, want := <-came[s.From.Domain() != home], s.Append(nil); !bytes.Equal(got, want) {
					t.Fatalf("got %s\nwant %s", got, want)
				}
			}
			wire := ours.written.Load() + theirs.written.Load()
			for _, c := range circuits {
				c.Close()
			}
			percent := 100 * float64(wire) / float64(size)
			t.Logf("%d stanzas of %d bytes, %d bytes on the wire: %.1f %%", len(conversations), size, wire, percent)
			if percent > tt.percent {
				t.Errorf("%.1f %%, want at most %.0f", percent, tt.percent)
			}
		})
	}
}
