package rig

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	startTimeout = 30 * time.Second      // until a server must listen
	pollInterval = 10 * time.Millisecond // between two attempts to connect
	logTail      = 8 << 10               // bytes of a log that a failed test shows
)

// Server is a running XMPP server. Its methods are for one goroutine at a time.
type Server struct {
	// Name is the program: "Prosody" or "ejabberd".
	Name string
	// Domain is served for users, Conference for rooms.
	Domain, Conference string
	// Hosts are further domains served for users.
	Hosts []string
	// C2S and S2S are the addresses, "IP:PORT", for clients and servers. They stay the same over Restart.
	C2S, S2S string
	// Component is the address, "IP:PORT", for external components, and ComponentSecret what they share with the server; empty
	// without Options.Component.
	Component, ComponentSecret string
	// LogPath is the server's log, ConsolePath what it wrote to standard output and error.
	LogPath, ConsolePath string

	command        func() *exec.Cmd                                               // a fresh command to start the server
	listens        []string                                                       // what answers when it is up
	addAccount     func(ctx context.Context, user, domain, password string) error // does nothing if the user exists
	accounts       map[string]string                                              // passwords by bare JID
	addSubscribers func(ctx context.Context, user string, contacts []string) error
	process        *process
}

// Domains are the names that other servers reach here.
func (s *Server) Domains() []string { return append([]string{s.Domain, s.Conference}, s.Hosts...) }

// launch starts the server for the first time and stops it when the test ends.
func (s *Server) launch(t TB) *Server {
	t.Helper()
	s.ShowLogOnFailure(t)
	t.Cleanup(func() {
		if s.process == nil {
			return
		}
		if err := s.process.stop(); err != nil {
			t.Logf("%s: %v", s.Domain, err)
		}
	})
	s.Start(t)
	return s
}

// Start starts a server that was stopped or killed, with the same ports and data, and waits until it listens.
func (s *Server) Start(t TB) {
	t.Helper()
	if s.process != nil && !s.process.exited() {
		t.Fatalf("%s runs already", s.Domain)
	}
	console, err := os.OpenFile(s.ConsolePath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer console.Close()
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = console, console
	if s.process, err = startProcess(cmd); err != nil {
		t.Fatalf("starting %s: %v", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, addr := range s.listens {
		if err := s.awaitListener(ctx, addr); err != nil {
			t.Fatalf("starting %s: %v\n%s", s.Name, err, s.tails(0, 0))
		}
	}
	// ejabberd listens long before it accepts.
	if err := s.awaitStream(ctx); err != nil {
		t.Fatalf("starting %s: %v\n%s", s.Name, err, s.tails(0, 0))
	}
	for jid, password := range s.accounts {
		user, domain, _ := strings.Cut(jid, "@")
		if err := s.addAccount(ctx, user, domain, password); err != nil {
			t.Fatalf("account %s: %v", jid, err)
		}
	}
}

// PID is the process of the server that runs, which its children, if it has any, are not part of.
func (s *Server) PID() int { return s.process.cmd.Process.Pid }

// Stop asks the server to end, as an operator would, and kills it if it does not.
func (s *Server) Stop(t TB) {
	t.Helper()
	if err := s.process.stop(); err != nil {
		t.Fatalf("stopping %s: %v", s.Name, err)
	}
}

// Kill ends the server without warning. What it had not written to disk is lost, in ejabberd rosters of the last minutes; Start
// sees to it that the accounts of AddUser are there.
func (s *Server) Kill(t TB) {
	t.Helper()
	if err := s.process.kill(); err != nil {
		t.Fatalf("killing %s: %v", s.Name, err)
	}
}

// Restart is Stop and Start.
func (s *Server) Restart(t TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

// AddUser creates an account with a password of the kit's. The user name must be new to the server, of lower case
// letters, digits and hyphens. "user@domain" is a user of one of Hosts instead of Domain.
func (s *Server) AddUser(t TB, user string) Account {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	user, domain, ok := strings.Cut(user, "@")
	if !ok {
		domain = s.Domain
	}
	a := Account{JID: user + "@" + domain, Password: randomName(), Addr: s.C2S}
	if err := s.addAccount(ctx, user, domain, a.Password); err != nil {
		t.Fatalf("account %s: %v", a.JID, err)
	}
	s.accounts[a.JID] = a.Password
	return a
}

// ShowLogOnFailure adds what the server logs from now on, its end if it is long, to the test's output if the test fails. Servers started with
// the test's own TB do so anyway.
func (s *Server) ShowLogOnFailure(t TB) {
	log, console := size(s.LogPath), size(s.ConsolePath)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: %s", s.Domain, s.tails(log, console))
		}
	})
}

// awaitListener waits until addr accepts connections.
func (s *Server) awaitListener(ctx context.Context, addr string) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-s.process.done:
			return fmt.Errorf("it ended: %v", s.process.err)
		case <-ctx.Done():
			return fmt.Errorf("no listener within %v: %w", startTimeout, err)
		}
	}
}

// awaitStream waits until the server answers a client's stream header.
func (s *Server) awaitStream(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.C2S)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	if _, err := io.WriteString(conn, streamHeader(s.Domain)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func (s *Server) tails(log, console int64) string {
	return fmt.Sprintf("log\n%s\nconsole\n%s", tail(s.LogPath, log), tail(s.ConsolePath, console))
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// tail returns the end of a file, nothing from before offset start.
func tail(path string, start int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, max(start, size(path)-logTail), logTail))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// randomName returns 64 random bits in hexadecimal.
func randomName() string {
	var b [8]byte
	rand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}
