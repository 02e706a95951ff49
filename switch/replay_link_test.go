package psycswitch_test

import (
	"cmp"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/replay"
	"github.com/switchyard-im/switchyard/psyc"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

var update = flag.Bool("update", false, "write what the sessions with psyced become")

// A replayed is a recorded session in which a router takes the part of the recorded peer.
type replayed struct {
	recording string
	with      []string // its connections at one time, by name and number

	local  string // as which domain
	speaks psycswitch.Protocol
	psyced bool // the operator has named psyced's domain
	secure bool // with certificates at both ends
	direct bool // TLS from the first byte
	alone  bool // we speak that protocol only
	noTLS  bool // psyced has no TLS
}

// open returns the conversations.
func (r replayed) open(t *testing.T) (cs []*replay.Conversation) {
	t.Helper()
	for _, id := range r.with {
		cs = append(cs, replay.Find(t, r.recording+"/"+id))
	}
	return cs
}

// A cast is a router of ours and a psyced that plays a session.
type cast struct {
	t      *testing.T
	row    replayed
	here   *yard
	ca     *authority
	ln     *memListener
	remote string
	begun  time.Time

	assigned psyc.Vars // by the recorded peer

	mu  sync.Mutex
	log []string
}

// perform plays the session and returns what happened.
func (r replayed) perform(t *testing.T, cs []*replay.Conversation, act func(*cast)) []string {
	t.Helper()
	c := &cast{t: t, row: r, remote: "psyced.test"}
	if r.local == "" {
		c.row.local = "peer.test"
	}
	if strings.HasSuffix(c.row.local, ".example") {
		c.remote = "psyced.example"
	}
	synctest.Test(t, func(t *testing.T) {
		c.t, c.begun = t, time.Now()
		w := newTown(t)
		hosts := plain(c.row.local)
		if r.secure {
			c.ca = w.tls()
			hosts = with(c.ca.issue(c.row.local), c.row.local)
		}
		addr := psycedAddr + ":4404"
		if r.speaks == psycswitch.XMPP {
			addr = psycedAddr + port
		}
		w.resolver.Domains[c.remote] = []psycswitch.Hint{{Protocol: r.speaks, Addr: addr, DirectTLS: r.direct}}
		c.here = w.add("10.0.0.1", hosts, func(y *yard) {
			if r.psyced {
				y.Psyced = func(domain string) bool { return domain == c.remote }
			}
			if r.alone {
				y.Protocols = r.speaks
			}
			y.Insecure |= psycswitch.Addresses
			y.Barriers.Delay = -1 // who made the recordings sent none
			y.PSYC.Self = "psyc://" + c.row.local + "/"
		})
		w.start()
		c.ln = w.net.listen(addr)
		peer := &replay.Peer{Patience: 2 * time.Hour, Pace: true, Deviations: replay.Deviations, Trace: c.note}
		if r.noTLS {
			peer.Rename = strings.NewReplacer("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "")
		}
		if r.secure {
			peer.TLS = psycedTLS(c.ca.issue(c.remote))
			if !r.psyced {
				// Where TLS is required nobody looks at the switch before it: TLS 1.3 is tried first, and the complaint about it teaches better.
				peer.TLS.MaxVersion = tls.VersionTLS12
			}
		}
		played := make(chan error, 1)
		go func() { played <- peer.PlayAll(c.connect, cs...) }()
		act(c)
		c.here.stop()
		c.ln.Close()
		if err := <-played; err != nil {
			t.Errorf("%v\nafter:\n%s", err, strings.Join(c.log, "\n"))
		}
	})
	return c.log
}

// psycedTLS is the server side of psyced's TLS: it takes any version, and then does not believe in the names of the ciphers of TLS 1.3.
func psycedTLS(cert *tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{*cert},
		ClientAuth:   tls.RequestClientCert,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.Version > tls.VersionTLS12 {
				return fmt.Errorf("the cipher %s is not (EC)DHE", tls.CipherSuiteName(cs.CipherSuite))
			}
			return nil
		},
	}
}

// connect is psyced's end of a connection: it has opened those with "in" in their names.
func (c *cast) connect(conversation *replay.Conversation) (net.Conn, error) {
	if strings.HasPrefix(strings.ToUpper(conversation.Name), "IN") || strings.HasPrefix(conversation.Name, "PSYC") {
		return c.here.town.net.from(psycedAddr).DialContext(c.t.Context(), "tcp", c.here.ip+port)
	}
	return c.ln.Accept()
}

func (c *cast) note(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, line)
}

// converse has people here do what the recorded peer did, when it did it, and notes what arrives.
func (c *cast) converse(cs []*replay.Conversation) {
	var said []replay.Unit // by psyced, since we last said something
	n, end := 0, time.Duration(0)
	for _, turn := range replay.Together(cs...) {
		end = turn.At + time.Second
		if turn.Sender == replay.Psyced {
			said = append(said, turn.Unit)
			continue
		}
		if replay.Left(turn.Unit) != nil {
			continue
		}
		n++
		if turn.Packet != nil {
			c.assign(turn.Packet)
		}
		for _, s := range stanzasOf(c.t, turn.Unit, "i"+strconv.Itoa(n)) {
			c.arrived(turn.At, said)
			said = nil
			c.note("we " + tell(s))
			c.here.send(s)
		}
	}
	c.arrived(end, said)
}

