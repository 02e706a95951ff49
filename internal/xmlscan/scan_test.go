package xmlscan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAccepts(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty element", "<a/>", `<{jabber:client}a>""</>`},
		{"white space in tags", "<a\n\tb = 'c' \r\n></a\t>", `<{jabber:client}a {}b="c">""</>`},
		{"five entities", "<a>&amp;&lt;&gt;&quot;&apos;</a>", `<{jabber:client}a>"&<>\"'"</>`},
		{"references", "<a>&#65;&#x42;&#x00043;&#x1F600;</a>", `<{jabber:client}a>"ABC😀"</>`},
		{"many zeros", "<a>&#" + strings.Repeat("0", 1000) + "65;</a>", `<{jabber:client}a>"A"</>`},
		{"line ends", "<a>1\r\n2\r3\n4&#13;5</a>", `<{jabber:client}a>"1\n2\n3\n4\r5"</>`},
		{"attribute normalisation", "<a b='1\r\n2\r3\n4\t5&#13;&#10;&#9;6'/>", `<{jabber:client}a {}b="1 2 3 4 5\r\n\t6">""</>`},
		{"CDATA", "<a>1<![CDATA[<&>]] ]>\r\n]]]><![CDATA[]]>2</a>", `<{jabber:client}a>"1<&>]] ]>\n]2"</>`},
		{"CDATA begins and ends", "<a><![CDATA[]]]]><![CDATA[>]]></a>", `<{jabber:client}a>"]]>"</>`},
		{"brackets", "<a>]] ]]&gt; ] ]></a>", `<{jabber:client}a>"]] ]]> ] ]>"</>`},
		{"markup in a value", `<a b="]]>'>" c='"/>'/>`, `<{jabber:client}a {}b="]]>'>" {}c="\"/>">""</>`},
		{
			"mixed content", "<a>1<b>2</b>3<b/>4</a>",
			`<{jabber:client}a>"1"<{jabber:client}b>"2"</>"3"<{jabber:client}b>""</>"4"</>`,
		},
		{
			"namespaces", "<a xmlns='u:1' xmlns:p='u:2' p:x='1' x='2'><p:b xmlns:p='u:3'/><p:b/><c xmlns=''/></a>",
			`<{u:1}a {u:2}x="1" {}x="2">""<{u:3}b>""</>""<{u:2}b>""</>""<{}c>""</>""</>`,
		},
		{"prefix around the element", "<stream:a/>", `<{http://etherx.jabber.org/streams}a>""</>`},
		{"namespace with a reference", "<p:a xmlns:p='u:&#49;&amp;' p:b=''/>", `<{u:1&}a {u:1&}b="">""</>`},
		{"declared after use", "<p:a p:b='' xmlns:p='u:1'/>", `<{u:1}a {u:1}b="">""</>`},
		{
			"the prefix xml", "<a xml:lang='en' xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
			`<{jabber:client}a {http://www.w3.org/XML/1998/namespace}lang="en">""</>`,
		},
		{
			"same local name in different namespaces", "<a b='1' p:b='2' q:b='3' xmlns:p='u:1' xmlns:q='u:2'/>",
			`<{jabber:client}a {u:1}b="2" {u:2}b="3" {}b="1">""</>`,
		},
		{
			"names", "<_><a-b.c1/><é/><中文/><a·/></_>",
			`<{jabber:client}_>""<{jabber:client}a-b.c1>""</>""<{jabber:client}é>""</>""<{jabber:client}中文>""</>""<{jabber:client}a·>""</>""</>`,
		},
		{
			"characters at the edges", "<a>\x7f\u0080\ud7ff\ue000\ufdd0\ufffd\U00010000\U0010ffff</a>",
			"<{jabber:client}a>" + fmt.Sprintf("%q", "\x7f\u0080\ud7ff\ue000\ufdd0\ufffd\U00010000\U0010ffff") + "</>",
		},
		{"byte order mark in text", "<a>\ufeff</a>", `<{jabber:client}a>"\ufeff"</>`},
	} {
		s := newScanner()
		if err := scanAll(s, []byte(tt.in)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if got := dump(s.Index()); got != tt.want {
			t.Errorf("%s: got\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	long := strings.Repeat("x", 1001)
	for _, tt := range []struct {
		name, in, condition string
		offset              int
	}{
		{"text at top", "x", InvalidXML, 0},
		{"reference at top", "&#32;", InvalidXML, 0},
		{"CDATA at top", "<![CDATA[x]]>", InvalidXML, 0},
		{"byte order mark at top", "\ufeff<a/>", InvalidXML, 0},
		{"UTF-16", "\xfe\xff\x00<", UnsupportedEncoding, 0},
		{"comment", "<!--x-->", RestrictedXML, 0},
		{"comment inside", "<a><!--", RestrictedXML, 3},
		{"document type", "<!DOCTYPE a>", RestrictedXML, 0},
		{"declaration inside", "<a><!ELEMENT a EMPTY>", RestrictedXML, 3},
		{"nonsense after <!", "<a><!>", NotWellFormed, 3},
		{"CDATA in lower case", "<a><![cdata[x]]></a>", NotWellFormed, 3},
		{"processing instruction", "<?p?>", RestrictedXML, 0},
		{"processing instruction xmlx", "<a><?xmlx?></a>", RestrictedXML, 3},
		{"processing instruction x", "<a><?x?></a>", RestrictedXML, 3},
		{"XML declaration", "<?xml version='1.0'?><a/>", NotWellFormed, 0},
		{"XML declaration of another encoding", "<?xml version='1.0' encoding='latin1'?><a/>", UnsupportedEncoding, 0},
		{"XML declaration inside", "<a><?XML version='1.0'?></a>", NotWellFormed, 3},
		{"end tag at top", "</a>", NotWellFormed, 0},
		{"entity", "<a>&nbsp;</a>", RestrictedXML, 3},
		{"entity in a value", "<a b='&nbsp;'/>", RestrictedXML, 6},
		{"ampersand", "<a>& </a>", NotWellFormed, 3},
		{"entity without semicolon", "<a>&amp </a>", NotWellFormed, 3},
		{"entity with a colon", "<a>&a:b;</a>", NotWellFormed, 3},
		{"empty reference", "<a>&#;</a>", NotWellFormed, 3},
		{"upper-case X", "<a>&#X41;</a>", NotWellFormed, 3},
		{"reference to U+0001", "<a>&#1;</a>", NotWellFormed, 3},
		{"reference to U+FFFE", "<a>&#xFFFE;</a>", NotWellFormed, 3},
		{"reference to a surrogate", "<a>&#xD800;</a>", NotWellFormed, 3},
		{"reference beyond Unicode", "<a>&#x110000;</a>", NotWellFormed, 3},
		{"reference that overflows", "<a>&#18446744073709551681;</a>", NotWellFormed, 3},
		{"reference in a value", "<a b='&#0;'/>", NotWellFormed, 6},
		{"endless reference", "<a>&#" + strings.Repeat("0", 2000), PolicyViolation, 3},
		{"long reference with an end", "<a>&#" + strings.Repeat("0", 2000) + "65;</a>", PolicyViolation, 3},
		{"]]> in text", "<a>x]]>y</a>", NotWellFormed, 4},
		{"control character", "<a>\x01</a>", NotWellFormed, 3},
		{"control character in CDATA", "<a><![CDATA[\x0b]]></a>", NotWellFormed, 12},
		{"control character in a value", "<a b='\x1f'/>", NotWellFormed, 6},
		{"NUL", "<a>\x00</a>", NotWellFormed, 3},
		{"U+FFFE", "<a>\ufffe</a>", NotWellFormed, 3},
		{"U+FFFF in a value", "<a b='\uffff'/>", NotWellFormed, 6},
		{"overlong", "<a>\xc0\xaf</a>", UnsupportedEncoding, 3},
		{"overlong in three bytes", "<a>\xe0\x9f\xbf</a>", UnsupportedEncoding, 3},
		{"overlong in four bytes", "<a>\xf0\x8f\xbf\xbf</a>", UnsupportedEncoding, 3},
		{"surrogate", "<a>\xed\xa0\x80</a>", UnsupportedEncoding, 3},
		{"beyond Unicode", "<a>\xf4\x90\x80\x80</a>", UnsupportedEncoding, 3},
		{"lone continuation", "<a>\x80</a>", UnsupportedEncoding, 3},
		{"cut character", "<a>\xe2\x82</a>", UnsupportedEncoding, 3},
		{"bad UTF-8 in CDATA", "<a><![CDATA[\xff]]></a>", UnsupportedEncoding, 12},
		{"bad UTF-8 in a value", "<a b='\xff'/>", UnsupportedEncoding, 6},
		{"bad UTF-8 in a name", "<a\xff/>", UnsupportedEncoding, 2},
		{"space before the name", "< a/>", NotWellFormed, 1},
		{"name with a digit", "<1/>", NotWellFormed, 1},
		{"character of the fifth edition", "<a\U0001F600/>", NotWellFormed, 2},
		{"multiplication sign", "<a×/>", NotWellFormed, 2},
		{"combining character first", "<\u0300/>", NotWellFormed, 1},
		{"leading colon", "<:a/>", NotWellFormed, 1},
		{"trailing colon", "<stream:/>", NotWellFormed, 8},
		{"two colons", "<stream:a:b/>", NotWellFormed, 9},
		{"local name with a digit", "<stream:1/>", NotWellFormed, 8},
		{"attribute without value", "<a b/>", NotWellFormed, 4},
		{"attribute without quotes", "<a b=c/>", NotWellFormed, 5},
		{"attributes not apart", "<a b='1'c='2'/>", NotWellFormed, 8},
		{"< in a value", "<a b='<'/>", NotWellFormed, 6},
		{"slash and > apart", "<a / >", NotWellFormed, 4},
		{"double attribute", "<a b='' c='' b=''/>", NotWellFormed, 13},
		{"double attribute by two prefixes", "<a p:b='' q:b='' xmlns:p='u' xmlns:q='&#117;'/>", NotWellFormed, 10},
		{"double declaration", "<a xmlns='1' xmlns='2'/>", NotWellFormed, 13},
		{"unbound prefix", "<p:a/>", BadNamespacePrefix, 1},
		{"unbound prefix of an attribute", "<a p:b=''/>", BadNamespacePrefix, 3},
		{"prefix out of scope", "<a><b xmlns:p='u'/><p:c/></a>", BadNamespacePrefix, 20},
		{"prefix out of scope after an end tag", "<a><b xmlns:p='u'></b><p:c/></a>", BadNamespacePrefix, 23},
		{"prefix xmlns", "<xmlns:a/>", BadNamespacePrefix, 1},
		{"prefix undeclared", "<a xmlns:stream=''/>", NotWellFormed, 3},
		{"prefix xml moved", "<a xmlns:xml='u'/>", NotWellFormed, 3},
		{"xml namespace moved", "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", NotWellFormed, 3},
		{"xml namespace moved by reference", "<a xmlns:p='&#104;ttp://www.w3.org/XML/1998/namespace'/>", NotWellFormed, 3},
		{"xml namespace as default", "<a xmlns='http://www.w3.org/XML/1998/namespace'/>", NotWellFormed, 3},
		{"xmlns declared", "<a xmlns:xmlns='u'/>", NotWellFormed, 3},
		{"xmlns namespace declared", "<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", NotWellFormed, 3},
		{"xmlns namespace as default", "<a xmlns='http://www.w3.org/2000/xmlns/'/>", NotWellFormed, 3},
		{"mismatch", "<a><b></a>", NotWellFormed, 6},
		{"mismatch in case", "<a><b></B>", NotWellFormed, 6},
		{"longer end tag", "<a></ab>", NotWellFormed, 3},
		{"end tag with another prefix", "<p:a xmlns:p='u' xmlns:q='u'></q:a>", NotWellFormed, 29},
		{"attribute in an end tag", "<a></a b=''>", NotWellFormed, 3},
		{"depth", strings.Repeat("<a>", 301), PolicyViolation, 900},
		{"elements", "<a>" + strings.Repeat("<b/>", 20000), PolicyViolation, 3 + 4*19999},
		{"attributes", "<a" + attributes(101) + "/>", PolicyViolation, 2 + len(attributes(100)) + 1},
		{"name", "<" + long, PolicyViolation, 1},
		{"prefix and name", "<" + long[:500] + ":" + long[:500], PolicyViolation, 1},
		{"attribute name", "<a " + long, PolicyViolation, 3},
		{"namespace", "<a xmlns='" + long + "'/>", PolicyViolation, 3},
		{"bindings", bindings(7), PolicyViolation, len(bindings(5)) + len("<a") + len(declarations(99)) + 1},
	} {
		s := newScanner()
		err := scanAll(s, []byte(tt.in))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.condition)
		} else if e.Condition != tt.condition || e.Offset != tt.offset {
			t.Errorf("%s: got %v, want %s at %d", tt.name, err, tt.condition, tt.offset)
		}
		if _, _, again := s.Next([]byte("<a/>")); again != err {
			t.Errorf("%s: goes on with %v", tt.name, again)
		}
	}
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d=''", i)
	}
	return b.String()
}

