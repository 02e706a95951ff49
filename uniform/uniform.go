package uniform

// A Uniform is one canonical address of any scheme: psyc://host/~user, xmpp:user@host, mailto:...
// Schemes other than psyc and xmpp are opaque: only Scheme and String tell something about them.
type Uniform struct {
	s    string
	host string // see Host; part of s unless it has labels that psyc spells in ASCII

	scheme uint16 // where the scheme ends
	user   uint16 // where the user ends, 0 without one
	slash  uint16 // where the slash before the object or resource is, len(s) without one
	tail   uint16 // where the '#' of the channel or the '?' of the query is, len(s) without one

	port      int32
	transport byte
	hasJID    bool // psyc: there is a JID that maps to this
}

// String returns the canonical spelling; it costs nothing.
func (u Uniform) String() string { return u.s }

// AppendText appends the canonical spelling.
func (u Uniform) AppendText(dst []byte) ([]byte, error) { return append(dst, u.s...), nil }

// MarshalText returns the canonical spelling, empty for the zero Uniform.
func (u Uniform) MarshalText() ([]byte, error) { return []byte(u.s), nil }

// UnmarshalText is Parse; empty text gives the zero Uniform.
func (u *Uniform) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*u = Uniform{}
		return nil
	}
	parsed, err := Parse(string(b))
	if err != nil {
		return err
	}
	*u = parsed
	return nil
}

// IsZero reports whether u names nothing.
func (u Uniform) IsZero() bool { return u.s == "" }

// Scheme returns "psyc", "xmpp" or whatever stands before the colon, in lower case.
func (u Uniform) Scheme() string { return u.s[:u.scheme] }

// User returns what stands before the host and '@': the localpart in xmpp. In psyc that is an old spelling, which is
// kept apart from psyc://host/~user.
func (u Uniform) User() string {
	if u.user == 0 {
		return ""
	}
	return u.s[u.authority():u.user]
}

// Host returns the domain in the canonical form of [Domain], which the JIDs in it have, too: an IPv6 address is in brackets.
// Where the psyc spelling has A-labels, Host has U-labels all the same; [ASCIIDomain] undoes that.
func (u Uniform) Host() string { return u.host }

// Port returns 0 for the scheme's default: 4404, and 9404 for transport 's', in psyc. A negative port stands for the
// far end of an incoming connection: it identifies but cannot be connected to.
func (u Uniform) Port() int { return int(u.port) }

// Transport returns 'c' (TCP), 'd' (UDP), 's' (TLS), or 0 for any.
func (u Uniform) Transport() byte { return u.transport }

// Object returns what stands behind the host of a psyc uniform: the sigil ('~' person, '@' place, '$' service, 0 none)
// and the name behind it, in the encoding of the package documentation. Without a sigil the name is a path of the
// server's own, or empty.
func (u Uniform) Object() (sigil byte, name string) {
	if !u.isPSYC() || u.slash >= u.tail {
		return 0, ""
	}
	name = u.s[u.slash+1 : u.tail]
	if name != "" && isSigil(name[0]) {
		return name[0], name[1:]
	}
	return 0, name
}

// Resource returns the resourcepart of an xmpp uniform.
func (u Uniform) Resource() string {
	if !u.isXMPP() || u.slash >= u.tail {
		return ""
	}
	return u.s[u.slash+1 : u.tail]
}

// Channel returns what follows '#' in psyc.
func (u Uniform) Channel() string {
	if !u.isPSYC() {
		return ""
	}
	return u.afterTail()
}

// Query returns what follows '?' in xmpp. In psyc a question mark is part of the name.
func (u Uniform) Query() string {
	if !u.isXMPP() {
		return ""
	}
	return u.afterTail()
}

// Root returns the entity of the whole server, psyc://host/ or xmpp:host, on the same port and transport. The
// protocol root psyc://host, which names the server as the end of a circuit, has that Root and differs from it.
// Other schemes have none.
func (u Uniform) Root() Uniform {
	switch {
	case u.isPSYC() && u.user == 0 && int(u.slash) < len(u.s):
		u.s = u.s[:u.slash+1]
		u.tail = u.slash + 1
		u.hasJID = u.port == 0 && u.transport == 0
		return u
	case u.isPSYC():
		root, _ := Parse("psyc://" + u.s[u.hostStart():u.slash] + "/")
		return root
	case u.isXMPP():
		return xmppUniform(JID{s: u.xmppDomain(), domain: uint16(len(u.xmppDomain()))}, "", "")
	}
	return Uniform{}
}

func (u Uniform) isPSYC() bool { return u.Scheme() == "psyc" }

func (u Uniform) isXMPP() bool { return u.Scheme() == "xmpp" }

// authority returns where the user or host begins.
func (u Uniform) authority() uint16 {
	if u.isPSYC() {
		return u.scheme + uint16(len("://"))
	}
	return u.scheme + uint16(len(":"))
}

// hostStart returns where the host begins, brackets included.
func (u Uniform) hostStart() uint16 {
	if u.user != 0 {
		return u.user + 1
	}
	return u.authority()
}

// xmppDomain returns the domainpart of an xmpp uniform, brackets included.
func (u Uniform) xmppDomain() string { return u.s[u.hostStart():min(u.slash, u.tail)] }

func (u Uniform) afterTail() string {
	if int(u.tail) >= len(u.s) {
		return ""
	}
	return u.s[u.tail+1:]
}

func isSigil(b byte) bool { return b == '~' || b == '@' || b == '$' }