// assign gives a packet the addresses that the recorded peer had assigned; we name ours each time.
func (c *cast) assign(p *psyc.Packet) {
	for _, v := range p.Routing {
		if v.Op == psyc.Assign {
			c.assigned.Set(v.Name, v.Value.String())
		}
	}
	if psyc.Inherits(p.Method, "_message") && len(p.Routing) == 0 {
		p.Routing = c.assigned
	}
}

// arrived notes what has come here until a moment of the recording, which has to be what psyced said.
func (c *cast) arrived(until time.Duration, said []replay.Unit) {
	time.Sleep(time.Until(c.begun.Add(until)))
	synctest.Wait()
	c.here.mu.Lock()
	got, downs := c.here.got, c.here.downs
	c.here.got, c.here.downs = nil, nil
	c.here.mu.Unlock()
	// Between others there is no order.
	slices.SortStableFunc(got, func(a, b *xmpp.Stanza) int {
		return cmp.Or(strings.Compare(a.To.Bare().String(), b.To.Bare().String()), strings.Compare(a.From.Bare().String(), b.From.Bare().String()))
	})
	for _, s := range got {
		c.note("here " + tell(s))
		if body := s.Text("body"); body != "" && s.Type != "error" && !saidBy(said, body) {
			c.t.Errorf("psyced did not say %q", body)
		}
	}
	for _, err := range downs {
		c.note("here the link ends: " + reason(err))
	}
}

// reason is the method of psyced's complaint, if an error is one.
func reason(err error) string {
	var said *psyc.Error
	if errors.As(err, &said) {
		return said.Method
	}
	if err == nil {
		return "in order"
	}
	return err.Error()
}

// saidBy reports whether body is the text of one of the units, or the action of one.
func saidBy(units []replay.Unit, body string) bool {
	for _, u := range units {
		if u.Packet == nil {
			continue
		}
		text, action := string(u.Packet.Body), u.Packet.Entity.Get("_action").String()
		if text == body || action != "" && strings.HasPrefix(body, "/me "+action) {
			return true
		}
	}
	return false
}

// tell is what matters of a stanza, without what it says.
func tell(s *xmpp.Stanza) string {
	what := s.Kind.String()
	if s.Type != "" {
		what += ":" + s.Type
	}
	if condition := errorCondition(s); condition != "" {
		what += " " + condition
	}
	if show := s.Text("show"); show != "" {
		what += " " + show
	}
	if _, ok := s.Child("urn:xmpp:delay", "delay"); ok {
		what += " of before"
	}
	if s.ID != "" {
		what += " id " + s.ID
	}
	return what + " from " + s.From.String() + " to " + s.To.String()
}

// stanzasOf returns what somebody has to send to say what the recorded peer said; nothing for what links say by themselves.
func stanzasOf(t *testing.T, u replay.Unit, id string) []*xmpp.Stanza {
	t.Helper()
	if u.Stanza() {
		return []*xmpp.Stanza{stanza(t, string(u.Raw))}
	}
	if u.Packet == nil || u.Packet.Routing.Get("_target") == nil {
		return nil
	}
	p := u.Packet
	from, to := addressOf(t, p.Routing.Get("_source")), addressOf(t, p.Routing.Get("_target"))
	send := func(format string, args ...any) []*xmpp.Stanza {
		return []*xmpp.Stanza{stanza(t, fmt.Sprintf(format, args...))}
	}
	quoted := func(name string) string { return string(xmpp.AppendText(nil, p.Entity.Get(name).String())) }
	nick := quoted("_nick")
	switch p.Method {
	case "_message_private":
		return send("<message from='%s/desk' to='%s' type='chat' id='%s'><body>%s</body></message>", from, to, id, xmpp.AppendText(nil, string(p.Body)))
	case "_message_public":
		return send("<message from='%s/desk' to='%s' type='groupchat' id='%s'><body>%s</body></message>", from, to, id, xmpp.AppendText(nil, string(p.Body)))
	case "_notice_friendship_removed_implied":
		return nil // the link's answer
	case "_request_version":
		return send("<iq from='%s/desk' to='%s' type='get' id='%s'><query xmlns='jabber:iq:version'/></iq>", from, to, id)
	case "_request_ping":
		return send("<iq from='%s/desk' to='%s' type='get' id='%s'><ping xmlns='urn:xmpp:ping'/></iq>", from, to, id)
	case "_request_enter", "_request_context_enter":
		return send("<presence from='%s/desk' to='%s/%s' id='%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>", from, to, nick, id)
	case "_request_leave", "_request_context_leave":
		return send("<presence from='%s/desk' to='%s/%s' type='unavailable'/>", from, to, nick)
	case "_request_status_person":
		return send("<presence from='%s' to='%s' type='probe'/>", from, to)
	case "_request_friendship":
		return send("<presence from='%s' to='%s' type='subscribe'/>", from, to)
	case "_request_friendship_implied", "_notice_friendship_established", "_status_friendship_established":
		return send("<presence from='%s' to='%s' type='subscribed'/>", from, to)
	case "_notice_friendship_removed":
		return append(send("<presence from='%s' to='%s' type='unsubscribe'/>", from, to), send("<presence from='%s' to='%s' type='unsubscribed'/>", from, to)...)
	case "_notice_presence_here":
		return send("<presence from='%s/desk' to='%s'><status>%s</status></presence>", from, to, quoted("_description_presence"))
	case "_notice_presence_away":
		return send("<presence from='%s/desk' to='%s'><show>away</show><status>%s</status></presence>", from, to, quoted("_description_presence"))
	case "_notice_presence_absent":
		return send("<presence from='%s/desk' to='%s' type='unavailable'/>", from, to)
	}
	t.Fatalf("no stanza says %s", p.Method)
	return nil
}

