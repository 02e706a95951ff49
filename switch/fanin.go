package psycswitch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A fanIn is the receiving half of a fanOut. The reading goroutine uses it, and the timer that ends waiting, in turn: who is at it sends to
// turn, because it may take as long as a handler does.
type fanIn struct {
	turn    chan struct{}
	in      transcode.FanIn
	local   string // domain that speaks for us
	charged allowance
	expire  *time.Timer
	holds   atomic.Bool // something is kept back

	left []*xmpp.Stanza // that the loop over Stanzas was not there to take any more; of the reading goroutine
}

// maxReplies is how many packets may wait to be told to a peer about its casts. One that does not read them, and goes on, is cut off.
const maxReplies = 1024

func (n *fanIn) init(f *fanOut, limits castLimits) {
	n.turn = make(chan struct{}, 1)
	casts := &f.link.cfg.Casts
	n.charged.rate = casts.Rate
	if n.charged.rate == 0 {
		n.charged.rate = defaultCastRate
	}
	n.expire = stopped(f.expireDue)
	n.in = transcode.FanIn{
		Limits: limits.AudienceLimits,
		Hold:   casts.hold(),
		// What waits does not count as received. If something else overtook it, that would come again after a break.
		InOrder: true,
		Admit:   f.admit,
		Charge: func(_, bytes int) error {
			if bytes > limits.copies || !n.charged.take(time.Now(), bytes) {
				return fmt.Errorf("%d bytes of copies", bytes)
			}
			return nil
		},
	}
	if local := f.link.local; local != "" {
		n.speak(local)
	}
}

// speak has a domain of ours speak for us: one that the peer sends to, and therefore believes us.
func (n *fanIn) speak(local string) {
	if n.local != local {
		n.local, n.in.Root = local, rootEntity(local)
	}
}

// admit is like [Link.admit].
func (f *fanOut) admit(local, remote string) error {
	if !f.circuit.Proven(remote) || !f.link.cfg.hosted(local) {
		return ErrNotProven
	}
	f.in.speak(local)
	return nil
}

// concerns reports whether p has to go through receive.
func (f *fanOut) concerns(p *psyc.Packet) bool {
	return f.in.holds.Load() || transcode.AboutAudiences(p)
}

// receive yields what p becomes. It reports false when the loop is over.
func (f *fanOut) receive(ctx context.Context, p *psyc.Packet, yield func(*xmpp.Stanza, error) bool) bool {
	f.mu.Lock()
	own := f.out.Handle(p)
	f.mu.Unlock()
	n := &f.in
	if own {
		f.wake(0) // the answer must not keep us from reading
		if n.holds.Load() {
			n.turn <- struct{}{}
			n.in.Skip()
			f.circuit.Withhold(n.in.Unsettled())
			<-n.turn
		}
		return true
	}
	n.turn <- struct{}{}
	defer func() { <-n.turn }()
	if p.Routing.Get("_context") != nil {
		f.received.Add(1)
	}
	var fatal error
	over := false
	for s, err := range n.in.Receive(time.Now(), p) {
		switch {
		case errors.Is(err, transcode.ErrOutOfStep):
			fatal = err
		case err != nil:
			f.link.cfg.log(ctx, slog.LevelWarn, "packet refused", append(f.link.attrs(), "from", sender(p), "error", err)...)
		case over:
			n.left = append(n.left, s.Clone())
		default:
			f.link.taken.Add(1)
			over = !yield(s, nil)
		}
	}
	n.holds.Store(n.in.Held() > 0)
	f.circuit.Withhold(n.in.Unsettled())
	f.answer()
	if fatal != nil {
		f.link.dead.Store(true)
		if !over {
			yield(nil, fmt.Errorf("psycswitch: from %v: %w", f.link.conn.RemoteAddr(), fatal))
		}
		return false
	}
	return !over
}

// sender returns who speaks in p.
func sender(p *psyc.Packet) string {
	if context := p.Routing.Get("_context"); context != nil {
		return context.String()
	}
	return p.Routing.Get("_source").String()
}

// remainder yields what a loop that has ended early has left.
func (f *fanOut) remainder(yield func(*xmpp.Stanza, error) bool) bool {
	for len(f.in.left) > 0 {
		s := f.in.left[0]
		f.in.left = f.in.left[1:]
		f.link.taken.Add(1)
		if !yield(s, nil) {
			return false
		}
	}
	return true
}

// answer leaves what there is to say about casts to who has the turn next, and sees to it that waiting ends. It is the turn of the caller,
// to receive.
func (f *fanOut) answer() {
	if replies := f.in.in.Replies(); len(replies) > 0 {
		for _, p := range replies {
			if p.State == psyc.Resync {
				f.link.cfg.log(context.Background(), slog.LevelInfo, "audience in doubt", append(f.link.attrs(), "from", p.Routing.Get("_target").String())...)
			}
		}
		f.mu.Lock()
		f.replies = append(f.replies, replies...)
		over := len(f.replies) > maxReplies
		f.mu.Unlock()
		if over {
			f.hangUp(errors.New("psycswitch: peer reads no answers"))
			return
		}
		f.wake(0)
	}
	if due := f.in.in.Due(); !due.IsZero() {
		f.in.expire.Reset(max(time.Until(due), 0))
	}
}

// hangUp ends the link because sender and receiver do not come to agree.
func (f *fanOut) hangUp(err error) {
	f.link.dead.Store(true)
	f.link.cfg.log(context.Background(), slog.LevelWarn, "fan-out out of step", append(f.link.attrs(), "error", err)...)
	f.circuit.Conn().Close()
}

// expireDue refuses what nobody has explained in time. A peer that does not repeat what was refused is good for nothing.
func (f *fanOut) expireDue() {
	f.in.turn <- struct{}{}
	defer func() { <-f.in.turn }()
	for _, err := range f.in.in.Expire(time.Now()) {
		if errors.Is(err, transcode.ErrOutOfStep) {
			f.hangUp(err)
			return
		}
	}
	f.answer()
}
