package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// maxPacket bounds the packets that psycat reads: more than any stanza that a link would take.
const maxPacket = 16 << 20

// toXMPP converts packets to stanzas.
func toXMPP(t *terminal, flags *flag.FlagSet, args []string) error {
	var c packetConverter
	jsonl := flags.Bool("jsonl", false, "read {id, packet}, write {id, xml} or {id, error}, one a line")
	syntaxFlag(flags, &c.syntax, true)
	flags.StringVar(&c.conv.Space, "ns", xmpp.NSClient, "default `namespace` of the output, left out there")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *jsonl {
		return eachLine(t, c.answer)
	}
	n := 0
	var state psyc.State // of the circuit that the packets come from
	for p, err := range decoder(t.in, c.syntax).Packets() {
		n++
		if err != nil {
			return fmt.Errorf("packet %d: %w", n, err)
		}
		if err := state.ApplyRouting(p); err != nil {
			t.refuse("packet %d: %v", n, err)
			continue
		}
		if greeting(p) {
			continue
		}
		xml, err := c.stanza(p)
		if err != nil {
			t.refuse("packet %d: %v", n, err)
			continue
		}
		if _, err := t.out.Write(append(xml, '\n')); err != nil {
			return err
		}
		if err := t.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// decoder reads packets from in, held whole.
func decoder(in io.Reader, syntax psyc.Syntax) *psyc.Decoder {
	d := psyc.NewDecoder(in)
	d.Syntax = syntax
	d.Limits = psyc.Limits{Packet: maxPacket, Body: -1}
	return d
}

// greeting reports whether p opens a circuit or keeps it alive, and says nothing else.
func greeting(p *psyc.Packet) bool {
	return len(p.Routing) == 0 && len(p.Entity) == 0 && p.Method == "" && p.State == 0
}

// A packetConverter converts packets as between two Switchyards.
type packetConverter struct {
	conv   transcode.Converter
	syntax psyc.Syntax
	xml    []byte
}

// stanza returns p as a stanza in the namespace of the output; it is good until the next call.
func (c *packetConverter) stanza(p *psyc.Packet) ([]byte, error) {
	s, err := c.conv.Stanza(p)
	if err != nil {
		return nil, err
	}
	c.xml = c.xml[:0]
	for _, a := range s.Attrs {
		if a.Name == "xmlns" && a.Value != c.conv.Space {
			// It names its namespace itself, and is read in that one wherever it stands.
			c.xml = s.Append(c.xml)
			return c.xml, nil
		}
	}
	c.xml = s.AppendFor(c.xml, c.conv.Space)
	return c.xml, nil
}

func (c *packetConverter) answer(q *query, a *answer) {
	if len(q.Packet) == 0 {
		a.fail(errors.New("no packet"))
		return
	}
	n := 0
	var xml []byte
	for p, err := range decoder(bytes.NewReader(q.Packet), c.syntax).Packets() {
		if n++; n > 1 && err == nil {
			err = errors.New("more than one packet")
		}
		if err == nil {
			xml, err = c.stanza(p)
		}
		if err != nil {
			a.fail(err)
			return
		}
	}
	a.XML = string(xml)
}
