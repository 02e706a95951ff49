package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/internal/shared"
)

// A Side is one of the two that talk.
type Side uint8

// Sides of a recording.
const (
	Ours   Side = iota + 1 // the side under test, "C:" in the text
	Psyced                 // "S:"
)

// A Recording is a session: one or more conversations.
type Recording struct {
	Name          string
	Conversations []*Conversation
}

// A Conversation is what was said on one connection.
type Conversation struct {
	Recording string
	Name      string // of the connection; "" where there was only one at a time
	Nth       int    // of the connections of that name, from 0
	Events    []Event
}

// String names the conversation for error messages and subtests: by recording, connection and number.
func (c *Conversation) String() string { return c.Recording + "/" + c.id() }

// id is what tells c from others of its recording.
func (c *Conversation) id() string { return cmp.Or(c.Name, "main") + strconv.Itoa(c.Nth) }

// An Event is a piece of data as it came from the socket, or something that happened to the connection.
type Event struct {
	At     time.Duration
	Sender Side
	Data   []byte
	TLS    bool // TLS was established
	Closed bool // by Sender
}

// Without returns the conversation without what was sent with the given texts in it, and what psyced answered to that: not
// everything that the recorded peer tried is a thing to do.
func (c *Conversation) Without(texts ...string) *Conversation {
	rest := *c
	rest.Events = nil
	leave := false
	for _, e := range c.Events {
		if e.Sender == Ours {
			leave = slices.ContainsFunc(texts, func(text string) bool { return bytes.Contains(e.Data, []byte(text)) })
		}
		if !leave || e.Closed {
			rest.Events = append(rest.Events, e)
		}
	}
	return &rest
}

// Plaintext returns the conversation without TLS: what is recorded is what went through it.
func (c *Conversation) Plaintext() *Conversation {
	plain := *c
	plain.Events = slices.DeleteFunc(slices.Clone(c.Events), func(e Event) bool { return e.TLS })
	return &plain
}

// Named returns the conversation that String calls "recording/id", nil if there is none.
func (r *Recording) Named(id string) *Conversation {
	i := slices.IndexFunc(r.Conversations, func(c *Conversation) bool { return c.id() == id })
	if i < 0 {
		return nil
	}
	return r.Conversations[i]
}

//go:embed testdata
var testdata embed.FS

