package xmpp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/switchyard-im/switchyard/internal/shared"
)

// An entry is one line of a corpus.
type entry struct {
	ID     string
	Expect string
	Level  string
	XML    []byte
}

// corpus reads one of the shared corpora, and skips the test where there is none.
func corpus(t *testing.T, name string) []entry {
	lines := bufio.NewScanner(shared.Open(t, "corpus/"+name+".jsonl"))
	lines.Buffer(nil, 8<<20)
	var entries []entry
	for lines.Scan() {
		var e struct {
			ID, Expect, Level, XML string
			B64                    []byte `json:"xml_b64"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.B64 == nil {
			e.B64 = []byte(e.XML)
		}
		entries = append(entries, entry{e.ID, e.Expect, e.Level, e.B64})
	}
	if err := lines.Err(); err != nil || len(entries) == 0 {
		t.Fatalf("%s: %d entries, %v", name, len(entries), err)
	}
	return entries
}

// decode returns everything that a decoder yields.
func decode(r io.Reader) (stanzas []*Stanza, errs []error) {
	for s, err := range NewDecoder(r).Stanzas() {
		if s != nil {
			stanzas = append(stanzas, s.Clone())
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return stanzas, errs
}

// conditions are the stream errors that answer the levels of the corpus.
var conditions = map[string][]Condition{
	"xml":        {NotWellFormed, RestrictedXML},
	"ns":         {NotWellFormed, BadNamespacePrefix},
	"encoding":   {UnsupportedEncoding, InvalidXML},
	"restricted": {RestrictedXML},
	"stream":     {InvalidXML, UnsupportedStanzaType, NotWellFormed},
}

func TestTorture(t *testing.T) {
	for _, e := range corpus(t, "torture") {
		stanzas, errs := decode(bytes.NewReader(e.XML))
		err := errors.Join(errs...)
		var stream *StreamError
		var stanza *StanzaError
		switch {
		case len(stanzas) == 1 && (err == nil || errors.As(err, &stanza)):
			if e.Expect == "refuse" || e.Expect == "incomplete" || e.Expect == "nonza" {
				t.Errorf("%s: accepted", e.ID)
			}
			if stanza != nil && !strings.HasPrefix(e.Expect, "stanza-error") {
				t.Errorf("%s: %v", e.ID, err)
			}
			sameStanza(t, e.ID, e.XML, stanzas[0])
		case e.Expect == "refuse" && e.Level != "stanza":
			if errors.Is(err, io.ErrUnexpectedEOF) {
				continue // for want of an end
			}
			if !errors.As(err, &stream) || !slices.Contains(conditions[e.Level], stream.Condition) {
				t.Errorf("%s (%s): %v", e.ID, e.Level, err)
			}
		case e.Expect == "incomplete":
			if len(stanzas) > 0 || err != nil && err != io.ErrUnexpectedEOF && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %d stanzas, %v", e.ID, len(stanzas), err)
			}
		case e.Expect == "roundtrip-or-policy-violation" && errors.Is(err, PolicyViolation):
		case e.Expect == "roundtrip-or-refuse" && errors.Is(err, NotWellFormed):
		case e.Expect == "nonza" && len(stanzas) == 0:
		case e.Expect == "any":
		default:
			t.Errorf("%s: want %s, got %d stanzas, %v", e.ID, e.Expect, len(stanzas), err)
		}
	}
}

func TestExamplesOfXEPs(t *testing.T) {
	for _, e := range corpus(t, "xep") {
		stanzas, errs := decode(bytes.NewReader(e.XML))
		var stanza *StanzaError
		if err := errors.Join(errs...); len(stanzas) != 1 || err != nil && !errors.As(err, &stanza) {
			t.Errorf("%s: %d stanzas, %v", e.ID, len(stanzas), err)
			continue
		}
		sameStanza(t, e.ID, e.XML, stanzas[0])
	}
}

func TestMalformed(t *testing.T) {
	for _, e := range corpus(t, "malformed") {
		if stanzas, errs := decode(bytes.NewReader(e.XML)); len(stanzas) > 0 || len(errs) != 1 {
			t.Errorf("%s: %d stanzas, %v", e.ID, len(stanzas), errs)
		}
	}
}

// First-level elements that are no stanzas are read by the same reader, with or without a header.
func TestNonStanzas(t *testing.T) {
	const header = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'>"
	for _, e := range corpus(t, "nonstanzas") {
		decode(bytes.NewReader(e.XML))
		for _, prefix := range []string{"", header} {
			r := newReader(iotest.OneByteReader(strings.NewReader(prefix+string(e.XML))), Limits{})
			if _, err := r.header(); err != nil {
				continue
			}
			for {
				el, err := r.next()
				if err != nil {
					break
				}
				r.stanza(el)
				el.Name()
				el.Text()
				el.Tree()
			}
		}
	}
}

// What arrives byte by byte is what arrives at once.
func TestSplitCorpus(t *testing.T) {
	for _, e := range corpus(t, "torture") {
		if len(e.XML) > 20_000 {
			continue
		}
		want, wantErrs := decode(bytes.NewReader(e.XML))
		got, gotErrs := decode(iotest.OneByteReader(bytes.NewReader(e.XML)))
		if len(got) != len(want) || len(gotErrs) != len(wantErrs) {
			t.Errorf("%s: %d stanzas, %v; byte by byte %d, %v", e.ID, len(want), wantErrs, len(got), gotErrs)
			continue
		}
		for i := range got {
			if !equal(got[i], want[i]) {
				t.Errorf("%s: got %q, want %q", e.ID, got[i].Append(nil), want[i].Append(nil))
			}
		}
	}
}

// equal reports whether two stanzas have the same fields, in any order of Attrs, and the same bytes as children.
func equal(a, b *Stanza) bool {
	sorted := func(attrs []Attr) []Attr {
		return slices.SortedFunc(slices.Values(attrs), func(a, b Attr) int { return strings.Compare(a.Name, b.Name) })
	}
	return a.Kind == b.Kind && a.Type == b.Type && a.ID == b.ID && a.From == b.From && a.To == b.To && a.Lang == b.Lang &&
		a.Space == b.Space && a.Prefix == b.Prefix && slices.Equal(sorted(a.Attrs), sorted(b.Attrs)) && bytes.Equal(a.Raw(), b.Raw())
}

// sameStanza fails if s is not the stanza in doc: it writes it, reads it again, and compares both by encoding/xml.
func sameStanza(t *testing.T, id string, doc []byte, s *Stanza) {
	t.Helper()
	out := s.Append(nil)
	want, err := stdTree(doc)
	if err != nil {
		t.Errorf("%s: encoding/xml: %v", id, err)
		return
	}
	if got, err := stdTree(out); err != nil || got != want {
		t.Errorf("%s: %v: got\n%.300s, want\n%.300s", id, err, got, want)
	}
	if !bytes.Contains(doc, s.Raw()) {
		t.Errorf("%s: other children: %q", id, s.Raw())
	}
	if again, errs := decode(bytes.NewReader(out)); len(again) != 1 || !equal(again[0], s) {
		t.Errorf("%s: %q is another stanza: %v", id, out, errs)
	}
	if c, errs := decode(bytes.NewReader(s.AppendFor(nil, NSServer))); len(c) != 1 {
		t.Errorf("%s: for servers: %v", id, errs)
	}
	tree := s.Tree()
	c := s.Clone()
	if err := c.SetTree(tree); err != nil {
		t.Errorf("%s: SetTree: %v", id, err)
	} else if got, err := stdTree(c.Append(nil)); err != nil || got != want {
		t.Errorf("%s: tree there and back, %v: got\n%.300s, want\n%.300s", id, err, got, want)
	}
}

var spaces = strings.NewReplacer("\t", " ", "\r\n", " ", "\n", " ", "\r", " ")

// stdTree writes what encoding/xml reads in doc, inside a stream. encoding/xml leaves white space in attribute values alone, those of
// namespaces included; all of it becomes spaces here.
func stdTree(doc []byte) (string, error) {
	const head = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'>"
	d := xml.NewDecoder(io.MultiReader(strings.NewReader(head), bytes.NewReader(bytes.Trim(doc, " \t\r\n")), strings.NewReader("</stream:stream>")))
	var b strings.Builder
	var text []byte
	for {
		token, err := d.Token()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		if t, ok := token.(xml.CharData); ok {
			text = append(text, t...)
			continue
		}
		fmt.Fprintf(&b, "%q", text)
		text = text[:0]
		switch t := token.(type) {
		case xml.StartElement:
			var attrs []string
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
					attrs = append(attrs, fmt.Sprintf(" {%s}%s=%q", spaces.Replace(a.Name.Space), a.Name.Local, spaces.Replace(a.Value)))
				}
			}
			slices.Sort(attrs)
			fmt.Fprintf(&b, "<{%s}%s%s>", spaces.Replace(t.Name.Space), t.Name.Local, strings.Join(attrs, ""))
		case xml.EndElement:
			b.WriteString("</>")
		}
	}
}
