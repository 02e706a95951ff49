package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/xmpp"
)

// newDNS makes a resolver that asks srv in memory.
func newDNS(srv *dnstest.Server) *DNS {
	return &DNS{Servers: []string{"192.0.2.53"}, Dial: srv.Dial, intn: func(int) int { return 0 }}
}

// listing writes hints and errors a line each; of an error, the text behind "resolve".
func listing(hints iter.Seq2[Hint, error]) []string {
	var lines []string
	for h, err := range hints {
		if err != nil {
			text := strings.TrimPrefix(err.Error(), "psycswitch: resolve ")
			lines = append(lines, fmt.Sprintf("%v error %s", h.Protocol, strings.ReplaceAll(text, " from 192.0.2.53:53", "")))
			continue
		}
		lines = append(lines, h.String())
	}
	return lines
}

func TestDNSHints(t *testing.T) {
	hostA := "h.example. 300 IN A 192.0.2.1"
	dead := []string{}
	for i := range 50 {
		dead = append(dead, fmt.Sprintf("_psyc._tcp.d.example. 300 IN SRV %d 0 4404 dead%d.example.", i, i))
	}
	tests := []struct {
		name    string
		records []string
		domain  string // d.example if empty
		want    []string
	}{
		{
			name: "nothing at all",
			want: []string{`XMPP error "d.example": AAAA d.example: no such record`},
		},
		{
			name:    "plain domain: its own address at 5269, and no guess at PSYC",
			records: []string{"d.example. 300 IN A 192.0.2.7", "d.example. 300 IN AAAA 2001:db8::7"},
			want:    []string{"XMPP [2001:db8::7]:5269 (d.example)", "XMPP 192.0.2.7:5269 (d.example)"},
		},
		{
			name:    "PSYC before XMPP whatever the priorities",
			records: []string{hostA, "_psyc._tcp.d.example. 300 IN SRV 90 0 4404 h.example.", "_xmpp-server._tcp.d.example. 300 IN SRV 1 0 5269 h.example."},
			want:    []string{"PSYC 192.0.2.1:4404 (h.example)", "XMPP 192.0.2.1:5269 (h.example)"},
		},
		{
			name: "plain and TLS in one order (XEP-0368)",
			records: []string{
				hostA,
				"_xmpps-server._tcp.d.example. 300 IN SRV 5 0 5270 h.example.", "_xmpp-server._tcp.d.example. 300 IN SRV 10 0 5269 h.example.",
				"_psyc._tls.d.example. 300 IN SRV 10 0 9404 h.example.", "_psyc._tcp.d.example. 300 IN SRV 5 0 4404 h.example.",
			},
			want: []string{
				"PSYC 192.0.2.1:4404 (h.example)", "PSYC+TLS 192.0.2.1:9404 (h.example)",
				"XMPP+TLS 192.0.2.1:5270 (h.example)", "XMPP 192.0.2.1:5269 (h.example)",
			},
		},
		{
			name:    "PSYC record only: the guess at 5269 stays as the last resort",
			records: []string{hostA, "d.example. 300 IN A 192.0.2.7", "_psyc._tcp.d.example. 300 IN SRV 0 0 4404 h.example."},
			want:    []string{"PSYC 192.0.2.1:4404 (h.example)", "XMPP 192.0.2.7:5269 (d.example)"},
		},
		{
			name:    "not offered means no guess (RFC 2782)",
			records: []string{"d.example. 300 IN A 192.0.2.7", "_xmpp-server._tcp.d.example. 300 IN SRV 0 0 0 ."},
			want:    []string{`XMPP error "d.example": SRV _xmpp-server._tcp.d.example: service not offered`},
		},
		{
			name:    "not offered in plain, but in TLS",
			records: []string{hostA, "_xmpp-server._tcp.d.example. 300 IN SRV 0 0 0 .", "_xmpps-server._tcp.d.example. 300 IN SRV 0 0 5270 h.example."},
			want:    []string{"XMPP+TLS 192.0.2.1:5270 (h.example)"},
		},
		{
			name:    "direct TLS not offered says nothing about 5269",
			records: []string{"d.example. 300 IN A 192.0.2.7", "_xmpps-server._tcp.d.example. 300 IN SRV 0 0 0 ."},
			want:    []string{"XMPP 192.0.2.7:5269 (d.example)"},
		},
		{
			name:    "PSYC not offered",
			records: []string{"d.example. 300 IN A 192.0.2.7", "_psyc._tcp.d.example. 300 IN SRV 0 0 0 ."},
			want:    []string{`PSYC error "d.example": SRV _psyc._tcp.d.example: service not offered`, "XMPP 192.0.2.7:5269 (d.example)"},
		},
		{
			name:    "numeric targets need no look-up",
			records: []string{"_xmpp-server._tcp.d.example. 300 IN SRV 1 0 5269 127.0.0.31.", "_xmpp-server._tcp.d.example. 300 IN SRV 2 0 5269 2001:db8::1."},
			want:    []string{"XMPP 127.0.0.31:5269", "XMPP [2001:db8::1]:5269"},
		},
		{
			name: "all targets and all addresses, families taking turns",
			records: []string{
				"_xmpp-server._tcp.d.example. 300 IN SRV 1 0 5269 a.example.", "_xmpp-server._tcp.d.example. 300 IN SRV 2 0 5222 b.example.",
				"a.example. 300 IN A 192.0.2.1", "a.example. 300 IN A 192.0.2.2", "a.example. 300 IN AAAA 2001:db8::1", "b.example. 300 IN A 192.0.2.3",
			},
			want: []string{"XMPP [2001:db8::1]:5269 (a.example)", "XMPP 192.0.2.1:5269 (a.example)", "XMPP 192.0.2.2:5269 (a.example)", "XMPP 192.0.2.3:5222 (b.example)"},
		},
		{
			name: "the same address twice is one hint",
			records: []string{
				"_xmpp-server._tcp.d.example. 300 IN SRV 1 0 5269 h.example.", "_xmpp-server._tcp.d.example. 300 IN SRV 2 0 5269 h.example.", hostA,
			},
			want: []string{"XMPP 192.0.2.1:5269 (h.example)"},
		},
		{
			name:    "a target that points at itself",
			records: []string{"_psyc._tcp.d.example. 300 IN SRV 0 0 4404 _psyc._tcp.d.example.", "d.example. 300 IN A 192.0.2.7"},
			want:    []string{`PSYC error "d.example": AAAA _psyc._tcp.d.example: no such record`, "XMPP 192.0.2.7:5269 (d.example)"},
		},
		{
			name:    "a target without addresses does not end it",
			records: []string{"_xmpp-server._tcp.d.example. 300 IN SRV 1 0 5269 nothing.example.", "_xmpp-server._tcp.d.example. 300 IN SRV 2 0 5269 h.example.", hostA},
			want:    []string{`XMPP error "d.example": AAAA nothing.example: no such record`, "XMPP 192.0.2.1:5269 (h.example)"},
		},
		{
			name: "SRV at the end of an alias, target an alias",
			records: []string{
				"_xmpp-server._tcp.d.example. 300 IN CNAME srv.host.example.", "srv.host.example. 300 IN SRV 0 0 5269 alias.example.",
				"alias.example. 300 IN CNAME h.example.", hostA,
			},
			want: []string{"XMPP 192.0.2.1:5269 (alias.example)"},
		},
		{
			name:    "aliases in a circle",
			records: []string{"_xmpp-server._tcp.d.example. 300 IN SRV 0 0 5269 a.example.", "a.example. 300 IN CNAME b.example.", "b.example. 300 IN CNAME a.example."},
			want:    []string{`XMPP error "d.example": AAAA a.example: unusable answer`},
		},
		{
			name: "port 0, a root among others, a name no host has",
			records: []string{
				"_xmpp-server._tcp.d.example. 300 IN SRV 1 0 0 h.example.", "_xmpp-server._tcp.d.example. 300 IN SRV 2 0 5269 .",
				`_xmpp-server._tcp.d.example. 300 IN SRV 3 0 5269 a\032b.example.`, "_xmpp-server._tcp.d.example. 300 IN SRV 4 0 5269 h.example.", hostA,
			},
			want: []string{
				`XMPP error "d.example": SRV h.example.: unusable answer`, `XMPP error "d.example": SRV .: unusable answer`,
				`XMPP error "d.example": a\ b.example: unusable answer`, "XMPP 192.0.2.1:5269 (h.example)",
			},
		},
		{
			name: "internationalised", domain: "Bücher.example.",
			records: []string{"_xmpp-server._tcp.xn--bcher-kva.example. 300 IN SRV 0 0 5269 h.example.", hostA},
			want:    []string{"XMPP 192.0.2.1:5269 (h.example)"},
		},
		{name: "an address for a domain", domain: "[2001:db8::9]", want: []string{"XMPP [2001:db8::9]:5269"}},
		{name: "no domain", domain: "a b", want: []string{`Protocol(0) error "a b": not a domain name: domain refused by IDNA: disallowed rune U+0020`}},
		{
			name: "fifty dead targets: twenty are looked at", records: append(dead, "d.example. 300 IN A 192.0.2.7"),
			want: func() []string {
				var want []string
				for i := range 20 {
					want = append(want, fmt.Sprintf(`PSYC error "d.example": AAAA dead%d.example: no such record`, i))
				}
				return append(want, "XMPP 192.0.2.7:5269 (d.example)")
			}(),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDNS(dnstest.New(tt.records...))
				domain := "d.example"
				if tt.domain != "" {
					domain = tt.domain
				}
				got := listing(d.Hints(t.Context(), domain))
				for i := range got { // which family failed first is chance
					got[i] = strings.Replace(got[i], ": A ", ": AAAA ", 1)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
				}
			})
		})
	}
}

