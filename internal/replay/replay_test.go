package replay_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/internal/replay"
	"github.com/switchyard-im/switchyard/internal/shared"
)

// TestRecordings reads every recording and compares what it says with the raw bytes that were kept beside it.
func TestRecordings(t *testing.T) {
	dir := filepath.Join(shared.Dir(t), "transcripts", "psyced")
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Skipf("no recordings: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if strings.HasPrefix(name, "14") { // the log of a client, not of a connection
			continue
		}
		r := replay.Shared(t, name)
		for _, side := range []struct {
			sender replay.Side
			suffix string
		}{{replay.Ours, ".c2s.bin"}, {replay.Psyced, ".s2c.bin"}} {
			want, err := os.ReadFile(filepath.Join(dir, name+side.suffix))
			if errors.Is(err, os.ErrNotExist) { // all connections of that session have names
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			kept := 0
			for _, c := range r.Conversations {
				for _, e := range c.Events {
					if e.Sender == side.sender && bytes.Contains(want, e.Data) {
						kept += len(e.Data)
					}
				}
			}
			if kept < len(want) {
				t.Errorf("%s%s: %d bytes found, %d were sent", name, side.suffix, kept, len(want))
			}
		}
	}
}

// TestUses: each conversation of the recordings is used by a test, or it is said why not.
func TestUses(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared.Dir(t), "transcripts", "psyced", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Skipf("no recordings: %v", err)
	}
	uses := make(map[string]int)
	for _, u := range replay.Uses {
		if u.Tests == "" && u.Why == "" {
			t.Errorf("%s %s: no reason", u.Recording, u.Conversations)
		}
		uses[u.Recording]++
		for name := range strings.FieldsSeq(u.Conversations) {
			uses[u.Recording+"/"+name]++
		}
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if uses[name] == 0 {
			t.Errorf("%s is not mentioned", name)
		}
		delete(uses, name)
		if strings.HasPrefix(name, "14") {
			continue
		}
		for _, c := range replay.Shared(t, name).Conversations {
			if uses[c.String()] != 1 && c.Name != "TN" {
				t.Errorf("%v is mentioned %d times", c, uses[c.String()])
			}
			delete(uses, c.String())
		}
	}
	for name := range uses {
		t.Errorf("%s is not there", name)
	}
}

// TestAdvices: what is said to be done about each advice is there, and the page has no other.
func TestAdvices(t *testing.T) {
	rules := make(map[string]bool)
	for _, r := range replay.Rules {
		rules[r.Name] = true
	}
	dirs := map[string]string{"psyc": "../../psyc", "psycswitch": "../../switch"}
	sections := make(map[string]bool)
	for _, a := range replay.Advices {
		sections[a.Section] = true
		if len(a.Rules)+len(a.Tests) == 0 && a.Why == "" {
			t.Errorf("%s, %s: nothing is done", a.Section, a.Do)
		}
		for _, name := range a.Rules {
			if !rules[name] {
				t.Errorf("%s, %s: no rule %s", a.Section, a.Do, name)
			}
		}
		for _, test := range a.Tests {
			pkg, name, _ := strings.Cut(test, ".")
			if !hasTest(t, dirs[pkg], name) {
				t.Errorf("%s, %s: no test %s", a.Section, a.Do, test)
			}
		}
	}
	page, err := io.ReadAll(shared.Open(t, "spec/psyc09-wire.md"))
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(page)) {
		if heading, ok := strings.CutPrefix(line, "##"); ok {
			section = strings.TrimSuffix(strings.Fields(strings.TrimLeft(heading, "#"))[0], ".")
		}
		if (strings.Contains(line, "**Do**:") || strings.Contains(strings.ToLower(line), "**never")) && !sections[section] {
			t.Errorf("nothing of section %s: %s", section, line)
		}
	}
}

// TestDeviations: the package's documentation lists them.
func TestDeviations(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range replay.Deviations {
		if d.Why == "" || !bytes.Contains(doc, []byte("\n//\t"+d.Name+" ")) {
			t.Errorf("%s is not in doc.go, or without a reason", d.Name)
		}
	}
}

// hasTest reports whether the tests of a package have one of that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %q: %v", dir, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("\nfunc "+name+"(")) {
			return true
		}
	}
	return false
}

// mirror says what the recorded peer said, as the other end of a session that is played.
func mirror(conn net.Conn, c *replay.Conversation, change func([]byte) []byte) {
	defer conn.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		io.Copy(io.Discard, conn)
	}()
	for _, e := range c.Events {
		if e.Sender == replay.Ours {
			if _, err := conn.Write(change(e.Data)); err != nil {
				return
			}
		}
		if e.Closed && e.Sender == replay.Psyced {
			<-over
		}
	}
}

