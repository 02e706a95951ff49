package psyc

// Reply returns a packet to where p came from: its source, else its context. Its own source is p's target, and p's tag
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
	if tag := p.Routing.Get("_tag"); len(tag) > 0 {
		q.Routing.Set("_tag_relay", tag.String())
	}
	return q
}
