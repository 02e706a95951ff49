package uniform

import "strings"

// A JID is a canonical XMPP address (RFC 7622); == is JID equality.
type JID struct {
	s             string // local@domain/resource
	local, domain uint16 // where each ends
	plain         bool   // a uniform spells the local part and the domain as they are; measured by the constructors
}

// measure completes a canonical JID.
func (j JID) measure() JID {
	local := j.Local()
	j.plain = span(local, inName) == len(local) && (local == "" || strings.IndexByte(notFirst, local[0]) < 0) &&
		isASCII(j.Domain())
	return j
}

// ParseJID parses and prepares s: UsernameCaseMapped for the localpart, IDNA2008 for the domainpart (U-labels, no
// trailing dot), OpaqueString for the resourcepart, each of 1 to 1023 bytes afterwards. Canonical input is not copied;
// if it is ASCII, nothing is allocated. The error is an [*Error].
func ParseJID(s string) (JID, error) {
	j, f := parseJID(s, false)
	if f != nil {
		return JID{}, f.in(s, 0)
	}
	return j, nil
}

// RelayJID is ParseJID for addresses that only pass through. Servers differ in what they let into a JID, and relaying
// needs the domain only. A localpart or resourcepart that PRECIS refuses, because the character is newer than our
// tables or a symbol that stringprep allowed, is carried as it is if it is valid UTF-8, at most 1023 bytes, and free
// of controls and, in a localpart, of spaces and of what RFC 7622 forbids there. Symbols in domains are carried too.
func RelayJID(s string) (JID, error) {
	j, f := parseJID(s, true)
	if f != nil {
		return JID{}, f.in(s, 0)
	}
	return j, nil
}

// MustParseJID is ParseJID for constants; it panics on error.
func MustParseJID(s string) JID {
	j, err := ParseJID(s)
	if err != nil {
		panic(err)
	}
	return j
}

// NewJID prepares and joins the parts as ParseJID does; local and resource may be empty. The offset in an error
// counts in local + "@" + domain + "/" + resource.
func NewJID(local, domain, resource string) (JID, error) {
	s := domain
	if local != "" {
		s = local + "@" + s
	}
	if resource != "" {
		s += "/" + resource
	}
	j, f := prepareJID(s, local, domain, resource, false)
	if f != nil {
		return JID{}, f.in(s, 0)
	}
	return j, nil
}

func parseJID(s string, relay bool) (JID, *fault) {
	if j, ok := canonicalJID(s); ok {
		return j, nil
	}
	if len(s) > maxInput {
		return JID{}, &fault{maxInput, "address too long"}
	}
	// RFC 7622 section 3.1: the first slash, then the first @ before it.
	rest, resource, hasResource := strings.Cut(s, "/")
	if hasResource && resource == "" {
		return JID{}, &fault{len(s), "empty resourcepart"}
	}
	local, domain, hasLocal := strings.Cut(rest, "@")
	if !hasLocal {
		local, domain = "", rest
	} else if local == "" {
		return JID{}, &fault{0, "empty localpart"}
	}
	return prepareJID(s, local, domain, resource, relay)
}

// canonicalJID takes the addresses that need no preparation.
func canonicalJID(s string) (JID, bool) {
	var j JID
	i := span(s, inLocal)
	rest := s
	if i < len(s) && s[i] == '@' {
		if i == 0 || i > maxPart {
			return j, false
		}
		j.local = uint16(i)
		rest = s[i+1:]
		i = span(rest, inDomain)
	}
	if !isCanonicalDomain(rest[:i]) {
		return JID{}, false
	}
	j.domain = uint16(len(s) - len(rest) + i)
	if i < len(rest) {
		resource := rest[i+1:]
		if rest[i] != '/' || resource == "" || len(resource) > maxPart || span(resource, inResource) < len(resource) {
			return JID{}, false
		}
	}
	j.s = s
	return j.measure(), true
}

