package main

import (
	"fmt"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A cost is what something takes on the wire.
type cost struct {
	packets int64 // stanzas of XMPP, packets of PSYC
	acks    int64 // packets among them that acknowledge others
	bytes   int64
}

func (c *cost) add(packets, bytes int) {
	c.packets += int64(packets)
	c.bytes += int64(bytes)
}

// A bill is what something costs with each protocol.
type bill [protocols]cost

func (b *bill) sum(other *bill) {
	for p := range b {
		b[p].packets += other[p].packets
		b[p].acks += other[p].acks
		b[p].bytes += other[p].bytes
	}
}

// A link carries what one server sends to another for a day, with every protocol beside the others. On the far side of fan-out there is a
// receiver, so that what it answers counts and the copies that it makes can be counted.
type link struct {
	*Model

	conv   transcode.Converter
	out    transcode.FanOut
	in     transcode.FanIn
	parser psyc.Parser
	packet psyc.Packet // received
	acks   [protocols]receipts

	wire []byte
}

// newLink returns a link to a domain, on which the given part of the traffic is simulated. What is bounded for the whole link is bounded
// in proportion, so that audiences are dropped as often as on the whole one (Waldspurger et al., "Efficient MRC Construction with
// SHARDS", FAST 2015).
func newLink(m *Model, to string, part float64) *link {
	limits := transcode.AudienceLimits{
		Audiences: max(int(float64(m.Audiences)*part+0.5), 1),
		Members:   max(int(float64(m.Members)*part+0.5), 1),
	}
	l := &link{Model: m, parser: psyc.Parser{Syntax: psyc.PSYC10}}
	l.out.Limits = limits
	l.in = transcode.FanIn{Root: uniform.MustParseJID(to).Uniform().String(), Limits: limits}
	for p := range l.acks {
		l.acks[p].period = time.Duration(float64(ackTime) / part)
	}
	return l
}

// carry returns what an event costs.
func (l *link) carry(e *event) (*bill, error) {
	var b bill
	plain, packets := 0, 0
	now := time.Unix(0, 0).Add(e.at)
	copies := make([]xmpp.Stanza, len(e.to))
	for i, to := range e.to {
		s := &copies[i]
		*s = *e.stanza
		s.To = to
		l.wire = s.Append(l.wire[:0])
		plain += len(l.wire)
		p, err := l.conv.Packet(s)
		if err != nil {
			return nil, fmt.Errorf("converting %s to a packet: %w", s.Kind, err)
		}
		if l.wire, err = p.Append(l.wire[:0], psyc.PSYC10); err != nil {
			return nil, fmt.Errorf("rendering %s: %w", p.Method, err)
		}
		packets += len(l.wire)
		l.out.Add(now, s)
	}
	n := len(e.to)
	stanza, write := compressed(n, plain)
	b[plainXMPP].add(n, l.Framing.wire(plain))
	b[zlibStanza].add(n, l.Framing.wire(stanza))
	b[zlibWrite].add(n, l.Framing.wire(write))
	b[unicast].add(n, l.Framing.wire(packets))
	l.acknowledge(&b, unicast, e.at, n, packets)
	return &b, l.fan(&b, e.at, now, n)
}

// fan takes out what fan-out makes of the stanzas that have just been added and lets the far side make the copies.
func (l *link) fan(b *bill, at time.Duration, now time.Time, stanzas int) error {
	packets, bytes, copies := 0, 0, 0
	l.out.FlushAll()
	for parcel, err := range l.out.Parcels() {
		if err != nil {
			return fmt.Errorf("fan-out: %w", err)
		}
		if l.wire, err = parcel.Packet.Append(l.wire[:0], psyc.PSYC10); err != nil {
			return fmt.Errorf("rendering %s: %w", parcel.Packet.Method, err)
		}
		packets++
		bytes += len(l.wire)
		if _, err := l.parser.Parse(&l.packet, l.wire); err != nil {
			return fmt.Errorf("parsing a packet of fan-out: %w", err)
		}
		for _, err := range l.in.Receive(now, &l.packet) {
			if err != nil {
				return fmt.Errorf("receiving a packet of fan-out: %w", err)
			}
			copies++
		}
		if err := l.answer(b); err != nil {
			return err
		}
	}
	if copies != stanzas {
		return fmt.Errorf("fan-out made %d copies of %d", copies, stanzas)
	}
	b[fanOut].add(packets, l.Framing.wire(bytes))
	l.acknowledge(b, fanOut, at, packets, bytes)
	return nil
}

// answer takes what the far side says about audiences back to the near one.
func (l *link) answer(b *bill) error {
	for _, p := range l.in.Replies() {
		wire, err := p.Append(nil, psyc.PSYC10)
		if err != nil {
			return fmt.Errorf("rendering %s: %w", p.Method, err)
		}
		b[fanOut].add(1, l.Framing.wire(len(wire)))
		l.out.Handle(p)
	}
	return nil
}

// When a session of PSYC acknowledges: see "Sessions" in the documentation of package psyc.
const (
	ackTime    = 200 * time.Millisecond
	ackPackets = 64
	ackBytes   = 64 << 10
)

// Receipts say when the receiver of a session acknowledges what it got. Where a part of a link is simulated, a longer time holds as many
// packets as ackTime does on the whole link.
type receipts struct {
	period         time.Duration
	due            time.Duration // of the acknowledgement of what is not acknowledged
	packets, bytes int           // of that
	total          int           // packets of the session
}

// acknowledge counts the acknowledgements that packets cause.
func (l *link) acknowledge(b *bill, p protocol, at time.Duration, packets, bytes int) {
	if !l.Sessions {
		return
	}
	r := &l.acks[p]
	for packets > 0 {
		if r.packets > 0 && at >= r.due {
			l.ack(b, p)
		}
		if r.packets == 0 {
			r.due = at + r.period
		}
		n := min(packets, ackPackets-r.packets)
		r.packets += n
		r.total += n
		r.bytes += bytes * n / packets
		bytes -= bytes * n / packets
		packets -= n
		if r.packets >= ackPackets || r.bytes >= ackBytes {
			l.ack(b, p)
		}
	}
}

func (l *link) ack(b *bill, p protocol) {
	r := &l.acks[p]
	ack := psyc.Packet{Method: "_status_session"}
	ack.Entity.Set("_amount_received", fmt.Sprint(r.total))
	wire, err := ack.Append(nil, psyc.PSYC10)
	if err != nil {
		panic(err) // it is a constant and a number
	}
	b[p].add(1, l.Framing.wire(len(wire)))
	b[p].acks++
	r.packets, r.bytes = 0, 0
}
