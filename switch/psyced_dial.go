package psycswitch

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
)

// manners are what a peer wants that does not speak as we would.
type manners struct {
	old   bool // PSYC in the syntax 0.9 alone
	tls12 bool // TLS 1.2: psyced looks for (EC)DHE in the name of the cipher, and those of TLS 1.3 do not have it
}

const (
	mannersLife = 24 * time.Hour
	maxManners  = 10_000
)

// recall returns what is remembered of the manners of a domain.
func (n *neighbours) recall(domain string) manners {
	if n == nil {
		return manners{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m, _ := n.manners.Get(canonicalDomain(domain))
	return m
}

func (n *neighbours) learn(domain string, m manners) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.manners.Put(canonicalDomain(domain), m, time.Now().Add(mannersLife), maxManners)
}

// psyced reports whether the operator says that domain is served by psyced.
func (c *Config) psyced(domain string) bool { return c.Psyced != nil && c.Psyced(domain) }

// believesAddresses reports whether host may be proved by the address that its server calls from, on a circuit without TLS. Where there are to be
// none, psyced still has to be let in, which never uses TLS to open a circuit.
func (c *Config) believesAddresses(host string) bool {
	return c.Insecure&Addresses != 0 && (c.Insecure&Plaintext != 0 || c.psyced(host))
}

// approach is initiate, repeated at the same address where the peer shows by its refusal that it wants to be spoken to in another way.
func (d *dialling) approach(ctx context.Context, conn *Connection, w way) (*Link, error) {
	m := d.cfg.neighbours.recall(d.remote)
	if d.cfg.psyced(d.remote) {
		// It has 1.0 as well, in which it casts what is said in a place once for each member instead of once for us all.
		m = manners{old: true, tls12: true}
	}
	if learnt, ok := d.known.recall(d.local, d.remote); ok && learnt.protocol == XMPP {
		w.xmppAlone = true // from the attempt before
	}
	for deaf := 0; ; {
		w.patient = deaf == maxDeaf
		link, err := d.initiate(ctx, conn, w, m)
		switch {
		case err == nil:
			return link, nil
		case ctx.Err() == nil && errors.Is(err, errDeaf):
			deaf++
		case ctx.Err() == nil && m.taught(err):
			d.cfg.neighbours.learn(d.remote, m)
		default:
			d.refused(err)
			return nil, err
		}
		again, failed := orPlain(d.cfg.Dialer).DialContext(ctx, "tcp", conn.RemoteAddr().String())
		if failed != nil {
			return nil, fmt.Errorf("%w, then: %w", err, failed)
		}
		conn = &Connection{Conn: again, Hint: conn.Hint}
	}
}

// refused learns that the peer does not believe us by PSYC.
func (d *dialling) refused(err error) {
	var said *psyc.Error
	if errors.As(err, &said) && refusedPair(said.Method) {
		d.known.learn(d.local, d.remote, XMPP, refusedAge, "PSYC: "+said.Method)
	}
}

// taught learns from a refusal, and reports whether there was anything new in it.
func (m *manners) taught(err error) bool {
	var said *psyc.Error
	switch {
	case !errors.As(err, &said):
		return false
	case psyc.Inherits(said.Method, "_error_circuit_encryption_cipher") && !m.tls12:
		m.tls12 = true
	case psyc.Inherits(said.Method, "_error_syntax_initialization") && !m.old:
		m.old = true
	default:
		return false
	}
	return true
}

// askTime is how long a peer of the 0.9 syntax may take to show that it takes what we send.
const askTime = 2 * time.Second

// asker is who asks in the name of a domain. psyced answers a person where it was asked, and a server by the circuit of its own that it may
// have to it, or is still trying to open.
const asker = "~switchyard"

// initiate09 greets in the 0.9 syntax, in which there is no authorization: psyced judges the source of the first packet, and if
// it does not believe it, ends the circuit with all that was sent by it. So the first packet asks for an answer and is no one's loss. A
// peer that does not answer, but does not end the circuit either, will do.
func (l *Link) initiate09(ctx context.Context, circuit *psyc.Circuit) error {
	if err := circuit.Handshake(ctx); err != nil {
		return err
	}
	ping := &psyc.Packet{Method: "_request_ping"}
	ping.Routing.Set("_source", rootOf(l.local)+asker)
	ping.Routing.Set("_target", rootOf(l.remote))
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	tag := rand.Text()
	ping.Routing.Set("_tag", tag)
	defer l.neighbours().ask(tag, cancel)()
	_, err := circuit.Request(asking, ping)
	if err != nil && (ctx.Err() != nil || circuit.Err() != nil) {
		return err
	}
	circuit.Grant(l.local, l.remote)
	return nil
}

// ask calls then when the answer of that tag comes by another circuit: psyced may take its own. The returned function forgets that.
func (n *neighbours) ask(tag string, then func()) (forget func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asking == nil {
		n.asking = make(map[string]func())
	}
	n.asking[tag] = then
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.asking, tag)
	}
}

// answered reports whether p is the answer to a question of ask.
func (n *neighbours) answered(p *psyc.Packet) bool {
	if !psyc.Inherits(p.Method, "_echo_ping") {
		return false
	}
	n.mu.Lock()
	then := n.asking[p.Routing.Get("_tag_reply").String()]
	n.mu.Unlock()
	if then != nil {
		then()
	}
	return then != nil
}

// refusedPair reports whether a peer of the 0.9 syntax does not believe that we are who we say. That is for the operators to mend; meanwhile there
// may be XMPP.
func refusedPair(method string) bool {
	return psyc.InheritsAny(method, "_error_rejected_relay_incoming", "_error_invalid_host", "_error_circuit_encryption")
}

// refusedAge is how long XMPP is taken instead.
const refusedAge = time.Hour

// syntax is the one in which a peer of such manners is greeted.
func (m manners) syntax() psyc.Syntax {
	if m.old {
		return psyc.PSYC09
	}
	return psyc.PSYC10
}

// version is the highest of TLS, 0 for any.
func (m manners) version() uint16 {
	if m.tls12 {
		return tls.VersionTLS12
	}
	return 0
}
