package transcode

import (
	"bytes"

	"github.com/switchyard-im/switchyard/xmpp"
)

// A request is a question that both protocols have a word for.
type request struct {
	method       string
	space, local string // of the only child
	node         bool   // whether the child's attribute node is _target_fragment
}

var requests = [...]request{
	{"_request_ping", "urn:xmpp:ping", "ping", false},
	{"_request_version", nsVersion, "query", false},
	{"_request_description_time", nsLast, "query", false},
	{"_request_time", nsTime, "time", false},
	{"_request_description_vCard", nsVCard, "vCard", false},
	{"_request_list_feature", nsDiscoInfo, "query", true},
	{"_request_list_item", nsDiscoItems, "query", true},
}

// iq writes what PSYC has a word for; it reports false for all others, and for an empty result, which does not say what was
// asked.
func (w *writer) iq(s *xmpp.Stanza, f form) bool {
	if !plain(s.ID, maxTag) {
		return false
	}
	switch s.Type {
	case "get":
		return w.request(s, f)
	case "set", "result":
		return w.payload(s, f)
	case "error":
		return w.failure(s, f)
	}
	return false
}

// payload writes an answer or a command whose only child is nothing but what variables say. To a plain peer, which would
// make nothing of the child, it says what it can.
func (w *writer) payload(s *xmpp.Stanza, f form) bool {
	n := len(w.p.Entity)
	if !f.plain && bytes.IndexByte(s.Raw(), '\n') >= 0 {
		return false // it is laid out for eyes, which no variable says
	}
	for e := range s.Children() {
		t := termOf(e, stanzaSpace(s))
		if t == nil {
			return false
		}
		method := w.speak(s, &child{t, e}, f)
		if method == "" {
			return false
		}
		w.skel = phraseOf(method).usual(w.skel[:0], w.words(method, s))
		if !f.plain && !bytes.Equal(w.skel, s.Raw()) {
			w.p.Entity = w.p.Entity[:n]
			return false
		}
		w.p.Method = method
		return true
	}
	return false
}

// request writes a question that PSYC has a word for.
func (w *writer) request(s *xmpp.Stanza, f form) bool {
	var child xmpp.Element
	n := 0
	for e := range s.Children() {
		child = e
		n++
	}
	if n != 1 {
		return false
	}
	for i := range requests {
		r := &requests[i]
		if !child.Is(r.space, r.local) {
			continue
		}
		node, _ := child.Attr("node")
		if !r.node || !plain(node, maxValue) {
			node = ""
		}
		raw := s.Raw()
		w.skel = r.usual(w.skel[:0], []byte(node))
		usual := bytes.Equal(raw, w.skel)
		if f.plain && !usual && !empties(child, node) {
			return false // what is left would ask for something else
		}
		w.p.Method = r.method
		if node != "" {
			w.set(varFragment, node)
		}
		if !usual && !f.plain {
			w.xml(raw, f)
		}
		return true
	}
	return false
}

// empties reports whether a request is nothing but its name and its node, however it is spelt.
func empties(child xmpp.Element, node string) bool {
	for a := range child.Attrs() {
		if a.Name != "xmlns" && !(a.Name == "node" && a.Value == node) {
			return false
		}
	}
	return len(bytes.TrimSpace(child.Inner())) == 0
}

// usual appends the child of a request whose variables say it all.
func (r *request) usual(dst, node []byte) []byte {
	dst = append(append(append(dst, '<'), r.local...), " xmlns='"...)
	dst = append(append(dst, r.space...), '\'')
	if len(node) > 0 {
		dst = xmpp.AppendValue(append(dst, " node='"...), string(node))
		dst = append(dst, '\'')
	}
	return append(dst, "/>"...)
}

// usualNothing is the content of an answer that says no more than that it is one.
func usualNothing(dst []byte, _ *words) []byte { return dst }
