// Command gateway stands in front of XMPP servers and lets them federate over PSYC.
//
//	gateway -config gateway.toml
//	gateway -check [-connect] -config gateway.toml
//
// The file gateway.toml beside the source explains the configuration. The first SIGINT or SIGTERM ends the gateway in order: what it has
// accepted is sent or bounced first. The second ends it at once. SIGHUP has it read the configuration again: domains, addresses of servers,
// certificates and routes change while it runs.
//
// The exit status is 0 after an orderly end or a check without errors, 1 after an error, 2 if the command line is wrong.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	file := flag.String("config", "gateway.toml", "read the configuration from `file`")
	check := flag.Bool("check", false, "check the configuration and exit")
	connect := flag.Bool("connect", false, "with -check: also try whether the servers are there, and hidden from others")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "gateway: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // whereupon the next signal does what it does by default
	if *check {
		os.Exit(runCheck(ctx, os.Stdout, *file, *connect))
	}
	os.Exit(runGateway(ctx, os.Stderr, *file))
}

// heapBallast is memory that the gateway reserves and never touches, in bytes. What it keeps is so little, next to what passes through it, that
// the collector would run a hundred times a second; it waits until as much as this has come again.
const heapBallast = 32 << 20

// runGateway runs a gateway until ctx ends and returns the exit status. It logs to w.
func runGateway(ctx context.Context, w io.Writer, file string) int {
	cfg, problems := LoadConfig(file)
	if problems.Failed() {
		for _, p := range problems {
			fmt.Fprintln(w, p)
		}
		return 1
	}
	logger := cfg.Log.NewLogger(w)
	for _, p := range problems {
		if p.Severity == Warning {
			logger.Warn(p.Text, "file", p.File, "line", p.Line)
		}
	}
	ballast := make([]byte, heapBallast)
	defer runtime.KeepAlive(ballast)
	g := NewGateway(cfg, logger)
	err := g.Listen()
	if err == nil {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGHUP)
		stop := g.reloads(file, signals)
		err = g.Run(ctx)
		signal.Stop(signals)
		stop()
	}
	if err != nil {
		logger.Error("gateway failed", "error", err)
		return 1
	}
	return 0
}
