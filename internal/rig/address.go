package rig

import (
	"net"
	"strconv"
)

// loopback is where everything listens unless the caller says otherwise.
const loopback = "127.0.0.1"

// FreeAddr returns "127.0.0.1:PORT" with a port that is free for TCP and was free for UDP, and holds it until the test ends: the
// kernel hands the port to nobody who asks for any port, while a program that asks for this one may listen there, as often as it
// likes. That works for listeners that set SO_REUSEADDR, as Go, Prosody and ejabberd do, and on Linux; elsewhere, and for
// UDP, the port is free when FreeAddr returns and merely unlikely to be taken since.
func FreeAddr(t TB) string {
	t.Helper()
	return freeAddr(t, loopback)
}

func freeAddr(t TB, ip string) string {
	t.Helper()
	const attempts = 20 // a port that UDP has taken is passed over
	for range attempts {
		port, release, err := reserve(ip)
		if err != nil {
			t.Fatalf("reserving a port on %s: %v", ip, err)
		}
		addr := net.JoinHostPort(ip, strconv.Itoa(port))
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			release()
			continue
		}
		udp.Close()
		t.Cleanup(release)
		return addr
	}
	t.Fatalf("no port on %s is free for TCP and UDP", ip)
	return ""
}
