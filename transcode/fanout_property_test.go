package transcode_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A relay is a sender and a receiver with a network between them that takes its time, and sessions that end.
type relay struct {
	maker
	t   *testing.T
	now time.Time
	out *transcode.FanOut
	in  *transcode.FanIn

	inOrder bool // how the receiver waits

	there     []flight           // on its way to the receiver
	back      [][]byte           // on its way to the sender
	unsettled []transcode.Parcel // sent, and not known to have arrived for good

	sent, got map[string][]string // by bare source and target
	count     map[string]int      // of each stanza: sent minus received
	again     map[string]int      // that may have come more than once
	casts     int
	copies    int
	refusals  int
	questions int
	restarts  int
	audiences map[string][]string
	serial    int
}

type flight struct {
	wire   []byte
	parcel transcode.Parcel
}

func newRelay(t *testing.T, seed uint64) *relay {
	r := &relay{
		maker: maker{rand.New(rand.NewPCG(seed, 7))}, t: t, now: time.Unix(1e9, 0),
		sent: map[string][]string{}, got: map[string][]string{}, count: map[string]int{}, again: map[string]int{},
		audiences: map[string][]string{}, inOrder: seed%2 == 1,
	}
	r.out = &transcode.FanOut{Window: 1 + r.IntN(60), Runs: 1 + r.IntN(4), Limits: transcode.AudienceLimits{Entries: 5 + r.IntN(30), Audiences: 1 + r.IntN(8)}}
	r.in = r.receiver()
	return r
}

// receiver returns one that remembers little and refuses some.
func (r *relay) receiver() *transcode.FanIn {
	f := &transcode.FanIn{
		Root:    "psyc://south.example/",
		Limits:  transcode.AudienceLimits{Entries: 5 + r.IntN(30), Audiences: 1 + r.IntN(5), Members: 5 + r.IntN(80)},
		Hold:    transcode.HoldLimits{Packets: 1 << 20, Bytes: 1 << 30},
		InOrder: r.inOrder,
	}
	if r.IntN(2) == 0 {
		f.Charge = func(int, int) error {
			if r.IntN(12) == 0 {
				return errors.New("too much at once")
			}
			return nil
		}
	}
	return f
}

func pair(s *xmpp.Stanza) string { return s.From.Bare().String() + " " + s.To.Bare().String() }

// send gives a stanza to the sender.
func (r *relay) send(text string) {
	s := mustParse(r.t, text)
	xml := string(s.Append(nil))
	r.sent[pair(s)] = append(r.sent[pair(s)], xml)
	r.count[xml]++
	r.out.Add(r.now, s, nil)
}

// target returns somebody on the other side.
func (r *relay) target() string {
	n := r.IntN(24)
	to := fmt.Sprintf("c%d@%s", n%12, pick(r.maker, "south.example", "south.example", "east.example"))
	if n >= 12 {
		to += pick(r.maker, "/desk", "/phone", "/a b")
	}
	return to
}

// act sends something, or lets time pass.
func (r *relay) act() {
	source := pick(r.maker, "ann@north.example/desk", "ann@north.example/phone", "*room@north.example/bo", "news.north.example")
	r.serial++
	switch r.IntN(9) {
	case 0:
		r.send(fmt.Sprintf("<message from='%s' to='%s' type='chat' id='m%d'><body>hi</body></message>", source, r.target(), r.serial))
	case 1:
		r.send(fmt.Sprintf("<presence from='%s' to='%s' type='%s' id='p%d'/>", source, r.target(), pick(r.maker, "probe", "subscribe", "unsubscribed", "error"), r.serial))
	case 2:
		r.send(fmt.Sprintf("<iq from='%s' to='%s' type='get' id='q%d'><ping xmlns='urn:xmpp:ping'/></iq>", source, r.target(), r.serial))
	case 3:
		r.send(fmt.Sprintf("<presence from='%s' to='%s'><status>directed %d</status></presence>", source, r.target(), r.serial))
	case 4:
		r.now = r.now.Add(time.Duration(r.IntN(8)) * time.Millisecond)
		r.out.Flush(r.now)
	default:
		r.broadcast(source)
	}
}

// broadcast sends one stanza to an audience, or to a part of it.
func (r *relay) broadcast(source string) {
	name := source + pick(r.maker, "", "", " events")
	for len(r.audiences[name]) < 3 || r.IntN(3) == 0 {
		r.audiences[name] = append(r.audiences[name], r.target()) // somebody may be in it twice
	}
	if all := r.audiences[name]; r.IntN(3) == 0 {
		i := r.IntN(len(all))
		r.audiences[name] = append(all[:i:i], all[i+1:]...)
	}
	kind, attrs := "presence", pick(r.maker, "", "", " type='unavailable'", " id='x'", " xml:lang='de'")
	inside := fmt.Sprintf("<status>%d &amp; &quot;</status>", r.serial)
	if strings.HasSuffix(name, "events") || r.IntN(4) == 0 {
		kind, attrs = "message", pick(r.maker, " type='headline'", " type='groupchat' id='g'")
		inside = fmt.Sprintf("<body>%d</body><x xmlns='urn:x'><![CDATA[|]]></x>", r.serial)
	}
	stop := -1
	if all := r.audiences[name]; r.IntN(4) == 0 {
		stop = r.IntN(len(all))
	}
	skip := r.IntN(8)
	for i, to := range r.audiences[name] {
		if i == stop {
			r.now = r.now.Add(10 * time.Millisecond)
			r.out.Flush(r.now)
		}
		if skip == 0 && r.IntN(4) == 0 {
			continue
		}
		r.send(fmt.Sprintf("<%s from='%s' to='%s'%s>%s</%s>", kind, source, to, attrs, inside, kind))
		if r.IntN(40) == 0 {
			r.act()
		}
	}
}

