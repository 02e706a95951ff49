package xmlscan

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
)

// unlimited are limits beyond what a document of the size that the fuzzer makes can reach.
var unlimited = Limits{
	Depth: math.MaxInt32, Elements: math.MaxInt32, Attrs: math.MaxUint16, Bindings: math.MaxInt32, Name: math.MaxUint16, Namespace: math.MaxInt32,
}

// maxExpatDocument is well below math.MaxUint16, the length of a name that no limit of ours admits.
const maxExpatDocument = 20_000

// FuzzExpat compares with expat, the parser that most XMPP servers read with, over whole streams: what expat refuses is
// refused, what is refused beyond that is something that is not allowed on a stream, and what both accept is the same tree.
func FuzzExpat(f *testing.F) {
	expat := rig.Expat(f)
	for _, b := range seeds(f) {
		f.Add([]byte(streamStart+string(b)+streamEnd), []byte(nil))
	}
	for _, s := range []string{
		"<?xml version='1.0'?>" + streamStart + " \r\n" + streamEnd,
		"<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<s:stream xmlns:s='u'><a/> <s:b/></s:stream >",
		"<?xml version='1.1'?><a></a>", "<?xml version='1.0' encoding='us-ascii'?><a></a>", "\ufeff<a></a>", "<a/>",
		"<!DOCTYPE a><a></a>", "<!--x--><a></a>", "<?p?><a></a>", "<a><b><!--x--><?p x?></b></a>", "<a>x</a>", "<a>&#32;</a>",
		"<a><![CDATA[]]></a>", "<a xmlns='u&#1;'></a>", "<a><b>&#" + strings.Repeat("0", maxReference) + "65;</b></a>",
		"<a><b c='1\r\n2\r3\n4\t5&#13;&#10;&#9;6' xmlns='u:\r'>1\r\n2\r3&#13;<![CDATA[4\r]]></b></a>",
		"<a xmlns:p='u'><b xmlns:p=''/></a>", "<a><x><b xmlns:p='u'></b><p:c/></x></a>", "<a><x><b xmlns:p='u'/><p:c/></x></a>",
		"<a xmlns='u' xmlns:p='v'><b p:c='' xmlns:q='v' q:c=''/></a>", "<a><b>\ufffe</b></a>",
		"<a><b xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang=''/></a>",
	} {
		f.Add([]byte(s), []byte(nil))
	}
	for i := range len(pieces) + 8 {
		f.Add([]byte(streamStart+splitInputs[1]+streamEnd), []byte{byte(i), 0, byte(200 + i)})
		f.Add([]byte(streamStart+splitInputs[0]+streamEnd), []byte{byte(i), 0x80, byte(2 + i%5)})
	}
	f.Fuzz(func(t *testing.T, doc, edits []byte) {
		doc = edit(doc, edits)
		if len(doc) > maxExpatDocument {
			return
		}
		got, n, err := scanStream(doc)
		if err == nil && n > 0 {
			doc = doc[:n] // what follows a stream is not its own
		}
		want, helper := expat.Parse(doc)
		if helper != nil {
			t.Fatalf("%q: %v", doc, helper)
		}
		var refused *Error
		switch {
		case err == nil && n == 0: // not at its end yet
			if want.Error == "" && !slices.Contains(want.Seen, "document type") {
				t.Fatalf("%q: more is expected, but expat sees the end", doc)
			}
		case err == nil:
			if want.Error != "" || len(want.Seen) > 0 {
				t.Fatalf("%q: accepted, but expat says: %s%q", doc, want.Error, want.Seen)
			}
			if got != want.Tree {
				t.Fatalf("%q: got\n%+q, expat has\n%+q", doc, got, want.Tree)
			}
		case !errors.As(err, &refused):
			t.Fatalf("%q: %v", doc, err)
		case want.Error == "" && !restricted(refused, doc, want.Seen):
			t.Fatalf("%q: %v, but expat accepts it (%q)", doc, err, want.Seen)
		}
	})
}

const (
	streamStart = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'>"
	streamEnd   = "</stream:stream>"
)

// long matches what is longer than need be, a little below maxReference and maxDeclaration.
var long = regexp.MustCompile(`&#x?0{1000}|^<\?xml[^>]{240}`)

// restricted reports whether a refusal of what is legal XML is one of those that RFC 6120 section 11 demands, or a limit.
func restricted(e *Error, doc []byte, seen []string) bool {
	has := func(things ...string) bool {
		return slices.ContainsFunc(things, func(s string) bool { return slices.Contains(seen, s) })
	}
	switch e.Condition {
	case RestrictedXML:
		return has("comment", "instruction", "document type")
	case UnsupportedEncoding:
		return has("encoding")
	case InvalidXML:
		return has("text", "empty stream")
	case NotWellFormed:
		return has("version") || bytes.HasPrefix(doc, []byte("\ufeff"))
	case PolicyViolation:
		return long.Match(doc)
	}
	return false
}

