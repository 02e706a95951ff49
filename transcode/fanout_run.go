package transcode

import (
	"bytes"
	"slices"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A run is a stanza and all whom it goes to: consecutive stanzas of one sender that differ in to alone.
type run struct {
	stanza *xmpp.Stanza // the first one
	to     []uniform.JID
	refs   []any
	seen   map[uniform.JID]bool // to, and the bare addresses of those in it that have a resource
	twice  bool                 // two resources of one address are in it, so that their order counts
	opened time.Time
	due    time.Time
}

// castable reports whether s may be one copy of a cast: it is of a kind that servers send to many at once, and its
// recipient can be a member of an audience.
func castable(s *xmpp.Stanza) bool {
	if !Broadcast(s) || s.From.IsZero() || s.To.IsZero() {
		return false
	}
	if r := s.To.Resource(); r != "" && !plain(r, maxValue) {
		return false
	}
	return !slices.ContainsFunc(s.Attrs, func(a xmpp.Attr) bool { return a.Name == "to" })
}

// Broadcast reports whether s is of a kind that may be cast: presence that tells where somebody is, headlines, which events
// of XEP-0060 and XEP-0163 are, and what is said in rooms. A question, a subscription or an error has one recipient.
func Broadcast(s *xmpp.Stanza) bool {
	switch s.Kind {
	case xmpp.Presence:
		return s.Type == "" || s.Type == "unavailable"
	case xmpp.Message:
		return s.Type == "headline" || s.Type == "groupchat"
	}
	return false
}

// alikeButTo reports whether a and b, which are castable, differ in to alone.
func alikeButTo(a, b *xmpp.Stanza) bool {
	return a.Kind == b.Kind && a.Type == b.Type && a.ID == b.ID && a.From == b.From && a.Lang == b.Lang &&
		a.Space == b.Space && a.Prefix == b.Prefix && slices.Equal(a.Attrs, b.Attrs) && bytes.Equal(a.Raw(), b.Raw())
}

// takes reports whether s, which is castable, continues the run. Nobody is in it twice.
func (r *run) takes(s *xmpp.Stanza, limit int) bool {
	return len(r.to) < limit && alikeButTo(r.stanza, s) && !r.has(s.To)
}

// has reports whether a copy for to has to wait for this run to end.
func (r *run) has(to uniform.JID) bool {
	if r.seen == nil { // most runs are of one
		r.seen = make(map[uniform.JID]bool)
		r.see(r.to[0])
	}
	return r.seen[to]
}

// add takes a recipient in.
func (r *run) add(to uniform.JID, ref any) {
	r.refs = append(r.refs, ref)
	if r.to = append(r.to, to); r.seen != nil {
		r.see(to)
	}
}

func (r *run) see(to uniform.JID) {
	r.seen[to] = true
	if to.Resource() != "" {
		bare := to.Bare()
		r.twice = r.twice || r.seen[bare]
		r.seen[bare] = true // if it comes by itself as well, it begins a run of its own
	}
}