// The four SRV questions go out together, addresses are asked for when it comes to them, and one protocol alone
// costs nothing for the other.
func TestDNSAsksNoMoreThanNeeded(t *testing.T) {
	records := []string{
		"_psyc._tcp.d.example. 300 IN SRV 0 0 4404 p.example.", "_xmpp-server._tcp.d.example. 300 IN SRV 0 0 5269 x.example.",
		"p.example. 300 IN A 192.0.2.1", "x.example. 300 IN A 192.0.2.2",
	}
	types := func(srv *dnstest.Server) []string {
		var asked []string
		for _, q := range srv.Questions() {
			asked = append(asked, q.Type+" "+q.Name)
		}
		slices.Sort(asked)
		return asked
	}
	srvs := []string{"SRV _psyc._tcp.d.example", "SRV _psyc._tls.d.example", "SRV _xmpp-server._tcp.d.example", "SRV _xmpps-server._tcp.d.example"}

	t.Run("first hint", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := dnstest.New(records...)
			srv.Break("", "SRV", dnstest.Fault{Delay: time.Second})
			start := time.Now()
			for h, err := range newDNS(srv).Hints(t.Context(), "d.example") {
				if err != nil || h.Protocol != PSYC {
					t.Fatal(h, err)
				}
				break
			}
			if want := slices.Concat([]string{"A p.example", "AAAA p.example"}, srvs); !slices.Equal(types(srv), want) {
				t.Errorf("asked %q, want %q", types(srv), want)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("took %v: the SRV questions waited for each other", took)
			}
		})
	})
	t.Run("XMPP alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := dnstest.New(records...)
			got := listing(HintsOf(t.Context(), newDNS(srv), "d.example", XMPP))
			if !slices.Equal(got, []string{"XMPP 192.0.2.2:5269 (x.example)"}) {
				t.Error(got)
			}
			if want := slices.Concat([]string{"A x.example", "AAAA x.example"}, srvs[2:]); !slices.Equal(types(srv), want) {
				t.Errorf("asked %q, want %q", types(srv), want)
			}
		})
	})
}

