package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// mallory is a domain whose server does what it should not.
const mallory = "mallory.example"

// A journal is a log that can be waited for.
type journal struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{}
}

func newJournal() *journal { return &journal{changed: make(chan struct{}, 1)} }

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	j.lines = append(j.lines, string(line))
	j.mu.Unlock()
	select {
	case j.changed <- struct{}{}:
	default:
	}
	return len(line), nil
}

// find returns the first line that has all the words.
func (j *journal) find(words []string) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		found := 0
		for _, w := range words {
			if strings.Contains(line, w) {
				found++
			}
		}
		if found == len(words) {
			return line, true
		}
	}
	return "", false
}

// expect waits for a line that has all the words.
func (j *journal) expect(t *testing.T, words ...string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		if _, ok := j.find(words); ok {
			return
		}
		select {
		case <-j.changed:
		case <-deadline:
			t.Errorf("no line with %q in the log:\n%s", words, strings.Join(j.lines, ""))
			return
		}
	}
}

// A wire is a connection on which a test writes and reads what it likes.
type wire struct {
	net.Conn
	all []byte // that came
	at  int    // what want has not looked at yet
}

func dialWire(t *testing.T, ln net.Listener) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &wire{Conn: conn}
}

func (w *wire) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// want waits for text and returns what came up to its end.
func (w *wire) want(t *testing.T, text string) string {
	t.Helper()
	b := make([]byte, 4096)
	for {
		if i := bytes.Index(w.all[w.at:], []byte(text)); i >= 0 {
			came := w.all[w.at : w.at+i+len(text)]
			w.at += i + len(text)
			return string(came)
		}
		n, err := w.Read(b)
		w.all = append(w.all, b[:n]...)
		if err != nil {
			t.Fatalf("waiting for %q: %v\n%s", text, err, w.all[w.at:])
		}
	}
}

// wantClosed waits for the end.
func (w *wire) wantClosed(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(w)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("not closed:\n%s", append(w.all, rest...))
	}
}

// openStream sends a stream header and returns the id of the stream.
func (w *wire) openStream(t *testing.T, from, to string) string {
	t.Helper()
	w.send(t, "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"+
		" xmlns:db='jabber:server:dialback' from='"+from+"' to='"+to+"' version='1.0'>")
	header := w.want(t, "</stream:features>")
	_, id, _ := strings.Cut(header, " id='")
	id, _, ok := strings.Cut(id, "'")
	if !ok {
		t.Fatalf("no id in %s", header)
	}
	return id
}

// prove proves mallory by dialback; her server knows the secret.
func (w *wire) prove(t *testing.T, to string) {
	t.Helper()
	id := w.openStream(t, mallory, to)
	w.send(t, "<db:result from='"+mallory+"' to='"+to+"'>"+dialbackKey(secret, to, mallory, id)+"</db:result>")
	w.want(t, "type='valid'")
}

// switchOver makes a circuit of a stream on which mallory has been proved.
func (w *wire) switchOver(t *testing.T) {
	t.Helper()
	w.send(t, "<switching xmlns='urn:x-switchyard:psyc:0' h='0'><syntax>1.0</syntax></switching>")
	w.want(t, "</switched>")
	w.send(t, "|\n\n:_uniform_source\tpsyc://"+mallory+"/\n_notice_circuit_established\n|\n")
}

const secret = "what only the servers of one domain know"

// dialbackKey is what XEP-0185 recommends.
func dialbackKey(secret, receiver, originator, id string) string {
	sum := sha256.Sum256([]byte(secret))
	mac := hmac.New(sha256.New, hex.AppendEncode(nil, sum[:]))
	io.WriteString(mac, receiver+" "+originator+" "+id)
	return hex.EncodeToString(mac.Sum(nil))
}

// packet is a message in the 1.0 syntax.
func packet(source, target, body string) string {
	return ":_source\t" + source + "\n:_target\t" + target + "\n\n_message_private\n" + body + "\n|\n"
}

