package psycswitch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A Link carries stanzas between domains over an XMPP stream, which goes one way, or over a PSYC circuit, which goes
// both. A stream may become a circuit while the link is in use.
//
// One goroutine ranges over Stanzas; any number call the other methods. The link owns its connection.
type Link struct {
	cfg     *Config
	dialled bool
	since   time.Time
	conn    net.Conn // what the negotiation began with; a stream or a circuit may have put TLS over it

	turn     chan struct{}        // held by sending to it; guards out, allowed and numbered
	out      *transcode.Converter // nil until something is sent, and again at rest
	allowed  route                // that the last stanza went
	numbered uint64               // stanzas that a stream has taken, in its session

	in       atomic.Pointer[transcode.Converter] // nil while the goroutine that ranges over Stanzas has it, and at rest
	admitted route                               // of that goroutine: that the last stanza came

	taken atomic.Int64
	given atomic.Int64
	dead  atomic.Bool

	flight flight // what the router has given it

	old      *xmpp.Stream // whose session is taken up, until it is clear whether it is; of who dials and then drains
	base     uint64       // numbered when the link came about
	parting  sync.Once    // the first Close
	peerLeft atomic.Bool  // the peer had closed the stream by then
	fences   fences

	pairs    chan struct{} // a token for each pair of domains that the peer is being asked for
	changed  atomic.Bool   // a domain was withdrawn: routes that the link has been given may be lost to it
	renewing atomic.Bool   // proofs of the peer are being renewed

	proved  chan struct{} // closed when the peer has proved a domain; a link that we dialled need not wait for that
	proving sync.Once

	// Of the router that has adopted the link:
	released chan struct{} // closed when the last stanza has been handled, or when it is clear that none will be
	visit    *visit        // nil where we dialled
	adopted  atomic.Bool   // somebody reads it
	reading  atomic.Pointer[context.CancelCauseFunc]
	busy     atomic.Bool    // a stanza is being handled
	claims   map[route]bool // routes that have come by it or may; arrivals.mu guards it and gone
	gone     bool           // nothing comes by it any more
	arrived  map[route]bool // routes that stanzas have come by; of the reading goroutine
	arriving route          // the last one

	retiring atomic.Bool   // somebody takes the link out of service
	retired  chan struct{} // closed when that is done

	heard      atomic.Bool  // the peer, who has dialled a circuit, has been let send something by it
	collisions atomic.Int64 // reasons to look whether another link replaces it, which somebody is at while there are any
	yielded    atomic.Bool  // another one does

	seen   int64     // stanzas, when the router last looked
	seenAt time.Time // when that number had changed

	mu            sync.Mutex
	local, remote string       // the first pair: that it was dialled for, or that the peer proved; "" while there is none
	stream        *xmpp.Stream // nil after the switch
	circuit       *psyc.Circuit
	fanOut        atomic.Pointer[fanOut] // of circuit; nil until it is needed
	next          *takeover              // what the switch left, until the circuit is made
	breathed      time.Time              // when the next packet may go to a peer outside the profile

	alone   neighbours // where no router has any
	manners manners    // of the peer, as far as they have shown while the link comes about

	// Of who negotiates with what may be psyced:
	maybeDeaf bool        // it may not hear what we say first inside TLS
	patient   bool        // all the same it may take its time
	unheard   *time.Timer // runs until we are heard, and then ends the connection
}

// Send hands s to the link and returns when s may be reused. The link must carry the pair of domains: the one that it
// was dialled for, or one that [Link.Authorize] added.
//
// An error about s alone leaves the link as it is: [xmpp.ImproperAddressing] without addresses, [xmpp.NotAuthorized] for another
// pair, a *[xmpp.StanzaError] or *[transcode.Error] for what the peer's limits or its protocol exclude. After any other
// error but that of ctx the link is good for nothing any more.
func (l *Link) Send(ctx context.Context, s *xmpp.Stanza) error {
	_, err := l.transmit(ctx, s, nil)
	return err
}