func declarations(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " xmlns:a%d='u'", i)
	}
	return b.String()
}

func bindings(n int) string { return strings.Repeat("<a"+declarations(100)+">", n) }

func TestPartial(t *testing.T) {
	whole := "<a b='1 &amp; 2' xmlns:p='u:&#49;'>é&#65;<p:b>]]</p:b ><![CDATA[ ]] ]]></a>"
	for i := range len(whole) {
		if found, _, err := newScanner().Next([]byte(whole[:i])); found != Partial || err != nil {
			t.Errorf("%q: %v, %v", whole[:i], found, err)
		}
	}
}

// next feeds s with b in the given pieces, in fresh memory each time, as a growing buffer does.
func next(s *Scanner, b []byte, pieces func(i int) int) (Found, int, error) {
	for i := 0; ; {
		i = min(len(b), pieces(i))
		found, n, err := s.Next(bytes.Clone(b[:i]))
		if found != Partial || err != nil || i == len(b) {
			return found, n, err
		}
	}
}

var splitInputs = []string{
	"<message to='juliet@capulet.example' xml:lang=\"en\"><body>Art thou not Romeo &amp; a Montague?</body></message>",
	"<a b='1 &amp; > 2' xmlns:p='u:&#49;'>é&#65;<p:b\n>]]</p:b ><![CDATA[ ]] ]]><c d = \"'\" />😀</a>",
	"<a xmlns='u'>\r\n\r\n<b xmlns=''/>]]<c/>]</a>",
	"<a><b>1</b><b>2</b><![CDATA[]]>]]&gt;</a>rest",
}

