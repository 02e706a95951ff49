// Command sim shows what traffic between servers costs in a federation of 10 to 10 million users, with XMPP, with XMPP
// and stream compression, with PSYC, and with PSYC and fan-out.
//
//	sim                                       federations of 10, 100, ... 10,000,000 users
//	sim -users 5000 -home 0.2 -chats 100      one of 5,000, with other assumptions
//	sim -svg traffic.svg                      with a picture
//	sim changes                               one change of presence to 1, 10, 100, 1,000 contacts on one server, and between real gateways
//	sim published                             scenarios that others have published
//
// There is no network. Users live on servers of very different sizes and have contacts, who are at home, in the neighbourhood of
// their server or anywhere; they log on with one or two clients, change their presence, write to contacts, and sit in rooms. What servers
// say to each other in a day is written as stanzas and given to the converter and the fan-out of package transcode, and the packets are
// rendered, with addresses left out and acknowledgements as on circuits, received and turned into stanzas again. What is counted are
// those bytes; only stream compression is computed, from what was measured towards ejabberd.
//
// Up to -sample users the whole federation is simulated. Of a larger one the whole graph of contacts exists, but only that many users and
// as large a part of the rooms live through the day: each k-th in the order of their contacts or users, which keeps the distribution. The
// table says how far the sums may be off because of that. What is shared on a link, such as the audiences that it remembers, is scaled with
// the part of its traffic that is simulated; that makes PSYC up to 3 % dearer than it is.
//
// "sim changes" ends with what was measured with real servers: the presence that the test of the gateway sends between Prosody and ejabberd, with the bytes
// that it counts at TCP, beside what the simulator makes of the same stanzas.
//
// "sim published" sets Isode's scenarios of 2007 and Hancke's of 2008 beside the simulator: the text behind them is lost, but Isode's four
// rows, and Hancke's sum for stanza repeaters, follow from a few constants, which it prints with what agrees and what does not.
//
// The same flags give the same tables, whatever the machine, but for the last one, on processor time.
//
// All assumptions are flags, and printed before the results. Run sim -h for the list.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

func main() {
	debug.SetGCPercent(400) // much garbage, little that stays
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// A usageError is about the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// command is the program. It returns the exit status.
func command(args []string, stdout, stderr io.Writer) int {
	err := run(args, stdout, stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintln(stderr, "sim:", err)
		return 2
	}
	fmt.Fprintln(stderr, "sim:", err)
	return 1
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	m := &Model{}
	m.flags(flags)
	sizes := flags.String("users", "10,100,1000,10000,100000,1000000,10000000", "`numbers` of users of the federations")
	svg := flags.String("svg", "", "`file` for a picture of bytes by the number of users")
	cpu := flags.Bool("cpu", true, "measure processor time")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	users, err := parseSizes(*sizes)
	if err != nil {
		return usageError{fmt.Errorf("-users: %w", err)}
	}
	for _, n := range users {
		if err := m.ofSize(n).check(); err != nil {
			return usageError{err}
		}
	}
	out := bufio.NewWriter(stdout) // remembers errors
	printAssumptions(out, flags, map[string]bool{"users": true, "svg": true, "cpu": true})
	switch flags.Arg(0) {
	case "":
		err = federations(out, m, users, *svg, *cpu)
	case "changes":
		err = printChanges(out, m)
	case "published":
		err = printPublished(out, m, isode)
	default:
		return usageError{fmt.Errorf("%q is neither changes nor published", flags.Arg(0))}
	}
	return errors.Join(err, out.Flush())
}

// parseSizes reads numbers of users.
func parseSizes(text string) (sizes []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 2 {
			return nil, fmt.Errorf("%q is not a number of at least 2", part)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// federations simulates all sizes.
func federations(w io.Writer, m *Model, sizes []int, svg string, cpu bool) error {
	var results []*result
	for _, n := range sizes {
		r, err := simulate(m.ofSize(n))
		if err != nil {
			return fmt.Errorf("%d users: %w", n, err)
		}
		results = append(results, r)
	}
	printResults(w, results)
	if cpu {
		last := results[len(results)-1]
		all, err := last.measure()
		if err != nil {
			return err
		}
		printEfforts(w, last, all)
	}
	if svg == "" {
		return nil
	}
	f, err := os.Create(svg)
	if err != nil {
		return err
	}
	if err := draw(f, results); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
