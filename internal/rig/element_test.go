package rig_test

import (
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
)

func TestDiff(t *testing.T) {
	const start = "<message to='a@b' xml:lang='en'>"
	for _, test := range []struct {
		name, want, got string
		diff            string // part of the difference; empty if there is none
	}{
		{"same", start + "<body>x</body></message>", start + "<body>x</body></message>", ""},
		{"quotes and order of attributes", "<message a='1' b='2'/>", `<message b="2" a="1"></message>`, ""},
		{
			"namespaces", start + "<x xmlns='urn:1' p:a='1' xmlns:p='urn:2'/></message>",
			"<n:message xmlns:n='jabber:client' to='a@b' xml:lang='en'><p:x xmlns:p='urn:1' xmlns:q='urn:2' q:a='1'/></n:message>", "",
		},
		{"no namespace", "<message><x xmlns=''/></message>", "<n:message xmlns:n='jabber:client' xmlns=''><x/></n:message>", ""},
		{"CDATA", "<message><body>a<![CDATA[<]]>b</body></message>", "<message><body>a&lt;b</body></message>", ""},

		{"name", "<message/>", "<iq/>", "element {jabber:client}iq, want {jabber:client}message"},
		{"namespace", "<message><x xmlns='urn:1'/></message>", "<message><x xmlns='urn:2'/></message>", "{urn:2}x, want {urn:1}x"},
		{"namespace lost", "<message><x xmlns=''/></message>", "<message><x/></message>", "element {jabber:client}x, want x"},
		{"attribute", "<message id='1'/>", "<message id='2'/>", `attribute id is "2", want "1"`},
		{"attribute lost", "<message id='1'/>", "<message/>", "attribute id is missing"},
		{"attribute added", "<message/>", "<message id='1'/>", `attribute id="1" was added`},
		{"attribute's namespace", "<x xmlns:p='urn:1' p:a='1'/>", "<x a='1'/>", "attribute {urn:1}a is missing"},
		{"text", "<message><body>a</body></message>", "<message><body>b</body></message>", `text "b", want text "a"`},
		{"white space", "<message> <body/></message>", "<message><body/></message>", "element {jabber:client}body, want text"},
		{"carriage return", "<message>a&#13;\nb</message>", "<message>a\nb</message>", `want text "a\r\nb"`},
		{"child lost", "<message><a/><b/></message>", "<message><a/></message>", "element {jabber:client}b is missing"},
		{"child added", "<message><a/></message>", "<message><a/><b/></message>", "element {jabber:client}b was added"},
		{"order", "<message><a/><b/></message>", "<message><b/><a/></message>", "{jabber:client}b, want {jabber:client}a"},
	} {
		want, err := rig.Parse(test.want)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		got, err := rig.Parse(test.got)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		diff := rig.Diff(want, got)
		if (diff == "") != (test.diff == "") || !strings.Contains(diff, test.diff) {
			t.Errorf("%s: %q, want %q", test.name, diff, test.diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "text", "<a/><b/>", "<a/> ", "<a>", "<a></b>", "<a><!-- comment --></a>", "<!-- comment --><a/>"} {
		if _, err := rig.Parse(text); err == nil {
			t.Errorf("%q was parsed", text)
		}
	}
}
