package psycswitch_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// unresolved is a resolver whose name servers do not answer.
type unresolved struct{}

func (unresolved) Hints(_ context.Context, domain string) iter.Seq2[psycswitch.Hint, error] {
	return func(yield func(psycswitch.Hint, error) bool) {
		yield(psycswitch.Hint{}, &psycswitch.ResolveError{Domain: domain, Err: psycswitch.ErrNoAnswer})
	}
}

// Senders hear why a domain was not reached, in bounded time.
func TestBounceConditions(t *testing.T) {
	const (
		elsewhere = "10.0.0.2" // a server that hosts other domains
		nobody    = "10.9.9.9" // refuses connections
		blackHole = "192.0.2.1"
		silent    = "10.0.0.3" // accepts connections and says nothing
	)
	hint := func(p psycswitch.Protocol, ips ...string) (hints []psycswitch.Hint) {
		for _, ip := range ips {
			hints = append(hints, psycswitch.Hint{Protocol: p, Addr: ip + port})
		}
		return hints
	}
	for _, test := range []struct {
		name     string
		hints    []psycswitch.Hint
		unlisted bool
		resolver psycswitch.Resolver
		want     xmpp.Condition
		within   time.Duration
	}{
		{name: "no such domain", unlisted: true, want: xmpp.RemoteServerNotFound},
		{name: "not offered", want: xmpp.RemoteServerNotFound},
		{name: "name servers silent", resolver: unresolved{}, want: xmpp.RemoteServerTimeout},
		{name: "refused", hints: hint(psycswitch.XMPP, nobody), want: xmpp.RemoteServerTimeout},
		{name: "PSYC refused", hints: hint(psycswitch.PSYC, nobody), want: xmpp.RemoteServerTimeout},
		{name: "no answer", hints: hint(psycswitch.XMPP, blackHole), want: xmpp.RemoteServerTimeout, within: 30 * time.Second},
		{name: "silent", hints: hint(psycswitch.XMPP, silent), want: xmpp.RemoteServerTimeout, within: 30 * time.Second},
		{name: "PSYC silent", hints: hint(psycswitch.PSYC, silent), want: xmpp.RemoteServerTimeout, within: 30 * time.Second},
		{name: "not hosted there", hints: hint(psycswitch.XMPP, elsewhere), want: xmpp.RemoteServerNotFound},
		{name: "PSYC not hosted there", hints: hint(psycswitch.PSYC, elsewhere), want: xmpp.RemoteServerNotFound},
		{name: "refused here, not hosted there", hints: hint(psycswitch.XMPP, nobody, elsewhere), want: xmpp.RemoteServerNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				if !test.unlisted {
					w.resolver.Domains["far.example"] = test.hints
				}
				w.resolver.Next = test.resolver
				if test.resolver != nil {
					delete(w.resolver.Domains, "far.example")
				}
				north := w.add("10.0.0.1", plain("north.example"), nil)
				w.add(elsewhere, plain("south.example"), nil)
				defer w.net.listen(silent + port).Close()
				w.start()
				start := time.Now()
				north.send(chat("ada@north.example/a", "bob@far.example/x", "id1", "hello"))
				got := north.next()
				if c := errorCondition(got); c != string(test.want) {
					t.Errorf("got %s", got.Append(nil))
				}
				if got.ID != "id1" || got.From.String() != "bob@far.example/x" || got.To.String() != "ada@north.example/a" {
					t.Errorf("bounce from %v to %v, id %q", got.From, got.To, got.ID)
				}
				if took := time.Since(start); took > test.within {
					t.Errorf("it took %v", took)
				}
				// While the domain is left alone for a moment, the answer comes at once and is the same.
				start = time.Now()
				north.send(chat("ada@north.example/a", "bob@far.example/x", "id2", "hello"))
				if got := north.next(); errorCondition(got) != string(test.want) || got.ID != "id2" || time.Since(start) > 0 {
					t.Errorf("got %s after %v", got.Append(nil), time.Since(start))
				}
			})
		})
	}
}

