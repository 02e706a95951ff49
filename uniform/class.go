package uniform

import "unicode/utf8"

// Classes of the bytes that may stand in a part of an address. The first three are those of a canonical JID.
const (
	inLocal    = 1 << iota // RFC 7622 section 3.3
	inDomain               // letters, digits, hyphen, dot
	inResource             // RFC 7622 section 3.4
	upper                  // A to Z

	// In uniforms.
	inName   // stands for itself in the name that encodes a localpart
	inTail   // stands behind the host of a psyc uniform
	inScheme // RFC 3986 section 3.1
)

var class = func() (c [256]uint8) {
	const lower, capital, digits = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	for bit, members := range map[uint8]string{
		inLocal:    lower + digits + "!#$%()*+,-.;=?[\\]^_`{|}~",
		inDomain:   lower + digits + "-.",
		inResource: lower + capital + digits + " !#$%()*+,-.;=?[\\]^_`{|}~" + forbiddenInLocal,
		upper:      capital,
		inName:     lower + capital + digits + "_-=+.!()*,;$~",
		inTail:     lower + capital + digits + "$%&'()*+,-./:;_!?=@~",
		inScheme:   lower + capital + digits + "+-.",
	} {
		for _, b := range []byte(members) {
			c[b] |= bit
		}
	}
	return c
}()

// forbiddenInLocal are the characters that RFC 7622 section 3.3.1 takes from the localpart beyond PRECIS.
const forbiddenInLocal = `"&'/:<>@`

// span returns how many of the first bytes of s are in the class.
func span(s string, bit uint8) int {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&bit == 0 {
			return i
		}
	}
	return len(s)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