// transmit is Send, for q unless that is nil; number is that of the stanza in the session of the link, 0 where there is none, or grouped.
func (l *Link) transmit(ctx context.Context, s *xmpp.Stanza, q *queued) (number uint64, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	return l.carry(ctx, s, q)
}

// carry is transmit in the turn of its caller.
func (l *Link) carry(ctx context.Context, s *xmpp.Stanza, q *queued) (number uint64, err error) {
	switch stream, circuit := l.carrier(); {
	case circuit != nil:
		number, err = l.sendPacket(ctx, circuit, s, q)
	case stream != nil:
		if err = stream.Send(ctx, s); err == nil {
			l.numbered++
			number = l.numbered
		}
	default:
		err = ErrClosed
	}
	if err != nil {
		if ctx.Err() == nil && !aboutStanza(err) {
			l.dead.Store(true)
		}
		return 0, fmt.Errorf("psycswitch: sending from %s to %s: %w", s.From, s.To, err)
	}
	l.given.Add(1)
	return number, nil
}

// sendPacket is Send for circuits. It is the turn of its caller.
func (l *Link) sendPacket(ctx context.Context, circuit *psyc.Circuit, s *xmpp.Stanza, q *queued) (number uint64, err error) {
	if s.From.IsZero() || s.To.IsZero() {
		return 0, xmpp.ImproperAddressing // without addresses it would speak to the circuit itself
	}
	if key := routeOf(s); key != l.allowed || l.changed.Load() {
		if !circuit.Authorized(key.local, key.remote) {
			return 0, xmpp.NotAuthorized
		}
		l.allowed = key
	}
	if limit := l.cfg.stanzaLimit(); len(s.Raw()) > limit {
		return 0, &xmpp.StanzaError{Condition: xmpp.PolicyViolation, Text: fmt.Sprintf("more than %d bytes", limit)}
	}
	if err := circuit.Handshake(ctx); err != nil {
		return 0, err
	}
	if !circuit.Profile() {
		return 0, l.sendPlain(ctx, circuit, s)
	}
	if f := l.fan(circuit, transcode.Broadcast(s)); f != nil && !f.alone(s) {
		return f.send(ctx, s, q)
	}
	if l.out == nil {
		l.out = new(transcode.Converter)
	}
	l.out.Syntax = circuit.Syntax()
	p, err := l.out.Packet(s)
	if err != nil {
		return 0, err
	}
	return circuit.SendNumbered(ctx, p)
}

// aboutStanza reports whether an error of sending is about the stanza, not about the link.
func aboutStanza(err error) bool {
	var (
		stanza  *xmpp.StanzaError
		convert *transcode.Error
		stream  *xmpp.StreamError
	)
	switch {
	case errors.As(err, &stream):
		return false
	case errors.As(err, &stanza), errors.As(err, &convert):
		return true
	}
	return errors.Is(err, xmpp.ImproperAddressing) || errors.Is(err, xmpp.NotAuthorized) ||
		errors.Is(err, psyc.ErrNotRepresentable) || errors.Is(err, psyc.ErrTooLarge)
}

// alive reports whether the link may still take stanzas.
func (l *Link) alive() bool { return !l.dead.Load() }

func (l *Link) carrier() (*xmpp.Stream, *psyc.Circuit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream, l.circuit
}

// carries reports whether stanzas may go from key.local to key.remote by this link now.
func (l *Link) carries(key route) bool {
	stream, circuit := l.carrier()
	switch {
	case !l.alive():
		return false
	case circuit != nil:
		return circuit.Authorized(key.local, key.remote) && l.reaches(circuit, key.remote)
	case stream != nil:
		return stream.Authorized(key.local, key.remote)
	}
	return false
}

// mayCarry reports whether it is worth asking the peer to let key go by this link: it is a circuit to that domain.
func (l *Link) mayCarry(key route) bool {
	_, circuit := l.carrier()
	return l.alive() && circuit != nil && l.reaches(circuit, key.remote)
}