// What is bounced, and what never is.
func TestBounceKinds(t *testing.T) {
	const from, to = "from='ada@north.example/a' to='bob@far.example'", "from='ada@north.example/a' to='room@far.example/ada'"
	for _, test := range []struct {
		stanza string
		want   bool
	}{
		{"<message id='1' " + from + "><body>x</body></message>", true},
		{"<message id='1' type='chat' " + from + "><body>x</body></message>", true},
		{"<message id='1' type='groupchat' " + from + "><body>x</body></message>", true},
		{"<message id='1' type='headline' " + from + "><body>x</body></message>", false},
		{"<message id='1' type='error' " + from + "><error type='cancel'/></message>", false},
		{"<iq id='1' type='get' " + from + "><ping xmlns='urn:xmpp:ping'/></iq>", true},
		{"<iq id='1' type='set' " + from + "><x xmlns='urn:x'/></iq>", true},
		{"<iq id='1' type='result' " + from + "/>", false},
		{"<iq id='1' type='error' " + from + "><error type='cancel'/></iq>", false},
		{"<presence id='1' " + from + "/>", false},
		{"<presence id='1' " + to + "><x xmlns='http://jabber.org/protocol/muc'/></presence>", true},
		{"<presence id='1' type='unavailable' " + to + "/>", false},
		{"<presence id='1' type='subscribe' " + from + "/>", true},
		{"<presence id='1' type='subscribed' " + from + "/>", false},
		{"<presence id='1' type='unsubscribe' " + from + "/>", false},
		{"<presence id='1' type='probe' " + from + "/>", false},
		{"<presence id='1' type='error' " + from + "><error type='cancel'/></presence>", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			north := w.add("10.0.0.1", plain("north.example"), nil)
			w.start()
			s := stanza(t, test.stanza)
			north.send(s)
			north.await("the bounce", func() bool { return len(north.lost) == 1 })
			synctest.Wait()
			north.mu.Lock()
			defer north.mu.Unlock()
			if len(north.got) > 1 || len(north.got) == 1 != test.want {
				t.Errorf("%s: %d answers", test.stanza, len(north.got))
			}
			if !test.want || len(north.got) == 0 {
				return
			}
			got := north.got[0]
			if got.Kind != s.Kind || got.Type != "error" || got.ID != "1" || got.From != s.To || got.To != s.From {
				t.Errorf("%s: answer %s", test.stanza, got.Append(nil))
			}
			if !bytes.HasPrefix(got.Raw(), s.Raw()) || errorCondition(got) == "" {
				t.Errorf("%s: answer %s", test.stanza, got.Append(nil))
			}
		})
	}
}

// Prefixes that are bound outside the children mean the same in the bounce.
func TestBounceKeepsNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		north := w.add("10.0.0.1", plain("north.example"), nil)
		w.start()
		north.send(stanza(t, "<message xmlns:p='urn:p' xml:lang='de' id='1' from='ada@north.example' to='bob@far.example'><p:x/></message>"))
		got := north.next()
		if _, ok := got.Child("urn:p", "x"); !ok || errorCondition(got) == "" || got.Lang != "" {
			t.Errorf("got %s", got.Append(nil))
		}
		if _, err := xmpp.Parse(got.Append(nil)); err != nil {
			t.Error(err)
		}
	})
}

// A stanza that the peer does not take comes back alone, without what is wrong with it; what follows goes on.
func TestBounceTooBig(t *testing.T) {
	for name, protocol := range map[string]psycswitch.Protocol{"PSYC": 0, "XMPP": psycswitch.XMPP} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				north := w.add("10.0.0.1", plain("north.example"), nil)
				south := w.add("10.0.0.2", plain("south.example"), func(y *yard) { y.Protocols = protocol })
				w.start()
				big := strings.Repeat("large ", 100_000)
				north.send(chat("ada@north.example/a", "bob@south.example", "1", "first"))
				north.send(chat("ada@north.example/a", "bob@south.example", "2", big))
				north.send(chat("ada@north.example/a", "bob@south.example", "3", big[:400_000]))
				if got := south.next(); got.ID != "1" {
					t.Errorf("got %s", got.ID)
				}
				if got := south.next(); got.ID != "3" || len(got.Text("body")) != 400_000 {
					t.Errorf("got %s with %d bytes", got.ID, len(got.Text("body")))
				}
				got := north.next()
				if got.ID != "2" || errorCondition(got) != string(xmpp.PolicyViolation) || len(got.Raw()) > 1000 {
					t.Errorf("got %s, %d bytes: %s", got.ID, len(got.Raw()), errorCondition(got))
				}
				if n := w.net.dialled("10.0.0.2" + port); n != 1 {
					t.Errorf("dialled %d times", n)
				}
			})
		})
	}
}

// What a handler says about a stanza from elsewhere goes back there; errors of routers are translated.
func TestHandlerErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want xmpp.Condition
	}{
		{xmpp.ItemNotFound, xmpp.ItemNotFound},
		{&xmpp.StanzaError{Condition: xmpp.Forbidden, Text: "no"}, xmpp.Forbidden},
		{psycswitch.ErrQueueFull, xmpp.ResourceConstraint},
		{psycswitch.ErrNotHosted, xmpp.ItemNotFound},
		{psycswitch.ErrClosed, xmpp.RemoteServerTimeout},
		{errors.New("secret"), xmpp.InternalServerError},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			north := w.add("10.0.0.1", plain("north.example"), nil)
			w.add("10.0.0.2", plain("south.example"), func(y *yard) {
				y.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
					s.From, s.To, s.ID, s.Type = s.To, s.From, "changed", "error" // a handler may, and the error is about what came
					return test.err
				})
			})
			w.start()
			for _, s := range []string{
				"<presence from='ada@north.example/a' to='bob@south.example'/>",
				"<message from='ada@north.example/a' to='bob@south.example' type='error'/>",
				"<message id='1' from='ada@north.example/a' to='bob@south.example'><body>x</body></message>",
			} {
				north.send(stanza(t, s))
			}
			got := north.next()
			if got.ID != "1" || errorCondition(got) != string(test.want) || got.From.String() != "bob@south.example" || bytes.Contains(got.Raw(), []byte("secret")) {
				t.Errorf("%v: got %s", test.err, got.Append(nil))
			}
		})
	}
}
