// Command demo shows in a few seconds what Switchyard does: two chat servers that know nothing of each other meet over XMPP,
// find out that both speak PSYC, go on in PSYC on the same connection, and lose nothing on the way.
//
// It needs no set-up: name server, servers and users are in this one process, on loopback. The exit status is not 0 if
// anything that arrives differs from what was sent.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// patience is how long the whole conversation may take.
const patience = 20 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := demo(ctx, newPrinter(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// conversation is what the users say. The extensions are made up: no server has ever heard of them.
var conversation = []struct{ about, xml string }{
	{
		"a chat with a second language and an extension that nobody knows",
		`<message from='romeo@north.example/orchard' to='juliet@south.example' type='chat' id='m1' xml:lang='en'>` +
			`<body>Is this the right window?</body><body xml:lang='it'>È questa la finestra giusta?</body>` +
			`<mood xmlns='urn:example:mood' level='9'>hopeful &amp; lost</mood></message>`,
	},
	{
		"presence: away, with a reason",
		`<presence from='romeo@north.example/orchard' to='juliet@south.example' id='p1'>` +
			`<show>away</show><status>climbing</status><priority>5</priority></presence>`,
	},
	{
		"a request that only the two clients understand",
		`<iq from='romeo@north.example/orchard' to='juliet@south.example/balcony' type='get' id='q1'>` +
			`<ladder xmlns='urn:example:ladder'><height unit='m'/></ladder></iq>`,
	},
}

// answer is what juliet's client says to the request.
const answer = `<iq from='juliet@south.example/balcony' to='romeo@north.example/orchard' type='result' id='q1'>` +
	`<ladder xmlns='urn:example:ladder'><height unit='m'>7.5</height></ladder></iq>`

func demo(ctx context.Context, out *printer) error {
	w, err := newWorld()
	if err != nil {
		return err
	}
	defer w.close()

	out.title("Switchyard: two servers meet over XMPP and go on in PSYC")
	out.text("romeo@north.example writes to juliet@south.example. The two servers have never met; all that",
		"romeo's server has is the name south.example.")

	var exchanges []exchange
	for _, line := range conversation {
		e, err := w.exchange(ctx, w.north, w.south, line.about, line.xml)
		if err != nil {
			return err
		}
		exchanges = append(exchanges, e)
	}
	back, err := w.exchange(ctx, w.south, w.north, "the answer to the request, the other way on the same connection", answer)
	if err != nil {
		return err
	}
	exchanges = append(exchanges, back)
	if err := w.stop(); err != nil {
		return err
	}
	return report(out, w, exchanges)
}

// An exchange is a stanza before and after its way from one server to the other.
type exchange struct {
	about     string
	sent, got *xmpp.Stanza
	forward   bool // from north to south
}

// lossless reports whether what arrived is what was sent, byte for byte.
func (e exchange) lossless() bool { return string(e.sent.Append(nil)) == string(e.got.Append(nil)) }

// report tells the story in order, from what was seen on the wire.
func report(out *printer, w *world, exchanges []exchange) error {
	out.step("DNS: what is known about south.example")
	for _, q := range w.questions() {
		out.line("asked", q)
	}
	for _, h := range w.hints() {
		out.line("hint", h)
	}
	out.text("A record _psyc._tcp would have said at once that south.example speaks PSYC. There is none, so it is XMPP at first.")

	stream, packets, err := w.wire()
	if err != nil {
		return err
	}
	out.step("XMPP: a stream, and a proof that north.example is who it says (=> from north, <= from south)")
	for _, piece := range stream {
		out.xml(piece.arrow(), piece.data)
	}
	out.text("Both streams offered <psyc/>. Once south had proof of north, by asking north's own server about the key",
		"(XMPP dialback), north asked to switch, and south agreed. XMPP ends here; the connection stays.")

	out.step("PSYC: the same connection, the same stanzas, in packets")
	out.text("A packet has a routing header, the length of what follows where that is needed, variables of the entities, a method, and",
		"a body. First the two servers introduce themselves; south also asks whether it may send the other way.")
	for _, p := range packets.circuit {
		out.packet(p)
	}
	out.text("Now the stanzas. What PSYC has a word for is native: addresses, the text, the presence. The rest travels as it came, in",
		"_jabber_XML, where a mark such as \u2401 stands for text that is native; so a user of PSYC sees a message, and one of XMPP loses nothing.",
		"A variable behind = holds for the packets that follow, too, which leave it out.")
	var lost int
	for i, e := range exchanges {
		p, err := packets.carrying(e)
		if err != nil {
			return err
		}
		out.heading(fmt.Sprintf("%d. %s", i+1, e.about))
		out.xml("sent", e.sent.Append(nil))
		out.packet(p)
		out.xml("came", e.got.Append(nil))
		if e.lossless() {
			out.good("the stanza that came out is the one that went in, byte for byte")
		} else {
			lost++
			out.bad("the stanza that came out is NOT the one that went in")
		}
	}

	out.step("Bytes on the wire")
	rows := [][]string{{"stanza", "XMPP", "PSYC", ""}}
	for _, e := range exchanges {
		p, err := packets.carrying(e)
		if err != nil {
			return err
		}
		x, y := len(e.sent.Append(nil)), len(p.data)
		rows = append(rows, []string{e.about, fmt.Sprint(x), fmt.Sprint(y), fmt.Sprintf("%+d %%", (y-x)*100/x)})
	}
	out.table(rows)
	out.text("The first packet to somebody is longer, because it names what it carries in full. What PSYC saves beside bytes is work: no escapes,",
		"no XML parser on the way, any number of domains and both directions on one connection.")
	if lost > 0 {
		return fmt.Errorf("%d of %d stanzas changed on the way", lost, len(exchanges))
	}
	out.good(fmt.Sprintf("%d of %d stanzas arrived unchanged", len(exchanges), len(exchanges)))
	return out.err
}
