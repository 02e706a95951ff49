package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A Load is what is sent from one endpoint to another.
type Load struct {
	From, To Endpoint

	Stanzas   int           // how many
	Senders   int           // addresses that they come from
	Receivers int           // addresses that they go to
	Window    int           // how many may be under way
	Rate      float64       // per second; 0: as fast as Window allows
	Mix       Mix           // of what kinds
	Patience  time.Duration // for the last of them to arrive, and for the first
	Seed      uint64
}

// A Mix says what is sent, by weight.
type Mix []Payload

// A Payload is a kind of stanza: a chat with a body of Size bytes, a presence with a status of Size bytes, or a ping, which counts as
// arrived when its answer does.
type Payload struct {
	Kind   string
	Size   int
	Weight int
}

// ParseMix reads "chat:100=70,chat:4000=5,presence=20,ping=5": kinds, sizes in bytes, weights.
func ParseMix(text string) (Mix, error) {
	var m Mix
	total := 0
	for part := range strings.SplitSeq(text, ",") {
		what, weight, weighted := strings.Cut(part, "=")
		kind, size, sized := strings.Cut(what, ":")
		p := Payload{Kind: kind, Weight: 1}
		var err error
		if weighted {
			if p.Weight, err = strconv.Atoi(weight); err != nil || p.Weight < 0 || p.Weight > maxWeight {
				return nil, fmt.Errorf("%q: the weight is a number from 0 to %d", part, maxWeight)
			}
		}
		if sized {
			if p.Size, err = strconv.Atoi(size); err != nil || p.Size < 0 || p.Size > maxSize {
				return nil, fmt.Errorf("%q: the size is a number of bytes from 0 to %d", part, maxSize)
			}
		}
		if kind != "chat" && kind != "presence" && (kind != "ping" || sized) {
			return nil, fmt.Errorf("%q is neither chat, presence nor ping", what)
		}
		total += p.Weight
		m = append(m, p)
	}
	if total == 0 {
		return nil, errors.New("nothing has a weight")
	}
	return m, nil
}

const (
	maxWeight = 1000
	maxSize   = 200_000
)

// pick returns a payload by weight.
func (m Mix) pick(r *rand.Rand) Payload {
	total := 0
	for _, p := range m {
		total += p.Weight
	}
	at := r.IntN(total)
	for _, p := range m {
		if at -= p.Weight; at < 0 {
			return p
		}
	}
	return m[len(m)-1]
}

const nsPing = "urn:xmpp:ping"

// stanza makes number n of the load.
func (p Payload) stanza(n int, from, to uniform.JID) *xmpp.Stanza {
	s := &xmpp.Stanza{From: from, To: to, ID: strconv.Itoa(n)}
	switch p.Kind {
	case "chat":
		s.Kind, s.Type = xmpp.Message, "chat"
		s.SetText("body", strings.Repeat("x", p.Size))
	case "presence":
		s.Kind = xmpp.Presence
		if p.Size > 0 {
			s.SetText("status", strings.Repeat("x", p.Size))
		}
	default:
		s.Kind, s.Type = xmpp.IQ, "get"
		if err := s.SetRaw([]byte("<ping xmlns='" + nsPing + "'/>")); err != nil {
			panic(err) // it is a constant
		}
	}
	return s
}

// Run connects both endpoints, sends one chat back and forth until the way works, then the load, and returns what came of it when the
// last stanza has arrived, or when Patience ends. Its error is that of an endpoint, or of ctx.
func (l *Load) Run(ctx context.Context, started func()) (*Result, error) {
	r := &run{load: l, result: newResult(l.Stanzas), window: make(chan struct{}, l.Window), ready: make(chan struct{})}
	ctx, fail := context.WithCancelCause(ctx)
	var ends sync.WaitGroup
	for _, e := range []struct {
		Endpoint
		take func(*xmpp.Stanza)
	}{{l.From, r.returned}, {l.To, func(s *xmpp.Stanza) { r.arrived(ctx, s) }}} {
		connecting, cancel := context.WithTimeout(ctx, l.Patience)
		err := e.Connect(connecting)
		cancel()
		if err != nil {
			fail(err)
			ends.Wait()
			return nil, err
		}
		ends.Go(func() {
			if err := e.Receive(ctx, e.take); err != nil {
				fail(err)
			}
		})
	}
	err := r.send(ctx, started)
	fail(err)
	ends.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return r.result, err
}

// A run is one Load under way.
type run struct {
	load   *Load
	result *Result
	window chan struct{} // holds one for each stanza under way
	first  sync.Once
	ready  chan struct{} // closed when the way works
}

func address(name string, i int, domain string) (uniform.JID, error) {
	return uniform.ParseJID(name + strconv.Itoa(i) + "@" + domain + "/load")
}

// send sends everything and waits for its arrival.
func (r *run) send(ctx context.Context, started func()) error {
	l := r.load
	senders, receivers := make([]uniform.JID, l.Senders), make([]uniform.JID, l.Receivers)
	var err error
	for i := range senders {
		if senders[i], err = address("s", i, l.From.Domain()); err != nil {
			return err
		}
	}
	for i := range receivers {
		if receivers[i], err = address("r", i, l.To.Domain()); err != nil {
			return err
		}
	}
	if err := r.warm(ctx, senders[0], receivers[0]); err != nil {
		return err
	}
	started()
	random := rand.New(rand.NewPCG(l.Seed, 0))
	begin := time.Now()
	r.result.begin(begin)
	for n := range l.Stanzas {
		if l.Rate > 0 {
			due := begin.Add(time.Duration(float64(n) / l.Rate * float64(time.Second)))
			if err := until(ctx, due); err != nil {
				return err
			}
		}
		select {
		case r.window <- struct{}{}:
		case <-time.After(l.Patience):
			return nil // the result says what is missing
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s := l.Mix.pick(random).stanza(n, senders[random.IntN(l.Senders)], receivers[random.IntN(l.Receivers)])
		r.result.sent(n)
		if err := l.From.Send(ctx, s); err != nil {
			return fmt.Errorf("sending stanza %d: %w", n, err)
		}
	}
	patience := time.NewTimer(l.Patience)
	defer patience.Stop()
	select {
	case <-r.result.complete:
	case <-patience.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// until waits for a moment.
func until(ctx context.Context, due time.Time) error {
	wait := time.Until(due)
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// warmID marks what is sent before the load, until the first of it has arrived: servers take a moment to find each other.
const warmID = "warm"

func (r *run) warm(ctx context.Context, from, to uniform.JID) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.load.Patience, errors.New("nothing arrives"))
	defer cancel()
	for {
		s := Payload{Kind: "chat"}.stanza(0, from, to)
		s.ID = warmID
		if err := r.load.From.Send(ctx, s); err != nil {
			return fmt.Errorf("sending the first stanza: %w", err)
		}
		select {
		case <-r.ready:
			return nil
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// arrived takes what comes to the endpoint that is sent to.
func (r *run) arrived(ctx context.Context, s *xmpp.Stanza) {
	switch {
	case s.ID == warmID:
		r.first.Do(func() { close(r.ready) })
	case s.IsPing():
		if err := r.load.To.Send(ctx, s.Reply("result")); err != nil {
			r.result.failed()
		}
	default:
		r.done(s)
	}
}

// returned takes what comes back: answers of pings, and errors.
func (r *run) returned(s *xmpp.Stanza) {
	if s.ID != warmID {
		r.done(s)
	}
}

func (r *run) done(s *xmpp.Stanza) {
	if r.result.arrived(s) {
		<-r.window
	}
}
