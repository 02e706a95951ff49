package psyc_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
)

const stream = `|
:_source	psyc://north.example/~ada
:_target	psyc://south.example/~bea
:_tag	7

:_nick	Ada
_message_private
hi [_nick]
|
:_context	psyc://north.example/@hall

:_nick	Ada
:_list_groups	| math| poetry
_notice_join_groups
[_nick] joins [_list_groups].
|
`

func Example() {
	for p, err := range psyc.NewDecoder(strings.NewReader(stream)).Packets() {
		if err != nil {
			log.Fatal(err)
		}
		switch {
		case p.Method == "":
			fmt.Println("keep-alive")
		case psyc.Inherits(p.Method, "_message"):
			fmt.Printf("%s says: %s\n", p.Routing.Get("_source"), p.Text())
		default:
			fmt.Println(p.Text())
		}
	}
	// Output:
	// keep-alive
	// psyc://north.example/~ada says: hi [_nick]
	// Ada joins math, poetry.
}

func ExamplePacket_Append() {
	p := &psyc.Packet{Method: "_message_private", Body: []byte("one\n|\ntwo")}
	p.Routing.Set("_target", "psyc://south.example/~bea")
	p.Entity.Set("_nick", "Ada")
	for _, syn := range []psyc.Syntax{psyc.PSYC10, psyc.PSYC09} {
		b, err := p.Append(nil, syn)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", b)
	}
	// Output:
	// :_target	psyc://south.example/~bea
	// 38
	// :_nick	Ada
	// _message_private
	// one
	// |
	// two
	// |
	// :_target	psyc://south.example/~bea
	//
	// :_nick	Ada
	// _message_private
	// one
	// |
	// two
	// .
}

func ExamplePacket_Parse() {
	input := []byte(":_tag\t7\n\n_request_version\n|\n:_tag")
	var p psyc.Packet
	for len(input) > 0 {
		n, err := p.Parse(input, psyc.PSYC10)
		if err == psyc.ErrIncomplete {
			fmt.Printf("more to come after %q\n", input)
			break
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(p.Method, p.Routing.Get("_tag"))
		input = input[n:]
	}
	// Output:
	// _request_version 7
	// more to come after ":_tag"
}

func ExampleRenderer() {
	p := &psyc.Packet{Method: "_message_public", Body: []byte("look:\n.\n:_source\tpsyc://north.example/~ada")}
	r := psyc.Renderer{Syntax: psyc.PSYC09}
	_, err := r.Append(nil, p)
	fmt.Println(errors.Is(err, psyc.ErrNotRepresentable))
	// Output:
	// true
}

func ExamplePacket_Reply() {
	p := &psyc.Packet{Method: "_request_version"}
	p.Routing.Set("_source", "psyc://north.example/~ada")
	p.Routing.Set("_target", "psyc://south.example/")
	p.Routing.Set("_tag", "7")
	reply := p.Reply("_status_version")
	reply.Entity.Set("_version", "switchyard")
	if err := psyc.NewEncoder(os.Stdout).Encode(reply); err != nil {
		log.Fatal(err)
	}
	// Output:
	// :_source	psyc://south.example/
	// :_target	psyc://north.example/~ada
	// :_tag_relay	7
	// 40
	// :_version 10	switchyard
	// _status_version
	// |
}

func ExampleDecoder_Body() {
	wire := "1029\n:_name\tsky.png\n_notice_file\n" + strings.Repeat("~", 1000) + "\n|\n"
	d := psyc.NewDecoder(strings.NewReader(wire))
	d.Limits.Body = 512 // longer bodies are streamed
	for p, err := range d.Packets() {
		if err != nil {
			log.Fatal(err)
		}
		n, err := io.Copy(io.Discard, d.Body())
		fmt.Println(p.Entity.Get("_name"), p.Size, n, err)
	}
	// Output:
	// sky.png 1000 1000 <nil>
}

func ExampleEncoder_EncodeBody() {
	p := &psyc.Packet{Method: "_notice_file"}
	body := "pretend that this is large"
	if err := psyc.NewEncoder(os.Stdout).EncodeBody(p, int64(len(body)), strings.NewReader(body)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 40
	// _notice_file
	// pretend that this is large
	// |
}

func ExampleError() {
	_, err := new(psyc.Packet).Parse([]byte(":_tag x\n|\n"), psyc.PSYC10)
	var e *psyc.Error
	if errors.As(err, &e) {
		fmt.Println(e.Method, "at", e.Offset)
	}
	fmt.Println(errors.Is(err, &psyc.Error{Method: "_error_invalid"}))

	err = fmt.Errorf("sending: %w", &psyc.Error{
		Method: "_failure_unsupported_relay",
		Text:   "Cannot reach [_host] from here.",
		Vars:   psyc.Vars{{Name: "_host", Value: psyc.Value("east.example")}},
	})
	fmt.Println(err)
	// Output:
	// _error_invalid_syntax_tab at 5
	// true
	// sending: psyc: _failure_unsupported_relay: Cannot reach east.example from here.
}

func ExampleValue_List() {
	v := psyc.Value("| ada|5 a|b|c|=_amount 7")
	for e, err := range v.List() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("type %q: %s\n", e.Type, e.Value)
	}
	// Output:
	// type "": ada
	// type "": a|b|c
	// type "_amount": 7
}

func ExampleAppendList() {
	fmt.Printf("%s\n", psyc.AppendList(nil, "_nick",
		psyc.Element{Value: psyc.Value("ada")},
		psyc.Element{Value: psyc.Value("a|b")},
		psyc.Element{Type: "_uniform", Value: psyc.Value("psyc://north.example/~ada")}))
	// Output:
	// _nick| ada|3 a|b|=_uniform:25 psyc://north.example/~ada
}

func ExampleValue_Dict() {
	v := psyc.Value(psyc.AppendDict(nil, "_amount",
		psyc.Entry{Key: psyc.Value("ada"), Element: psyc.Element{Value: psyc.Value("36")}},
		psyc.Entry{Key: psyc.Value("7 of 9"), Element: psyc.Element{Type: "_nick", Value: psyc.Value("annika")}}))
	fmt.Println(v)
	for e, err := range v.Dict() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s, type %q\n", e.Key, e.Value, e.Type)
	}
	// Output:
	// _amount{ada} 36{6 7 of 9}=_nick annika
	// ada: 36, type ""
	// 7 of 9: annika, type "_nick"
}

