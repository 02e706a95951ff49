package psyc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

// ModuleProfile is the protocol module that a Switchyard announces, by [Config.Modules], when it wants to
// exchange packets by its profile: stanzas that keep everything, as package transcode makes them.
const ModuleProfile = "_switchyard"

// Circuit methods, a closed list: they act only in packets of the circuit itself, see [Circuit.Packets].
const (
	methodEstablished     = "_notice_circuit_established"
	methodLinkEstablished = "_notice_link_established" // what older implementations call it
	methodStatus          = "_status_circuit"
	methodShutdown        = "_request_circuit_shutdown"
	methodAuthorize       = "_request_authorization"
	methodAuthorized      = "_status_authorization"
)

const (
	// maxResidue bounds what stands between a protocol switch and the first line.
	maxResidue = 4 << 10

	// maxAnnounced bounds the variables of a greeting, in bytes.
	maxAnnounced = 4 << 10

	// maxModules bounds what is kept of each list in a greeting.
	maxModules = 64
)

// A Greeting is what the peer says about itself when a circuit begins. Nothing of it is proved.
type Greeting struct {
	Root           string   // its root entity
	Instance       string   // hexadecimal name of its process, "" if it gave none
	Implementation string   // its software
	Protocols      []string // protocols that it offers elsewhere: XMPP-S2S/1, PSYC/0.9 TCP IP/4
	Understands    []string // protocol modules that it knows
	Uses           []string // protocol modules that it says are in use
	Vars           Vars     // all that it said, as entity variables, if that is not more than 4 KiB
}

var processInstance = sync.OnceValue(func() (id [16]byte) {
	rand.Read(id[:])
	return id
})

// greeting returns our greeting. In the 0.9 syntax it has our root entity as source and must not have a target:
// psyced would take it for a message to its root entity and never start to send. In the 1.0 syntax a source would have
// to be authorized first, so the packets are addressed to nobody and name us in a variable.
func (c *Circuit) greeting() []*Packet {
	var routing, about, offers Vars
	if c.cfg.Self != "" {
		if c.Syntax() == PSYC09 {
			routing.Set("_source", c.cfg.Self)
		} else {
			about.Set("_uniform_source", c.cfg.Self)
		}
	}
	about.Set("_implementation", c.cfg.Implementation)
	about.Set("_instance", hex.EncodeToString(c.cfg.Instance[:]))
	if len(c.cfg.Protocols) > 0 {
		offers.Set("_available_protocols", strings.Join(c.cfg.Protocols, ";"))
	}
	offers.Set("_using_characters", "UTF-8")
	// Some read the modules from the one packet, some from the other. They are routing variables, which psyced insists on in
	// the 1.0 syntax and has among the others in 0.9.
	first, second := &about, &offers
	established, status := slices.Clone(routing), slices.Clone(routing)
	if c.Syntax() == PSYC10 {
		first, second = &established, &status
	}
	for _, header := range []*Vars{first, second} {
		if len(c.cfg.Modules) > 0 {
			header.Set("_understand_modules", strings.Join(c.cfg.Modules, ";"))
		}
		if c.cfg.Profile {
			header.Set("_using_modules", ModuleProfile)
		}
	}
	about = append(about, c.cfg.Announce...)
	return []*Packet{
		{Routing: established, Entity: about, Method: methodEstablished, Body: []byte("This is [_implementation].")},
		{Routing: status, Entity: offers, Method: methodStatus},
	}
}

// shutdownPacket asks the peer to end the circuit.
func (c *Circuit) shutdownPacket() *Packet {
	p := &Packet{Method: methodShutdown}
	if c.Syntax() == PSYC09 && c.cfg.Self != "" {
		p.Routing.Set("_source", c.cfg.Self)
	}
	return p
}

