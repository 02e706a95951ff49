package transcode

import (
	"bytes"
	"strconv"

	"github.com/switchyard-im/switchyard/psyc"
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
	{"_request_version", "jabber:iq:version", "query", false},
	{"_request_description_time", "jabber:iq:last", "query", false},
	{"_request_description_vCard", "vcard-temp", "vCard", false},
	{"_request_list_feature", "http://jabber.org/protocol/disco#info", "query", true},
	{"_request_list_item", "http://jabber.org/protocol/disco#items", "query", true},
}

// iq writes a request that PSYC has a word for; it reports false for all others. Answers are none of these, because an
// empty result does not say what was asked.
func (w *writer) iq(s *xmpp.Stanza, f form) bool {
	if s.Type != "get" || !plain(s.ID, maxTag) {
		return false
	}
	var child xmpp.Element
	n := 0
	for e := range s.Children() {
		child = e
		n++
	}
	if n != 1 {
		return false
	}
	name := child.Name()
	for i := range requests {
		r := &requests[i]
		if r.space != name.Space || r.local != name.Local {
			continue
		}
		node, _ := child.Attr("node")
		if !r.node || !plain(node, maxValue) {
			node = ""
		}
		raw := s.Raw()
		w.skel = r.usual(w.skel[:0], []byte(node))
		usual := bytes.Equal(raw, w.skel)
		if f.plain && !usual {
			return false // what is left would ask for something else
		}
		w.p.Method = r.method
		if node != "" {
			w.set(varFragment, node)
		}
		if !usual {
			w.xml(raw, f)
		}
		return true
	}
	return false
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

// A result is an answer of PSYC that tells what it answers.
type result struct {
	method string
	write  func(dst []byte, p *psyc.Packet) []byte
}

var results = [...]result{
	{"_echo_ping", func(dst []byte, _ *psyc.Packet) []byte { return dst }},
	{"_status_version", versionResult},
	{"_status_description_time", lastResult},
}

// versionResult appends the answer of XEP-0092.
func versionResult(dst []byte, p *psyc.Packet) []byte {
	dst = append(dst, "<query xmlns='jabber:iq:version'>"...)
	for _, part := range [...]struct{ name, variable string }{
		{"name", "_version_description"}, {"version", "_version"},
	} {
		if v := p.Entity.Get(part.variable); len(v) > 0 {
			dst = append(append(append(dst, '<'), part.name...), '>')
			dst = appendText(dst, v, usualEscaping)
			dst = append(append(append(dst, "</"...), part.name...), '>')
		}
	}
	return append(dst, "</query>"...)
}

// lastResult appends the answer of XEP-0012.
func lastResult(dst []byte, p *psyc.Packet) []byte {
	dst = append(dst, "<query xmlns='jabber:iq:last' seconds='"...)
	n, err := p.Entity.Get("_time_idle").Int()
	if err != nil || n < 0 {
		n = 0
	}
	return append(strconv.AppendInt(dst, n, 10), "'/>"...)
}
