package transcode_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A pipe is one direction of a session: what is added to out arrives from in, by way of bytes.
type pipe struct {
	t    testing.TB
	now  time.Time
	out  transcode.FanOut
	in   *transcode.FanIn
	wire int // bytes sent, both ways
	sent int // packets sent, to the receiver
	got  []string
	errs []error
}

func newPipe(t testing.TB) *pipe {
	return &pipe{t: t, now: time.Unix(1e9, 0), in: &transcode.FanIn{Root: "psyc://south.example/"}}
}

// carry sends p through the wire syntax.
func (w *pipe) carry(p *psyc.Packet) *psyc.Packet {
	w.t.Helper()
	b, err := p.Append(nil, psyc.PSYC10)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	w.wire += len(b)
	q := new(psyc.Packet)
	if n, err := q.Parse(b, psyc.PSYC10); err != nil || n != len(b) {
		w.t.Fatalf("%s: %v", b, err)
	}
	return q
}

func (w *pipe) add(stanzas ...string) {
	w.t.Helper()
	for _, text := range stanzas {
		w.out.Add(w.now, mustParse(w.t, text), nil)
	}
}

func mustParse(t testing.TB, text string) *xmpp.Stanza {
	t.Helper()
	s, err := xmpp.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// flush lets time pass until everything has arrived that was added.
func (w *pipe) flush() {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	w.out.Flush(w.now)
	w.pump()
}

// pump carries what is ready, and the answers to that, until there is nothing more.
func (w *pipe) pump() {
	w.t.Helper()
	for parcel, err := range w.out.Parcels() {
		if err != nil {
			w.errs = append(w.errs, err)
			continue
		}
		w.sent++
		w.arrive(w.carry(parcel.Packet))
		for _, p := range w.in.Replies() {
			if !w.out.Handle(w.carry(p)) {
				w.t.Errorf("not about an audience:\n%s", show(p))
			}
		}
	}
}

func (w *pipe) arrive(p *psyc.Packet) {
	for s, err := range w.in.Receive(w.now, p) {
		if err != nil {
			w.errs = append(w.errs, err)
			continue
		}
		w.got = append(w.got, string(s.Append(nil)))
	}
}

// contact is one of Ann's.
func contact(i int) string { return fmt.Sprintf("contact%d@south.example", i) }

// presence are Ann's presences to contacts from one number to the one before another.
func presence(show string, from, to int) (stanzas []string) {
	for i := from; i < to; i++ {
		stanzas = append(stanzas, fmt.Sprintf("<presence from='ann@north.example/desk' to='%s'><show>%s</show><priority>5</priority></presence>", contact(i), show))
	}
	return stanzas
}

// TestConstantCost: what one change of presence costs does not depend on how many hear of it.
func TestConstantCost(t *testing.T) {
	cost := map[int]int{}
	for _, n := range []int{1, 10, 100, 1000} {
		w := newPipe(t)
		w.add(presence("away", 0, n)...)
		w.flush()
		first := w.wire
		w.wire, w.sent = 0, 0
		w.add(presence("dnd", 0, n)...)
		w.flush()
		cost[n] = w.wire
		t.Logf("%d contacts: %d bytes for the first change, %d for the next", n, first, w.wire)
		if w.sent != 1 || len(w.got) != 2*n {
			t.Errorf("%d contacts: %d packets for the second change, %d stanzas", n, w.sent, len(w.got))
		}
		for _, m := range cost {
			if m-cost[n] > 200 || cost[n]-m > 200 {
				t.Errorf("bytes by contacts: %v", cost)
			}
		}
	}
}

// TestCostOfOneContact: one more or one fewer costs its name.
func TestCostOfOneContact(t *testing.T) {
	w := newPipe(t)
	change := func(what string, from, to int) int {
		t.Helper()
		before, copies := w.wire, len(w.got)
		w.add(presence(what, from, to)...)
		w.flush()
		if len(w.got)-copies != to-from {
			t.Fatalf("%d copies of %d", len(w.got)-copies, to-from)
		}
		return w.wire - before
	}
	change("away", 0, 1000)
	plain := change("dnd", 0, 1000)
	for _, step := range []struct {
		what     string
		from, to int
	}{{"one more", 0, 1001}, {"one fewer", 1, 1001}, {"the same", 1, 1001}, {"the same", 1, 1001}, {"the same", 1, 1001}, {"one more", 1, 1002}} {
		n := change("away", step.from, step.to)
		t.Logf("%s: %d bytes more", step.what, n-plain)
		if n-plain >= 200 {
			t.Errorf("%s: %d bytes, %d without", step.what, n, plain)
		}
	}
	if n := change("xa", 1, 1002); n > plain+5 {
		t.Errorf("%d bytes once all is settled, %d before", n, plain)
	}
}

// sends returns the packets that are ready, as they look on the wire.
func (w *pipe) sends() (packets []string) {
	w.t.Helper()
	for parcel, err := range w.out.Parcels() {
		if err != nil {
			w.t.Fatal(err)
		}
		packets = append(packets, show(parcel.Packet))
	}
	return packets
}

// TestFanOutOnTheWire shows what a sender says about audiences.
func TestFanOutOnTheWire(t *testing.T) {
	w := newPipe(t)
	for _, step := range []struct {
		what, show string
		to         []int
		header     string
	}{
		{"new", "away", []int{0, 1, 2, 3}, ":_audience\t1 1\n:_amount_casts\t1\n=_list_audience 136\t|30 psyc://south.example/~contact0|30 psyc://south.example/~contact1|30 psyc://south.example/~contact2|30 psyc://south.example/~contact3\n"},
		{"the same", "away", []int{0, 1, 2, 3}, ":_audience\t1 1\n:_amount_casts\t2\n"},
		{"two of them", "away", []int{0, 3}, ":_audience\t1 1\n:_amount_casts\t3\n:_list_audience_only\t| 0| 3\n"},
		{"one more", "away", []int{0, 1, 2, 3, 4}, ":_audience\t1 2\n:_amount_casts\t4\n+_list_audience 34\t|30 psyc://south.example/~contact4\n"},
		{"one fewer, for now", "away", []int{0, 1, 3, 4}, ":_audience\t1 2\n:_amount_casts\t5\n:_list_audience_without\t| 2\n"},
		{"one fewer for good", "away", []int{0, 1, 3, 4}, ":_audience\t1 3\n:_amount_casts\t6\n-_list_audience 34\t|30 psyc://south.example/~contact2\n"},
		{"the same", "away", []int{0, 1, 3, 4}, ":_audience\t1 3\n:_amount_casts\t7\n"},
	} {
		for _, i := range step.to {
			w.add(presence(step.show, i, i+1)...)
		}
		w.out.FlushAll()
		got := w.sends()
		if len(got) != 1 {
			t.Fatalf("%s: %d packets", step.what, len(got))
		}
		_, content, _ := strings.Cut(got[0], "~ann\n")
		_, content, _ = strings.Cut(content, "\n") // the length
		header, _, _ := strings.Cut(content, ":_resource_source")
		if header != step.header {
			t.Errorf("%s:\n%s\nwant\n%s", step.what, header, step.header)
		}
	}
}

// TestOneRecipient: what is for one, by its kind or because nobody else gets it, is a packet for one.
func TestOneRecipient(t *testing.T) {
	for _, form := range []string{
		"<message from='ann@north.example/desk' to='%s' type='chat'><body>hi</body></message>",
		"<message from='ann@north.example/desk' to='%s'><body>hi</body></message>",
		"<message from='ann@north.example/desk' to='%s' type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
		"<iq from='ann@north.example/desk' to='%s' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<presence from='ann@north.example/desk' to='%s' type='probe'/>",
		"<presence from='ann@north.example/desk' to='%s' type='subscribe'/>",
		"<presence from='ann@north.example/desk' to='%s' type='unsubscribed'/>",
		"<presence from='ann@north.example/desk' to='%s' type='error'/>",
		"<presence from='ann@north.example/desk' to='%s' type='odd'/>",
		"<presence from='ann@north.example/desk' to='%s' id='%[1]s'/>",
		"<presence from='Ann@north.example/desk' to='%s' odd='%[1]s'/>",
		"<presence from='ann@north.example/desk' to='%s'><status>%[1]s</status></presence>",
	} {
		w := newPipe(t)
		want := 0
		for i := range 5 {
			w.add(fmt.Sprintf(form, contact(i)))
			want++
		}
		w.flush()
		if len(w.got) != want || w.sent != want || len(w.errs) > 0 {
			t.Errorf("%s\n%d stanzas of %d in %d packets, %v", form, len(w.got), want, w.sent, w.errs)
		}
	}
}

// TestManyRecipients: what servers send to many is one packet, and comes out as it went in.
func TestManyRecipients(t *testing.T) {
	for _, form := range []string{
		"<presence from='ann@north.example/desk' to='%s'/>",
		"<presence from='Ann@North.example/desk' to='%s' id='p 1 ' xml:lang='de' odd='1'><c xmlns='urn:x'>&#13;</c></presence>",
		"<presence from='ann@north.example/desk' to='%s/phone' type='unavailable'><status>gone</status></presence>",
		"<presence from='*room@north.example/bo b' to='%s/phone'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/></x></presence>",
		"<message from='*room@north.example/bo' to='%s/phone' type='groupchat' id='7'><body>hi</body></message>",
		"<message from='ann@north.example' to='%s/phone' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event></message>",
		"<presence from='north.example' to='%s'/>",
		"<p:presence xmlns:p='jabber:server' from='ann@north.example' to='%s'><p:show>away</p:show></p:presence>",
		// Made of a packet that has more to say than a stanza: it is restored and made a stanza again.
		"<presence from='ann@north.example/desk' to='%s'>" + moodOf(t) + "</presence>",
	} {
		w := newPipe(t)
		var want []string
		for i := range 5 {
			text := fmt.Sprintf(form, contact(i))
			want = append(want, string(mustParse(t, text).Append(nil)))
			w.add(text)
		}
		w.flush()
		if strings.Join(w.got, "\n") != strings.Join(want, "\n") || w.sent != 1 {
			t.Errorf("%d packets, %v\ngot\n%s\nwant\n%s", w.sent, w.errs, strings.Join(w.got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// moodOf returns the inside of a presence of Ann at her desk that carries a packet.
func moodOf(t *testing.T) string {
	t.Helper()
	p := &psyc.Packet{Method: "_notice_presence_here"}
	p.Routing.Set("_source", "psyc://north.example/~ann")
	p.Routing.Set("_target", "psyc://south.example/~ben")
	p.Entity.Add(psyc.Set, "_resource_source", "desk")
	p.Entity.Add(psyc.Set, "_degree_availability", "7")
	p.Entity.Add(psyc.Set, "_degree_mood", "8")
	s, err := new(transcode.Converter).Stanza(p)
	if err != nil || !strings.Contains(string(s.Raw()), "<packet") {
		t.Fatalf("%s, %v", s.Append(nil), err)
	}
	return string(s.Raw())
}

// TestSpellingOfRecipient: an address that is spelt in its own manner travels by itself, and keeps its spelling.
func TestSpellingOfRecipient(t *testing.T) {
	w := newPipe(t)
	var want []string
	for i := range 4 {
		text := fmt.Sprintf("<presence from='ann@north.example/desk' to='Contact%d@South.example'/>", i)
		want = append(want, text)
		w.add(text)
	}
	w.flush()
	if strings.Join(w.got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", w.got)
	}
}

// TestFanOutTimes: only what may go on waits, no longer than it may, and what others send does not wait for it.
func TestFanOutTimes(t *testing.T) {
	w := newPipe(t)
	start := w.now
	w.add(presence("away", 0, 3)...)
	if got := w.sends(); len(got) != 0 || !w.out.Due().Equal(start.Add(20*time.Millisecond)) {
		t.Fatalf("%q, due %v", got, w.out.Due())
	}
	w.add("<message from='bob@north.example/desk' to='contact0@south.example' type='chat'><body>hi</body></message>")
	if got := w.sends(); len(got) != 1 || !strings.Contains(got[0], "~bob") {
		t.Errorf("of Bob: %q", got)
	}
	w.out.Flush(start.Add(19 * time.Millisecond))
	if got := w.sends(); len(got) != 0 {
		t.Errorf("too early: %q", got)
	}
	w.out.Flush(start.Add(20 * time.Millisecond))
	if got := w.sends(); len(got) != 1 || !w.out.Due().IsZero() {
		t.Errorf("in time: %q, due %v", got, w.out.Due())
	}

	// A run goes on as long as copies come, within limits.
	for i := range 50 {
		w.now = start.Add(time.Duration(10*i) * time.Millisecond)
		w.add(presence("xa", i, i+1)...)
		w.out.Flush(w.now)
		if got := w.sends(); (len(got) > 0) != (i == 20 || i == 41) {
			t.Errorf("copy %d: %d packets", i, len(got))
		}
	}
	w.out.FlushAll()
	w.sends()

	w.add("<message from='*room@north.example/bo' to='contact0@south.example/x' type='groupchat'><body>hi</body></message>")
	if !w.out.Due().Equal(w.now) {
		t.Errorf("a message waits until %v", w.out.Due())
	}
	w.out.Flush(w.now)
	if got := w.sends(); len(got) != 1 {
		t.Errorf("message: %q", got)
	}

	// Somebody who never stops adding holds nobody up.
	w.add(presence("dnd", 0, 3)...)
	for i := 0; i < 10; i++ {
		w.now = w.now.Add(5 * time.Millisecond)
		w.add(fmt.Sprintf("<message from='bob@north.example/desk' to='contact0@south.example' type='chat' id='%d'><body>hi</body></message>", i))
	}
	found := false
	for _, p := range w.sends() {
		found = found || strings.Contains(p, "_notice_presence_busy") || strings.Contains(p, "~ann")
	}
	if !found {
		t.Error("presence waits for ever")
	}

	// A message to somebody comes behind the presence to him.
	w.add(presence("away", 0, 3)...)
	w.add("<message from='ann@north.example/phone' to='contact0@south.example' type='chat'><body>hi</body></message>")
	if got := w.sends(); len(got) != 2 || !strings.Contains(got[0], "_notice_presence") || !strings.Contains(got[1], "_message_private") {
		t.Errorf("message behind presence: %q", got)
	}
}

// TestWindow: a receiver that confirms nothing gets no casts after a while, but all stanzas.
func TestWindow(t *testing.T) {
	w := newPipe(t)
	w.out.Window = 3
	casts := 0
	for i := range 5 {
		w.add(presence([]string{"away", "dnd", "xa", "chat", "away"}[i], 0, 10)...)
		w.out.FlushAll()
		for parcel := range w.out.Parcels() {
			if parcel.Cast > 0 {
				casts++
			}
		}
	}
	if casts != 3 {
		t.Errorf("%d casts", casts)
	}
	w.out.Confirm(2)
	w.add(presence("chat", 0, 10)...)
	w.out.FlushAll()
	if got := w.sends(); len(got) != 1 {
		t.Errorf("%d packets after two were confirmed", len(got))
	}
}

// TestRefusedForBeingMuch: the sender repeats the cast to each, and then sends none for a while.
func TestRefusedForBeingMuch(t *testing.T) {
	w := newPipe(t)
	w.in.Charge = func(copies, bytes int) error {
		if copies > 5 {
			return errors.New("more than five")
		}
		return nil
	}
	w.add(presence("away", 0, 10)...)
	w.add("<message from='ann@north.example/phone' to='contact0@south.example' type='chat'><body>hi</body></message>")
	w.flush()
	if len(w.got) != 11 || !strings.Contains(w.got[10], "<body>") {
		t.Errorf("got %q, %v", w.got, w.errs)
	}
	w.sent = 0
	w.add(presence("dnd", 0, 10)...)
	w.flush()
	if w.sent != 10 || len(w.got) != 21 {
		t.Errorf("%d packets, %d stanzas", w.sent, len(w.got))
	}
}

// TestSendersMemory: the sender forgets the audience it has not used for longest, and says so.
func TestSendersMemory(t *testing.T) {
	w := newPipe(t)
	w.out.Limits.Members = 25
	for _, name := range []string{"ann", "bob", "cat"} {
		for i := range 10 {
			w.add(fmt.Sprintf("<presence from='%s@north.example/desk' to='%s'/>", name, contact(i)))
		}
		w.out.FlushAll()
	}
	got := w.sends()
	if len(got) != 4 || got[3] != ":_context\tpsyc://north.example/~ann\n\n:_audience\t1 1\n-_list_audience\t\n|\n" {
		t.Errorf("%q", got)
	}
}

// TestAudiencesApart: presence and events of one person have audiences of their own, and cost alike in turn.
func TestAudiencesApart(t *testing.T) {
	w := newPipe(t)
	last := 0
	for i := range 12 {
		before := w.wire
		w.add(presence([]string{"away", "dnd"}[i%2], 0, 300)...)
		w.flush()
		for c := 0; c < 300; c += 1 + c%7%2 {
			w.add(fmt.Sprintf("<message from='ann@north.example' to='%s/home' type='headline' id='%d'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", contact(c), i))
		}
		w.flush()
		last = w.wire - before
	}
	if last > 500 {
		t.Errorf("both cost %d bytes after a while", last)
	}
}

// TestRecall: a cast that a connection gives back is the stanzas that it was made of, until the receiver is through with it.
func TestRecall(t *testing.T) {
	w := newPipe(t)
	w.add(presence("away", 0, 10)...)
	w.out.FlushAll()
	for parcel, err := range w.out.Parcels() {
		if err != nil {
			t.Fatal(err)
		}
		p := w.carry(parcel.Packet)
		back, ok := w.out.Recall(p)
		var got []string
		for s := range back.Stanzas() {
			got = append(got, string(s.Append(nil)))
		}
		if !ok || back.Copies != 10 || strings.Join(got, "") != strings.Join(presence("away", 0, 10), "") {
			t.Errorf("%d copies: %q", back.Copies, got)
		}
		w.out.Confirm(parcel.Cast)
		if back, ok := w.out.Recall(p); !ok || back.Copies > 0 {
			t.Errorf("recalled %d copies of what is settled", back.Copies)
		}
	}
	if _, ok := w.out.Recall(&psyc.Packet{Method: "_message"}); ok {
		t.Error("recalled what is no cast")
	}
}

// TestQuestionsWithoutEnd: a peer that only asks gets few answers, and only about audiences that it may not have.
func TestQuestionsWithoutEnd(t *testing.T) {
	w := newPipe(t)
	w.add(presence("away", 0, 1000)...)
	w.out.FlushAll()
	w.sends()
	bytes := 0
	for range 1000 {
		p := &psyc.Packet{State: psyc.Resync}
		p.Routing.Set("_source", "psyc://south.example/")
		p.Routing.Set("_target", "psyc://north.example/~ann")
		p.Entity.Add(psyc.Set, "_audience", "1 1")
		if !w.out.Handle(p) {
			t.Fatal("not about an audience")
		}
	}
	for _, answer := range w.sends() {
		bytes += len(answer)
	}
	if bytes > 50_000 {
		t.Errorf("%d bytes in answer", bytes)
	}
}

// TestRefs: what Add was given beside a stanza comes out with the packet that it went in, or back when the session ends.
func TestRefs(t *testing.T) {
	w := newPipe(t)
	for i, text := range presence("away", 0, 10) {
		w.out.Add(w.now, mustParse(t, text), i)
	}
	w.out.Add(w.now, mustParse(t, "<message from='ann@north.example' to='contact0@south.example'><body>hi</body></message>"), 10)
	var refs []any
	for parcel, err := range w.out.Parcels() {
		if err != nil {
			t.Fatal(err)
		}
		refs = slices.AppendSeq(refs, parcel.Refs())
		for s, ref := range parcel.Stanzas() {
			if parcel.Cast > 0 && s.To.String() != contact(ref.(int)) {
				t.Errorf("%v is that of %v", ref, s.To)
			}
		}
	}
	for i, text := range presence("dnd", 0, 2) {
		w.out.Add(w.now, mustParse(t, text), 11+i)
	}
	for _, ref := range w.out.Reset() {
		refs = append(refs, ref)
	}
	for i, ref := range refs {
		if ref != any(i) {
			t.Fatalf("%v", refs)
		}
	}
	if len(refs) != 13 {
		t.Errorf("%v", refs)
	}
}

// TestAlone: what has one recipient may be sent as it is, unless something of its sender waits.
func TestAlone(t *testing.T) {
	w := newPipe(t)
	message := func(from string) *xmpp.Stanza {
		return mustParse(t, "<message from='"+from+"' to='contact0@south.example' type='chat'><body>hi</body></message>")
	}
	if !w.out.Alone(message("ann@north.example/phone")) || w.out.Alone(mustParse(t, presence("away", 0, 1)[0])) {
		t.Error("nothing waits")
	}
	w.add(presence("away", 0, 2)...)
	if w.out.Alone(message("ann@north.example/phone")) || !w.out.Alone(message("bob@north.example")) {
		t.Error("presence of Ann waits")
	}
	w.out.FlushAll()
	if w.out.Alone(message("bob@north.example")) {
		t.Error("presence is ready")
	}
	w.sends()
	if !w.out.Alone(message("ann@north.example/phone")) {
		t.Error("nothing waits any more")
	}
}

// TestBurden: copies that are too much together go one by one.
func TestBurden(t *testing.T) {
	for burden, want := range map[int]int{0: 1, 2000: 1, 1000: 10} {
		w := newPipe(t)
		w.out.Burden = burden
		w.add(presence("away", 0, 10)...)
		w.out.FlushAll()
		if got := w.sends(); len(got) != want {
			t.Errorf("%d packets, with %d bytes", len(got), burden)
		}
	}
}
