package psycswitch

import (
	"testing"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// What cannot go at once waits in its outbox, and nothing overtakes it. A link that is busy is not broken for that.
func TestPassWaitsForNobody(t *testing.T) {
	key := route{"a.example", "b.example"}
	stanza := &xmpp.Stanza{Kind: xmpp.Message, From: uniform.MustParseJID("x@a.example"), To: uniform.MustParseJID("y@b.example")}
	for _, test := range []struct {
		name string
		link func(*Link)
	}{
		{"somebody sends", func(l *Link) { l.turn <- struct{}{} }},
		{"nothing can be sent", func(*Link) {}},
		{"the link is dead", func(l *Link) { l.dead.Store(true) }},
		{"a domain was withdrawn", func(l *Link) { l.changed.Store(true) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &Router{Config: Config{Hosts: StaticHosts{"a.example": nil}}}
			link := &Link{cfg: &r.Config, turn: make(chan struct{}, 1)}
			r.links.byRoute = map[route]*Link{key: link}
			test.link(link)
			held, dead := len(link.turn), link.dead.Load()
			for n := 1; n <= 2; n++ {
				if err := r.Send(t.Context(), stanza); err != nil {
					t.Fatal(err)
				}
				if got := len(r.outboxes[key].items); got != n {
					t.Errorf("%d of %d wait", got, n)
				}
			}
			if len(link.turn) != held || link.dead.Load() != dead {
				t.Errorf("the link is dead: %v, or its turn is taken: %d", link.dead.Load(), len(link.turn))
			}
		})
	}
}

// What may have arrived by a link that ended under it is not refused to its sender, although nothing more is taken.
func TestPassByEndedLink(t *testing.T) {
	lost := 0
	r := &Router{
		Config: Config{Hosts: StaticHosts{"a.example": nil}, Trace: &Trace{Bounced: func(*xmpp.Stanza, error) { lost++ }}},
		state:  closed,
	}
	q := newQueued(&xmpp.Stanza{Kind: xmpp.Message, Type: "headline", From: uniform.MustParseJID("x@a.example"), To: uniform.MustParseJID("y@b.example")})
	q.tail = &tail{settled: true, known: true, turn: make(chan struct{}, 1)}
	q.number = 1
	if err := r.put(t.Context(), q, wait); err != nil || lost != 1 {
		t.Errorf("%v, and %d bounced", err, lost)
	}
}
