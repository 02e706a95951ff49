package xmpp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

// Config configures a stream between servers. A Config may be shared by any number of streams and must not
// be changed while one of them uses it.
//
// The initiating side needs Local and Remote, the accepting side Hosted. Both need Features to get anywhere:
// a stream negotiates what is listed there and nothing else.
type Config struct {
	// Local and Remote are the domains of the two ends in canonical form ([uniform.Domain]). The initiating
	// side says them in its stream header; the accepting side learns both from the peer and ignores them here.
	// For components see [Component].
	Local, Remote string

	// Hosted reports whether a domain lives here. It is asked again for every stream and for every pair of
	// domains, so domains may come and go. Anything else is host-unknown. Accepting side; where it is nil,
	// Local is hosted and nothing else.
	Hosted func(domain string) bool

	// Features are tried in this order by the initiating side and offered in this order by the accepting one.
	Features []Feature

	// Plaintext allows authentication and stanzas on a stream without TLS. Without it, an initiating stream
	// ends with policy-violation if the peer does not offer STARTTLS, and an accepting one offers nothing else
	// and takes no dialback before it.
	Plaintext bool

	// Limits bounds what the peer may send once it is authenticated; before that the bounds are smaller.
	// The accepting side advertises the size (XEP-0478).
	Limits Limits

	// PeerLimit is the largest stanza in bytes that Send accepts when the peer does not advertise its own
	// limit (XEP-0478); 256 KiB.
	PeerLimit int

	// SendQueue is the number of bytes waiting to be written beyond which Send waits; 256 KiB. A stream holds
	// at most twice this and one stanza.
	SendQueue int

	// Held is the number of bytes of stanzas that are held for Stanzas because they arrive while nobody ranges over it and something
	// else reads, such as Authorize; 512 KiB. One stanza is held whatever its size, and no more than 64. What goes beyond
	// ends the stream with resource-constraint.
	Held int

	// Timeouts bounds waiting.
	Timeouts Timeouts

	// Lang is the xml:lang of our stream header, the default language of what we send; "en".
	Lang string

	// Bounce gets the error replies that the stream makes by itself, to stanzas with addresses that are none.
	// A stream carries stanzas in one direction, so a reply needs another stream, back to the sender's domain.
	// The reply is Bounce's to keep. It is called from the loop over [Stream.Stanzas] and must not block.
	// nil drops the replies.
	Bounce func(reply *Stanza)

	// Logger gets what happens on the stream, at debug level, with the attributes local, remote and stream (the
	// stream's id), and what a peer does wrong at warn level, the latter at most once a second; suppressed counts what was
	// left out. Keys, certificates and stanzas are never logged.
	// nil logs nothing.
	Logger *slog.Logger
}

// Timeouts bounds waiting on a stream. Zero fields have the defaults given, negative ones mean no bound.
type Timeouts struct {
	Negotiate time.Duration // the whole of Negotiate; 30 s
	Element   time.Duration // from the first byte of an element to its last; 1 min
	Idle      time.Duration // accepting side: silence of the peer, white space being no silence; 1 h
	KeepAlive time.Duration // silence of ours after which a blank is written (RFC 6120 section 4.6.1); 5 min
	Write     time.Duration // one write to a peer that does not read; 30 s
	Close     time.Duration // for the peer's closing tag after ours; 5 s
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&t.Negotiate, 30*time.Second)
	set(&t.Element, time.Minute)
	set(&t.Idle, time.Hour)
	set(&t.KeepAlive, 5*time.Minute)
	set(&t.Write, 30*time.Second)
	set(&t.Close, 5*time.Second)
	return t
}

const (
	defaultPeerLimit = 256 << 10
	defaultSendQueue = 256 << 10
	defaultHeld      = 512 << 10
)

