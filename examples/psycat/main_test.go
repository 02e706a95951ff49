package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// psycat runs the command and returns what it writes.
func psycat(in string, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = run(args, strings.NewReader(in), &o, &e)
	return o.String(), e.String(), code
}

const (
	stanza = `<message from='ann@a.example/desk' to='ben@b.example' id='m1' type='chat'><body>hi</body><x xmlns='urn:x'/></message>`
	wire   = ":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n:_tag\tm1\n70\n:_resource_source\tdesk\n" +
		":_jabber_XML 10\t\x10<x\x0curn:x\x11\n_message_private\nhi\n|\n"
	wire09 = ":_source\tpsyc://a.example/~ann\n:_target\tpsyc://b.example/~ben\n:_tag\tm1\n\n:_resource_source\tdesk\n" +
		":_jabber_XML\t\x10<x\x0curn:x\x11\n_message_private\nhi\n.\n"
)

func TestFilters(t *testing.T) {
	for _, test := range []struct {
		args    string
		in, out string
	}{
		{"to-psyc", stanza, wire},
		{"to-psyc -syntax 1.0", " " + stanza + "\n" + stanza + "\n", wire + wire},
		{"to-psyc -syntax 0.9", stanza, wire09},
		{"to-xmpp", wire, stanza + "\n"},
		{"to-xmpp", "|\n" + wire + "|\n" + wire, stanza + "\n" + stanza + "\n"},
		{
			"to-xmpp", strings.NewReplacer(":_source", "=_source", ":_target", "=_target").Replace(wire) + ":_source\t\n:_target\t\n|\n" + wire[strings.Index(wire, ":_tag"):],
			stanza + "\n" + stanza + "\n",
		},
		{"to-xmpp -syntax 0.9", wire09 + wire09, stanza + "\n" + stanza + "\n"},
		{"to-xmpp", ".\n" + wire09, stanza + "\n"},
		{"to-psyc", "", ""},
		{"to-xmpp", "", ""},
		{"dump", "", ""},
		{
			"dump", ":_source\tpsyc://a.example/\n\n:_x 2\t\xff\xfe\n=_list_y\t| a\n_notice_x\nA < B\n|\n",
			`{"routing":[{"op":":","name":"_source","value":"psyc://a.example/"}],` +
				`"entity":[{"op":":","name":"_x","value_b64":"//4="},{"op":"=","name":"_list_y","value":"| a"}],` +
				`"method":"_notice_x","body":"A < B"}` + "\n",
		},
		{"dump -pretty", "|\n\n=\n:_long_name 3\ta\nb\n:_x\t\x1b[31m\n_notice_x\nA\n\xffB\u009b\n|\n", "packet 1: empty\n\n" +
			"packet 2: _notice_x\n  state =\n  entity\n    :_long_name  a\n                 b\n    :_x          \\x1b[31m\n" +
			"  body\n    A\n    \\xffB\\x9b\n"},
		{"dump -pretty -colour never", "\n_x\nA\\n\n|\n", "packet 1: _x\n  body\n    A\\n\n"},
		{
			"dump -pretty -colour always", "\n:_y\t\x01\n_x\n|\n", "\x1b[2mpacket 1:\x1b[0m \x1b[1m_x\x1b[0m\n  \x1b[2mentity\x1b[0m\n" +
				"    \x1b[33m:\x1b[0m\x1b[36m_y\x1b[0m  \x1b[31m\\x01\x1b[0m\n",
		},
	} {
		out, errs, code := psycat(test.in, strings.Fields(test.args)...)
		if out != test.out || errs != "" || code != exitOK {
			t.Errorf("psycat %s < %q: exit %d, %s\n got %q\nwant %q", test.args, test.in, code, errs, out, test.out)
		}
	}
}

func TestErrors(t *testing.T) {
	const good = `<message to='b.example'><body>x</body></message>`
	const iq = `<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`
	for _, test := range []struct {
		args, in  string
		code      int
		out, errs string // that must occur
	}{
		{"", "", exitUsage, "", "to-xmpp"},
		{"help", "", exitOK, "to-xmpp", ""},
		{"mend", "", exitUsage, "", `no command "mend"`},
		{"dump -h", "", exitOK, "", "-pretty"},
		{"dump -q", "", exitUsage, "", "-q"},
		{"dump file", "", exitUsage, "", `unexpected argument "file"`},
		{"dump -colour red", "", exitUsage, "", "neither auto"},
		{"to-psyc -syntax 2.0", "", exitUsage, "", "no such version"},
		{"to-psyc -syntax auto", "", exitUsage, "", "no such version"},
		{"to-psyc", good + iq + "<message>", exitBad, "_request_ping", "stanza 3"},
		{"to-psyc", good + "\n<message></presence>", exitBad, "_message", "byte 58"},
		{"to-psyc", "<features/>", exitBad, "", "unsupported-stanza-type"},
		{"to-psyc", "<iq id='1' type='odd'/>" + good, exitOK, "_message", `stanza 1: a link would refuse it`},
		{"to-xmpp", ":_source\tx\n\n_message\nhi\n|\n:_source\tpsyc://b.example/\n\n_message\nho\n|\n", exitBad, "<body>ho", "packet 1"},
		{"to-xmpp", ":_source\tx\n_message\nhi\n|\n", exitBad, "", "packet 1"},
		{"to-xmpp", "\n_message\nhi", exitBad, "", "packet 1"},
		{"dump", "\n_notice_x\n|\nx|\n", exitBad, "_notice_x", "packet 2: psyc: _error_invalid_syntax_delimiter"},
	} {
		out, errs, code := psycat(test.in, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errs) ||
			test.errs == "" && errs != "" {
			t.Errorf("psycat %s < %q: exit %d\n%s\n%s", test.args, test.in, code, out, errs)
		}
	}
}

