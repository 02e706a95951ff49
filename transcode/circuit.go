package transcode

import (
	"github.com/switchyard-im/switchyard/psyc"
)

// circuitMethods speak to the circuit that they come on. Without source, target and context they never are stanzas; no
// stanza may bring them back to life.
var circuitMethods = [...]string{
	"_notice_circuit",
	"_status_circuit",
	"_request_circuit",
	"_request_authorization",
	"_status_authorization",
	"_error_authorization",
	"_request_features",
	"_notice_session",
	"_status_session",
	"_request_session",
	"_status_acknowledgement",
}

func circuitMethod(method string) bool {
	return psyc.InheritsAny(method, circuitMethods[:]...)
}

// circuit reports whether p speaks to the circuit.
func circuit(p *psyc.Packet) bool {
	for _, name := range [...]string{varSource, varTarget, varContext} {
		if len(p.Routing.Get(name)) > 0 {
			return false
		}
	}
	return p.Method == "" || circuitMethod(p.Method)
}

// actsAnywhere reports whether a variable has an effect of its own wherever it stands in a packet: on routing, on framing,
// on who is believed to speak, on modules, or on the delivery to an audience. A peer that found one in a packet restored
// from a stanza would obey it on the word of a user.
func actsAnywhere(name string) bool {
	switch name {
	case varTagReply, "_source_identification", "_source_relay_relay", "_target_forward", "_count", "_length",
		"_using_modules", "_understand_modules", "_audience":
		return true
	}
	return psyc.RoutingVariable(name) || psyc.Inherits(name, "_list_audience") || psyc.Inherits(name, "_check") ||
		internal(name)
}