// PSYC hints do not wait for what the name servers know about XMPP.
func TestDNSDoesNotWaitForTheOtherProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := dnstest.New("_psyc._tcp.d.example. 300 IN SRV 0 0 4404 192.0.2.1.")
		srv.Break("_xmpp-server._tcp.d.example", "SRV", dnstest.Fault{Drop: true})
		start := time.Now()
		for h, err := range newDNS(srv).Hints(t.Context(), "d.example") {
			if err != nil || h.Addr != "192.0.2.1:4404" {
				t.Error(h, err)
			}
			break
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

// If one family's name server is slow, the other's addresses are used after 50 ms, and the rest still comes.
func TestDNSSlowFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := dnstest.New("d.example. 300 IN A 192.0.2.1", "d.example. 300 IN AAAA 2001:db8::1")
		srv.Break("d.example", "AAAA", dnstest.Fault{Delay: time.Second})
		start := time.Now()
		var got []string
		for h, err := range newDNS(srv).Hints(t.Context(), "d.example") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(h.Addr, " after ", time.Since(start)))
		}
		want := []string{"192.0.2.1:5269 after 50ms", "[2001:db8::1]:5269 after 1s"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestDNSServersFail(t *testing.T) {
	const broken = "_xmpp-server._tcp.d.example"
	tests := []struct {
		name     string
		fault    dnstest.Fault
		cause    error
		wait     time.Duration
		asked    int
		fallback bool // the domain's own address is tried nevertheless
	}{
		{"silence", dnstest.Fault{Drop: true}, ErrNoAnswer, 4 * time.Second, 2, true},
		{"SERVFAIL", dnstest.Fault{Rcode: dns.RcodeServerFailure}, ErrNoAnswer, 0, 2, true},
		{"REFUSED", dnstest.Fault{Rcode: dns.RcodeRefused}, ErrNoAnswer, 0, 2, true},
		{"another id", dnstest.Fault{Edit: func(_, reply *dns.Msg) { reply.Id++ }}, ErrNoAnswer, 4 * time.Second, 2, true},
		{"another question", dnstest.Fault{Edit: func(_, reply *dns.Msg) { reply.Question[0].Name = "e.example." }}, ErrNoAnswer, 4 * time.Second, 2, true},
		{"no question", dnstest.Fault{Edit: func(_, reply *dns.Msg) { reply.Question = nil }}, ErrNoAnswer, 4 * time.Second, 2, true},
		{"no response", dnstest.Fault{Edit: func(_, reply *dns.Msg) { reply.Response = false }}, ErrNoAnswer, 4 * time.Second, 2, true},
		{"garbage", dnstest.Fault{Raw: func([]byte) []byte { return []byte("what a strange thing to say") }}, ErrNoAnswer, 4 * time.Second, 2, true},
		{"a few bytes", dnstest.Fault{Raw: func([]byte) []byte { return []byte{1} }}, ErrNoAnswer, 4 * time.Second, 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := dnstest.New("d.example. 300 IN A 192.0.2.7")
				srv.Break(broken, "SRV", tt.fault)
				start := time.Now()
				var addrs []string
				var failure error
				for h, err := range newDNS(srv).Hints(t.Context(), "d.example") {
					if err != nil {
						failure = err
						continue
					}
					addrs = append(addrs, h.Addr)
				}
				var re *ResolveError
				if !errors.As(failure, &re) || !errors.Is(failure, tt.cause) || re.Name != broken || !re.Timeout() {
					t.Errorf("error %v", failure)
				}
				if !errors.Is(failure, xmpp.Condition("remote-server-timeout")) {
					t.Errorf("%v has not the condition remote-server-timeout", failure)
				}
				if took := time.Since(start); took != tt.wait {
					t.Errorf("took %v, want %v", took, tt.wait)
				}
				if n := srv.Asked(broken, "SRV"); n != tt.asked {
					t.Errorf("asked %d times, want %d", n, tt.asked)
				}
				if tt.fallback != slices.Equal(addrs, []string{"192.0.2.7:5269"}) {
					t.Errorf("hints %q", addrs)
				}
			})
		})
	}
}

