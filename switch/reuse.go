package psycswitch

import (
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// reusable has what newQueued made and nobody has any more. Otherwise what passes through a router would be nearly all that the collector
// has to do, and the memory never the one that the processor has at hand.
var reusable = sync.Pool{New: func() any { return &queued{copied: new(xmpp.StanzaBuffer)} }}

// maxReused is how long the children of a stanza may be, in bytes, for its memory to be used again.
const maxReused = 4 << 10

// newQueued returns a copy of s, which is taken now.
func newQueued(s *xmpp.Stanza) *queued {
	q := reusable.Get().(*queued)
	q.Stanza, q.at = q.copied.Copy(s), time.Now()
	return q
}

// leave is called by who has taken q out of its outbox because a link has it, and by who has taken it out of the flight of that link
// because it has arrived. After the second of them nobody has it. What ends in any other way is left to the collector.
func (q *queued) leave() {
	if q.left.Add(1) != 2 || q.copied == nil || len(q.Raw()) > maxReused {
		return
	}
	*q = queued{copied: q.copied}
	reusable.Put(q)
}

// stay has leave do nothing: more than those two have q.
func (q *queued) stay() { q.left.Add(-1 << 16) }