func ExampleValue_Update() {
	u, err := psyc.Value("#1._nick = bea").Update()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("element %d, member %s, %c %q\n", u.Index[0].N, u.Index[1].Name, u.Op, u.Value)
	// Output:
	// element 1, member _nick, = "bea"
}

func ExampleExpand() {
	vars := map[string]string{"_nick": "[_password]", "_password": "secret"}
	fmt.Printf("%s\n", psyc.Expand(nil, "[_nick] greets [_nick_target].", func(name string) (psyc.Value, bool) {
		s, ok := vars[name]
		return psyc.Value(s), ok
	}))
	// Output:
	// [_password] greets [_nick_target].
}

func ExampleInherits() {
	fmt.Println(psyc.Inherits("_failure_unsupported_relay", "_failure"), psyc.Inherits("_failures", "_failure"))
	// Output:
	// true false
}

func ExampleMatches() {
	fmt.Println(psyc.Matches("_failure_total_delivery_bounce", "_failure_bounce"))
	// Output:
	// true
}

func ExampleLookupMethod() {
	m, ok := psyc.LookupMethod("_message_public_question")
	fmt.Println(m.Name, m.Flags&psyc.FlagVisible != 0, m.Flags&psyc.FlagTemplate != 0, ok)
	// Output:
	// _message true false true
}

func ExampleTypeOf() {
	fmt.Printf("%q %q %q\n", psyc.TypeOf("_amount_members"), psyc.TypeOf("_nick"), psyc.TypeOf("_colorful"))
	// Output:
	// "_amount" "_nick" ""
}

func ExampleParser() {
	p, parser := psyc.Packet{}, psyc.Parser{Syntax: psyc.PSYC10}
	var buf []byte
	for _, chunk := range []string{":_tag\t7\n\n_request_ver", "sion\n|\n"} {
		buf = append(buf, chunk...)
		n, err := parser.Parse(&p, buf)
		fmt.Println(n, err)
	}
	fmt.Println(p.Method)
	// Output:
	// 0 psyc: packet not complete
	// 28 <nil>
	// _request_version
}

func ExampleState() {
	master := "=_topic\ttea\n=_list_members\t| ada\n_notice_context_open\n|\n"
	var room psyc.State // what a member of the context knows
	for _, wire := range []string{
		":_context\tpsyc://north.example/@hall\n\n" + master,
		":_context\tpsyc://north.example/@hall\n\n+_list_members\t| bea\n_notice_context_enter\n|\n",
	} {
		var p psyc.Packet
		if _, err := p.Parse([]byte(wire), psyc.PSYC10); err != nil {
			log.Fatal(err)
		}
		if err := room.ApplyPacket(&p); err != nil {
			log.Fatal(err)
		}
		fmt.Println(p.Method, p.Entity.Get("_topic"), p.Entity.Get("_list_members"))
	}
	// Output:
	// _notice_context_open tea | ada
	// _notice_context_enter tea | ada| bea
}

func ExampleState_Answer() {
	var room psyc.State
	header := psyc.Vars{{Op: psyc.Assign, Name: "_topic", Value: psyc.Value("tea")}}
	if err := room.Apply(&header); err != nil {
		log.Fatal(err)
	}
	ask := &psyc.Packet{State: psyc.Resync}
	ask.Routing.Set("_source", "psyc://south.example/")
	ask.Routing.Set("_target", "psyc://north.example/@hall")
	if err := psyc.NewEncoder(os.Stdout).Encode(room.Answer(ask)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// :_context	psyc://north.example/@hall
	// :_target	psyc://south.example/
	//
	// =
	// =_topic	tea
	// |
}

func ExampleValue_Struct() {
	v := psyc.Value("| Ada|23 https://north.example/7")
	for e, err := range v.Struct(psyc.Value("|=_nick|=_page")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Type, e.Value)
	}
	// Output:
	// _nick Ada
	// _page https://north.example/7
}

func ExampleValue_Color() {
	c, err := psyc.Value("#9cf").Color()
	fmt.Printf("%s %v\n", psyc.AppendColor(nil, c), err)
	_, err = psyc.Value("blue").Color()
	fmt.Println(err)
	// Output:
	// #99ccff <nil>
	// psyc: _error_invalid_value_color: neither #rrggbb nor #rgb
}

func ExamplePacketID() {
	p := new(psyc.Packet)
	p.Routing.Set("_context", "psyc://north.example/@hall")
	p.Routing.Set("_counter", "7")
	b, err := p.ID().Append(nil)
	fmt.Printf("%s %v\n", b, err)
	id, err := psyc.Value(b).PacketID()
	fmt.Println(id.Counter, err)
	// Output:
	// | psyc://north.example/@hall||| 7| <nil>
	// 7 <nil>
}
