package psyc

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// plainly writes p in PSYC 1.0 as the specification puts it: header lines, a content, its length in front of it.
func plainly(p *Packet, lengths Lengths) (string, bool) {
	line := func(v Var, length string) string { return fmt.Sprintf("%c%s%s\t%s\n", v.op(), v.Name, length, v.Value) }
	sendable := func(v Var) bool { return operator[byte(v.op())] && keywordBytes(v.Name) && v.Name != "" }
	var routing, content strings.Builder
	counted := false
	for _, v := range p.Routing {
		if strings.HasPrefix(v.Name, "_INTERNAL") {
			continue
		}
		if !sendable(v) || bytes.ContainsFunc(v.Value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", false
		}
		routing.WriteString(line(v, ""))
	}
	if p.State != 0 {
		content.WriteString(string([]byte{byte(p.State), '\n'}))
	}
	for _, v := range p.Entity {
		if strings.HasPrefix(v.Name, "_INTERNAL") {
			continue
		}
		if !sendable(v) {
			return "", false
		}
		length := ""
		if n := len(v.Value); n > 0 && (bytes.ContainsRune(v.Value, '\n') || lengths == LengthsAlways || lengths == LengthsAuto && n > 9) {
			length, counted = fmt.Sprintf(" %d", n), true
		}
		content.WriteString(line(v, length))
	}
	if p.Method != "" {
		if !keywordBytes(p.Method) {
			return "", false
		}
		content.WriteString(p.Method + "\n")
		if len(p.Body) > 0 {
			content.WriteString(string(p.Body) + "\n")
		}
	} else if len(p.Body) > 0 {
		return "", false
	}
	if content.Len() == 0 {
		return routing.String() + "|\n", true
	}
	length := ""
	if counted || lengths == LengthsAlways || lengths == LengthsAuto && len(p.Body) > 9 ||
		len(p.Body) > 0 && strings.Contains("\n"+string(p.Body)+"\n", "\n|\n") {
		length = fmt.Sprint(content.Len())
	}
	return routing.String() + length + "\n" + content.String() + "|\n", true
}

// The renderer foresees how long lengths are and what names and values are made of; whatever it foresees wrongly must
// not show.
func TestRenderPlainly(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	vars := func(n int) (vars Vars) {
		for range rnd.IntN(n) {
			name := pick("_a", "_ab", "_abc", "_nick", "_nicks", "_target", "_context", "_degree_availability", "_INTERNAL_x",
				"_INTERNA", "_UPPER_9_and_more", "x", "_list_members_nicks_and_more", "_bad-name", "", strings.Repeat("x", 1020+rnd.IntN(5)))
			if name == "_bad-name" || name == "" { // rarely, or nothing else would be seen
				name = pick(name, "_nick", "_nick", "_nick", "_nick", "_nick", "_nick")
			}
			value := pick("", "7", "\n", "a\nb", "|", "\n|\n", "1234567", "12345678", "123456789", "1234567890", "grüße", "☂☂☂☂☂",
				"\x00", "a value of \x7f", "psyc://north.example/~ada", strings.Repeat("v", 60+rnd.IntN(60)), strings.Repeat("|\n", 480+rnd.IntN(40)))
			op := Op(pick("\x00", ":", ":", "=", "+", "-", "@", "?", "!")[0])
			if rnd.IntN(30) == 0 {
				op = 'x'
			}
			vars = append(vars, Var{op, name, Value(value)})
		}
		return vars
	}
	written := 0
	buf := make([]byte, 0, 4096)
	for range 10_000 {
		p := &Packet{Routing: vars(3), Entity: vars(4), State: StateOp(pick("\x00", "\x00", "=", "?")[0])}
		if p.Method = pick("", "_m", "_method", "_notice_presence", "_NOTICE_9"); p.Method != "" {
			p.Body = []byte(pick("", "|", "||", "|\n", "\n|", "\n|\n", "a\n|\nb", "|\na", "a\n|", "\n", "123456789", "1234567890",
				strings.Repeat("b", 60+rnd.IntN(60)), strings.Repeat("b", 950+rnd.IntN(60)), strings.Repeat("\n", 9970+rnd.IntN(40))))
		}
		for _, lengths := range []Lengths{LengthsAuto, LengthsAlways, LengthsNeeded} {
			want, ok := plainly(p, lengths)
			r := Renderer{Lengths: lengths}
			out, err := r.Append(append(buf[:0], "before"...), p)
			if !ok {
				if !errors.Is(err, ErrNotRepresentable) || string(out) != "before" {
					t.Fatalf("%+v: %q, %v", p, out, err)
				}
				continue
			}
			if err != nil || string(out) != "before"+want {
				t.Fatalf("%+v\nwritten as %q, %v\nwant %q", p, out, err, want)
			}
			var q Packet
			if n, err := q.Parse(out[len("before"):], PSYC10); err != nil || n != len(want) {
				t.Fatalf("%q: read %d of %d, %v", want, n, len(want), err)
			}
			if again, err := r.Append(nil, &q); err != nil || string(again) != want {
				t.Fatalf("%q: written again as %q, %v", want, again, err)
			}
			written++
		}
	}
	if written < 3000 {
		t.Errorf("only %d packets written", written)
	}
}
