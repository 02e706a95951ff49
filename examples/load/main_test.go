package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/rig"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// load runs the program.
func load(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = command(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// Two servers of the program's own, one way and with all kinds.
func TestServers(t *testing.T) {
	for name, option := range map[string]string{"XMPP": "", "PSYC": "&psyc"} {
		t.Run(name, func(t *testing.T) {
			north, south := rig.FreeAddr(t), rig.FreeAddr(t)
			code, stdout, stderr := load(t,
				"-from", "server://north.example@"+north+"?peer="+south+option,
				"-to", "server://south.example@"+south+"?peer="+north+option,
				"-n", "2000", "-mix", "chat:100=7,chat:5000=1,presence=2,ping=1", "-window", "100",
				"-pid", "load="+strconv.Itoa(os.Getpid()))
			if code != 0 || !strings.HasPrefix(stdout, "2000 of 2000 arrived in ") ||
				!strings.Contains(stdout, "errors 0, lost 0, doubled 0, out of order 0\n") ||
				!strings.Contains(stdout, "CPU of load: ") || !strings.Contains(stdout, "#") {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// A component of Prosody sends to one of ejabberd.
func TestRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	names := dnstest.Start(t)
	prosody := rig.Prosody(t, rig.Options{Domain: "prosody.test", Resolver: names.Addr(), Component: "load.prosody.test"})
	ejabberd := rig.Ejabberd(t, rig.Options{Domain: "ejabberd.test", Resolver: names.Addr(), Component: "load.ejabberd.test"})
	for domain, server := range map[string]*rig.Server{"load.prosody.test": prosody, "load.ejabberd.test": ejabberd} {
		host, port, err := net.SplitHostPort(server.S2S)
		if err != nil {
			t.Fatal(err)
		}
		names.Add("_xmpp-server._tcp." + domain + ". 60 IN SRV 0 0 " + port + " " + host + ".")
	}
	endpoint := func(domain string, s *rig.Server) string {
		return "component://" + domain + ":" + s.ComponentSecret + "@" + s.Component
	}
	code, stdout, stderr := load(t,
		"-from", endpoint("load.prosody.test", prosody), "-to", endpoint("load.ejabberd.test", ejabberd),
		"-n", "500", "-window", "50", "-mix", "chat:100=8,ping=1")
	if code != 0 || !strings.HasPrefix(stdout, "500 of 500 arrived in ") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// What is wrong with the command line is said, without secrets.
func TestUsage(t *testing.T) {
	const to = "server://b.example@127.0.0.1:7002?peer=127.0.0.1:7001"
	for _, test := range []struct {
		name, want string
		args       []string
	}{
		{"nothing", "-from", nil},
		{"scheme", "neither component nor server", []string{"-from", "http://a.example@127.0.0.1:1", "-to", to}},
		{"not a URL", "not a URL", []string{"-from", "component://a.example:hush%zz@x", "-to", to}},
		{"no port", "missing port", []string{"-from", "component://a.example:hush@127.0.0.1", "-to", to}},
		{"no peer", "peer", []string{"-from", "server://a.example@127.0.0.1:1", "-to", to}},
		{"mix", "neither chat", []string{"-mix", "smoke=1"}},
		{"weight", "weight", []string{"-mix", "chat=1001"}},
		{"weights", "nothing has a weight", []string{"-mix", "chat=0"}},
		{"size", "size", []string{"-mix", "chat:-1"}},
		{"count", "at least 1", []string{"-n", "0", "-from", to, "-to", to}},
		{"process", "NAME=PID", []string{"-pid", "x", "-from", to, "-to", to}},
		{"flag", "not defined", []string{"-nonsense"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := load(t, test.args...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, test.want) || strings.Contains(stderr, "hush") {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// A server that is not there, and one that takes nothing, end the program in time.
func TestNobody(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	gone := rig.FreeAddr(t)
	for name, addr := range map[string]string{"gone": gone, "deaf": deaf.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			end := "component://a.example:hush@" + addr
			code, stdout, stderr := load(t, "-from", end, "-to", end, "-patience", "100ms")
			if code != 1 || stdout != "" || stderr == "" || strings.Contains(stderr, "hush") {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// A pipe is an endpoint that hands each stanza to another one, through a way that may spoil it.
type pipe struct {
	domain string
	other  *pipe
	spoil  func(*xmpp.Stanza) []*xmpp.Stanza
	take   chan func(*xmpp.Stanza)
}

func (p *pipe) Domain() string                { return p.domain }
func (p *pipe) Connect(context.Context) error { return nil }

func (p *pipe) Receive(ctx context.Context, take func(*xmpp.Stanza)) error {
	p.take <- take
	<-ctx.Done()
	return nil
}

func (p *pipe) Send(_ context.Context, s *xmpp.Stanza) error {
	take := <-p.other.take
	p.other.take <- take
	arrives := []*xmpp.Stanza{s}
	if p.spoil != nil && s.ID != warmID {
		arrives = p.spoil(s)
	}
	for _, s := range arrives {
		take(s)
	}
	return nil
}

// The result says what the way did.
func TestResult(t *testing.T) {
	var kept *xmpp.Stanza
	for _, test := range []struct {
		name                          string
		spoil                         func(s *xmpp.Stanza) []*xmpp.Stanza
		lost, errs, doubled, overtook int
	}{
		{"nothing", nil, 0, 0, 0, 0},
		{"one is lost", func(s *xmpp.Stanza) []*xmpp.Stanza {
			if s.ID == "5" {
				return nil
			}
			return []*xmpp.Stanza{s}
		}, 1, 0, 0, 0},
		{"one comes twice", func(s *xmpp.Stanza) []*xmpp.Stanza {
			if s.ID == "5" {
				return []*xmpp.Stanza{s, s}
			}
			return []*xmpp.Stanza{s}
		}, 0, 0, 1, 0},
		{"one comes late", func(s *xmpp.Stanza) []*xmpp.Stanza {
			switch s.ID {
			case "5":
				kept = s
				return nil
			case "6":
				return []*xmpp.Stanza{s, kept}
			}
			return []*xmpp.Stanza{s}
		}, 0, 0, 0, 1},
		{"one comes back", func(s *xmpp.Stanza) []*xmpp.Stanza {
			if s.ID == "5" {
				return []*xmpp.Stanza{s.ErrorReply(xmpp.ItemNotFound)}
			}
			return []*xmpp.Stanza{s}
		}, 0, 1, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := &pipe{domain: "a.example", spoil: test.spoil, take: make(chan func(*xmpp.Stanza), 1)}
			to := &pipe{domain: "b.example", other: from, take: make(chan func(*xmpp.Stanza), 1)}
			from.other = to
			l := &Load{
				From: from, To: to, Stanzas: 20, Senders: 1, Receivers: 1, Window: 20, Rate: 1e6,
				Mix: Mix{{Kind: "chat", Size: 1, Weight: 1}}, Patience: 100 * time.Millisecond,
			}
			r, err := l.Run(t.Context(), func() {})
			if err != nil {
				t.Fatal(err)
			}
			if r.Lost() != test.lost || r.Errors != test.errs || r.Doubled != test.doubled || r.Overtook != test.overtook {
				t.Errorf("lost %d, errors %d, doubled %d, out of order %d", r.Lost(), r.Errors, r.Doubled, r.Overtook)
			}
			if want := 20 - test.lost - test.errs; r.Came != want {
				t.Errorf("%d came, want %d", r.Came, want)
			}
		})
	}
}

// Kinds come by their weights, and are what they say.
func TestMix(t *testing.T) {
	m, err := ParseMix("chat:10=3,presence:5,ping=0")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	counts := make(map[string]int)
	for range 4000 {
		counts[m.pick(random).Kind]++
	}
	if counts["ping"] != 0 || counts["presence"] < 800 || counts["presence"] > 1200 {
		t.Errorf("picked %v", counts)
	}
	jid, err := uniform.ParseJID("a@b.example/c")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"<message from='a@b.example/c' to='a@b.example/c' id='7' type='chat'><body>xxxxxxxxxx</body></message>",
		"<presence from='a@b.example/c' to='a@b.example/c' id='7'><status>xxxxx</status></presence>",
		"<iq from='a@b.example/c' to='a@b.example/c' id='7' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
	} {
		if got := string(m[i].stanza(7, jid, jid).Append(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// The comparison runs both ways, and has a figure for each process.
func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, program := range []string{"prosody", "ejabberdctl"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv(rig.RequiredEnv) != "required" {
			t.Skipf("%s is not installed", program)
		}
	}
	code, stdout, stderr := load(t, "-compare", "-rounds", "1", "-n", "500", "-window", "50")
	lines := strings.Split(stdout, "\n")
	if code != 0 || len(lines) != 5 || strings.Join(strings.Fields(lines[1]), " ") != "round Prosody ejabberd gateway a gateway b ratio" ||
		len(strings.Fields(lines[2])) != 6 || !strings.HasPrefix(lines[3], "median") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// Rows are the rounds and their medians, and ratios of the ways.
func TestComparison(t *testing.T) {
	us := func(a, b int) [2]time.Duration {
		return [2]time.Duration{time.Duration(a) * time.Microsecond, time.Duration(b) * time.Microsecond}
	}
	var out strings.Builder
	printComparison(&out,
		&line{processes: []Usage{{Name: "a"}, {Name: "b"}}, spent: [][2]time.Duration{us(30, 10), us(50, 30), us(40, 20)}},
		&line{processes: []Usage{{Name: "c"}, {Name: "d"}}, spent: [][2]time.Duration{us(3, 1), us(5, 5), us(4, 2)}})
	want := []string{
		"round a b c d ratio",
		"1 30.0 10.0 3.0 1.0 10.0",
		"2 50.0 30.0 5.0 5.0 8.0",
		"3 40.0 20.0 4.0 2.0 10.0",
		"median 40.0 20.0 4.0 2.0 10.0",
	}
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n")[1:] {
		if got := strings.Join(strings.Fields(line), " "); got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
}
