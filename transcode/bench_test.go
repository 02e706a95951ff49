package transcode_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

type named struct{ name, xml string }

// typical returns stanzas as servers send them to each other.
func typical(t testing.TB) []named {
	files, err := filepath.Glob("../internal/xmlscan/testdata/typical/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stanzas: %v", err)
	}
	var stanzas []named
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stanzas = append(stanzas, named{strings.TrimSuffix(filepath.Base(f), ".xml"), strings.TrimSpace(string(b))})
	}
	return append(stanzas, nativeDisco)
}

// nativeDisco is an answer that travels natively; the typical one has two identities.
var nativeDisco = named{"disco-native", `<iq type='result' id='d1' from='ann@north.example/desk' to='ben@south.example/phone'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/><feature var='urn:xmpp:ping'/><feature var='urn:xmpp:receipts'/></query></iq>`}

// BenchmarkRoundTrip converts a stanza to a packet and that to a stanza. To be measured against BenchmarkETree.
func BenchmarkRoundTrip(b *testing.B) {
	for _, bench := range typical(b) {
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
	for _, bench := range typical(b) {
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
