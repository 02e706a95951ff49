package psyc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

// Errors of circuits. What a circuit ends with wraps one of them, an *[Error], or an error of its connection.
var (
	// ErrClosed is what a circuit ended with after Close.
	ErrClosed = errors.New("psyc: circuit closed")

	// ErrSelf means that the far end is this very process: it greeted with our instance, or with our root entity
	// and no instance at all.
	ErrSelf = errors.New("psyc: circuit to myself")

	// ErrSilent means that nothing came from the peer for [Config.PeerTimeout].
	ErrSilent = errors.New("psyc: peer is silent")

	// ErrSlow means that a packet of the peer took longer than [Config.PacketTimeout].
	ErrSlow = errors.New("psyc: packet takes too long")

	// ErrHandshakeTimeout means that the peer did not greet within [Config.HandshakeTimeout].
	ErrHandshakeTimeout = errors.New("psyc: no greeting in time")

	// ErrTooManyRequests means that [Config.Requests] requests of ours are waiting for their replies.
	ErrTooManyRequests = errors.New("psyc: too many unanswered requests")

	// ErrTooManyHosts means that a circuit knows [Config.Hosts] proved hosts already.
	ErrTooManyHosts = errors.New("psyc: too many proved hosts")

	// ErrTooManyHeld means that a request got no reply before more packets than may be kept had come for Packets, which
	// nobody ranged over.
	ErrTooManyHeld = errors.New("psyc: too many packets before the reply")

	// ErrReading means that Packets, Serve or Handshake is reading from the circuit already.
	ErrReading = errors.New("psyc: circuit is being read by another goroutine")
)

// Config configures a circuit; nil means all defaults. A circuit copies it.
//
// Without Prove a circuit takes only packets of hosts that [Circuit.AddProof] named, without Hosted only packets
// to the host of Self.
type Config struct {
	Self           string   // our root entity, psyc://host/
	Instance       [16]byte // tells this process from all others; zero: one random value for all circuits of the process
	Implementation string   // our software and its version, for the greeting; "Switchyard"
	Protocols      []string // what else we offer, for the greeting: PSYC/1.0 TCP IP/6, XMPP-S2S/1:5269; none
	Modules        []string // protocol modules that we understand: [ModuleProfile], _context; none
	Syntax         Syntax   // what Initiate writes; Auto: PSYC10. Accept takes what the peer writes

	// Announce is what else the greeting says, as entity variables: what modules have to agree on. The peer finds it
	// in [Greeting.Vars].
	Announce Vars

	// Switched says that the connection carried XMPP until a protocol switch. The accepting side then skips an empty
	// line or the rest of the XML before the peer's first line, and the initiating side does not wait
	// for a greeting in the 0.9 syntax: psyced sends none after a switch.
	Switched bool

	// Profile says that the switch agreed on the profile of Switchyard. Without it the greetings decide.
	Profile bool

	// Buffered is what was read from the connection already; it is taken for what comes next.
	Buffered []byte

	// Line is the longest line that a peer of the 0.9 syntax takes, in bytes; 2047, which is what psyced takes;
	// negative: any. It does not hold where the profile does.
	Line int

	// Limits bounds packets. The accepting side takes no more than 16 KiB in one as long as the peer has proved no host.
	Limits Limits

	// Sessions makes the circuit count and acknowledge packets between entities, where the peer does so, too: in the 1.0 syntax
	// between peers of the profile. nil: nothing is counted.
	Sessions *Sessions

	// Acknowledged is told that the peer has acknowledged n packets of the session. It is called by the goroutine that reads,
	// and must not wait.
	Acknowledged func(n uint64)

	Queue    int // bytes of packets that wait to be written before Send blocks; 256 KiB
	Requests int // requests of ours that may wait for their reply; 1024
	Hosts    int // hosts that the peer may prove, and decisions about pairs of hosts that are remembered; 4096

	// Attestations is how often in a minute the peer may have us prove a host of ours, which takes a signature, and how often at once after a
	// quiet minute. What is more waits for its turn, up to ten seconds; what would have to wait longer is refused. 1024; negative: any.
	Attestations int

	// RepeatAddresses makes every packet carry the whole of its routing header, in both directions. Without it, circuits in the 1.0
	// syntax between peers of the profile leave out what has not changed since the packet before, see [ModuleState].
	RepeatAddresses bool

	HandshakeTimeout time.Duration // until the peer's first line and, where one must come, its greeting; 30 s
	GreetingWait     time.Duration // for the greeting of a peer that need not send one; 2 s
	Ping             time.Duration // silence of the peer before a keep-alive; 1 minute, negative: never
	Pong             time.Duration // least time from anything that we wrote to the answer of a keep-alive; 30 s
	PeerTimeout      time.Duration // silence of the peer before the circuit ends with ErrSilent; 5 minutes, negative: never
	PacketTimeout    time.Duration // for the peer to send one packet, streamed bodies apart; 1 minute, negative: any
	WriteTimeout     time.Duration // for the peer to take 64 KiB; 30 s
	CloseTimeout     time.Duration // to write what is queued, and for the peer's last packets, when the circuit closes; 1 s
	RequestTimeout   time.Duration // for the reply to a request, and for Prove and Authorize; 30 s

	// (PeerTimeout does not hold where we have dialled a peer outside the profile in the 1.0 syntax: psyced answers no keep-alives there.)

	// Hosted reports whether packets to host are for us.
	Hosted func(host string) bool

	// Prove looks for a proof that the peer speaks for host, which it claims and has not proved. It is asked again
	// when a proof has ended, and not for ten seconds after it failed, nor while 64 hosts have failed in the last ten
	// seconds. The peer does not learn the error. Reading stops meanwhile unless the peer asked by _request_authorization.
	Prove func(ctx context.Context, host string) (Proof, error)

	// Authorize decides whether the proved host source may send to the hosted host target; nil: all may.
	// It is asked once for each pair.
	Authorize func(ctx context.Context, source, target string) error

	// HostProofs lets both ends prove further hosts on the open circuit, which has to be on TLS; nil: neither does.
	HostProofs *HostProofs

	Logger *slog.Logger // nil: silent; see [Circuit] for the keys
}