func addressOf(t *testing.T, v psyc.Value) uniform.JID {
	t.Helper()
	u, err := uniform.Parse(v.String())
	if err != nil {
		t.Fatal(err)
	}
	j, err := u.JID("")
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// talks are the sessions in which people talk.
var talks = []replayed{
	{recording: "02-psyc09-person", with: []string{"main0"}, speaks: psycswitch.PSYC, psyced: true},
	{recording: "03-psyc09-place", with: []string{"main0", "IN10"}, speaks: psycswitch.PSYC, psyced: true},
	{recording: "04-psyc09-friendship-presence", with: []string{"main0", "IN10"}, speaks: psycswitch.PSYC, psyced: true},
	{recording: "05-psyc10-spyc", with: []string{"main0"}, speaks: psycswitch.PSYC},
	{recording: "06b-psyc-tls12", with: []string{"C0"}, speaks: psycswitch.PSYC, psyced: true, secure: true, direct: true},
	{recording: "07-xmpp-s2s-switch", with: []string{"A0"}, speaks: psycswitch.XMPP, psyced: true, noTLS: true},
	{recording: "08-xmpp-s2s-starttls-external-switch", with: []string{"A0"}, speaks: psycswitch.XMPP, secure: true},
	{recording: "08-xmpp-s2s-starttls-external-switch", with: []string{"C0"}, speaks: psycswitch.XMPP, secure: true, alone: true},
	{recording: "09-xmpp-s2s-outgoing-switch", with: []string{"IN0"}, speaks: psycswitch.PSYC, psyced: true},
	{recording: "10-psyc09-outgoing-circuit", with: []string{"IN10"}, speaks: psycswitch.PSYC, psyced: true, local: "other.test"},
	{recording: "10-psyc09-outgoing-circuit", with: []string{"IN40"}, speaks: psycswitch.PSYC, psyced: true},
	{recording: "12-psyc09-edge-cases", with: []string{"SHUT0"}, speaks: psycswitch.PSYC, psyced: true, local: "p26.test"},
	{recording: "13-psyc09-first-packet-rule", with: []string{"A0"}, speaks: psycswitch.PSYC, psyced: true, local: "p31.test"},
	{recording: "13-psyc09-first-packet-rule", with: []string{"B0"}, speaks: psycswitch.PSYC, psyced: true, local: "p32.test"},
	{recording: "13-psyc09-first-packet-rule", with: []string{"D0", "IN10"}, speaks: psycswitch.PSYC, psyced: true, local: "p34.test"},
	{recording: "gateway", with: []string{"main0", "in0"}, speaks: psycswitch.PSYC, psyced: true, local: "peer.example"},
	{recording: "hello", with: []string{"starttls0"}, speaks: psycswitch.XMPP, secure: true, local: "peer.example"},
	{recording: "15-dns-lookups", with: []string{"PSYC5404-10"}, speaks: psycswitch.PSYC, psyced: true, local: "srv.test"},
}

// TestReplayTalks has people here take the part of the recorded peer, on the connections that were there at the same time. What
// they send, what goes to psyced, what it says, and what arrives here is kept in testdata/replay, without the words.
func TestReplayTalks(t *testing.T) {
	for _, row := range talks {
		name := row.recording + "-" + strings.Join(row.with, "-")
		t.Run(name, func(t *testing.T) {
			cs := row.open(t)
			log := row.perform(t, cs, func(c *cast) { c.converse(cs) })
			golden(t, name, strings.Join(log, "\n")+"\n")
		})
	}
}

// TestReplayDeviations: links make use of each deviation.
func TestReplayDeviations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "replay", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for _, d := range replay.Deviations {
		if !regexp.MustCompile(`[(, ]`+d.Name+`[,)]`).Match(all) && !onlyDials[d.Name] {
			t.Errorf("nobody deviates as in %q", d.Name)
		}
	}
}

// onlyDials are the deviations that matter where nobody says anything.
var onlyDials = map[string]bool{"encryption": true, "compact": true}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "replay", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
