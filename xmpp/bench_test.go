package xmpp

import (
	"testing"

	"github.com/beevik/etree"
)

// BenchmarkStanza reads a stanza off a stream and writes it again.
func BenchmarkStanza(b *testing.B) {
	for name, doc := range typical(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			r := newFragmentReader(&endless{stanza: string(doc)}, Limits{}, NSServer)
			var out []byte
			for b.Loop() {
				e, err := r.next()
				if err != nil {
					b.Fatal(err)
				}
				s, err := r.stanza(e)
				if err != nil {
					b.Fatal(err)
				}
				out = s.Append(out[:0])
			}
		})
	}
}

// BenchmarkTree scans a stanza and makes a tree of it; BenchmarkTreeOfEtree lets etree do both.
func BenchmarkTree(b *testing.B) {
	for name, doc := range typical(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			r := newFragmentReader(&endless{stanza: string(doc)}, Limits{}, NSServer)
			for b.Loop() {
				e, err := r.next()
				if err != nil {
					b.Fatal(err)
				}
				e.Tree()
			}
		})
	}
}

func BenchmarkTreeOfEtree(b *testing.B) {
	for name, doc := range typical(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := etree.NewDocument().ReadFromBytes(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
