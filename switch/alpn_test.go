package psycswitch_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// On direct TLS at an XMPP port two servers agree on PSYC in the handshake; where nothing comes of that, the stream and its switch
// do, and the next hour begins with them.
func TestALPNAgreesOnPSYC(t *testing.T) {
	for _, test := range []struct {
		name    string
		names   []string // in the certificate of the initiator
		south   psycswitch.Protocol
		first   int    // connections for the first link
		second  int    // and for another one
		agreed  string // by ALPN
		carries psycswitch.Protocol
	}{
		{"both want it", []string{"north.example"}, 0, 1, 1, "psyc", psycswitch.PSYC},
		{"no proof by certificate", []string{"other.example"}, 0, 2, 1, "xmpp-server", psycswitch.PSYC},
		{"XMPP alone", []string{"north.example"}, psycswitch.XMPP, 1, 1, "xmpp-server", psycswitch.XMPP},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ca := w.tls()
				w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, DirectTLS: true, Addr: "10.0.0.2" + port}}
				north := w.add("10.0.0.1", with(ca.issue(test.names...), "north.example"), nil)
				south := w.add("10.0.0.2", with(ca.issue("south.example"), "south.example"), func(y *yard) { y.Protocols = test.south })
				w.start()
				for i, want := range []int{test.first, test.first + test.second} {
					north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
					south.next()
					if n := w.net.dialled("10.0.0.2" + port); n != want {
						t.Errorf("%d connections for link %d, want %d", n, i, want)
					}
					for l := range north.Links() {
						if l.Dialled && (l.TLS.NegotiatedProtocol != test.agreed || l.Protocol != test.carries) {
							t.Errorf("%v after ALPN %q", l.Protocol, l.TLS.NegotiatedProtocol)
						}
					}
					south.cut()
					north.await("the end of the link", func() bool { return len(north.downs) == i+1 })
				}
			})
		})
	}
}

// A server that agrees on PSYC in TLS and then does not speak it is spoken to in XMPP.
func TestALPNBroken(t *testing.T) {
	for name, answer := range map[string]string{"XML": "<?xml version='1.0'?><stream:stream>", "garbage": "\x00\x01\x02\n", "nothing": "", "silence": "..."} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ca := w.tls()
				w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, DirectTLS: true, Addr: "10.0.0.9" + port}}
				north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
				w.start()
				far := w.net.listen("10.0.0.9" + port)
				start := time.Now()
				north.send(chat("ada@north.example", "bob@far.example", "1", "hello"))
				c := far.accept(t).tls(ca.issue("far.example"), "psyc", "xmpp-server")
				switch answer {
				case "":
					c.Close()
				case "...":
					defer c.Close()
				default:
					c.send(answer)
				}
				c = far.accept(t).tls(ca.issue("far.example"), "psyc", "xmpp-server")
				c.acceptStream(dialbackOn)
				if got := c.expect("hello"); !strings.Contains(got, "<message") {
					t.Errorf("got %q", got)
				}
				if took := time.Since(start); took > 15*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A server that speaks PSYC, but not with us, says where it speaks XMPP.
func TestXMPPOfferedByGreeting(t *testing.T) {
	for _, test := range []struct{ offer, addr string }{
		{"XMPP-S2S/1:5270", "10.0.0.9:5270"},
		{"XMPP-S2S/1", "10.0.0.9:5269"},
		{"PSYC/0.9 TCP IP/4;XMPP-S2S/1:5270 TCP IP/4", "10.0.0.9:5270"},
		{"XMPP-S2S/1:70000", "10.0.0.9:5269"},
		{"XMPP-C2S:5270", ""},
		{"", ""},
	} {
		t.Run(test.offer, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: "10.0.0.9:4404"}}
				north := w.add("10.0.0.1", plain("north.example"), nil)
				w.start()
				psyc := w.net.listen("10.0.0.9:4404")
				defer psyc.Close()
				if test.addr != "" {
					w.net.listen(test.addr)
				}
				north.send(chat("ada@north.example", "bob@far.example", "1", "hello"))
				c := psyc.accept(t)
				asked := c.expect("_request_authorization")
				_, tag, _ := strings.Cut(asked, ":_tag\t")
				tag, _, _ = strings.Cut(tag, "\n")
				c.send(strings.Replace(greeting, "_status_circuit", ":_available_protocols\t"+test.offer+"\n_status_circuit", 1) +
					":_tag_relay\t" + tag + "\n\n_error_invalid_uniform_source\n|\n")
				if test.addr == "" {
					if got := north.next(); errorCondition(got) == "" {
						t.Errorf("got %s", got.Append(nil))
					}
					return
				}
				w.net.mu.Lock()
				xmpp := w.net.listeners[test.addr]
				w.net.mu.Unlock()
				c = xmpp.accept(t)
				c.acceptStream(dialbackOn)
				c.expect("hello")
			})
		})
	}
}

// Without TLS a PSYC peer is believed if it calls from where its domain lives, and only where that is allowed.
func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		name    string
		allowed psycswitch.Insecure
		at      string // what DNS says about the caller
		want    bool
	}{
		{"allowed", psycswitch.Plaintext | psycswitch.Addresses, "10.0.0.7", true},
		{"not allowed", psycswitch.Plaintext, "10.0.0.7", false},
		{"another address", psycswitch.Plaintext | psycswitch.Addresses, "10.0.0.8", false},
		{"without plaintext", psycswitch.Addresses, "10.0.0.7", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				w.resolver.Domains["peer.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: test.at + ":4404"}}
				north := w.add("10.0.0.1", plain("north.example"), func(y *yard) { y.Insecure = test.allowed })
				w.start()
				c := w.dial("10.0.0.7", "10.0.0.1"+port)
				c.send(greeting + goodPacket)
				synctest.Wait()
				north.mu.Lock()
				defer north.mu.Unlock()
				if got := len(north.got) == 1; got != test.want {
					t.Errorf("admitted: %v", got)
				}
			})
		})
	}
}
