package psycswitch_test

import (
	"os/exec"
	"strings"
	"testing"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// greetByOpenSSL greets in the 1.0 syntax by TLS 1.2, with or without the extended master secret, and writes what comes back. crypto/tls cannot do
// without it.
const greetByOpenSSL = `
import socket, ssl, sys
addr, extended, greeting = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.maximum_version = ssl.TLSVersion.TLSv1_2
if extended == "false":
    context.options |= 1 # SSL_OP_NO_EXTENDED_MASTER_SECRET
host, port = addr.rsplit(":", 1)
conn = context.wrap_socket(socket.create_connection((host, int(port))), server_hostname="north.example")
conn.settimeout(60)
conn.sendall(greeting.encode())
got = b""
while b"_status_circuit\n" not in got:
    more = conn.recv(4096)
    if not more:
        break
    got += more
sys.stdout.buffer.write(got)
`

// Without the extended master secret two connections of TLS 1.2 can export the same value: then no hosts are proved on the circuit.
func TestHostProofsInTLS12(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("OpenSSL is driven by Python: ", err)
	}
	if version, err := exec.Command(python, "-c", "import ssl; print(ssl.OPENSSL_VERSION)").Output(); err != nil || !strings.HasPrefix(string(version), "OpenSSL 3") {
		t.Skipf("it takes OpenSSL 3: %s, %v", version, err)
	}
	ca := newAuthority(t)
	f := newFortress(t, func(r *psycswitch.Router) {
		r.Insecure, r.Roots = 0, ca.pool
		r.Hosts = with(ca.issue("north.example"), "north.example")
	})
	for extended, want := range map[string]bool{"true": true, "false": false} {
		got, err := exec.Command(python, "-c", greetByOpenSSL, f.addr, extended, greeting).Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), "_understand_modules") || strings.Contains(string(got), "_switchyard_hosts") != want {
			t.Errorf("extended master secret: %s; greeting %q", extended, got)
		}
	}
}