// move carries some of what is on its way.
func (r *relay) move(all bool) {
	for parcel, err := range r.out.Parcels() {
		if err != nil {
			r.t.Fatalf("%v", err)
		}
		b, err := parcel.Packet.Append(nil, psyc.PSYC10)
		if err != nil {
			r.t.Fatalf("%v\n%v", err, parcel.Packet)
		}
		if parcel.Cast > 0 {
			r.casts++
			r.copies += parcel.Copies
		}
		parcel.Packet = nil
		r.there = append(r.there, flight{b, parcel})
		r.unsettled = append(r.unsettled, parcel)
		if !all && r.IntN(3) == 0 {
			break
		}
	}
	for len(r.there) > 0 && (all || r.IntN(3) > 0) {
		f := r.there[0]
		r.there = r.there[1:]
		r.arrive(f.wire)
		if n := r.in.Unsettled(); r.inOrder || n == 0 {
			r.unsettled = r.unsettled[len(r.unsettled)-len(r.there)-n:]
		}
	}
	for len(r.back) > 0 && (all || r.IntN(3) > 0) {
		var p psyc.Packet
		if _, err := p.Parse(r.back[0], psyc.PSYC10); err != nil {
			r.t.Fatal(err)
		}
		r.back = r.back[1:]
		if !r.out.Handle(&p) {
			r.t.Fatalf("not handled: %s", show(&p))
		}
	}
}

func (r *relay) arrive(wire []byte) {
	var p psyc.Packet
	if _, err := p.Parse(wire, psyc.PSYC10); err != nil {
		r.t.Fatalf("%q: %v", wire, err)
	}
	for s, err := range r.in.Receive(r.now, &p) {
		if err != nil {
			r.refusals++
			var refusal *transcode.Error
			if !errors.As(err, &refusal) || refusal.Method != "_failure_exhausted_audience" { // all questions are answered
				r.t.Fatalf("%s: %v", wire, err)
			}
			continue
		}
		xml := string(s.Append(nil))
		r.got[pair(s)] = append(r.got[pair(s)], xml)
		r.count[xml]--
		s.To, s.Type, s.Attrs = uniform.JID{}, "changed", append(s.Attrs, xmpp.Attr{Name: "changed", Value: "1"})
		s.SetText("body", "changed by who got it")
	}
	for _, p := range r.in.Replies() {
		if p.State == psyc.Resync {
			r.questions++
		}
		b, err := p.Append(nil, psyc.PSYC10)
		if err != nil {
			r.t.Fatal(err)
		}
		r.back = append(r.back, b)
	}
}

// restart ends the session with all that is on its way, as when either side is killed. What is not known to have arrived
// is sent again.
func (r *relay) restart() {
	r.restarts++
	again, later := r.unsettled, []*xmpp.Stanza(nil)
	r.there, r.back, r.unsettled = nil, nil, nil
	for s := range r.out.Reset() {
		later = append(later, s.Clone())
	}
	r.in = r.receiver()
	for _, parcel := range again {
		for s := range parcel.Stanzas() {
			if !r.inOrder {
				r.again[string(s.Append(nil))]++
			}
			r.out.Add(r.now, s.Clone(), nil)
		}
	}
	for _, s := range later {
		r.out.Add(r.now, s, nil)
	}
}

// settle lets everything arrive, and compares.
func (r *relay) settle() {
	r.t.Helper()
	r.out.FlushAll()
	for i := 0; i < 10_000; i++ {
		r.move(true)
		if len(r.there)+len(r.back)+r.in.Held() == 0 {
			break
		}
	}
	if n := r.in.Held(); n > 0 {
		r.t.Fatalf("%d packets are held for ever", n)
	}
	for xml, n := range r.count {
		if n > 0 {
			r.t.Errorf("%d missing of %s", n, xml)
		} else if n < -r.again[xml] {
			r.t.Errorf("%d too many of %s", -n-r.again[xml], xml)
		}
	}
	for pair, sent := range r.sent {
		if got := r.got[pair]; strings.Join(first(sent), "\n") != strings.Join(first(got), "\n") {
			r.t.Errorf("%s: sent\n%s\ngot\n%s", pair, strings.Join(sent, "\n"), strings.Join(got, "\n"))
		}
	}
}

// first keeps each the first time. What came again after a restart is counted above.
func first(all []string) (once []string) {
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			once = append(once, s)
		}
		seen[s] = true
	}
	return once
}

// TestFanOutLosesNothing: what comes out is what went in, in order between any two addresses, whatever becomes of audiences. Where everything
// waits in order nothing comes twice, either, if what is unsettled does not count as received.
func TestFanOutLosesNothing(t *testing.T) {
	var casts, copies, refusals, questions, restarts int
	for seed := range uint64(300) {
		r := newRelay(t, seed)
		for range 120 {
			r.act()
			if r.IntN(3) == 0 {
				r.move(false)
			}
			if seed%3 == 0 && r.IntN(40) == 0 {
				r.restart()
			}
		}
		r.settle()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		casts, copies, refusals = casts+r.casts, copies+r.copies, refusals+r.refusals
		questions, restarts = questions+r.questions, restarts+r.restarts
	}
	t.Logf("%d casts for %d copies, %d refused, %d questions, %d restarts", casts, copies, refusals, questions, restarts)
	if casts < 1000 || copies < 5*casts/2 || refusals < 100 || questions < 100 || restarts < 100 {
		t.Error("not enough of everything happened")
	}
}
