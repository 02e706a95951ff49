package transcode

import "testing"

// TestFold: lines are broken only where XML has white space that means nothing, and no more than needed.
func TestFold(t *testing.T) {
	const most = 12
	for _, test := range []struct{ xml, want string }{
		{"<a/>", "<a/>"},
		{"<a b='1' c='2' d='3'/>", "<a b='1'\nc='2' d='3'\n/>"},
		{"<aaaa>123456</aaaa>", "<aaaa\n>123456</aaaa\n>"},
		{"<aaaaaaaaaaaaaaaaaa>", "<aaaaaaaaaaaaaaaaaa\n>"},
		{"<a b='1 2 3 4 5 6 7 8'/>", "<a\nb='1 2 3 4 5 6 7 8'\n/>"},
		{"<a>1 2 3 4 5 6 7 8 9</a>", "<a\n>1 2 3 4 5 6 7 8 9</a\n>"},
		{"<a>\n<b/>\n<c/></a>", "<a>\n<b/>\n<c/></a>"},
		{"<a><![CDATA[<b c='1' d='2' e='3'>]]></a>", "<a\n><![CDATA[<b c='1' d='2' e='3'>]]></a\n>"},
	} {
		if got := string(fold([]byte(test.xml), most)); got != test.want {
			t.Errorf("%s:\n got %q\nwant %q", test.xml, got, test.want)
		}
	}
}
