package psycswitch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// What goes by a stream is counted as it is on a circuit, by stream management (XEP-0198). Where the peer keeps a session beyond the end of
// its connection, the next stream takes it up and learns how much has arrived. The stanzas themselves are kept by the router alone, so
// that what has become too old meanwhile does not go again.

const (
	// sessionAge is how long the session of a broken stream may be taken up, and maxSessions for how many streams, in either direction.
	sessionAge  = 5 * time.Minute
	maxSessions = 1000

	// maxDoubts is how often a stanza goes again because it is in doubt. One over which the peer breaks every link must not go for
	// ever.
	maxDoubts = 2
)

// managementFeature is one for all streams of a router: what one of them leaves, another one takes up.
func (c *Config) managementFeature() xmpp.Feature {
	if c.management != nil {
		return *c.management
	}
	return newManagement(false)
}

func newManagement(resume bool) xmpp.Feature {
	cfg := xmpp.ManagementConfig{CountOnly: true, Resume: sessionAge, Suspended: maxSessions}
	if !resume {
		cfg.Resume = -1
	}
	return xmpp.Management(cfg)
}

// told takes in what the peer of stream has acknowledged. Without stream management it is presumed that so many stanzas have arrived.
func (l *Link) told(stream *xmpp.Stream, presumed uint64) {
	n := stream.Acknowledged()
	if !stream.Managed() {
		n = max(n, presumed)
	}
	l.acknowledged(n)
}

// streamed is undelivered for a stream on which so many stanzas were written, which may be all. doubt gets what is in doubt and does not go
// again.
func (l *Link) streamed(stream *xmpp.Stream, written uint64, all bool, doubt func(*queued)) (left []*queued) {
	if all && l.heardOut(stream) {
		l.acknowledged(written)
	}
	l.acknowledged(stream.Acknowledged())
	t := &tail{stream: stream, base: l.base, unsent: written + 1, once: !l.repeats(stream), turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	flying := l.flight.end(t)
	l.cfg.barriers.end(l, t)
	t.settled = t.once || t.received >= written // and so nothing is in doubt
	for _, f := range flying {
		if t.fate(f.number) == spent {
			doubt(f.queued)
			continue
		}
		f.tail, f.queued.number = t, f.number
		left = append(left, f.queued)
	}
	return left
}

// heardOut reports whether the peer has read everything in front of our closing tag, as servers do that answer it with theirs. One that has closed
// the stream by itself has to read on until our closing tag, too, but only those that acknowledge are believed to do that.
func (l *Link) heardOut(stream *xmpp.Stream) bool {
	return stream.PeerClosed() && errors.Is(stream.Err(), xmpp.ErrClosed) && (stream.Managed() || !l.peerLeft.Load())
}

// repeats reports whether what is in doubt after the end of stream goes again: that must not be more than a little.
func (l *Link) repeats(stream *xmpp.Stream) bool {
	if stream.Managed() {
		return l.cfg.PSYC.Sessions != nil
	}
	_, fenced := l.cfg.barriers.fenced(l)
	return fenced
}

// keepSession remembers the session of a stream that has broken, for the next one of its route. It is taken up even if nothing is left to send
// again: a new one is of use only when the peer has answered.
func (r *Router) keepSession(link *Link) {
	stream, _ := link.carrier()
	if stream == nil || !link.dialled || !stream.Resumable() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.links.broken) < maxSessions {
		r.links.broken[route{stream.Local(), stream.Remote()}] = stream
	}
}

// brokenStream returns the stream of key whose session may be taken up, nil if there is none.
func (r *Router) brokenStream(key route) *xmpp.Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stream := r.links.broken[key]; stream != nil && stream.Resumable() {
		return stream
	}
	return nil
}

// forgetSessions drops those that have been taken up, or that are too old.
func (r *Router) forgetSessions() {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.links.broken, func(_ route, stream *xmpp.Stream) bool { return !stream.Resumable() })
}

// takeUp settles what a stream has left, now that there is another link, which may have taken up its session. It reports whether there is;
// link may be the very one that has left it. t.turn is held.
func (r *Router) takeUp(ctx context.Context, t *tail, link *Link, key route) bool {
	old := t.stream
	stream, _ := link.carrier()
	switch {
	case link.old != old && !link.alive():
		return false
	case link.old != old:
		t.received = max(t.received, old.Acknowledged())
	case stream != nil && stream.Resumed():
		t.known, t.received = true, link.base
	default:
		t.received = max(t.received, old.Acknowledged()) // it may have said so much when it refused
		r.log(ctx, slog.LevelWarn, "session lost", append(link.attrs(), "stanzas", t.unsent-min(t.unsent, 1+t.received))...)
	}
	t.settled, t.stream, link.old = true, nil, nil
	r.progress(key, t.received > t.base)
	return true
}