// A Stream is an XMPP stream between two servers over a connection (RFC 6120 section 4).
//
// Stanzas flow in one direction only, from the initiating to the accepting side, for pairs of domains that were
// authorized: by SASL EXTERNAL, by dialback, or by both one after the other. The stream of a [Component] and one with [Bidi] are
// the exceptions.
//
// One goroutine calls Negotiate and then ranges over Stanzas. Any number may call Send, Authorize, Verify and the
// accessors at the same time; Authorize and Verify read by themselves while nobody ranges. The stream owns its
// connection until Hijack. It keeps a goroutine of its own only while something waits to be written, while a
// dialback key is being verified, and, bounded by Timeouts.Close, after an error.
type Stream struct {
	cfg       *Config
	timeouts  Timeouts
	initiator bool
	space     string     // content namespace
	component *component // of a component's stream

	// reading is held, by sending to it, by the goroutine that reads; what follows up to out is its alone.
	reading  chan struct{}
	in       input
	rd       *reader
	admitted pair         // the pair of the last stanza
	held     []heldStanza // arrived while nobody ranged over Stanzas
	heldSize int          // bytes of those
	counting *session     // counts what arrives
	resuming *resumption
	legacy   bool // the peer's header has no version: no features

	saslRefused int // attempts to authenticate

	resumes *Stream // set before Negotiate

	out output

	life context.Context // ends with the stream; what dialback verification runs under
	end  context.CancelFunc

	negotiated chan struct{} // closed when Negotiate has returned without an error
	peerClosed chan struct{} // closed when the peer's closing tag has been read
	closed     chan struct{} // closed when the connection is closed or taken over
	finish     sync.Once

	mu            sync.Mutex
	conn          net.Conn
	err           error // why the stream ended
	closing       bool  // Close has been called
	opened        bool  // our header has been written
	state         State
	local, remote string
	id            string
	lang          string // the peer's

	dialbackDeclared bool // in the peer's last header, as before there were features
	dialbackOffered  bool // in one of the peer's features lists

	peerLimit  int
	proven     map[pair]Proof
	authorized map[pair]struct{}
	waiting    map[exchange]*request
	verifying  int      // dialback keys of the peer that are being verified
	session    *session // stream management
	isResumed  bool
	received   uint64
	warned     time.Time // when something was last logged at warn level
	suppressed int       // and what has been left out since
}

// A pair is a sender domain and a target domain, seen from this side.
type pair struct{ local, remote string }

// Initiate makes the initiating side of a stream from cfg.Local to cfg.Remote. conn may be a [*tls.Conn] (XEP-0368);
// the stream is then Secure from the start. Nothing is read or written before [Stream.Negotiate].
func Initiate(conn net.Conn, cfg *Config) *Stream {
	s := newStream(conn, cfg)
	s.initiator = true
	s.local, s.remote = cfg.Local, cfg.Remote
	return s
}

// Accept makes the accepting side of a stream, which RFC 6120 calls the receiving entity. conn may be a [*tls.Conn]
// as for [Initiate]; see [TLSConfig] for what its configuration needs.
func Accept(conn net.Conn, cfg *Config) *Stream {
	return newStream(conn, cfg)
}

func newStream(conn net.Conn, cfg *Config) *Stream {
	s := &Stream{
		cfg:        cfg,
		timeouts:   cfg.Timeouts.withDefaults(),
		space:      NSServer,
		reading:    make(chan struct{}, 1),
		conn:       conn,
		negotiated: make(chan struct{}),
		peerClosed: make(chan struct{}),
		closed:     make(chan struct{}),
		peerLimit:  positive(cfg.PeerLimit, defaultPeerLimit),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.in.conn, s.in.element = conn, s.timeouts.Element
	s.rd = newReader(&s.in, cfg.Limits.unauthenticated())
	s.in.buffered = s.rd.buffered
	s.out.conn, s.out.limit = conn, positive(cfg.SendQueue, defaultSendQueue)
	s.out.timeout, s.out.keepAlive = s.timeouts.Write, s.timeouts.KeepAlive
	s.out.broken = s.writingFailed
	for i := range cfg.Features {
		if c := cfg.Features[i].component; c != nil {
			s.component, s.space = c, NSAccept
		}
	}
	return s
}

// debug and warn log with the attributes that Config.Logger promises.
func (s *Stream) debug(msg string, args ...any) { s.logAt(slog.LevelDebug, msg, args) }

// warn is for what the peer may do as often as it likes, and logs it at most once a second.
func (s *Stream) warn(msg string, args ...any) {
	now := time.Now()
	s.mu.Lock()
	again := now.Sub(s.warned) < time.Second
	if again {
		s.suppressed++
	} else {
		args = append(args, "suppressed", s.suppressed)
		s.warned, s.suppressed = now, 0
	}
	s.mu.Unlock()
	if !again {
		s.logAt(slog.LevelWarn, msg, args)
	}
}

func (s *Stream) logAt(level slog.Level, msg string, args []any) {
	if s.cfg.Logger == nil {
		return
	}
	s.mu.Lock()
	stream := []any{"local", s.local, "remote", s.remote, "stream", s.id}
	s.mu.Unlock()
	s.cfg.Logger.Log(context.Background(), level, msg, append(stream, args...)...)
}

// Initiator reports whether this is the initiating side.
func (s *Stream) Initiator() bool { return s.initiator }

// Local returns our domain: of the stream header, not of every pair.
func (s *Stream) Local() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.local
}

