package transcode_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// benchPresence is what clients announce themselves with.
const benchPresence = `<presence from='ann@north.example/desk' to='%s'><show>%s</show><status>out</status><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://client.example/' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>`

// broadcasts returns two changes of presence to n contacts as casts: the first tells the audience.
func broadcasts(tb testing.TB, n int) (first, next []byte) {
	tb.Helper()
	var out transcode.FanOut
	now := time.Unix(1e9, 0)
	send := func(show string) []byte {
		for i := range n {
			out.Add(now, mustParse(tb, fmt.Sprintf(benchPresence, contact(i), show)), nil)
		}
		out.FlushAll()
		var wire []byte
		for parcel, err := range out.Parcels() {
			if err != nil || parcel.Copies != n {
				tb.Fatalf("%d copies, %v", parcel.Copies, err)
			}
			wire, err = parcel.Packet.Append(nil, psyc.PSYC10)
			if err != nil {
				tb.Fatal(err)
			}
		}
		return wire
	}
	first = send("away")
	return first, send("dnd")
}

// A caster is a receiver that gets the same cast again and again.
type caster struct {
	in     transcode.FanIn
	parser psyc.Parser
	p      psyc.Packet
	casts  []byte // value of _amount_casts, counted up in place
	wire   []byte
	xml    []byte
}

func newCaster(tb testing.TB, copies int) *caster {
	first, next := broadcasts(tb, copies)
	c := &caster{wire: next, in: transcode.FanIn{Root: "psyc://south.example/", Admit: func(string, string) error { return nil }}}
	c.receive(tb, first)
	return c
}

// receive writes every copy as a stream would.
func (c *caster) receive(tb testing.TB, wire []byte) (copies int) {
	c.parser = psyc.Parser{Syntax: psyc.PSYC10}
	if _, err := c.parser.Parse(&c.p, wire); err != nil {
		tb.Fatal(err)
	}
	for i := range c.p.Entity {
		if v := &c.p.Entity[i]; v.Name == "_amount_casts" {
			v.Value = c.number()
		}
	}
	for s, err := range c.in.Receive(time.Time{}, &c.p) {
		if err != nil {
			tb.Fatal(err)
		}
		c.xml = s.Append(c.xml[:0])
		copies++
	}
	c.in.Replies()
	return copies
}

// number returns the next number.
func (c *caster) number() []byte {
	if c.casts == nil {
		c.casts = []byte("1000000000")
	}
	for i := len(c.casts) - 1; ; i-- {
		if c.casts[i]++; c.casts[i] <= '9' {
			return c.casts
		}
		c.casts[i] = '0'
	}
}

// TestCopiesCostNoMemory: what is allocated for a cast does not depend on how many get it.
func TestCopiesCostNoMemory(t *testing.T) {
	few, many := newCaster(t, 10), newCaster(t, 1000)
	allocs := func(c *caster) float64 {
		return testing.AllocsPerRun(100, func() { c.receive(t, c.wire) })
	}
	a, b := allocs(few), allocs(many)
	t.Logf("%v allocations for 10 copies, %v for 1000", a, b)
	if b > a+2 || b > 40 {
		t.Errorf("%v allocations for 1000 copies, %v for 10", b, a)
	}
}

// BenchmarkFanIn is what one copy costs at the receiver: parsing the cast, converting it, writing the stanza.
func BenchmarkFanIn(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newCaster(b, n)
			b.ReportAllocs()
			copies := 0
			for b.Loop() {
				copies += c.receive(b, c.wire)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(copies), "ns/copy")
		})
	}
}

// BenchmarkFanOut is what one of a thousand copies costs at the sender, once the audience is known.
func BenchmarkFanOut(b *testing.B) {
	const n = 1000
	var stanzas []*xmpp.Stanza
	for i := range n {
		stanzas = append(stanzas, mustParse(b, fmt.Sprintf(benchPresence, contact(i), "away")))
	}
	var out transcode.FanOut
	now := time.Unix(1e9, 0)
	b.ReportAllocs()
	casts := 0
	for b.Loop() {
		for _, s := range stanzas {
			out.Add(now, s, nil)
		}
		out.FlushAll()
		for parcel := range out.Parcels() {
			casts++
			out.Confirm(parcel.Cast)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(casts*n), "ns/copy")
}
