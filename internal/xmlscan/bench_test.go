package xmlscan

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"
)

func TestScanAllocatesNothing(t *testing.T) {
	for name, b := range typical(t) {
		s := newScanner()
		if n := testing.AllocsPerRun(100, func() {
			if _, _, err := s.Next(b); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	for name, doc := range typical(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			s := newScanner()
			for b.Loop() {
				if _, _, err := s.Next(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStd(b *testing.B) {
	for name, doc := range typical(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				d := xml.NewDecoder(bytes.NewReader(doc))
				for {
					if _, err := d.Token(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
