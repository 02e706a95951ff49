package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/switchyard-im/switchyard/internal/tap"
	"github.com/switchyard-im/switchyard/psyc"
)

// A piece is what one side wrote at a time.
type piece struct {
	direction tap.Direction
	data      []byte
}

func (p piece) arrow() string { return p.direction.String() }

// A conversation in packets, as it was on the wire.
type packets struct {
	circuit []packet // what the two servers tell each other
	stanzas []packet
}

// A packet is one packet and its bytes.
type packet struct {
	piece
	*psyc.Packet
}

// switched ends the XMPP of the side that agrees to switch, and switching that of the side that asked.
var (
	switched  = []byte("</switched>")
	switching = []byte("</switching>")
)

// wire returns what north and south wrote to each other on the connection that switched, as pieces of XML and as packets.
func (w *world) wire() ([]piece, *packets, error) {
	for _, c := range w.south.tap.Conns() {
		if bytes.Contains(c.Stream(tap.Backward), switched) {
			return split(c)
		}
	}
	return nil, nil, errors.New("no connection has switched to PSYC")
}

// split divides a recorded connection at the switch.
func split(c *tap.Conn) ([]piece, *packets, error) {
	var stream []piece
	var psycData [2][]byte
	over := [2]bool{}
	for _, chunk := range c.Chunks() {
		d, data := chunk.Direction, chunk.Data
		if over[d] {
			psycData[d] = append(psycData[d], data...)
			continue
		}
		end := switching
		if d == tap.Backward {
			end = switched
		}
		if i := bytes.Index(data, end); i >= 0 {
			over[d] = true
			psycData[d] = append(psycData[d], data[i+len(end):]...)
			data = data[:i+len(end)]
		}
		stream = append(stream, piece{d, data})
	}
	all := new(packets)
	for _, d := range []tap.Direction{tap.Forward, tap.Backward} {
		var state psyc.State // addresses that stay the same are left out
		for rest := psycData[d]; len(rest) > 0; {
			p := new(psyc.Packet)
			n, err := p.Parse(rest, psyc.PSYC10)
			if err != nil {
				return nil, nil, fmt.Errorf("what %v wrote after the switch is no PSYC: %w", d, err)
			}
			if err := state.ApplyRouting(p); err != nil {
				return nil, nil, fmt.Errorf("what %v wrote after the switch: %w", d, err)
			}
			found := packet{piece{d, rest[:n]}, p.Clone()}
			rest = rest[n:]
			switch {
			case p.Routing.Get("_source") != nil:
				all.stanzas = append(all.stanzas, found)
			case p.Method != "" && p.Method != "_request_circuit_shutdown":
				all.circuit = append(all.circuit, found)
			}
		}
	}
	return stream, all, nil
}

// carrying returns the packet that carried a stanza: the one with its tag.
func (p *packets) carrying(e exchange) (packet, error) {
	for _, found := range p.stanzas {
		tag := found.Routing.Get("_tag")
		if tag == nil {
			tag = found.Routing.Get("_tag_relay")
		}
		if string(tag) == e.sent.ID && (found.direction == tap.Forward) == e.forward {
			return found, nil
		}
	}
	return packet{}, fmt.Errorf("no packet carried %s", e.about)
}
