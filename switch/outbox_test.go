package psycswitch

import (
	"strconv"
	"testing"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// What a link gives back while the first stanza is on its way to another one goes in front, and what has gone is not taken for it.
func TestRequeueWhileSending(t *testing.T) {
	r := &Router{Config: Config{Hosts: StaticHosts{"a.example": nil}}}
	stanza := func(id int) *xmpp.Stanza {
		return &xmpp.Stanza{
			Kind: xmpp.Message, ID: strconv.Itoa(id),
			From: uniform.MustParseJID("x@a.example"), To: uniform.MustParseJID("y@b.example"),
		}
	}
	for id := range 3 {
		if err := r.Send(t.Context(), stanza(3+id)); err != nil {
			t.Fatal(err)
		}
	}
	o := r.outbox(route{"a.example", "b.example"})
	sent, _ := r.head(o)
	r.requeue(t.Context(), []*queued{{Stanza: stanza(1)}, {Stanza: stanza(2)}})
	r.remove(o, sent)
	got := ""
	for {
		s, ok := r.head(o)
		if !ok {
			break
		}
		got += s.ID
		r.remove(o, s)
	}
	if got != "1245" || r.queued != 0 || len(r.outboxes) != 0 {
		t.Errorf("order %s, %d bytes in %d outboxes", got, r.queued, len(r.outboxes))
	}
}
