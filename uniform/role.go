package uniform

import "strings"

// A Role is what a uniform names.
type Role uint8

// Roles of a uniform.
const (
	UNI Role = iota + 1 // who: stable, independent of clients
	UNR                 // who and which of their clients: explicit yet indirect
	UNL                 // where: the network location of a running process
)

// String returns "UNI", "UNR", "UNL", or "unknown".
func (r Role) String() string {
	switch r {
	case UNI:
		return "UNI"
	case UNR:
		return "UNR"
	case UNL:
		return "UNL"
	}
	return "unknown"
}

// Role reports whether u is an identity, an identity with a resource, or a location. An xmpp uniform with a resource
// is a UNR. A psyc uniform is a UNL if its port is negative, or if it names no object and has a port, a transport or
// an IP address; all else in psyc and xmpp is a UNI. Other schemes are unknown: 0.
func (u Uniform) Role() Role {
	switch {
	case u.isXMPP() && u.Resource() != "":
		return UNR
	case u.isXMPP():
		return UNI
	case !u.isPSYC():
		return 0
	case u.port < 0:
		return UNL
	}
	if sigil, name := u.Object(); sigil != 0 || name != "" || u.user != 0 {
		return UNI
	}
	if isIP := isIPv4(u.host) || strings.HasPrefix(u.host, "["); isIP || u.port != 0 || u.transport != 0 {
		return UNL
	}
	return UNI
}
