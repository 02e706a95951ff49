package psyc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

// Whatever a peer sends, the circuit ends when the peer hangs up, leaves no goroutine behind, and has let nothing in
// but packets from the host that was proved to hosts that live here, and complaints.
func FuzzCircuit(f *testing.F) {
	for _, seed := range []string{
		".\n" + psycedGreeting,
		greetingB10,
		"|\n\n:_uniform_source\tpsyc://a.example/\n:_uniform_target\tpsyc://b.example/\n_request_authorization\n|\n",
		"|\n:_source\t" + ada + "\n:_target\t" + bea + "\n43\n_message\nline1\n|\nline3\n|\n",
		"|\n=_source\t" + ada + "\n=_target\t" + bea + "\n\n_message\n|\n|\n\n_x\n|\n:_target\t\n\n_x\n|\n-_target\t\n|\n",
		".\r\n:_source\t" + ada + "\r\n\r\n_message\r\n.\r\n",
		".\n:_source\tpsyc://evil.example/\n:_target\t" + bea + "\n\n_message\n.\n",
		"\n<x>.\n\n_request_circuit_shutdown\n.\n",
		"|\n:_context\t" + ada + "\n\n_request_circuit_shutdown\n|\n\n_error_x\n|\n",
		"|\n\n:_understand_modules\t_switchyard_hosts\n_notice_circuit_established\n|\n\n:_uniform_source\tpsyc://b.example/\n:_uniform_target\tpsyc://a.example/\n:_challenge\t0123456789abcdef\n_request_proof_host\n|\n",
		"|\n\n:_uniform_source\tpsyc://a.example/\n_notice_withdrawal_host\n|\n:_source\t" + ada + "\n\n_message\nhello\n|\n",
		stateGreeting + "=_source\t" + ada + "\n=_target\t" + bea + "\n\n_message\n|\n\n_message\n|\n:_source\t\n:_target\t\n|\n=_context\t" + ada + "\n|\n",
		"GET / HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, switched bool) {
		synctest.Test(t, func(t *testing.T) {
			conn, w := newWire(t)
			cfg := config("b.example")
			cfg.Switched = switched
			cfg.Modules = []string{ModuleProfile}
			cfg.HostProofs = &HostProofs{
				Export:      exporter("one"),
				Certificate: func(string) (*tls.Certificate, error) { return nil, errors.New("none") },
				Verify:      func(string, []*x509.Certificate) (time.Time, error) { return time.Time{}, errors.New("none") },
			}
			cfg.Limits = Limits{Packet: 1 << 10, Body: 64, Vars: 8}
			c := Accept(conn, cfg)
			c.AddProof("a.example", Proof{Kind: ProofDialback})
			go func() {
				w.Write(data)
				w.Close()
			}()
			for p, err := range c.Packets(t.Context()) {
				if err != nil {
					break
				}
				source, target := origin(p), p.Routing.Get("_target")
				if source == nil {
					if target != nil || !complains(p.Method) {
						t.Errorf("let in %+v", p)
					}
					continue
				}
				for _, v := range []struct {
					address Value
					host    string
				}{{source, "a.example"}, {target, "b.example"}} {
					if v.address == nil {
						continue
					}
					u, err := uniform.Parse(strings.TrimSpace(v.address.String()))
					if err != nil || u.Host() != v.host {
						t.Errorf("let in %s: %v", v.address, err)
					}
				}
			}
			c.Close()
		})
	})
}
