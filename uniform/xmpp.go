package uniform

import "strings"

// parseXMPP parses rest, which follows the first colon of s: a JID as it is, without the percent-encoding of RFC 5122,
// as PSYC has always written it. A '?' in what is then the domain begins a query.
func parseXMPP(s, rest string) (Uniform, *fault) {
	if strings.HasPrefix(rest, "//") {
		return Uniform{}, &fault{0, "xmpp uniforms have no // after the colon"}
	}
	address, query := rest, ""
	bare, _, _ := strings.Cut(rest, "/")
	domain := strings.IndexByte(bare, '@') + 1
	if i := strings.IndexByte(rest[domain:], '?'); i >= 0 && domain+i < len(bare) {
		address, query = rest[:domain+i], rest[domain+i+1:]
		if query == "" {
			return Uniform{}, &fault{len(rest), "empty query"}
		}
		if f := checkOpaque(query); f != nil {
			return Uniform{}, f.behind(domain + i + 1)
		}
	}
	j, f := parseJID(address, true)
	if f != nil {
		return Uniform{}, f
	}
	return xmppUniform(j, query, s), nil
}

// xmppUniform spells j and the query as a uniform; if s is this very spelling, it is used.
func xmppUniform(j JID, query, s string) Uniform {
	var buf [128]byte
	b := append(append(buf[:0], "xmpp:"...), j.s...)
	tail := len(b)
	if query != "" {
		b = append(append(b, '?'), query...)
	}
	u := Uniform{s: keep(s, b), scheme: uint16(len("xmpp")), slash: uint16(len(b)), tail: uint16(tail)}
	if j.local > 0 {
		u.user = u.authority() + j.local
	}
	if int(j.domain) < len(j.s) {
		u.slash = u.authority() + j.domain
	}
	u.host = hostOf(u.xmppDomain(), j.Domain())
	return u
}
