package psycswitch_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// The hints of a domain that speaks PSYC and, for those who do not, XMPP.
func ExampleDNS() {
	names := dnstest.New(
		"_psyc._tcp.capulet.example.        300 IN SRV 0 0 4404 gw.capulet.example.",
		"_xmpp-server._tcp.capulet.example. 300 IN SRV 5 0 5269 gw.capulet.example.",
		"_xmpp-server._tcp.capulet.example. 300 IN SRV 9 0 5269 192.0.2.9.",
		"gw.capulet.example.                300 IN A    192.0.2.1",
		"gw.capulet.example.                300 IN AAAA 2001:db8::1",
	)
	// Leave both fields out to ask the system's name servers.
	resolver := &psycswitch.DNS{Servers: []string{"192.0.2.53"}, Dial: names.Dial}
	for hint, err := range resolver.Hints(context.Background(), "capulet.example") {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(hint)
	}
	// Output:
	// PSYC [2001:db8::1]:4404 (gw.capulet.example)
	// PSYC 192.0.2.1:4404 (gw.capulet.example)
	// XMPP [2001:db8::1]:5269 (gw.capulet.example)
	// XMPP 192.0.2.1:5269 (gw.capulet.example)
	// XMPP 192.0.2.9:5269
}

// One domain is reached another way than DNS says; the rest is left to DNS.
func ExampleStaticResolver() {
	resolver := &psycswitch.StaticResolver{
		Domains: map[string][]psycswitch.Hint{
			"local.example": {{Protocol: psycswitch.XMPP, Addr: "127.0.0.1:5269"}},
		},
		Next: new(psycswitch.DNS),
	}
	for hint := range resolver.Hints(context.Background(), "local.example") {
		fmt.Println(hint)
	}
	// Output:
	// XMPP 127.0.0.1:5269 (local.example)
}

// A handshake fails, and the next address gets its chance.
func ExampleConnector() {
	resolver := &psycswitch.StaticResolver{Domains: map[string][]psycswitch.Hint{
		"capulet.example": {
			{Protocol: psycswitch.PSYC, Addr: "192.0.2.1:4404"},
			{Protocol: psycswitch.PSYC, Addr: "192.0.2.2:4404"},
			{Protocol: psycswitch.XMPP, Addr: "192.0.2.1:5269"},
		},
	}}
	connector := &psycswitch.Connector{Dialer: pretend{}} // leave Dialer out to dial
	hints := resolver.Hints(context.Background(), "capulet.example")
	for conn, err := range connector.Connections(context.Background(), hints) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		if conn.Hint.Protocol == psycswitch.PSYC {
			fmt.Println("connected, but no PSYC there:", conn.Hint.Addr)
			conn.Close()
			continue
		}
		fmt.Println("speaking", conn.Hint.Protocol, "with", conn.Hint.Addr)
		conn.Close()
		break
	}
	// Output:
	// psycswitch: dial PSYC 192.0.2.1:4404 (capulet.example): connection refused
	// connected, but no PSYC there: 192.0.2.2:4404
	// speaking XMPP with 192.0.2.1:5269
}

type pretend struct{}

func (pretend) DialContext(_ context.Context, _, addr string) (net.Conn, error) {
	if addr == "192.0.2.1:4404" {
		return nil, errors.New("connection refused")
	}
	conn, _ := net.Pipe()
	return conn, nil
}