func TestSplit(t *testing.T) {
	for _, in := range splitInputs {
		b := []byte(in)
		whole := newScanner()
		_, want, err := whole.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		check := func(how string, pieces func(int) int) {
			s := newScanner()
			_, n, err := next(s, b, pieces)
			if err != nil || n != want {
				t.Errorf("%q %s: ends at %d with %v", in, how, n, err)
			} else if got, want := dump(s.Index()), dump(whole.Index()); got != want {
				t.Errorf("%q %s: got\n%s, want\n%s", in, how, got, want)
			}
		}
		check("byte by byte", func(i int) int { return i + 1 })
		for cut := 1; cut < len(b); cut++ {
			check(fmt.Sprintf("cut at %d", cut), func(i int) int {
				if i < cut {
					return cut
				}
				return len(b)
			})
		}
	}
}

// What is ill-formed is refused as soon as a tag with the fault in it ends, however it arrives.
func TestSplitRefuses(t *testing.T) {
	for _, in := range []string{
		"<a b=c>", "<a b='1'c='2'>", "<a 'b>'>", "<a b='<", "<a><b></a>", "<a></a b=''>", "<a>]]>", "<a>\xc0", "<p:a>",
		"<a><![CDATA[\x01", "<a>&#1;", "<a>&b;", "<a>&<", "<!-- ", "<a><!D", "<?x?", "<a b=\"'><b c='\"<",
	} {
		if _, _, err := next(newScanner(), []byte(in), func(i int) int { return i + 1 }); err == nil {
			t.Errorf("%q is accepted byte by byte", in)
		}
	}
}

