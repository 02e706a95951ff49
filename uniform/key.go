package uniform

import "strings"

// A Key is one person, place, service or server under all its spellings:
// user@host, xmpp:user@host and psyc://host/~user have the same Key. Keys are for finding state, never for rewriting
// an address that passes through.
type Key struct {
	s string // the bare JID, or the uniform if it has none
}

// Key returns the identity that j shares with its other spellings; the resource is no part of it.
func (j JID) Key() Key { return Key{j.s[:j.domain]} }

// Key returns the identity that u shares with its other spellings. A uniform without a JID of its own, see
// [Uniform.JID], has a Key that it shares with nothing else.
func (u Uniform) Key() Key {
	switch {
	case u.hasJID:
		j, _ := u.nodeJID("")
		return Key{j.s}
	case u.isXMPP() && int(u.tail) == len(u.s):
		return Key{u.s[u.authority():u.slash]}
	}
	return Key{u.s}
}

// ParseKey accepts any spelling, with a scheme or without: what has no scheme is a JID. It takes what [Parse] and
// [RelayJID] take.
func ParseKey(s string) (Key, error) {
	if hasScheme(s) {
		u, err := Parse(s)
		return u.Key(), err
	}
	j, err := RelayJID(s)
	return j.Key(), err
}

// hasScheme tells uniforms from JIDs: in a JID no colon stands before the first '@', '/' or '['.
func hasScheme(s string) bool {
	i := strings.IndexAny(s, ":@/[")
	return i >= 0 && s[i] == ':'
}

// String returns a spelling fit to be stored; ParseKey takes it back.
func (k Key) String() string { return k.s }

// AppendText appends what String returns.
func (k Key) AppendText(dst []byte) ([]byte, error) { return append(dst, k.s...), nil }

// MarshalText returns what String returns.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.s), nil }

// UnmarshalText is ParseKey; empty text gives the zero Key.
func (k *Key) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*k = Key{}
		return nil
	}
	parsed, err := ParseKey(string(b))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// IsZero reports whether k is nobody.
func (k Key) IsZero() bool { return k.s == "" }

// Uniform returns the psyc spelling, or the only one if there is no JID.
func (k Key) Uniform() Uniform {
	if hasScheme(k.s) {
		u, _ := Parse(k.s)
		return u
	}
	return k.JID().Uniform()
}

// JID returns the bare XMPP spelling, or the zero JID if there is none.
func (k Key) JID() JID {
	if hasScheme(k.s) {
		return JID{}
	}
	return canonicalBare(k.s)
}
