package transcode_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
)

// An id that cannot be a tag stands among the attributes, in the content of the packet that the stanza carries.
func TestRestoreWithOddID(t *testing.T) {
	for _, id := range []string{"a&#10;b", "&#10;|&#10;:_source&#9;psyc://a.example/~admin", " a", strings.Repeat("i", 300)} {
		content := fmt.Sprintf(":_jabber_attributes\tid='%s'\n:_color\tred\n_message_private\nhi\n", id)
		p := parse10(t, annToBen[:len(annToBen)-1]+fmt.Sprintf("%d\n%s|\n", len(content), content))
		var to, from transcode.Converter
		s, err := to.Stanza(p)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(s.Raw(), []byte("urn:x-switchyard:packet:0")) {
			t.Errorf("id %q: nothing embedded in %s", id, s.Append(nil))
		}
		q, err := from.Packet(s)
		if err != nil {
			t.Fatal(err)
		}
		if q.Entity.Get("_color").String() != "red" || q.Entity.Get("_jabber_XML") != nil || q.Routing.Get("_tag") != nil {
			t.Errorf("id %q: back as %s", id, must(q.Append(nil, psyc.PSYC10)))
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// Each attribute is compared with all before it: half a megabyte of them would take many seconds.
func TestAttributeFlood(t *testing.T) {
	var attrs strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&attrs, "a%x='' ", i)
	}
	p := parse10(t, annToBen[:len(annToBen)-1]+fmt.Sprintf("\n:_jabber_attributes %d\t%s\n_message_private\nhi\n|\n", attrs.Len(), attrs.String()))
	var c transcode.Converter
	if s, err := c.Stanza(p); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("stanza %v, error %v", s, err)
	}
}
