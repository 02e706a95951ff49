package main

import (
	"fmt"
	"sort"
)

// A protocol is a way to carry the traffic.
type protocol int

const (
	plainXMPP  protocol = iota // XMPP S2S
	zlibStanza                 // with XEP-0138, flushed after each stanza
	zlibWrite                  // with XEP-0138, flushed after all that is sent at a moment
	unicast                    // PSYC, a packet for each stanza
	fanOut                     // PSYC with fan-out
	protocols  = int(fanOut) + 1
)

func (p protocol) String() string {
	return [...]string{"XMPP", "zlib/stanza", "zlib/write", "PSYC", "fan-out"}[p]
}

// Stream compression as measured towards ejabberd 23.01: bytes of one change of presence to so many contacts on one server, plain,
// with a flush after each stanza and with one flush for all. The dictionary was warm, which is the best case. What was measured for one contact
// right after the same stanza, 11 bytes, is left out: a single stanza costs the same in both modes.
var compression = []struct{ copies, plain, stanza, write float64 }{
	{1, 126, 38, 38},
	{10, 1270, 120, 55},
	{100, 12800, 1201, 326},
	{1000, 129000, 12087, 2991},
}

// compressed returns how many bytes compression makes of so many copies of a stanza, which are plain bytes without it: the measured
// share, between two measurements a mixture.
func compressed(copies, plain int) (stanza, write int) {
	n := float64(copies)
	i := sort.Search(len(compression), func(i int) bool { return compression[i].copies >= n })
	i = min(max(i, 1), len(compression)-1)
	a, b := compression[i-1], compression[i]
	part := min((n-a.copies)/(b.copies-a.copies), 1)
	mix := func(x, y float64) float64 { return x + part*(y-x) }
	each := float64(plain) / mix(a.plain, b.plain)
	return int(each*mix(a.stanza, b.stanza) + 0.5), int(each*mix(a.write, b.write) + 0.5)
}

// A framing says which layers below stanzas and packets count.
type framing int

const (
	frameNone framing = iota
	frameTLS
	frameTCP
)

var framings = []string{"none", "tls", "tcp"}

func (f framing) MarshalText() ([]byte, error) { return []byte(framings[f]), nil }

func (f *framing) UnmarshalText(text []byte) error {
	for i, name := range framings {
		if name == string(text) {
			*f = framing(i)
			return nil
		}
	}
	return fmt.Errorf("%q is neither none, tls nor tcp", text)
}

const (
	recordBytes  = 8192 // that Prosody puts into a TLS record
	recordExtra  = 22   // header, content type and tag of a record of TLS 1.3, AES-GCM
	segmentBytes = 1448 // that a TCP segment holds on Ethernet, with time stamps
	segmentExtra = 52   // headers of IPv4 and TCP, with time stamps
)

// wire returns how many bytes a write of so many becomes.
func (f framing) wire(n int) int {
	if n == 0 {
		return 0
	}
	if f >= frameTLS {
		n += (n + recordBytes - 1) / recordBytes * recordExtra
	}
	if f >= frameTCP {
		n += (n + segmentBytes - 1) / segmentBytes * segmentExtra
	}
	return n
}
