package uniform

import (
	"bytes"
	"strings"
)

// notFirst are the characters that stand for themselves in a name, but not as its first: there they would look like
// a sigil.
const notFirst = "~$*"

// Uniform maps the bare j to psyc by the table in the package documentation; the resource stays behind, see
// [JID.Resource]. Every JID, carried ones included, has a uniform, and [Uniform.JID] gives the bare j back. The zero
// JID gives the zero Uniform.
func (j JID) Uniform() Uniform {
	if j.s == "" {
		return Uniform{}
	}
	var buf [128]byte
	s := string(j.AppendUniform(buf[:0]))
	const host = len("psyc://")
	slash := host + strings.IndexByte(s[host:], '/')
	return Uniform{
		s:      s,
		host:   hostOf(s[host:slash], j.Domain()),
		scheme: uint16(len("psyc")),
		slash:  uint16(slash),
		tail:   uint16(len(s)),
		hasJID: true,
	}
}

// AppendUniform appends the spelling of what Uniform returns, and allocates nothing for it. The zero JID appends nothing.
func (j JID) AppendUniform(dst []byte) []byte {
	if j.s == "" {
		return dst
	}
	dst = append(dst, "psyc://"...)
	switch {
	case !j.plain:
		dst = append(append(dst, ASCIIDomain(j.Domain())...), '/')
		if j.local > 0 {
			dst = appendObject(dst, j.Local())
		}
		return dst
	case j.local == 0:
		return append(append(dst, j.Domain()...), '/')
	}
	return append(append(append(dst, j.Domain()...), "/~"...), j.Local()...)
}

// JID maps u to XMPP by the table in the package documentation and adds the resource, prepared as [RelayJID] does,
// unless it is empty. A psyc uniform has a JID only if that JID maps back to this very uniform: ports, transports,
// channels, paths, services with arguments and names in another encoding have none, and neither has any other scheme
// nor an xmpp uniform with a query; the error is then a [*NoJIDError]. The JID of an xmpp uniform has the resource of
// the uniform; naming another one is an error.
func (u Uniform) JID(resource string) (JID, error) {
	switch {
	case u.hasJID:
		return u.nodeJID(resource)
	case u.isXMPP() && int(u.tail) == len(u.s):
		j := JID{s: u.s[u.authority():], local: uint16(len(u.User())), domain: u.slash - u.authority()}.measure()
		if resource == "" {
			return j, nil
		}
		with, err := j.withResource(resource, true)
		if err == nil && j.Resource() != "" && with != j {
			return JID{}, &NoJIDError{u, "it has another resource than the one asked for"}
		}
		return with, err
	}
	return JID{}, &NoJIDError{u, u.whyNoJID()}
}

// JIDOf is [Parse] and then [Uniform.JID], with a short way for the addresses of nearly everybody.
func JIDOf(uniform, resource []byte) (JID, error) {
	if j, ok := plainJID(uniform, resource); ok {
		return j, nil
	}
	u, err := Parse(string(uniform))
	if err != nil {
		return JID{}, err
	}
	return u.JID(string(resource))
}

// plainJID takes the uniforms of persons and servers in which everything is spelt as in the JID.
func plainJID(uniform, resource []byte) (JID, bool) {
	const psyc = "psyc://"
	if len(uniform) < len(psyc) || string(uniform[:len(psyc)]) != psyc {
		return JID{}, false
	}
	domain, name, ok := bytes.Cut(uniform[len(psyc):], []byte("/"))
	if !ok {
		return JID{}, false
	}
	var buf [128]byte
	b := buf[:0]
	if len(name) > 0 {
		if len(name) < 2 || name[0] != '~' || strings.IndexByte(notFirst, name[1]) >= 0 {
			return JID{}, false
		}
		for _, c := range name[1:] {
			if class[c]&inName == 0 {
				return JID{}, false
			}
		}
		b = append(append(b, name[1:]...), '@')
	}
	b = append(b, domain...)
	if len(resource) > 0 {
		b = append(append(b, '/'), resource...)
	}
	j, ok := canonicalJID(string(b))
	return j, ok && j.Domain() == string(domain) // there may have been a user in front of it
}

