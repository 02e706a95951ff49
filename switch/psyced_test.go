package psycswitch_test

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/replay"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A line of a conversation with psyced: what somebody here sends, or what arrives here.
type line struct{ send, want string }

// out and in are the two kinds of lines, for cleo@peer.example unless they say otherwise.
func out(s string) line { return line{send: s} }
func in(s string) line  { return line{want: s} }

const psycedAddr = "10.0.0.8"

// converse plays a session of psyced against a router that speaks as lines say. psyced is reached by PSYC, in the syntax 0.9 alone,
// or by XMPP.
func converse(t *testing.T, name string, protocol psycswitch.Protocol, lines []line) {
	c := replay.Own(t, name).Conversations[0]
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		addr := psycedAddr + ":4404"
		if protocol == psycswitch.XMPP {
			addr = psycedAddr + port
		}
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: protocol, Addr: addr}}
		here := w.add("10.0.0.1", plain("peer.example"), func(y *yard) {
			if protocol == psycswitch.XMPP { // by PSYC it shows itself
				y.Psyced = func(domain string) bool { return domain == "psyced.example" }
			}
		})
		w.start()
		ln := w.net.listen(addr)
		played := make(chan error, 1)
		go func() {
			conn, err := ln.Accept()
			if err == nil && protocol == psycswitch.PSYC {
				conn, err = refuse10(ln, conn)
			}
			if err != nil {
				played <- err
				return
			}
			played <- (&replay.Peer{}).Play(conn, c)
		}()
		speak(t, here, lines, played)
		here.stop()
		if err := <-played; err != nil {
			t.Error(err)
		}
	})
}

// converseIn is converse for a session that psyced opens.
func converseIn(t *testing.T, name string, lines []line) {
	c := replay.Own(t, name).Conversations[0]
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: psycedAddr + ":4404"}}
		here := w.add("10.0.0.1", plain("peer.example"), func(y *yard) {
			y.Psyced = func(domain string) bool { return domain == "psyced.example" }
			y.Insecure |= psycswitch.Addresses
			y.PSYC.Self = "psyc://peer.example/"
		})
		w.start()
		conn, err := w.net.from(psycedAddr).DialContext(t.Context(), "tcp", here.ip+port)
		if err != nil {
			t.Fatal(err)
		}
		played := make(chan error, 1)
		go func() { played <- (&replay.Peer{}).Play(conn, c) }()
		speak(t, here, lines, played)
		here.stop()
		if err := <-played; err != nil {
			t.Error(err)
		}
	})
}

// A circuit that psyced opens, until it shuts down.
func TestPsycedIncoming(t *testing.T) {
	converseIn(t, "incoming", []line{
		in(`<message from='ada@psyced.example' to='cleo@peer.example' type='chat'><body>This has waited.</body><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></message>`),
		in(`<presence from='ada@psyced.example' to='dan@peer.example' type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></presence>`),
	})
}

// The switch of a stream that psyced opens: it asks for it at once, and what it had queued comes to the old spelling.
func TestPsycedSwitchIn(t *testing.T) {
	converseIn(t, "switch-in", []line{
		in(`<message from='ada@psyced.example' to='cleo@peer.example' type='chat' xml:lang='en'><body>Which way did this come?</body><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></message>`),
	})
}

// Without the operator's word there is no proof by address, and what psyced sends is refused to its sender's face.
func TestPsycedUnproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: psycedAddr + ":4404"}}
		here := w.add("10.0.0.1", plain("peer.example"), nil)
		w.start()
		c := w.dial(psycedAddr, here.ip+port)
		c.send(".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n")
		c.expect("_notice_circuit_established")
		c.send(":_source\tpsyc://psyced.example/~ada\n:_target\tpsyc://peer.example/~cleo\n\n_message_private\nhi\n.\n")
		if got := c.expect("_error_rejected_relay_incoming"); !strings.Contains(got, ":_target\tpsyc://psyced.example/~ada\n") {
			t.Errorf("refused with %q", got)
		}
	})
}

// A psyced that does not believe where we come from is reached by XMPP, and so is it later.
func TestPsycedDisbelieves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{
			{Protocol: psycswitch.PSYC, Addr: psycedAddr + ":4404"},
			{Protocol: psycswitch.XMPP, Addr: psycedAddr + port},
		}
		here := w.add("10.0.0.1", plain("peer.example"), func(y *yard) {
			y.Psyced = func(string) bool { return true }
		})
		w.start()
		circuits, streams := w.net.listen(psycedAddr+":4404"), w.net.listen(psycedAddr+port)
		for i := range 2 {
			here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "1", "hello"))
			if i == 0 {
				c := circuits.accept(t)
				c.expect("_status_circuit")
				c.send(".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n")
				c.expect("_request_ping\n.\n")
				c.send("\n:_host\tpeer.example\n_error_rejected_relay_incoming\nNo.\n.\n")
				c.Close()
			}
			c := streams.accept(t)
			c.acceptStream("<switch xmlns='http://switch.psyced.org'><scheme>psyc</scheme></switch>" + dialbackOn)
			if got := c.expect("hello"); strings.Contains(got, "switching") {
				t.Errorf("switches to what it is not believed by: %q", got)
			}
			c.Close()
			here.await("the end of the link", func() bool { return len(here.downs) == i+1 })
		}
	})
}

