package transcode

import "github.com/switchyard-im/switchyard/xmpp"

// A profile of a person (XEP-0054) has more to it than PSYC has words for; a vCard of these parts alone has them all.
const (
	methodProfile = "_status_description_person"

	nsVCard = "vcard-temp"
)

// profileParts are parts of a vCard in the order in which they are written.
var profileParts = []part{
	{"FN", "_name_public"},
	{"NICKNAME", varNick},
	{"URL", "_page_public"},
	{"BDAY", "_birthday"},
	{"TITLE", "_name_title"},
	{"ROLE", "_name_role"},
	{"JABBERID", "_identification_scheme_XMPP"},
	{"DESC", "_description_public"},
}

func sayProfile(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	if s.Type != "result" {
		return ""
	}
	w.sayParts(profileParts, nsVCard, e, f)
	if email, ok := e.Child(nsVCard, "EMAIL"); ok && f.plain {
		address, _ := email.Child(nsVCard, "USERID")
		w.say("_identification_scheme_mailto", address.Text(), f)
	}
	return methodProfile
}

func usualProfile(dst []byte, w *words) []byte {
	n := len(dst)
	dst = append(dst, "<vCard xmlns='"+nsVCard+"'>"...)
	open := len(dst)
	dst = w.parts(dst, profileParts)
	if mail := w.get("_identification_scheme_mailto"); len(mail) > 0 {
		dst = append(leaf(append(dst, "<EMAIL>"...), "USERID", mail), "</EMAIL>"...)
	}
	if len(dst) == open {
		return append(dst[:n], "<vCard xmlns='"+nsVCard+"'/>"...)
	}
	return append(dst, "</vCard>"...)
}
