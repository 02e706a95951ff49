package uniform

import (
	"bufio"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
)

// stricter are the uniforms that libpsyc takes and we refuse.
var stricter = map[string]string{
	"uniform-port-minus-only": "a lone minus is no port",
	"uniform-port-huge":       "a port has 16 bits",
	"uniform-gnunet":          "a GNUnet peer is found by its key, not by a host",
	"uniform-channel-empty":   "an empty channel cannot be told from none",
	"uniform-host-dash":       "no DNS label begins with a hyphen",
	"uniform-host-dot":        "no host at all",
}

// wider are the uniforms that we take and libpsyc refuses.
var wider = map[string]string{
	"uniform-transport-no-port": "psyced writes them; the default port is added",
	"uniform-colon-slash":       "an empty port is the default, as it is before the end",
	"uniform-host-user":         "psyced takes it for a person; kept apart, without JID",
	"uniform-host-ipv6":         "PSYC runs over IPv6",
	"uniform-host-utf8":         "IDNA; the canonical spelling has A-labels",
	"uniform-scheme-psycs":      "another scheme, opaque",
	"uniform-scheme-xmpp":       "xmpp",
	"uniform-scheme-irc":        "another scheme, opaque",
	"uniform-scheme-sip":        "another scheme, opaque",
}

// TestLibpsyc compares with what libpsyc's psyc_uniform_parse made of the same input.
func TestLibpsyc(t *testing.T) {
	file, err := os.Open("testdata/libpsyc.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var v struct{ Name, Input, Code, Host, Port, Transport, Resource, Channel string }
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		u, err := Parse(v.Input)
		ok := v.Code == "PSYC"
		if stricter[v.Name] != "" || wider[v.Name] != "" {
			seen++
			if ok != (stricter[v.Name] != "") || (err == nil) == ok {
				t.Errorf("%s: %q is no deviation any more: %q, %v; libpsyc says %s", v.Name, v.Input, u, err, v.Code)
			}
			continue
		}
		if (err == nil) != ok {
			t.Errorf("%s: %q: %v; libpsyc says %s", v.Name, v.Input, err, v.Code)
			continue
		}
		if err != nil {
			continue
		}
		checkUniform(t, u)
		sigil, name := u.Object()
		if sigil != 0 {
			name = string(sigil) + name
		}
		port, _ := strconv.Atoi(v.Port)
		if port == 4404 && v.Transport != "s" || port == 9404 && v.Transport == "s" {
			port = 0
		}
		transport := ""
		if u.Transport() != 0 {
			transport = string(u.Transport())
		}
		if u.Host() != strings.ToLower(v.Host) || u.Port() != port || transport != v.Transport ||
			name != strings.ToLower(v.Resource) || u.Channel() != v.Channel {
			t.Errorf("%s: %q is %q; libpsyc says %+v", v.Name, v.Input, u, v)
		}
	}
	if seen != len(stricter)+len(wider) {
		t.Errorf("%d deviations stated, %d seen", len(stricter)+len(wider), seen)
	}
}
