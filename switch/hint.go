package psycswitch

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// Default ports, used where neither a hint nor an SRV record names one.
const (
	PortPSYC    = 4404 // PSYC over plain TCP
	PortPSYCTLS = 9404 // PSYC inside TLS
	PortXMPP    = 5269 // XMPP between servers (RFC 6120 section 14.7)
)

// A Protocol is what a link speaks; 0 means any.
type Protocol uint8

// Protocols.
const (
	XMPP Protocol = iota + 1
	PSYC
)

// String returns "XMPP", "PSYC" or, for anything else, the number.
func (p Protocol) String() string {
	switch p {
	case XMPP:
		return "XMPP"
	case PSYC:
		return "PSYC"
	}
	return "Protocol(" + strconv.Itoa(int(p)) + ")"
}

// A Hint is one way to reach a domain: a protocol at an address. It is a hint and no more:
// who answers there has still to prove that it is the domain.
type Hint struct {
	Protocol Protocol

	// DirectTLS says that TLS starts with the first byte (XEP-0368, SRV _psyc._tls).
	DirectTLS bool

	// Target is the host that the SRV record named, or the domain itself where there was none, without a
	// trailing dot. Certificates are checked against the domain, never against Target.
	Target string

	// Addr is what to dial, host:port. [DNS] gives IP addresses only; a host name, which a
	// [StaticResolver] may give, is left to the dialer.
	Addr string

	// Until is when the records behind the hint expire; zero means never.
	Until time.Time

	// Authenticated says that the name server vouched with DNSSEC for every record behind the hint and that
	// the way to that name server is trusted; see DNS.TrustAD.
	Authenticated bool
}

// String returns the hint as a log line shows it: "PSYC+TLS 192.0.2.1:9404 (host.example)".
func (h Hint) String() string {
	s := h.Protocol.String()
	if h.DirectTLS {
		s += "+TLS"
	}
	s += " " + h.Addr
	if host, _, err := net.SplitHostPort(h.Addr); h.Target != "" && (err != nil || host != h.Target) {
		s += fmt.Sprintf(" (%s)", h.Target)
	}
	return s
}