// prepareJID prepares the parts of s.
func prepareJID(s, local, domain, resource string, relay bool) (_ JID, f *fault) {
	l, r, at := local, resource, 0
	if local != "" {
		if l, f = prepLocal(local, relay); f != nil {
			return JID{}, f
		}
		at = len(local) + len("@")
	}
	d, f := prepDomain(domain, relay)
	if f != nil {
		return JID{}, f.behind(at)
	}
	if resource != "" {
		if r, f = prepResource(resource, relay); f != nil {
			return JID{}, f.behind(at + len(domain) + len("/"))
		}
	}
	if l == local && d == domain && r == resource {
		return sliceJID(s, len(l), len(d)), nil
	}
	return joinJID(l, d, r), nil
}

// joinJID joins canonical parts.
func joinJID(local, domain, resource string) JID {
	var b strings.Builder
	b.Grow(len(local) + len(domain) + len(resource) + 2)
	if local != "" {
		b.WriteString(local)
		b.WriteByte('@')
	}
	b.WriteString(domain)
	if resource != "" {
		b.WriteByte('/')
		b.WriteString(resource)
	}
	return sliceJID(b.String(), len(local), len(domain))
}

// sliceJID takes s, which is canonical, for a JID with parts of the given lengths.
func sliceJID(s string, local, domain int) JID {
	end := domain
	if local > 0 {
		end += local + 1
	}
	return JID{s: s, local: uint16(local), domain: uint16(end)}.measure()
}

// canonicalBare takes a string that is known to be a canonical JID without resource.
func canonicalBare(s string) JID {
	return JID{s: s, local: uint16(max(0, strings.IndexByte(s, '@'))), domain: uint16(len(s))}.measure()
}

// Opaque reports whether a part of j was carried as it is, see [RelayJID]: whether ParseJID would refuse j. It looks
// no further than ASCII if j is ASCII.
func (j JID) Opaque() bool {
	if isASCII(j.s) {
		return false
	}
	_, err := ParseJID(j.s)
	return err != nil
}

// String returns the canonical spelling; it costs nothing.
func (j JID) String() string { return j.s }

// AppendText appends the canonical spelling.
func (j JID) AppendText(dst []byte) ([]byte, error) { return append(dst, j.s...), nil }

// MarshalText returns the canonical spelling, empty for the zero JID.
func (j JID) MarshalText() ([]byte, error) { return []byte(j.s), nil }

// UnmarshalText is RelayJID, so that it takes whatever MarshalText gives; empty text gives the zero JID.
func (j *JID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*j = JID{}
		return nil
	}
	parsed, err := RelayJID(string(b))
	if err != nil {
		return err
	}
	*j = parsed
	return nil
}

// IsZero reports whether j is no address (the attribute was absent).
func (j JID) IsZero() bool { return j.s == "" }

// Local returns the part before '@', or "".
func (j JID) Local() string { return j.s[:j.local] }

// Domain returns the domainpart: a name in U-labels, an IPv4 address, or an IPv6 address in brackets.
func (j JID) Domain() string {
	if j.local == 0 {
		return j.s[:j.domain]
	}
	return j.s[j.local+1 : j.domain]
}

// Resource returns the part after '/', or "".
func (j JID) Resource() string {
	if int(j.domain) == len(j.s) {
		return ""
	}
	return j.s[j.domain+1:]
}

// Bare returns j without its resource.
func (j JID) Bare() JID {
	j.s = j.s[:j.domain]
	return j
}

// WithResource returns the bare j with this resource, prepared; "" gives the bare j.
func (j JID) WithResource(resource string) (JID, error) {
	return j.withResource(resource, false)
}

func (j JID) withResource(resource string, relay bool) (JID, error) {
	if resource == "" {
		return j.Bare(), nil
	}
	r, f := prepResource(resource, relay)
	if f != nil {
		return JID{}, f.in(resource, 0)
	}
	j.s = j.s[:j.domain] + "/" + r
	return j, nil
}
