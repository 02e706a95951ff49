package xmpp

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/switchyard-im/switchyard/uniform"
)

// typical returns stanzas as they occur, by name.
func typical(t testing.TB) map[string][]byte {
	files, err := filepath.Glob("../internal/xmlscan/testdata/typical/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stanzas: %v", err)
	}
	stanzas := make(map[string][]byte)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stanzas[filepath.Base(f)] = b
	}
	return stanzas
}

// FuzzStanza checks that what is written reads as the same stanza, also by way of a clone and of a tree.
func FuzzStanza(f *testing.F) {
	for _, b := range typical(f) {
		f.Add(b)
	}
	for _, s := range []string{
		"<message to='Juliet@CAPULET.example' type='' id='&#9;'>1<body>&#13;<![CDATA[<]]></body></message>",
		"<c:message xmlns:c='jabber:client' xmlns='urn:o' e:to='x' xmlns:e='urn:e'><body/><c:body xmlns:c='jabber:client'/></c:message>",
		"<message><x xmlns='urn:x' type='db:verify'/></message>",
		"<message to='@' from='a b@c'><body xmlns='jabber:server'/></message>",
		"<iq type='ask' xml:lang=''/>",
		"<message xmlns='jabber:client'><body xmlns='jabber:client'/></message>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		var stanza *StanzaError
		if err != nil && !errors.As(err, &stanza) {
			return
		}
		out := s.Append(nil)
		again, againErr := Parse(out)
		if again == nil || (err == nil) != (againErr == nil) || !equal(again, s) {
			t.Fatalf("%q is written as %q: %v", b, out, againErr)
		}
		if !equal(s.Clone(), s) || !bytes.Equal(s.Clone().Append(nil), out) {
			t.Fatalf("%q: the clone is %q", b, s.Clone().Append(nil))
		}
		var buffer StanzaBuffer
		buffer.Copy(&Stanza{Attrs: []Attr{{"a", "b"}}})
		if c := buffer.Copy(s); !equal(c, s) || !bytes.Equal(c.Append(nil), out) {
			t.Fatalf("%q: the copy is %q", b, c.Append(nil))
		}
		for _, space := range []string{NSServer, NSClient, NSAccept} {
			there, err := Parse(append([]byte(nil), s.AppendFor(nil, space)...))
			if there == nil {
				t.Fatalf("%q in %s: %q: %v", b, space, s.AppendFor(nil, space), err)
			}
		}
		tree := s.Clone()
		if err := tree.SetTree(s.Tree()); err != nil {
			t.Fatalf("%q: tree: %v", b, err)
		}
		want, _ := stdTree(out)
		if got, err := stdTree(tree.Append(nil)); err != nil || got != want {
			t.Fatalf("%q: tree there and back is %q: %v", b, tree.Append(nil), err)
		}
		s.SetText("body", "x")
		if again, _ := Parse(s.Append(nil)); again == nil || s.Text("body") != "x" || again.Text("body") != "x" {
			t.Fatalf("%q: with a body %q", b, s.Append(nil))
		}
	})
}

// FuzzFields checks that whatever the fields hold is written as a stanza.
func FuzzFields(f *testing.F) {
	f.Add("chat", "1", "en", "", "x", "y", "xmlns:p", "urn:p", "text")
	f.Add("'", "\x00", "\xff", "c", "c:a", "1", "xmlns:c", "urn:c", "]]>\r")
	f.Add("", "", "", "p:q", "from", "a@B", "xmlns", "urn:x", "")
	f.Add("", "", "", "xml", "xmlns:xml", "http://www.w3.org/XML/1998/namespace", "xml:lang", "", "")
	f.Fuzz(func(t *testing.T, typ, id, lang, prefix, n1, v1, n2, v2, text string) {
		from, _ := uniform.RelayJID(v1)
		s := Stanza{Kind: Message, Type: typ, ID: id, Lang: lang, Prefix: prefix, From: from, Attrs: []Attr{{n1, v1}, {n2, v2}}}
		for range 2 {
			out := s.Append(nil)
			var stanza *StanzaError
			if _, err := Parse(out); err != nil && !errors.As(err, &stanza) && !errors.Is(err, PolicyViolation) {
				t.Fatalf("%+v: %q: %v", s, out, err)
			}
			s.SetText("body", text)
		}
	})
}
