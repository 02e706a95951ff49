package main

import (
	"bufio"
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/replay"
	"github.com/switchyard-im/switchyard/internal/rig"
)

// A psycedTown is Prosody with a user, the gateway in front of it, and a psyced that plays a session with her.
type psycedTown struct {
	t      *testing.T
	ctx    context.Context
	juliet rig.User
	stop   context.CancelFunc // of the gateway
	ended  chan error         // of the gateway
	played chan error
}

const psycedDomain = "psyced.example"

// newPsycedTown starts all of it.
func newPsycedTown(t *testing.T, recording string) *psycedTown {
	t.Helper()
	w := &psycedTown{t: t, ended: make(chan error, 1), played: make(chan error, 1)}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)

	names := dnstest.Start(t)
	psyced := listen(t)
	_, port, err := net.SplitHostPort(psyced.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names.Add("server." + psycedDomain + ". 60 IN A 127.0.0.1")
	names.Add("_psyc._tcp." + psycedDomain + ". 60 IN SRV 0 0 " + port + " server." + psycedDomain + ".")

	s2s := rig.FreeAddr(t)
	f := &federation{plaintext: true, names: names}
	cfg := f.config()
	cfg.Servers = []Server{behind("prosody.test", s2s)}
	cfg.PSYC.Psyced, cfg.PSYC.Addresses = []string{psycedDomain}, true
	g := NewGateway(cfg, testLogger("prosody.test"))
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	var running context.Context
	running, w.stop = context.WithCancel(context.Background())
	go func() { w.ended <- g.Run(running) }()
	t.Cleanup(w.stop)

	server := rig.Prosody(t, rig.Options{Domain: "prosody.test", S2S: s2s, Resolver: g.redirector.Addrs()[0].String()})
	account := server.AddUser(t, "juliet")
	if w.juliet, err = rig.Native(t).Login(w.ctx, account); err != nil {
		t.Fatal(err)
	}
	local, _, _ := strings.Cut(w.juliet.JID(), "@")
	peer := &replay.Peer{
		Rename:     strings.NewReplacer("peer.example", server.Domain, "~juliet", "~"+local, "\tjuliet\n", "\t"+local+"\n"),
		Patience:   30 * time.Second,
		Deviations: replay.Deviations,
	}
	r := replay.Own(t, recording)
	go func() {
		w.played <- peer.PlayAll(func(c *replay.Conversation) (net.Conn, error) {
			if c.Name == "in" {
				return net.Dial("tcp", g.worldListeners[0].Addr().String())
			}
			return psyced.Accept()
		}, r.Conversations...)
	}()
	return w
}

// end stops the gateway and reports what psyced has to say about it.
func (w *psycedTown) end() {
	w.t.Helper()
	w.stop()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
	if err := <-w.played; err != nil {
		w.t.Error(err)
	}
}

func (w *psycedTown) send(stanza string) {
	w.t.Helper()
	if err := w.juliet.Send(w.ctx, stanza); err != nil {
		w.t.Fatal(err)
	}
}

// expect waits for a stanza that has all of the texts in it; attributes are quoted as Prosody does.
func (w *psycedTown) expect(texts ...string) {
	w.t.Helper()
	_, err := w.juliet.Expect(w.ctx, func(s rig.Stanza) bool {
		xml := strings.ReplaceAll(s.XML, `"`, "'")
		for _, text := range texts {
			if !strings.Contains(xml, text) {
				return false
			}
		}
		return true
	})
	if err != nil {
		select {
		case played := <-w.played:
			w.t.Fatalf("%q: %v\npsyced: %v", texts, err, played)
		default:
			w.t.Fatalf("%q: %v", texts, err)
		}
	}
}

