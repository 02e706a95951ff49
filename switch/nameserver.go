package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is what we take over UDP: it fits into any path's packets without fragments.
	udpSize = 1232
	// maxStrays is how many messages that do not belong to the question are skipped before a server is given up.
	maxStrays = 64

	defaultTimeout  = 2 * time.Second
	defaultAttempts = 2
	// resolvConf is where the system lists its name servers; it is looked at again after resolvConfAge.
	resolvConf    = "/etc/resolv.conf"
	resolvConfAge = 5 * time.Second
)

// lastAnswered is the index of the server to begin with: the one that answered last.
type lastAnswered struct{ atomic.Int32 }

// exchange asks the servers in turn until one gives an answer that settles the question.
// The error is an ErrNoAnswer, ErrBadAnswer, ErrNoServers or the context's.
func (d *DNS) exchange(ctx context.Context, name string, qtype uint16) (m *dns.Msg, server string, err error) {
	servers, err := d.servers()
	if err != nil {
		return nil, "", err
	}
	first := int(d.last.Load())
	for range positive(d.Attempts, defaultAttempts) {
		for i := range servers {
			at := (first + i) % len(servers)
			server = servers[at]
			m, err = d.ask(ctx, server, name, qtype)
			if ctx.Err() != nil {
				return nil, server, ctx.Err()
			}
			if err == nil {
				d.last.Store(int32(at))
				return m, server, nil
			}
		}
	}
	return nil, server, err
}

// ask asks one server: over UDP, over TCP if the answer is truncated, and without EDNS if the server does not know it.
func (d *DNS) ask(ctx context.Context, server, name string, qtype uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, positive(d.Timeout, defaultTimeout))
	defer cancel()
	query := new(dns.Msg).SetQuestion(name, qtype)
	query.AuthenticatedData = true // asks for the AD bit in the answer (RFC 6840 section 5.7)
	query.SetEdns0(udpSize, false)

	m, err := d.talk(ctx, "udp", server, query)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) {
		query.Id, query.Extra = dns.Id(), nil
		m, err = d.talk(ctx, "udp", server, query)
	}
	if err == nil && m.Truncated {
		query.Id = dns.Id()
		m, err = d.talk(ctx, "tcp", server, query)
	}
	switch {
	case err != nil:
		return nil, err
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("%w: %s", ErrNoAnswer, dns.RcodeToString[m.Rcode])
	}
	return m, nil
}

// talk sends the query over a connection of its own, hence from a random port, and waits for the message that answers it.
func (d *DNS) talk(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	dial := d.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, network, server)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, withoutContext(err))
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	conn := &dns.Conn{Conn: nc, UDPSize: udpSize}
	if err := conn.WriteMsg(query); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	for range maxStrays {
		packed, err := conn.ReadMsgHeader(nil)
		if err != nil {
			if errors.Is(err, dns.ErrShortRead) {
				continue
			}
			return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
		if m := matching(packed, query); m != nil {
			return m, nil
		}
	}
	return nil, ErrBadAnswer
}

// matching unpacks a message and returns it if it answers query: anything else may come from somebody who guesses.
func matching(packed []byte, query *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(packed); err != nil {
		return nil
	}
	if !m.Response || m.Id != query.Id || m.Opcode != dns.OpcodeQuery {
		return nil
	}
	if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return m // servers that refuse need not repeat what
	}
	q := query.Question[0]
	if len(m.Question) != 1 || m.Question[0].Qtype != q.Qtype || m.Question[0].Qclass != q.Qclass ||
		!strings.EqualFold(m.Question[0].Name, q.Name) {
		return nil
	}
	return m
}

// withoutContext hides that a try ended by its own context, which callers take for the end of theirs.
func withoutContext(err error) error {
	if isContextError(err) {
		return errors.New(err.Error())
	}
	return err
}

// servers returns the name servers as host:port.
func (d *DNS) servers() ([]string, error) {
	if len(d.Servers) == 0 {
		return d.sys.list(resolvConf)
	}
	servers := make([]string, len(d.Servers))
	for i, s := range d.Servers {
		if _, _, err := net.SplitHostPort(s); err == nil {
			servers[i] = s
		} else if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
			servers[i] = net.JoinHostPort(ip.String(), "53")
		} else {
			return nil, fmt.Errorf("%w: DNS.Servers: %q is neither host:port nor an IP address", ErrNoServers, s)
		}
	}
	return servers, nil
}

// systemServers are the name servers of the system, read again when their file changes.
type systemServers struct {
	mu      sync.Mutex
	looked  time.Time // at the file's date
	changed time.Time // the file's date when it was read
	servers []string
}

func (s *systemServers) list(path string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers != nil && time.Since(s.looked) < resolvConfAge {
		return s.servers, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: set DNS.Servers: %w", ErrNoServers, err)
	}
	s.looked = time.Now()
	if s.servers != nil && info.ModTime().Equal(s.changed) {
		return s.servers, nil
	}
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: set DNS.Servers: %w", ErrNoServers, err)
	}
	var servers []string
	for _, host := range conf.Servers {
		if _, err := netip.ParseAddr(host); err == nil {
			servers = append(servers, net.JoinHostPort(host, conf.Port))
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("%w: set DNS.Servers: %s names none", ErrNoServers, path)
	}
	s.servers, s.changed = slices.Clip(servers), info.ModTime()
	return s.servers, nil
}
