package transcode

import (
	"fmt"

	"github.com/switchyard-im/switchyard/uniform"
)

// addressBook remembers how recent addresses are spelt on the other side: a link carries the same few pairs again and
// again, and preparing a name costs more than all the rest of a conversion.
type addressBook struct {
	uniforms map[string]string // by JID
	jids     map[string]uniform.JID
	spelt    map[string]uniform.JID // by what is spelt as a JID
	key      []byte
}

// addresses is how many pairs an addressBook holds before it starts over.
const addresses = 256

// room returns a map that has room for one more, m itself if there is one.
func room[V any](m map[string]V) map[string]V {
	switch {
	case m == nil:
		return make(map[string]V)
	case len(m) >= addresses:
		clear(m)
	}
	return m
}

// uniform returns the psyc spelling of j without its resource.
func (b *addressBook) uniform(j uniform.JID) string {
	if u, ok := b.uniforms[j.String()]; ok {
		return u
	}
	b.uniforms = room(b.uniforms)
	u := j.Uniform().String()
	b.uniforms[j.String()] = u
	return u
}

// spelling returns the address that a JID spells.
func (b *addressBook) spelling(jid []byte) (uniform.JID, error) {
	if j, ok := b.spelt[string(jid)]; ok {
		return j, nil
	}
	s := string(jid)
	j, err := uniform.RelayJID(s)
	if err != nil {
		return j, err
	}
	b.spelt = room(b.spelt)
	b.spelt[s] = j
	return j, nil
}

// jid returns the address that a uniform and a resource spell.
func (b *addressBook) jid(u, resource []byte) (uniform.JID, error) {
	b.key = append(append(append(b.key[:0], u...), 0), resource...)
	if j, ok := b.jids[string(b.key)]; ok {
		return j, nil
	}
	j, err := uniform.JIDOf(u, resource)
	if err != nil {
		return uniform.JID{}, badAddress(fmt.Sprintf("address %q with resource %q", u, resource), err)
	}
	b.jids = room(b.jids)
	b.jids[string(b.key)] = j
	return j, nil
}
