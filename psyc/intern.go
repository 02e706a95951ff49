package psyc

// Names and methods are strings, but few different ones occur: a parser finds them in what the packet before held
// at the same place, then here, and allocates only for those that it meets for the first time.

// knownNames are shared by all parsers and never change after initialisation.
var knownNames = func() *[knownSlots]string {
	var t [knownSlots]string
	for _, s := range wellKnown {
		h := nameHash(s) % knownSlots
		for t[h] != "" {
			h = (h + 1) % knownSlots
		}
		t[h] = s
	}
	return &t
}()

const (
	knownSlots  = 1024 // several times the number of names, so that probes are short
	maxInterned = 64   // bytes; longer names are not worth keeping
)

// names are those that one decoder met.
type names struct {
	// table has one name to a slot: a newer one evicts an older one, so that a peer can waste time but no memory.
	table [128]string
	// last has the names of the variables of the packet before, in order.
	last   [16]string
	method string // of the packet before
}

func nameHash[T string | []byte](s T) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h ^ h>>15
}

// intern returns b as a string; d may be nil.
func (d *names) intern(b []byte) string {
	if len(b) > maxInterned {
		return string(b)
	}
	h := nameHash(b)
	for i := h % knownSlots; knownNames[i] != ""; i = (i + 1) % knownSlots {
		if knownNames[i] == string(b) {
			return knownNames[i]
		}
	}
	if d == nil {
		return string(b)
	}
	slot := &d.table[h%uint32(len(d.table))]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}

// wellKnown are the names and methods of the PSYC specification and of psyced that are met daily.
var wellKnown = [...]string{
	"_source", "_target", "_context", "_source_relay", "_target_relay", "_tag", "_tag_relay", "_tag_reply",
	"_counter", "_fragment", "_amount_fragments", "_length", "_count", "_source_identification",
	"_source_relay_relay", "_target_forward", "_target_peer", "_understand_modules", "_using_modules",

	"_action", "_action_possessive", "_available_characters", "_available_hashes", "_available_protocols", "_color",
	"_degree_availability", "_degree_mood", "_description", "_description_motto", "_description_presence", "_duty",
	"_flag", "_host", "_host_IP", "_identification", "_implementation", "_jabber_XML", "_jabber_attributes",
	"_key_public", "_language", "_list_audience", "_list_members", "_list_members_nicks",
	"_list_understand_modules", "_location", "_method_relay", "_data_relay", "_name", "_nick", "_nick_local",
	"_nick_place", "_nick_target", "_page", "_page_description", "_reason", "_resource_source", "_resource_target",
	"_subject", "_time_idle", "_time_log", "_time_place", "_topic", "_understand_protocols", "_understand_schemes",
	"_uniform", "_uniform_source", "_uniform_target", "_using_characters", "_using_protocols", "_version",
	"_version_description",

	"_data", "_echo", "_echo_context_enter", "_echo_context_leave", "_echo_hello", "_echo_history", "_echo_ping",
	"_echo_place_enter", "_error", "_error_illegal_uniform", "_error_invalid_host", "_error_invalid_syntax",
	"_error_invalid_uniform", "_error_invalid_uniform_source", "_error_invalid_uniform_target",
	"_error_necessary_membership", "_error_rejected_relay_incoming", "_error_unknown_name_user", "_failure",
	"_failure_filter_strangers", "_failure_unsuccessful_delivery", "_failure_unsupported_function_root",
	"_failure_unsupported_relay", "_info", "_jabber_iq_error", "_jabber_iq_get", "_jabber_iq_result",
	"_jabber_iq_set", "_jabber_message", "_jabber_presence", "_message", "_message_action", "_message_echo_private",
	"_message_private", "_message_public", "_notice", "_notice_circuit_established", "_notice_context_enter",
	"_notice_context_leave", "_notice_friendship_established", "_notice_friendship_removed",
	"_notice_friendship_removed_implied", "_notice_link", "_notice_place_enter", "_notice_place_enter_join",
	"_notice_place_leave", "_notice_presence_absent", "_notice_presence_away", "_notice_presence_away_manual",
	"_notice_presence_here", "_notice_unlink", "_request", "_request_authorization", "_request_circuit_shutdown",
	"_request_context_enter", "_request_context_leave", "_request_enter", "_request_examine", "_request_friendship",
	"_request_friendship_implied", "_request_history", "_request_leave", "_request_members", "_request_ping",
	"_request_status", "_request_status_person", "_request_version", "_status", "_status_authorization",
	"_status_circuit", "_status_description_person", "_status_person_absent", "_status_person_present",
	"_status_person_present_implied", "_status_place_members", "_status_place_topic", "_status_version", "_warning",
	"_warning_server_shutdown",
}