// A peer that sends a byte at a time must not cost more than in proportion to its bytes. Were anything here read again with
// each byte, it would take minutes.
func TestSlowSender(t *testing.T) {
	const size = 200 << 10
	long := strings.Repeat("x", size)
	for name, in := range map[string]string{
		"value":              "<a b='" + long + "'/>",
		"white space in tag": "<a" + strings.Repeat(" ", size) + "/>",
		"end tag":            "<a></a" + strings.Repeat(" ", size) + ">",
		"text":               "<a>" + long + "</a>",
		"brackets":           "<a>" + strings.Repeat("]", size) + "</a>",
		"CDATA":              "<a><![CDATA[" + strings.Repeat("]", size) + "]]></a>",
		"references":         "<a>" + strings.Repeat("&#65;", size/5) + "</a>",
		"quotes":             "<a b=\"" + strings.Repeat("'", size) + "\"/>",
	} {
		s := newScanner()
		b := []byte(in)
		start := time.Now()
		for i := range b {
			found, _, err := s.Next(b[:i+1])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if (found == Whole) != (i == len(b)-1) {
				t.Fatalf("%s: found at byte %d of %d", name, i, len(b))
			}
			if i%1000 == 0 && time.Since(start) > 10*time.Second {
				t.Fatalf("%s: %d bytes take more than 10 s", name, i)
			}
		}
	}
}

