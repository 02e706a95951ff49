// Package dnstest is a name server whose records and faults are set as a test or a demonstration goes along.
//
// A [Server] listens on sockets ([Start], [Server.Listen]) or answers in memory ([Server.Dial]), which suits
// testing/synctest. It answers as a recursive resolver would, from the records it was given and nothing else.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// maxChain is how many CNAMEs one answer follows.
const maxChain = 16

// A Question is one that the server was asked.
type Question struct {
	Name    string // lower case, without the trailing dot
	Type    string // "SRV", "A", ...
	Network string // "udp" or "tcp"
}

// A Fault is what is wrong with the answers to a question. The zero value is: nothing.
type Fault struct {
	Rcode    int                        // instead of an answer, if not 0
	Drop     bool                       // no answer at all
	Truncate bool                       // over UDP, an empty answer with the TC bit
	Delay    time.Duration              // before the answer
	Edit     func(req, reply *dns.Msg)  // changes the answer last of all
	Raw      func(packed []byte) []byte // changes the bytes of the answer
	Seen     func()                     // called when the question has come
}

// A Server answers DNS questions. Its methods are safe for concurrent use.
type Server struct {
	mu            sync.Mutex
	records       map[string][]dns.RR // by lower-case owner
	faults        map[Question]Fault
	asked         []Question
	authenticated bool
	negative      int64 // TTL of the SOA in negative answers; none if below 0

	servers []*dns.Server
	running sync.WaitGroup
	done    chan struct{}
	close   sync.Once
	addr    string
}

// New makes a server with the records, each a line in master-file syntax ("_psyc._tcp.a.example. 300 IN SRV 0 0
// 4404 h.a.example."). It does not listen yet.
func New(records ...string) *Server {
	s := &Server{records: map[string][]dns.RR{}, faults: map[Question]Fault{}, done: make(chan struct{}), negative: 60}
	s.Add(records...)
	return s
}

// TB is what Start needs of a [testing.TB].
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start makes a server that listens on a free port of 127.0.0.1 until the test ends.
func Start(t TB, records ...string) *Server {
	t.Helper()
	s := New(records...)
	if _, err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatalf("dnstest: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Listen makes the server answer on UDP and TCP of address until Close, and returns the address with its port.
func (s *Server) Listen(address string) (string, error) {
	pc, ln, err := listenBoth(address)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.addr = pc.LocalAddr().String()
	s.mu.Unlock()
	for _, srv := range []*dns.Server{{PacketConn: pc}, {Listener: ln}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		srv.Handler = dns.HandlerFunc(s.serve)
		s.mu.Lock()
		s.servers = append(s.servers, srv)
		s.mu.Unlock()
		s.running.Go(func() { _ = srv.ActivateAndServe() })
		<-started
	}
	return s.Addr(), nil
}

// listenBoth finds one port that is free for UDP and TCP.
func listenBoth(address string) (net.PacketConn, net.Listener, error) {
	for try := 0; ; try++ {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return nil, nil, err
		}
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return pc, ln, nil
		}
		ln.Close()
		if try == 20 {
			return nil, nil, err
		}
	}
}