// withDefaults returns a copy of cfg with its zero fields filled in.
func (cfg *Config) withDefaults() Config {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.Instance == ([16]byte{}) {
		c.Instance = processInstance()
	}
	if c.Implementation == "" {
		c.Implementation = "Switchyard"
	}
	if c.Syntax == Auto {
		c.Syntax = PSYC10
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, n := range []struct {
		field *int
		value int
	}{
		{&c.Queue, 256 << 10},
		{&c.Requests, 1024},
		{&c.Hosts, 4096},
	} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	if c.Attestations == 0 {
		c.Attestations = 1024
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.HandshakeTimeout, 30 * time.Second},
		{&c.GreetingWait, 2 * time.Second},
		{&c.Ping, time.Minute},
		{&c.Pong, 30 * time.Second},
		{&c.PeerTimeout, 5 * time.Minute},
		{&c.PacketTimeout, time.Minute},
		{&c.WriteTimeout, 30 * time.Second},
		{&c.CloseTimeout, time.Second},
		{&c.RequestTimeout, 30 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

// A Circuit is a PSYC connection between two servers, or of a client to a server. It greets, keeps the connection
// alive, answers what is addressed to itself, lets in only packets of hosts that the peer has proved, and hands the
// others to whoever ranges over Packets. The conversation outlives no connection: a broken circuit is not repaired.
//
// # Use
//
// One goroutine ranges over [Circuit.Packets] or calls [Circuit.Serve]; any number call the other methods. Requests
// get their replies, and the peer's keep-alives and requests their answers, only while somebody reads. A packet from
// Packets is good until the loop asks for the next one. What is given to [Circuit.Send] belongs to the caller again
// when Send returns.
//
// # Goroutines
//
// A circuit owns its connection. From the first Handshake, Packets or Send on it runs one goroutine, which writes, but for the time when
// there has been nothing to write for a while; it ends with the circuit. Reading happens in the goroutine that asks for packets, so that a
// slow reader slows the peer down. While Prove and Authorize decide about a _request_authorization they have a goroutine each, at most 16
// at a time, whose context ends with the circuit.
//
// # The end
//
// A circuit ends by [Circuit.Close], by the peer's _request_circuit_shutdown, at the end of the connection, by an
// error. [Circuit.Done] then is closed and [Circuit.Err] says why. A packet that Send took was either handed to the
// connection in full, or [Circuit.Unsent] gives it back. That the connection took a packet does not mean that the
// peer did: that needs an answer, or the acknowledgements of a layer above.
//
// Input that cannot be parsed is answered with the error packet that the syntax has for it, and ends the circuit.
//
// # Log
//
// The messages of Config.Logger, with the keys that they carry:
//
//	circuit established   syntax, peer (root entity), implementation, modules
//	circuit closed        peer, err, unsent (packets)
//	host proved           peer, host, kind, until
//	host not proved       peer, host, err
//	host not attested     peer, host (of ours), err
//	host withdrawn        peer, host
//	pair refused          peer, source, target, err
//	packet refused        peer, method, error (what the peer was told), host, suppressed
//	circuit packet        peer, method, suppressed; of those that the circuit does not know
//	error from peer       peer, method, text, suppressed
//	handler failed        peer, method, err
//
// All messages carry local and remote, the addresses of the connection. Those about single packets come at most once
// a second; suppressed counts the ones left out. Bodies and variables of packets between entities are never logged.
type Circuit struct {
	conn      net.Conn
	cfg       Config
	initiator bool
	log       *slog.Logger
	selfHost  string

	shaking     chan struct{} // holds one token, the right to greet
	established atomic.Bool
	syntax      atomic.Uint32 // Syntax, Auto until the peer's first line is known

	in  input
	out outbox

	requests  requestTable
	proofs    proofTable
	attesting attestor

	ctx    context.Context // ends with the circuit
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing is written any more and the connection is closed

	mu      sync.Mutex
	peer    Greeting
	profile bool
	err     error       // why the circuit ended, nil while it is open
	writing bool        // there is a writer, running or asleep, and it closes done
	ticker  *time.Timer // calls tick, with the writer
	first   []*Packet   // to be sent right behind our greeting

	opened bool // the peer has opened its session
	over   bool // the circuit has ended, and that session is suspended

	receiving *receivedSession // what the peer sends, from before it says so; nil without Config.Sessions
}

// Initiate wraps a connection that we opened, or in which we asked for the switch to PSYC.
// Nothing is read or written before [Circuit.Handshake].
func Initiate(conn net.Conn, cfg *Config) *Circuit { return newCircuit(conn, cfg, true) }

// Accept is the other side of Initiate; the peer's first line tells the syntax.
func Accept(conn net.Conn, cfg *Config) *Circuit { return newCircuit(conn, cfg, false) }

func newCircuit(conn net.Conn, cfg *Config, initiator bool) *Circuit {
	c := &Circuit{
		conn:      conn,
		cfg:       cfg.withDefaults(),
		initiator: initiator,
		shaking:   make(chan struct{}, 1),
		done:      make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.cfg.Modules = c.cfg.stateModules(c.cfg.HostProofs.modules(c.cfg.Sessions.modules(c.cfg.Modules)))
	c.attesting.busy = make(chan struct{}, maxAttesting)
	c.profile = c.cfg.Profile
	if u, err := uniform.Parse(c.cfg.Self); err == nil {
		c.selfHost = u.Host()
	}
	c.log = c.cfg.Logger.With("local", addr(conn.LocalAddr()), "remote", addr(conn.RemoteAddr()))
	c.in.init(c, c.cfg.Buffered)
	c.cfg.Buffered = nil
	c.out.init(c.cfg.Queue, c.write)
	if c.cfg.Sessions != nil {
		c.receiving = &receivedSession{circuit: c, wake: c.out.signal}
	}
	c.requests.limit = c.cfg.Requests
	c.proofs.limit = c.cfg.Hosts
	return c
}

func addr(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// Conn returns the connection, for its addresses and its TLS state; reading, writing or closing it breaks the circuit.
func (c *Circuit) Conn() net.Conn { return c.conn }

// Syntax returns the syntax that both sides write, [Auto] while an accepted circuit has not seen the peer's first line.
func (c *Circuit) Syntax() Syntax { return Syntax(c.syntax.Load()) }

// Peer returns what the peer said about itself. Nothing of it is proved.
func (c *Circuit) Peer() Greeting {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

// renderer returns how packets are written to this peer. It needs the lock.
func (c *Circuit) renderer() Renderer {
	r := Renderer{Syntax: c.Syntax(), Line: c.cfg.Line}
	if c.profile {
		r.Line, r.Exact = -1, true
	}
	return r
}

// Profile reports whether both sides speak the profile of Switchyard on this circuit: the switch agreed on it,
// or both greetings announced [ModuleProfile].
func (c *Circuit) Profile() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.profile
}

// Done returns a channel that is closed when the circuit has ended: the connection is closed and nothing is written
// any more.
func (c *Circuit) Done() <-chan struct{} { return c.done }

// Err returns nil while the circuit is open. Then it says why it ended: [ErrClosed] after Close, io.EOF if the peer
// ended it in order, an *[Error] with the peer's last complaint if it hung up after one, or what went wrong.
func (c *Circuit) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Unsent returns the packets that Send took and that were not written in full when the circuit ended, in their
// order, each a copy of its own. It returns nil before [Circuit.Done] is closed. The peer has seen none of them whole.
func (c *Circuit) Unsent() []*Packet {
	select {
	case <-c.done:
		return c.out.unsent()
	default:
		return nil
	}
}

// Close ends the circuit in order: Send takes nothing more, what it took is written, the peer is asked to shut down,
// and while somebody ranges over Packets the peer's last packets are awaited. All this takes at most
// [Config.CloseTimeout]; then the connection is closed. The error says that packets remained, see [Circuit.Unsent].
// A circuit that counts waits as long again, before, until what it sent is acknowledged, and then receives nothing more that counts.
//
// Called from within the loop over Packets, Close cannot get the peer's last packets and waits for them in vain:
// break out first.
func (c *Circuit) Close() error {
	c.closeSession()
	c.end(ErrClosed, c.shutdownPacket(), true)
	<-c.done
	if n := c.out.unsentCount(); n > 0 {
		return fmt.Errorf("psyc: close: %d packets not written: %w", n, c.out.cause())
	}
	return nil
}

// end makes err the reason for the circuit's end, if it has none yet. With flush the writer goes on until all is
// written, last included, or CloseTimeout is over; otherwise it stops at once. end does not wait.
func (c *Circuit) end(err error, last *Packet, flush bool) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	writing := c.writing
	c.mu.Unlock()

	if writing && flush {
		c.out.finish(err, time.Now().Add(c.cfg.CloseTimeout), last)
	} else {
		c.out.abort(err)
	}
	c.armWrite()
	c.requests.fail(err)
	c.cancel()
	if !writing {
		c.hangUp()
	}
}

// hangUp closes the connection and declares the circuit ended.
func (c *Circuit) hangUp() {
	c.conn.Close()
	err, unsent := c.Err(), c.out.unsentCount()
	level := slog.LevelWarn
	if unsent == 0 && (errors.Is(err, ErrClosed) || errors.Is(err, io.EOF)) {
		level = slog.LevelInfo
	}
	c.log.Log(context.Background(), level, "circuit closed", "peer", c.Peer().Root, "err", err, "unsent", unsent)
	c.mu.Lock()
	if c.ticker != nil {
		c.ticker.Stop()
	}
	c.mu.Unlock()
	c.suspendSession()
	close(c.done)
}
