package xmpp

import "github.com/switchyard-im/switchyard/uniform"

// A jidCache remembers addresses, since the stanzas of a stream have few and name them again and again. A nil cache
// remembers nothing.
type jidCache struct{ known map[string]uniform.JID }

const (
	jidsKept   = 64
	jidKeptLen = 128 // longer addresses are not kept
)

// parse returns the address in b.
func (c *jidCache) parse(b []byte) (uniform.JID, error) {
	if c == nil {
		return uniform.RelayJID(string(b))
	}
	if j, ok := c.known[string(b)]; ok {
		return j, nil
	}
	s := string(b)
	j, err := uniform.RelayJID(s)
	if err == nil && len(s) <= jidKeptLen {
		if c.known == nil || len(c.known) == jidsKept {
			c.known = make(map[string]uniform.JID)
		}
		c.known[s] = j
	}
	return j, err
}
