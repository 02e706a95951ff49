package uniform_test

import (
	"errors"
	"fmt"

	"github.com/switchyard-im/switchyard/uniform"
)

func Example() {
	u, err := uniform.Parse("psyc://Capulet.example:4404/~Juliet")
	if err != nil {
		fmt.Println(err)
		return
	}
	j, err := u.JID("balcony")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(u)
	fmt.Println(j)
	fmt.Println(j.Uniform() == u, j.Key() == u.Key())
	// Output:
	// psyc://capulet.example/~juliet
	// juliet@capulet.example/balcony
	// true true
}

func ExampleParse() {
	u := uniform.MustParse("psyc://[2001:db8::7]:9404s/@Lounge#news")
	sigil, name := u.Object()
	fmt.Println(u.Scheme(), u.Host(), u.Port(), string(u.Transport()), string(sigil), name, u.Channel())
	fmt.Println(u.Root())
	// Output:
	// psyc [2001:db8::7] 0 s @ lounge news
	// psyc://[2001:db8::7]:9404s/
}

func ExampleParseJID() {
	j, err := uniform.ParseJID("Jürgen@XN--BCHER-KVA.example/Küche")
	fmt.Println(j, err)
	_, err = uniform.ParseJID("jürgen:x@bücher.example")
	var malformed *uniform.Error
	if errors.As(err, &malformed) {
		fmt.Println(malformed.Offset, malformed.Reason)
	}
	// Output:
	// jürgen@bücher.example/Küche <nil>
	// 7 character not allowed in a localpart
}

func ExampleRelayJID() {
	j, err := uniform.RelayJID("i♥verona@Capulet.example")
	fmt.Println(j, j.Opaque(), err)
	_, err = uniform.ParseJID("i♥verona@Capulet.example")
	fmt.Println(err)
	// Output:
	// i♥verona@capulet.example true <nil>
	// uniform: "i♥verona@Capulet.example": localpart refused by PRECIS: disallowed rune encountered at byte 0
}

func ExampleJID_Uniform() {
	for _, s := range []string{"juliet@capulet.example/balcony", "*ball@capulet.example", "capulet.example", "o\\27hara@tara.example", "jürgen@bücher.example"} {
		fmt.Println(uniform.MustParseJID(s).Uniform())
	}
	// Output:
	// psyc://capulet.example/~juliet
	// psyc://capulet.example/@ball
	// psyc://capulet.example/
	// psyc://tara.example/~o%5c27hara
	// psyc://xn--bcher-kva.example/~j%c3%bcrgen
}

// A server on another port of the bank's host must not speak for the bank's users.
func ExampleUniform_EscapedJID() {
	u := uniform.MustParse("psyc://bank.example:4405/~ceo")
	_, err := u.JID("")
	fmt.Println(err)

	j, err := u.EscapedJID("psyc.gateway.example")
	fmt.Println(j, err)
	back, err := j.EscapedUniform()
	fmt.Println(back, err)
	// Output:
	// uniform: "psyc://bank.example:4405/~ceo" has no JID: it has a port or transport
	// psyc\3a\2f\2fbank.example\3a4405\2f~ceo@psyc.gateway.example <nil>
	// psyc://bank.example:4405/~ceo <nil>
}

// A roster that was filled over XMPP still knows its people when they come by PSYC.
func ExampleKey() {
	roster := map[uniform.Key]string{}
	roster[uniform.MustParseJID("romeo@montague.example").Key()] = "my love"

	for _, s := range []string{
		"xmpp:Romeo@montague.example/orchard",
		"psyc://montague.example/~romeo",
		"psyc://montague.example:4405/~romeo",
	} {
		fmt.Printf("%q\n", roster[uniform.MustParse(s).Key()])
	}
	// Output:
	// "my love"
	// "my love"
	// ""
}

func ExampleUniform_Role() {
	for _, s := range []string{"psyc://capulet.example/~juliet", "xmpp:juliet@capulet.example/balcony", "psyc://capulet.example:-51234/"} {
		fmt.Println(uniform.MustParse(s).Role())
	}
	// Output:
	// UNI
	// UNR
	// UNL
}

func ExampleEscapeLocal() {
	local := uniform.EscapeLocal("d'artagnan & co")
	fmt.Println(local)
	fmt.Println(uniform.UnescapeLocal(local))
	// Output:
	// d\27artagnan\20\26\20co
	// d'artagnan & co
}
