package psycswitch_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

const (
	psycedSwitch    = "<switch xmlns='http://switch.psyced.org'><scheme>psyc</scheme></switch>"
	psycedSwitching = "<switching xmlns='http://switch.psyced.org'><scheme>psyc</scheme></switching>"
	psycedSwitched  = "<switched xmlns='http://switch.psyced.org'/>"
)

// psycedTown is a router that demands TLS, for domains of one certificate, and a psyced that nobody has told it of, which has XMPP.
func psycedTown(t *testing.T, domains ...string) (w *town, here *yard, psyced *memListener, cert *tls.Certificate) {
	w = newTown(t)
	ca := w.tls()
	w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: psycedAddr + port}}
	here = w.add("10.0.0.1", with(ca.issue(domains...), domains...), nil)
	w.start()
	return w, here, w.net.listen(psycedAddr + port), ca.issue("psyced.example")
}

// header answers the header of a stream with features, and the switch that psyced offers in each list.
func (c *wire) header(features string) {
	c.t.Helper()
	c.expect("<stream:stream ")
	c.expect(">")
	c.send("<stream:stream" + streamNS + " from='psyced.example' id='s'><stream:features>" + features + psycedSwitch + "</stream:features>")
}

// startTLS is psyced's STARTTLS. It returns the version of TLS.
func (c *wire) startTLS(cert *tls.Certificate) uint16 {
	c.t.Helper()
	c.header("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	c.expect("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	c.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	secure := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: tls.RequestClientCert})
	if err := secure.HandshakeContext(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.Conn = secure
	return secure.ConnectionState().Version
}

// authenticate takes the certificate of the peer for a proof.
func (c *wire) authenticate() {
	c.t.Helper()
	c.header("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>")
	c.expect("</auth>")
	c.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
	c.header("")
}

// circuit switches and hears the first message.
func (c *wire) circuit(message string) {
	c.t.Helper()
	c.expect(psycedSwitching)
	c.send(psycedSwitched)
	c.send(":_source\tpsyc://psyced.example/\n:_target\tpsyc://peer.example/~switchyard\n:_tag_reply\t" + tagOf(c.expect("_request_ping\n.\n")) + "\n\n_echo_ping\n.\n")
	c.expect("_message_private\n" + message + "\n.\n")
}

// A psyced that nobody has told us of says what ciphers it believes in when it is too late for the connection. The next one has them,
// and so have those after it for a day, in both directions.
func TestPsycedTaughtTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, here, psyced, cert := psycedTown(t, "peer.example")
		version := func(c *wire, want uint16) {
			t.Helper()
			if got := c.startTLS(cert); got != want {
				t.Errorf("%s, want %s", tls.VersionName(got), tls.VersionName(want))
			}
			c.authenticate()
		}
		here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "1", "one"))
		first := psyced.accept(t)
		version(first, tls.VersionTLS13)
		first.expect(psycedSwitching)
		first.send(psycedSwitched + "\n:_circuit_encryption_cipher\tTLS_AES_128_GCM_SHA256\n_error_circuit_encryption_cipher\nYour [_circuit_encryption_cipher] will not do.\n.\n")
		if err := first.Conn.(*tls.Conn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		first.rest()
		second := psyced.accept(t)
		version(second, tls.VersionTLS12)
		second.circuit("one")
		second.Close()
		synctest.Wait()

		time.Sleep(23 * time.Hour)
		here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "2", "two"))
		third := psyced.accept(t)
		version(third, tls.VersionTLS12)
		third.circuit("two")
		third.Close()
		if offered := w.streamOf(psycedAddr, here, cert, 0); !strings.Contains(offered, psycedSwitch) {
			t.Errorf("psyced is offered %s", offered)
		}
		if n := w.net.dialled(psycedAddr + port); n != 3 {
			t.Errorf("%d connections", n)
		}

		time.Sleep(2 * time.Hour)
		here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "3", "three"))
		version(psyced.accept(t), tls.VersionTLS13)
	})
}

// streamOf opens a stream as psyced does, with TLS up to a version, proves psyced.example, and returns the last features.
func (w *town) streamOf(from string, here *yard, cert *tls.Certificate, highest uint16) (features string) {
	w.t.Helper()
	c := w.dial(from, here.ip+port)
	c.openStream("psyced.example", "peer.example")
	c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	c.expect("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	secure := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*cert}, MaxVersion: highest})
	if err := secure.HandshakeContext(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	c.Conn = secure
	defer c.Close()
	return c.external("psyced.example", "peer.example")
}

// Where it cannot speak PSYC, psyced is not offered it: it takes what it is offered, and then hangs up.
func TestPsycedNotOfferedPSYC(t *testing.T) {
	for version, want := range map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS13: false} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, here, _, cert := psycedTown(t, "peer.example")
				if offered := w.streamOf(psycedAddr, here, cert, version); strings.Contains(offered, psycedSwitch) != want {
					t.Errorf("psyced is offered %s", offered)
				}
			})
		})
	}
}

// psyced has one object for what switches from one address. Another domain of ours takes nothing away from the first.
func TestPsycedSwitchesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, here, psyced, cert := psycedTown(t, "peer.example", "rooms.peer.example")
		connect := func(from, id string) *wire {
			here.send(chat(from, "ada@psyced.example", id, id))
			c := psyced.accept(t)
			c.startTLS(cert)
			c.authenticate()
			return c
		}
		first := connect("cleo@peer.example/desk", "one")
		first.circuit("one")
		second := connect("bar@rooms.peer.example/cleo", "two")
		second.expect("<body>two</body>")
		here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "three", "three"))
		first.expect("_message_private\nthree\n.\n")
		first.Close()
		synctest.Wait()
		connect("cleo@peer.example/desk", "four").circuit("four")
	})
}

// psyced sometimes does not hear what we say first inside TLS. Then it is tried again, and at last waited for.
func TestPsycedDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, here, psyced, cert := psycedTown(t, "peer.example")
		began := time.Now()
		here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "1", "hello"))
		for range 3 {
			c := psyced.accept(t)
			c.startTLS(cert)
			c.rest()
		}
		if waited := time.Since(began); waited != 9*time.Second {
			t.Errorf("given up after %v", waited)
		}
		c := psyced.accept(t)
		c.startTLS(cert)
		time.Sleep(4 * time.Second)
		c.authenticate()
		c.circuit("hello")
		time.Sleep(time.Minute)
		here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "2", "still there?"))
		c.expect("still there?")
	})
}
