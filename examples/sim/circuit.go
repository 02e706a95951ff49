package main

import (
	"fmt"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
)

// A circuit is what a link of PSYC adds to the packets: it leaves out addresses that stay the same, and its far side acknowledges.
type circuit struct {
	addresses psyc.Assigner
	inherited psyc.State // what the far side knows of addresses
	parser    psyc.Parser
	packet    psyc.Packet // received
	wire      []byte

	framing framing
	acks    bool
	period  time.Duration // in which everything is acknowledged
	due     time.Duration // when what is not acknowledged will be
	packets int           // that are not
	bytes   int           // of them
	total   int           // packets of the session
	back    psyc.Assigner // of the other direction
}

// When a session of PSYC acknowledges: see "Sessions" in the documentation of package psyc.
const (
	ackTime    = 200 * time.Millisecond
	ackPackets = 64
	ackBytes   = 64 << 10
)

// newCircuit returns a circuit that the given part of the traffic of a link goes over. A longer time holds as many packets as ackTime does on
// the whole link.
func newCircuit(m *Model, part float64) circuit {
	c := circuit{
		parser:  psyc.Parser{Syntax: psyc.PSYC10},
		framing: m.Framing,
		acks:    m.Sessions,
		period:  time.Duration(float64(ackTime) / part),
	}
	c.back.Assign(stranger()) // the other direction is in use, too
	return c
}

// stranger returns a packet from and to somebody of whom nothing else is heard.
func stranger() *psyc.Packet {
	p := new(psyc.Packet)
	p.Routing.Add(psyc.Set, "_source", "psyc://north.example/~somebody")
	p.Routing.Add(psyc.Set, "_target", "psyc://south.example/~else")
	return p
}

// interrupt lets others use the circuit, so that the addresses of the packet before are no longer assigned. That does not count.
func (c *circuit) interrupt() error {
	wire, err := c.write(stranger())
	if err == nil {
		_, err = c.read(wire)
	}
	return err
}

// write renders a packet as it goes over the circuit. The bytes are good until the next one.
func (c *circuit) write(p *psyc.Packet) ([]byte, error) {
	short := *p
	c.addresses.Assign(&short)
	var err error
	if c.wire, err = short.Append(c.wire[:0], psyc.PSYC10); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", p.Method, err)
	}
	return c.wire, nil
}

// read returns the packet that the far side makes of wire. It is good until the next one.
func (c *circuit) read(wire []byte) (*psyc.Packet, error) {
	if _, err := c.parser.Parse(&c.packet, wire); err != nil {
		return nil, fmt.Errorf("parsing a packet: %w", err)
	}
	if err := c.inherited.ApplyRouting(&c.packet); err != nil {
		return nil, fmt.Errorf("applying the state of a circuit: %w", err)
	}
	return &c.packet, nil
}

// acknowledge adds what packets that arrive at the same moment cause to be acknowledged.
func (c *circuit) acknowledge(to *cost, at time.Duration, packets, bytes int) error {
	if !c.acks {
		return nil
	}
	for packets > 0 {
		if c.packets > 0 && at >= c.due {
			if err := c.ack(to); err != nil {
				return err
			}
		}
		if c.packets == 0 {
			c.due = at + c.period
		}
		n := min(packets, ackPackets-c.packets)
		size := bytes * n / packets
		c.packets += n
		c.total += n
		c.bytes += size
		packets -= n
		bytes -= size
		if c.packets >= ackPackets || c.bytes >= ackBytes {
			if err := c.ack(to); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle adds the acknowledgement that comes when nothing else does.
func (c *circuit) settle(to *cost) error {
	if c.packets == 0 {
		return nil
	}
	return c.ack(to)
}

// ack adds an acknowledgement.
func (c *circuit) ack(to *cost) error {
	p := psyc.Packet{Method: "_status_session"}
	p.Entity.Set("_amount_received", fmt.Sprint(c.total))
	c.back.Assign(&p)
	wire, err := p.Append(nil, psyc.PSYC10)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", p.Method, err)
	}
	to.add(1, c.framing.wire(len(wire)))
	to.acks++
	c.packets, c.bytes = 0, 0
	return nil
}
