package transcode_test

import (
	"io"
	"testing"

	"github.com/beevik/etree"

	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

var benchmarks = []struct{ name, xml string }{
	{"chat", `<message from='ann@north.example/desk' to='ben@south.example/phone' type='chat' id='224e5ebd-25b6-b5cf' xml:lang='en'><body>shall we meet at nine, then?</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='224e5ebd-25b6-b5cf'/></message>`},
	{"presence", `<presence from='ann@north.example/desk' to='ben@south.example'><show>away</show><status>out</status><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://client.example/' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>`},
	{"iq", `<iq type='result' id='d1' from='ann@north.example/desk' to='ben@south.example/phone'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/><feature var='urn:xmpp:ping'/><feature var='urn:xmpp:receipts'/></query></iq>`},
}

// BenchmarkRoundTrip converts a stanza to a packet and that to a stanza. To be measured against BenchmarkETree.
func BenchmarkRoundTrip(b *testing.B) {
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			var here, there transcode.Converter
			s, err := xmpp.Parse([]byte(bench.xml))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(bench.xml)))
			b.ReportAllocs()
			for b.Loop() {
				p, err := here.Packet(s)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := there.Stanza(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkETree reads and writes the same stanzas with etree.
func BenchmarkETree(b *testing.B) {
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.xml)))
			b.ReportAllocs()
			for b.Loop() {
				doc := etree.NewDocument()
				if err := doc.ReadFromBytes([]byte(bench.xml)); err != nil {
					b.Fatal(err)
				}
				if _, err := doc.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
