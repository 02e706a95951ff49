package psycswitch

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/xmpp"
)

func TestStaticResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newDNS(dnstest.New("other.example. 60 IN A 192.0.2.1", "_psyc._tcp.other.example. 60 IN SRV 0 0 4404 192.0.2.2."))
		r := &StaticResolver{Next: next, Domains: map[string][]Hint{
			"Bücher.example": {
				{Addr: "127.0.0.1:5269"},
				{Protocol: PSYC, Addr: "psyc.example:4404", Target: "psyc.example"},
			},
			"gone.example": nil,
		}}
		tests := []struct {
			domain    string
			protocols []Protocol // nil: Hints
			want      []string
		}{
			{"Bücher.example", nil, []string{"PSYC psyc.example:4404", "XMPP 127.0.0.1:5269 (Bücher.example)"}},
			{"xn--bcher-kva.EXAMPLE.", nil, []string{"PSYC psyc.example:4404", "XMPP 127.0.0.1:5269 (xn--bcher-kva.EXAMPLE.)"}},
			{"bücher.example", []Protocol{XMPP}, []string{"XMPP 127.0.0.1:5269 (bücher.example)"}},
			{"gone.example", nil, []string{`Protocol(0) error "gone.example": service not offered`}},
			{"other.example", nil, []string{"PSYC 192.0.2.2:4404", "XMPP 192.0.2.1:5269 (other.example)"}},
			{"other.example", []Protocol{PSYC}, []string{"PSYC 192.0.2.2:4404"}},
		}
		for _, tt := range tests {
			hints := r.Hints(t.Context(), tt.domain)
			if tt.protocols != nil {
				hints = r.ProtocolHints(t.Context(), tt.domain, tt.protocols[0])
			}
			if got := listing(hints); !slices.Equal(got, tt.want) {
				t.Errorf("%s %v: %q, want %q", tt.domain, tt.protocols, got, tt.want)
			}
		}
	})
}

func TestStaticResolverAlone(t *testing.T) {
	for _, hints := range []func() error{
		func() (last error) {
			for _, err := range new(StaticResolver).Hints(t.Context(), "a.example") {
				last = err
			}
			return last
		},
		func() (last error) {
			for _, err := range new(StaticResolver).ProtocolHints(t.Context(), "a.example", XMPP) {
				last = err
			}
			return last
		},
	} {
		err := hints()
		var re *ResolveError
		if !errors.As(err, &re) || re.Timeout() || !errors.Is(err, ErrNoRecord) || !errors.Is(err, xmpp.RemoteServerNotFound) {
			t.Error(err)
		}
	}
}

// onlyHints hides what else a Resolver can do.
type onlyHints struct{ Resolver }

func TestHintsOfAnyResolver(t *testing.T) {
	r := onlyHints{&StaticResolver{Domains: map[string][]Hint{
		"a.example": {{Protocol: PSYC, Addr: "192.0.2.1:4404"}, {Protocol: XMPP, Addr: "192.0.2.1:5269"}, {Protocol: XMPP, Addr: "192.0.2.2:5269"}},
	}}}
	got := listing(HintsOf(t.Context(), r, "a.example", XMPP))
	if want := []string{"XMPP 192.0.2.1:5269 (a.example)", "XMPP 192.0.2.2:5269 (a.example)"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// An error that is about no protocol in particular is about every one.
	if got := listing(HintsOf(t.Context(), r, "b.example", PSYC)); len(got) != 1 {
		t.Errorf("%q, want one error", got)
	}
}
