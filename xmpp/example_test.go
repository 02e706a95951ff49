package xmpp_test

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

func ExampleDecoder() {
	in := strings.NewReader(`
		<message from='romeo@montague.example/orchard' to='juliet@capulet.example'><body>Shall I hear more?</body></message>
		<presence from='juliet@capulet.example/balcony'><show>away</show></presence>`)
	for s, err := range xmpp.NewDecoder(in).Stanzas() {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(s.Kind, "from", s.From)
		for child := range s.Children() {
			fmt.Println("  ", child.Name().Local, "=", child.Text())
		}
	}
	// Output:
	// message from romeo@montague.example/orchard
	//    body = Shall I hear more?
	// presence from juliet@capulet.example/balcony
	//    show = away
}

func ExampleStanza() {
	s := xmpp.Stanza{
		Kind: xmpp.Message,
		Type: "chat",
		From: uniform.MustParseJID("romeo@montague.example"),
		To:   uniform.MustParseJID("juliet@capulet.example"),
	}
	s.SetText("body", "Wherefore & why?")
	fmt.Printf("%s\n", s.Append(nil))
	// Output:
	// <message from='romeo@montague.example' to='juliet@capulet.example' type='chat'><body>Wherefore &amp; why?</body></message>
}

// Nothing is lost: neither the prefixes, nor an attribute that nobody knows, nor how the address is spelt.
func ExampleParse() {
	s, err := xmpp.Parse([]byte(`<message to="Juliet@CAPULET.example" e:mood="merry" xmlns:e="urn:example"><e:rose><![CDATA[<3]]></e:rose></message>`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.To)
	fmt.Printf("%s\n", s.Append(nil))
	// Output:
	// juliet@capulet.example
	// <message to='Juliet@CAPULET.example' e:mood='merry' xmlns:e='urn:example'><e:rose><![CDATA[<3]]></e:rose></message>
}

func ExampleSyntaxError() {
	_, err := xmpp.Parse([]byte("<message><body>fish & chips</body></message>"))
	var syntax *xmpp.SyntaxError
	fmt.Println(errors.Is(err, xmpp.NotWellFormed), errors.As(err, &syntax))
	fmt.Println(syntax)
	// Output:
	// true true
	// & that begins no reference at byte 20
}

func ExampleStanza_ErrorReply() {
	s, _ := xmpp.Parse([]byte("<iq type='get' id='v1' from='romeo@montague.example/orchard' to='capulet.example'><query xmlns='jabber:iq:version'/></iq>"))
	// A handler returns a condition, or an error that wraps one.
	err := fmt.Errorf("asking for the version: %w", xmpp.ServiceUnavailable)
	fmt.Printf("%s\n", s.ErrorReply(err).Append(nil))
	// Output:
	// <iq from='capulet.example' to='romeo@montague.example/orchard' id='v1' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>
}

// A stanza of a client goes to another server: what the client said to be in the namespace of its stream stays there.
func ExampleStanza_AppendFor() {
	d := xmpp.NewDecoder(strings.NewReader("<message to='b@capulet.example'><body xmlns='jabber:client'>hi</body></message>"))
	d.Space = xmpp.NSClient
	for s := range d.Stanzas() {
		fmt.Printf("%s\n", s.AppendFor(nil, xmpp.NSServer))
	}
	// Output:
	// <message to='b@capulet.example'><body xmlns='jabber:server'>hi</body></message>
}

func ExampleStanza_Tree() {
	s, _ := xmpp.Parse([]byte("<message><body>hi</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"))
	tree := s.Tree()
	tree.RemoveChild(tree.SelectElement("active"))
	tree.CreateElement("subject").SetText("greetings")
	if err := s.SetTree(tree); err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(s.Append(nil))
	// Output:
	// <message><body>hi</body><subject>greetings</subject></message>
}
