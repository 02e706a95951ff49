package transcode_test

import (
	"fmt"
	"os"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A change of presence to three contacts is one packet. The next one does not even name them.
func ExampleFanOut() {
	var out transcode.FanOut
	now := time.Now()
	for _, show := range []string{"away", "dnd"} {
		for _, name := range []string{"ben", "dora", "emil"} {
			s, err := xmpp.Parse([]byte("<presence from='ann@north.example' to='" + name + "@south.example'><show>" + show + "</show></presence>"))
			if err != nil {
				fmt.Println(err)
				return
			}
			out.Add(now, s, nil)
		}
	}
	out.FlushAll()
	for parcel, err := range out.Parcels() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(parcel.Copies, "stanzas:")
		wire, _ := parcel.Packet.Append(nil, psyc.PSYC10)
		os.Stdout.Write(wire)
	}
	// Output:
	// 3 stanzas:
	// :_context	psyc://north.example/~ann
	// 163
	// :_audience	1 1
	// :_amount_casts	1
	// =_list_audience 89	|25 psyc://south.example/~ben|26 psyc://south.example/~dora|26 psyc://south.example/~emil
	// _notice_presence_away
	// |
	// 3 stanzas:
	// :_context	psyc://north.example/~ann
	//
	// :_audience	1 1
	// :_amount_casts	2
	// _notice_presence_here_busy
	// |
}

// The receiver makes the copies.
func ExampleFanIn() {
	in := transcode.FanIn{Root: "psyc://south.example/"}
	cast := ":_context\tpsyc://north.example/~ann\n\n" +
		":_audience\t1 1\n:_amount_casts\t1\n=_list_audience\t| psyc://south.example/~ben| psyc://south.example/~dora desk\n" +
		"_notice_presence_away\n|\n"
	var p psyc.Packet
	if _, err := p.Parse([]byte(cast), psyc.PSYC10); err != nil {
		fmt.Println(err)
		return
	}
	for s, err := range in.Receive(time.Now(), &p) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s\n", s.Append(nil))
	}
	// Output:
	// <presence from='ann@north.example' to='ben@south.example'><show>away</show></presence>
	// <presence from='ann@north.example' to='dora@south.example/desk'><show>away</show></presence>
}
