package transcode

import (
	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// What people do while they write: chat states (XEP-0085), receipts (XEP-0184), corrections (XEP-0308).
const (
	methodTyping          = "_notice_typing" // and the name of the state
	methodReceived        = "_status_message_received"
	methodCorrected       = "_message_private_correction"
	methodCorrectedPublic = "_message_public_correction"

	varTagReceived  = "_tag_received"  // of the message that a receipt is about
	varTagCorrected = "_tag_corrected" // of the message that another replaces

	nsChatStates = "http://jabber.org/protocol/chatstates"
	nsReceipts   = "urn:xmpp:receipts"
	nsCorrect    = "urn:xmpp:message-correct:0"
)

// chatStates are the states and their methods.
var chatStates = [...]struct{ name, method string }{
	{"active", methodTyping + "_active"},
	{"composing", methodTyping + "_composing"},
	{"gone", methodTyping + "_gone"},
	{"inactive", methodTyping + "_inactive"},
	{"paused", methodTyping + "_paused"},
}

// silent reports whether s has a type that says chat and no text, which would be what matters.
func (w *writer) silent(s *xmpp.Stanza, typ string) bool {
	return s.Type == typ && !w.hasText
}

func sayChatState(w *writer, s *xmpp.Stanza, e xmpp.Element, _ form) string {
	if !w.silent(s, "chat") {
		return ""
	}
	for _, state := range chatStates {
		if e.Is(nsChatStates, state.name) {
			return state.method
		}
	}
	return ""
}

func usualChatState(dst []byte, w *words) []byte {
	name := "composing"
	for _, state := range chatStates {
		if psyc.Inherits(w.method, state.method) {
			name = state.name
		}
	}
	return append(append(append(dst, '<'), name...), " xmlns='"+nsChatStates+"'/>"...)
}

// sayReceipt is for profile peers: psyced shows a status that it does not know to its people.
func sayReceipt(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	id, _ := e.AttrBytes("id")
	if !w.silent(s, "chat") || f.plain || !plain(id, maxTag) {
		return ""
	}
	w.sayBytes(varTagReceived, id, f)
	return methodReceived
}

func usualReceipt(dst []byte, w *words) []byte {
	return append(attribute(append(dst, "<received xmlns='"+nsReceipts+"'"...), "id", w.get(varTagReceived)), "/>"...)
}

func sayCorrection(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	id, _ := e.AttrBytes("id")
	if !plain(id, maxTag) || len(s.Text("body")) == 0 {
		return ""
	}
	method := ""
	switch s.Type {
	case "chat":
		method = methodCorrected
	case "groupchat":
		method = methodCorrectedPublic
	default:
		return ""
	}
	w.sayBytes(varTagCorrected, id, f)
	return method
}

func usualCorrection(dst []byte, w *words) []byte {
	return append(attribute(append(dst, "<replace"...), "id", w.get(varTagCorrected)), " xmlns='"+nsCorrect+"'/>"...)
}
