package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"

	"github.com/switchyard-im/switchyard/internal/expiring"
	"github.com/switchyard-im/switchyard/uniform"
)

const (
	// redirectTTL is how long the servers may keep our answers, in seconds: short, so that they follow when
	// the gateway moves.
	redirectTTL = 30
	// maxForwarded is how many questions are passed on at a time, maxTCP how many connections a view has.
	maxForwarded = 256
	maxTCP       = 64
	// maxUDP is the largest answer sent over UDP.
	maxUDP = 1232
	// askedAge is how long a domain counts as one that our servers federate with after they asked for its
	// SRV records, maxAsked how many such domains a view holds.
	askedAge = 10 * time.Minute
	maxAsked = 10_000

	// selfTestZone is where the names of the self-test are. Name servers answer for reserved names such as .invalid by
	// themselves, so it is a zone that they have to ask others about.
	selfTestZone = "example.com."

	defaultForwardTimeout = 2 * time.Second
)

// ErrLoop says that a question of the redirector's came back to it: a name server that it passes questions on to
// asks the redirector.
var ErrLoop = errors.New("the redirector is its own name server")

// A View is the redirector as one of our servers sees it.
type View struct {
	Name   string         // of the server, for logs
	Listen netip.AddrPort // UDP and TCP; port 0 takes any

	// Local reports whether a domain, canonical as [uniform.Domain] has it, is the server's own. Other servers' domains
	// behind the same gateway are not.
	Local func(domain string) bool
}

// A Redirector is the name server of our XMPP servers. It says that the XMPP server of every foreign domain is the gateway, with
// a numeric target, which spares servers that resolve names by other means a second look-up. That
// there is no direct TLS (XEP-0368) it says too. What is not about XMPP between servers goes to Upstreams.
//
// A server whose SRV look-up fails tries the domain's own addresses and gets past the gateway. So a domain
// that a server has asked about in this way has no addresses for it, unless ForeignAddresses is set.
//
// Listen, then Serve.
type Redirector struct {
	Target netip.AddrPort // where the gateway expects our servers; IPv4
	Views  []View         // at least one
	// Neighbour returns the S2S address of the server of a domain that lives behind the same gateway. The servers that have the
	// redirector in common speak with one another directly. nil: there is none.
	Neighbour        func(domain string) (s2s netip.AddrPort, ok bool)
	Upstreams        []netip.AddrPort // recursive name servers; none: everything else is refused
	ForeignAddresses bool
	Timeout          time.Duration // for one question to one upstream; 2 s
	Logger           *slog.Logger  // nil logs nothing

	views     []*view
	nonce     string        // begins the questions of the self-test; the number of the upstream follows
	met       []atomic.Bool // whether the question to an upstream came back
	forwarded chan struct{} // a place for each question that is being passed on
}

// A view is a [View] that listens.
type view struct {
	View
	r       *Redirector
	ctx     context.Context // of Serve
	servers []*dns.Server

	mu    sync.Mutex
	asked expiring.Map[string, struct{}] // canonical foreign domains

	warnDNSSEC sync.Once
}

// Listen opens the sockets of all views. Questions wait there until Serve.
func (r *Redirector) Listen() error {
	for _, v := range r.Views {
		pc, ln, err := listenDNS(v.Listen)
		if err != nil {
			r.close()
			return fmt.Errorf("redirector of %s: %w", v.Name, err)
		}
		w := &view{View: v, r: r}
		for _, srv := range []*dns.Server{
			{PacketConn: pc, UDPSize: dns.DefaultMsgSize},
			{Listener: netutil.LimitListener(ln, maxTCP)},
		} {
			srv.Handler, srv.MsgAcceptFunc = w, acceptQuery
			w.servers = append(w.servers, srv)
		}
		r.views = append(r.views, w)
	}
	return nil
}

// listenDNS takes one port for UDP and TCP.
func listenDNS(addr netip.AddrPort) (net.PacketConn, net.Listener, error) {
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		return nil, nil, err
	}
	pc, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		ln.Close()
		return nil, nil, err
	}
	return pc, ln, nil
}

// Addrs returns where the views listen, in their order.
func (r *Redirector) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, v := range r.views {
		addr, _ := netip.ParseAddrPort(v.servers[0].PacketConn.LocalAddr().String())
		addrs = append(addrs, addr)
	}
	return addrs
}

// close closes the sockets of views that do not serve.
func (r *Redirector) close() {
	for _, v := range r.views {
		v.servers[0].PacketConn.Close()
		v.servers[1].Listener.Close()
	}
	r.views = nil
}

