package psyc

import (
	"bytes"
	"strings"
)

// A PacketID names a packet among all of its sender's: the value of variables that speak of one.
type PacketID struct {
	Context, Source, Target string // uniforms
	Counter, Fragment       string // numbers
}

// ID returns the packet id of p, made of its routing variables.
func (p *Packet) ID() PacketID {
	get := func(name string) string { return p.Routing.Get(name).String() }
	return PacketID{get("_context"), get("_source"), get("_target"), get("_counter"), get("_fragment")}
}

// Append appends id as a list of five elements without lengths. A part that holds a bar is [ErrNotRepresentable].
func (id PacketID) Append(dst []byte) ([]byte, error) {
	out := dst
	for _, part := range [...]string{id.Context, id.Source, id.Target, id.Counter, id.Fragment} {
		if strings.Contains(part, "|") {
			return dst, refuse("bar in packet id")
		}
		if out = append(out, '|'); part != "" {
			out = append(append(out, ' '), part...)
		}
	}
	return out, nil
}

// PacketID reads the form that [PacketID.Append] writes, and no other.
func (v Value) PacketID() (PacketID, error) {
	parts := strings.SplitN(string(v), "|", 7)
	if len(parts) != 6 {
		return PacketID{}, &Error{Method: errValue + "_packet_id", Text: "not a packet id"}
	}
	for i := range parts {
		parts[i] = strings.TrimPrefix(parts[i], " ")
	}
	id := PacketID{parts[1], parts[2], parts[3], parts[4], parts[5]}
	if again, err := id.Append(nil); err != nil || !bytes.Equal(again, v) {
		return PacketID{}, &Error{Method: errValue + "_packet_id", Text: "not a packet id"}
	}
	return id, nil
}
