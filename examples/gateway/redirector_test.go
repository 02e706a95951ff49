package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// startRedirector serves r until the test ends and returns the addresses of its views.
func startRedirector(t *testing.T, r *Redirector) []netip.AddrPort {
	t.Helper()
	for i := range r.Views {
		r.Views[i].Listen = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	addrs := r.Addrs()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return addrs
}

func local(domains ...string) func(string) bool {
	return func(domain string) bool { return slices.Contains(domains, domain) }
}

var target = netip.MustParseAddrPort("127.0.0.1:5270")

// question asks a name server over a network.
func question(t *testing.T, network string, server netip.AddrPort, name string, qtype uint16) *dns.Msg {
	t.Helper()
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	query.SetEdns0(4096, false)
	reply, _, err := (&dns.Client{Net: network}).ExchangeContext(t.Context(), query, server.String())
	if err != nil {
		t.Fatalf("%s %s over %s: %v", dns.TypeToString[qtype], name, network, err)
	}
	if len(reply.Question) != 1 || reply.Question[0] != query.Question[0] {
		t.Errorf("the question came back as %v", reply.Question)
	}
	return reply
}

// summary is rcode and records of a reply, without names and classes.
func summary(m *dns.Msg) string {
	s := dns.RcodeToString[m.Rcode]
	for _, rr := range m.Answer {
		h := rr.Header()
		s += fmt.Sprintf(" %d %s %s", h.Ttl, dns.TypeToString[h.Rrtype], strings.TrimPrefix(rr.String(), h.String()))
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			s += fmt.Sprintf(" SOA %d", min(soa.Hdr.Ttl, soa.Minttl))
		}
	}
	return s
}

func TestRedirector(t *testing.T) {
	up := dnstest.Start(t,
		"_xmpp-server._tcp.montague.example. 300 IN SRV 0 0 5269 192.0.2.9.",
		"montague.example. 300 IN A 192.0.2.8", "montague.example. 300 IN AAAA 2001:db8::8", "montague.example. 300 IN MX 5 mx.montague.example.",
		"never-asked.example. 300 IN A 192.0.2.7",
		"_xmpp-client._tcp.montague.example. 300 IN SRV 0 0 5222 192.0.2.9.",
		"capulet.example. 300 IN A 192.0.2.6",
	)
	up.SetNegativeTTL(60)
	views := startRedirector(t, &Redirector{
		Target: target, Upstreams: []netip.AddrPort{netip.MustParseAddrPort(up.Addr())},
		Views: []View{{Name: "p", Local: local("capulet.example", "bücher.example")}, {Name: "e", Local: local("montague.example")}},
		Neighbour: func(domain string) (netip.AddrPort, bool) {
			return netip.MustParseAddrPort("127.0.0.1:15269"), domain == "capulet.example"
		},
	})
	const here = "NOERROR 30 SRV 0 0 5270 127.0.0.1."
	tests := []struct {
		view  int
		name  string
		qtype uint16
		want  string
	}{
		{0, "montague.example", dns.TypeA, "NOERROR 300 A 192.0.2.8"}, // not known to be a domain of XMPP yet
		{0, "_xmpp-server._tcp.montague.example", dns.TypeSRV, here},
		{0, "_XMPP-Server._TCP.Montague.Example", dns.TypeSRV, here},
		{0, "_xmpps-server._tcp.montague.example", dns.TypeSRV, "NOERROR SOA 30"},
		{0, "_jabber._tcp.montague.example", dns.TypeSRV, "NOERROR SOA 30"},
		{0, "_xmpp-server._tcp.montague.example", dns.TypeTXT, "NOERROR SOA 30"},
		{0, "_xmpp-server._tcp.montague.example", dns.TypeANY, "NOERROR SOA 30"},
		{0, "montague.example", dns.TypeA, "NOERROR SOA 30"},
		{0, "MONTAGUE.example", dns.TypeAAAA, "NOERROR SOA 30"},
		{0, "montague.example", dns.TypeMX, "NOERROR 300 MX 5 mx.montague.example."},
		{0, "never-asked.example", dns.TypeA, "NOERROR 300 A 192.0.2.7"},
		{0, "_xmpp-client._tcp.montague.example", dns.TypeSRV, "NOERROR 300 SRV 0 0 5222 192.0.2.9."},
		{0, "_xmpp-server._tcp.not-in-dns.example", dns.TypeSRV, here},
		{0, "_xmpp-server._tcp.rooms.capulet.example", dns.TypeSRV, here},
		{0, "_xmpp-server._tcp.capulet.example", dns.TypeSRV, "NXDOMAIN SOA 30"},
		{0, "_xmpp-server._tcp.xn--bcher-kva.example", dns.TypeSRV, "NXDOMAIN SOA 30"},
		{0, "capulet.example", dns.TypeA, "NOERROR 300 A 192.0.2.6"},
		{0, "nothing.example", dns.TypeA, "NXDOMAIN SOA 60"},
		{0, "127.0.0.1", dns.TypeA, "NOERROR 30 A 127.0.0.1"},
		{0, "127.0.0.1", dns.TypeAAAA, "NOERROR SOA 30"},
		// What is foreign to one server is local to the other, and found where that is.
		{1, "_xmpp-server._tcp.capulet.example", dns.TypeSRV, "NOERROR 30 SRV 0 0 15269 127.0.0.1."},
		{1, "_xmpp-server._tcp.montague.example", dns.TypeSRV, "NXDOMAIN SOA 30"},
		{1, "montague.example", dns.TypeA, "NOERROR 300 A 192.0.2.8"},
		{1, "capulet.example", dns.TypeA, "NOERROR SOA 30"},
	}
	for _, tt := range tests {
		for _, network := range []string{"udp", "tcp"} {
			got := question(t, network, views[tt.view], tt.name, tt.qtype)
			if s := strings.ReplaceAll(summary(got), "\t", " "); s != tt.want {
				t.Errorf("view %d, %s %s over %s: %s, want %s", tt.view, dns.TypeToString[tt.qtype], tt.name, network, s, tt.want)
			}
			if got.Authoritative || !got.RecursionAvailable {
				t.Errorf("%s: flags %v", tt.name, got.MsgHdr)
			}
		}
	}
	for _, q := range up.Questions() {
		if strings.HasPrefix(q.Name, "_xmpp-server.") || strings.HasPrefix(q.Name, "_xmpps-server.") || strings.HasPrefix(q.Name, "_jabber.") {
			t.Errorf("%v was passed on", q)
		}
	}
}

