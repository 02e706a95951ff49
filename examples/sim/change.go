package main

import (
	"fmt"
	"io"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A change is what one change of presence costs somebody with so many contacts on one foreign server.
type change struct {
	contacts int
	first    *bill // when the contacts have to be told, as after a new connection
	next     *bill // as long as they stay the same
	oneMore  *bill // after a contact was added
}

// changeOfPresence repeats a measurement between Prosody 0.12 and ejabberd 23.01 with the names, the presence and the spelling that they
// had there. On links of PSYC somebody else speaks in between.
func changeOfPresence(m *Model, contacts int) (*change, error) {
	plain := *m
	plain.Sessions = false
	l := newLink(&plain, "ejabberd.test", whole)
	s := with(&xmpp.Stanza{Kind: xmpp.Presence, From: jid(fmt.Sprintf("fan%d", contacts), "prosody.test", "s"), Lang: "en"},
		"<show>away</show><status>brb</status>")
	var to []uniform.JID
	for i := range contacts {
		to = append(to, jid(fmt.Sprintf("sub%04d", i+1), "ejabberd.test", ""))
	}
	c := &change{contacts: contacts}
	for i, b := range []**bill{&c.first, &c.next, &c.oneMore} {
		if i == 2 {
			to = append(to, jid("newcomer", "ejabberd.test", ""))
		}
		if err := l.interrupt(); err != nil {
			return nil, err
		}
		var err error
		if *b, err = l.carry(&event{at: time.Duration(i) * time.Hour, stanza: s, to: to}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// printChanges writes what a change of presence costs with 1, 10, 100 and 1,000 contacts.
func printChanges(w io.Writer, m *Model) error {
	t := newTable(w, "Bytes of one change of presence to contacts on one server; Prosody's and ejabberd's as measured, the others as simulated")
	t.row("contacts", "Prosody", "XMPP", "zlib/stanza", "zlib/write", "PSYC", "fan-out, first", "fan-out, next", "one contact more")
	for _, measured := range compression {
		c, err := changeOfPresence(m, int(measured.copies))
		if err != nil {
			return err
		}
		t.row(c.contacts, measured.plain, c.next[plainXMPP].bytes, c.next[zlibStanza].bytes, c.next[zlibWrite].bytes, c.next[unicast].bytes,
			c.first[fanOut].bytes, c.next[fanOut].bytes, c.oneMore[fanOut].bytes)
	}
	t.Flush()
	return printGateways(w)
}
