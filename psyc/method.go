package psyc

// MethodFlags tell a receiver what to make of a method.
type MethodFlags uint8

// Flags of methods, with the values that libpsyc gives them.
const (
	FlagTemplate MethodFlags = 1 << iota // the body is a text template
	FlagReply                            // answers something
	FlagVisible                          // is for human eyes
	FlagLoggable                         // belongs in a log
	FlagManual                           // a human wrote it
)

// A Method is what is known of a method by the most specific member of its family that is listed.
type Method struct {
	Name   string // as listed
	Family string // the root of the family
	Flags  MethodFlags
	Text   string // default template, "" for none
}

// LookupMethod returns what is known of name: the longest listed method that name inherits from.
func LookupMethod(name string) (Method, bool) {
	var best *Method
	for i := range methods {
		if m := &methods[i]; Inherits(name, m.Name) && (best == nil || len(m.Name) > len(best.Name)) {
			best = m
		}
	}
	if best == nil {
		return Method{}, false
	}
	return *best, true
}

const (
	flagsEcho    = FlagTemplate | FlagReply | FlagVisible
	flagsAnswer  = FlagTemplate | FlagReply | FlagVisible | FlagLoggable
	flagsEvent   = FlagTemplate | FlagVisible | FlagLoggable
	flagsMessage = FlagVisible | FlagLoggable | FlagManual
)

// methods are the families of the specification. Those spelt wrongly are so in libpsyc's table.
var methods = [...]Method{
	{"_data", "_data", 0, ""},
	{"_echo", "_echo", flagsEcho, ""},
	{"_echo_context_enter", "_echo", flagsEcho, "You are now in [_source]."},
	{"_echo_context_leave", "_echo", flagsEcho, "You have left [_source]."},
	{"_echo_hello", "_echo", flagsEcho, "Hello, your key is [_key_public]."},
	{"_error", "_error", flagsAnswer, ""},
	{"_failure", "_failure", flagsAnswer, ""},
	{"_failure_alias_nonexistant", "_failure", flagsAnswer, "You have no alias [_nick]."},
	{"_failure_alias_unavailable", "_failure", flagsAnswer, "The alias [_nick] is already used for [_uniform]."},
	{"_info", "_info", flagsAnswer, ""},
	{"_message", "_message", flagsMessage, ""},
	{"_message_action", "_message", flagsMessage, ""},
	{"_notice", "_notice", flagsEvent, ""},
	{"_notice_alias_add", "_notice", flagsEvent, "[_nick] is now an alias for [_uniform]."},
	{"_notice_alias_change", "_notice", flagsEvent, "The alias [_nick_old] for [_uniform] is now [_nick_new]."},
	{"_notice_alias_remove", "_notice", flagsEvent, "The alias [_nick] is no more."},
	{"_notice_context_enter", "_notice", flagsEvent, "[_source] enters [_context]."},
	{"_notice_context_leave", "_notice", flagsEvent, "[_source] leaves [_context]."},
	{"_notice_friendship", "_notice", flagsEvent, ""},
	{"_notice_link", "_notice", flagsEvent, ""},
	{"_notice_peer_connect", "_notice_peer_connect", 0, ""},
	{"_notice_peer_disconnect", "_notice_peer_disconnect", 0, ""},
	{"_notice_set", "_notice", flagsEvent, ""},
	{"_notice_unlink", "_notice", flagsEvent, ""},
	{"_request", "_request", flagsEvent, ""},
	{"_request_context_enter", "_request", flagsEvent, "[_source] asks to enter [_context]."},
	{"_request_context_leave", "_request", flagsEvent, ""},
	{"_request_frienship", "_request_frienship", 0, ""},
	{"_status", "_status", flagsAnswer, ""},
	{"_status_contexts_entered", "_status", flagsAnswer, ""},
	{"_status_hello", "_status", flagsAnswer, "[_hello]"},
	{"_warning", "_warning", flagsAnswer, ""},
}