// tagOf returns the tag of a packet.
func tagOf(packet string) string {
	_, tag, _ := strings.Cut(packet, ":_tag\t")
	tag, _, _ = strings.Cut(tag, "\n")
	return tag
}

// refuse10 answers the first line of PSYC 1.0 as a psyced without that syntax does, and returns the next connection.
func refuse10(ln net.Listener, conn net.Conn) (net.Conn, error) {
	if _, err := conn.Read(make([]byte, 4096)); err != nil {
		return nil, err
	}
	conn.Write([]byte("\n_error_syntax_initialization\nThe protocol begins with a dot.\n.\n"))
	conn.Close()
	return ln.Accept()
}

// embedded is what a stanza carries of a packet for a far end that speaks PSYC again.
var embedded = regexp.MustCompile(`<packet xmlns='urn:x-switchyard:packet:0'.*?</packet>`)

func speak(t *testing.T, here *yard, lines []line, played chan error) {
	t.Helper()
	for i, l := range lines {
		if l.send != "" {
			here.send(stanza(t, l.send))
			continue
		}
		synctest.Wait()
		select {
		case err := <-played:
			played <- err
			if err != nil {
				t.Fatalf("line %d, %s: the session ended: %v", i, l.want, err)
			}
		default:
		}
		if got := embedded.ReplaceAllString(string(here.next().Append(nil)), ""); got != l.want {
			t.Errorf("line %d:\ngot  %s\nwant %s", i, got, l.want)
		}
	}
	synctest.Wait()
	here.mu.Lock()
	defer here.mu.Unlock()
	for _, s := range here.got {
		t.Errorf("more than that: %s", s.Append(nil))
	}
}

// Messages, their echoes and errors, and questions.
func TestPsycedPerson(t *testing.T) {
	converse(t, "person", psycswitch.PSYC, []line{
		out(`<message from='cleo@peer.example/desk' to='ada@psyced.example' type='chat' id='m1'><body>Is the kettle on?</body></message>`),
		in(`<message from='ada@psyced.example' to='cleo@peer.example' type='chat'><body>It is.

Come in.</body><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></message>`),
		out(`<message from='cleo@peer.example/desk' to='nobody@psyced.example' type='chat' id='m2'><body>Who is there?</body></message>`),
		in(`<message from='nobody@psyced.example' to='cleo@peer.example/desk' id='m2' type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>There is no "nobody" here.</text></error></message>`),
		out(`<message from='cleo@peer.example/desk' to='hermit@psyced.example' type='chat' id='m3'><body>May I?</body></message>`),
		in(`<message from='hermit@psyced.example' to='cleo@peer.example/desk' id='m3' type='error'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>hermit takes messages of friends only.</text></error></message>`),
		out(`<iq from='cleo@peer.example/desk' to='ada@psyced.example/home' type='get' id='1'><query xmlns='jabber:iq:version'/></iq>`),
		in(`<iq from='ada@psyced.example/home' to='cleo@peer.example/desk' id='1' type='result'><query xmlns='jabber:iq:version'><name>A daemon for chat and messages</name><version>psyced/0.99</version></query></iq>`),
		out(`<iq from='cleo@peer.example/pad' to='psyced.example' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`),
		in(`<iq from='psyced.example' to='cleo@peer.example/pad' id='1' type='result'/>`),
		in(`<message from='ada@psyced.example' to='cleo@peer.example' type='chat'><body>Sugar?</body><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></message>`),
	})
}

// Friendship, presence, and that the repeated casts are delivered once.
func TestPsycedFriendship(t *testing.T) {
	converse(t, "friendship", psycswitch.PSYC, []line{
		out(`<presence from='cleo@peer.example' to='ada@psyced.example' type='subscribe'/>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example' type='subscribed'/>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example' type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></presence>`),
		out(`<presence from='cleo@peer.example' to='ada@psyced.example' type='subscribed'/>`),
		out(`<presence from='cleo@peer.example/desk' to='ada@psyced.example'><status>at work</status></presence>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example'><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></presence>`),
		out(`<presence from='cleo@peer.example/desk' to='ada@psyced.example'><show>away</show></presence>`),
		out(`<presence from='cleo@peer.example' to='ada@psyced.example' type='probe'/>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example'><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></presence>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example'><show>away</show><status>lunch</status><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></presence>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example'><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></presence>`),
		out(`<presence from='cleo@peer.example' to='ada@psyced.example' type='unsubscribe'/>`),
		out(`<presence from='cleo@peer.example' to='ada@psyced.example' type='unsubscribed'/>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example' type='unsubscribe'/>`),
		in(`<presence from='ada@psyced.example' to='cleo@peer.example' type='unsubscribed'/>`),
	})
}