// Handshake greets, and reads the peer's greeting so far as one comes: Profile, Peer and Syntax then hold. The first
// use of Packets or Send does it if nobody has. A circuit whose handshake failed has ended.
//
// The initiating side writes at once. It waits for the peer's first packet, and up to [Config.GreetingWait] for the
// greeting, which some leave out; in the 0.9 syntax after a protocol switch it waits for nothing. The accepting side
// writes nothing before the peer's first line, unless a switch agreed on the profile.
//
// The error is [ErrSelf], [ErrHandshakeTimeout], the context's, an *[Error] if the peer or we found fault with the
// first line, or one of the connection.
func (c *Circuit) Handshake(ctx context.Context) error {
	if c.established.Load() {
		return c.usable()
	}
	select {
	case c.shaking <- struct{}{}:
		defer func() { <-c.shaking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.established.Load() {
		return c.usable()
	}
	if !c.beginWriting() {
		return c.Err()
	}
	c.in.token <- struct{}{}
	defer func() { <-c.in.token }()

	stop := c.in.watch(ctx)
	err := c.greet()
	stop()
	c.in.until(time.Time{})
	if err != nil {
		return c.handshakeFailed(ctx, err)
	}
	c.established.Store(true)
	peer := c.Peer()
	c.log.Info("circuit established", "syntax", c.Syntax().String(), "peer", peer.Root,
		"implementation", peer.Implementation, "modules", peer.Understands)
	return nil
}

// usable returns why nothing can be sent any more. Packets goes on while the peer's last packets come in.
func (c *Circuit) usable() error {
	select {
	case <-c.done:
		return c.Err()
	default:
		return nil
	}
}

// beginWriting starts the writer, unless the circuit has ended.
func (c *Circuit) beginWriting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	if !c.writing {
		c.writing = true
		c.ticker = time.AfterFunc(c.pingAfter(), c.tick)
		go c.write()
	}
	return true
}

// handshakeFailed ends the circuit, and returns why.
func (c *Circuit) handshakeFailed(ctx context.Context, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, errInterrupted) {
		err = ctx.Err()
	}
	var said *peerError
	var fault *Error
	wrapped := fmt.Errorf("psyc: handshake with %s: %w", addr(c.conn.RemoteAddr()), err)
	switch {
	case errors.Is(err, ErrSelf):
		// The other end of us has to read our greeting, to find out as well.
		c.end(wrapped, nil, true)
	case !errors.As(err, &said) && errors.As(err, &fault):
		c.end(wrapped, fault.packet(), true)
	default:
		c.end(wrapped, nil, false)
	}
	return c.Err()
}

// greet is the handshake proper.
func (c *Circuit) greet() error {
	deadline := time.Now().Add(c.cfg.HandshakeTimeout)
	c.in.until(deadline)
	syntax := c.cfg.Syntax
	// Where the switch agreed on the syntax, our greeting need not wait for the peer's, nor the peer for ours.
	agreed := c.cfg.Switched && c.cfg.Profile
	switch {
	case c.initiator:
	case agreed:
		syntax = PSYC10
	default:
		var err error
		if syntax, err = c.in.sniff(c.cfg.Switched); err != nil {
			c.speak(PSYC09) // in which psyced says so
			return err
		}
	}
	c.speak(syntax)
	c.in.dec = NewDecoder(&c.in)
	c.in.dec.Syntax = syntax
	c.in.dec.Limits = c.cfg.Limits
	c.answer(&Packet{}) // the first line
	for _, p := range c.greeting() {
		if err := c.out.add(c.ctx, p, true); err != nil {
			return err
		}
	}
	for _, p := range c.opening() {
		if err := c.out.add(c.ctx, p, true); err != nil {
			return err
		}
	}
	if !c.initiator && agreed {
		got, err := c.in.sniff(true)
		if err == nil && got != syntax {
			err = errFirstLine
		}
		if err != nil {
			return err
		}
	}
	if c.initiator && c.cfg.Switched && !c.cfg.Profile && syntax == PSYC09 {
		return nil
	}
	for first := true; ; first = false {
		coming, err := c.in.await(deadline)
		switch {
		case err != nil:
			return err
		case !coming && first:
			return ErrHandshakeTimeout
		case !coming:
			return nil
		}
		c.in.until(time.Now().Add(c.cfg.HandshakeTimeout))
		// A peer that knows only the older syntax complains in that.
		foreign := first && syntax == PSYC10 && c.in.pre[0] != '|'
		if foreign {
			c.in.dec.Syntax = PSYC09
		}
		p, err := c.in.read()
		if err != nil {
			return err
		}
		if foreign && !complains(p.Method) {
			return errFirstLine
		}
		switch {
		case p.empty():
		case !c.own(p):
			c.in.next = p
			return nil
		case p.Method == methodEstablished, p.Method == methodLinkEstablished:
			return c.greeted(p)
		case p.Method == methodStatus:
			c.note(p)
		case Inherits(p.Method, "_error"), Inherits(p.Method, "_failure"):
			return &peerError{p.asError()}
		default:
			c.in.next = p
			return nil
		}
		if first {
			deadline = time.Now().Add(c.cfg.GreetingWait)
		}
	}
}

// A peerError is a complaint of the peer that ended a handshake; it is not sent back.
type peerError struct{ fault *Error }

func (e *peerError) Error() string { return "peer says " + e.fault.Error() }
func (e *peerError) Unwrap() error { return e.fault }

