//go:build !race

package psycswitch_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// inUse returns the bytes of stacks, and of what is in the heap, after a collection. The free room between that, up to 3 kB for a link, is not
// counted: the next objects go there.
func inUse() int64 {
	var m runtime.MemStats
	for range 4 {
		runtime.GC() // stacks shrink by half in each, and pools are empty after two
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// goroutinesFall waits until there are no more than n goroutines.
func goroutinesFall(t *testing.T, n int) {
	t.Helper()
	for over := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > n; <-time.After(time.Millisecond) {
		if time.Now().After(over) {
			t.Fatalf("%d goroutines, want %d", runtime.NumGoroutine(), n)
		}
	}
}

// memoryPer returns what each of n calls of open leaves in use.
func memoryPer(n int, open func(i int), rest func()) int64 {
	open(0) // and all that there is once
	rest()
	before := inUse()
	for i := range n {
		open(i + 1)
		if i%10 == 0 {
			runtime.GC() // or the free room between what is kept counts
		}
	}
	rest()
	return (inUse() - before) / int64(n)
}

const idleLinks = 200

// A link by which nothing comes and goes for a while costs little: no writer runs, readers have small buffers and stacks. What
// is measured is both ends of connections over loopback, half of which goes for an end; with TLS, what they cost beyond TLS connections that
// somebody reads.
func TestIdleLinkMemory(t *testing.T) {
	const limit = 17_500 // the aim is 16 KiB
	if testing.Short() || testing.CoverMode() != "" {
		t.Skip("measures memory")
	}
	bare := bareTLSMemory(t)
	t.Logf("crypto/tls: %.1f kB an end", float64(bare)/2000)
	psyc, xmppStream := psycswitch.PSYC, psycswitch.XMPP
	for _, test := range []struct {
		name     string
		hint     psycswitch.Hint
		protocol psycswitch.Protocol
		secure   bool
	}{
		{"PSYC", psycswitch.Hint{Protocol: psyc}, 0, false},
		{"XMPP, dialback", psycswitch.Hint{Protocol: xmppStream}, xmppStream, false},
		{"switch, dialback", psycswitch.Hint{Protocol: xmppStream}, 0, false},
		{"PSYC, TLS", psycswitch.Hint{Protocol: psyc, DirectTLS: true}, 0, true},
		{"XMPP, STARTTLS, EXTERNAL", psycswitch.Hint{Protocol: xmppStream}, xmppStream, true},
		{"switch, STARTTLS, EXTERNAL", psycswitch.Hint{Protocol: xmppStream}, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			each := idleMemory(t, test.hint, test.protocol, test.secure)
			own := each
			if test.secure {
				own -= bare
			}
			t.Logf("%.1f kB an end, %.1f without TLS", float64(each)/2000, float64(own)/2000)
			if own/2 > limit {
				t.Errorf("an idle link costs %d bytes, limit %d", own/2, limit)
			}
		})
	}
}

// idleMemory returns what a connection costs two routers, both ends together.
func idleMemory(t *testing.T, hint psycswitch.Hint, protocol psycswitch.Protocol, secure bool) int64 {
	resolver := &psycswitch.StaticResolver{Domains: make(map[string][]psycswitch.Hint)}
	var ca *authority
	if secure {
		ca = newAuthority(t)
	}
	router := func(hosts psycswitch.StaticHosts) *psycswitch.Router {
		r := &psycswitch.Router{Config: psycswitch.Config{Hosts: hosts, Resolver: resolver, Protocols: protocol}}
		r.PSYC.Ping = time.Second // so that writers soon see that there is nothing to do
		if secure {
			r.Roots = ca.pool
			for d := range hosts {
				hosts[d] = ca.issue(d)
			}
		} else {
			r.Insecure = psycswitch.Plaintext | psycswitch.Addresses
		}
		return r
	}
	home := listen(t)
	resolver.Domains["north.example"] = []psycswitch.Hint{{Protocol: psycswitch.XMPP, Addr: home.Addr().String()}}
	var domains []string
	var doors []net.Listener // one for each domain, or one circuit would do for all
	for i := range idleLinks + 1 {
		domains, doors = append(domains, fmt.Sprintf("south%d.example", i)), append(doors, listen(t))
		hint.Addr = doors[i].Addr().String()
		resolver.Domains[domains[i]] = []psycswitch.Hint{hint}
	}
	north, south := router(plain("north.example")), router(plain(domains...))
	came := make(chan struct{}, 1)
	south.Handler = psycswitch.HandlerFunc(func(context.Context, psycswitch.Sender, *xmpp.Stanza) error {
		came <- struct{}{}
		return nil
	})
	routers := []*psycswitch.Router{north, south}
	quiet := runtime.NumGoroutine() + 2*len(routers) + 1 + len(doors)
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { north.Serve(ctx, home) })
	served.Go(func() { south.Serve(ctx, doors...) })
	defer served.Wait()
	defer cancel()
	open := func(i int) {
		if err := north.Send(ctx, chat("ada@north.example", "bob@"+domains[i], "1", "hello")); err != nil {
			t.Fatal(err)
		}
		<-came
	}
	links := func() (n int) {
		for _, r := range routers {
			for range r.Links() {
				n++
			}
		}
		return n
	}
	rest := func() {
		goroutinesFall(t, quiet+links())
		for _, r := range routers {
			psycswitch.Rest(r)
		}
		goroutinesFall(t, quiet+links())
	}
	each := memoryPer(idleLinks, open, rest)
	open(idleLinks) // at rest it still works
	if n := links(); n != 2*(idleLinks+1) {
		t.Errorf("%d links", n)
	}
	return each
}

// bareTLSMemory returns what a TLS connection costs that somebody reads from, both ends together.
func bareTLSMemory(t *testing.T) int64 {
	ca := newAuthority(t)
	var certs []*tls.Certificate
	for i := range idleLinks + 1 {
		certs = append(certs, ca.issue(fmt.Sprintf("south%d.example", i)))
	}
	ours := ca.issue("north.example")
	ln := listen(t)
	before := runtime.NumGoroutine()
	var ends []io.Closer
	var reading sync.WaitGroup
	read := func(conn *tls.Conn) {
		ends = append(ends, conn)
		reading.Go(func() {
			for err := error(nil); err == nil; {
				_, err = conn.Read(make([]byte, 256))
			}
		})
	}
	each := memoryPer(idleLinks, func(i int) {
		there, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		here, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server := tls.Server(here, xmpp.TLSConfig(&tls.Config{Certificates: []tls.Certificate{*certs[i]}}, "", ""))
		var shaking sync.WaitGroup
		shaking.Go(func() {
			if err := server.Handshake(); err != nil {
				t.Error(err)
			}
		})
		client := tls.Client(there, xmpp.TLSConfig(&tls.Config{Certificates: []tls.Certificate{*ours}}, "north.example", "south.example"))
		if err := client.Handshake(); err != nil {
			t.Error(err)
		}
		shaking.Wait()
		read(server)
		read(client)
	}, func() { goroutinesFall(t, before+len(ends)) })
	for _, c := range ends {
		c.Close()
	}
	reading.Wait()
	return each
}