// Remote returns the domain that the peer claims in its stream header, proved or not; "" if it claims none.
func (s *Stream) Remote() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote
}

// ID returns the stream's id, chosen by the accepting side; every new header after TLS or SASL changes it.
func (s *Stream) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Lang returns the xml:lang of the peer's stream header: the language of what it sends without one of its own.
func (s *Stream) Lang() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lang
}

// State returns what has been negotiated.
func (s *Stream) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// ConnectionState returns the state of the stream's TLS connection; ok is false without TLS. The peer's certificates
// in it have not been verified: that is [VerifyDomain]'s task.
func (s *Stream) ConnectionState() (cs tls.ConnectionState, ok bool) {
	t, ok := s.transport().(tlsConn)
	if !ok || s.State()&Secure == 0 {
		return tls.ConnectionState{}, false
	}
	return t.ConnectionState(), true
}

// tlsConn is what the stream asks of a TLS connection; *tls.Conn and what embeds one qualify.
type tlsConn interface {
	net.Conn
	HandshakeContext(context.Context) error
	ConnectionState() tls.ConnectionState
}

// Received returns the number of stanzas that Stanzas has yielded.
func (s *Stream) Received() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

// Sent returns the number of stanzas that Send has taken.
func (s *Stream) Sent() uint64 {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.stanzas
}

// Pending returns the number of dialback exchanges under way on the stream, in either direction; that of a [Stream.Verify] which gave up is
// under way until the answer comes. A protocol that takes the connection over does so when there are none.
func (s *Stream) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) + s.verifying
}

// Done is closed when the stream has ended and its connection is closed or taken over.
func (s *Stream) Done() <-chan struct{} { return s.closed }

// Err returns why the stream ended: a [*StreamError], [ErrClosed], [ErrHijacked] or what the connection said; nil
// while it lasts.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// A Proof says how and when the peer proved that it may send for a domain.
type Proof struct {
	Local, Remote string    // the peer may send from Remote to Local; "" stands for any domain ([Component])
	By            Mechanism // how
	At            time.Time // when
	Until         time.Time // end of the certificate that was used; zero for dialback
}

// A Mechanism is a way to prove a domain.
type Mechanism uint8

// Mechanisms.
const (
	ByDialback          Mechanism = iota + 1 // XEP-0220, the authoritative server was asked
	ByCertificate                            // XEP-0220, but the certificate answered in place of the authoritative server
	ByExternal                               // SASL EXTERNAL, XEP-0178
	ByHandshake                              // XEP-0114: the peer is a component that knows the secret, or the server that we dialled as one
	ByServerCertificate                      // XEP-0288: the certificate of the TLS server that we dialled
	ByName                                   // XEP-0288: nothing but the name that we dialled, without TLS; weak
)

func (m Mechanism) String() string {
	switch m {
	case ByDialback:
		return "dialback"
	case ByCertificate:
		return "dialback with certificate"
	case ByExternal:
		return "SASL EXTERNAL"
	case ByHandshake:
		return "component handshake"
	case ByServerCertificate:
		return "certificate of the server dialled"
	case ByName:
		return "name dialled"
	}
	return "none"
}

