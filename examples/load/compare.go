package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/switchyard-im/switchyard/internal/dnstest"
	"github.com/switchyard-im/switchyard/internal/rig"
)

// A Comparison sends the same load from Prosody to ejabberd, which speak XMPP, and through two gateways, which speak PSYC with each
// other, and compares what that costs the four processes.
type Comparison struct {
	Load    *Load // without endpoints
	Rounds  int
	Gateway string // the program; "": build it
	Log     *slog.Logger
}

// A line is a way between two endpoints, and the two processes on it.
type line struct {
	from, to  string // endpoints
	processes []Usage
	spent     [][2]time.Duration // of each process for a message, by round
}

// Run starts everything, measures, and prints a table.
func (c *Comparison) Run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	w := &workshop{log: &sharedWriter{w: stderr}}
	defer w.close()
	defer func() {
		if r, ok := recover().(unavailable); ok {
			err = r
		}
	}()
	servers, err := c.servers(w)
	if err != nil {
		return err
	}
	gateways, err := c.gateways(ctx, w)
	if err != nil {
		return err
	}
	lines := []*line{servers, gateways}
	for range c.Rounds {
		for _, l := range lines {
			if err := c.measure(ctx, l); err != nil {
				return fmt.Errorf("%s to %s: %w", l.processes[0].Name, l.processes[1].Name, err)
			}
		}
	}
	printComparison(stdout, servers, gateways)
	return nil
}

// measure is one round of a line.
func (c *Comparison) measure(ctx context.Context, l *line) error {
	load := *c.Load
	var err error
	if load.From, err = ParseEndpoint(l.from, c.Log); err != nil {
		return err
	}
	if load.To, err = ParseEndpoint(l.to, c.Log); err != nil {
		return err
	}
	var before []Usage
	var measured error
	result, err := load.Run(ctx, func() { before, measured = measure(l.processes) })
	if err = errors.Join(err, measured); err != nil {
		return err
	}
	if !result.Perfect() {
		return errImperfect
	}
	after, err := measure(l.processes)
	if err != nil {
		return err
	}
	used := since(before, after)
	l.spent = append(l.spent, [2]time.Duration{used[0].CPU / time.Duration(result.Came), used[1].CPU / time.Duration(result.Came)})
	return nil
}

// printComparison writes a row for each round, and the medians.
func printComparison(w io.Writer, lines ...*line) {
	fmt.Fprintf(w, "µs of CPU a message\n%-8s", "round")
	for _, l := range lines {
		for _, p := range l.processes {
			fmt.Fprintf(w, "%12s", p.Name)
		}
	}
	fmt.Fprintf(w, "%12s\n", "ratio")
	row := func(name string, spent func(l *line, process int) time.Duration) {
		fmt.Fprintf(w, "%-8s", name)
		var sums []time.Duration
		for _, l := range lines {
			sum := time.Duration(0)
			for i := range l.processes {
				d := spent(l, i)
				sum += d
				fmt.Fprintf(w, "%12.1f", float64(d)/1000)
			}
			sums = append(sums, sum)
		}
		fmt.Fprintf(w, "%12.1f\n", float64(sums[0])/float64(max(sums[1], 1)))
	}
	rounds := len(lines[0].spent)
	for n := range rounds {
		row(fmt.Sprint(n+1), func(l *line, process int) time.Duration { return l.spent[n][process] })
	}
	row("median", func(l *line, process int) time.Duration {
		var all []time.Duration
		for _, s := range l.spent {
			all = append(all, s[process])
		}
		slices.Sort(all)
		return all[len(all)/2]
	})
}

// servers starts Prosody and ejabberd, which find each other's component by the name server.
func (c *Comparison) servers(w *workshop) (*line, error) {
	names := dnstest.Start(w)
	prosody := rig.Prosody(w, rig.Options{Domain: "prosody.test", Resolver: names.Addr(), Component: "load.prosody.test"})
	ejabberd := rig.Ejabberd(w, rig.Options{Domain: "ejabberd.test", Resolver: names.Addr(), Component: "load.ejabberd.test"})
	l := &line{}
	for _, s := range []*rig.Server{prosody, ejabberd} {
		host, port, err := net.SplitHostPort(s.S2S)
		if err != nil {
			return nil, err
		}
		names.Add("_xmpp-server._tcp.load." + s.Domain + ". 60 IN SRV 0 0 " + port + " " + host + ".")
		u, err := usageOf(s.Name, s.PID())
		if err != nil {
			return nil, err
		}
		l.processes = append(l.processes, u)
	}
	endpoint := func(s *rig.Server) string {
		return "component://load." + s.Domain + ":" + s.ComponentSecret + "@" + s.Component
	}
	l.from, l.to = endpoint(prosody), endpoint(ejabberd)
	return l, nil
}

// gateways starts two of them; the endpoints are the servers behind.
func (c *Comparison) gateways(ctx context.Context, w *workshop) (*line, error) {
	program := c.Gateway
	if program == "" {
		program = filepath.Join(w.TempDir(), "gateway")
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/switchyard-im/switchyard/examples/gateway")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the gateway: %w\n%s", err, out)
		}
	}
	type side struct{ domain, server, local, world string }
	sides := [2]side{}
	for i, domain := range []string{"load.a.example", "load.b.example"} {
		sides[i] = side{domain, rig.FreeAddr(w), rig.FreeAddr(w), rig.FreeAddr(w)}
	}
	l := &line{}
	for i, s := range sides {
		far := sides[1-i]
		config := filepath.Join(w.TempDir(), "gateway.toml")
		text := fmt.Sprintf(`
[world]
listen = [%q]
plaintext = true
[psyc]
listen = []
[local]
listen = %q
[[server]]
s2s = %q
domains = [%q]
[[route]]
domain = %q
xmpp = [%q]
[log]
level = "warn"
`, s.world, s.local, s.server, s.domain, far.domain, far.world)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, err
		}
		cmd := exec.Command(program, "-config", config)
		cmd.Stdout, cmd.Stderr = w.log, w.log
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		w.Cleanup(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		})
		u, err := usageOf("gateway "+strings.Split(s.domain, ".")[1], cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		l.processes = append(l.processes, u)
	}
	endpoint := func(s side) string { return "server://" + s.domain + "@" + s.server + "?peer=" + s.local }
	l.from, l.to = endpoint(sides[0]), endpoint(sides[1])
	return l, nil
}

// A workshop is what the kit for real servers wants of a test, for a program. What it lacks ends in a panic with unavailable.
type workshop struct {
	log      io.Writer
	cleanups []func()
}

// unavailable says why something cannot be started.
type unavailable struct{ error }

func (w *workshop) Helper()          {}
func (w *workshop) Failed() bool     { return false }
func (w *workshop) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }

func (w *workshop) TempDir() string {
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		w.Fatalf("temporary directory: %v", err)
	}
	w.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *workshop) Logf(format string, args ...any) { fmt.Fprintf(w.log, format+"\n", args...) }

func (w *workshop) Fatalf(format string, args ...any) {
	panic(unavailable{fmt.Errorf(format, args...)})
}

func (w *workshop) Skipf(format string, args ...any) { w.Fatalf(format, args...) }

// close ends what was started, the last thing first.
func (w *workshop) close() {
	for _, f := range slices.Backward(w.cleanups) {
		f()
	}
}

// A sharedWriter takes what several processes write.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