// nodeJID builds the JID of a uniform that has one.
func (u Uniform) nodeJID(resource string) (JID, error) {
	if resource != "" {
		prepared, f := prepResource(resource, true)
		if f != nil {
			return JID{}, f.in(resource, 0)
		}
		resource = prepared
	}
	var node string
	if sigil, name := u.Object(); sigil != 0 {
		node, _ = decodeNode(sigil, name)
	}
	return joinJID(node, u.host, resource), nil
}

func (u Uniform) whyNoJID() string {
	switch {
	case u.s == "":
		return "it is empty"
	case u.isXMPP():
		return "it has a query"
	case !u.isPSYC():
		return "its scheme is neither psyc nor xmpp"
	case u.user != 0:
		return "it has a user before the host"
	case u.port != 0 || u.transport != 0:
		return "it has a port or transport"
	case int(u.slash) == len(u.s):
		return "it names a protocol root, not an entity"
	case int(u.tail) < len(u.s):
		return "it has a channel"
	}
	if sigil, _ := u.Object(); sigil == 0 {
		return "it names a path"
	}
	return "its name is not the encoding of a localpart"
}

// appendObject appends the sigil and name of a localpart.
func appendObject(b []byte, node string) []byte {
	sigil, name := byte('~'), node
	if len(node) > 1 {
		switch node[0] {
		case '*':
			sigil, name = '@', node[1:]
		case '$':
			sigil, name = '$', node[1:]
		}
	}
	b = append(b, sigil)
	n := 0
	if strings.IndexByte(notFirst, name[0]) < 0 {
		n = span(name, inName)
	}
	for n < len(name) {
		c := name[n]
		b = append(append(b, name[:n]...), '%', hexDigits[c>>4], hexDigits[c&15])
		name = name[n+1:]
		n = span(name, inName)
	}
	return append(b, name...)
}

// decodeNode returns the localpart of an object. It fails unless appendObject gives this very object back.
func decodeNode(sigil byte, name string) (node string, ok bool) {
	var buf [128]byte
	b := buf[:0]
	switch sigil {
	case '@':
		b = append(b, '*')
	case '$':
		b = append(b, '$')
	case '~':
		if strings.IndexByte(name, '%') < 0 && strings.IndexByte(notFirst, name[0]) < 0 {
			return name, span(name, inName) == len(name)
		}
	}
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b = append(b, name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", false
		}
		high, low := unhex(name[i+1]), unhex(name[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	node = string(b)
	var again [128]byte
	object := appendObject(again[:0], node)
	return node, object[0] == sigil && string(object[1:]) == name
}

// hexDigits are those of both escapes, here and in XEP-0106.
const hexDigits = "0123456789abcdef"

// unhex returns the value of a lower-case hexadecimal digit, or -1.
func unhex(c byte) int { return strings.IndexByte(hexDigits, c) }

// canonicalName returns the canonical spelling of a name behind a sigil, and whether a localpart maps to it. Names
// that are the encoding of a localpart are folded as localparts are, but never so that the sigil changes; all others
// are folded to lower case, as psyced does.
func canonicalName(sigil byte, name string) (string, bool) {
	if strings.IndexByte(name, '%') < 0 {
		length := len(name)
		if sigil != '~' {
			length++
		}
		plain := span(name, inName) == len(name) && strings.IndexByte(notFirst, name[0]) < 0 && length <= maxPart
		return strings.ToLower(name), plain
	}
	if node, ok := decodeNode(sigil, foldHex(name)); ok {
		if folded, f := prepLocal(node, true); f == nil {
			if object := appendObject(nil, folded); object[0] == sigil {
				return string(object[1:]), true
			}
		}
	}
	return strings.ToLower(name), false
}

// foldHex folds the hexadecimal digits behind percent signs to lower case.
func foldHex(name string) string {
	b := []byte(name)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(name[i+1:i+3]))
		}
	}
	return string(b)
}
