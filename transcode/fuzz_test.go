package transcode_test

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// converters are one per syntax, used again and again as a link does.
func converters() []*transcode.Converter {
	return []*transcode.Converter{{Syntax: psyc.PSYC10}, {Syntax: psyc.PSYC09}}
}

// checkStanza sends xml there and back in both syntaxes. It reports whether xml is a stanza.
func checkStanza(t *testing.T, xml []byte, convs []*transcode.Converter) bool {
	t.Helper()
	s, err := xmpp.Parse(xml)
	if s == nil || err != nil {
		return false
	}
	want := s.Append(nil)
	for _, conv := range convs {
		back, p, err := over(t, conv, s)
		if err != nil {
			t.Fatalf("%s: %s: %v", conv.Syntax, want, err)
		}
		if got := back.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("%s:\n got %s\nwant %s\nover %s", conv.Syntax, got, want, show(p))
		}
	}
	return true
}

// show returns p on the wire.
func show(p *psyc.Packet) string {
	b, err := p.Append(nil, psyc.PSYC10)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// FuzzStanza checks that every stanza comes back from a packet as it was.
func FuzzStanza(f *testing.F) {
	for _, s := range stanzaSeeds {
		f.Add([]byte(s))
	}
	convs := converters()
	f.Fuzz(func(t *testing.T, xml []byte) { checkStanza(t, xml, convs) })
}

// FuzzPacket checks that a packet gives a well-formed stanza or an error, and that the stanza gives the packet back.
func FuzzPacket(f *testing.F) {
	for _, p := range packetSeeds {
		f.Add([]byte(p))
	}
	here, there := new(transcode.Converter), new(transcode.Converter)
	f.Fuzz(func(t *testing.T, wire []byte) {
		var p psyc.Packet
		if n, err := p.Parse(wire, psyc.PSYC10); err != nil || n != len(wire) {
			return
		}
		checkPacket(t, &p, here, there)
	})
}

// checkPacket sends p through XMPP.
func checkPacket(t *testing.T, p *psyc.Packet, here, there *transcode.Converter) {
	t.Helper()
	s, err := here.Stanza(p)
	if err != nil {
		var refused *transcode.Error
		if !errors.As(err, &refused) || refused.Condition == "" || refused.Method == "" {
			t.Fatalf("%s: untyped error %v", show(p), err)
		}
		return
	}
	xml := s.Append(nil)
	again, err := xmpp.Parse(xml)
	if again == nil {
		t.Fatalf("%s\nbecame %s\nwhich is no stanza: %v", show(p), xml, err)
	}
	if err != nil || s.Kind == xmpp.IQ || !promised(p) {
		return
	}
	back, err := there.Packet(again)
	if err != nil {
		t.Fatalf("%s\nbecame %s\nwhich is no packet: %v", show(p), xml, err)
	}
	if got, want := essence(back), essence(p); got != want {
		t.Fatalf("got\n%s\nwant\n%s\nthrough %s", got, want, xml)
	}
}

// promised reports whether p is one of the packets that must come back: its addresses are canonical, its variables have no
// effect outside the conversation, it changes no state.
func promised(p *psyc.Packet) bool {
	for _, v := range p.Routing {
		switch v.Name {
		case "_source", "_target", "_context":
			u, err := uniform.Parse(string(v.Value))
			if len(v.Value) > 0 && (err != nil || u.String() != string(v.Value) || u.Scheme() != "psyc") {
				return false
			}
		case "_tag":
		default:
			return false
		}
		if v.Op != psyc.Set || len(v.Value) == 0 || len(p.Routing.Get(v.Name)) != len(v.Value) {
			return false
		}
	}
	tag := string(p.Routing.Get("_tag"))
	if p.Routing.Get("_context") != nil && p.Routing.Get("_source") != nil || len(tag) > 256 ||
		strings.Trim(tag, " ") != tag || strings.ToValidUTF8(tag, "") != tag ||
		strings.ContainsFunc(tag, func(r rune) bool { return r < ' ' || r >= 0x7F && r < 0xA0 }) {
		return false
	}
	if p.State != 0 {
		return false
	}
	for _, v := range p.Entity {
		if v.Op != psyc.Set || strings.HasPrefix(v.Name, "_list_audience") || strings.HasPrefix(v.Name, "_check") {
			return false
		}
		switch v.Name {
		case "_source_identification", "_source_relay_relay", "_target_forward", "_count", "_length", "_using_modules",
			"_understand_modules", "_audience", "_tag_reply", "_resource_source", "_resource_target":
			return false
		}
		if psyc.RoutingVariable(v.Name) {
			return false
		}
	}
	for _, m := range []string{
		"_notice_circuit", "_status_circuit", "_request_circuit", "_request_authorization",
		"_status_authorization", "_error_authorization", "_request_features", "_notice_session", "_status_session",
		"_request_session", "_status_acknowledgement",
	} {
		if psyc.Inherits(p.Method, m) {
			return false
		}
	}
	return true
}

// unabridged writes the abbreviations of a skeleton out: which of them are used makes no difference.
var unabridged = strings.NewReplacer(
	"\x07", " xmlns='http://jabber.org/protocol/", "\x0B", " xmlns='urn:xmpp:", "\x0C", " xmlns='",
	"\x0E", "http://jabber.org/protocol/", "\x0F", "urn:xmpp:", "\x10", "<body>\x01</body>", "\x11", "'/>", "\x12", "' id='",
)

// essence returns what has to be the same of two packets, for comparing and showing.
func essence(p *psyc.Packet) string {
	q := psyc.Packet{Method: p.Method, Body: p.Body}
	for _, v := range p.Routing {
		if v.Name != "_tag_relay" {
			q.Routing = append(q.Routing, v)
		}
	}
	for _, v := range p.Entity {
		if psyc.Inherits(v.Name, "_INTERNAL") {
			continue
		}
		if v.Name == "_jabber_XML" {
			v.Value = psyc.Value(unabridged.Replace(string(v.Value)))
		}
		q.Entity = append(q.Entity, v)
	}
	for _, vars := range []psyc.Vars{q.Routing, q.Entity} {
		slices.SortStableFunc(vars, func(a, b psyc.Var) int { return cmp.Compare(a.Name, b.Name) })
	}
	return show(&q)
}