func play(c *replay.Conversation, change func([]byte) []byte) error {
	x, y := net.Pipe()
	go mirror(x, c, change)
	return (&replay.Peer{}).Play(y, c)
}

func same(b []byte) []byte { return b }

func instead(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) }
}

var own = []string{"gateway", "hello", "person", "friendship", "place", "incoming", "syntax10", "switch", "switch-in"}

// TestOwn plays every session of the repository against what it says itself, which therefore breaks no rule.
func TestOwn(t *testing.T) {
	for _, name := range own {
		for _, c := range replay.Own(t, name).Conversations {
			if err := play(c.Plaintext(), same); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestDifference shows what is told of a side that departs from the recording.
func TestDifference(t *testing.T) {
	c := replay.Own(t, "person").Conversations[0]
	for _, test := range []struct{ old, new, want string }{
		{"_message_private\n", "_message_public\n", "_message_public instead of _message_private"},
		{"Is the kettle on?", "Is the kettle off?", "another text"},
		{":_nick\tcleo\n", ":_nick\tclio\n", `_nick is "clio"`},
		{":_nick\tcleo\n", "", "no _nick"},
		{"~nobody", "~somebody", `_target is "psyc://psyced.example/~somebody"`},
	} {
		err := play(c, instead(test.old, test.new))
		var d *replay.Difference
		if !errors.As(err, &d) || d.Reason != test.want {
			t.Errorf("%q for %q: %v", test.new, test.old, err)
		}
	}
	if err := play(c, instead("q1", "zz1234")); err != nil {
		t.Errorf("another tag: %v", err)
	}
}

// TestRules breaks each rule.
func TestRules(t *testing.T) {
	const greeting = ".\n:_source\tpsyc://peer.example/\n\n_notice_circuit_established\n.\n"
	const packet = ":_source\tpsyc://peer.example/~cleo\n:_target\tpsyc://psyced.example/~ada\n"
	const asked = "|\n\n:_uniform_source\tpsyc://peer.example/\n_request_authorization\n|\n"
	seen := make(map[string]bool)
	for _, test := range []struct{ rule, sent string }{
		{"first-line", packet + "\n_message_private\nhi\n.\n"},
		{"first-line", "\n" + greeting},
		{"first-line", "<switching xmlns='http://switch.psyced.org'><scheme>psyc</scheme></switching>\n" + greeting},
		{"greeting", ".\n" + packet + "\n_message_private\nhi\n.\n"},
		{"greeting", ".\n:_source\tpsyc://peer.example/\n:_target\tpsyc://psyced.example/\n\n_notice_circuit_established\n.\n"},
		{"greeting", ".\n:_source\tpsyc://peer.example/~cleo\n\n_notice_circuit_established\n.\n"},
		{"bytes", greeting + packet + "\n_message_private\nhi\x7fthere\n.\n"},
		{"bytes", greeting + packet + "\n_message_private\nhi\rthere\n.\n"},
		{"bytes", greeting + packet + "\n_message_private\nhi\xffthere\n.\n"},
		{"bytes", greeting + packet + "\n:_nick\tcl\x00eo\n_message_private\n.\n"},
		{"bytes", greeting + packet + "\n_message_private\nhi\bthere\n.\n"},
		{"line-length", greeting + packet + "\n:_nick\ta\n\t" + strings.Repeat("x", 2047) + "\n_message_private\n.\n"},
		{"line-length", greeting + packet + "\n_message_private\n" + strings.Repeat("x", 2048) + "\n.\n"},
		{"modifiers", greeting + packet + "\n:_nick \n_message_private\n.\n"},
		{"modifiers", greeting + packet + "\n=_nick\tcleo\n_message_private\n.\n"},
		{"headers", greeting + packet + ":_nick\tcleo\n\n_message_private\n.\n"},
		{"headers", greeting + packet + "_message_private\n.\n"},
		{"internal", greeting + packet + "\n:_INTERNAL_trust\t9\n_message_private\n.\n"},
		{"lists", greeting + packet + "\n:_list_nicks\tann\n:\tbo b\n_message_private\n.\n"},
		{"lists", greeting + packet + "\n:_list_nicks\tann\n" + strings.Repeat(":\tbo\n", 404) + "_message_private\n.\n"},
		{"methods", greeting + packet + "\n_data_x\n.\n"},
		{"methods", greeting + packet + "\n:_length\t5\n_message_private\nhello\n.\n"},
		{"modules", ".\n:_source\tpsyc://peer.example/\n\n:_understand_modules\t_context;_compress\n_notice_circuit_established\n.\n"},
		{"modules", greeting + "\n_request_circuit_encrypt\n.\n"},
		{"modules", greeting + ":_using_modules\t_encrypt\n\n.\n"},
		{"pongs", greeting + ".\n.\n"},
		{"private", greeting + packet + "\n:_resource_source\thome\n_message_private\nhi\n.\n"},
		{"private", greeting + packet + "\n:_jabber_XML\t<x/>\n_message_private\nhi\n.\n"},
		{"presence", greeting + packet + "\n_notice_presence_here\n.\n"},
		{"presence", greeting + ":_context\tpsyc://peer.example/~cleo\n\n:_degree_availability\t7\n_notice_presence_here\n.\n"},
		{"tags", greeting + packet + ":_tag\tp1\n\n:_degree_availability\t7\n_notice_presence_here\n.\n"},
		{"routing", greeting + ":_source\tpsyc://peer.example/~cleo\n:_target\tpsyc://psyced.example/~ada\n:_tag\t" + strings.Repeat("x", 257) + "\n\n_request_ping\n.\n"},
		{"addresses", greeting + ":_target\tpsyc://psyced.example/~ada\n\n_message_private\n.\n"},
		{"addresses", greeting + ":_source\tpeer\n:_target\tpsyc://psyced.example/~ada\n\n_message_private\n.\n"},
		{"authorization", "|\n" + packet + "\n_message_private\nhi\n|\n"},
		{"state", asked + packet + "\n=_nick\tcleo\n_message_private\nhi\n|\n"},
		{"names", "|\n\n:_understand_modules\t_context\n_notice_circuit_established\n|\n"},
		{"names", "|\n:_nick\tcleo\n\n_notice_circuit_established\n|\n"},
		{"switch", "<switching xmlns='http://switch.psyced.org'><scheme>irc</scheme></switching>"},
		{"switch", "<switching xmlns='http://switch.psyced.org'><scheme>psyc</scheme></switching>.\n"},
	} {
		seen[test.rule] = true
		if broken := violations(t, test.sent); !broken[test.rule] {
			t.Errorf("%s: not noticed in %q: %v", test.rule, test.sent, broken)
		}
	}
	for _, good := range []string{
		greeting + packet + ":_tag\tt\n\n:_nick\tcleo\n_request_ping\n.\n",
		asked + packet + "\n:_nick\tcleo\n_message_private\nhi\n|\n",
	} {
		if broken := violations(t, good); len(broken) > 0 {
			t.Errorf("%q breaks %v", good, broken)
		}
	}
	for _, r := range replay.Rules {
		if !seen[r.Name] && r.Name != "answers" {
			t.Errorf("nothing breaks %s", r.Name)
		}
	}
}

// violations returns the names of the rules that sent breaks.
func violations(t *testing.T, sent string) map[string]bool {
	t.Helper()
	x, y := net.Pipe()
	go func() {
		x.Write([]byte(sent))
		x.Close()
	}()
	err := (&replay.Peer{}).Play(y, &replay.Conversation{Recording: t.Name(), Events: []replay.Event{{Sender: replay.Ours, Data: []byte(sent)}}})
	broken := make(map[string]bool)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var v *replay.Violation
			if errors.As(e, &v) {
				broken[v.Rule.Name] = true
			}
		}
	}
	return broken
}

// TestAnswers breaks the rule that needs something to answer.
func TestAnswers(t *testing.T) {
	c := &replay.Conversation{Recording: t.Name(), Events: []replay.Event{
		{Sender: replay.Ours, Data: []byte(".\n:_source\tpsyc://peer.example/\n\n_notice_circuit_established\n.\n")},
		{Sender: replay.Psyced, Data: []byte(":_source\tpsyc://psyced.example/~ada\n:_target\tpsyc://peer.example/~cleo\n:_tag\tx9\n\n_error_unknown_name_user\n.\n")},
		{Sender: replay.Ours, Data: []byte(":_source\tpsyc://peer.example/~cleo\n:_target\tpsyc://psyced.example/~ada\n:_tag_reply\tx9\n\n_failure_unsupported\n.\n")},
	}}
	if err := play(c.Plaintext(), same); err == nil || !strings.Contains(err.Error(), "rule answers") {
		t.Errorf("%v", err)
	}
}
