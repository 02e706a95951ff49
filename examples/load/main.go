// Command load measures how a way between two servers carries stanzas: how many a second, how long each takes, whether all arrive,
// once and in order, and how much CPU the processes on the way use.
//
// It is an XMPP component of real servers, a server of its own in front of a gateway, or one of each:
//
//	load -from component://load.a.example:secret@127.0.0.1:5347 -to component://load.b.example:secret@127.0.0.2:5347 \
//		-pid prosody=4711,ejabberd=4712
//	load -from 'server://load.a.example@127.0.0.1:7001?peer=127.0.0.2:5269' \
//		-to 'server://load.b.example@127.0.0.1:7002?peer=127.0.0.3:5269'
//
// With -compare it starts Prosody and ejabberd, and two gateways with servers of its own behind them, sends the same load
// from one server to the other and through the gateways, in turns, and prints what a message costs each process. The gateway is built from source
// where the module of the examples is the current one:
//
//	load -compare -rounds 3 -n 50000
//
// A gateway has to be told that the domain of a "server" lives at its address, and any other server has to find it there in DNS.
//
// It exits with 1 if stanzas are missing, came twice, or overtook others between the same addresses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errImperfect means that the way is not as good as it has to be.
var errImperfect = errors.New("stanzas are missing, doubled or out of order")

// command is the program. It returns the exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := measureLoad(ctx, args, stdout, stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintln(stderr, "load:", err)
		return 2
	}
	fmt.Fprintln(stderr, "load:", err)
	return 1
}

// A usageError is about the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func measureLoad(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	from := flags.String("from", "", "`endpoint` that sends")
	to := flags.String("to", "", "`endpoint` that is sent to")
	mix := flags.String("mix", "chat:100", "what is sent: `kinds` with sizes and weights, such as chat:100=70,presence=20,ping=10")
	pids := flags.String("pid", "", "`processes` whose CPU counts, as NAME=PID,NAME=PID")
	verbose := flags.Bool("v", false, "log what happens to links")
	compare := flags.Bool("compare", false, "measure Prosody to ejabberd against two gateways with a PSYC circuit between them")
	var c Comparison
	flags.IntVar(&c.Rounds, "rounds", 3, "with -compare: `how many` rounds")
	flags.StringVar(&c.Gateway, "gateway", "", "with -compare: the `program`; built from its source if empty")
	l := &Load{}
	flags.IntVar(&l.Stanzas, "n", 20_000, "`how many` stanzas")
	flags.IntVar(&l.Senders, "senders", 10, "`how many` addresses send")
	flags.IntVar(&l.Receivers, "receivers", 10, "`how many` addresses are sent to")
	flags.IntVar(&l.Window, "window", 1000, "`how many` stanzas may be under way")
	flags.Float64Var(&l.Rate, "rate", 0, "stanzas a `second`; 0: as fast as -window allows")
	flags.DurationVar(&l.Patience, "patience", 30*time.Second, "for the first and for the last stanza")
	flags.Uint64Var(&l.Seed, "seed", 1, "of the `random` choice of kinds and addresses")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	logger := slog.New(slog.DiscardHandler)
	if *verbose {
		logger = slog.New(slog.NewTextHandler(stderr, nil))
	}
	var err error
	if l.Mix, err = ParseMix(*mix); err != nil {
		return usageError{fmt.Errorf("-mix: %w", err)}
	}
	if min(l.Stanzas, l.Senders, l.Receivers, l.Window, c.Rounds) < 1 || l.Rate < 0 {
		return usageError{errors.New("-n, -senders, -receivers, -window and -rounds are at least 1, -rate at least 0")}
	}
	if *compare {
		c.Load, c.Log = l, logger
		return c.Run(ctx, stdout, stderr)
	}
	if l.From, err = ParseEndpoint(*from, logger); err != nil {
		return usageError{fmt.Errorf("-from: %w", err)}
	}
	if l.To, err = ParseEndpoint(*to, logger); err != nil {
		return usageError{fmt.Errorf("-to: %w", err)}
	}
	processes, err := ParseProcesses(*pids)
	if err != nil {
		return usageError{fmt.Errorf("-pid: %w", err)}
	}
	var before []Usage
	result, err := l.Run(ctx, func() { before, err = measure(processes) })
	if result == nil || before == nil && len(processes) > 0 {
		return err
	}
	after, measured := measure(processes)
	result.Print(stdout, since(before, after))
	switch {
	case err != nil:
		return err
	case measured != nil:
		return measured
	case !result.Perfect():
		return errImperfect
	}
	return nil
}
