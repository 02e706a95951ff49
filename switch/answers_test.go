package psycswitch

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/internal/dnstest"
)

func TestAnswersAreKept(t *testing.T) {
	tests := []struct {
		name     string
		record   string
		fault    dnstest.Fault
		negative int // TTL of negative answers
		kept     time.Duration
	}{
		{name: "as long as the TTL says", record: "h.example. 100 IN A 192.0.2.1", kept: 100 * time.Second},
		{name: "not at all", record: "h.example. 0 IN A 192.0.2.1", kept: 0},
		{name: "an hour at most", record: "h.example. 86400 IN A 192.0.2.1", kept: time.Hour},
		{name: "a TTL with the highest bit counts as 0 (RFC 2181)", record: "h.example. 4294967295 IN A 192.0.2.1", kept: 0},
		{name: "as long as the alias in front", record: "h.example. 7 IN CNAME x.example.", kept: 7 * time.Second},
		{name: "nothing there", negative: 40, kept: 40 * time.Second},
		{name: "nothing there, five minutes at most", negative: 86400, kept: 5 * time.Minute},
		{name: "nothing there, and no word on how long", negative: -1, kept: 0},
		{name: "a failure for a moment (RFC 9520)", fault: dnstest.Fault{Rcode: dns.RcodeServerFailure}, kept: failureTTL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := dnstest.New("x.example. 100 IN A 192.0.2.2")
				if tt.record != "" {
					srv.Add(tt.record)
				}
				srv.Break("", "", tt.fault)
				srv.SetNegativeTTL(tt.negative)
				d := newDNS(srv)
				d.Attempts = 1
				ask := func() int {
					d.lookup(t.Context(), "H.example.", dns.TypeA)
					return srv.Asked("h.example", "A")
				}
				if n := ask(); n != 1 {
					t.Fatalf("asked %d times at first", n)
				}
				if tt.kept > 0 {
					time.Sleep(tt.kept - time.Nanosecond)
					if n := ask(); n != 1 {
						t.Errorf("asked again before %v", tt.kept)
					}
					time.Sleep(time.Nanosecond)
				}
				if n := ask(); n != 2 {
					t.Errorf("not asked again after %v", tt.kept)
				}
			})
		})
	}
}

// A hint ends when the first of the records behind it does.
func TestHintUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := dnstest.New("_psyc._tcp.d.example. 100 IN SRV 0 0 4404 h.example.", "h.example. 30 IN A 192.0.2.1",
			"_xmpp-server._tcp.d.example. 20 IN SRV 0 0 5269 h.example.")
		want := map[Protocol]time.Duration{PSYC: 30 * time.Second, XMPP: 20 * time.Second}
		for h, err := range newDNS(srv).Hints(t.Context(), "d.example") {
			if err != nil || time.Until(h.Until) != want[h.Protocol] {
				t.Errorf("%v: ends in %v, want %v; %v", h, time.Until(h.Until), want[h.Protocol], err)
			}
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDNS(dnstest.New())
		d.MaxEntries = 10
		for i := range 100 {
			d.lookup(t.Context(), fmt.Sprintf("h%d.example.", i), dns.TypeA)
			if n := d.cache.answers.Len(); n > 10 {
				t.Fatalf("%d entries", n)
			}
		}
		if len(d.cache.asking) != 0 {
			t.Errorf("%d questions still count as under way", len(d.cache.asking))
		}
	})
}

// Who asks what somebody else is asking waits for that answer.
func TestAnswersAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := dnstest.New("h.example. 0 IN A 192.0.2.1")
		srv.Break("", "", dnstest.Fault{Delay: time.Second})
		d := newDNS(srv)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if a := d.lookup(t.Context(), "h.example.", dns.TypeA); a.err != nil || len(a.addrs) != 1 {
					t.Errorf("%+v", a)
				}
			})
		}
		all.Wait()
		if n := srv.Asked("h.example", "A"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// Some servers leave it to the asker to follow an alias.
func TestAliasesAreFollowed(t *testing.T) {
	first := dnstest.Fault{Edit: func(_, reply *dns.Msg) {
		reply.Answer, reply.Ns, reply.Rcode = reply.Answer[:1], nil, dns.RcodeSuccess
	}}
	t.Run("to the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := dnstest.New("a.example. 50 IN CNAME b.example.", "b.example. 60 IN CNAME c.example.", "c.example. 70 IN A 192.0.2.1")
			srv.Break("", "", first)
			a := newDNS(srv).lookup(t.Context(), "a.example.", dns.TypeA)
			if a.err != nil || len(a.addrs) != 1 || time.Until(a.until) != 50*time.Second {
				t.Errorf("%+v", a)
			}
		})
	})
	t.Run("eight at most", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := dnstest.New()
			for i := range 20 {
				srv.Add(fmt.Sprintf("a%d.example. 50 IN CNAME a%d.example.", i, i+1))
			}
			srv.Break("", "", first)
			a := newDNS(srv).lookup(t.Context(), "a0.example.", dns.TypeA)
			if !errors.Is(a.err, ErrBadAnswer) || len(srv.Questions()) != maxAliases+1 {
				t.Errorf("%v after %d questions", a.err, len(srv.Questions()))
			}
		})
	})
}

// Records of other names, classes and types in an answer are not taken.
func TestOnlyWhatWasAskedIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := dnstest.New("h.example. 50 IN A 192.0.2.1")
		srv.Break("", "", dnstest.Fault{Edit: func(_, reply *dns.Msg) {
			for _, line := range []string{"other.example. 1 IN A 192.0.2.66", "h.example. 1 CH A 192.0.2.67", "h.example. 1 IN AAAA 2001:db8::66"} {
				rr, err := dns.NewRR(line)
				if err != nil {
					panic(err)
				}
				reply.Answer = append([]dns.RR{rr}, reply.Answer...)
			}
		}})
		a := newDNS(srv).lookup(t.Context(), "h.example.", dns.TypeA)
		if len(a.addrs) != 1 || a.addrs[0].String() != "192.0.2.1" || time.Until(a.until) != 50*time.Second {
			t.Errorf("%+v", a)
		}
	})
}
