package xmlscan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// typical returns stanzas as they occur, by name.
func typical(t testing.TB) map[string][]byte {
	files, err := filepath.Glob("testdata/typical/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stanzas: %v", err)
	}
	stanzas := make(map[string][]byte)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stanzas[strings.TrimSuffix(filepath.Base(f), ".xml")] = b
	}
	return stanzas
}

func seeds(f *testing.F) (docs [][]byte) {
	for _, b := range typical(f) {
		docs = append(docs, b)
	}
	for _, s := range splitInputs {
		docs = append(docs, []byte(s))
	}
	for _, s := range []string{
		"<p:a xmlns:p='u:1' p:b='' b=''><a xmlns=''/></p:a>", "<a xml:lang='&#9;'>&#x10FFFF;</a>", "<a b='c'\n/>", "<é:ü xmlns:é='·'/>",
		"<a><![CDATA[<![CDATA[]]]]><![CDATA[>]]></a >", "<a xmlns:b='u:&amp;' xmlns:c='u:&#38;'/>",
	} {
		docs = append(docs, []byte(s))
	}
	return docs
}

// checkIndex fails if the offsets of an index do not describe a tree within its bytes.
func checkIndex(t *testing.T, ix *Index) {
	t.Helper()
	var open []int32 // ends of the elements around the next one, in numbers
	for i := range ix.Elements {
		e := &ix.Elements[i]
		n := int32(i)
		for len(open) > 0 && open[len(open)-1] == n {
			open = open[:len(open)-1]
		}
		if e.Start >= e.Inner || e.Inner > e.InnerEnd || e.InnerEnd > e.End || int(e.End) > len(ix.Src) ||
			e.Next <= n || int(e.Next) > len(ix.Elements) || len(open) > 0 && e.Next > open[len(open)-1] ||
			ix.Src[e.Start] != '<' || ix.Src[e.End-1] != '>' || i > 0 && e.Start < ix.Elements[i-1].Inner {
			t.Fatalf("%q: element %d: %+v", ix.Src, i, *e)
		}
		open = append(open, e.Next)
	}
}

// FuzzScan compares with encoding/xml whatever the scanner accepts. What differs by design: encoding/xml does not normalise
// white space in attribute values.
func FuzzScan(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	spaces := strings.NewReplacer(`\t`, " ", `\n`, " ", `\r`, " ", "\t", " ", "\n", " ", "\r", " ")
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Scanner{Limits: generous}
		s.Enclose("", nil)
		found, n, err := s.Next(b)
		if err != nil || found != Whole {
			return
		}
		checkIndex(t, s.Index())
		want, err := dumpStd(string(b[:n]))
		if err != nil {
			t.Fatalf("%q: accepted, but encoding/xml says: %v", b[:n], err)
		}
		if got := dump(s.Index()); spaces.Replace(got) != spaces.Replace(want) {
			t.Fatalf("%q: got\n%s, encoding/xml has\n%s", b[:n], got, want)
		}
	})
}

// FuzzSplit compares what comes at once with what comes in pieces.
func FuzzSplit(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b, uint8(1))
		f.Add(b, uint8(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		whole, pieces := newScanner(), newScanner()
		found, n, err := whole.Next(b)
		gotFound, gotN, gotErr := next(pieces, b, func(i int) int { return i + 1 + int(step) })
		switch {
		case err != nil:
			// A tag is read when its end is there, so a fault in it may not have been seen yet.
			if gotErr == nil && gotFound != Partial {
				t.Fatalf("%q: %v, but in pieces accepted", b, err)
			}
		case gotErr != nil || gotFound != found || gotN != n:
			t.Fatalf("%q: %v, %d, but in pieces %v, %d, %v", b, found, n, gotFound, gotN, gotErr)
		case found == Whole && dump(pieces.Index()) != dump(whole.Index()):
			t.Fatalf("%q: %s\nbut in pieces\n%s", b, dump(whole.Index()), dump(pieces.Index()))
		}
	})
}

// FuzzContent checks that content means the same alone and inside an element.
func FuzzContent(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		content, inside := newScanner(), newScanner()
		err := content.Content(b)
		other := scanAll(inside, append(append([]byte("<a xmlns='jabber:client'>"), b...), "</a>"...))
		if (err == nil) != (other == nil) {
			t.Fatalf("%q: %v, but inside an element %v", b, err, other)
		}
	})
}