// Addr returns the host:port of the last Listen.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Close stops listening and waits until nothing runs any more.
func (s *Server) Close() error {
	s.close.Do(func() { close(s.done) })
	s.mu.Lock()
	servers := s.servers
	s.servers = nil
	s.mu.Unlock()
	var errs []error
	for _, srv := range servers {
		errs = append(errs, srv.Shutdown())
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// Add adds records in master-file syntax; it panics where one does not parse.
func (s *Server) Add(records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range records {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			panic(fmt.Sprintf("dnstest: record %q: %v", line, err))
		}
		name := fold(rr.Header().Name)
		s.records[name] = append(s.records[name], rr)
	}
}

// Remove drops the records of a name, of one type or, if rrtype is "", of all.
func (s *Server) Remove(name, rrtype string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = fold(name)
	s.records[name] = slices.DeleteFunc(s.records[name], func(rr dns.RR) bool {
		return rrtype == "" || dns.TypeToString[rr.Header().Rrtype] == rrtype
	})
	if len(s.records[name]) == 0 {
		delete(s.records, name)
	}
}

// Break gives the answers to a question a fault; name "" means every name, rrtype "" every type. The zero
// Fault mends it.
func (s *Server) Break(name, rrtype string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[Question{Name: fold(name), Type: rrtype}] = f
}

// SetAuthenticated decides whether answers carry the AD bit.
func (s *Server) SetAuthenticated(ad bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authenticated = ad
}

// SetNegativeTTL sets for how long, in seconds, negative answers may be kept; below 0 they say nothing about it.
func (s *Server) SetNegativeTTL(seconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.negative = int64(seconds)
}

// Questions returns what was asked so far, in order.
func (s *Server) Questions() []Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Asked counts the questions about name and, unless it is "", rrtype.
func (s *Server) Asked(name, rrtype string) int {
	n := 0
	for _, q := range s.Questions() {
		if q.Name == fold(name) && (rrtype == "" || q.Type == rrtype) {
			n++
		}
	}
	return n
}

// Dial opens a connection to the server in memory; it fits DNS.Dial. Messages carry the length prefix of DNS over TCP
// whatever the network says, because a [net.Pipe] keeps no packets apart.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	s.running.Go(func() {
		defer server.Close()
		conn := &dns.Conn{Conn: server}
		for {
			req, err := conn.ReadMsg()
			if err != nil {
				return
			}
			packed := s.reply(req, network)
			if packed == nil {
				continue
			}
			if _, err := conn.Write(packed); err != nil {
				return
			}
		}
	})
	return client, nil
}

// serve answers on sockets.
func (s *Server) serve(w dns.ResponseWriter, req *dns.Msg) {
	if packed := s.reply(req, w.LocalAddr().Network()); packed != nil {
		_, _ = w.Write(packed)
	}
}

// reply returns the bytes of the answer, nil for none.
func (s *Server) reply(req *dns.Msg, network string) []byte {
	if len(req.Question) != 1 {
		return nil
	}
	q := Question{fold(req.Question[0].Name), dns.TypeToString[req.Question[0].Qtype], network}
	reply, fault := s.answer(req, q)

	if fault.Seen != nil {
		fault.Seen()
	}
	if fault.Delay > 0 {
		delay := time.NewTimer(fault.Delay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-s.done:
			return nil
		}
	}
	switch {
	case fault.Drop:
		return nil
	case fault.Rcode != 0:
		reply.Answer, reply.Ns, reply.Rcode = nil, nil, fault.Rcode
	case fault.Truncate && network == "udp":
		reply.Answer, reply.Ns, reply.Truncated = nil, nil, true
	}
	if opt := req.IsEdns0(); opt != nil {
		reply.SetEdns0(1232, false)
	}
	if network == "udp" {
		size := dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	if fault.Edit != nil {
		fault.Edit(req, reply)
	}
	packed, err := reply.Pack()
	if err != nil {
		panic(fmt.Sprintf("dnstest: %v in %v", err, reply))
	}
	if fault.Raw != nil {
		packed = fault.Raw(packed)
	}
	return packed
}

// answer records the question and makes the answer that a healthy server would give.
func (s *Server) answer(req *dns.Msg, q Question) (*dns.Msg, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, q)

	reply := new(dns.Msg).SetReply(req)
	reply.RecursionAvailable = true
	reply.AuthenticatedData = s.authenticated
	name, qtype := q.Name, req.Question[0].Qtype
	exists := false
	for range maxChain {
		var cname string
		for _, rr := range s.records[name] {
			switch h := rr.Header(); {
			case h.Rrtype == qtype:
				reply.Answer = append(reply.Answer, dns.Copy(rr))
			case h.Rrtype == dns.TypeCNAME:
				reply.Answer = append(reply.Answer, dns.Copy(rr))
				cname = fold(rr.(*dns.CNAME).Target)
			}
		}
		exists = s.exists(name)
		if cname == "" {
			break
		}
		name = cname
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if len(reply.Answer) == 0 && s.negative >= 0 {
		reply.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: uint32(s.negative)},
			Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 1, Retry: 1, Expire: 1, Minttl: uint32(s.negative),
		}}
	}
	for _, key := range []Question{{Name: q.Name, Type: q.Type}, {Name: q.Name}, {Type: q.Type}, {}} {
		if f, ok := s.faults[key]; ok {
			return reply, f
		}
	}
	return reply, Fault{}
}

// exists reports whether name or something below it has records.
func (s *Server) exists(name string) bool {
	for owner := range s.records {
		if owner == name || strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}

// fold is the form of names in maps and questions.
func fold(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }
