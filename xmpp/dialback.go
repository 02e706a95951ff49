package xmpp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrInvalidKey means that a dialback key was answered with type='invalid': the authoritative server has not made it.
var ErrInvalidKey = errors.New("xmpp: dialback key is invalid")

// DialbackConfig configures [Dialback]. Zero fields leave a role out or have the defaults given.
type DialbackConfig struct {
	// Secret is what our keys are made of (XEP-0185). All processes that answer for the same domains must have the
	// same; nil makes a random one, for a single process.
	Secret []byte

	// LiveOnly makes the authoritative role answer valid only for keys whose db:result is outstanding on a stream that
	// uses this very Feature value. It is for a process that alone sends for its domains: nobody else can then have a
	// use for a key, whoever has seen it.
	LiveOnly bool

	// Verify asks the authoritative server of remote whether key is its key for the stream id that it opened to local
	// (XEP-0220 section 2.1.2). That takes a look-up and a connection and therefore belongs to the caller:
	// [Initiate] a stream from local to remote without [External] and Dialback, and call [Stream.Verify].
	// nil is valid, an error that wraps [ErrInvalidKey] invalid; every other is reported to the peer with the condition
	// that it stands for. It is called in a goroutine of its own, whose context ends with the stream or after Timeout.
	// nil refuses all peers that want to be verified.
	Verify func(ctx context.Context, local, remote, id, key string) error

	// Certificate decides whether the peer's certificate proves domain, in which case nobody is asked
	// ("dialback without dialback"). [VerifyDomain] fits. nil always asks.
	Certificate func(leaf *x509.Certificate, rest []*x509.Certificate, domain string) error

	// Outstanding is the number of keys of one stream that are verified at the same time; 16. More are refused with
	// resource-constraint.
	Outstanding int

	// Timeout bounds Verify; 20 s.
	Timeout time.Duration
}

const (
	defaultOutstanding     = 16
	defaultDialbackTimeout = 20 * time.Second
)

// dialback is a DialbackConfig at work.
type dialback struct {
	cfg  DialbackConfig
	hmac []byte // the HMAC's key

	mu   sync.Mutex
	live map[liveKey]int // how many wait for it
}

// A liveKey is what one of our keys is for.
type liveKey struct{ local, remote, id string }

// Dialback is XEP-0220: the initiating side has its pair authorized, the accepting side verifies the keys of its peer
// and answers, as the authoritative server, for those of its own domains.
func Dialback(cfg DialbackConfig) Feature {
	if cfg.Secret == nil {
		cfg.Secret = []byte(newID())
	}
	cfg.Outstanding = positive(cfg.Outstanding, defaultOutstanding)
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultDialbackTimeout
	}
	d := &dialback{cfg: cfg, hmac: hmacKey(cfg.Secret), live: make(map[liveKey]int)}
	return Feature{
		Name:          xml.Name{Space: nsDialbackFeature, Local: "dialback"},
		Space:         NSDialback,
		Offer:         d.offer,
		Start:         d.start,
		Serve:         d.serve,
		authenticates: true,
		dialback:      d,
	}
}

const nsDialbackFeature = "urn:xmpp:features:dialback"

// hmacKey hashes the secret as XEP-0185 wants it.
func hmacKey(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return hex.AppendEncode(nil, sum[:])
}

// key returns the dialback key for what originator sends to receiver on stream id (XEP-0185 section 2).
func (d *dialback) key(receiver, originator, id string) string {
	mac := hmac.New(sha256.New, d.hmac)
	fmt.Fprintf(mac, "%s %s %s", receiver, originator, id)
	return hex.EncodeToString(mac.Sum(nil))
}

// begin and finish bracket the time during which a key of ours may be verified.
func (d *dialback) begin(k liveKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live[k]++
}

func (d *dialback) finish(k liveKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live[k]--; d.live[k] == 0 {
		delete(d.live, k)
	}
}

func (d *dialback) isLive(k liveKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live[k] > 0
}

func (d *dialback) offer(_ *Stream, dst []byte) []byte {
	return append(dst, "<dialback xmlns='"+nsDialbackFeature+"'><errors/></dialback>"...)
}

func (d *dialback) start(ctx context.Context, s *Stream, _ Element) (State, error) {
	if s.State()&Authenticated != 0 {
		return 0, nil
	}
	err := s.authorizePair(ctx, pair{s.Local(), s.Remote()}, true)
	switch {
	case err == nil:
		return Authenticated, nil
	case answeredNo(err):
		return 0, fmt.Errorf("%w: %w", ErrDeclined, err)
	}
	return 0, err
}

// answeredNo reports whether err is the peer's answer, and not the end of the stream.
func answeredNo(err error) bool {
	var se *StanzaError
	return errors.Is(err, ErrInvalidKey) || errors.As(err, &se)
}

// An exchange identifies a question to the peer: db:result without id, or db:verify. It is all that an answer repeats, not the key.
type exchange struct {
	verify        bool
	local, remote string
	id            string
}

