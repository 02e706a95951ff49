package main

import (
	"errors"
	"fmt"
	"math"
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
	conv    transcode.Converter
	packets circuit // of one packet for each stanza

	out   transcode.FanOut
	in    transcode.FanIn
	casts circuit

	xml []byte
}

// newLink returns a link to a domain, on which a part of the traffic is simulated. What is bounded for the whole link is bounded in
// proportion, so that audiences are dropped as often as on the whole one (Waldspurger et al., "Efficient MRC Construction with
// SHARDS", FAST 2015).
func newLink(m *Model, to string, part linkPart) *link {
	limits := transcode.AudienceLimits{
		Audiences: max(int(float64(m.Audiences)*part.audiences+0.5), 1),
		Members:   max(int(float64(m.Members)*part.audiences+0.5), 1),
		Bytes:     math.MaxInt, // the numbers are what is assumed
	}
	return &link{
		Model:   m,
		packets: newCircuit(m, part.packets),
		casts:   newCircuit(m, part.packets),
		out:     transcode.FanOut{Limits: limits},
		in:      transcode.FanIn{Root: uniform.MustParseJID(to).Uniform().String(), Limits: limits},
	}
}

// A linkPart is how much of a link is simulated, from 0 to 1.
type linkPart struct{ audiences, packets float64 }

// whole is a link of which nothing is left out.
var whole = linkPart{1, 1}

// interrupt lets others use the link, who are not simulated, and does not count.
func (l *link) interrupt() error {
	return errors.Join(l.packets.interrupt(), l.casts.interrupt())
}

// oneWay makes the far side of the link one that has not said anything but acknowledgements: these have no addresses to cancel.
func (l *link) oneWay() { l.packets.back, l.casts.back = psyc.Assigner{}, psyc.Assigner{} }

// settle adds what follows an event when nothing else happens.
func (l *link) settle(b *bill) error {
	return errors.Join(l.packets.settle(&b[unicast]), l.casts.settle(&b[fanOut]))
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
		l.xml = s.Append(l.xml[:0])
		plain += len(l.xml)
		p, err := l.conv.Packet(s)
		if err != nil {
			return nil, fmt.Errorf("converting %s to a packet: %w", s.Kind, err)
		}
		wire, err := l.packets.write(p)
		if err != nil {
			return nil, err
		}
		packets += len(wire)
		l.out.Add(now, s, nil)
	}
	n := len(e.to)
	stanza, write := compressed(n, plain)
	b[plainXMPP].add(n, l.Framing.wire(plain))
	b[zlibStanza].add(n, l.Framing.wire(stanza))
	b[zlibWrite].add(n, l.Framing.wire(write))
	b[unicast].add(n, l.Framing.wire(packets))
	if err := l.packets.acknowledge(&b[unicast], e.at, n, packets); err != nil {
		return nil, err
	}
	return &b, l.fan(&b[fanOut], e.at, now, n)
}

// fan takes out what fan-out makes of the stanzas that have just been added and lets the far side make the copies.
func (l *link) fan(to *cost, at time.Duration, now time.Time, stanzas int) error {
	packets, bytes, copies := 0, 0, 0
	l.out.FlushAll()
	for parcel, err := range l.out.Parcels() {
		if err != nil {
			return fmt.Errorf("fan-out: %w", err)
		}
		wire, err := l.casts.write(parcel.Packet)
		if err != nil {
			return err
		}
		packets++
		bytes += len(wire)
		p, err := l.casts.read(wire)
		if err != nil {
			return err
		}
		for _, err := range l.in.Receive(now, p) {
			if err != nil {
				return fmt.Errorf("receiving a packet of fan-out: %w", err)
			}
			copies++
		}
		if err := l.answer(to); err != nil {
			return err
		}
	}
	if copies != stanzas {
		return fmt.Errorf("fan-out made %d copies of %d", copies, stanzas)
	}
	to.add(packets, l.Framing.wire(bytes))
	return l.casts.acknowledge(to, at, packets, bytes)
}

// answer takes what the far side says about audiences back to the near one.
func (l *link) answer(to *cost) error {
	for _, p := range l.in.Replies() {
		wire, err := p.Append(nil, psyc.PSYC10)
		if err != nil {
			return fmt.Errorf("rendering %s: %w", p.Method, err)
		}
		to.add(1, l.Framing.wire(len(wire)))
		l.out.Handle(p)
	}
	return nil
}
