package rig

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed slixmpp_driver.py
var slixmppProgram string

// debianPython is the interpreter that sees python3-slixmpp; another one in PATH would not.
const debianPython = "/usr/bin/python3"

const (
	slixmppStart = 30 * time.Second
	// slixmppLine is the longest line taken from the program, a stanza in JSON.
	slixmppLine = 16 << 20
)

// Slixmpp starts a Python process whose users are slixmpp clients. It ends when the test ends.
func Slixmpp(t TB) Clients {
	t.Helper()
	python, err := exec.LookPath(debianPython)
	if err != nil {
		unavailable(t, "%s is not installed", debianPython)
	}
	c := &slixmppClients{answers: map[int]chan<- slixmppReport{}, users: map[string]*slixmppUser{}, ready: make(chan struct{}), ended: make(chan struct{})}
	cmd := exec.Command(python, "-I", "-c", slixmppProgram) // -I: nothing from the working directory
	cmd.Stderr = &c.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("slixmpp: %v", err)
	}
	c.stdin = stdin
	stdout, reports := io.Pipe()
	cmd.Stdout = reports
	process, err := startProcess(cmd)
	if err != nil {
		t.Fatalf("slixmpp: %v", err)
	}
	go c.read(stdout)
	go func() {
		<-process.done // everything that it wrote is in the pipe by then
		reports.Close()
	}()
	t.Cleanup(func() {
		stdin.Close()
		if !process.wait(killTimeout) {
			process.kill()
		}
		<-c.ended
		if text := c.stderr.String(); t.Failed() && text != "" {
			t.Logf("slixmpp: %s", text)
		}
	})
	timer := time.NewTimer(slixmppStart)
	defer timer.Stop()
	select {
	case <-c.ready:
	case <-c.ended:
		if text := c.stderr.String(); strings.Contains(text, "No module named 'slixmpp'") {
			unavailable(t, "python3-slixmpp is not installed")
		} else {
			t.Fatalf("slixmpp ended: %v\n%s", process.err, text)
		}
	case <-timer.C:
		t.Fatalf("slixmpp is not ready after %v", slixmppStart)
	}
	return c
}

// slixmppClients is one Python process. One goroutine reads what it says; requests are written under the lock.
type slixmppClients struct {
	stdin  io.Writer
	stderr lockedBuffer
	ready  chan struct{} // closed when the program takes requests
	ended  chan struct{} // closed when the program says nothing more

	mu      sync.Mutex
	last    int // the last number given to a request or user
	answers map[int]chan<- slixmppReport
	users   map[string]*slixmppUser
}

// slixmppReport is a line from the program: an answer if it has an ID, else an event.
type slixmppReport struct {
	ID     int
	Error  string
	Ready  string
	User   string
	Stanza string
	Closed *string

	JID               string
	Identities        []Identity
	Features          []string
	Name, Version, OS string
}

func (c *slixmppClients) read(stdout io.Reader) {
	defer close(c.ended)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, slixmppLine)
	for lines.Scan() {
		var r slixmppReport
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintf(&c.stderr, "\nnot a report: %s: %v", lines.Bytes(), err)
			continue
		}
		c.deliver(r)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintf(&c.stderr, "\nreading reports: %v", err)
		io.Copy(io.Discard, stdout) // lest the program block
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.users {
		u.close(errors.New("the slixmpp process ended"))
	}
}

func (c *slixmppClients) deliver(r slixmppReport) {
	c.mu.Lock()
	user, waiting := c.users[r.User], c.answers[r.ID]
	delete(c.answers, r.ID)
	c.mu.Unlock()
	switch {
	case r.Ready != "":
		close(c.ready)
	case r.ID != 0:
		if waiting != nil {
			waiting <- r // has room for it
		}
	case user == nil:
	case r.Closed != nil:
		user.close(fmt.Errorf("%w: %s", errClosed, *r.Closed))
	default:
		user.add(r.Stanza)
	}
}

// number returns one that was not used before.
func (c *slixmppClients) number() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	return c.last
}

// ask sends a request and waits for its answer.
func (c *slixmppClients) ask(ctx context.Context, command, user string, arguments map[string]any) (slixmppReport, error) {
	id := c.number()
	request := map[string]any{"id": id, "do": command, "user": user}
	for k, v := range arguments {
		request[k] = v
	}
	line, err := json.Marshal(request)
	if err != nil {
		return slixmppReport{}, err
	}
	answer := make(chan slixmppReport, 1)
	c.mu.Lock()
	c.answers[id] = answer
	_, err = c.stdin.Write(append(line, '\n'))
	c.mu.Unlock()
	if err != nil {
		return slixmppReport{}, fmt.Errorf("slixmpp: %w", err)
	}
	select {
	case r := <-answer:
		if r.Error != "" {
			return r, fmt.Errorf("slixmpp: %s: %s", command, r.Error)
		}
		return r, nil
	case <-c.ended:
		return slixmppReport{}, fmt.Errorf("slixmpp: %s: the process ended", command)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.answers, id)
		c.mu.Unlock()
		return slixmppReport{}, fmt.Errorf("slixmpp: %s: %w", command, ctx.Err())
	}
}

func (c *slixmppClients) Login(ctx context.Context, a Account) (User, error) {
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return nil, fmt.Errorf("login of %s: %w", a.JID, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("login of %s: %w", a.JID, err)
	}
	u := &slixmppUser{inbox: newInbox(), clients: c, key: strconv.Itoa(c.number())}
	c.mu.Lock()
	c.users[u.key] = u
	c.mu.Unlock()
	r, err := u.ask(ctx, "login", map[string]any{"jid": a.JID, "password": a.Password, "host": host, "port": number})
	if err != nil {
		u.forget()
		return nil, fmt.Errorf("login of %s: %w", a.JID, err)
	}
	u.jid = r.JID
	return u, nil
}

type slixmppUser struct {
	*inbox
	clients *slixmppClients
	key     string
	jid     string
}

func (u *slixmppUser) ask(ctx context.Context, command string, arguments map[string]any) (slixmppReport, error) {
	return u.clients.ask(ctx, command, u.key, arguments)
}

func (u *slixmppUser) forget() {
	u.clients.mu.Lock()
	defer u.clients.mu.Unlock()
	delete(u.clients.users, u.key)
}

func (u *slixmppUser) JID() string { return u.jid }

func (u *slixmppUser) Send(ctx context.Context, stanza string) error {
	_, err := u.ask(ctx, "send", map[string]any{"stanza": stanza})
	return err
}

func (u *slixmppUser) DiscoInfo(ctx context.Context, to string) (DiscoInfo, error) {
	r, err := u.ask(ctx, "disco_info", map[string]any{"to": to})
	return DiscoInfo{r.Identities, r.Features}, err
}

func (u *slixmppUser) Version(ctx context.Context, to string) (Version, error) {
	r, err := u.ask(ctx, "version", map[string]any{"to": to})
	return Version{r.Name, r.Version, r.OS}, err
}

func (u *slixmppUser) Ping(ctx context.Context, to string) error {
	_, err := u.ask(ctx, "ping", map[string]any{"to": to})
	return err
}

func (u *slixmppUser) Join(ctx context.Context, room, nick string) error {
	_, err := u.ask(ctx, "join", map[string]any{"room": room, "nick": nick})
	return err
}

func (u *slixmppUser) Close(ctx context.Context) error {
	_, err := u.ask(ctx, "logout", nil)
	u.close(errClosed)
	u.forget()
	return err
}

// lockedBuffer is a bytes.Buffer for concurrent use.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
