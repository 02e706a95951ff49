package psycswitch

import (
	"context"
	"errors"
	"iter"
)

// A Resolver finds the ways to reach a domain. Implementations are safe for concurrent use.
type Resolver interface {
	// Hints yields the ways to reach domain, best first: all PSYC hints, then all XMPP hints. A PSYC hint
	// means that the domain speaks PSYC, and that XMPP is for when no PSYC hint leads anywhere.
	//
	// Each pull may look up more and block until ctx ends. An error, mostly a [*ResolveError], is about one
	// way; others may follow it. The Hint beside an error has Protocol and Target set where they are known.
	// No hint at all means that the last error says why. Domains that differ only in
	// case, a trailing dot or the form of their internationalised labels are the same.
	Hints(ctx context.Context, domain string) iter.Seq2[Hint, error]
}

// A ProtocolResolver is a [Resolver] that can look up one protocol without the cost of the other.
type ProtocolResolver interface {
	Resolver

	// ProtocolHints yields those of the Hints whose Protocol is p, and errors about them.
	ProtocolHints(ctx context.Context, domain string, p Protocol) iter.Seq2[Hint, error]
}

// HintsOf yields the hints of one protocol. XMPP hints for a domain that has PSYC hints are needed where only XMPP
// will do: dialback verifies at the domain's XMPP server (XEP-0220) even if stanzas go by PSYC.
func HintsOf(ctx context.Context, r Resolver, domain string, p Protocol) iter.Seq2[Hint, error] {
	if pr, ok := r.(ProtocolResolver); ok {
		return pr.ProtocolHints(ctx, domain, p)
	}
	return func(yield func(Hint, error) bool) {
		for h, err := range r.Hints(ctx, domain) {
			if h.Protocol != p && !(err != nil && h.Protocol == 0) {
				continue
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

// Errors of resolvers, found with errors.Is inside a [*ResolveError].
var (
	// ErrNoRecord: the name servers answered that there is none.
	ErrNoRecord = errors.New("no such record")
	// ErrNotOffered: the domain says by an SRV record with target "." that it does not offer the service (RFC 2782).
	ErrNotOffered = errors.New("service not offered")
	// ErrNoServers: no name server is known; set DNS.Servers.
	ErrNoServers = errors.New("no name servers")
	// ErrNoAnswer: no name server answered in time, or none was able to; another time it may be different.
	ErrNoAnswer = errors.New("no answer")
	// ErrBadAnswer: what came back is no usable answer to the question.
	ErrBadAnswer = errors.New("unusable answer")
	// ErrBadDomain: not a name that DNS can hold.
	ErrBadDomain = errors.New("not a domain name")
)

// A StaticResolver answers for the domains that it lists and leaves all others to Next.
// The zero value knows nothing. It must not be changed while in use.
type StaticResolver struct {
	// Domains maps a domain, in any spelling, to its hints in the order in which they are to be tried. An
	// empty list means that the domain cannot be reached. A hint may leave Protocol 0, which is XMPP, and
	// give a host name in Addr, which the dialer then resolves.
	Domains map[string][]Hint

	// Next is asked about all other domains; nil: they have no hints.
	Next Resolver
}

// Hints yields the hints of the list, then what Next says if the list has no such domain.
func (r *StaticResolver) Hints(ctx context.Context, domain string) iter.Seq2[Hint, error] {
	if hints, ok := r.listed(domain); ok {
		return listedHints(domain, hints, PSYC, XMPP)
	}
	if r.Next == nil {
		return func(yield func(Hint, error) bool) { yield(Hint{}, &ResolveError{Domain: domain, Err: ErrNoRecord}) }
	}
	return r.Next.Hints(ctx, domain)
}

// ProtocolHints is Hints for one protocol.
func (r *StaticResolver) ProtocolHints(ctx context.Context, domain string, p Protocol) iter.Seq2[Hint, error] {
	if hints, ok := r.listed(domain); ok {
		return listedHints(domain, hints, p)
	}
	if r.Next == nil {
		return r.Hints(ctx, domain)
	}
	return HintsOf(ctx, r.Next, domain, p)
}

// listed finds domain in the list, first as it is spelt.
func (r *StaticResolver) listed(domain string) ([]Hint, bool) {
	if hints, ok := r.Domains[domain]; ok {
		return hints, true
	}
	want := canonicalDomain(domain)
	if hints, ok := r.Domains[want]; ok {
		return hints, true
	}
	for d, hints := range r.Domains {
		if canonicalDomain(d) == want {
			return hints, true
		}
	}
	return nil, false
}

// listedHints yields the hints of the protocols in turn.
func listedHints(domain string, hints []Hint, protocols ...Protocol) iter.Seq2[Hint, error] {
	return func(yield func(Hint, error) bool) {
		if len(hints) == 0 {
			yield(Hint{}, &ResolveError{Domain: domain, Err: ErrNotOffered})
			return
		}
		for _, p := range protocols {
			for _, h := range hints {
				if h.Protocol == 0 {
					h.Protocol = XMPP
				}
				if h.Target == "" {
					h.Target = domain
				}
				if h.Protocol == p && !yield(h, nil) {
					return
				}
			}
		}
	}
}
