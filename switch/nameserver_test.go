package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/internal/dnstest"
)

// Over real sockets: UDP, and TCP where the answer does not fit.
func TestNameServerTruncation(t *testing.T) {
	srv := dnstest.Start(t)
	for i := range 60 { // more than fit into 1232 bytes
		srv.Add(fmt.Sprintf("_xmpp-server._tcp.big.example. 300 IN SRV %d 0 5269 192.0.2.%d.", i, i))
	}
	d := &DNS{Servers: []string{srv.Addr()}, MaxTargets: 60}
	if got := listing(d.Hints(t.Context(), "big.example")); len(got) != 60 {
		t.Errorf("%d hints, want 60: %q", len(got), got)
	}
	q := dnstest.Question{Name: "_xmpp-server._tcp.big.example", Type: "SRV", Network: "tcp"}
	if !slices.Contains(srv.Questions(), q) {
		t.Errorf("no question over TCP in %v", srv.Questions())
	}
}

// Somebody who answers first with the wrong id does not get in the way of the right answer.
func TestNameServerSkipsStrays(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			query := new(dns.Msg)
			if query.Unpack(buf[:n]) != nil {
				return
			}
			good := new(dns.Msg).SetReply(query)
			rr, _ := dns.NewRR(query.Question[0].Name + " 60 IN SRV 0 0 5269 192.0.2.1.")
			good.Answer = []dns.RR{rr}
			forged := good.Copy()
			forged.Id++
			forged.Answer[0].(*dns.SRV).Target = "192.0.2.66."
			for _, m := range []*dns.Msg{forged, good} {
				packed, _ := m.Pack()
				pc.WriteTo([]byte{1, 2, 3}, from)
				pc.WriteTo(packed, from)
			}
		}
	}()
	defer func() { pc.Close(); <-done }()
	d := &DNS{Servers: []string{pc.LocalAddr().String()}}
	a := d.lookup(t.Context(), "_xmpp-server._tcp.d.example.", dns.TypeSRV)
	if a.err != nil || len(a.srv) != 1 || a.srv[0].target != "192.0.2.1." {
		t.Errorf("%+v", a)
	}
}

func TestNameServerFailOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, alive := dnstest.New(), dnstest.New("a.example. 300 IN A 192.0.2.1", "b.example. 300 IN A 192.0.2.2")
		dead.Break("", "", dnstest.Fault{Drop: true})
		byAddr := map[string]*dnstest.Server{"192.0.2.53:53": dead, "[2001:db8::53]:5353": alive}
		d := &DNS{Servers: []string{"192.0.2.53", "[2001:db8::53]:5353"}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return byAddr[addr].Dial(ctx, network, addr)
		}}
		start := time.Now()
		if a := d.lookup(t.Context(), "a.example.", dns.TypeA); a.err != nil || a.server != "[2001:db8::53]:5353" {
			t.Fatalf("%+v", a)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("fail-over took %v", took)
		}
		// The server that answered is asked first from now on.
		if a := d.lookup(t.Context(), "b.example.", dns.TypeA); a.err != nil {
			t.Fatalf("%+v", a)
		}
		if took := time.Since(start); took != 2*time.Second || dead.Asked("b.example", "") != 0 {
			t.Errorf("the dead server was asked again; %v", took)
		}
	})
}

func TestNameServerWithoutEDNS(t *testing.T) {
	for _, rcode := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented} {
		synctest.Test(t, func(t *testing.T) {
			srv := dnstest.New("a.example. 300 IN A 192.0.2.1")
			srv.Break("", "", dnstest.Fault{Edit: func(req, reply *dns.Msg) {
				if req.IsEdns0() != nil {
					reply.Answer, reply.Question, reply.Extra, reply.Rcode = nil, nil, nil, rcode
				}
			}})
			if a := newDNS(srv).lookup(t.Context(), "a.example.", dns.TypeA); a.err != nil || len(a.addrs) != 1 {
				t.Errorf("%s: %+v", dns.RcodeToString[rcode], a)
			}
		})
	}
}

func TestNameServerDialFails(t *testing.T) {
	refused := errors.New("connection refused")
	d := &DNS{Servers: []string{"192.0.2.53"}, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}
	for _, err := range d.Hints(t.Context(), "d.example") {
		if !errors.Is(err, ErrNoAnswer) || !errors.Is(err, refused) {
			t.Error(err)
		}
	}
}

