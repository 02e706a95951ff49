package main

import (
	"fmt"
	"net"
	"slices"
)

// offeredProtocols is what the greeting of a PSYC circuit says about where else we can be reached (_available_protocols), so that a peer that
// cannot get on with us in PSYC finds XMPP, and the reverse: PSYC in both syntaxes, and XMPP between servers, each at its ports.
func offeredProtocols(psyc, xmpp []net.Listener) []string {
	var offers []string
	offer := func(format string, args ...any) {
		if o := fmt.Sprintf(format, args...); !slices.Contains(offers, o) {
			offers = append(offers, o)
		}
	}
	for _, syntax := range []string{"1.0", "0.9"} {
		for _, ln := range psyc {
			at := addrPort(ln.Addr())
			if ip := at.Addr(); ip.Is4() || ip.IsUnspecified() { // an unspecified address of IPv6 takes IPv4 as well
				offer("PSYC/%s:%d TCP IP/4", syntax, at.Port())
			}
			if at.Addr().Is6() {
				offer("PSYC/%s:%d TCP IP/6", syntax, at.Port())
			}
		}
	}
	for _, ln := range xmpp {
		offer("XMPP-S2S/1:%d", addrPort(ln.Addr()).Port())
	}
	return offers
}
