package uniform

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse parses and canonicalises s: scheme and host folded (IDNA), default port dropped, names folded. The package
// documentation has the grammar. Input is limited to 8192 bytes. The error is an [*Error].
func Parse(s string) (Uniform, error) {
	if len(s) > maxInput {
		return Uniform{}, &Error{Input: s, Offset: maxInput, Reason: "address too long"}
	}
	colon := span(s, inScheme)
	switch {
	case colon == len(s) || s[colon] != ':':
		return Uniform{}, &Error{Input: s, Offset: colon, Reason: "no scheme"}
	case colon == 0 || s[0] < 'A':
		return Uniform{}, &Error{Input: s, Offset: 0, Reason: "a scheme begins with a letter"}
	}
	var u Uniform
	var f *fault
	scheme, rest := strings.ToLower(s[:colon]), s[colon+1:]
	switch scheme {
	case "psyc":
		u, f = parsePSYC(s, rest)
	case "xmpp":
		u, f = parseXMPP(s, rest)
	default:
		u, f = parseOpaque(s, scheme, rest)
	}
	if f != nil {
		return Uniform{}, f.in(s, colon+1)
	}
	return u, nil
}

// MustParse is Parse for constants; it panics on error.
func MustParse(s string) Uniform {
	u, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// parseOpaque keeps rest, which follows the scheme of s, as it is.
func parseOpaque(s, scheme, rest string) (Uniform, *fault) {
	if rest == "" {
		return Uniform{}, &fault{0, "nothing behind the scheme"}
	}
	if f := checkOpaque(rest); f != nil {
		return Uniform{}, f
	}
	if !strings.HasPrefix(s, scheme) {
		s = scheme + ":" + rest
	}
	end := uint16(len(s))
	return Uniform{s: s, scheme: uint16(len(scheme)), slash: end, tail: end}, nil
}

// checkOpaque refuses what could end a line or an argument wherever the address is written.
func checkOpaque(s string) *fault {
	for i, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) {
			return &fault{i, "space, control character or damaged UTF-8"}
		}
	}
	return nil
}

// keep returns b as a string, s itself if it is the same.
func keep(s string, b []byte) string {
	if string(b) == s {
		return s
	}
	return string(b)
}

// hostOf returns the domain as Host has it, as a part of the spelling if it can be.
func hostOf(spelling, domain string) string {
	if spelling == domain {
		return spelling
	}
	return domain
}
