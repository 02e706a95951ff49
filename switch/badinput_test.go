package psycswitch_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// What name servers may say of a domain that leads nowhere: Dial says so in time, with an error that names every way that it tried.
func TestDeadEnds(t *testing.T) {
	fifty := func(service, network string) (records []string) {
		for i := range 50 {
			records = append(records, fmt.Sprintf("%s.far.example. 300 IN SRV 0 %d 5269 %s%d.", service, i, network, i))
		}
		return records
	}
	for _, test := range []struct {
		name    string
		records []string
		fault   dnstest.Fault
		resolve error // inside a *ResolveError, nil: there is none
		dial    int   // *DialErrors
		within  time.Duration
		found   bool // the domain is there, only not to be reached
	}{
		{name: "no records", resolve: psycswitch.ErrNoRecord},
		{name: "name server silent", fault: dnstest.Fault{Drop: true}, resolve: psycswitch.ErrNoAnswer, within: 30 * time.Second, found: true},
		{name: "not offered", records: []string{"_xmpp-server._tcp.far.example. 300 IN SRV 0 0 0 .", "_psyc._tcp.far.example. 300 IN SRV 0 0 0 ."}, resolve: psycswitch.ErrNotOffered},
		{name: "target is the record itself", records: []string{"_xmpp-server._tcp.far.example. 300 IN SRV 0 0 5269 _xmpp-server._tcp.far.example."}, resolve: psycswitch.ErrNoRecord},
		{name: "target does not exist", records: []string{"_xmpp-server._tcp.far.example. 300 IN SRV 0 0 5269 nowhere.example."}, resolve: psycswitch.ErrNoRecord},
		{name: "aliases in a circle", records: []string{
			"_xmpp-server._tcp.far.example. 300 IN SRV 0 0 5269 a.example.", "a.example. 300 IN CNAME b.example.", "b.example. 300 IN CNAME a.example.",
		}, resolve: psycswitch.ErrBadAnswer},
		{name: "port 0", records: []string{"_xmpp-server._tcp.far.example. 300 IN SRV 0 0 0 10.0.0.9."}, resolve: psycswitch.ErrBadAnswer, found: true},
		{name: "refused", records: []string{"_xmpp-server._tcp.far.example. 300 IN SRV 0 0 5269 10.9.9.9."}, dial: 1, found: true},
		{name: "50 that refuse", records: fifty("_xmpp-server._tcp", "10.9.9."), dial: 20, found: true},
		{name: "50 that do not answer", records: fifty("_xmpp-server._tcp", "192.0.2."), dial: 4, within: 30 * time.Second, found: true},
		{name: "50 for PSYC that do not answer", records: fifty("_psyc._tcp", "192.0.2."), dial: 4, within: 30 * time.Second, found: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				srv := dnstest.New(test.records...)
				srv.Break("", "", test.fault)
				defer srv.Close()
				cfg := &psycswitch.Config{
					Hosts: plain("north.example"), Dialer: w.net.from("10.0.0.1"), Insecure: psycswitch.Plaintext,
					Resolver: &psycswitch.DNS{Servers: []string{"192.0.2.53:53"}, Dial: srv.Dial},
				}
				start := time.Now()
				_, err := psycswitch.Dial(t.Context(), cfg, "north.example", "far.example")
				took := time.Since(start)
				var resolving *psycswitch.ResolveError
				var dialling *psycswitch.DialError
				switch {
				case !errors.Is(err, psycswitch.ErrUnreachable):
					t.Errorf("no ErrUnreachable: %v", err)
				case test.resolve != nil && (!errors.As(err, &resolving) || !errors.Is(err, test.resolve)):
					t.Errorf("no %v: %v", test.resolve, err)
				case test.dial > 0 && !errors.As(err, &dialling):
					t.Errorf("no DialError: %v", err)
				}
				if n := strings.Count(err.Error(), "psycswitch: dial "); n < test.dial {
					t.Errorf("%d tries are named, want %d: %v", n, test.dial, err)
				}
				if took > test.within {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// Fifty targets of which one answers: it is found, first or last in its priority, within a bounded time, and stanzas arrive.
func TestFailOver(t *testing.T) {
	for _, test := range []struct {
		name   string
		dead   string // network of the dead ones
		alive  int    // place of the one that is not
		within time.Duration
	}{
		{"those that refuse", "10.9.9.", 19, 0},
		{"the first few are silent", "192.0.2.", 3, time.Second},
		{"many are silent", "192.0.2.", 8, 25 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				srv := dnstest.New()
				defer srv.Close()
				for i := range 50 {
					target := test.dead + strconv.Itoa(i+1)
					if i == test.alive {
						target = "10.0.0.2"
					}
					srv.Add(fmt.Sprintf("_xmpp-server._tcp.south.example. 300 IN SRV %d 0 5269 %s.", i, target))
				}
				srv.Add("_xmpp-server._tcp.north.example. 300 IN SRV 0 0 5269 10.0.0.1.")
				dns := func(y *yard) { y.Resolver = &psycswitch.DNS{Servers: []string{"192.0.2.53:53"}, Dial: srv.Dial} }
				north := w.add("10.0.0.1", plain("north.example"), dns)
				south := w.add("10.0.0.2", plain("south.example"), dns)
				w.start()
				start := time.Now()
				north.send(chat("ada@north.example", "bob@south.example", "1", "hello"))
				south.next()
				if took := time.Since(start); took > test.within {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// What a server may do to the switch, to TLS and to ALPN: the error says what it was, and comes in time.
func TestBadServers(t *testing.T) {
	for _, test := range []struct {
		name   string
		direct bool
		serve  func(t *testing.T, ca *authority, c *wire)
		is     func(error) bool
		within time.Duration
	}{
		{
			name: "neither yes nor no",
			serve: func(t *testing.T, _ *authority, c *wire) {
				c.acceptStream(psycOffer + dialbackOn)
				c.rest()
			},
			is:     func(err error) bool { var failed *psycswitch.SwitchError; return errors.As(err, &failed) },
			within: 30 * time.Second,
		},
		{
			name: "another element",
			serve: func(t *testing.T, _ *authority, c *wire) {
				c.acceptStream(psycOffer + dialbackOn)
				c.expect("</switching>")
				c.send("<switched xmlns='http://switch.psyced.org'/>")
				c.rest()
			},
			is: func(err error) bool {
				var failed *psycswitch.SwitchError
				return errors.As(err, &failed) && errors.Is(err, xmpp.UnsupportedStanzaType)
			},
		},
		{
			name: "stanzas counted that nobody sent",
			serve: func(t *testing.T, _ *authority, c *wire) {
				c.acceptStream(psycOffer + dialbackOn)
				c.expect("</switching>")
				c.send(strings.Replace(switched, "h='0'", "h='7'", 1))
				c.rest()
			},
			is: func(err error) bool {
				var failed *psycswitch.SwitchError
				return errors.As(err, &failed) && errors.Is(err, xmpp.PolicyViolation)
			},
		},
		{
			name:   "an ALPN protocol that was not offered",
			direct: true,
			serve: func(t *testing.T, ca *authority, c *wire) {
				cert := ca.issue("far.example")
				tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h2"}}).HandshakeContext(t.Context())
				c.Close()
			},
			is: func(err error) bool {
				var alert *net.OpError
				return errors.As(err, &alert) && alert.Op == "remote error"
			},
		},
		{
			name:   "no TLS where it is due",
			direct: true,
			serve: func(t *testing.T, _ *authority, c *wire) {
				c.send("<?xml version='1.0'?><stream:stream" + streamNS + " id='s1'>")
				c.rest()
			},
			is: func(err error) bool { var record tls.RecordHeaderError; return errors.As(err, &record) },
		},
		{
			name:   "silence in TLS",
			direct: true,
			serve:  func(t *testing.T, _ *authority, c *wire) { c.rest() },
			is:     func(err error) bool { var dialling *psycswitch.DialError; return errors.As(err, &dialling) },
			within: 30 * time.Second,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ca := w.tls()
				w.resolver.Domains["far.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, DirectTLS: test.direct, Addr: "10.0.0.9" + port}}
				far := w.net.listen("10.0.0.9" + port)
				go func() {
					c := far.accept(t)
					far.Close() // a second try, without the switch, meets nobody
					defer c.Close()
					test.serve(t, ca, c)
				}()
				cfg := &psycswitch.Config{Hosts: with(ca.issue("north.example"), "north.example"), Resolver: w.resolver, Dialer: w.net.from("10.0.0.1"), Roots: w.roots}
				if !test.direct {
					cfg.Hosts, cfg.Insecure = plain("north.example"), psycswitch.Plaintext
				}
				start := time.Now()
				_, err := psycswitch.Dial(t.Context(), cfg, "north.example", "far.example")
				if took := time.Since(start); took > test.within {
					t.Errorf("it took %v", took)
				}
				if !errors.Is(err, psycswitch.ErrUnreachable) || !test.is(err) {
					t.Errorf("%v", err)
				}
				synctest.Wait()
			})
		})
	}
}

// A flood right through the switch: stanzas up to <switching/> and packets behind it, none of which waits for an answer, arrive all
// and in order.
func TestFloodThroughTheSwitch(t *testing.T) {
	const each = 5000
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["peer.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: "10.0.0.7" + port}}
		w.vouch("10.0.0.7" + port)
		north := w.add("10.0.0.1", plain("north.example"), nil)
		w.start()
		c := w.dial("10.0.0.7", "10.0.0.1"+port)
		c.dialback("peer.example", "north.example")
		go func() {
			var b strings.Builder
			for i := range each {
				fmt.Fprintf(&b, "<message id='%d' from='x@peer.example' to='y@north.example'><body>hello</body></message>", i)
			}
			b.WriteString(switching)
			b.WriteString(greeting)
			for i := range each {
				fmt.Fprintf(&b, ":_source\tpsyc://peer.example/~x\n:_target\tpsyc://north.example/~y\n:_tag\t%d\n\n_message_private\nhello\n|\n", each+i)
			}
			c.send(b.String())
		}()
		if got, want := c.expect("</switched>"), " h='"+strconv.Itoa(each)+"'"; !strings.Contains(got, want) {
			t.Errorf("answer %q without %q", got, want)
		}
		for i := range 2 * each {
			got := north.next()
			if i < each && got.ID != strconv.Itoa(i) || got.Text("body") != "hello" {
				t.Fatalf("stanza %d is %s", i, got.Append(nil))
			}
		}
	})
}
