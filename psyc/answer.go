package psyc

// Tag returns the tag under which p is to be answered, "" if it has none. Older implementations put it into the entity header. One that has control
// characters counts as none, as it could not be sent back.
func (p *Packet) Tag() string {
	tag := p.Routing.Get("_tag")
	if tag == nil {
		tag = p.Entity.Get("_tag")
	}
	if hasControl(tag) {
		return ""
	}
	return tag.String()
}

// tagLike makes answer one to p.
func (answer *Packet) tagLike(p *Packet) {
	if tag := p.Tag(); tag != "" {
		answer.Routing.Set("_tag_relay", tag)
	}
}

// Reply returns a packet to where p came from: its source, else its context. Its own source is p's target, and p's [Packet.Tag]
// comes back as _tag_relay, which a circuit in PSYC 0.9 calls _tag_reply. A circuit packet, without addresses, gets a
// reply without addresses. The reply shares no memory with p.
func (p *Packet) Reply(method string) *Packet {
	q := &Packet{Method: method}
	to := p.Routing.Get("_source")
	if len(to) == 0 {
		to = p.Routing.Get("_context")
	}
	if from := p.Routing.Get("_target"); len(from) > 0 {
		q.Routing.Set("_source", from.String())
	}
	if len(to) > 0 {
		q.Routing.Set("_target", to.String())
	}
	q.tagLike(p)
	return q
}
