package psycswitch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/internal/expiring"
	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/switch/internal/plain"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// neighbours remembers the conversations with domains that speak PSYC without our profile, psyced first. They go on over any number of
// links: psyced answers on one circuit and casts on another.
type neighbours struct {
	late   func(*xmpp.Stanza) // gets errors about what was not answered in time
	answer func(*xmpp.Stanza) // gets what domains here have not answered in time, to be sent

	mu       sync.Mutex
	peers    expiring.Map[string, *plain.Peer]
	manners  expiring.Map[string, manners]
	known    map[*plain.Peer]bool        // for close
	switched expiring.Map[string, *Link] // by the address of the server
	asking   map[string]func()           // what to do when the question of that tag is answered, by whatever circuit
}

// leave returns the stanzas by which the stays of our people in places of neighbours end.
func (n *neighbours) leave() (all []*xmpp.Stanza) {
	n.mu.Lock()
	known := slices.Collect(maps.Keys(n.known))
	n.mu.Unlock()
	for _, p := range known {
		all = append(all, p.Leave()...)
	}
	return all
}

// close ends what waits for answers.
func (n *neighbours) close() {
	n.mu.Lock()
	known := n.known
	n.known = nil
	n.mu.Unlock()
	for p := range known {
		p.Close()
	}
}

const (
	maxNeighbours = 4096
	neighbourLife = 30 * 24 * time.Hour
)

// peer returns the conversation with a domain.
func (n *neighbours) peer(domain string) *plain.Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.peers.Get(domain)
	if !ok {
		p = &plain.Peer{Late: n.late, Answer: n.answer}
		if n.known == nil || len(n.known) > 2*maxNeighbours {
			n.known = make(map[*plain.Peer]bool)
		}
		n.known[p] = true
	}
	n.peers.Put(domain, p, time.Now().Add(neighbourLife), maxNeighbours)
	return p
}

// neighbours returns what is remembered of domains outside the profile.
func (l *Link) neighbours() *neighbours {
	if l.cfg.neighbours != nil {
		return l.cfg.neighbours
	}
	return &l.alone
}

// takeLeave ends the stays of our people in places of neighbours: who enters is known here alone.
func (r *Router) takeLeave(ctx context.Context) {
	for _, s := range r.neighbours.leave() {
		r.reply(ctx, s, insist)
	}
}

// plainPeer returns the conversation of a link with a domain outside the profile.
func (l *Link) plainPeer(domain string) *plain.Peer { return l.neighbours().peer(domain) }

// sendPlain is sendPacket for a peer outside the profile.
func (l *Link) sendPlain(ctx context.Context, circuit *psyc.Circuit, s *xmpp.Stanza) error {
	effect, err := l.plainPeer(s.To.Domain()).Out(s, circuit.Syntax())
	if err != nil {
		var condition xmpp.Condition
		if errors.As(err, &condition) && !aboutStanza(err) {
			err = &xmpp.StanzaError{Condition: condition}
		}
		return err
	}
	for _, p := range effect.Packets {
		if err := l.hand(ctx, circuit, p); err != nil {
			return err
		}
	}
	for _, back := range effect.Stanzas {
		if l.cfg.inject != nil {
			l.cfg.inject(back)
		}
	}
	l.sendAll(ctx, circuit, effect.After)
	return nil
}

// breath is the least time between two packets of the 1.0 syntax to a peer outside the profile. psyced's driver breaks down if it
// finds several of them in one read.
const breath = 10 * time.Millisecond

// hand sends a packet to a peer outside the profile.
func (l *Link) hand(ctx context.Context, circuit *psyc.Circuit, q *psyc.Packet) error {
	if circuit.Syntax() == psyc.PSYC10 {
		l.mu.Lock()
		wait := max(time.Until(l.breathed), 0)
		l.breathed = time.Now().Add(wait + breath)
		l.mu.Unlock()
		turn := time.NewTimer(wait)
		defer turn.Stop()
		select {
		case <-turn.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return circuit.Send(ctx, q)
}

// receivePlain is what packets does with a packet of a peer outside the profile. It is false when the loop over Stanzas was left.
func (l *Link) receivePlain(ctx context.Context, circuit *psyc.Circuit, p *psyc.Packet, yield func(*xmpp.Stanza, error) bool) bool {
	speaker := p.Routing.Get("_context")
	if len(speaker) == 0 {
		speaker = p.Routing.Get("_source")
	}
	from, err := uniform.Parse(speaker.String())
	if err != nil {
		l.refusePlain(ctx, circuit, p, err)
		return true
	}
	if n := l.neighbours(); n.answered(p) {
		return true
	}
	effect, err := l.plainPeer(from.Host()).In(p, circuit.Syntax())
	for _, s := range effect.Stanzas {
		if err == nil {
			err = l.admit(circuit, s)
		}
	}
	if err != nil {
		l.refusePlain(ctx, circuit, p, err)
		return true
	}
	l.answers(circuit, p)
	l.sendAll(ctx, circuit, effect.Packets)
	for _, s := range effect.Stanzas {
		l.taken.Add(1)
		if !yield(s, nil) {
			return false
		}
	}
	l.sendAll(ctx, circuit, effect.After)
	return true
}

// answers lets what is sent to the source of p go by the circuit on which p came: psyced uses a circuit in both directions, and has
// dialled us where it believes us to be.
func (l *Link) answers(circuit *psyc.Circuit, p *psyc.Packet) {
	if circuit.Syntax() != psyc.PSYC09 || l.dialled {
		return
	}
	to, err := uniform.Parse(p.Routing.Get("_target").String())
	if err != nil {
		return
	}
	if from, err := uniform.Parse(p.Routing.Get("_source").String()); err == nil && circuit.Proven(from.Host()) {
		circuit.Grant(to.Host(), from.Host())
	}
}

func (l *Link) sendAll(ctx context.Context, circuit *psyc.Circuit, packets []*psyc.Packet) {
	for _, q := range packets {
		if err := l.hand(ctx, circuit, q); err != nil {
			l.cfg.log(ctx, slog.LevelDebug, "answer not sent", append(l.attrs(), "method", q.Method, "error", err)...)
		}
	}
}

// refusePlain tells the sender of p, if it may be told, that p is not taken.
func (l *Link) refusePlain(ctx context.Context, circuit *psyc.Circuit, p *psyc.Packet, err error) {
	if psyc.Inherits(p.Method, "_request") || psyc.Inherits(p.Method, "_message") && !psyc.Inherits(p.Method, "_message_echo") {
		if p.Routing.Get("_context") == nil {
			l.refuse(ctx, circuit, p, err)
			return
		}
	}
	l.cfg.log(ctx, slog.LevelWarn, "packet refused", append(l.attrs(), "method", p.Method, "error", err)...)
}

// unsentPlain returns the stanzas of packets that a circuit could not write.
func (l *Link) unsentPlain(packets []*psyc.Packet) (back []*xmpp.Stanza) {
	in := transcode.Converter{Plain: true}
	for _, q := range packets {
		domain := l.dialledFor() // of what is cast
		if to, err := uniform.Parse(q.Routing.Get("_target").String()); err == nil {
			domain = to.Host()
		}
		s, known := l.plainPeer(domain).Unsent(q)
		if s == nil && !known {
			if converted, err := in.Stanza(q); err == nil {
				s = converted
			}
		}
		if s != nil && !s.From.IsZero() && !s.To.IsZero() {
			back = append(back, s.Clone())
		}
	}
	return back
}