// Serve answers until ctx ends, and returns nil then. It returns at once if an upstream leads back to the
// redirector ([ErrLoop]). Either way the sockets are closed and no goroutine is left.
func (r *Redirector) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.nonce = "switchyard-" + strings.ToLower(rand.Text()) + "-"
	r.met = make([]atomic.Bool, len(r.Upstreams))
	r.forwarded = make(chan struct{}, maxForwarded)
	var serving, started sync.WaitGroup
	for _, v := range r.views {
		v.ctx = ctx
		for _, srv := range v.servers {
			started.Add(1)
			var once sync.Once
			srv.NotifyStartedFunc = func() { once.Do(started.Done) }
			serving.Go(func() {
				defer once.Do(started.Done)
				if err := srv.ActivateAndServe(); err != nil {
					cancel(fmt.Errorf("redirector of %s: %w", v.Name, err))
				}
			})
		}
	}
	started.Wait()
	serving.Go(func() {
		if err := r.selfTest(ctx); err != nil {
			cancel(err)
		}
	})

	<-ctx.Done()
	for _, v := range r.views {
		for _, srv := range v.servers {
			// The error says that it has not been started, in which case it has said so itself.
			_ = srv.Shutdown()
		}
	}
	serving.Wait()
	r.close()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// selfTest asks every upstream for a random name. If a view is asked for it, we would ask ourselves for ever.
// The views serve meanwhile: two gateways that are each other's upstream would else wait for each other's test.
func (r *Redirector) selfTest(ctx context.Context) error {
	var asking sync.WaitGroup
	for i, upstream := range r.Upstreams {
		asking.Go(func() {
			query := new(dns.Msg).SetQuestion(fmt.Sprintf("%s%d.%s", r.nonce, i, selfTestZone), dns.TypeTXT)
			if _, err := r.ask(ctx, "udp", upstream, query); err != nil && ctx.Err() == nil {
				r.log(slog.LevelWarn, "name server does not answer", "server", upstream, "err", err)
			}
		})
	}
	asking.Wait()
	for i, upstream := range r.Upstreams {
		if r.met[i].Load() {
			return fmt.Errorf("name server %v: %w", upstream, ErrLoop)
		}
	}
	return nil
}

// meet notes that a question of the self-test came back.
func (r *Redirector) meet(name string) bool {
	label, ok := strings.CutPrefix(strings.ToLower(name), r.nonce)
	if !ok {
		return false
	}
	number, _, _ := strings.Cut(label, ".")
	if i, err := strconv.Atoi(number); err == nil && 0 <= i && i < len(r.met) {
		r.met[i].Store(true)
	}
	return true
}

// acceptQuery takes queries with one question; the server answers all else with FORMERR or NOTIMP by itself.
func acceptQuery(h dns.Header) dns.MsgAcceptAction {
	const opcodeShift, opcodeMask = 11, 0xF
	if action := dns.DefaultMsgAcceptFunc(h); action != dns.MsgAccept {
		return action
	}
	if h.Bits>>opcodeShift&opcodeMask != dns.OpcodeQuery {
		return dns.MsgRejectNotImplemented
	}
	return dns.MsgAccept
}

// ServeDNS answers one question.
func (v *view) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	network := w.LocalAddr().Network()
	reply := v.answer(network, req)
	if opt := req.IsEdns0(); opt != nil && reply.IsEdns0() == nil {
		reply.SetEdns0(maxUDP, opt.Do())
	}
	if network == "udp" {
		size := dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = min(int(opt.UDPSize()), maxUDP)
		}
		reply.Truncate(size)
	}
	if err := w.WriteMsg(reply); err != nil && v.ctx.Err() == nil {
		v.r.log(slog.LevelWarn, "answer not sent", "server", v.Name, "err", err)
	}
}

func (v *view) answer(network string, req *dns.Msg) *dns.Msg {
	if len(req.Question) != 1 { // a header that promises one is not enough
		return new(dns.Msg).SetRcodeFormatError(req)
	}
	q := req.Question[0]
	if q.Qclass != dns.ClassINET || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return new(dns.Msg).SetRcode(req, dns.RcodeRefused)
	}
	if v.r.meet(q.Name) {
		return new(dns.Msg).SetRcode(req, dns.RcodeRefused)
	}
	if q.Qtype == dns.TypeDNSKEY || q.Qtype == dns.TypeDS {
		v.warnDNSSEC.Do(func() {
			v.r.log(slog.LevelWarn, "server validates DNSSEC: it will not believe the redirector about signed domains", "server", v.Name)
		})
	}
	service, domain := splitService(q.Name)
	switch {
	case service != "" && v.Local(domain):
		return negative(req, dns.RcodeNameError)
	case service == "_xmpp-server._tcp." && q.Qtype == dns.TypeSRV:
		v.remember(domain)
		v.r.log(slog.LevelDebug, "redirected", "server", v.Name, "domain", domain)
		return v.redirect(req, domain)
	case service != "":
		v.remember(domain)
		return negative(req, dns.RcodeSuccess)
	case q.Qtype == dns.TypeA || q.Qtype == dns.TypeAAAA:
		if ip, err := netip.ParseAddr(strings.TrimSuffix(q.Name, ".")); err == nil {
			return numeric(req, ip)
		}
		if !v.r.ForeignAddresses && v.remembers(canonicalName(q.Name)) {
			return negative(req, dns.RcodeSuccess)
		}
	}
	return v.forward(network, req)
}