// The end of the context ends everything at once, and nobody else pays for it.
func TestDNSContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := dnstest.New("_xmpp-server._tcp.d.example. 300 IN SRV 0 0 5269 192.0.2.1.")
		srv.Break("", "", dnstest.Fault{Delay: 1500 * time.Millisecond})
		d := newDNS(srv)
		start := time.Now()
		patient := make(chan []string)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			synctest.Wait() // until the impatient one has asked
			patient <- listing(d.Hints(t.Context(), "d.example"))
		}()
		var last error
		for _, err := range d.Hints(impatient, "d.example") {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), last)
		}
		if got := <-patient; !slices.Equal(got, []string{"XMPP 192.0.2.1:5269"}) {
			t.Errorf("the patient one got %q", got)
		}
	})
}

func TestDNSAuthenticated(t *testing.T) {
	records := []string{"_psyc._tcp.d.example. 300 IN SRV 0 0 4404 h.example.", "h.example. 300 IN A 192.0.2.1", "d.example. 300 IN A 192.0.2.2"}
	strip := dnstest.Fault{Edit: func(_, reply *dns.Msg) { reply.AuthenticatedData = false }}
	tests := []struct {
		name      string
		signed    bool
		trust     bool
		broken    string
		wantPSYC  bool
		wantGuess bool
	}{
		{"signed and trusted", true, true, "nobody.example", true, true},
		{"signed, not trusted", true, false, "nobody.example", false, false},
		{"not signed", false, true, "nobody.example", false, false},
		{"target not signed", true, true, "h.example", false, true},
		{"SRV not signed", true, true, "_psyc._tcp.d.example", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := dnstest.New(records...)
				srv.SetAuthenticated(tt.signed)
				srv.Break(tt.broken, "", strip)
				d := newDNS(srv)
				d.TrustAD = tt.trust
				for h, err := range d.Hints(t.Context(), "d.example") {
					want := tt.wantPSYC
					if h.Protocol == XMPP {
						want = tt.wantGuess
					}
					if err != nil || h.Authenticated != want {
						t.Errorf("%v: authenticated %v, want %v; %v", h, h.Authenticated, want, err)
					}
				}
			})
		})
	}
}
