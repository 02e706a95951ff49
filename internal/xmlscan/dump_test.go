package xmlscan

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// dump writes what an index says, in a form in which equal means the same information: expanded names, attributes in
// alphabetical order without declarations, decoded text.
func dump(ix *Index) string {
	var b strings.Builder
	dumpElement(&b, ix, 0)
	return b.String()
}

func dumpElement(b *strings.Builder, ix *Index, n int32) {
	e := &ix.Elements[n]
	name := ""
	if e.Name > 0 { // the element around content has none
		name = string(ix.Local(e))
	}
	fmt.Fprintf(b, "<{%s}%s", ix.Space(e.Space), name)
	var attrs []string
	for i := range ix.AttrsOf(e) {
		a := &ix.AttrsOf(e)[i]
		if _, ok := ix.Declares(a); !ok {
			attrs = append(attrs, fmt.Sprintf(" {%s}%s=%q", ix.Space(a.Space), ix.AttrLocal(a), ix.Value(a)))
		}
	}
	slices.Sort(attrs)
	b.WriteString(strings.Join(attrs, "") + ">")
	var text []byte
	at := e.Inner
	for i := n + 1; i < e.Next; i = ix.Elements[i].Next {
		child := &ix.Elements[i]
		text = AppendText(text[:0], ix.Src[at:child.Start])
		fmt.Fprintf(b, "%q", text)
		dumpElement(b, ix, i)
		at = child.End
	}
	fmt.Fprintf(b, "%q</>", AppendText(text[:0], ix.Src[at:e.InnerEnd]))
}

// dumpStd is dump by encoding/xml, for one document.
func dumpStd(doc string) (string, error) {
	d := xml.NewDecoder(strings.NewReader(doc))
	var b strings.Builder
	text := ""
	depth := 0
	for {
		t, err := d.Token()
		if err == io.EOF && depth == 0 {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth > 0 {
				fmt.Fprintf(&b, "%q", text)
			}
			text = ""
			depth++
			fmt.Fprintf(&b, "<{%s}%s", t.Name.Space, t.Name.Local)
			var attrs []string
			for _, a := range t.Attr {
				if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
					continue
				}
				attrs = append(attrs, fmt.Sprintf(" {%s}%s=%q", a.Name.Space, a.Name.Local, a.Value))
			}
			slices.Sort(attrs)
			b.WriteString(strings.Join(attrs, "") + ">")
		case xml.EndElement:
			depth--
			fmt.Fprintf(&b, "%q</>", text)
			text = ""
		case xml.CharData:
			text += string(t)
		}
	}
}

// generous are limits that nothing in the tests reaches by accident.
var generous = Limits{Depth: 300, Elements: 20000, Attrs: 100, Bindings: 600, Name: 1000, Namespace: 1000}

// newScanner returns a scanner inside <stream:stream xmlns='jabber:client' ...>.
func newScanner() *Scanner {
	s := &Scanner{Limits: generous}
	s.Enclose("jabber:client", []Declaration{{"stream", "http://etherx.jabber.org/streams"}})
	return s
}

// scanAll scans b as one element with nothing behind it.
func scanAll(s *Scanner, b []byte) error {
	found, n, err := s.Next(b)
	switch {
	case err != nil:
		return err
	case found == Partial:
		return io.ErrUnexpectedEOF
	case n != len(b):
		return fmt.Errorf("ends at %d of %d bytes", n, len(b))
	}
	return nil
}
