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

// toPSYC converts stanzas to packets. A stanza that a link would answer with an error, because an address is malformed or
// a type unknown, is converted all the same: it is a stanza, and comes back as it was.
func toPSYC(t *terminal, flags *flag.FlagSet, args []string) error {
	var c stanzaConverter
	jsonl := flags.Bool("jsonl", false, "read {id, xml or xml_b64}, write {id, packet} or {id, error, condition}, one a line")
	syntaxFlag(flags, &c.conv.Syntax, false)
	flags.StringVar(&c.space, "ns", xmpp.NSClient, "default `namespace` of the input")
	if err := parse(flags, args); err != nil {
		return err
	}
	c.render = psyc.Renderer{Syntax: c.conv.Syntax, Line: -1, Exact: true}
	if *jsonl {
		return eachLine(t, c.answer)
	}
	n := 0
	for s, err := range c.decoder(t.in).Stanzas() {
		n++
		if s == nil {
			return fmt.Errorf("stanza %d: %w", n, err)
		}
		if err != nil {
			fmt.Fprintf(t.err, "psycat: stanza %d: a link would refuse it: %v\n", n, err)
		}
		packet, err := c.packet(s)
		if err != nil {
			t.refuse("stanza %d: %v", n, err)
			continue
		}
		if _, err := t.out.Write(packet); err != nil {
			return err
		}
		if err := t.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// A stanzaConverter converts stanzas as between two Switchyards.
type stanzaConverter struct {
	conv   transcode.Converter
	render psyc.Renderer
	space  string
	wire   []byte
}

func (c *stanzaConverter) decoder(in io.Reader) *xmpp.Decoder {
	d := xmpp.NewDecoder(in)
	d.Space = c.space
	return d
}

// packet returns s as a packet on the wire; it is good until the next call.
func (c *stanzaConverter) packet(s *xmpp.Stanza) ([]byte, error) {
	p, err := c.conv.Packet(s)
	if err != nil {
		return nil, err
	}
	c.wire, err = c.render.Append(c.wire[:0], p)
	return c.wire, err
}

func (c *stanzaConverter) answer(q *query, a *answer) {
	xml := q.XMLB64
	switch {
	case q.XML != nil:
		xml = []byte(*q.XML)
	case xml == nil:
		a.fail(errors.New("neither xml nor xml_b64"))
		return
	}
	// A packet is made of the first stanza before it is known that no second follows, which overwrites it.
	var packet []byte
	n := 0
	for s, err := range c.decoder(bytes.NewReader(xml)).Stanzas() {
		if s == nil {
			a.fail(err)
			return
		}
		if n++; n > 1 {
			a.fail(errors.New("more than one stanza"))
			return
		}
		if packet, err = c.packet(s); err != nil {
			a.fail(err)
			return
		}
	}
	if n == 0 {
		a.fail(errors.New("no stanza"))
		return
	}
	a.Packet = packet
}