// reaches reports whether remote is at the other end: the peer has proved it, or we dialled it.
func (l *Link) reaches(circuit *psyc.Circuit, remote string) bool {
	return l.dialled && remote == l.dialledFor() || circuit.Proven(remote)
}

// certified reports whether the link is a circuit whose peer has shown a certificate for remote, although it has not spoken for it
// yet. That proves remote from now on.
func (l *Link) certified(remote string) bool {
	_, circuit := l.carrier()
	if circuit == nil || !l.alive() {
		return false
	}
	secure, ok := circuit.Conn().(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return false
	}
	certs := secure.ConnectionState().PeerCertificates
	if len(certs) == 0 || certs[0].VerifyHostname(uniform.ASCIIDomain(remote)) != nil { // which costs little
		return false
	}
	proof, err := l.prove(circuit.Conn(), remote)
	return err == nil && circuit.AddProof(remote, proof) == nil
}

// dialledFor returns the domain that the link was dialled for.
func (l *Link) dialledFor() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remote
}

// Authorize asks the peer to let the link carry one more pair of domains. It refuses a domain of ours that it has no
// proof of, with an error that wraps [ErrNotProven]; the link goes on. The peer's consent proves nothing about the peer.
func (l *Link) Authorize(ctx context.Context, local, remote string) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.dialTimeout())
	defer cancel()
	stream, circuit := l.carrier()
	var err error
	switch {
	case circuit != nil:
		err = circuit.Authorize(ctx, local, remote)
	case stream != nil && l.dialled:
		err = stream.Authorize(ctx, local, remote)
	default:
		err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("psycswitch: authorizing %s to %s: %w: %w", local, remote, ErrNotProven, err)
	}
	return nil
}

// Stanzas yields what the peer sends from domains that it has proved to domains hosted here. A stanza is good until
// the next one. The loop ends silently when the link is closed in order, by either side, and otherwise with an error.
func (l *Link) Stanzas(ctx context.Context) iter.Seq2[*xmpp.Stanza, error] {
	return func(yield func(*xmpp.Stanza, error) bool) {
		stream, circuit := l.carrier()
		if circuit == nil && stream != nil {
			circuit = l.fromStream(ctx, stream, yield)
		}
		if circuit != nil {
			l.packets(ctx, circuit, yield)
		}
	}
}

// fromStream is Stanzas of a stream. It returns the circuit that has become of it, nil if none has.
func (l *Link) fromStream(ctx context.Context, stream *xmpp.Stream, yield func(*xmpp.Stanza, error) bool) *psyc.Circuit {
	for s, err := range stream.Stanzas(ctx) {
		if errors.Is(err, xmpp.ErrHijacked) && l.takeover() != nil {
			break
		}
		switch {
		case err != nil:
		case l.cfg.barriers.answered(s):
			continue
		default:
			l.taken.Add(1)
		}
		if !yield(s, err) || err != nil {
			return nil
		}
	}
	t := l.takeover()
	if t == nil {
		return nil
	}
	whole := ctx
	if l.adopted.Load() {
		whole = context.WithoutCancel(ctx) // a loop that rests must not end the handshake; the router does that by Close
	}
	if err := l.acceptCircuit(whole, *t); err != nil {
		yield(nil, err)
		return nil
	}
	l.cfg.Trace.linkUp(l.Info())
	l.cfg.log(ctx, slog.LevelInfo, "link switched", l.attrs()...)
	_, circuit := l.carrier()
	return circuit
}

