package main

import (
	"io"
	"strings"

	"github.com/switchyard-im/switchyard/examples/internal/broadcast"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// betweenGateways goes through what was measured between two gateways and returns the bytes of the changes of presence that count. The sizes come
// one after the other on one link: the numbers of packets and casts are among those bytes, and get longer.
func betweenGateways(m *broadcast.Measurement) (bytes [len(broadcast.Sizes)]int, err error) {
	l := newLink(newModel(0), broadcast.People+m.To, whole)
	l.oneWay()
	for i, n := range broadcast.Sizes {
		user := jid(broadcast.User(i+1), m.From, strings.Repeat("r", m.Resource))
		presence := func(typ, children string) *xmpp.Stanza {
			return with(&xmpp.Stanza{Kind: xmpp.Presence, Type: typ, From: user, Lang: "en"}, children)
		}
		counts := presence("", broadcast.Presence(broadcast.Change(n, 2)))
		var contacts []uniform.JID
		for c := range n {
			contacts = append(contacts, uniform.MustParseJID(broadcast.Contact(c, m.To)))
		}
		for _, s := range []*xmpp.Stanza{
			presence("", broadcast.Presence("", broadcast.Hello)),
			presence("", broadcast.Presence(broadcast.Change(n, 1))),
			counts,
			presence("unavailable", ""),
		} {
			b, err := l.carry(&event{stanza: s, to: contacts})
			if err != nil {
				return bytes, err
			}
			if err := l.settle(b); err != nil {
				return bytes, err
			}
			if s == counts {
				bytes[i] = int(b[fanOut].bytes)
			}
		}
	}
	return bytes, nil
}

// printGateways writes what a change of presence costs between gateways, measured and simulated.
func printGateways(w io.Writer) error {
	t := newTable(w, "Bytes of one change of presence between two gateways, fan-out with its acknowledgement, as measured and as simulated")
	t.row("contacts", broadcast.Sizes[0], broadcast.Sizes[1], broadcast.Sizes[2], broadcast.Sizes[3])
	for i := range broadcast.Measurements {
		m := &broadcast.Measurements[i]
		got, err := betweenGateways(m)
		if err != nil {
			return err
		}
		t.row("from "+m.From+", measured", m.Bytes[0], m.Bytes[1], m.Bytes[2], m.Bytes[3])
		t.row("simulated", got[0], got[1], got[2], got[3])
	}
	t.Flush()
	return nil
}