// A request waits for the answer to an exchange.
type request struct {
	key     string        // that the peer is asked about
	done    chan struct{} // closed when err is set
	err     error
	waiting int // for it; under Stream.mu
}

// maxVerifying is how many db:verify may have no answer, also those that nobody waits for any more.
const maxVerifying = 256

var errTooManyKeys = fmt.Errorf("xmpp: too many dialback keys without an answer: %w", ResourceConstraint)

// errNoDialback means that this side of the stream has nothing to ask.
var errNoDialback = fmt.Errorf("xmpp: stream without Dialback in this direction: %w", NotAuthorized)

// Authorize asks the peer to accept that we send from local to remote on this stream, too (XEP-0220, multiplexing). It is for the
// initiating side, and on a stream that goes both ways ([Bidi]) for the accepting side as well, where the peer must have
// proved remote. It returns nil at once if the peer has authorized the pair already. It waits for an answer as long as ctx lets it.
//
// An error wraps [ErrDeclined] if the peer has no dialback; [NotAuthorized] if the pair cannot be asked for on this stream;
// [ErrInvalidKey], on which the peer closes the stream; a [*StanzaError] with one of the conditions of XEP-0220 section 2.5, after which
// the stream goes on without the pair; or it is that of ctx or of the stream.
//
// Only further local domains are safe with every server. Prosody answers for a second remote domain on the stream of
// the first, where it has not proved it, and loses that stream; it also closes a stream on which it is asked for a domain
// that it does not host. As the initiating side of a bidirectional stream it takes the question for a refusal of its own pair, and
// closes the stream.
func (s *Stream) Authorize(ctx context.Context, local, remote string) error {
	return s.authorizePair(ctx, pair{local, remote}, false)
}

// authorizePair is Authorize; holding says that the caller is the one who reads.
func (s *Stream) authorizePair(ctx context.Context, p pair, holding bool) error {
	var d *dialback
	for i := range s.cfg.Features {
		if d = s.cfg.Features[i].dialback; d != nil {
			break
		}
	}
	switch {
	case s.Authorized(p.local, p.remote):
		return nil
	case d == nil, !s.initiator && s.State()&Bidirectional == 0:
		return errNoDialback
	case !s.initiator && !s.provenFor(p.remote):
		return fmt.Errorf("xmpp: %s has not been proved on this stream: %w", p.remote, NotAuthorized)
	case !s.peerHasDialback():
		// Some servers close the stream on a db:result that they do not know.
		return fmt.Errorf("%w: %s has no dialback", ErrDeclined, s.Remote())
	}
	id := s.ID()
	live := liveKey{p.local, p.remote, id}
	d.begin(live)
	defer d.finish(live)
	err := s.ask(ctx, exchange{local: p.local, remote: p.remote}, d.key(p.remote, p.local, id), holding)
	if err != nil {
		return fmt.Errorf("xmpp: authorizing %s to send to %s: %w", p.local, p.remote, err)
	}
	s.debug("pair authorized", "from", p.local, "to", p.remote)
	return nil
}

// peerHasDialback reports whether the peer has offered dialback. A declaration in its header counts only as long as
// nothing better has been negotiated: ejabberd declares it always. The initiating side has nothing better.
func (s *Stream) peerHasDialback() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.initiator {
		return s.dialbackDeclared
	}
	return s.dialbackOffered || s.dialbackDeclared && s.state&Authenticated == 0
}

func (s *Stream) learnDialback() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialbackOffered = true
}

// Verify asks the peer, as the authoritative server of remote, whether key is its key for the stream id that it opened
// to local (XEP-0220 section 2.1.2). No authentication is needed on this stream. Initiating side.
//
// nil means valid. An error wraps [ErrInvalidKey], or a [*StanzaError] that the peer answered, or it is that of ctx or
// of the stream, or [ResourceConstraint] when 256 keys have no answer. Answers do not repeat the key: of several for the same pair and id
// one is asked about at a time.
func (s *Stream) Verify(ctx context.Context, local, remote, id, key string) error {
	err := s.ask(ctx, exchange{verify: true, local: local, remote: remote, id: id}, key, false)
	if err != nil {
		return fmt.Errorf("xmpp: verifying %s with its server: %w", remote, err)
	}
	return nil
}

// ask sends key and waits for the answer. Those who ask the same at the same time share one. Another key waits for its turn:
// an answer that is about either would else be taken for an answer about both.
func (s *Stream) ask(ctx context.Context, x exchange, key string, holding bool) error {
	for {
		r, asked, err := s.join(x, key)
		if err != nil {
			return err
		}
		if !asked {
			err := s.WriteRaw(ctx, appendDialback(nil, x.verify, x.local, x.remote, x.id, "", string(AppendText(nil, key))))
			if err != nil {
				s.settle(x, err)
			}
		}
		err = s.await(ctx, r, holding)
		s.leave(x, r)
		if r.key == key {
			return err
		}
		select {
		case <-r.done: // it is our turn
		default:
			return err
		}
	}
}

// join makes the caller one of those who wait for the answer to x, which may be about another key. asked says that somebody else
// has asked.
func (s *Stream) join(x exchange, key string) (r *request, asked bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, false, s.err
	}
	if r, asked = s.waiting[x]; !asked {
		if x.verify && len(s.waiting) >= maxVerifying {
			return nil, false, errTooManyKeys
		}
		r = &request{key: key, done: make(chan struct{})}
		if s.waiting == nil {
			s.waiting = make(map[exchange]*request)
		}
		s.waiting[x] = r
	}
	r.waiting++
	return r, asked, nil
}

// leave forgets a db:result for which nobody waits any more: an answer that comes now is one that nobody has asked for. A db:verify is
// remembered until its answer is there, which would else be taken for that about another key.
func (s *Stream) leave(x exchange, r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.waiting--; r.waiting == 0 && !x.verify && s.waiting[x] == r {
		delete(s.waiting, x)
	}
}

// await waits for r, and reads meanwhile if nobody else does.
func (s *Stream) await(ctx context.Context, r *request, holding bool) error {
	if !holding {
		select {
		case <-r.done:
			return r.err
		case <-ctx.Done():
			return context.Cause(ctx)
		case s.reading <- struct{}{}:
			defer s.release()
		}
	}
	defer s.in.interruptedBy(ctx)()
	for {
		select {
		case <-r.done:
			return r.err
		default:
		}
		st, err := s.step(ctx)
		if err == nil {
			err = s.hold(st)
		}
		if err != nil {
			select {
			case <-r.done: // the end of the stream has settled it
				return r.err
			default:
			}
			if err == io.EOF {
				err = ErrClosed
			}
			return err
		}
	}
}

// settle ends an exchange; it reports whether it was under way.
func (s *Stream) settle(x exchange, err error) bool {
	s.mu.Lock()
	r, ok := s.waiting[x]
	delete(s.waiting, x)
	s.mu.Unlock()
	if ok {
		r.err = err
		close(r.done)
	}
	return ok
}

// abandon ends all exchanges: there will be no answers.
func (s *Stream) abandon(err error) {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, r := range waiting {
		r.err = err
		close(r.done)
	}
}

// answered takes in an answer. One that nobody has asked for is ignored: XEP-0220 section 3.1 wants it correlated with
// a request on the same stream, as it would authorize anything otherwise.
func (s *Stream) answered(e Element) error {
	x, err := dialbackExchange(e)
	if err != nil {
		return err
	}
	if !x.verify {
		x.id = "" // Prosody repeats it in a db:result
	}
	var verdict error
	switch typ, _ := e.Attr("type"); typ {
	case "valid":
	case "invalid":
		verdict = ErrInvalidKey
	case "error":
		child, _ := e.Child(NSServer, "error")
		verdict = readStanzaError(child)
	default:
		return &StreamError{Condition: BadFormat, Text: "dialback with unknown type", Local: true}
	}
	s.mu.Lock()
	_, asked := s.waiting[x]
	s.mu.Unlock()
	if !asked {
		s.warn("dialback answer without a question", "from", x.remote, "to", x.local)
		return nil
	}
	if verdict == nil && !x.verify {
		s.authorize(pair{x.local, x.remote})
		s.authorizedBoth(pair{x.local, x.remote})
		s.learnDialback()
	}
	s.settle(x, verdict)
	return nil
}

// dialbackExchange reads the names in a dialback element as seen from here: to is local, from remote.
func dialbackExchange(e Element) (exchange, error) {
	var x exchange
	switch e.Name().Local {
	case "result":
	case "verify":
		x.verify = true
	default:
		return x, unsupported(e)
	}
	from, _ := e.Attr("from")
	to, _ := e.Attr("to")
	x.id, _ = e.Attr("id")
	var err error
	if x.remote, err = domainAttr(from); err == nil {
		x.local, err = domainAttr(to)
	}
	if err != nil {
		return x, &StreamError{Condition: ImproperAddressing, Text: "dialback without valid from and to", Local: true}
	}
	return x, nil
}

// appendDialback appends a db:result or db:verify around content, which is XML. The prefix is the one that our header
// declares; some peers know no other.
func appendDialback(dst []byte, verify bool, from, to, id, typ, content string) []byte {
	name := "db:result"
	if verify {
		name = "db:verify"
	}
	attr := func(name, value string) {
		if value != "" {
			dst = appendAttr(dst, name, value)
		}
	}
	dst = append(append(dst, '<'), name...)
	attr("from", from)
	attr("to", to)
	if verify {
		attr("id", id)
	}
	attr("type", typ)
	if content == "" {
		return append(dst, "/>"...)
	}
	dst = append(append(dst, '>'), content...)
	return append(append(append(dst, "</"...), name...), '>')
}