// greeted reads the peer's greeting.
func (c *Circuit) greeted(p *Packet) error {
	c.note(p)
	c.keep(p)
	peer := c.Peer()
	if peer.Instance == hex.EncodeToString(c.cfg.Instance[:]) {
		return ErrSelf
	}
	if peer.Instance == "" && c.selfHost != "" {
		if host, err := c.in.hosts.of(Value(peer.Root)); err == nil && host == c.selfHost {
			return ErrSelf
		}
	}
	return nil
}

// note keeps what a greeting says.
func (c *Circuit) note(p *Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := &c.peer
	for _, v := range []struct {
		field *string
		value Value
	}{
		{&g.Root, p.Routing.Get("_source")},
		{&g.Root, p.Entity.Get("_uniform_source")},
		{&g.Instance, p.Entity.Get("_instance")},
		{&g.Implementation, p.Entity.Get("_implementation")},
	} {
		if v.value != nil && len(v.value) <= 256 {
			*v.field = v.value.String()
		}
	}
	for _, v := range []struct {
		field *[]string
		name  string
	}{
		{&g.Protocols, "_available_protocols"},
		{&g.Understands, "_understand_modules"},
		{&g.Uses, "_using_modules"},
	} {
		value := p.Entity.Get(v.name)
		if value == nil {
			value = p.Routing.Get(v.name)
		}
		if value != nil && len(value) <= maxAnnounced {
			*v.field = splitList(value)
		}
	}
	if slices.Contains(c.cfg.Modules, ModuleProfile) && slices.Contains(g.Understands, ModuleProfile) {
		c.profile = true
		c.out.set(c.renderer())
	}
	c.useSessions()
	c.useState()
}

// speak makes syntax that of the circuit.
func (c *Circuit) speak(syntax Syntax) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.syntax.Store(uint32(syntax))
	c.out.set(c.renderer())
}

// keep keeps the whole of a greeting.
func (c *Circuit) keep(p *Packet) {
	size := 0
	for _, v := range p.Entity {
		size += len(v.Name) + len(v.Value)
	}
	if size > maxAnnounced {
		return
	}
	vars := p.Clone().Entity
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer.Vars = vars
}

// splitList reads a list of a greeting: joined by semicolons, as psyced writes it, or a PSYC list.
func splitList(v Value) []string {
	var list []string
	for s := range strings.FieldsFuncSeq(v.String(), func(r rune) bool { return r == ';' || r == '|' || r == '\n' }) {
		if s = strings.TrimSpace(s); s != "" && len(list) < maxModules {
			list = append(list, s)
		}
	}
	return list
}

// own reports whether p is for the circuit itself: it is addressed to nobody and comes from nobody. Greeting and
// shutdown may have a root entity as their source, which the 0.9 syntax has no other place for.
func (c *Circuit) own(p *Packet) bool {
	var source Value
	for i := range p.Routing {
		switch p.Routing[i].Name {
		case "_target", "_context":
			return false
		case "_source":
			source = p.Routing[i].Value
		}
	}
	if source == nil {
		return true
	}
	switch p.Method {
	case methodEstablished, methodLinkEstablished, methodStatus, methodShutdown:
		u, err := uniform.Parse(source.String())
		return err == nil && u == u.Root()
	}
	return false
}

var errFirstLine = &Error{
	Method: "_error_syntax_initialization",
	Text:   "A circuit begins with a line that holds nothing but a dot or a vertical bar.",
}

// skipResidue skips white space and whole XML tags.
func skipResidue(b []byte) []byte {
	for {
		b = bytes.TrimLeft(b, " \t\r\n")
		if len(b) == 0 || b[0] != '<' {
			return b
		}
		end := bytes.IndexByte(b, '>')
		if end < 0 {
			return b
		}
		b = b[end+1:]
	}
}

// sniff waits for the first line of the peer and returns the syntax that it shows. The line is left to the decoder.
// With residue it skips white space and XML in front of the line.
func (in *input) sniff(residue bool) (Syntax, error) {
	skipped := 0
	for {
		if residue {
			rest := skipResidue(in.pre)
			skipped += len(in.pre) - len(rest)
			in.pre = rest
		}
		switch {
		case bytes.HasPrefix(in.pre, []byte("|\n")):
			return PSYC10, nil
		case bytes.HasPrefix(in.pre, []byte(".\n")), bytes.HasPrefix(in.pre, []byte(".\r\n")):
			return PSYC09, nil
		case string(in.pre) == "", string(in.pre) == "|", string(in.pre) == ".", string(in.pre) == ".\r",
			residue && in.pre[0] == '<' && skipped+len(in.pre) <= maxResidue:
		default:
			return Auto, errFirstLine
		}
		if skipped > maxResidue {
			return Auto, errFirstLine
		}
		b := make([]byte, 512)
		n, err := in.fill(b)
		in.pre = append(in.pre, b[:n]...)
		if n == 0 && err != nil {
			return Auto, err
		}
	}
}