// takeover returns what the switch left of the stream, if it has switched.
func (l *Link) takeover() *takeover {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// packets is Stanzas of a circuit.
func (l *Link) packets(ctx context.Context, circuit *psyc.Circuit, yield func(*xmpp.Stanza, error) bool) {
	if f := l.fan(circuit, false); f != nil && !f.remainder(yield) {
		return
	}
	for p, err := range circuit.Packets(ctx) {
		if err != nil {
			yield(nil, fmt.Errorf("psycswitch: from %v: %w", l.conn.RemoteAddr(), err))
			return
		}
		if p.Routing.Get("_source") == nil && p.Routing.Get("_context") == nil {
			l.refused(p)
			continue
		}
		if !circuit.Profile() {
			if !l.receivePlain(ctx, circuit, p, yield) {
				return
			}
			continue
		}
		if f := l.fan(circuit, transcode.AboutAudiences(p)); f != nil && f.concerns(p) {
			if !f.receive(ctx, p, yield) {
				return
			}
			continue
		}
		in := l.in.Swap(nil)
		if in == nil {
			in = new(transcode.Converter)
		}
		s, err := in.Stanza(p)
		if err == nil {
			err = l.admit(circuit, s)
		}
		if err != nil {
			l.refuse(ctx, circuit, p, err)
			continue
		}
		l.taken.Add(1)
		if !yield(s, nil) {
			return
		}
		l.in.Store(in)
	}
}

// rest gives up memory that is of use only while stanzas go and come. That is also the stack that a goroutine has needed to
// handle them: a new one goes on.
func (l *Link) rest() {
	if rest := l.reading.Swap(nil); rest != nil {
		(*rest)(errRest)
	}
	l.in.Store(nil)
	select {
	case l.turn <- struct{}{}:
		l.out = nil
		<-l.turn
	default:
	}
}

// admit checks the addresses of a stanza once more: the circuit has checked those of the packet.
func (l *Link) admit(circuit *psyc.Circuit, s *xmpp.Stanza) error {
	if s.From.IsZero() || s.To.IsZero() {
		return &transcode.Error{Condition: xmpp.ImproperAddressing, Method: "_error_invalid_uniform", Err: errors.New("no source or no target")}
	}
	key := route{local: s.To.Domain(), remote: s.From.Domain()}
	if key == l.admitted && !l.changed.Load() {
		return nil
	}
	if !circuit.Proven(key.remote) || !l.cfg.hosted(key.local) {
		return &transcode.Error{Condition: xmpp.NotAuthorized, Method: "_error_rejected_relay_incoming", Err: fmt.Errorf("%s to %s: %w", key.remote, key.local, ErrNotProven)}
	}
	l.admitted = key
	return nil
}

// refused takes notice of a complaint about something of ours, which the circuit has logged. If the peer does not take from us what
// it agreed to take, because a proof has ended or a domain has moved, then nothing more may go by this link: the
// next one is agreed anew, or our senders hear that there is none. Where domains come and go on a circuit that holds for the domain alone.
func (l *Link) refused(p *psyc.Packet) {
	if psyc.InheritsAny(p.Method, "_error_rejected_relay", "_error_invalid_host", "_failure_unsupported_relay") {
		if l.withheld(p) {
			return
		}
		l.dead.Store(true)
	}
	if refusedPair(p.Method) && l.dialled {
		l.dead.Store(true)
		if l.cfg.spoken != nil {
			l.cfg.spoken.learn(l.local, l.remote, XMPP, refusedAge, "PSYC: "+p.Method)
		}
	}
}

// refuse tells the peer that p cannot become a stanza.
func (l *Link) refuse(ctx context.Context, circuit *psyc.Circuit, p *psyc.Packet, err error) {
	source, method := p.Routing.Get("_source").String(), "_error_invalid_packet"
	l.cfg.log(ctx, slog.LevelWarn, "packet refused", append(l.attrs(), "from", source, "error", err)...)
	var refusal *transcode.Error
	if errors.As(err, &refusal) && refusal.Method != "" {
		method = refusal.Method
	}
	if psyc.InheritsAny(p.Method, "_error", "_failure", "_warning") {
		return // an answer to a complaint would make a loop
	}
	reply := p.Reply(method)
	reply.Body = []byte("This packet cannot be delivered.")
	if err := l.refusal(ctx, circuit, reply); err != nil {
		l.cfg.log(ctx, slog.LevelDebug, "refusal not sent", append(l.attrs(), "error", err)...)
	}
}

// receives and sends report what a link is good for: streams go one way.
func (l *Link) receives() bool {
	_, circuit := l.carrier()
	return circuit != nil || !l.dialled
}

func (l *Link) sends() bool {
	_, circuit := l.carrier()
	return circuit != nil || l.dialled
}

// receivesFrom reports whether the link is a stream whose peer may send by key.
func (l *Link) receivesFrom(key route) bool {
	stream, _ := l.carrier()
	return stream != nil && !l.dialled && stream.Proven(key.local, key.remote)
}

// incoming returns the routes by which the peer of a stream may send.
func (l *Link) incoming() (routes []route) {
	if stream, _ := l.carrier(); stream != nil {
		for _, p := range stream.Proofs() {
			routes = append(routes, route{p.Local, p.Remote})
		}
	}
	return routes
}

// outlived reports whether a proof has ended on which the link rests. On a circuit that is so for the certificate of a server that we
// dialled; what others prove there ends by itself, without the link. On a stream that others dialled any proof counts.
func (l *Link) outlived(now time.Time) bool {
	if l.dialled {
		secure := l.Info().TLS
		if secure == nil || len(secure.PeerCertificates) == 0 {
			return false
		}
		end := secure.PeerCertificates[0].NotAfter
		return end.After(l.since) && !now.Before(end) && !l.renewed() // one that had ended before was no proof
	}
	stream, _ := l.carrier()
	if stream == nil {
		return false
	}
	for _, p := range stream.Proofs() {
		end := p.At.Add(proofLife)
		if !p.Until.IsZero() {
			end = earliest(end, p.Until)
		}
		if !now.Before(end) {
			return true
		}
	}
	return false
}

// quiet returns how long the link has carried nothing, as far as the router has looked.
func (l *Link) quiet(now time.Time) time.Duration {
	if n := l.taken.Load() + l.given.Load(); l.seenAt.IsZero() || n != l.seen {
		l.seen, l.seenAt = n, now
	}
	return now.Sub(l.seenAt)
}

// unsent returns, after Close, what Send took and the connection did not.
func (l *Link) unsent() []*xmpp.Stanza {
	stream, circuit := l.carrier()
	switch {
	case circuit != nil && !circuit.Profile():
		return l.unsentPlain(circuit.Unsent())
	case circuit != nil:
		var back []*xmpp.Stanza
		var in transcode.Converter
		for _, p := range circuit.Unsent() {
			if stanzas, ok := l.recall(p); ok {
				back = append(back, stanzas...)
			} else if s, err := in.Stanza(p); err == nil && !s.From.IsZero() && !s.To.IsZero() {
				back = append(back, s.Clone())
			}
		}
		return back
	case stream != nil:
		return stream.Unsent()
	}
	return nil
}

// Close writes what is queued, closes the link in order, and then the connection. A loop over Stanzas that runs meanwhile
// still gets what the peer has sent.
func (l *Link) Close() error {
	l.dead.Store(true)
	stream, circuit := l.carrier()
	switch {
	case circuit != nil:
		if f := l.fan(circuit, false); f != nil {
			f.finish()
		}
		return circuit.Close()
	case stream != nil:
		l.parting.Do(func() { l.peerLeft.Store(stream.PeerClosed()) })
		if err := stream.Close(); !errors.Is(err, xmpp.ErrHijacked) {
			return err
		}
		if _, circuit = l.carrier(); circuit != nil {
			return circuit.Close()
		}
	}
	return l.conn.Close()
}

// abandon closes a link that did not come about: in order, so that the peer hears why, unless ctx has ended.
func (l *Link) abandon(ctx context.Context) {
	if l.cfg.arrivals != nil {
		l.cfg.arrivals.departed(l)
	}
	close(l.released)
	defer context.AfterFunc(ctx, func() { l.conn.Close() })()
	l.Close()
}
