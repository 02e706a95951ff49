package psycswitch_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/replay"
	"github.com/switchyard-im/switchyard/psyc"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A dialled is a recorded session, or several in turn, that Dial has to get on with.
type dialled struct {
	conversations []string // by recording, connection and number

	local, remote string // peer.test, psyced.test
	speaks        psycswitch.Protocol
	psyced        bool   // the operator has named psyced's domain
	tls           uint16 // the version that psyced takes; 0: no TLS
	certificate   bool   // we have one
	direct        bool   // TLS from the first byte
	first         bool   // psyced judges our first packet

	want string // what the link is, and why it ends; or why there is none
}

// dials are the sessions in which nobody says anything, because psyced does not let them or because the recorded peer only tried what
// would happen.
var dials = []dialled{
	{conversations: []string{"01-psyc09-greeting/A0"}, psyced: true, want: "PSYC"},
	{conversations: []string{"01-psyc09-greeting/B0"}, psyced: true, want: "PSYC"},
	{conversations: []string{"01-psyc09-greeting/C0"}, psyced: true, want: "PSYC"},
	{conversations: []string{"01-psyc09-greeting/G0"}, psyced: true, want: "PSYC"},
	{conversations: []string{"01-psyc09-greeting/H0"}, psyced: true, want: "PSYC"},
	{conversations: []string{"01-psyc09-greeting/D0", "01-psyc09-greeting/B0"}, want: "PSYC"}, // in 1.0 first
	{conversations: []string{"01-psyc09-greeting/E0", "01-psyc09-greeting/G0"}, first: true, want: "PSYC"},
	{conversations: []string{"01-psyc09-greeting/F0", "01-psyc09-greeting/C0"}, want: "PSYC"},
	{conversations: []string{"02-psyc09-person/main1"}, psyced: true, want: "PSYC"},
	{conversations: []string{"02-psyc09-person/main2"}, psyced: true, want: "_error_invalid_method_compact"},
	{conversations: []string{"05-psyc10-spyc/main1"}, want: "PSYC, then _error_dispatch"},
	{conversations: []string{"05-psyc10-spyc/main3"}, want: "PSYC, then _error_invalid_method_compact"},
	{conversations: []string{"05-psyc10-spyc/A0"}, want: "_error_invalid_syntax"},
	{conversations: []string{"05-psyc10-spyc/C0"}, first: true, want: "_error_dispatch"},
	{conversations: []string{"05-psyc10-spyc/D0"}, first: true, want: "_error_dispatch"},
	{conversations: []string{"05-psyc10-spyc/E0"}, local: "other.test", want: "_error_invalid_uniform_source"},
	{conversations: []string{"05-psyc10-spyc/G0"}, want: "PSYC, then _error_invalid_syntax"},
	{conversations: []string{"06a-psyc-tls13-refused/A0", "06b-psyc-tls12/G0"}, tls: tls.VersionTLS13, direct: true, want: "PSYC TLS 1.2"},
	{conversations: []string{"06a-psyc-tls13-refused/B0", "06b-psyc-tls12/G0"}, tls: tls.VersionTLS13, direct: true, want: "PSYC TLS 1.2"},
	{conversations: []string{"06a-psyc-tls13-refused/C0", "06b-psyc-tls12/G0"}, tls: tls.VersionTLS13, direct: true, certificate: true, want: "PSYC TLS 1.2"},
	{conversations: []string{"06a-psyc-tls13-refused/D0", "06b-psyc-tls12/G0"}, tls: tls.VersionTLS13, direct: true, want: "PSYC TLS 1.2"},
	{conversations: []string{"06a-psyc-tls13-refused/E0"}, psyced: true, want: "no complaint"},
	{conversations: []string{"06a-psyc-tls13-refused/F0"}, psyced: true, want: "PSYC"},
	{conversations: []string{"06a-psyc-tls13-refused/G0", "06b-psyc-tls12/G0"}, tls: tls.VersionTLS13, direct: true, certificate: true, want: "PSYC TLS 1.2"},
	{conversations: []string{"06b-psyc-tls12/A0"}, psyced: true, tls: tls.VersionTLS12, direct: true, first: true, want: "_error_invalid_host_certificate"},
	{conversations: []string{"06b-psyc-tls12/B0"}, psyced: true, tls: tls.VersionTLS12, direct: true, first: true, want: "_error_invalid_host_certificate"},
	{conversations: []string{"06b-psyc-tls12/D0"}, psyced: true, tls: tls.VersionTLS12, direct: true, first: true, want: "_error_invalid_host_certificate"},
	{conversations: []string{"06b-psyc-tls12/E0"}, psyced: true, want: "no complaint"},
	{conversations: []string{"06b-psyc-tls12/F0"}, psyced: true, want: "PSYC"},
	{conversations: []string{"06b-psyc-tls12/G0"}, tls: tls.VersionTLS12, direct: true, certificate: true, want: "PSYC TLS 1.2"},
	{conversations: []string{"06c-psyc-inband-encrypt/10"}, psyced: true, want: "PSYC"},
	{conversations: []string{"06c-psyc-inband-encrypt/20"}, psyced: true, want: "PSYC"},
	{conversations: []string{"06c-psyc-inband-encrypt/30"}, psyced: true, want: "PSYC"},
	{conversations: []string{"07-xmpp-s2s-switch/G0"}, remote: "foreign.test", speaks: psycswitch.XMPP, want: "host-unknown"},
	{conversations: []string{"07-xmpp-s2s-switch/K0"}, speaks: psycswitch.XMPP, psyced: true, tls: tls.VersionTLS12, first: true, want: "_error_invalid_host_certificate"},
	{conversations: []string{"hello/refused0"}, local: "peer.example", remote: "psyced.example", speaks: psycswitch.XMPP, psyced: true, tls: tls.VersionTLS12, first: true, want: "_error_invalid_host_certificate"},
	{conversations: []string{"15-dns-lookups/main0"}, local: "nx3.test", psyced: true, first: true, want: "_error_invalid_host"},
	{conversations: []string{"15-dns-lookups/main1"}, local: "srv.test", psyced: true, first: true, want: "_error_invalid_host"},
}

