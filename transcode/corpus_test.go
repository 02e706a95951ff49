package transcode_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/switchyard-im/switchyard/internal/shared"
	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// An entry is a line of a corpus.
type entry struct {
	ID     string
	XML    string
	XMLB64 string `json:"xml_b64"`
	Expect string
}

// corpus yields the entries of a corpus that the scanner accepts as stanzas.
func corpus(t *testing.T, name string, f func(e entry, s *xmpp.Stanza)) {
	t.Helper()
	in := bufio.NewScanner(shared.Open(t, name))
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e entry
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		xml := []byte(e.XML)
		if e.XMLB64 != "" {
			xml, _ = base64.StdEncoding.DecodeString(e.XMLB64)
		}
		d := xmpp.NewDecoder(bytes.NewReader(xml))
		for s := range d.Stanzas() {
			if s != nil {
				f(e, s)
			}
		}
	}
}

// over sends s over the wire as a packet and returns what comes out.
func over(t *testing.T, conv *transcode.Converter, s *xmpp.Stanza) (*xmpp.Stanza, *psyc.Packet, error) {
	t.Helper()
	p, err := conv.Packet(s)
	if err != nil {
		return nil, nil, err
	}
	r := psyc.Renderer{Syntax: conv.Syntax, Line: -1, Exact: true}
	wire, err := r.Append(nil, p)
	if err != nil {
		t.Fatalf("%s: %v", s.Append(nil), err)
	}
	var q psyc.Packet
	if n, err := q.Parse(wire, conv.Syntax); err != nil || n != len(wire) {
		t.Fatalf("%s: wire %q: %d of %d, %v", s.Append(nil), wire, n, len(wire), err)
	}
	back, err := conv.Stanza(&q)
	return back, &q, err
}

func TestCorpora(t *testing.T) {
	for _, syntax := range []psyc.Syntax{psyc.PSYC10, psyc.PSYC09} {
		t.Run(syntax.String(), func(t *testing.T) {
			conv := &transcode.Converter{Syntax: syntax, Space: xmpp.NSClient}
			methods := map[string]int{}
			for _, name := range []string{"corpus/xep.jsonl", "corpus/torture.jsonl", "corpus/conversations.jsonl"} {
				corpus(t, name, func(e entry, s *xmpp.Stanza) {
					want := s.Append(nil)
					back, p, err := over(t, conv, s)
					var refused *transcode.Error
					switch {
					case errors.As(err, &refused) && e.Expect != "" && e.Expect != "roundtrip":
						return
					case err != nil:
						t.Errorf("%s: %v", e.ID, err)
						return
					}
					methods[p.Method]++
					if got := back.Append(nil); !bytes.Equal(got, want) {
						t.Errorf("%s:\n got %s\nwant %s", e.ID, got, want)
					}
				})
			}
			t.Log(methods)
		})
	}
}