// Prosody and ejabberd ask as a resolver of ours does: it finds the gateway and nothing else.
func TestRedirectorForAServer(t *testing.T) {
	up := dnstest.Start(t, "montague.example. 300 IN A 192.0.2.8", "_xmpps-server._tcp.montague.example. 300 IN SRV 0 0 5270 192.0.2.9.")
	views := startRedirector(t, &Redirector{
		Target: target, Upstreams: []netip.AddrPort{netip.MustParseAddrPort(up.Addr())},
		Views: []View{{Name: "p", Local: local("capulet.example")}},
	})
	d := &psycswitch.DNS{Servers: []string{views[0].String()}}
	var got []string
	for h, err := range psycswitch.HintsOf(t.Context(), d, "montague.example", psycswitch.XMPP) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, h.String())
	}
	if want := []string{"XMPP 127.0.0.1:5270"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRedirectorForeignAddresses(t *testing.T) {
	up := dnstest.Start(t, "montague.example. 300 IN A 192.0.2.8")
	views := startRedirector(t, &Redirector{
		Target: target, Upstreams: []netip.AddrPort{netip.MustParseAddrPort(up.Addr())}, ForeignAddresses: true,
		Views: []View{{Name: "p", Local: local("capulet.example")}},
	})
	question(t, "udp", views[0], "_xmpp-server._tcp.montague.example", dns.TypeSRV)
	if s := summary(question(t, "udp", views[0], "montague.example", dns.TypeA)); s != "NOERROR 300 A 192.0.2.8" {
		t.Error(s)
	}
}

func TestRedirectorUpstreams(t *testing.T) {
	good := dnstest.Start(t, "h.example. 300 IN A 192.0.2.1")
	for i := range 100 {
		good.Add(fmt.Sprintf("big.example. 300 IN TXT %q", strings.Repeat("x", 50)+fmt.Sprint(i)))
	}
	broken := dnstest.Start(t)
	broken.Break("", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	silent := dnstest.Start(t)
	silent.Break("", "", dnstest.Fault{Drop: true})
	liar := dnstest.Start(t, "other.example. 300 IN A 192.0.2.66")
	liar.Break("", "", dnstest.Fault{Edit: func(_, reply *dns.Msg) { reply.Question[0].Name = "other.example." }})
	addr := func(s *dnstest.Server) netip.AddrPort { return netip.MustParseAddrPort(s.Addr()) }

	tests := []struct {
		name      string
		upstreams []netip.AddrPort
		want      string
	}{
		{"none", nil, "REFUSED"},
		{"silent", []netip.AddrPort{addr(silent)}, "SERVFAIL"},
		{"broken", []netip.AddrPort{addr(broken)}, "SERVFAIL"},
		{"to another question", []netip.AddrPort{addr(liar)}, "SERVFAIL"},
		{"fail-over", []netip.AddrPort{addr(silent), addr(broken), addr(liar), addr(good)}, "NOERROR 300 A 192.0.2.1"},
	}
	for _, tt := range tests {
		views := startRedirector(t, &Redirector{
			Target: target, Upstreams: tt.upstreams, Timeout: 50 * time.Millisecond,
			Views: []View{{Name: "p", Local: local()}},
		})
		if s := summary(question(t, "udp", views[0], "h.example", dns.TypeA)); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}

	views := startRedirector(t, &Redirector{Target: target, Upstreams: []netip.AddrPort{addr(good)}, Views: []View{{Name: "p", Local: local()}}})
	m := question(t, "udp", views[0], "big.example", dns.TypeTXT)
	m.Compress = true
	if !m.Truncated || m.Len() > maxUDP {
		t.Errorf("over UDP: truncated %v, %d bytes", m.Truncated, m.Len())
	}
	if m := question(t, "tcp", views[0], "big.example", dns.TypeTXT); m.Truncated || len(m.Answer) != 100 {
		t.Errorf("over TCP: truncated %v, %d records", m.Truncated, len(m.Answer))
	}
}

// Malformed messages get FORMERR or nothing, other kinds of message NOTIMP or REFUSED; the next question is answered.
func TestRedirectorMalformed(t *testing.T) {
	views := startRedirector(t, &Redirector{Target: target, Views: []View{{Name: "p", Local: local()}}})
	pack := func(edit func(*dns.Msg)) []byte {
		m := new(dns.Msg).SetQuestion("_xmpp-server._tcp.x.example.", dns.TypeSRV)
		m.Id = 7
		edit(m)
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	whole := pack(func(*dns.Msg) {})
	twoQuestions := pack(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })
	tests := []struct {
		name   string
		packed []byte
		want   int // rcode; -1: no answer
	}{
		{"cut", whole[:len(whole)-3], dns.RcodeFormatError},
		{"a header alone", whole[:12], dns.RcodeFormatError},
		{"less than a header", whole[:5], -1},
		{"nothing", nil, -1},
		{"two questions", twoQuestions, dns.RcodeFormatError},
		{"a response", pack(func(m *dns.Msg) { m.Response = true }), -1},
		{"a notify", pack(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented},
		{"an update", pack(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented},
		{"another class", pack(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused},
		{"a zone transfer", pack(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }), dns.RcodeRefused},
		{"a name that points at itself", append(slices.Clone(whole[:12]), 0xC0, 12, 0, 33, 0, 1), dns.RcodeFormatError},
		{"the question after all these", whole, dns.RcodeSuccess},
	}
	conn, err := net.Dial("udp", views[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, tt := range tests {
		if _, err := conn.Write(tt.packed); err != nil {
			t.Fatal(err)
		}
		if tt.want < 0 {
			continue // whatever came would be read in place of the next answer, and fail there
		}
		buf := make([]byte, 4096)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(buf[:n]); err != nil || reply.Id != 7 || reply.Rcode != tt.want {
			t.Errorf("%s: %s %v, want %s", tt.name, summary(reply), err, dns.RcodeToString[tt.want])
		}
	}

	// Over TCP a length that promises more than comes is no reason to wait for ever.
	tcp, err := net.Dial("tcp", views[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	if _, err := tcp.Write(binary.BigEndian.AppendUint16(nil, 60_000)); err != nil {
		t.Fatal(err)
	}
	tcp.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := tcp.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a message that never comes: %v", err)
	}
}

// The redirector refuses to serve if its own questions come back, at once or by way of another name server.
func TestRedirectorLoop(t *testing.T) {
	for _, detour := range []bool{false, true} {
		r := &Redirector{Target: target, Views: []View{{Name: "p", Listen: netip.MustParseAddrPort("127.0.0.1:0"), Local: local()}}}
		if err := r.Listen(); err != nil {
			t.Fatal(err)
		}
		back := r.Addrs()[0]
		if detour {
			between := &Redirector{Target: target, Upstreams: []netip.AddrPort{back}, Views: []View{{Name: "b", Local: local()}}}
			back = startRedirector(t, between)[0] // which does not meet itself, for r has no upstreams yet
		}
		r.Upstreams = []netip.AddrPort{netip.MustParseAddrPort(dnstest.Start(t).Addr()), back}
		err := r.Serve(t.Context())
		if !errors.Is(err, ErrLoop) || !strings.Contains(err.Error(), r.Upstreams[1].String()) {
			t.Errorf("detour %v: %v", detour, err)
		}
	}
}

// Questions that wait for an upstream do not keep Serve from ending.
func TestRedirectorEndsWhileAsking(t *testing.T) {
	silent := dnstest.Start(t)
	r := &Redirector{
		Target: target, Upstreams: []netip.AddrPort{netip.MustParseAddrPort(silent.Addr())}, Timeout: time.Hour,
		Views: []View{{Name: "p", Listen: netip.MustParseAddrPort("127.0.0.1:0"), Local: local()}},
	}
	asked := make(chan struct{})
	var once sync.Once
	silent.Break("h.example", "", dnstest.Fault{Drop: true, Seen: func() { once.Do(func() { close(asked) }) }})
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx) }()
	conn, err := net.Dial("udp", r.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packed, err := new(dns.Msg).SetQuestion("h.example.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(packed); err != nil {
		t.Fatal(err)
	}
	<-asked
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An address that is taken is an error, and what was opened before is closed.
func TestRedirectorAddressTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := &Redirector{Target: target, Views: []View{
		{Name: "p", Listen: netip.MustParseAddrPort("127.0.0.1:0")},
		{Name: "e", Listen: netip.MustParseAddrPort(ln.Addr().String())},
	}}
	if err := r.Listen(); err == nil || !strings.Contains(err.Error(), "redirector of e: ") || len(r.Addrs()) != 0 {
		t.Errorf("%v, still open: %v", err, r.Addrs())
	}
}

// A server that validates DNSSEC is named in the log, once.
func TestRedirectorSeesValidation(t *testing.T) {
	var log lockedBuffer
	views := startRedirector(t, &Redirector{Target: target, Logger: slog.New(slog.NewTextHandler(&log, nil)), Views: []View{{Name: "p", Local: local()}}})
	question(t, "udp", views[0], ".", dns.TypeDNSKEY)
	question(t, "udp", views[0], "example", dns.TypeDS)
	if n := strings.Count(log.String(), `msg="server validates DNSSEC: it will not believe the redirector about signed domains" server=p`); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// FuzzRedirector feeds any message to a view that has no upstreams.
func FuzzRedirector(f *testing.F) {
	for _, name := range []string{"_xmpp-server._tcp.x.example.", "_xmpps-server._tcp.", "127.0.0.1.", ".", `a\.b.example.`, "_jabber._tcp.\\000.example."} {
		for _, qtype := range []uint16{dns.TypeSRV, dns.TypeA, dns.TypeAAAA, dns.TypeANY} {
			packed, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(packed)
		}
	}
	f.Add(make([]byte, 12)) // a header alone
	r := &Redirector{Target: target, nonce: "switchyard-nonce-"}
	v := &view{View: View{Name: "p", Local: local("capulet.example")}, r: r, ctx: context.Background()}
	f.Fuzz(func(t *testing.T, packed []byte) {
		req := new(dns.Msg)
		if req.Unpack(packed) != nil {
			return // the server refuses it before it gets to a view
		}
		reply := v.answer("udp", req)
		if !reply.Response || reply.Id != req.Id {
			t.Fatalf("%v answered by %v", req, reply)
		}
		if _, err := reply.Pack(); err != nil {
			t.Fatalf("%v answered by %v: %v", req, reply, err)
		}
		if v.asked.Len() > maxAsked {
			t.Fatal("too many domains remembered")
		}
	})
}