// Own returns a recording of the repository.
func Own(t testing.TB, name string) *Recording {
	t.Helper()
	f, err := testdata.Open("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Read(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Shared returns a recording of a real psyced; the test is skipped where there are none.
func Shared(t testing.TB, name string) *Recording {
	t.Helper()
	r, err := Read(name, shared.Open(t, "transcripts/psyced/"+name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Find returns a conversation by its full name: of a recording of a real psyced if that begins with a digit, else of the repository.
func Find(t testing.TB, name string) *Conversation {
	t.Helper()
	recording, id, _ := strings.Cut(name, "/")
	open := Own
	if recording[0] <= '9' {
		open = Shared
	}
	c := open(t, recording).Named(id)
	if c == nil {
		t.Fatalf("no conversation %s", name)
	}
	return c
}

var (
	mark = regexp.MustCompile(`^# \+([0-9.]+) (.*)$`)
	size = regexp.MustCompile(`^(.*?) *[0-9]+ bytes$`)
	said = regexp.MustCompile(`^(?:(\[?[-\w]+\]?) (?:\(.*?\) )?)?([CS]): (.*)$`)
)

// Read reads a recording. In its text a line "# +seconds NAME N bytes" begins a piece on the connection NAME,
// whose bytes follow in lines "NAME C: text" or "NAME S: text" with the escapes \n \t \r \\ \xNN; "# +seconds NAME
// connected" opens a connection, and "closed" and "TLS established" are what they say. Other lines are comments.
func Read(name string, from io.Reader) (*Recording, error) {
	r := &Recording{Name: name}
	open := make(map[string]*Conversation)
	count := make(map[string]int)
	connection := func(name string) *Conversation {
		c := open[name]
		if c == nil {
			c = &Conversation{Recording: r.Name, Name: name, Nth: count[name]}
			count[name]++
			open[name] = c
			r.Conversations = append(r.Conversations, c)
		}
		return c
	}
	var at time.Duration
	piece := false // the next line begins one
	in := bufio.NewScanner(from)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		line := in.Text()
		if m := mark.FindStringSubmatch(line); m != nil {
			seconds, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return nil, fmt.Errorf("replay: %s:%d: %w", name, n, err)
			}
			at = time.Duration(seconds * float64(time.Second))
			happened(m[2], at, open, connection)
			piece = size.MatchString(m[2])
			continue
		}
		m := said.FindStringSubmatch(line)
		if m == nil {
			if line != "" && !strings.HasPrefix(line, "#") {
				return nil, fmt.Errorf("replay: %s:%d: not a line of a recording: %q", name, n, line)
			}
			continue
		}
		data, err := unescape(m[3])
		if err != nil {
			return nil, fmt.Errorf("replay: %s:%d: %w", name, n, err)
		}
		sender := Ours
		if m[2] == "S" {
			sender = Psyced
		}
		c := connection(strings.Trim(m[1], "[]"))
		if last := len(c.Events) - 1; !piece && last >= 0 && c.Events[last].Sender == sender && !c.Events[last].Closed {
			c.Events[last].Data = append(c.Events[last].Data, data...)
		} else {
			c.Events = append(c.Events, Event{At: at, Sender: sender, Data: data})
		}
		piece = false
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("replay: %s: %w", name, err)
	}
	return r, nil
}

// happened notes what a line says about a connection.
func happened(what string, at time.Duration, open map[string]*Conversation, connection func(string) *Conversation) {
	if strings.HasPrefix(what, "---") {
		return
	}
	name, rest, ok := strings.Cut(what, " ")
	switch name {
	case "server", "client", "connected":
		name, rest, ok = "", what, true
	}
	name = strings.Trim(name, "[]")
	switch {
	case !ok:
	case strings.HasPrefix(rest, "connected"):
		delete(open, name)
		connection(name)
	case strings.HasPrefix(rest, "TLS established"):
		c := connection(name)
		c.Events = append(c.Events, Event{At: at, TLS: true})
	case strings.HasPrefix(rest, "server closed"), strings.HasPrefix(rest, "client closed"):
		c := connection(name)
		sender := Psyced
		if strings.HasPrefix(rest, "client") {
			sender = Ours
		}
		c.Events = append(c.Events, Event{At: at, Sender: sender, Closed: true})
	}
}

// unescape reads the escapes of a recording.
func unescape(s string) ([]byte, error) {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		if i == len(s) {
			return nil, fmt.Errorf("an escape without its letter in %q", s)
		}
		switch s[i] {
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case '\\':
			b = append(b, '\\')
		case 'x':
			if i+2 >= len(s) {
				return nil, fmt.Errorf("a short escape in %q", s)
			}
			c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return nil, fmt.Errorf("an escape in %q: %w", s, err)
			}
			b = append(b, byte(c))
			i += 2
		default:
			return nil, fmt.Errorf("unknown escape \\%c in %q", s[i], s)
		}
	}
	return b, nil
}

// escape is the reverse of unescape, for messages.
func escape(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		switch {
		case c == '\n':
			s.WriteString("\\n\n")
		case c == '\t':
			s.WriteString(`\t`)
		case c == '\r':
			s.WriteString(`\r`)
		case c == '\\':
			s.WriteString(`\\`)
		case c < ' ' || c == 0x7F:
			fmt.Fprintf(&s, `\x%02x`, c)
		default:
			s.WriteByte(c)
		}
	}
	return strings.TrimSuffix(s.String(), "\n")
}
