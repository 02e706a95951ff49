package psycswitch

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/switchyard-im/switchyard/internal/expiring"
)

const (
	// maxRecords is how many records of one answer are looked at.
	maxRecords = 64
	// maxAliases is how many CNAMEs lead from a question to its answer.
	maxAliases = 8
	// failureTTL is how long "the servers gave no usable answer" is kept (RFC 9520 section 3.2), so that a broken zone is not
	// asked about for every stanza.
	failureTTL = 5 * time.Second

	defaultMaxTTL         = time.Hour
	defaultMaxNegativeTTL = 5 * time.Minute
	defaultMaxEntries     = 4096
)

// An answer is what the name servers say to one question, reduced to what hints are made of.
type answer struct {
	qtype         string
	srv           []srvRecord
	addrs         []netip.Addr
	err           error // ErrNoRecord, ErrNoAnswer, ErrBadAnswer, ErrNoServers or the context's
	until         time.Time
	authenticated bool // AD bit set all the way
	server        string
}

// A question is what answers are kept under.
type question struct {
	name  string // lower case, with trailing dot
	qtype uint16
}

// An answerCache keeps answers and makes concurrent askers of one question share one.
type answerCache struct {
	mu      sync.Mutex
	answers expiring.Map[question, answer]
	asking  map[question]*asking
}

// asking is a question under way; answer may be read once done is closed.
type asking struct {
	done   chan struct{}
	answer answer
}

// lookup answers a question from the cache, from somebody else's asking, or by asking.
func (d *DNS) lookup(ctx context.Context, name string, qtype uint16) answer {
	q := question{strings.ToLower(name), qtype}
	for {
		d.cache.mu.Lock()
		if a, ok := d.cache.answers.Get(q); ok {
			d.cache.mu.Unlock()
			return a
		}
		other := d.cache.asking[q]
		if other == nil {
			break
		}
		d.cache.mu.Unlock()
		select {
		case <-other.done:
			// Who asked may have given up for reasons of their own, which are not ours.
			if !isContextError(other.answer.err) {
				return other.answer
			}
		case <-ctx.Done():
			return answer{qtype: dns.TypeToString[qtype], err: ctx.Err()}
		}
	}
	if d.cache.asking == nil {
		d.cache.asking = make(map[question]*asking)
	}
	own := &asking{done: make(chan struct{})}
	d.cache.asking[q] = own
	d.cache.mu.Unlock()

	own.answer = d.resolve(ctx, q)

	d.cache.mu.Lock()
	delete(d.cache.asking, q)
	if time.Now().Before(own.answer.until) {
		d.cache.answers.Put(q, own.answer, own.answer.until, positive(d.MaxEntries, defaultMaxEntries))
	}
	d.cache.mu.Unlock()
	close(own.done)
	return own.answer
}

// resolve asks, and asks on where a server leaves an alias to be followed.
func (d *DNS) resolve(ctx context.Context, q question) answer {
	a := answer{qtype: dns.TypeToString[q.qtype], authenticated: true}
	ttl := positive(d.MaxTTL, defaultMaxTTL)
	name, aliases := q.name, 0
	for {
		m, server, err := d.exchange(ctx, name, q.qtype)
		a.server = server
		if err != nil {
			a.err = err
			if !isContextError(err) && !errors.Is(err, ErrNoServers) {
				a.until = time.Now().Add(failureTTL)
			}
			return a
		}
		a.authenticated = a.authenticated && m.AuthenticatedData
		end, chain, err := followAliases(m, name, &aliases)
		if err != nil {
			a.err, a.until = err, time.Now().Add(failureTTL)
			return a
		}
		ttl = min(ttl, chain)
		found, recordTTL := a.take(m, end, q.qtype)
		switch {
		case found:
			a.until = time.Now().Add(min(ttl, recordTTL))
			return a
		case end != name && m.Rcode == dns.RcodeSuccess && startOfAuthority(m) == nil:
			name = end
		default:
			a.err = ErrNoRecord
			if soa := startOfAuthority(m); soa != nil {
				negative := min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
				a.until = time.Now().Add(min(ttl, negative, positive(d.MaxNegativeTTL, defaultMaxNegativeTTL)))
			}
			return a
		}
	}
}

// take copies the records of one name and type into a and returns their TTL.
func (a *answer) take(m *dns.Msg, name string, qtype uint16) (found bool, ttl time.Duration) {
	ttl = math.MaxInt64
	n := 0
	for _, rr := range m.Answer {
		h := rr.Header()
		if h.Rrtype != qtype || h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) || n == maxRecords {
			continue
		}
		switch rr := rr.(type) {
		case *dns.SRV:
			a.srv = append(a.srv, srvRecord{priority: rr.Priority, weight: rr.Weight, port: rr.Port, target: strings.ToLower(rr.Target)})
		case *dns.A:
			ip, ok := netip.AddrFromSlice(rr.A.To4())
			if !ok {
				continue
			}
			a.addrs = append(a.addrs, ip)
		case *dns.AAAA:
			ip, ok := netip.AddrFromSlice(rr.AAAA)
			if !ok {
				continue
			}
			a.addrs = append(a.addrs, ip)
		default:
			continue
		}
		n++
		ttl = min(ttl, seconds(h.Ttl))
	}
	return n > 0, ttl
}

// followAliases follows the CNAMEs of an answer from name to its end and returns the shortest TTL on the way.
// aliases counts across answers.
func followAliases(m *dns.Msg, name string, aliases *int) (end string, ttl time.Duration, err error) {
	ttl = math.MaxInt64
	for {
		var next *dns.CNAME
		for _, rr := range m.Answer {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) {
				next = c
				break
			}
		}
		if next == nil {
			return name, ttl, nil
		}
		if *aliases++; *aliases > maxAliases {
			return "", 0, ErrBadAnswer
		}
		name, ttl = strings.ToLower(next.Target), min(ttl, seconds(next.Hdr.Ttl))
	}
}

// startOfAuthority returns the SOA record that makes a negative answer a complete one.
func startOfAuthority(m *dns.Msg) *dns.SOA {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa
		}
	}
	return nil
}

// seconds converts a TTL; one with the highest bit set counts as 0 (RFC 2181 section 8).
func seconds(ttl uint32) time.Duration {
	if ttl > math.MaxInt32 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