// Proofs returns what the peer has proved on this stream, in no particular order.
func (s *Stream) Proofs() []Proof {
	s.mu.Lock()
	defer s.mu.Unlock()
	proofs := make([]Proof, 0, len(s.proven))
	for _, p := range s.proven {
		proofs = append(proofs, p)
	}
	return proofs
}

// Proven reports whether the peer may send from remote to local on this stream.
func (s *Stream) Proven(local, remote string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return covers(s.proven, pair{local, remote})
}

// Authorized reports whether the peer has accepted that we send from local to remote on this stream.
func (s *Stream) Authorized(local, remote string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return covers(s.authorized, pair{local, remote})
}

// covers reports whether set holds p, or a pair in which "" stands for any domain and that p is one of.
func covers[V any](set map[pair]V, p pair) bool {
	for _, q := range [...]pair{p, {"", p.remote}, {p.local, ""}} {
		if _, ok := set[q]; ok {
			return true
		}
	}
	return false
}

// prove records what the peer has proved.
func (s *Stream) prove(p Proof) {
	p.At = time.Now()
	s.mu.Lock()
	if s.proven == nil {
		s.proven = make(map[pair]Proof)
	}
	s.proven[pair{p.Local, p.Remote}] = p
	s.state |= Authenticated
	s.mu.Unlock()
	s.debug("domain proved", "from", p.Remote, "to", p.Local, "by", p.By.String())
}

// authorize records that the peer lets us send.
func (s *Stream) authorize(p pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authorized == nil {
		s.authorized = make(map[pair]struct{})
	}
	s.authorized[p] = struct{}{}
	if p == (pair{s.local, s.remote}) {
		s.state |= Authenticated
	}
}

// hosts reports whether domain lives here.
func (s *Stream) hosts(domain string) bool {
	if s.component != nil {
		return !s.initiator || domain == s.Local()
	}
	if s.cfg.Hosted != nil {
		return s.cfg.Hosted(domain)
	}
	return domain != "" && domain == s.cfg.Local
}

// transport returns the connection as it is now.
func (s *Stream) transport() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// setTransport replaces the connection by the one that TLS made of it. The reading goroutine calls it, with nothing
// waiting to be written.
func (s *Stream) setTransport(conn net.Conn) {
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	s.in.replace(conn)
	s.out.replace(conn)
}

// A State is what a stream has reached: a set of bits.
type State uint8

// States; features require and exclude them.
const (
	Secure        State = 1 << iota // TLS
	Authenticated                   // the stream's own pair may be used in its direction
	Ready                           // Negotiate has returned without an error
	Restart                         // returned by a feature: start over with a new stream header
	Bidirectional                   // stanzas may flow both ways (XEP-0288)
)

// Errors of streams. Others are a [*StreamError], a [*StanzaError] in answer to dialback, or the connection's own.
var (
	// ErrHijacked is returned by all methods of a stream after [Stream.Hijack].
	ErrHijacked = errors.New("xmpp: connection has been taken over")
	// ErrClosed is returned by all methods of a stream that has been closed in order, by either side.
	ErrClosed = errors.New("xmpp: stream closed")
	// ErrDeclined is what a feature's Start wraps when the stream can go on without the feature.
	ErrDeclined = errors.New("xmpp: feature declined")
	// ErrStalled means that the peer began an element and did not finish it in time.
	ErrStalled = errors.New("xmpp: element not finished in time")
	// ErrIdle means that the peer was silent for too long.
	ErrIdle = errors.New("xmpp: peer silent for too long")
)

// newID returns a stream id that nobody can guess (RFC 6120 section 4.7.3): dialback rests on that.
func newID() string { return rand.Text() }

// domain returns the canonical form of an address that must be a domain.
func domainAttr(value string) (string, error) {
	if value == "" {
		return "", errors.New("empty domain")
	}
	return uniform.Domain(value)
}

// offers reports whether the features contain one that satisfies is.
func (c *Config) offers(is func(*Feature) bool) bool {
	return slices.ContainsFunc(c.Features, func(f Feature) bool { return is(&f) })
}
