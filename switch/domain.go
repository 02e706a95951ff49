package psycswitch

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/switchyard-im/switchyard/uniform"
)

// asciiDomain returns the form of domain that DNS knows: canonical as [uniform.Domain] has it, in A-labels.
// The error is an [ErrBadDomain].
func asciiDomain(domain string) (string, error) {
	canonical, err := uniform.Domain(domain)
	if err != nil {
		var why *uniform.Error // it would name the domain once more
		if errors.As(err, &why) {
			return "", fmt.Errorf("%w: %s", ErrBadDomain, why.Reason)
		}
		return "", fmt.Errorf("%w: %w", ErrBadDomain, err)
	}
	ascii := uniform.ASCIIDomain(canonical)
	if !isHostName(ascii) || len(ascii)+longestPrefix > maxName {
		return "", ErrBadDomain
	}
	return ascii, nil
}

// canonicalDomain folds what resolvers regard as the same domain; a name that DNS cannot hold stays one of its own.
func canonicalDomain(domain string) string {
	if ascii, err := asciiDomain(domain); err == nil {
		return ascii
	}
	return strings.ToLower(domain)
}

// maxName is the length of a domain name in characters, without the trailing dot (RFC 1035 section 2.3.4).
const maxName = 253

// isHostName reports whether s, without a trailing dot, consists of labels of letters, digits, hyphens and
// underscores. Anything else would need escapes in a DNS name, and no host has it.
func isHostName(s string) bool {
	if len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// addressLiteral parses an IP address as XMPP writes it in a domain: IPv6 with or without brackets, no zone.
func addressLiteral(s string) (netip.Addr, bool) {
	s = strings.TrimSuffix(s, ".")
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
		s = inner
	}
	ip, err := netip.ParseAddr(s)
	return ip.Unmap(), err == nil && ip.Zone() == ""
}
