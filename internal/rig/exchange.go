package rig

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	exchangeTimeout = 60 * time.Second // for one Exchange
	logoutTimeout   = 10 * time.Second // for either user, behind it
)

// Side is one of the two servers of an Exchange.
type Side struct {
	// Server is where the user of this side is.
	Server *Server
	// Clients logs that user in.
	Clients Clients
	// Arrived, if set, sees every stanza that reached the user of this side and was found equal to what had to arrive.
	Arrived func(want *Element, got Stanza)
}

// Exchange lets a fresh user of either side hold the conversation that federated servers must support: messages of all types,
// mutual subscription and presence, disco#info, version, ping, requests between the users, and a room on either side. It demands
// that every stanza arrives once, in order, and means what was sent: same addresses, id, type, language and children, unknown
// extensions included.
//
// Nothing that it leaves behind disturbs the next call with the same servers.
func Exchange(t *testing.T, a, b *Side) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), exchangeTimeout)
	defer cancel()
	a.Server.ShowLogOnFailure(t)
	b.Server.ShowLogOnFailure(t)
	romeo := login(ctx, t, a, "romeo")
	juliet := login(ctx, t, b, "juliet")
	for _, step := range []struct {
		name string
		run  func(*conversation)
	}{
		{"messages", (*conversation).messages},
		{"order", (*conversation).order},
		{"subscription", (*conversation).subscription},
		{"presence", (*conversation).presence},
		{"absence", (*conversation).absence},
		{"queries", (*conversation).queries},
		{"requests", (*conversation).requests},
		{"refusal", (*conversation).refusal},
		{"room", (*conversation).room},
		{"nothing else", (*conversation).nothingElse},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			x := &conversation{T: t, ctx: ctx, from: romeo, to: juliet}
			step.run(x)
			step.run(x.back())
		})
		if !ok {
			return
		}
	}
}

// party is a user who takes part in an exchange.
type party struct {
	User
	side *Side
	bare string
	seen map[string]bool // ids of the messages and iqs that were found equal
}

// login creates an account, logs in, makes the user available, and logs out when the test ends.
func login(ctx context.Context, t *testing.T, side *Side, name string) *party {
	t.Helper()
	account := side.Server.AddUser(t, name+"-"+randomName())
	user, err := side.Clients.Login(ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
		defer cancel()
		if err := user.Close(ctx); err != nil {
			t.Errorf("logout of %s: %v", user.JID(), err)
		}
	})
	p := &party{User: user, side: side, bare: account.JID, seen: map[string]bool{}}
	x := &conversation{T: t, ctx: ctx, from: p, to: p}
	// Servers tell only those who asked for their roster that a subscription was approved.
	id := x.send("<iq type='get'><query xmlns='"+nsRoster+"'/></iq>", "").Attribute("id")
	x.expect(p, "the roster", func(s Stanza) bool { return s.Is("iq") && s.Attribute("id") == id })
	x.send("<presence xml:lang='en'/>", "")
	x.expect(p, "its own presence", func(s Stanza) bool { return s.Is("presence") && s.From(p.JID()) })
	return p
}

// conversation is a step of an exchange in one direction.
type conversation struct {
	*testing.T
	ctx      context.Context
	from, to *party
}

// back is the conversation in the other direction.
func (x *conversation) back() *conversation {
	return &conversation{T: x.T, ctx: x.ctx, from: x.to, to: x.from}
}

var (
	attributeFrom = xml.Name{Local: "from"}
	attributeTo   = xml.Name{Local: "to"}
)

// send sends a stanza, with an id and an address (none if to is empty) added to its start tag, and returns what must arrive.
func (x *conversation) send(stanza, to string) *Element {
	x.Helper()
	return x.sendWithID(stanza, to, randomName())
}

func (x *conversation) sendWithID(stanza, to, id string) *Element {
	x.Helper()
	name, rest, _ := strings.Cut(stanza, " ")
	if to != "" {
		rest = "to='" + escape(to) + "' " + rest
	}
	full := fmt.Sprintf("%s id='%s' %s", name, id, rest)
	want, err := Parse(full)
	if err != nil {
		x.Fatal(err)
	}
	if err := x.from.Send(x.ctx, full); err != nil {
		x.Fatal(err)
	}
	want.setAttribute(attributeFrom, x.from.JID())
	return want
}

// expect waits for a stanza.
func (x *conversation) expect(p *party, what string, want func(Stanza) bool) Stanza {
	x.Helper()
	s, err := p.Expect(x.ctx, want)
	if err != nil {
		x.Fatalf("%s waits for %s: %v", p.JID(), what, err)
	}
	return s
}

// receive waits for the stanza of that id at the other user.
func (x *conversation) receive(id string) Stanza {
	x.Helper()
	return x.expect(x.to, "the stanza "+id, func(s Stanza) bool { return s.Attribute("id") == id })
}

// arrives waits for a stanza with the id of want at the other user and compares.
func (x *conversation) arrives(want *Element) {
	x.Helper()
	x.same(want, x.receive(want.Attribute("id")))
}

// arrivesAtBare is arrives for a stanza to the bare JID, into which the recipient's server may put the full one: ejabberd does for presence.
func (x *conversation) arrivesAtBare(want *Element) {
	x.Helper()
	got := x.receive(want.Attribute("id"))
	want.setAttribute(attributeTo, x.to.bare)
	if got.Attribute("to") == x.to.JID() {
		want.setAttribute(attributeTo, x.to.JID())
	}
	x.same(want, got)
}

// same demands that a stanza received means what was sent.
func (x *conversation) same(want *Element, got Stanza) {
	x.Helper()
	if d := Diff(sortStanza(want), sortStanza(got.Element)); d != "" {
		x.Fatalf("%s got something else than %s sent: %s\n%s", x.to.JID(), x.from.JID(), d, got.XML)
	}
	if !got.Is("presence") { // a probe brings the same presence again
		x.to.seen[got.Attribute("id")] = true
	}
	if x.to.side.Arrived != nil {
		x.to.side.Arrived(want, got)
	}
}

// sortStanza orders the children of a stanza: first those of its own namespace, by name, then all others as they come. ejabberd
// reads the former into fields and writes them behind the latter, as it may: RFC 6121 says no order between them.
func sortStanza(e *Element) *Element {
	key := func(n Node) string {
		if n.Element == nil || n.Element.Name.Space != nsClient {
			return "~"
		}
		return n.Element.Name.Local
	}
	sorted := *e
	sorted.Nodes = slices.SortedStableFunc(slices.Values(e.Nodes), func(a, b Node) int { return strings.Compare(key(a), key(b)) })
	return &sorted
}

// without returns a copy of a stanza without its children of some namespaces.
func without(e *Element, namespaces ...string) *Element {
	rest := *e
	rest.Nodes = nil
	for _, n := range e.Nodes {
		if n.Element == nil || !slices.Contains(namespaces, n.Element.Name.Space) {
			rest.Nodes = append(rest.Nodes, n)
		}
	}
	return &rest
}

// addressed returns a copy of a stanza with another address.
func addressed(e *Element, to string) *Element {
	other := *e
	other.Attr = slices.Clone(e.Attr)
	other.setAttribute(attributeTo, to)
	return &other
}

// ask puts a question about an entity of the other server to both users.
func ask[A any](x *conversation, to string, question func(User, context.Context, string) (A, error)) (near, far A) {
	x.Helper()
	near, err := question(x.to, x.ctx, to)
	if err != nil {
		x.Fatal(err)
	}
	far, err = question(x.from, x.ctx, to)
	if err != nil {
		x.Fatal(err)
	}
	return near, far
}