func TestContent(t *testing.T) {
	s := newScanner()
	for _, tt := range []struct{ in, want string }{
		{"", `<{}>""</>`},
		{"1<a/>2]]", `<{}>"1"<{jabber:client}a>""</>"2]]"</>`},
		{"<![CDATA[]]>", `<{}>""</>`},
	} {
		if err := s.Content([]byte(tt.in)); err != nil {
			t.Errorf("%q: %v", tt.in, err)
		} else if got := dump(s.Index()); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
	for _, in := range []string{"<a>", "<a", "</a>", "<a/></a>", "&amp", "\xc3", "<![CDATA[", "<![CDATA[]]", "]]>", "<!--", "<", "&"} {
		if err := s.Content([]byte(in)); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestHeader(t *testing.T) {
	const open = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:x' version='1.0'>"
	for _, in := range []string{
		open, "<?xml version='1.0'?>" + open, "<?xml version = \"1.0\" encoding='utf-8'  standalone='yes' ?>\r\n" + open, " \n" + open,
	} {
		for _, step := range []int{1, len(in)} {
			s := &Scanner{Limits: generous}
			s.Enclose("", nil)
			b := []byte(in + "<x:a/></stream:stream>")
			n := 0
			for i := step; n == 0; i += step {
				var err error
				if n, err = s.Header(b[:min(i, len(b))]); err != nil {
					t.Fatalf("%q: %v", in, err)
				}
			}
			if n != len(in) {
				t.Fatalf("%q: ends at %d", in, n)
			}
			ix := s.Index()
			if e := &ix.Elements[0]; string(ix.Space(e.Space)) != "http://etherx.jabber.org/streams" || string(ix.Local(e)) != "stream" {
				t.Errorf("%q: %q", in, ix.QName(e))
			}
			s.Open()
			found, m, err := s.Next(b[n:])
			if err != nil || found != Whole || dump(s.Index()) != `<{urn:x}a>""</>` {
				t.Errorf("%q: %v, %v: %s", in, found, err, dump(s.Index()))
			}
			if found, m, err = s.Next(b[n+m:]); err != nil || found != Close || m != len("</stream:stream>") {
				t.Errorf("%q: end: %v, %d, %v", in, found, m, err)
			}
		}
	}
	for _, tt := range []struct{ in, condition string }{
		{"\ufeff" + open, NotWellFormed},
		{"GET / HTTP/1.1", NotWellFormed},
		{" <?xml version='1.0'?>" + open, NotWellFormed},
		{"<?xml version='1.1'?>" + open, NotWellFormed},
		{"<?xml encoding='UTF-8'?>" + open, NotWellFormed},
		{"<?xml encoding='UTF-8' version='1.0'?>" + open, NotWellFormed},
		{"<?xml version='1.0'encoding='UTF-8'?>" + open, NotWellFormed},
		{"<?xml version='1.0' encoding='ISO-8859-1'?>" + open, UnsupportedEncoding},
		{"<?xml version='1.0' standalone='maybe'?>" + open, NotWellFormed},
		{"<?xml version='1.0'>" + open, NotWellFormed},
		{"<?xml version='1.0'" + strings.Repeat(" ", 300), PolicyViolation},
		{"<!DOCTYPE a>" + open, RestrictedXML},
		{"<!-- -->" + open, RestrictedXML},
		{"<?xml-stylesheet href='x'?>" + open, RestrictedXML},
		{"<![CDATA[]]>" + open, NotWellFormed},
		{"</stream:stream>", NotWellFormed},
		{"<stream/>", InvalidXML},
		{"<stream:stream>", BadNamespacePrefix},
		{"\x16\x03\x01", NotWellFormed},
	} {
		s := &Scanner{Limits: generous}
		s.Enclose("", nil)
		_, err := s.Header([]byte(tt.in))
		if e, ok := err.(*Error); !ok || e.Condition != tt.condition {
			t.Errorf("%q: got %v, want %s", tt.in, err, tt.condition)
		}
	}
}

func TestInScope(t *testing.T) {
	s := newScanner()
	if err := scanAll(s, []byte("<a xmlns:p='1'><b xmlns:q='0'/><c xmlns:p='2' xmlns='3'><d xmlns:r='4'/></c></a>")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for prefix, space := range s.Index().InScope(3) {
		got = append(got, string(prefix)+"="+string(space))
	}
	want := []string{"=jabber:client", "stream=http://etherx.jabber.org/streams", "p=1", "p=2", "=3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestClone(t *testing.T) {
	s := newScanner()
	b := []byte("<p:a xmlns:p='u:&#49;' b='c'>text<d/></p:a>")
	if err := scanAll(s, b); err != nil {
		t.Fatal(err)
	}
	c, want := s.Index().Clone(), dump(s.Index())
	clear(b)
	if err := scanAll(s, []byte("<other xmlns='u:&#50;'><x/><y/></other>")); err != nil {
		t.Fatal(err)
	}
	s.Enclose("elsewhere", nil)
	if got := dump(c); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCopyTo(t *testing.T) {
	s := newScanner()
	var c Index
	for _, doc := range []string{"<p:a xmlns:p='u:&#49;' b='c'>text<d/></p:a>", "<a/>", "<a xmlns='u:&#50;'/>"} {
		b := []byte(doc)
		if err := scanAll(s, b); err != nil {
			t.Fatal(err)
		}
		want := dump(s.Index())
		s.Index().CopyTo(&c)
		if n := testing.AllocsPerRun(10, func() { s.Index().CopyTo(&c) }); n != 0 {
			t.Errorf("%s: %v allocations", doc, n)
		}
		clear(b)
		if got := dump(&c); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTrim(t *testing.T) {
	s := newScanner()
	big := "<a>" + strings.Repeat("<b c='' d=''/>", 1000) + "</a>"
	if err := scanAll(s, []byte(big)); err != nil {
		t.Fatal(err)
	}
	s.Trim()
	if n := cap(s.ix.Elements) + cap(s.ix.Attrs); n > 1000 {
		t.Errorf("%d entries kept", n)
	}
	if err := scanAll(s, []byte(big)); err != nil {
		t.Errorf("after Trim: %v", err)
	}
	if err := scanAll(s, []byte("<a><b>")); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}