// Whatever a peer does wrong, it gets the error that the protocol has for it, the log names it and the reason, its link
// alone is closed, where it has to be, and all others go on.
func TestBadInput(t *testing.T) {
	const (
		ada   = "ada@" + home
		eve   = "eve@" + mallory
		boss  = "ceo@bank.example"
		hello = "<body>hello</body>"
	)
	log := newJournal()
	f := newFront(t, 0, log.logger(), func(_ *front, cfg *Config) {
		authority := newNeighbour(t, mallory, psycswitch.XMPP)
		authority.Secret = []byte(secret)
		cfg.Routes = append(cfg.Routes,
			Route{Domain: mallory, XMPP: []string{authority.listener.Addr().String()}},
			// A name server may say of any domain that it is where mallory is, and of ours that it is there too.
			Route{Domain: home, XMPP: []string{authority.listener.Addr().String()}})
		authority.serve(t, "127.0.0.1:1")
	})
	var exchanged int
	exchange := func(t *testing.T) {
		t.Helper()
		exchanged++
		id := strconv.Itoa(exchanged)
		for _, way := range []struct{ from, to *neighbour }{{f.away, f.home}, {f.home, f.away}} {
			if err := way.from.Send(t.Context(), chat("x@"+way.from.domain+"/1", "y@"+way.to.domain+"/2", id, "hello")); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, way.to.got); got.ID != id || got.Type == "error" {
				t.Fatalf("%s got %s", way.to.domain, got.Append(nil))
			}
		}
	}
	exchange(t)
	links := func() (links []string) {
		for _, n := range []*neighbour{f.home, f.away} {
			for info := range n.Links() {
				links = append(links, info.Addr.String()+" "+info.Since.String())
			}
		}
		return links
	}
	before := len(links())

	for _, test := range []struct {
		name   string
		local  bool // at the local side, not the world's
		prove  bool // mallory first
		psyc   bool // and switch
		from   string
		to     string
		send   string
		want   string
		stays  bool // the link goes on
		logged []string
	}{
		{
			name: "malformed XML", prove: true,
			send: "<message from='" + eve + "' to='" + ada + "'><body></message>", want: "<not-well-formed ",
			logged: []string{"remote=" + mallory, "not-well-formed"},
		},
		{
			name: "a stanza from a domain that was not proved", prove: true,
			send: "<message from='" + boss + "' to='" + ada + "'>" + hello + "</message>", want: "<invalid-from ",
			logged: []string{"remote=" + mallory, "bank.example has not been proved"},
		},
		{
			name: "a stanza to a domain that is not hosted", prove: true,
			send: "<message from='" + eve + "' to='" + boss + "'>" + hello + "</message>", want: "<host-unknown ",
			logged: []string{"remote=" + mallory, "bank.example is not hosted"},
		},
		{
			name: "a stanza from our own domain", prove: true,
			send: "<message from='root@" + home + "' to='" + ada + "'>" + hello + "</message>", want: "<invalid-from ",
			logged: []string{"remote=" + mallory, home + " has not been proved"},
		},
		{
			name: "a stanza before any proof", from: mallory, to: home,
			send: "<message from='" + eve + "' to='" + ada + "'>" + hello + "</message>", want: "<not-authorized ",
			logged: []string{"remote=" + mallory, "before authentication"},
		},
		{
			name: "a wrong dialback key", from: mallory, to: home,
			send: "<db:result from='" + mallory + "' to='" + home + "'>0123</db:result>", want: "type='invalid'",
			logged: []string{"from=" + mallory, "forged dialback key"},
		},
		{
			name: "a dialback key for our own domain", from: home, to: home,
			send: "<db:result from='" + home + "' to='" + home + "'>0123</db:result>", want: "type='invalid'",
			logged: []string{"from=" + home, "forged dialback key"},
		},
		{
			name: "a dialback key for a domain of nobody", from: mallory, to: home, stays: true,
			send: "<db:result from='nobody.invalid' to='" + home + "'>0123</db:result>", want: "type='error'",
			logged: []string{"from=nobody.invalid", "not verified"},
		},
		{
			name: "a dialback key that we did not make", from: mallory, to: home, stays: true,
			send: "<db:verify from='" + mallory + "' to='" + home + "' id='1'>0123</db:verify>", want: "type='invalid'",
			logged: []string{"from=" + mallory, "not our dialback key"},
		},

		{
			name: "a packet that does not parse", prove: true, psyc: true,
			send: ":_source psyc://" + mallory + "/~eve\n\n_message\nhello\n|\n", want: "_error_invalid_syntax",
			logged: []string{"peer=psyc://" + mallory + "/", "circuit closed", "syntax"},
		},
		{
			name: "a packet from a domain that was not proved", prove: true, psyc: true, stays: true,
			send: packet("psyc://bank.example/~ceo", "psyc://"+home+"/~ada", "hello"), want: "_error_rejected_relay_incoming",
			logged: []string{"peer=psyc://" + mallory + "/", "packet refused", "bank.example"},
		},
		{
			name: "a packet from our own domain", prove: true, psyc: true, stays: true,
			send: packet("psyc://"+home+"/~root", "psyc://"+home+"/~ada", "hello"), want: "_error_rejected_relay_incoming",
			logged: []string{"peer=psyc://" + mallory + "/", "host=" + home, "lives here"},
		},
		{
			name: "a packet to a domain that is not hosted", prove: true, psyc: true, stays: true,
			send: packet("psyc://"+mallory+"/~eve", "psyc://bank.example/~ceo", "hello"), want: "_failure_unsupported_relay",
			logged: []string{"peer=psyc://" + mallory + "/", "packet refused", "_failure_unsupported_relay"},
		},
		{
			name: "an authorization for our own domain", prove: true, psyc: true, stays: true,
			send:   "\n:_uniform_source\tpsyc://" + home + "/\n:_uniform_target\tpsyc://" + home + "/\n_request_authorization\n|\n",
			want:   "_error_invalid_uniform_source",
			logged: []string{"peer=psyc://" + mallory + "/", "host=" + home, "lives here"},
		},
		{
			name: "a packet that is no stanza", prove: true, psyc: true, stays: true,
			send: ":_source\tpsyc://" + mallory + "/~eve\n:_target\tpsyc://" + home + "/~ada\n\n:_jabber_XML\t<broken\n_jabber_message\n|\n",
			want: "_error_invalid", logged: []string{"remote=" + mallory, "packet refused"},
		},

		{
			name: "neither XML nor PSYC", send: "EHLO mallory\r\n", logged: []string{"link refused", "nothing that we speak"},
		},

		// Any process may connect to the local side. It cannot be our server, nor a server of the world.
		{
			name: "our own domain at the local side", local: true, from: home, to: away,
			send: "<db:result from='" + home + "' to='" + away + "'>0123</db:result>", want: "type='invalid'",
			logged: []string{"side=local", "from=" + home, "forged dialback key"},
		},
		{
			name: "a foreign domain at the local side", local: true, from: mallory, to: away,
			send: "<db:result from='" + mallory + "' to='" + away + "'>0123</db:result>", want: "type='invalid'",
			logged: []string{"side=local", "from=" + mallory, "forged dialback key"},
		},
		{
			name: "our own domain as target at the local side", local: true,
			send: "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='" + mallory + "' to='" + home + "' version='1.0'>",
			want: "<host-unknown ", logged: []string{"side=local", "remote=" + mallory, "host-unknown"},
		},
		{
			name: "a dialback key of a foreign domain that the gateway did not make", local: true, from: home, to: away, stays: true,
			send: "<db:verify from='" + home + "' to='bank.example' id='1'>0123</db:verify>", want: "type='invalid'",
			logged: []string{"side=local", "not our dialback key", "to=bank.example"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			ln := f.gateway.worldListeners[0]
			if test.local {
				ln = f.gateway.localListener
			}
			w := dialWire(t, ln)
			switch {
			case test.prove:
				w.prove(t, home)
			case test.from != "":
				w.openStream(t, test.from, test.to)
			}
			if test.psyc {
				w.switchOver(t)
			}
			w.send(t, test.send)
			w.want(t, test.want)
			if test.stays {
				exchange(t)
				w.Close()
			} else {
				w.wantClosed(t)
				w.Close()
			}
			log.expect(t, test.logged...)
			exchange(t)
		})
	}
	if after := len(links()); after != before {
		t.Errorf("the servers had %d links and have %d", before, after)
	}
	for _, n := range []*neighbour{f.home, f.away} {
		select {
		case s := <-n.got:
			t.Errorf("%s got %s", n.domain, s.Append(nil))
		default:
		}
	}
}