// services are the SRV names of XMPP between servers: RFC 6120, XEP-0368, and what was there before RFC 3920.
var services = []string{"_xmpp-server._tcp.", "_xmpps-server._tcp.", "_jabber._tcp."}

// splitService splits an SRV name into service and canonical domain; service is "" for all other names.
func splitService(name string) (service, domain string) {
	for _, s := range services {
		if len(name) > len(s) && strings.EqualFold(name[:len(s)], s) {
			return s, canonicalName(name[len(s):])
		}
	}
	return "", ""
}

// canonicalName returns the domain that a DNS name is, in lower case at least.
func canonicalName(name string) string {
	if domain, err := uniform.Domain(name); err == nil {
		return domain
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// redirect says that the gateway is the XMPP server of domain, or which neighbour is.
func (v *view) redirect(req *dns.Msg, domain string) *dns.Msg {
	target := v.r.Target
	if v.r.Neighbour != nil {
		if s2s, ok := v.r.Neighbour(domain); ok {
			target = s2s
		}
	}
	reply := new(dns.Msg).SetReply(req)
	reply.RecursionAvailable = true
	reply.Answer = []dns.RR{&dns.SRV{
		Hdr:  dns.RR_Header{Name: req.Question[0].Name, Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: redirectTTL},
		Port: target.Port(), Target: target.Addr().String() + ".",
	}}
	return reply
}

// numeric answers the question for the address of an address, which servers ask that do not see that the SRV
// target is one.
func numeric(req *dns.Msg, ip netip.Addr) *dns.Msg {
	q := req.Question[0]
	if q.Qtype != dns.TypeA || !ip.Is4() {
		return negative(req, dns.RcodeSuccess)
	}
	reply := new(dns.Msg).SetReply(req)
	reply.RecursionAvailable = true
	reply.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: redirectTTL},
		A:   ip.AsSlice(),
	}}
	return reply
}

// negative says that there is no such name (NXDOMAIN) or nothing of the type (NOERROR), and for how long to believe it (RFC 2308).
func negative(req *dns.Msg, rcode int) *dns.Msg {
	reply := new(dns.Msg).SetRcode(req, rcode)
	reply.RecursionAvailable = true
	name := req.Question[0].Name
	reply.Ns = []dns.RR{&dns.SOA{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: redirectTTL},
		Ns:  "localhost.", Mbox: "hostmaster.localhost.", Serial: 1,
		Refresh: redirectTTL, Retry: redirectTTL, Expire: redirectTTL, Minttl: redirectTTL,
	}}
	return reply
}

func (v *view) remember(domain string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked.Put(domain, struct{}{}, time.Now().Add(askedAge), maxAsked)
}

func (v *view) remembers(domain string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.asked.Get(domain)
	return ok
}

// forward passes a question on to the upstreams in turn, until one can answer it.
func (v *view) forward(network string, req *dns.Msg) *dns.Msg {
	r := v.r
	if len(r.Upstreams) == 0 {
		return new(dns.Msg).SetRcode(req, dns.RcodeRefused)
	}
	failed := new(dns.Msg).SetRcode(req, dns.RcodeServerFailure)
	select {
	case r.forwarded <- struct{}{}:
		defer func() { <-r.forwarded }()
	default:
		r.log(slog.LevelWarn, "too many questions at a time", "server", v.Name)
		return failed
	}
	query := new(dns.Msg).SetQuestion(req.Question[0].Name, req.Question[0].Qtype)
	query.RecursionDesired, query.CheckingDisabled, query.AuthenticatedData = req.RecursionDesired, req.CheckingDisabled, req.AuthenticatedData
	if opt := req.IsEdns0(); opt != nil {
		query.SetEdns0(maxUDP, opt.Do())
	}
	for _, upstream := range r.Upstreams {
		query.Id = dns.Id()
		reply, err := r.ask(v.ctx, network, upstream, query)
		if err != nil {
			r.log(slog.LevelDebug, "name server does not answer", "server", upstream, "err", err)
			continue
		}
		reply.Id = req.Id
		reply.Question = slices.Clone(req.Question) // in the server's own spelling
		if reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError {
			return reply
		}
		failed = reply
	}
	return failed
}

// ask asks one upstream and returns an answer that is one to this question.
func (r *Redirector) ask(ctx context.Context, network string, upstream netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = defaultForwardTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := &dns.Client{Net: network, Timeout: timeout}
	conn, err := client.DialContext(ctx, upstream.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	reply, _, err := client.ExchangeWithConnContext(ctx, query, conn)
	if err != nil {
		return nil, err
	}
	asked := query.Question[0]
	if !reply.Response || len(reply.Question) != 1 || reply.Question[0].Qtype != asked.Qtype ||
		reply.Question[0].Qclass != asked.Qclass || !strings.EqualFold(reply.Question[0].Name, asked.Name) {
		return nil, errors.New("the answer is to another question")
	}
	return reply, nil
}

func (r *Redirector) log(level slog.Level, message string, args ...any) {
	if r.Logger != nil {
		r.Logger.Log(context.Background(), level, message, args...)
	}
}
