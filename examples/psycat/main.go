// Command psycat shows what PSYC and XMPP make of each other: it converts stanzas to packets and back, and takes packets
// apart. It reads standard input and writes standard output.
//
//	psycat to-psyc < stanzas.xml > packets.psyc
//	psycat to-xmpp < packets.psyc
//	psycat dump -pretty < packets.psyc
//
// Conversion is that between two Switchyards, where nothing is lost. What cannot be converted is reported on standard
// error with its position, and the rest goes on; the exit status is then 1. With -jsonl every line of input is a JSON
// object with a stanza or a packet in it, and is answered by one line.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/switchyard-im/switchyard/psyc"
)

// Exit codes.
const (
	exitOK    = 0
	exitBad   = 1 // some input was refused, or could not be read
	exitUsage = 2
)

// A command is what the first argument names.
type command struct {
	name, about string
	run         func(t *terminal, flags *flag.FlagSet, args []string) error
}

var commands = []command{
	{"to-psyc", "convert stanzas to packets", toPSYC},
	{"to-xmpp", "convert packets to stanzas", toXMPP},
	{"dump", "show packets, one JSON object each, or -pretty", dump},
}

// A terminal is where a command reads and writes.
type terminal struct {
	in  io.Reader
	out *bufio.Writer
	tty io.Writer // where out goes
	err io.Writer
	bad bool // something was refused
}

// refuse reports what cannot be converted; the command goes on.
func (t *terminal) refuse(format string, args ...any) {
	t.bad = true
	fmt.Fprintf(t.err, "psycat: "+format+"\n", args...)
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	if len(args) == 0 {
		usage(errs)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		usage(out)
		return exitOK
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.execute(args[1:], &terminal{in: in, out: bufio.NewWriter(out), tty: out, err: errs})
		}
	}
	fmt.Fprintf(errs, "psycat: no command %q\n\n", args[0])
	usage(errs)
	return exitUsage
}

func (c command) execute(args []string, t *terminal) int {
	flags := flag.NewFlagSet("psycat "+c.name, flag.ContinueOnError)
	flags.SetOutput(t.err)
	flags.Usage = func() {
		fmt.Fprintf(t.err, "Usage: psycat %s [flags] < input > output\n\nFlags:\n", c.name)
		flags.PrintDefaults()
	}
	err := c.run(t, flags, args)
	if flushed := t.out.Flush(); err == nil {
		err = flushed
	}
	var wrong *usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &wrong):
		if wrong.text != "" {
			fmt.Fprintf(t.err, "psycat %s: %s\n", c.name, wrong.text)
		}
		return exitUsage
	case err != nil:
		fmt.Fprintf(t.err, "psycat %s: %v\n", c.name, err)
		return exitBad
	case t.bad:
		return exitBad
	}
	return exitOK
}

// A usageError is about the command line.
type usageError struct{ text string } // "" if it has been said

func (e *usageError) Error() string { return e.text }

// parse parses flags and allows nothing behind them.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return &usageError{}
	}
	if flags.NArg() > 0 {
		return &usageError{fmt.Sprintf("unexpected argument %q: input comes from standard input", flags.Arg(0))}
	}
	return nil
}

// syntaxFlag defines -syntax.
func syntaxFlag(flags *flag.FlagSet, s *psyc.Syntax, auto bool) {
	about, names := "PSYC `version` to write: 1.0 or 0.9", map[string]psyc.Syntax{"1.0": psyc.PSYC10, "0.9": psyc.PSYC09}
	*s = psyc.PSYC10
	if auto {
		about, names["auto"], *s = "PSYC `version` of the input: 1.0, 0.9, or auto to see", psyc.Auto, psyc.Auto
	}
	flags.Func("syntax", fmt.Sprintf("%s (default %s)", about, *s), func(v string) error {
		syntax, ok := names[v]
		if !ok {
			return errors.New("no such version")
		}
		*s = syntax
		return nil
	})
}

func usage(w io.Writer) {
	fmt.Fprint(w, "psycat converts between XMPP stanzas and PSYC packets.\n\nUsage: psycat command [flags] < input > output\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, "\npsycat command -h lists the flags of a command.\n")
}
