package uniform

import (
	"strconv"
	"strings"
)

// Default ports of psyc, for transport 's' and for all others.
const (
	defaultPort    = 4404
	defaultPortTLS = 9404
)

// parsePSYC parses rest, which follows the first colon of s.
func parsePSYC(s, rest string) (Uniform, *fault) {
	body, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return Uniform{}, &fault{0, "psyc uniforms have // after the colon"}
	}
	before, path, hasSlash := strings.Cut(body, "/")
	a, f := parseAuthority(before)
	if f != nil {
		return Uniform{}, f.behind(len("//"))
	}
	e, f := parseEntity(path)
	if f != nil {
		return Uniform{}, f.behind(len("//") + len(before) + len("/"))
	}

	var buf [128]byte
	b := append(buf[:0], "psyc://"...)
	u := Uniform{scheme: uint16(len("psyc")), port: a.port, transport: a.transport}
	if a.user != "" {
		b = append(b, a.user...)
		u.user = uint16(len(b))
		b = append(b, '@')
	}
	b = append(b, ASCIIDomain(a.domain)...)
	hostEnd := len(b)
	b = appendPort(b, a.port, a.transport)
	u.slash = uint16(len(b))
	if hasSlash {
		b = append(b, '/')
		if e.sigil != 0 {
			b = append(b, e.sigil)
		}
		b = append(b, e.name...)
	}
	u.tail = uint16(len(b))
	if e.channel != "" {
		b = append(append(b, '#'), e.channel...)
	}
	if len(b) > maxInput {
		return Uniform{}, &fault{0, "address too long in A-labels"}
	}
	u.s = keep(s, b)
	u.host = hostOf(u.s[u.hostStart():hostEnd], a.domain)
	u.hasJID = hasSlash && e.node && e.channel == "" && a == authority{domain: a.domain}
	return u, nil
}

// An authority is what stands between // and the slash of a psyc uniform, canonical.
type authority struct {
	user      string
	domain    string
	port      int32 // 0 is the default
	transport byte
}

func parseAuthority(s string) (a authority, f *fault) {
	hostport, offset := s, 0
	if user, after, ok := strings.Cut(s, "@"); ok {
		if i := span(user, inName); i < len(user) || user == "" {
			return a, &fault{i, "character not allowed in a user"}
		}
		a.user = strings.ToLower(user)
		hostport, offset = after, len(user)+len("@")
	}
	host, port := hostport, ""
	bracket := strings.IndexByte(hostport, ']') + 1
	if colon := strings.IndexByte(hostport[bracket:], ':'); colon >= 0 {
		host, port = hostport[:bracket+colon], hostport[bracket+colon+1:]
	}
	if a.domain, f = prepDomain(host, true); f != nil {
		return a, f.behind(offset)
	}
	if a.port, a.transport, f = parsePort(port); f != nil {
		return a, f.behind(offset + len(host) + len(":"))
	}
	return a, nil
}

// An entity is what stands behind the slash of a psyc uniform, canonical.
type entity struct {
	sigil   byte
	name    string
	channel string
	node    bool // sigil and name are those of a localpart, or the root
}

func parseEntity(s string) (e entity, f *fault) {
	name, channel, hasChannel := strings.Cut(s, "#")
	if i := span(name, inTail); i < len(name) {
		return e, &fault{i, "character not allowed in a resource"}
	}
	if i := span(channel, inTail); i < len(channel) || hasChannel && channel == "" {
		return e, &fault{len(name) + len("#") + i, "empty channel or character not allowed in one"}
	}
	e.channel = strings.ToLower(channel)
	switch {
	case name == "":
		e.node = true
	case !isSigil(name[0]):
		e.name = strings.ToLower(name)
	case len(name) == 1:
		return e, &fault{1, "empty name"}
	default:
		e.sigil = name[0]
		e.name, e.node = canonicalName(name[0], name[1:])
	}
	return e, nil
}

// parsePort parses what follows the colon after the host. The default port is 0.
func parsePort(s string) (port int32, transport byte, f *fault) {
	digits := strings.TrimPrefix(s, "-")
	n := 0
	for n < len(digits) && '0' <= digits[n] && digits[n] <= '9' {
		n++
	}
	negative, digits, letter := len(digits) < len(s), digits[:n], digits[n:]
	switch letter {
	case "":
	case "c", "d", "s":
		transport = letter[0]
	default:
		return 0, 0, &fault{len(s) - len(letter), "unknown transport"}
	}
	if digits == "" {
		if negative {
			return 0, 0, &fault{0, "port is no number"}
		}
		return 0, transport, nil
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || number == 0 {
		return 0, 0, &fault{0, "port out of range"}
	}
	port = int32(number)
	switch {
	case negative:
		port = -port
	case port == defaultPortOf(transport):
		port = 0
	}
	return port, transport, nil
}

// appendPort spells a port. One with a transport is always written, since only then do all PSYC implementations read
// the letter.
func appendPort(b []byte, port int32, transport byte) []byte {
	if port == 0 && transport == 0 {
		return b
	}
	if port == 0 {
		port = defaultPortOf(transport)
	}
	b = strconv.AppendInt(append(b, ':'), int64(port), 10)
	if transport != 0 {
		b = append(b, transport)
	}
	return b
}

func defaultPortOf(transport byte) int32 {
	if transport == 's' {
		return defaultPortTLS
	}
	return defaultPort
}
