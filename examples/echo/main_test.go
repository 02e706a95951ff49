package main

import (
	"context"
	"crypto/tls"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/rig"
	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Another server meets the echo server over TLS with certificates, and gets its answers by PSYC.
func TestEcho(t *testing.T) {
	ca := rig.NewCA(t)
	resolver := &psycswitch.StaticResolver{Domains: make(map[string][]psycswitch.Hint)}
	certificate := func(domain string) *tls.Certificate { return &ca.Issue(t, []string{domain}).TLS }
	answers := make(chan *xmpp.Stanza, 1)
	us := server("echo.example", certificate("echo.example"))
	other := server("home.example", certificate("home.example"))
	other.Handler = psycswitch.HandlerFunc(func(_ context.Context, _ psycswitch.Sender, s *xmpp.Stanza) error {
		answers <- s.Clone()
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var served sync.WaitGroup
	defer served.Wait()
	defer stop()
	listeners := make(map[string]net.Listener)
	for _, domain := range []string{"echo.example", "home.example"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[domain] = ln
		resolver.Domains[domain] = []psycswitch.Hint{{Addr: ln.Addr().String()}}
	}
	for domain, r := range map[string]*psycswitch.Router{"echo.example": us, "home.example": other} {
		r.Resolver, r.Roots, r.Logger = resolver, ca.Pool, slog.New(slog.DiscardHandler)
		served.Go(func() {
			if err := r.Serve(ctx, listeners[domain]); err != nil {
				t.Errorf("%s: %v", domain, err)
			}
		})
	}
	for _, test := range []struct{ say, want string }{
		{
			"<message from='ada@home.example/a' to='echo.example' type='chat' id='1'><body>hello &amp; <![CDATA[<b>]]></body><x xmlns='urn:x'/></message>",
			"<message from='echo.example' to='ada@home.example/a' id='1' type='chat'><body>hello &amp; <![CDATA[<b>]]></body><x xmlns='urn:x'/></message>",
		},
		{
			"<presence from='ada@home.example' to='any@echo.example' type='subscribe' id='2'/>",
			"<presence from='any@echo.example' to='ada@home.example' id='2' type='subscribed'/>",
		},
		{
			"<presence from='ada@home.example' to='any@echo.example' type='probe'/>",
			"<presence from='any@echo.example' to='ada@home.example'/>",
		},
		{
			"<iq from='ada@home.example/a' to='echo.example' type='get' id='3'><ping xmlns='urn:xmpp:ping'/></iq>",
			"<iq from='echo.example' to='ada@home.example/a' id='3' type='result'/>",
		},
		{
			"<iq from='ada@home.example/a' to='echo.example' type='set' id='4'><x xmlns='urn:x'/></iq>",
			"<iq from='echo.example' to='ada@home.example/a' id='4' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
		},
	} {
		s, err := xmpp.Parse([]byte(test.say))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Send(ctx, s); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-answers:
			if got := string(got.Append(nil)); got != test.want {
				t.Errorf("to %s\ngot  %s\nwant %s", test.say, got, test.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no answer to %s", test.say)
		}
	}
	for link := range other.Links() {
		if link.Protocol != psycswitch.PSYC || link.TLS == nil {
			t.Errorf("a link speaks %v, TLS %v", link.Protocol, link.TLS != nil)
		}
	}
}

// The example of the package and this program have the same handler.
func TestHandlerIsTheExample(t *testing.T) {
	here, there := source(t, "main.go", "echo"), source(t, "../../switch/example_router_test.go", "echo")
	if here != there {
		t.Errorf("echo differs from that of ExampleRouter:\n%s\n\n%s", here, there)
	}
}

// source returns a function as it stands in a file.
func source(t *testing.T, file, name string) string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == name {
			var b strings.Builder
			if err := printer.Fprint(&b, fset, fn); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
	}
	t.Fatalf("no function %s in %s", name, file)
	return ""
}
