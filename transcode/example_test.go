package transcode_test

import (
	"errors"
	"fmt"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A chat is a private message to everybody on PSYC; what PSYC has no word for travels beside it.
func ExampleConverter() {
	s, err := xmpp.Parse([]byte(`<message from='ann@a.example/desk' to='ben@b.example' type='chat' id='m1'>` +
		`<body>Fish &amp; chips?</body></message>`))
	if err != nil {
		panic(err)
	}
	var here, there transcode.Converter
	p, err := here.Packet(s)
	if err != nil {
		panic(err)
	}
	wire, err := p.Append(nil, psyc.PSYC10)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s", wire)

	back, err := there.Stanza(p)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", back.Append(nil))
	// Output:
	// :_source	psyc://a.example/~ann
	// :_target	psyc://b.example/~ben
	// :_tag	m1
	// 54
	// :_resource_source	desk
	// _message_private
	// Fish & chips?
	// |
	// <message from='ann@a.example/desk' to='ben@b.example' id='m1' type='chat'><body>Fish &amp; chips?</body></message>
}

// A packet without a stanza of its own becomes a readable message. The last child brings the packet back.
func ExampleConverter_Stanza() {
	p := &psyc.Packet{Method: "_notice_friend_photographed", Body: []byte("[_nick] has a new picture: [_page_photo]")}
	p.Routing.Set("_source", "psyc://a.example/~ann")
	p.Routing.Set("_target", "psyc://b.example/~ben")
	p.Entity.Set("_nick", "Ann")
	p.Entity.Set("_page_photo", "https://a.example/ann.jpeg")

	var here, there transcode.Converter
	s, err := here.Stanza(p)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Text("body"))

	back, err := there.Packet(s)
	if err != nil {
		panic(err)
	}
	fmt.Println(back.Method, back.Entity.Get("_page_photo"))
	// Output:
	// Ann has a new picture: https://a.example/ann.jpeg
	// _notice_friend_photographed https://a.example/ann.jpeg
}

// What is wrong with a packet is said in the words of both protocols.
func ExampleError() {
	p := &psyc.Packet{Method: "_message_private", Body: []byte("pay me")}
	p.Routing.Set("_source", "psyc://a.example/~ann")
	p.Entity.Set("_jabber_attributes", "from='boss@b.example'")

	_, err := new(transcode.Converter).Stanza(p)
	var e *transcode.Error
	if errors.As(err, &e) {
		fmt.Println(string(e.Condition), e.Method)
	}
	fmt.Println(err)
	// Output:
	// bad-request _error_invalid_profile
	// transcode: _jabber_attributes says "boss@b.example", the routing header says "ann@a.example"
}

func ExampleFailure() {
	fmt.Println(transcode.Failure(xmpp.ServiceUnavailable))
	c, _ := transcode.Condition("_failure_unavailable_service_talk")
	fmt.Println(string(c))
	// Output:
	// _failure_unavailable_service
	// service-unavailable
}
