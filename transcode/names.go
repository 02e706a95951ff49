package transcode

import "github.com/switchyard-im/switchyard/psyc"

// Routing variables that a stanza can say.
const (
	varSource   = "_source"
	varTarget   = "_target"
	varContext  = "_context"
	varTag      = "_tag"
	varTagRelay = "_tag_relay" // of an answer
	varTagReply = "_tag_reply" // the same in the 0.9 syntax
)

// Entity variables of PSYC that carry a part of a stanza.
const (
	varNick         = "_nick"
	varNickLocal    = "_nick_local" // of an occupant, where it differs
	varTopic        = "_topic"
	varAction       = "_action"
	varAvailability = "_degree_availability"
	varDescription  = "_description_presence"
	varFragment     = "_target_fragment"
	varText         = "_text_XMPP"
	varMethodRelay  = "_method_relay"
	varLanguage     = "_language"
)

// Entity variables of the profile. Peers outside it are neither sent them nor believed, except that they may put
// _jabber_XML into the methods below _jabber, as psyced does.
const (
	varSourceResource = "_resource_source"
	varTargetResource = "_resource_target"
	varAttributes     = "_jabber_attributes"
	varEscape         = "_jabber_escape"
	varNamespace      = "_jabber_namespace"
	varPrefix         = "_jabber_prefix"
	varXML            = "_jabber_XML"
	varEncoding       = "_encoding_jabber_XML"
)

// private reports whether a variable of that name belongs to the profile.
func private(name string) bool {
	switch name {
	case varSourceResource, varTargetResource, varResource:
		return true
	}
	return psyc.Inherits(name, "_jabber") || psyc.Inherits(name, "_encoding_jabber")
}

// internal reports whether a variable is the property of one process and must have no effect outside it.
func internal(name string) bool {
	// All others begin with a small letter, which is seen at a glance.
	return len(name) > 1 && name[1] == 'I' && psyc.Inherits(name, "_INTERNAL")
}
