package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/switchyard-im/switchyard/psyc"
)

// dump shows packets.
func dump(t *terminal, flags *flag.FlagSet, args []string) error {
	var syntax psyc.Syntax
	jsonl := flags.Bool("jsonl", false, "read {id, packet}, write {id, packets} and error and offset, or incomplete, one a line")
	pretty := flags.Bool("pretty", false, "write for eyes")
	colour := colourFlag(flags, t.tty)
	syntaxFlag(flags, &syntax, true)
	if err := parse(flags, args); err != nil {
		return err
	}
	if *jsonl {
		return eachLine(t, func(q *query, a *answer) { dumpAnswer(q, a, syntax) })
	}
	out := json.NewEncoder(t.out)
	out.SetEscapeHTML(false)
	n := 0
	for p, err := range lookingDecoder(t.in, syntax).Packets() {
		n++
		if err != nil {
			return fmt.Errorf("packet %d: %w", n, err)
		}
		if *pretty {
			if n > 1 {
				fmt.Fprintln(t.out)
			}
			prettyPacket(t.out, n, p, colour())
		} else if err := out.Encode(newPacketJSON(p)); err != nil {
			return err
		}
		if err := t.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// lookingDecoder reads packets as libpsyc does where the two differ about lengths.
func lookingDecoder(in io.Reader, syntax psyc.Syntax) *psyc.Decoder {
	d := decoder(in, syntax)
	d.LooseLength = true
	return d
}

func dumpAnswer(q *query, a *answer, syntax psyc.Syntax) {
	packets := []packetJSON{}
	for p, err := range lookingDecoder(bytes.NewReader(q.Packet), syntax).Packets() {
		var broken *psyc.Error
		switch {
		case err == nil:
			packets = append(packets, newPacketJSON(p))
		case errors.Is(err, io.ErrUnexpectedEOF):
			a.Incomplete = true
		default:
			a.Error = err.Error()
			if errors.As(err, &broken) {
				a.Offset = &broken.Offset
			}
		}
	}
	a.Packets = &packets
}

// A packetJSON is a packet in the output.
type packetJSON struct {
	Routing []varJSON `json:"routing"`
	StateOp string    `json:"state_op,omitempty"`
	Entity  []varJSON `json:"entity"`
	Method  string    `json:"method"`
	Body    *string   `json:"body,omitempty"`
	BodyB64 []byte    `json:"body_b64,omitempty"`
}

type varJSON struct {
	Op       string  `json:"op"`
	Name     string  `json:"name"`
	Value    *string `json:"value,omitempty"`
	ValueB64 []byte  `json:"value_b64,omitempty"`
}

func newPacketJSON(p *psyc.Packet) packetJSON {
	j := packetJSON{Routing: varsJSON(p.Routing), Entity: varsJSON(p.Entity), Method: p.Method}
	if p.State != 0 {
		j.StateOp = string(rune(p.State))
	}
	if p.Method != "" {
		j.Body, j.BodyB64 = bytesJSON(p.Body)
	}
	return j
}

func varsJSON(vars psyc.Vars) []varJSON {
	out := make([]varJSON, len(vars))
	for i, v := range vars {
		out[i] = varJSON{Op: operator(v.Op), Name: v.Name}
		out[i].Value, out[i].ValueB64 = bytesJSON(v.Value)
	}
	return out
}

func operator(op psyc.Op) string {
	if op == 0 {
		op = psyc.Set
	}
	return string(rune(op))
}

// bytesJSON returns b as text if it is UTF-8, otherwise as bytes.
func bytesJSON(b []byte) (*string, []byte) {
	if !utf8.Valid(b) {
		return nil, bytes.Clone(b)
	}
	s := string(b)
	return &s, nil
}

// prettyPacket writes p for people: control characters are escaped, lists taken apart, long values kept on their lines.
func prettyPacket(w io.Writer, n int, p *psyc.Packet, c palette) {
	if greeting(p) {
		fmt.Fprintf(w, "packet %d: empty\n", n)
		return
	}
	method := p.Method
	if method == "" {
		method = "no method"
	}
	fmt.Fprintf(w, "%spacket %d:%s %s%s%s\n", c.header, n, c.none, c.method, visible(method, c), c.none)
	prettyVars(w, "routing", p.Routing, c)
	if p.State != 0 {
		fmt.Fprintf(w, "  state %c\n", p.State)
	}
	prettyVars(w, "entity", p.Entity, c)
	if len(p.Body) > 0 {
		fmt.Fprintf(w, "  %sbody%s\n", c.header, c.none)
		for _, line := range strings.Split(string(p.Body), "\n") {
			fmt.Fprintf(w, "    %s\n", visible(line, c))
		}
	}
}

func prettyVars(w io.Writer, header string, vars psyc.Vars, c palette) {
	if len(vars) == 0 {
		return
	}
	fmt.Fprintf(w, "  %s%s%s\n", c.header, header, c.none)
	width := 0
	for _, v := range vars {
		width = max(width, len(v.Name))
	}
	for _, v := range vars {
		indent := strings.Repeat(" ", width+7)
		lines := strings.Split(string(v.Value), "\n")
		for i := range lines {
			lines[i] = visible(lines[i], c)
		}
		fmt.Fprintf(w, "    %s%s%s%s%-*s%s  %s\n", c.op, operator(v.Op), c.none, c.name, width, v.Name, c.none, strings.Join(lines, "\n"+indent))
	}
}

// visible returns s with what a terminal would obey, or not show, escaped.
func visible(s string, c palette) string {
	var b strings.Builder
	escape := func(format string, a any) { fmt.Fprintf(&b, c.escape+format+c.none, a) }
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			escape(`\x%02x`, s[i])
		case r == '\t':
			escape(`\%s`, "t")
		case r < ' ' || r >= 0x7F && r < 0xA0:
			escape(`\x%02x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}