// An XMPP user behind the gateway and people of psyced: words, presence, friendship in both directions, a place as a room, and errors under the
// ids of what they are about. What goes to psyced breaks none of the replay's rules.
func TestPsyced(t *testing.T) {
	w := newPsycedTown(t, "gateway")
	const ada, bob, room = "ada@" + psycedDomain, "bob@" + psycedDomain, "*bar@" + psycedDomain
	w.send("<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>") // without which Prosody tells nothing of subscriptions
	w.expect("<iq", "id='r1'", "type='result'")
	w.send("<presence/>")
	w.expect("<presence", "from='"+w.juliet.JID()+"'")

	w.send("<message to='" + ada + "' type='chat' id='m1'><body>Is the gate open?</body></message>")
	w.expect("<message", "from='"+ada+"'", "type='chat'", "<body>It is.\n..come in</body>")
	w.send("<message to='nobody@" + psycedDomain + "' type='chat' id='m2'><body>Who is there?</body></message>")
	w.expect("<message", "id='m2'", "type='error'", "from='nobody@"+psycedDomain+"'", "<item-not-found")
	w.send("<message to='hermit@" + psycedDomain + "' type='chat' id='m3'><body>May I?</body></message>")
	w.expect("<message", "id='m3'", "type='error'", "from='hermit@"+psycedDomain+"'", "<forbidden")

	w.send("<iq to='" + ada + "' type='get' id='q1'><query xmlns='jabber:iq:version'/></iq>")
	w.expect("<iq", "id='q1'", "type='result'", "from='"+ada+"'", "<version>psyced/0.99</version>")
	w.send("<iq to='nobody@" + psycedDomain + "' type='get' id='q2'><query xmlns='jabber:iq:version'/></iq>")
	w.expect("<iq", "id='q2'", "type='error'", "<item-not-found")

	w.send("<presence to='" + ada + "' type='subscribe'/>")
	w.expect("<presence", "from='"+ada+"'", "type='subscribed'")
	w.expect("<presence", "from='"+ada+"'", "type='subscribe'")
	w.send("<presence to='" + ada + "' type='subscribed'/>")
	w.expect("<presence", "from='"+ada+"'", "<show>away</show>", "<status>lunch</status>")
	w.send("<presence><show>away</show><status>tea</status></presence>") // which ada asks for again
	w.expect("<presence", "from='"+bob+"'", "type='subscribe'")
	w.send("<presence to='" + bob + "' type='subscribed'/>")

	w.send("<message to='" + room + "' type='groupchat' id='g1'><body>Anybody in?</body></message>")
	w.expect("<message", "id='g1'", "type='error'", "<not-acceptable")
	w.send("<presence to='" + room + "/juliet' id='j1'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
	w.expect("<presence", "from='"+room+"/ada'", "jid='"+ada+"'")
	w.expect("<presence", "from='"+room+"/juliet'", "<status code='110'/>")
	w.expect("<message", "from='"+room+"'", "<subject>tea</subject>")
	w.expect("<message", "from='"+room+"/ada'", "<body>That was yesterday.</body>", "<delay ", "stamp='2026-11-22T15:21:59Z'")
	w.send("<message to='" + room + "' type='groupchat' id='g2'><body>Good evening.</body></message>")
	w.expect("<message", "from='"+room+"/juliet'", "id='g2'", "<body>Good evening.</body>")
	w.expect("<message", "from='"+room+"/ada'", "<body>Evening, juliet.</body>")
	w.expect("<presence", "from='"+room+"/bob'", "jid='"+bob+"'")
	w.expect("<message", "from='"+room+"/ada'", "<subject>coffee</subject>")
	w.expect("<presence", "from='"+room+"/bob'", "type='unavailable'")
	w.send("<presence to='" + room + "/juliet' type='unavailable'/>")
	w.expect("<presence", "from='"+room+"/juliet'", "type='unavailable'", "<status code='110'/>")

	w.expect("<presence", "from='"+ada+"'", "type='unsubscribe'")
	w.expect("<presence", "from='"+ada+"'", "type='unsubscribed'")
	w.end()
}

// psyced and who is like it read in the greeting of a circuit what else there is.
func TestGreetingOffers(t *testing.T) {
	for _, test := range []struct {
		psyc, xmpp []string
		want       string // with the ports by their place in the lists
	}{
		{[]string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}, "PSYC/1.0:p0 TCP IP/4;PSYC/0.9:p0 TCP IP/4;XMPP-S2S/1:x0"},
		{nil, []string{"127.0.0.1:0", "127.0.0.1:0"}, "XMPP-S2S/1:x0;XMPP-S2S/1:x1"},
		{[]string{"[::]:0"}, nil, "PSYC/1.0:p0 TCP IP/4;PSYC/1.0:p0 TCP IP/6;PSYC/0.9:p0 TCP IP/4;PSYC/0.9:p0 TCP IP/6"},
	} {
		listeners := func(addrs []string) (all []net.Listener) {
			for _, addr := range addrs {
				ln, err := net.Listen("tcp", addr)
				if err != nil {
					t.Skipf("%s: %v", addr, err)
				}
				t.Cleanup(func() { ln.Close() })
				all = append(all, ln)
			}
			return all
		}
		psyc, xmpp := listeners(test.psyc), listeners(test.xmpp)
		want := test.want
		for name, lns := range map[string][]net.Listener{"p": psyc, "x": xmpp} {
			for i, ln := range lns {
				_, port, _ := net.SplitHostPort(ln.Addr().String())
				want = strings.ReplaceAll(want, ":"+name+strconv.Itoa(i), ":"+port)
			}
		}
		if got := strings.Join(offeredProtocols(psyc, xmpp), ";"); got != want {
			t.Errorf("%v, %v: %s, want %s", test.psyc, test.xmpp, got, want)
		}
	}

	names := dnstest.Start(t)
	cfg := (&federation{plaintext: true, names: names}).config()
	cfg.Servers = []Server{behind(home, "127.0.0.1:1")}
	g := NewGateway(cfg, nil)
	startGateway(t, g)
	conn, err := net.Dial("tcp", g.worldListeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(".\n:_source\tpsyc://" + psycedDomain + "/\n\n_notice_circuit_established\n.\n")); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(conn.RemoteAddr().String())
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if offered, ok := strings.CutPrefix(lines.Text(), ":_available_protocols\t"); ok {
			if offered != "XMPP-S2S/1:"+port {
				t.Errorf("offers %s", offered)
			}
			return
		}
	}
	t.Errorf("offers nothing: %v", lines.Err())
}