// scanStream scans a stream up to its end, in the form of rig.ExpatDocument. n is 0 if the end is not there.
func scanStream(doc []byte) (tree string, n int, err error) {
	s := &Scanner{Limits: unlimited}
	s.Enclose("", nil)
	if n, err = s.Header(doc); n == 0 || err != nil {
		return "", 0, err
	}
	var b strings.Builder
	expatTag(&b, s.Index(), 0)
	s.Open()
	for {
		n = skipSpace(doc, n)
		found, size, err := s.Next(doc[n:])
		if err != nil || found == Partial {
			return "", 0, err
		}
		n += size
		if found == Close {
			b.WriteString("\x06")
			return b.String(), n, nil
		}
		expatElement(&b, s.Index(), 0)
	}
}

func expatElement(b *strings.Builder, ix *Index, n int32) {
	expatTag(b, ix, n)
	e := &ix.Elements[n]
	at := e.Inner
	for i := n + 1; i < e.Next; i = ix.Elements[i].Next {
		b.Write(AppendText(nil, ix.Src[at:ix.Elements[i].Start]))
		expatElement(b, ix, i)
		at = ix.Elements[i].End
	}
	b.Write(AppendText(nil, ix.Src[at:e.InnerEnd]))
	b.WriteString("\x06")
}

func expatTag(b *strings.Builder, ix *Index, n int32) {
	expanded := func(space, local []byte) string {
		if len(space) == 0 {
			return string(local)
		}
		return string(space) + "\x01" + string(local)
	}
	type pair struct{ name, value string }
	sorted := func(pairs []pair) []pair {
		slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
		return pairs
	}
	var declarations, attributes []pair
	e := &ix.Elements[n]
	attrs := ix.AttrsOf(e)
	for i := range attrs {
		a := &attrs[i]
		switch prefix, ok := ix.Declares(a); {
		case !ok:
			attributes = append(attributes, pair{expanded(ix.Space(a.Space), ix.AttrLocal(a)), string(ix.Value(a))})
		case string(prefix) != "xml":
			declarations = append(declarations, pair{string(prefix), string(ix.Value(a))})
		}
	}
	b.WriteString("\x02" + expanded(ix.Space(e.Space), ix.Local(e)))
	for _, d := range sorted(declarations) {
		b.WriteString("\x07" + d.name + "\x04" + d.value)
	}
	for _, a := range sorted(attributes) {
		b.WriteString("\x03" + a.name + "\x04" + a.value)
	}
	b.WriteString("\x05")
}

// pieces are what edit inserts: the smallest things that mean something in XML, or almost do.
var pieces = []string{
	"<", ">", "/>", "</", "'", `"`, "=", ":", " ", "\t", "\r", "\n", "\r\n", "&", ";", "]", "]]>", "<![CDATA[", "<![CDATA[x]]>", "<!--", "-->",
	"<!--x-->", "<?p?>", "<?xml version='1.0'?>", "<!DOCTYPE a>", "&amp;", "&lt;", "&gt;", "&nbsp;", "&#13;", "&#10;", "&#9;", "&#x41;", "&#65;",
	"&#xD800;", "&#xFFFF;", "&#0;", "&#x110000;", "&#x10FFFF;", "\x00", "\x01", "\x0b", "\x7f", "\x80", "\xff", "\xc0\xaf", "\xed\xa0\x80",
	"\u0085", "\u2028", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U0001f600", "\U0010ffff", "é", "中", "·", "\u0300", "\u0e33", "\u0132", "\u30fb",
	"a", "1", "-", ".", "<a>", "</a>", "<a/>", "<p:a/>", "<p:a>", "</p:a>", "<db:a/>", "<a xmlns=''/>", "<a b='c'/>",
	" xmlns=''", " xmlns='u'", " xmlns:p='u'", " xmlns:p=''", " xmlns:q='u'", " xmlns:xml='http://www.w3.org/XML/1998/namespace'",
	" xmlns:p='http://www.w3.org/XML/1998/namespace'", " xmlns:xmlns='u'", " xmlns='http://www.w3.org/2000/xmlns/'", " xmlns:p='&#117;'",
	" p:b=''", " q:b=''", " b=''", " b=\"'\"", " xml:lang='de'", " b='\r\n&#13;\t'", "xmlns", "xml",
}

// edit applies edits of three bytes each: what to insert, or beyond the pieces how much to cut out; and where, the highest
// bit meaning behind that many '>'.
func edit(doc, edits []byte) []byte {
	doc = bytes.Clone(doc)
	for ; len(edits) >= 3; edits = edits[3:] {
		what, at := int(edits[0]), int(edits[1]&0x7f)<<8|int(edits[2])
		if edits[1]&0x80 != 0 {
			tags := at
			at = 0
			for range tags % (bytes.Count(doc, []byte(">")) + 1) {
				at += bytes.IndexByte(doc[at:], '>') + 1
			}
		}
		at %= len(doc) + 1
		if what < len(pieces) {
			doc = slices.Insert(doc, at, []byte(pieces[what])...)
		} else {
			doc = slices.Delete(doc, at, min(len(doc), at+1+what-len(pieces)))
		}
	}
	return doc
}