// ask sends lines and returns the answers.
func ask(t *testing.T, args string, lines ...string) []map[string]any {
	t.Helper()
	out, errs, code := psycat(strings.Join(lines, "\n"), strings.Fields(args)...)
	if code != exitOK || errs != "" {
		t.Fatalf("psycat %s: exit %d, %s", args, code, errs)
	}
	var answers []map[string]any
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("psycat %s: not ASCII: %q", args, line)
		}
		var a map[string]any
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("psycat %s: %q: %v", args, line, err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(lines) {
		t.Fatalf("psycat %s: %d answers to %d lines", args, len(answers), len(lines))
	}
	return answers
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLines(t *testing.T) {
	for _, syntax := range []string{"1.0", "0.9"} {
		text := "<message to='b.example'><body>\u0085\u2028 \U0001F600 </body></message>"
		a := ask(t, "to-psyc -jsonl -syntax "+syntax,
			encode(t, map[string]any{"id": "a", "xml": stanza}),
			encode(t, map[string]any{"id": 7, "xml_b64": []byte(text)}),
			`{"id":"b","xml":"<message><message/>"}`,
			`{"id":"c","xml":"<message></x>"}`,
			`{"id":"d","xml":"<message/><message/>"}`,
			`{"id":"e","xml":" "}`,
			`{"id":"f"}`,
			`no json`,
		)
		for i, want := range []struct{ err, condition string }{
			{},
			{},
			{"unexpected EOF", "not-well-formed"},
			{"not-well-formed", "not-well-formed"},
			{"more than one stanza", ""},
			{"no stanza", ""},
			{"neither", ""},
			{"line 8", ""},
		} {
			got, _ := a[i]["error"].(string)
			condition, _ := a[i]["condition"].(string)
			if !strings.Contains(got, want.err) || (got == "") != (want.err == "") || condition != want.condition {
				t.Errorf("%s: answer %v, want %v", syntax, a[i], want)
			}
		}
		b := ask(t, "to-xmpp -jsonl -syntax "+syntax,
			encode(t, map[string]any{"id": a[0]["id"], "packet": a[0]["packet"]}),
			encode(t, map[string]any{"id": a[1]["id"], "packet": a[1]["packet"]}),
			`{"id":"x","packet":"fA=="}`,
			`{"id":"y","packet":""}`,
			encode(t, map[string]any{"id": "z", "packet": []byte("\n_message\nx\n|\n\n_message\nx\n|\n")}),
		)
		if b[0]["xml"] != stanza || b[0]["id"] != "a" || b[1]["xml"] != text || b[1]["id"] != 7.0 {
			t.Errorf("%s: %v", syntax, b[:2])
		}
		for _, x := range b[2:] {
			if x["error"] == nil || x["xml"] != nil {
				t.Errorf("%s: %v", syntax, x)
			}
		}
	}
}

func TestDumpLines(t *testing.T) {
	a := ask(t, "dump -jsonl -syntax 1.0",
		encode(t, map[string]any{"id": "two", "packet": []byte("|\n:_a\t1\n\n_x\n\xff\n|\n")}),
		encode(t, map[string]any{"id": "bad", "packet": []byte("\n_x\n|\nx")}),
		encode(t, map[string]any{"id": "cut", "packet": []byte("\n_x\n|\n\n_y")}),
		encode(t, map[string]any{"id": "none", "packet": []byte("")}),
	)
	want := []string{
		`{"id":"two","packets":[{"entity":[],"method":"","routing":[]},{"body_b64":"/w==","entity":[],"method":"_x","routing":[{"name":"_a","op":":","value":"1"}]}]}`,
		`{"error":"psyc: _error_invalid_syntax_delimiter: delimiter expected (at byte 6)","id":"bad","offset":6,"packets":[{"body":"","entity":[],"method":"_x","routing":[]}]}`,
		`{"id":"cut","incomplete":true,"packets":[{"body":"","entity":[],"method":"_x","routing":[]}]}`,
		`{"id":"none","packets":[]}`,
	}
	for i := range a {
		if got := encode(t, a[i]); got != want[i] {
			t.Errorf("\n got %s\nwant %s", got, want[i])
		}
	}
}

// TestNamespaces: what is written stands in a stream of the namespace that -ns names.
func TestNamespaces(t *testing.T) {
	for _, ns := range []string{"jabber:client", "jabber:server"} {
		for _, xml := range []string{
			`<message to='b.example'><body>x</body></message>`,
			`<message to='b.example' xmlns='jabber:server'><body>x</body></message>`,
			`<message to='b.example' xmlns='jabber:client'><body xmlns='jabber:client'>x</body></message>`,
			`<message to='b.example'><body xmlns='jabber:server'>x</body><body xmlns='jabber:client'>y</body></message>`,
		} {
			packet, errs, code := psycat(xml, "to-psyc", "-ns", ns)
			if code != exitOK {
				t.Fatal(errs)
			}
			out, errs, _ := psycat(packet, "to-xmpp", "-ns", ns)
			if out != xml+"\n" {
				t.Errorf("%s: %s came back as %s%s", ns, xml, out, errs)
			}
		}
	}
}