// A place as a room.
func TestPsycedPlace(t *testing.T) {
	const room = "*bar@psyced.example"
	item := func(jid string) string {
		return `<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant' jid='` + jid + `'/></x>`
	}
	gone := func(jid string) string { return strings.Replace(item(jid), "participant", "none", 1) }
	own := func(role string) string {
		return `<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='` + role + `' jid='cleo@peer.example'/><status code='110'/></x>`
	}
	groupchat := func(nick, content string) line {
		return in(`<message from='` + room + `/` + nick + `' to='cleo@peer.example/desk' type='groupchat'>` + content + `</message>`)
	}
	converse(t, "place", psycswitch.PSYC, []line{
		out(`<message from='cleo@peer.example/desk' to='` + room + `' type='groupchat' id='g1'><body>Anybody in?</body></message>`),
		in(`<message from='` + room + `' to='cleo@peer.example/desk' id='g1' type='error'><error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Enter bar first.</text></error></message>`),
		out(`<presence from='cleo@peer.example/desk' to='` + room + `/cleo' id='j1'><x xmlns='http://jabber.org/protocol/muc'/></presence>`),
		in(`<presence from='` + room + `/ada' to='cleo@peer.example/desk'>` + item("ada@psyced.example") + `</presence>`),
		in(`<presence from='` + room + `/cleo' to='cleo@peer.example/desk'>` + own("participant") + `</presence>`),
		groupchat("ada", `<body>That was yesterday.</body><delay xmlns='urn:xmpp:delay' from='*bar@psyced.example' stamp='2026-11-22T15:21:59Z'/>`),
		in(`<message from='` + room + `' to='cleo@peer.example/desk' type='groupchat'><subject>tea</subject></message>`),
		out(`<message from='cleo@peer.example/desk' to='` + room + `' type='groupchat' id='g2'><body>Good evening.</body></message>`),
		in(`<message from='` + room + `/cleo' to='cleo@peer.example/desk' id='g2' type='groupchat'><body>Good evening.</body></message>`),
		groupchat("ada", "<body>Evening.\n..and welcome</body>"),
		groupchat("ada", "<body>/me pours</body>"),
		in(`<presence from='` + room + `/bo' to='cleo@peer.example/desk'>` + item("bo@psyced.example") + `</presence>`),
		in(`<presence from='` + room + `/bo' to='cleo@peer.example/desk' type='unavailable'>` + gone("bo@psyced.example") + `</presence>`),
		groupchat("ada", "<subject>coffee</subject>"),
		out(`<presence from='cleo@peer.example/desk' to='` + room + `/cleo' type='unavailable'/>`),
		in(`<presence from='` + room + `/cleo' to='cleo@peer.example/desk' type='unavailable'>` + own("none") + `</presence>`),
	})
}

// The switch of a stream that we opened: what is sent to the old spelling arrives, and is answered under it.
func TestPsycedSwitch(t *testing.T) {
	converse(t, "switch", psycswitch.XMPP, []line{
		out(`<message from='cleo@peer.example/desk' to='ada@psyced.example' type='chat' id='m1'><body>By another way.</body></message>`),
		in(`<message from='ada@psyced.example' to='cleo@peer.example' type='chat'><body>To the old name.</body><nick xmlns='http://jabber.org/protocol/nick'>ada</nick></message>`),
	})
}

// psyced answers by the circuit of its own, if it has one. What waits for the answer does not wait for longer than that.
func TestPsycedAnswersElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: psycedAddr + ":4404"}}
		here := w.add("10.0.0.1", plain("peer.example"), func(y *yard) {
			y.Psyced = func(string) bool { return true }
			y.Insecure |= psycswitch.Addresses
			y.PSYC.Self = "psyc://peer.example/"
		})
		w.start()
		circuits := w.net.listen(psycedAddr + ":4404")
		own := w.dial(psycedAddr, here.ip+port)
		own.send(".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n")
		own.expect("_status_circuit")
		began := time.Now()
		here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "1", "hello"))
		c := circuits.accept(t)
		c.expect("_status_circuit")
		c.send(".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n")
		own.send(":_source\tpsyc://psyced.example/\n:_target\tpsyc://peer.example/~switchyard\n:_tag_reply\t" + tagOf(c.expect("_request_ping\n.\n")) + "\n\n_echo_ping\n.\n")
		c.expect("hello")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("after %v", waited)
		}
	})
}

