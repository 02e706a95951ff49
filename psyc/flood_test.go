package psyc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a peer may send cheaply must not be dear to us.

// A template of a few thousand bytes that names one long value over and over would fill gigabytes.
func TestExpansionIsBounded(t *testing.T) {
	p := &Packet{Method: "_notice_news", Body: []byte(strings.Repeat("[_a]", 15_000))}
	p.Entity.Set("_a", strings.Repeat("A", 60_000))
	if text := p.Text(); len(text) > maxExpansion+len(p.Body) || !strings.HasPrefix(text, "AAA") || !strings.HasSuffix(text, "[_a]") {
		t.Errorf("text of %d bytes", len(text))
	}
	p.Entity.Set("_list_a", strings.Repeat("|a", 30_000))
	p.Body = bytes.ReplaceAll(p.Body, []byte("_a"), []byte("_list_a"))
	if text := p.Text(); len(text) > 2*maxExpansion+len(p.Body) || !strings.HasPrefix(text, "a, a") {
		t.Errorf("text of %d bytes", len(text))
	}
	p.Method = "_error_news"
	if text := p.asError().Error(); len(text) > 2*maxErrorText+100 {
		t.Errorf("error of %d bytes", len(text))
	}
}

// Anybody may complain to a circuit before having proved anything, and the complaint is logged.
func TestComplaintBomb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		cfg := config("b.example")
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c, w, out := accepted(t, cfg, "|")
		bomb := ":_a 60000\t" + strings.Repeat("A", 60_000) + "\n_error_bomb\n" + strings.Repeat("[_a]", 15_000) + "\n"
		w.send(fmt.Sprintf("%d\n%s|\n", len(bomb), bomb))
		c.Close()
		<-out
		if log.Len() > 10_000 {
			t.Errorf("log of %d bytes", log.Len())
		}
	})
}

// A peer that claims one host after another makes us look for a proof of each, which costs a check of certificates or a
// question to name servers, and a line in the log.
func TestClaimFlood(t *testing.T) {
	for _, how := range []string{
		":_source\tpsyc://h%d.example/~x\n:_target\tpsyc://b.example/~bea\n\n_message_private\n|\n",
		"\n:_uniform_source\tpsyc://h%d.example/\n:_uniform_target\tpsyc://b.example/\n_request_authorization\n|\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			cfg := config("b.example")
			cfg.Prove = func(context.Context, string) (Proof, error) {
				asked++
				return Proof{}, errors.New("no")
			}
			c, w, out := accepted(t, cfg, "|")
			flood := func() {
				for i := range 500 {
					w.send(fmt.Sprintf(how, i))
				}
			}
			flood()
			if asked != maxRefused {
				t.Errorf("looked for %d proofs", asked)
			}
			time.Sleep(proveAgain)
			flood()
			if asked != 2*maxRefused {
				t.Errorf("looked for %d proofs in all", asked)
			}
			w.send(string(wireOf(t, message(ada, bea, "still there"))))
			c.Close()
			if r := <-out; len(r.packets) != 1 {
				t.Errorf("%d packets from the host that is proved", len(r.packets))
			}
		})
	}
}

// Any number of peers may come and prove nothing: what each of them can make us hold is little.
func TestUnprovedPacket(t *testing.T) {
	for _, proved := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			conn, w := newWire(t)
			c := Accept(conn, config("b.example"))
			if proved {
				if err := c.AddProof("a.example", Proof{Kind: ProofDialback}); err != nil {
					t.Fatal(err)
				}
			}
			out := collect(c)
			w.send("|\n\n_notice_circuit_established\n|\n")
			w.read()
			go w.Write([]byte("\n:_x 400000\t" + strings.Repeat("x", 300_000))) // as far as it is taken
			if got := w.read(); strings.Contains(got, errPacketTooLarge) == proved {
				t.Errorf("proved %v: circuit wrote %q", proved, got)
			}
			c.Close()
			<-out
		})
	}
}

func wireOf(t *testing.T, p *Packet) []byte {
	b, err := p.Append(nil, PSYC10)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
