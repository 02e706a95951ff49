package psyc

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// keywordByte tells the bytes of names and methods: ASCII letters, digits, underscore.
var keywordByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
	}
	return t
}()

// isKeyword reports whether s can stand on the wire as a name or method. Nearly all are made of lower case letters and
// underscores, for which it looks at eight bytes at a time.
func isKeyword(s string) bool {
	n := len(s)
	if n < 8 || n > maxName {
		return n > 0 && n <= maxName && keywordBytes(s)
	}
	for i := 0; i+8 < n; i += 8 {
		if !plainWord(load8(s[i:])) {
			return keywordBytes(s)
		}
	}
	return plainWord(load8(s[n-8:])) || keywordBytes(s)
}

// keywordBytes reports whether s has only bytes of keywords.
func keywordBytes(s string) bool {
	for i := range len(s) {
		if !keywordByte[s[i]] {
			return false
		}
	}
	return true
}

// load8 returns the first eight bytes of s.
func load8(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// load4 returns the first four bytes of s.
func load4(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

const (
	ones = 0x0101010101010101 // a one in each byte
	high = 0x80 * ones
)

// plainWord reports whether all eight bytes of x are lower case letters or underscores.
func plainWord(x uint64) bool { return notPlain(x) == 0 }

// notPlain returns x's bytes that are neither lower case letters nor underscores as a set of highest bits. Its lowest
// bit is exact; above it there may be too many. The terms find the bytes below the underscore, those above z, those
// that are not ASCII, and the one between the underscore and a.
func notPlain(x uint64) uint64 {
	between := x ^ '`'*ones
	return ((x - '_'*ones) | (x + (0x7f-'z')*ones) | x | (between - ones)) & high
}

// keywordEnd returns the offset of the first byte of b from i on that is not one of keywords, len(b) if there is none.
func keywordEnd(b []byte, i int) int {
	for len(b)-i >= 8 {
		x := notPlain(binary.LittleEndian.Uint64(b[i:]))
		if x != 0 {
			i += bits.TrailingZeros64(x) / 8
			break
		}
		i += 8
	}
	for i < len(b) && keywordByte[b[i]] {
		i++
	}
	return i
}

// internal reports whether name belongs to the variables that a program keeps for itself. They neither enter from
// nor leave to the wire, because psyced and others take them for their own findings about the peer.
func internal(name string) bool {
	return len(name) >= len(internalPrefix) && name[1] == 'I' && name[:len(internalPrefix)] == internalPrefix
}

const internalPrefix = "_INTERNAL"

// Inherits reports whether keyword is family or below it: _failure_x inherits from _failure, _failures does not.
func Inherits(keyword, family string) bool {
	if len(family) < 2 || family[0] != '_' || !strings.HasPrefix(keyword, family) {
		return false
	}
	return len(keyword) == len(family) || keyword[len(family)] == '_' && family[len(family)-1] != '_'
}

// InheritsAny reports whether keyword inherits from one of the families.
func InheritsAny(keyword string, families ...string) bool {
	return slices.ContainsFunc(families, func(family string) bool { return Inherits(keyword, family) })
}

// Matches reports whether the words of pattern occur in keyword in that order, others between them allowed:
// _failure_bounce matches _failure_total_delivery_bounce. A pattern of no words, "_", matches every keyword.
func Matches(keyword, pattern string) bool {
	if pattern == "" || len(pattern) > len(keyword) || pattern[0] != '_' || keyword[0] != '_' {
		return false
	}
	if len(pattern) == len(keyword) {
		return pattern == keyword
	}
	for pattern != "" {
		word := firstWord(pattern)
		pattern = pattern[len(word):]
		if word == "_" {
			continue
		}
		for {
			w := firstWord(keyword)
			if w == "" {
				return false
			}
			keyword = keyword[len(w):]
			if w == word {
				break
			}
		}
	}
	return true
}

// firstWord returns the first word of keyword with its underscore.
func firstWord(keyword string) string {
	if n := strings.IndexByte(keyword[min(1, len(keyword)):], '_'); n >= 0 {
		return keyword[:n+1]
	}
	return keyword
}

// TypeOf returns the type that the name of a variable declares, "_amount" for _amount_members, or "" if none: values
// of one type are read alike, see [Value].
func TypeOf(name string) string {
	for _, t := range types {
		if Inherits(name, t) {
			return t
		}
	}
	return ""
}

var types = [...]string{
	"_amount", "_color", "_date", "_degree", "_dict", "_entity", "_flag", "_language", "_list",
	"_nick", "_page", "_struct", "_time", "_uniform",
}

// RoutingVariable reports whether name is one of the variables that PSYC 1.0 keeps in the routing header.
func RoutingVariable(name string) bool {
	switch name {
	case "_source", "_target", "_context", "_source_relay", "_target_relay", "_tag", "_tag_relay", "_counter",
		"_fragment", "_amount_fragments":
		return true
	}
	return false
}

// routing09 reports whether a variable in the first half of a 0.9 packet is routing. That syntax has a few more.
func routing09[T string | []byte](name T) bool {
	switch string(name) {
	case "_target_peer", "_understand_modules", "_using_modules":
		return true
	}
	return addressing09(name)
}

// addressing09 reports whether psyced acts on name wherever it stands in a packet.
func addressing09[T string | []byte](name T) bool {
	switch string(name) {
	case "_source_identification", "_source_relay_relay", "_tag_reply", "_target_forward", "_count", "_length":
		return true
	}
	return RoutingVariable(string(name))
}