// When a router stops, those who are in rooms over it leave them.
func TestPsycedStaysEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: psycedAddr + ":4404"}}
		here := w.add("10.0.0.1", plain("peer.example"), func(y *yard) {
			y.Psyced = func(string) bool { return true }
		})
		w.start()
		circuits := w.net.listen(psycedAddr + ":4404")
		here.send(stanza(t, `<presence from='cleo@peer.example/desk' to='*bar@psyced.example/cleo'><x xmlns='http://jabber.org/protocol/muc'/></presence>`))
		c := circuits.accept(t)
		c.send(".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n")
		c.send(":_source\tpsyc://psyced.example/\n:_target\tpsyc://peer.example/~switchyard\n:_tag_reply\t" + tagOf(c.expect("_request_ping\n.\n")) + "\n\n_echo_ping\n.\n")
		c.send(":_source\tpsyc://psyced.example/@bar\n:_target\tpsyc://peer.example/~cleo\n:_tag_reply\t" + tagOf(c.expect("_request_enter\n.\n")) + "\n\n:_nick\tcleo\n_echo_place_enter\n.\n")
		if s := here.next(); s.Type != "" || s.From.String() != "*bar@psyced.example/cleo" {
			t.Fatalf("entered with %s", s.Append(nil))
		}
		here.next() // the subject
		stopped := make(chan struct{})
		go func() { here.stop(); close(stopped) }()
		c.expect("_request_leave\n.\n")
		c.expect("_request_circuit_shutdown\n.\n")
		c.Close()
		<-stopped
		if s := here.next(); s.Type != "unavailable" || !strings.Contains(string(s.Raw()), "<status code='332'/>") {
			t.Errorf("left with %s", s.Append(nil))
		}
	})
}

// A domain here that does not say what it is has no rooms, until it says so after all.
func TestPsycedSilentDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: psycedAddr + ":4404"}}
		here := w.add("10.0.0.1", plain("rooms.peer.example"), func(y *yard) {
			y.Psyced = func(string) bool { return true }
			y.Insecure |= psycswitch.Addresses
		})
		w.start()
		c := w.dial(psycedAddr, here.ip+port)
		c.send(".\n:_source\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n")
		c.expect("_status_circuit")
		enter := func(tag string) {
			c.send(":_source\tpsyc://psyced.example/~ada\n:_target\tpsyc://rooms.peer.example/@bar\n:_tag\t" + tag + "\n\n:_nick\tada\n_request_enter\n.\n")
		}
		refused := func(after time.Duration, tags ...string) {
			t.Helper()
			began := time.Now()
			for _, tag := range tags {
				if got := c.expect("_failure_unsupported_function"); !strings.Contains(got, ":_tag_reply\t"+tag+"\n") {
					t.Errorf("%q, want the answer to %s", got, tag)
				}
			}
			if waited := time.Since(began); waited != after {
				t.Errorf("refused %q after %v, want %v", tags, waited, after)
			}
		}
		enter("one")
		question := here.next()
		enter("two")
		refused(10*time.Second, "one", "two")
		enter("three")
		refused(0, "three")

		answer := question.Reply("result")
		info := xmpp.DiscoInfo{Identities: []xmpp.Identity{{Category: "conference", Type: "text"}}, Features: []string{"http://jabber.org/protocol/muc"}}
		if err := answer.SetRaw(info.Append(nil)); err != nil {
			t.Fatal(err)
		}
		here.send(answer)
		synctest.Wait()
		enter("four")
		if s := here.next(); s.To.String() != "bar@rooms.peer.example/ada" {
			t.Errorf("entered with %s", s.Append(nil))
		}
		time.Sleep(time.Hour) // and then nobody is asked, or answered for
		if _, got := here.accounts(); len(got) > 0 {
			t.Errorf("%s", got[0].Append(nil))
		}
	})
}

// In 1.0 packets go one at a time: psyced's driver breaks down if it reads several at once.
func TestPsycedReadsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.resolver.Domains["psyced.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, Addr: psycedAddr + ":4404"}}
		here := w.add("10.0.0.1", plain("peer.example"), nil)
		w.start()
		circuits := w.net.listen(psycedAddr + ":4404")
		const n = 20
		for range n {
			here.send(chat("cleo@peer.example/desk", "ada@psyced.example", "1", "hello"))
		}
		c := circuits.accept(t)
		c.send("|\n:_tag_relay\t" + tagOf(c.expect("_request_authorization\n|\n")) + "\n\n:_uniform_source\tpsyc://peer.example/\n:_uniform_target\tpsyc://psyced.example/\n_status_authorization\n|\n")
		for i, b := 0, make([]byte, 64<<10); i < n; {
			m, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if packets := strings.Count(string(b[:m]), "\n|\n"); packets > 1 {
				t.Fatalf("%d packets at once, after %d", packets, i)
			}
			i++
		}
	})
}