func TestServerList(t *testing.T) {
	tests := []struct {
		in   string
		want string // "" for an error
	}{
		{"192.0.2.1", "192.0.2.1:53"},
		{"192.0.2.1:5300", "192.0.2.1:5300"},
		{"2001:db8::1", "[2001:db8::1]:53"},
		{"[2001:db8::1]", "[2001:db8::1]:53"},
		{"[2001:db8::1]:5300", "[2001:db8::1]:5300"},
		{"fe80::1%eth0", "[fe80::1%eth0]:53"},
		{"resolver.example:53", "resolver.example:53"},
		{"resolver.example", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got, err := (&DNS{Servers: []string{tt.in}}).servers()
		if tt.want == "" {
			if !errors.Is(err, ErrNoServers) {
				t.Errorf("%q: %v, want ErrNoServers", tt.in, err)
			}
		} else if err != nil || got[0] != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestSystemServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	var s systemServers
	if _, err := s.list(file); !errors.Is(err, ErrNoServers) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		date := time.Now().Add(-age)
		if err := os.Chtimes(file, date, date); err != nil {
			t.Fatal(err)
		}
	}
	write("search example\nnameserver not-an-address\n", time.Hour)
	if _, err := s.list(file); !errors.Is(err, ErrNoServers) {
		t.Errorf("no servers: %v", err)
	}
	write("# a comment\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions timeout:1\n", time.Hour)
	want := []string{"192.0.2.1:53", "[2001:db8::1]:53"}
	if got, err := s.list(file); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	// A change is seen once the list is old enough to be looked at again.
	write("nameserver 192.0.2.2\n", time.Minute)
	if got, _ := s.list(file); !slices.Equal(got, want) {
		t.Errorf("%q, want %q still", got, want)
	}
	s.looked = s.looked.Add(-resolvConfAge)
	if got, _ := s.list(file); !slices.Equal(got, []string{"192.0.2.2:53"}) {
		t.Errorf("%q after the change", got)
	}
}

func TestZeroDNSWithoutResolvConf(t *testing.T) {
	if runtime.GOOS != "windows" {
		t.Skip("this system lists its name servers")
	}
	for _, err := range new(DNS).Hints(t.Context(), "d.example") {
		if !errors.Is(err, ErrNoServers) {
			t.Error(err)
		}
	}
}

// FuzzAnswer feeds a name server's bytes to everything that reads them.
func FuzzAnswer(f *testing.F) {
	query := new(dns.Msg).SetQuestion("_psyc._tcp.d.example.", dns.TypeSRV)
	query.Id = 4404
	for _, records := range [][]string{
		{"_psyc._tcp.d.example. 300 IN SRV 0 0 4404 h.example."},
		{"_psyc._tcp.d.example. 300 IN CNAME a.example.", "a.example. 4294967295 IN SRV 1 2 4404 127.0.0.1."},
		{"_psyc._tcp.d.example. 300 IN CNAME _psyc._tcp.d.example."},
		{"_psyc._tcp.d.example. 300 IN A 192.0.2.1"},
		{},
	} {
		m := new(dns.Msg).SetReply(query)
		for _, line := range records {
			rr, err := dns.NewRR(line)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		m := matching(packed, query)
		if m == nil {
			return
		}
		aliases := 0
		end, ttl, err := followAliases(m, query.Question[0].Name, &aliases)
		if aliases > maxAliases+1 || ttl < 0 {
			t.Fatalf("%d aliases, TTL %v", aliases, ttl)
		}
		if err != nil {
			return
		}
		for _, qtype := range []uint16{dns.TypeSRV, dns.TypeA, dns.TypeAAAA} {
			var a answer
			if _, ttl := a.take(m, end, qtype); ttl < 0 || len(a.srv)+len(a.addrs) > maxRecords {
				t.Fatalf("TTL %v, %d records", ttl, len(a.srv)+len(a.addrs))
			}
			for _, r := range a.srv {
				if _, ok := addressLiteral(r.target); !ok && isHostName(r.target) {
					t.Fatalf("target %q has no trailing dot", r.target)
				}
			}
			for _, ip := range a.addrs {
				if ip == (netip.Addr{}) {
					t.Fatal("an address that is none")
				}
			}
		}
	})
}
