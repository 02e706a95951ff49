package psyc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/switchyard-im/switchyard/uniform"
)

// admit deals with what is the circuit's own affair and refuses what the peer may not send. It reports whether p is for
// the application.
func (c *Circuit) admit(ctx context.Context, p *Packet) bool {
	c.in.croak = nil
	if p.empty() {
		c.out.addIdle(c.cfg.Pong)
		return false
	}
	if c.own(p) {
		return c.ownPacket(ctx, p)
	}
	if err := c.entitled(ctx, p); err != nil {
		c.refuse(p, err)
		return false
	}
	return !c.requests.settle(p)
}

// ownPacket acts on a packet of the circuit. It reports whether the application has to see it.
func (c *Circuit) ownPacket(ctx context.Context, p *Packet) bool {
	if c.requests.settle(p) {
		return false
	}
	if c.sessionPacket(p) {
		return false
	}
	switch p.Method {
	case methodEstablished, methodLinkEstablished:
		if err := c.greeted(p); err != nil {
			c.end(err, nil, true)
			c.in.over = true
		}
		return false
	case methodStatus:
		c.note(p)
		return false
	case "": // variables alone: announcements of modules that we do not have
		return false
	case methodAuthorize:
		c.decide(ctx, p)
		return false
	case methodWithdraw:
		c.withdrawn(p)
		return false
	case methodShutdown:
		// What we write from now on need not be read: it goes back to the senders.
		c.peerCloses()
		c.in.over = true
		return false
	}
	if p.Method == methodProof && c.cfg.HostProofs != nil {
		c.attest(p)
		return false
	}
	if complains(p.Method) {
		fault := p.asError()
		c.in.log(slog.LevelWarn, "error from peer", "method", p.Method, "text", fault.Error())
		c.in.croak = fault
		return true
	}
	c.in.log(slog.LevelInfo, "circuit packet", "method", p.Method)
	if answerable(p.Method) {
		c.refuse(p, &Error{
			Method: "_failure_unsupported_function_circuit",
			Text:   "A circuit does not provide [_method_relay].",
			Vars:   Vars{{Name: "_method_relay", Value: Value(p.Method)}},
		})
	}
	return false
}

// entitled checks that the peer has proved whom p comes from and that p is for us.
func (c *Circuit) entitled(ctx context.Context, p *Packet) *Error {
	var source, speaker, target Value
	for i := range p.Routing {
		v := &p.Routing[i]
		var address *Value
		switch v.Name {
		case "_source":
			address = &source
		case "_context":
			address = &speaker
		case "_target":
			address = &target
		default:
			continue
		}
		if *address != nil { // whoever reads the other one is deceived
			return modifierError(errVariable09, "Two variables [_variable_name].", *v)
		}
		*address = v.Value
	}
	var hosts [2]string // source and context may both be there; then both must be proved
	n := 0
	for _, address := range []Value{source, speaker} {
		if address == nil {
			continue
		}
		host, err := c.in.hosts.of(address)
		if err != nil {
			return uniformError("_error_invalid_uniform", "[_uniform] is not an address.", address, err)
		}
		if n == 0 || hosts[0] != host {
			hosts[n] = host
			n++
		}
	}
	if n == 0 {
		return uniformError("_error_necessary_source", "A packet to [_uniform] needs a source.", target, nil)
	}
	for _, host := range hosts[:n] {
		if err := c.prove(ctx, host, ""); err != nil {
			return hostError("_error_rejected_relay_incoming", "You have not proved that you speak for [_host].", host, err)
		}
	}
	ours := c.selfHost
	if target != nil {
		var err error
		if ours, err = c.in.hosts.of(target); err != nil {
			return uniformError("_failure_unsupported_notation_location", "[_uniform] names no host.", target, err)
		}
		if !c.hosted(ours) {
			return hostError("_failure_unsupported_relay", "[_host] is not hosted here.", ours, nil)
		}
	}
	for _, host := range hosts[:n] {
		if err := c.permit(ctx, host, ours); err != nil {
			return hostError("_error_rejected_relay_incoming", "[_host] may not send there.", host, err)
		}
	}
	return nil
}

// uniformError is about an address, which may be anything and is repeated only so far as is good for an error packet.
func uniformError(method, text string, address Value, cause error) *Error {
	address = bytes.Clone(address[:min(len(address), 256)])
	return &Error{Method: method, Text: text, Vars: Vars{{Name: "_uniform", Value: address}}, Err: cause}
}

func hostError(method, text, host string, cause error) *Error {
	return &Error{Method: method, Text: text, Vars: Vars{{Name: "_host", Value: Value(host)}}, Err: cause}
}

// hosted reports whether packets to host are for us.
func (c *Circuit) hosted(host string) bool {
	if c.cfg.Hosted != nil {
		return c.cfg.Hosted(host)
	}
	return c.selfHost != "" && host == c.selfHost
}

// canonicalHost returns the form of a host name, or of an address literal, that a uniform has.
func canonicalHost(host string) (string, error) {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	u, err := uniform.Parse("psyc://" + host + "/")
	switch {
	case err != nil:
		return "", fmt.Errorf("psyc: host %q: %w", host, err)
	case u != u.Root() || u.Port() != 0:
		return "", fmt.Errorf("psyc: host %q: %w", host, errNoHost)
	}
	return u.Host(), nil
}

var errNoHost = errors.New("psyc: address without a host")

// A hostCache finds the hosts of uniforms. On a circuit they are few and come again and again, so that parsing can be
// left out where only the plainest of names stands behind the host.
type hostCache struct {
	known map[string]string // from scheme and authority as spelt to the host
}

const (
	maxKnown     = 1024 // hosts
	maxAuthority = 300  // bytes of what is kept for one
	maxPlain     = 200  // bytes of what may stand behind it
)

// of returns the host of a uniform.
func (h *hostCache) of(v Value) (string, error) {
	authority := authorityOf(v)
	if host, ok := h.known[string(authority)]; ok && authority != nil {
		return host, nil
	}
	u, err := uniform.Parse(v.String())
	if err != nil {
		return "", err
	}
	host := u.Host()
	if host == "" {
		return "", errNoHost
	}
	if authority != nil {
		if h.known == nil || len(h.known) >= maxKnown {
			h.known = make(map[string]string)
		}
		h.known[string(authority)] = host
	}
	return host, nil
}

// authorityOf returns v up to the slash behind the host, nil if what follows could be wrong.
func authorityOf(v Value) []byte {
	i := bytes.Index(v, []byte("://"))
	if i < 0 {
		return nil
	}
	j := bytes.IndexByte(v[i+3:], '/')
	if j < 0 || i+3+j > maxAuthority {
		return nil
	}
	authority, path := v[:i+3+j], v[i+3+j+1:]
	if len(path) == 0 {
		return authority
	}
	if len(path) < 2 || len(path) > maxPlain || path[0] != '~' && path[0] != '@' {
		return nil
	}
	for _, c := range path[1:] {
		if !keywordByte[c] {
			return nil
		}
	}
	return authority
}

// rootOf returns the root entity of a canonical host.
func rootOf(host string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "psyc://" + host + "/"
}
