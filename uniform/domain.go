package uniform

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

// lookup maps names as typed (case, width, A-labels) to U-labels.
var lookup = idna.New(idna.MapForLookup(), idna.BidiRule())

// idna2008 is the class of U-labels (RFC 5892), which PRECIS has for its identifiers: what UTS #46 lets through beyond
// it are symbols such as U+2603.
var idna2008 = precis.NewIdentifier()

// maxLabel is the limit to a label before mapping, in bytes. Punycode takes quadratic time, and a label that DNS can
// hold, of 63 bytes in ASCII, has at most 59 characters of 4 bytes.
const maxLabel = 4 * 63

// isDot reports whether IDNA takes r for a dot.
func isDot(r rune) bool { return r == '.' || r == '\u3002' || r == '\uFF0E' || r == '\uFF61' }

// Domain returns the canonical form of a host name, the one that [JID.Domain] has: lower case, U-labels (RFC 7622
// section 3.2), no trailing dot. IPv4 addresses stay, IPv6 addresses are written in brackets and as RFC 5952 asks,
// whether they came in brackets or not. Refused are names with empty labels, with labels that DNS cannot hold or that
// begin or end with a hyphen, names whose last label is a number without being an IPv4 address, and zones. The error
// is an [*Error].
//
// Symbols, which IDNA2008 excludes but registries sell, are let through, as in [RelayJID].
func Domain(name string) (string, error) {
	if strings.Count(name, ":") >= 2 && name[0] != '[' {
		name = "[" + name + "]"
	}
	domain, f := prepDomain(name, true)
	if f != nil {
		return "", f.in(name, 0)
	}
	return domain, nil
}

// ASCIIDomain returns a canonical domain in A-labels, as DNS, TLS and psyc uniforms spell it. ASCII is returned as it is.
func ASCIIDomain(domain string) string {
	if isASCII(domain) {
		return domain
	}
	// A canonical domain has been encoded before to measure its labels.
	ascii, _ := idna.Punycode.ToASCII(domain)
	return ascii
}

// prepDomain returns the canonical form of a domainpart: s itself if it is canonical already.
func prepDomain(s string, relay bool) (string, *fault) {
	switch {
	case s == "":
		return "", &fault{0, "empty domain"}
	case s[0] == '[':
		return prepIPv6(s)
	case isCanonicalDomain(s), isIPv4(s):
		return s, nil
	case len(s) > maxInput:
		return "", &fault{maxPart, "domain of more than 1023 bytes"}
	}
	if isASCII(s) {
		if lower := strings.ToLower(strings.TrimSuffix(s, ".")); isCanonicalDomain(lower) {
			return lower, nil
		}
	} else if f := invalidUTF8(s); f != nil {
		return "", f
	}
	for label := range strings.FieldsFuncSeq(s, isDot) {
		if len(label) > maxLabel {
			return "", &fault{0, "label of more than 63 bytes in a domain"}
		}
	}
	domain, err := lookup.ToUnicode(s)
	if err == nil && domain != s {
		// x/net looks for right-to-left characters before it maps, and so misses those that mapping makes.
		domain, err = lookup.ToUnicode(domain)
	}
	if err != nil {
		return "", &fault{0, "domain refused by IDNA: " + strings.TrimPrefix(err.Error(), "idna: ")}
	}
	domain = strings.TrimSuffix(domain, ".")
	switch {
	case miscomposes(s) || miscomposes(domain):
		return "", &fault{0, "domain cannot be normalised"}
	case domain == "":
		return "", &fault{0, "empty domain"}
	case len(domain) > maxPart:
		return "", &fault{maxPart, "domain of more than 1023 bytes"}
	}
	if isCanonicalDomain(domain) || isIPv4(domain) {
		return domain, nil
	}
	if isNumber(lastLabel(domain)) {
		return "", &fault{0, "number as last label, but not an IPv4 address"}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if f := checkLabel(label, relay); f != nil {
			return "", f
		}
	}
	return domain, nil
}

// checkLabel completes what the lookup profile checks.
func checkLabel(label string, relay bool) *fault {
	if label == "" {
		return &fault{0, "empty label in a domain"}
	}
	ascii, err := idna.Punycode.ToASCII(label)
	if err != nil || len(ascii) > 63 {
		return &fault{0, "label of more than 63 bytes in a domain"}
	}
	if !relay && !isASCII(label) {
		if _, err := idna2008.String(label); err != nil {
			return &fault{0, "domain refused by IDNA2008: " + precisReason(err)}
		}
	}
	return nil
}

// isCanonicalDomain reports whether s is an ASCII name that needs neither mapping nor a closer look. It is the fast
// path for nearly every domain on the wire; IP literals and A-labels are not for it.
func isCanonicalDomain(s string) bool {
	if len(s) > maxPart || len(s) == 0 {
		return false
	}
	start := 0
	for i := 0; ; i++ {
		if i < len(s) && s[i] != '.' {
			if class[s[i]]&inDomain == 0 {
				return false
			}
			continue
		}
		label := s[start:i]
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			len(label) > 3 && label[2] == '-' && label[3] == '-' {
			return false
		}
		if i == len(s) {
			return !isNumber(label)
		}
		start = i + 1
	}
}

// isNumber reports whether inet_aton would read the label as a number: a name that ends so is never in DNS, but some
// resolvers take "127.1" for an address.
func isNumber(label string) bool {
	if strings.HasPrefix(label, "0x") {
		return strings.Trim(label[2:], "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

func prepIPv6(s string) (string, *fault) {
	if s[len(s)-1] != ']' {
		return "", &fault{0, "bracket not closed"}
	}
	addr, err := netip.ParseAddr(s[1 : len(s)-1])
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", &fault{1, "not an IPv6 address"}
	}
	var buf [64]byte
	b := append(addr.AppendTo(append(buf[:0], '[')), ']')
	if string(b) == s {
		return s, nil
	}
	return string(b), nil
}

// isIPv4 reports whether s is an IPv4 address in its canonical spelling.
func isIPv4(s string) bool {
	if !isNumber(lastLabel(s)) {
		return false
	}
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.Is4()
}

func lastLabel(domain string) string { return domain[strings.LastIndexByte(domain, '.')+1:] }
