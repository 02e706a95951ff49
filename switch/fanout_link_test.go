package psycswitch_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// TestCastsWithoutRouter: links by themselves cast, too. What Send took may be changed afterwards, the end of a link sends what waits, and a loop
// that ends in the middle of a cast gets the rest next time.
func TestCastsWithoutRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		w.resolver.Domains["south.example"] = []psycswitch.Hint{{Protocol: psycswitch.PSYC, DirectTLS: true, Addr: "10.0.0.2" + port}}
		config := func(ip, domain string) *psycswitch.Config {
			return &psycswitch.Config{
				Hosts: with(ca.issue(domain), domain), Resolver: w.resolver, Dialer: w.net.from(ip), Roots: ca.pool,
				PSYC: psyc.Config{Instance: [16]byte([]byte(domain + "...")[:16])}, // two processes
			}
		}
		ln := w.net.listen("10.0.0.2" + port)
		defer ln.Close()
		got := make(chan []string)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			link, err := psycswitch.Accept(t.Context(), config("10.0.0.2", "south.example"), conn)
			if err != nil {
				t.Error(err)
				return
			}
			defer link.Close()
			var all []string
			for more := true; more; {
				more = false
				for s, err := range link.Stanzas(t.Context()) {
					if err != nil {
						t.Error(err)
						break
					}
					all = append(all, s.To.String()+" "+s.Text("show"))
					more = true
					break
				}
			}
			if casts := link.Info().CastsIn; casts != 2 {
				t.Errorf("%d casts", casts)
			}
			got <- all
		}()
		link, err := psycswitch.Dial(t.Context(), config("10.0.0.1", "north.example"), "north.example", "south.example")
		if err != nil {
			t.Fatal(err)
		}
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			for range link.Stanzas(t.Context()) {
			}
		}()
		var want []string
		for _, show := range []string{"away", "dnd"} {
			for i := range 5 {
				s := stanza(t, fmt.Sprintf("<presence from='ada@north.example/desk' to='c%d@south.example'><show>%s</show></presence>", i, show))
				want = append(want, s.To.String()+" "+show)
				if err := link.Send(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				s.To, s.Type = s.From, "changed"
			}
			if show == "away" {
				time.Sleep(time.Second)
			}
		}
		if err := link.Close(); err != nil {
			t.Error(err)
		}
		if all := <-got; !slices.Equal(all, want) {
			t.Errorf("got %q", all)
		}
		if err := link.Send(t.Context(), chat("ada@north.example", "bob@south.example", "1", "hello")); err == nil {
			t.Error("a closed link takes stanzas")
		}
		<-reading
	})
}

// TestCastToWithdrawnDomain: when one of the domains of an audience leaves, the others go on getting what is theirs, on the same circuit.
func TestCastToWithdrawnDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		ca := w.tls()
		var hosts *movingHosts
		north := w.add("10.0.0.1", with(ca.issue("north.example"), "north.example"), nil)
		cert := ca.issue("south.example", "second.example")
		south := w.add("10.0.0.2", with(cert, "south.example", "second.example"), func(y *yard) { hosts = y.moving() })
		w.start()
		say := func(show string) {
			for i := range 10 {
				domain := []string{"south.example", "second.example"}[i%2]
				north.send(stanza(t, fmt.Sprintf("<presence from='ada@north.example/desk' to='c%d@%s'><show>%s</show></presence>", i, domain, show)))
			}
		}
		say("away")
		heard(south, 10, "away")
		say("dnd")
		heard(south, 10, "dnd")
		links := w.net.dialled("10.0.0.2" + port)
		hosts.remove("second.example") // and the peer does not hear of it before
		say("xa")
		heard(south, 5, "xa")
		time.Sleep(time.Minute)
		say("chat")
		heard(south, 5, "chat")
		if n := w.net.dialled("10.0.0.2" + port); n > links+2 { // what is tried for the domain that has gone
			t.Errorf("%d connections", n)
		}
	})
}

// A flood is a connection to a router on which casts to a thousand come.
type flood struct {
	net.Conn
	t    testing.TB
	next int
	came atomic.Int64
	all  chan struct{} // gets something when all copies of a cast have come
}

const floodCopies = 1000

// newFlood makes one on TCP, and tells the audience.
func newFlood(t testing.TB) *flood {
	f := &flood{t: t, all: make(chan struct{}, 1)}
	ca := newAuthority(t)
	r := &psycswitch.Router{
		Config: psycswitch.Config{Hosts: with(ca.issue("north.example"), "north.example"), Roots: ca.pool, Casts: psycswitch.Casts{Rate: -1}},
		Handler: psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
			if s.Kind == xmpp.Message || f.came.Add(1)%floodCopies == 0 {
				f.all <- struct{}{}
			}
			return nil
		}),
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		r.Serve(ctx, ln)
	}()
	t.Cleanup(func() { stop(); <-served })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f.Conn = tls.Client(conn, &tls.Config{
		RootCAs: ca.pool, ServerName: "north.example", NextProtos: []string{"psyc"}, Certificates: []tls.Certificate{*ca.issue("peer.example")},
	})
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(io.Discard, f)
	}()
	t.Cleanup(func() { f.Close(); <-read })
	f.send(strings.ReplaceAll(greeting, "_understand_modules\t_switchyard", "_understand_modules\t_switchyard;_switchyard_audience"))
	f.send(goodPacket) // before it has proved something nobody may send much
	<-f.all
	var members strings.Builder
	for i := range floodCopies {
		fmt.Fprintf(&members, "|33 psyc://north.example/~contact%04d", i)
	}
	f.cast(fmt.Sprintf("=_list_audience %d\t%s\n", members.Len(), members.String()))
	return f
}

func (f *flood) send(wire string) {
	if _, err := io.WriteString(f, wire); err != nil {
		f.t.Fatal(err)
	}
}

// cast sends a cast, and waits for its copies.
func (f *flood) cast(members string) {
	f.next++
	f.send(fmt.Sprintf(":_context\tpsyc://peer.example/~ann\n\n:_audience\t1 1\n:_amount_casts\t%d\n%s:_resource_source\tdesk\n:_description_presence\tout\n_notice_presence_away\n|\n", f.next, members))
	<-f.all
}

// TestCopiesNeedNoMemory: a copy that comes by a link costs its receiver no memory until the handler has it.
func TestCopiesNeedNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("needs sockets")
	}
	f := newFlood(t)
	n := testing.AllocsPerRun(20, func() { f.cast("") })
	t.Logf("%.0f allocations for a cast to %d", n, floodCopies)
	if n > floodCopies/10 {
		t.Errorf("%.0f allocations for a cast to %d", n, floodCopies)
	}
}

// BenchmarkCopies is what a copy costs between the socket and the handler.
func BenchmarkCopies(b *testing.B) {
	f := newFlood(b)
	b.ReportAllocs()
	for b.Loop() {
		f.cast("")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*floodCopies), "ns/copy")
}