// TestReplayUses: the rows are what the table of all recordings says.
func TestReplayUses(t *testing.T) {
	rows := make(map[string]map[string]bool)
	note := func(test, name string) {
		if rows[test] == nil {
			rows[test] = make(map[string]bool)
		}
		if name[0] <= '9' {
			rows[test][name] = true
		}
	}
	for _, row := range dials {
		for _, name := range row.conversations {
			note(replay.Dials, name)
		}
	}
	for _, row := range talks {
		for _, id := range row.with {
			note(replay.Talks, row.recording+"/"+id)
		}
	}
	for _, test := range []string{replay.Talks, replay.Dials} {
		for _, name := range replay.UsedBy(test) {
			if !rows[test][name] {
				t.Errorf("%s has no row for %s", test, name)
			}
			delete(rows[test], name)
		}
		for name := range rows[test] {
			t.Errorf("%s is not known to use %s", test, name)
		}
	}
}

// TestReplayDials has Dial meet what the recorded peer met when it dialled.
func TestReplayDials(t *testing.T) {
	for _, row := range dials {
		t.Run(strings.Join(row.conversations, "+"), func(t *testing.T) {
			var cs []*replay.Conversation
			for _, id := range row.conversations {
				cs = append(cs, replay.Find(t, id))
			}
			synctest.Test(t, func(t *testing.T) {
				if got := row.dial(t, cs); got != row.want {
					t.Errorf("got %s, want %s", got, row.want)
				}
			})
		})
	}
}

// dial dials while psyced plays the conversations, and returns how that went.
func (r dialled) dial(t *testing.T, cs []*replay.Conversation) string {
	local, remote, addr := cmp.Or(r.local, "peer.test"), cmp.Or(r.remote, "psyced.test"), psycedAddr+":4404"
	w := newTown(t)
	cfg := psycswitch.Config{
		Hosts:    plain(local),
		Resolver: &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{remote: {{Protocol: cmp.Or(r.speaks, psycswitch.PSYC), Addr: addr, DirectTLS: r.direct}}}},
		Dialer:   w.net.from("10.0.0.1"),
		Psyced:   func(string) bool { return r.psyced },
		Insecure: psycswitch.Plaintext,
	}
	peer := &replay.Peer{Patience: time.Hour, Deviations: replay.Deviations}
	if r.tls != 0 {
		ca := w.tls()
		cfg.Roots, cfg.Insecure = ca.pool, 0
		if r.certificate {
			cfg.Hosts = with(ca.issue(local), local)
		}
		peer.TLS = psycedTLS(ca.issue(remote))
		peer.TLS.MaxVersion, peer.TLS.VerifyConnection = r.tls, nil // what it says about TLS 1.3 is in the recordings
	}
	if r.first {
		peer.Deviations = append([]replay.Deviation{replay.FirstPacket}, peer.Deviations...)
	}
	ln := w.net.listen(addr)
	played := make(chan error, len(cs))
	go func() {
		for i, c := range cs {
			p := *peer
			if i > 0 && p.TLS != nil {
				p.TLS = p.TLS.Clone()
				p.TLS.MaxVersion = tls.VersionTLS12
			}
			played <- p.PlayAll(func(*replay.Conversation) (net.Conn, error) { return ln.Accept() }, c)
		}
	}()
	link, err := psycswitch.Dial(t.Context(), &cfg, local, remote)
	got := complaint(err)
	if err == nil {
		got = link.Info().Protocol.String()
		if secure := link.Info().TLS; secure != nil {
			got += " " + tls.VersionName(secure.Version)
		}
		ended := make(chan error, 1)
		go func() {
			for _, err := range link.Stanzas(context.Background()) {
				if err != nil {
					ended <- err
				}
			}
			ended <- nil
		}()
		time.Sleep(time.Second) // for what psyced still has to say
		link.Close()
		if err := <-ended; err != nil {
			got += ", then " + complaint(err)
		}
	}
	ln.Close()
	for range cs {
		if err := <-played; err != nil {
			t.Error(err)
		}
	}
	return got
}

// complaint is what the peer has said of us, if an error has that in it.
func complaint(err error) string {
	var packet *psyc.Error
	var stream *xmpp.StreamError
	switch {
	case errors.As(err, &packet):
		return packet.Method
	case errors.As(err, &stream):
		return string(stream.Condition)
	}
	return "no complaint"
}
