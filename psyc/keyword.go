package psyc

import "strings"

// keywordByte tells the bytes of names and methods: ASCII letters, digits, underscore.
var keywordByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
	}
	return t
}()

// isKeyword reports whether s can stand on the wire as a name or method.
func isKeyword(s string) bool {
	for i := range len(s) {
		if !keywordByte[s[i]] {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// internal reports whether name belongs to the variables that a program keeps for itself. They neither enter from
// nor leave to the wire, because psyced and others take them for their own findings about the peer.
func internal[T string | []byte](name T) bool {
	return len(name) >= len(internalPrefix) && name[1] == 'I' && string(name[:len(internalPrefix)]) == internalPrefix
}

const internalPrefix = "_INTERNAL"

// Inherits reports whether keyword is family or below it: _failure_x inherits from _failure, _failures does not.
func Inherits(keyword, family string) bool {
	if len(family) < 2 || family[0] != '_' || !strings.HasPrefix(keyword, family) {
		return false
	}
	return len(keyword) == len(family) || keyword[len(family)] == '_' && family[len(family)-1] != '_'
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
