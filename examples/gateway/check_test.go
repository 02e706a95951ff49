package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	// A file that is right, line by line; every case changes or adds some.
	right := map[int]string{
		1: `[world]`, 2: `plaintext = true`, 3: `[dns]`, 4: `servers = ["192.0.2.53"]`,
		5: `[[server]]`, 6: `name = "p"`, 7: `s2s = "127.0.0.2:15269"`, 8: `domains = ["a.example"]`,
	}
	noCert := `8:12: warning: no certificate is for "a.example": it is reached without TLS alone`
	tests := []struct {
		name  string
		lines map[int]string
		want  []string // without the file's name
	}{
		{"right", nil, []string{noCert}},
		{"a syntax error", map[int]string{2: `plaintext = yes`}, []string{`2:13: error: *`}},
		{"a wrong type", map[int]string{2: `plaintext = "yes"`}, []string{`2:13: error: world.plaintext: *string*`}},
		{"unknown keys, all of them", map[int]string{2: `plain = true`, 6: `nam = "p"`, 9: `[queues]`}, []string{
			`2:1: error: unknown key "world.plain"`, `6:1: error: unknown key "server.nam"`, `9:2: error: unknown key "queues"`,
		}},
		{"the same key twice", map[int]string{9: `name = "q"`}, []string{`9:1: error: *`}},
		{"no address", map[int]string{7: `s2s = "localhost:5269"`}, []string{
			`7:7: error: server.s2s: "localhost:5269" is not an address; it takes IP:port, such as 127.0.0.1:5269 or [::1]:5269`,
		}},
		{"port 0", map[int]string{7: `s2s = "127.0.0.2:0"`}, []string{`7:7: error: server.s2s: "127.0.0.2:0": port 0`}},
		{"no duration", map[int]string{9: `[timeout]`, 10: `idle = "15"`}, []string{
			`10:8: error: timeout.idle: "15" is not a duration above 0; it takes a number and a unit, such as 300ms, 30s, 5m or 1h`,
		}},
		{"a negative duration", map[int]string{9: `[timeout]`, 10: `idle = "-15s"`}, []string{`10:8: error: timeout.idle: *`}},
		{"no name server", map[int]string{4: `servers = ["192.0.2.53", "ns.example"]`}, []string{
			`4:26: error: dns.servers: "ns.example" is not a name server; it takes IP or IP:port`,
		}},
		{"no level", map[int]string{9: `[log]`, 10: `level = "loud"`}, []string{`10:9: error: log.level: *loud*`}},
		{"no format", map[int]string{9: `[log]`, 10: `format = "xml"`}, []string{noCert, `10:10: error: "xml" is neither text nor json`}},
		{"no servers", map[int]string{5: ``, 6: ``, 7: ``, 8: ``}, []string{`1:1: error: no [[server]]: there is nothing to be a gateway for`}},
		{"no S2S address, no domains", map[int]string{7: ``, 8: ``}, []string{
			`5:3: error: server "p" needs s2s, the address of its S2S port`, `5:3: error: server "p" has no domains`,
		}},
		{"S2S in public", map[int]string{7: `s2s = "192.0.2.1:15269"`}, []string{
			`7:7: error: 192.0.2.1:15269 is neither loopback nor private: whoever reaches the S2S port of a server that trusts the gateway can be anybody`, noCert,
		}},
		{"S2S everywhere", map[int]string{7: `s2s = "0.0.0.0:15269"`}, []string{`7:7: error: 0.0.0.0:15269 is no address that one can connect to`, noCert}},
		{"domains", map[int]string{8: `domains = ["a.example", "A.Example.", "a b", "127.0.0.1", "[::1]", "", "bücher.example"]`}, []string{
			noCert,
			`8:25: error: domain "a.example" is server "p"'s already`,
			`8:39: error: "a b" is not a domain: domain refused by IDNA: disallowed rune U+0020`,
			`8:46: error: "127.0.0.1" is an address, not a domain`,
			`8:59: error: "[::1]" is an address, not a domain`,
			`8:68: error: "" is not a domain: empty domain`,
			`8:72: warning: no certificate is for "bücher.example": it is reached without TLS alone`,
		}},
		{"plaintext off", map[int]string{2: ``}, []string{`8:12: error: no certificate is for "a.example", and world.plaintext is off: nobody could reach it`}},
		{"two servers in each other's way", map[int]string{9: `[[server]]`, 10: `name = "p"`, 11: `s2s = "127.0.0.2:15269"`, 12: `domains = ["a.example"]`}, []string{
			noCert,
			`10:8: error: a second server "p"`, `11:7: error: 127.0.0.2:15269 is the address of server "p" already`,
			`12:12: error: domain "a.example" is server "p"'s already`,
		}},
		{"the world's listener where the server is", map[int]string{7: `s2s = "127.0.0.2:5269"`}, []string{`7:7: error: 127.0.0.2:5269 is taken by world.listen, [::]:5269`, noCert}},
		{"nowhere to listen", map[int]string{2: `listen = []`, 9: `[psyc]`, 10: `listen = []`}, []string{
			`2:1: error: nowhere to listen for other servers`, `8:12: error: *plaintext is off*`,
		}},
		{"the same listener twice", map[int]string{9: `[psyc]`, 10: `listen = ["[::1]:4404", "[::]:4404", "192.0.2.1:5269"]`}, []string{
			noCert,
			`10:25: error: [::]:4404 is taken by psyc.listen, [::1]:4404`, `10:38: error: 192.0.2.1:5269 is taken by world.listen, [::]:5269`,
		}},
		{"listeners of what is off do not matter", map[int]string{9: `[psyc]`, 10: `enabled = false`, 11: `listen = ["[::]:5269"]`}, []string{noCert}},
		{"the local side in public", map[int]string{9: `[local]`, 10: `listen = "192.0.2.1:5270"`}, []string{
			noCert,
			`10:10: error: 192.0.2.1:5270 is neither loopback nor private: it is for our own servers alone`,
		}},
		{"the local side everywhere", map[int]string{9: `[local]`, 10: `listen = "0.0.0.0:5270"`}, []string{noCert, `10:10: error: 0.0.0.0:5270: it takes an IPv4 address *`}},
		{"the local side in IPv6", map[int]string{9: `[local]`, 10: `listen = "[::1]:5270"`}, []string{noCert, `10:10: error: [::1]:5270: it takes an IPv4 address *`}},
		{"a redirector", map[int]string{9: `redirector = "127.0.0.2:53"`}, []string{noCert, `9:14: note: server "p" must not validate DNSSEC*`}},
		{"a redirector in public", map[int]string{9: `redirector = "192.0.2.1:53"`}, []string{noCert, `9:14: error: 192.0.2.1:53 is neither loopback nor private*`, `9:14: note: *`}},
		{"a redirector that asks itself", map[int]string{4: `servers = ["192.0.2.53", "127.0.0.2"]`, 9: `redirector = "127.0.0.2:53"`}, []string{
			`4:26: error: name server 127.0.0.2:53 is the redirector of server "p": it would ask itself`, noCert, `9:14: note: *`,
		}},
		{"a name server twice", map[int]string{4: `servers = ["192.0.2.53", "192.0.2.53:53"]`}, []string{`4:26: error: 192.0.2.53:53 is listed twice`, noCert}},
		{"routes", map[int]string{
			9: `[[route]]`, 10: `domain = "x.example"`,
			11: `[[route]]`, 12: `domain = "X.example"`, 13: `xmpp = ["x.example:5269", "x.example", "x.example:0", "a b:5269", "[::1]:99999"]`,
			14: `[[route]]`, 15: `domain = "a.example"`, 16: `psyc = ["192.0.2.1:4404"]`,
		}, []string{
			noCert,
			`9:3: error: a route needs addresses: psyc, xmpp or both`, `12:10: error: a second route to "x.example"`,
			`13:27: error: "x.example" is not host:port`, `13:40: error: "x.example:0" is not host:port`, `13:55: error: "a b:5269" is not host:port`, `13:67: error: "[::1]:99999" is not host:port`,
			`15:10: error: "a.example" is server "p"'s: routes are for foreign domains`,
		}},
		{"a PSYC route without PSYC", map[int]string{9: `[psyc]`, 10: `enabled = false`, 11: `[[route]]`, 12: `domain = "x.example"`, 13: `psyc = ["192.0.2.1:4404"]`}, []string{
			noCert,
			`13:1: warning: psyc.enabled is off: these addresses are not used`,
		}},
		{"limits", map[int]string{9: `[queue]`, 10: `stanzas = 0`, 11: `bytes = -1`}, []string{
			noCert,
			`10:11: error: 0 is not above 0`, `11:9: error: -1 is not above 0`,
		}},
		{"a certificate without key", map[int]string{9: `[[certificate]]`, 10: `chain = "x"`}, []string{`9:3: error: certificate without key`}},
		{"in-line tables and dotted keys", map[int]string{1: `world.plaintext = true`, 2: ``, 5: `server = [{name = "p", s2s = "192.0.2.1:15269", domains = ["a.example"]}]`, 6: ``, 7: ``, 8: ``, 3: ``, 4: `dns.servers = ["192.0.2.53"]`}, []string{
			`5:30: error: 192.0.2.1:15269 is neither*`, `5:60: warning: *`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var text strings.Builder
			for n := 1; n <= 20; n++ {
				line, ok := tt.lines[n]
				if !ok {
					line = right[n]
				}
				fmt.Fprintln(&text, line)
			}
			file := writeFile(t, t.TempDir(), "gateway.toml", text.String())
			_, problems := LoadConfig(file)
			got := make([]string, len(problems))
			for i, p := range problems {
				got[i] = strings.TrimPrefix(p.String(), file+":")
			}
			if !slices.EqualFunc(got, tt.want, matches) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// matches compares with a pattern in which * stands for anything.
func matches(s, pattern string) bool {
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(s, parts[0]) || !strings.HasSuffix(s, parts[len(parts)-1]) {
		return false
	}
	for _, p := range parts {
		_, rest, ok := strings.Cut(s, p)
		if !ok {
			return false
		}
		s = rest
	}
	return true
}

func TestCheckCertificates(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	day := 24 * time.Hour
	writeCertificate(t, dir, "good", now.Add(-day), now.Add(90*day), "a.example", "xn--bcher-kva.example")
	writeCertificate(t, dir, "wild", now.Add(-day), now.Add(90*day), "*.a.example")
	writeCertificate(t, dir, "soon", now.Add(-day), now.Add(3*day), "a.example")
	writeCertificate(t, dir, "old", now.Add(-9*day), now.Add(-day), "a.example")
	writeCertificate(t, dir, "future", now.Add(day), now.Add(9*day), "a.example")
	writeCertificate(t, dir, "other", now.Add(-day), now.Add(90*day), "b.example", "c.example")
	writeFile(t, dir, "garbage.crt", "no PEM at all")
	date := func(d time.Duration) string { return now.Add(d).UTC().Format(time.DateOnly) }
	tests := []struct {
		name       string
		chain, key string
		domains    string
		want       []string
	}{
		{"good", "good", "good", `"a.example", "Bücher.example"`, nil},
		{"wildcard for one label", "wild", "wild", `"a.example", "rooms.a.example", "x.y.a.example"`, []string{
			`4:12: error: no certificate is for "a.example"*`, `4:44: error: no certificate is for "x.y.a.example"*`,
		}},
		{"about to expire", "soon", "soon", `"a.example"`, []string{"8:9: warning: the certificate expires on " + date(3*day)}},
		{"expired", "old", "old", `"a.example"`, []string{"8:9: error: the certificate has expired on " + date(-day)}},
		{"not yet", "future", "future", `"a.example"`, []string{"8:9: error: the certificate is not valid before " + date(day)}},
		{"for others", "other", "other", `"a.example"`, []string{
			`4:12: error: no certificate is for "a.example"*`, "8:9: warning: the certificate, for b.example, c.example, is for none of our domains",
		}},
		{"not there", "none", "good", `"a.example"`, []string{"8:9: error: open *none.crt*"}},
		{"no key", "good", "none", `"a.example"`, []string{"9:7: error: open *none.key*"}},
		{"not PEM", "garbage", "good", `"a.example"`, []string{"8:9: error: *PEM*"}},
		{"somebody else's key", "good", "other", `"a.example"`, []string{"8:9: error: *private key does not match public key*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := writeFile(t, dir, "gateway.toml", fmt.Sprintf(`[[server]]
name = "p"
s2s = "127.0.0.2:15269"
domains = [%s]
[dns]
servers = ["192.0.2.53"]
[[certificate]]
chain = "%s.crt"
key = "%s.key"
`, tt.domains, tt.chain, tt.key))
			_, problems := LoadConfig(file)
			var got []string
			for _, p := range problems {
				got = append(got, strings.TrimPrefix(p.String(), file+":"))
			}
			if !slices.EqualFunc(got, tt.want, matches) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestCheckKeyForEverybody(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode here")
	}
	dir := t.TempDir()
	writeCertificate(t, dir, "good", time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour), "capulet.example", "xn--bcher-kva.example")
	if err := os.Chmod(filepath.Join(dir, "good.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, problems := LoadConfig(writeFile(t, dir, "gateway.toml", minimal+"[[certificate]]\nchain = \"good.crt\"\nkey = \"good.key\"\n"))
	if !slices.ContainsFunc(problems, func(p Problem) bool {
		return p.Severity == Warning && p.Text == "the key can be read or written by everybody on this machine (mode 0644)"
	}) {
		t.Error(problems)
	}
}

// The system's name servers stand in for an empty list, and must not be the redirector either.
func TestCheckSystemNameServers(t *testing.T) {
	text := []byte("[[server]]\ns2s = \"127.0.0.2:15269\"\ndomains = [\"a.example\"]\nredirector = \"127.0.0.53:53\"\n")
	tests := []struct {
		servers []netip.AddrPort
		err     error
		want    string
	}{
		{servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}},
		{
			servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:53")},
			want:    `1:1: error: name server 127.0.0.53:53 in /etc/resolv.conf is the redirector of server "server 1": it would ask itself`,
		},
		{err: os.ErrNotExist, want: "1:1: error: the system's name servers are not known (file does not exist): servers must list them"},
	}
	for _, tt := range tests {
		cfg := DefaultConfig()
		cfg.Servers = []Server{{S2S: mustAddress("127.0.0.2:15269"), Domains: []string{"a.example"}, Redirector: mustAddress("127.0.0.53:53")}}
		c := newChecker("f", text, cfg)
		c.systemServers = func() ([]netip.AddrPort, error) { return tt.servers, tt.err }
		c.servers()
		c.nameServers()
		var got []string
		for _, p := range c.sorted() {
			if p.Severity == Error {
				got = append(got, strings.TrimPrefix(p.String(), "f:"))
			}
		}
		if strings.Join(got, "\n") != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if tt.want == "" && (len(cfg.DNS.Servers) != 1 || cfg.DNS.Servers[0].String() != "192.0.2.53:53") {
			t.Errorf("name servers %v", cfg.DNS.Servers)
		}
	}
}

func TestCheckBadFiles(t *testing.T) {
	dir := t.TempDir()
	big := writeFile(t, dir, "big.toml", strings.Repeat("# long\n", maxConfigSize/7+1))
	tests := []struct{ file, want string }{
		{filepath.Join(dir, "none.toml"), "error: no such file or directory"},
		{big, "error: more than 1048576 bytes"},
		{writeFile(t, dir, "binary.toml", "\x00\xff"), "1:1: error: *"},
	}
	for _, tt := range tests {
		if runtime.GOOS == "windows" && strings.Contains(tt.want, "directory") {
			continue
		}
		cfg, problems := LoadConfig(tt.file)
		if cfg != nil || len(problems) != 1 || !matches(strings.TrimLeft(strings.TrimPrefix(problems[0].String(), tt.file+":"), " "), tt.want) {
			t.Errorf("%v, want %s", problems, tt.want)
		}
	}
}

// What -check prints, and its exit status.
func TestRunCheck(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	there := strings.ReplaceAll(minimal, `s2s = "127.0.0.2:15269"`, fmt.Sprintf("s2s = %q", ln.Addr()))
	there = strings.ReplaceAll(there, "plaintext = true", "plaintext = true\nlisten = [\"192.0.2.1:5269\"]")
	good := writeFile(t, dir, "good.toml", there)
	bad := writeFile(t, dir, "bad.toml", strings.ReplaceAll(there, "127.0.0.1", "192.0.2.1"))

	var out bytes.Buffer
	if status := runCheck(t.Context(), &out, good, true); status != 0 || !strings.HasSuffix(out.String(), good+": ok; domains: 2, servers: 1\n") {
		t.Errorf("status %d, output\n%s", status, &out)
	}
	out.Reset()
	if status := runCheck(t.Context(), &out, bad, true); status != 1 || !strings.Contains(out.String(), bad+":7:7: error: ") || strings.Contains(out.String(), "ok") {
		t.Errorf("status %d, output\n%s", status, &out)
	}
	ln.Close()
	out.Reset()
	if status := runCheck(t.Context(), &out, good, true); status != 0 || !strings.Contains(out.String(), `:7:7: warning: server "p" does not answer: `) {
		t.Errorf("status %d, output\n%s", status, &out)
	}
}

// A server that listens everywhere is found out.
func TestProbeExposedServer(t *testing.T) {
	if len(ownAddresses()) == 0 {
		t.Skip("this machine has no address but loopback")
	}
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	cfg := &Config{Servers: []Server{{Name: "p", S2S: mustAddress(fmt.Sprintf("127.0.0.1:%d", port))}}}
	problems := probe(t.Context(), "f", cfg)
	if !problems.Failed() || !strings.Contains(problems[0].Text, `the S2S port of server "p" can be reached at `) {
		t.Error(problems)
	}
}
