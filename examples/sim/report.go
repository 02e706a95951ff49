package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A table writes rows of columns, all but the first of them to the right.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, title string) table {
	fmt.Fprintf(w, "\n%s\n", title)
	return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
}

func (t table) row(cells ...any) {
	for _, c := range cells {
		switch c := c.(type) {
		case float64:
			fmt.Fprint(t, figure(c), "\t")
		default:
			fmt.Fprint(t, c, "\t")
		}
	}
	fmt.Fprintln(t)
}

// figure writes a number with three digits that count, or all before the point.
func figure(x float64) string {
	switch {
	case x >= 100 || x == 0:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func percent(part, whole float64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*part/whole)
}

// printAssumptions writes the table of assumptions, which are the flags.
func printAssumptions(w io.Writer, flags *flag.FlagSet, outside map[string]bool) {
	fmt.Fprintln(w, "Assumptions, each a flag:")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	flags.VisitAll(func(f *flag.Flag) {
		if !outside[f.Name] {
			_, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(t, "  -%s\t%s\t%s\n", f.Name, f.Value, usage)
		}
	})
	t.Flush()
}

// printResults writes what the federations cost.
func printResults(w io.Writer, results []*result) {
	t := newTable(w, "Federations, as far as they are simulated: means of the users, and contacts for each foreign server on which a user has any")
	t.row("users", "servers", "users simulated", "rooms simulated", "contacts", "of them at home", "foreign servers", "contacts on each", "alone there")
	for _, r := range results {
		n := float64(len(r.users))
		t.row(r.Users, r.Servers, len(r.users), len(r.rooms), float64(r.home+r.foreign)/n, percent(float64(r.home), float64(r.home+r.foreign)),
			float64(r.companies)/n, float64(r.foreign)/float64(max(r.companies, 1)), percent(float64(r.alone), float64(r.companies)))
	}
	t.Flush()

	t = newTable(w, "Stanzas of XMPP and packets of PSYC, for each user and day")
	t.row("users", "stanzas", "PSYC", "fan-out", "of XMPP")
	for _, r := range results {
		t.row(r.Users, r.perUser(r.total[plainXMPP]).packets, r.perUser(r.total[unicast]).packets, r.perUser(r.total[fanOut]).packets,
			percent(r.total[fanOut].packets, r.total[plainXMPP].packets))
	}
	t.Flush()

	t = newTable(w, "kB for each user and day; sampling error of the sums with a confidence of 95 %; MB/s of the whole federation")
	t.row(append(append([]any{"users"}, names()...), "fan-out of XMPP", "error", "XMPP MB/s", "fan-out MB/s")...)
	for _, r := range results {
		cells := []any{r.Users}
		worst := 0.0
		for p := range r.total {
			cells = append(cells, r.perUser(r.total[p]).bytes/1000)
			worst = max(worst, r.error[p])
		}
		perSecond := 1 / day.Seconds() / 1e6
		t.row(append(cells, percent(r.total[fanOut].bytes, r.total[plainXMPP].bytes), fmt.Sprintf("±%.1f %%", 100*worst),
			r.total[plainXMPP].bytes*perSecond, r.total[fanOut].bytes*perSecond)...)
	}
	t.Flush()

	last := results[len(results)-1]
	t = newTable(w, fmt.Sprintf("What the kB of %d users are about, for each user and day", last.Users))
	t.row(append(append([]any{""}, names()...), "fan-out of XMPP")...)
	for k := range last.byKind {
		cells := []any{kind(k).String()}
		for p := range last.total {
			cells = append(cells, last.perUser(last.byKind[k][p]).bytes/1000)
		}
		t.row(append(cells, percent(last.byKind[k][fanOut].bytes, last.byKind[k][plainXMPP].bytes))...)
	}
	t.Flush()
}

func names() (all []any) {
	for p := range protocols {
		all = append(all, protocol(p).String())
	}
	return all
}

// printEfforts writes the processor time of the protocols.
func printEfforts(w io.Writer, r *result, all [protocols]effort) {
	t := newTable(w, fmt.Sprintf("Processor time on this machine, on the busiest link of %d users; cores for the whole federation, both sides", r.Users))
	t.row("", "ns/stanza sent", "received", "of XMPP", "cores")
	for p, e := range all {
		both := e.send + e.receive
		t.row(protocol(p).String(), e.send, e.receive, percent(both, all[plainXMPP].send+all[plainXMPP].receive),
			both*1e-9*r.total[plainXMPP].packets/day.Seconds())
	}
	t.Flush()
}

// paragraph writes a text without the line ends of its source.
func paragraph(w io.Writer, text string) {
	fmt.Fprintln(w, strings.Join(strings.Fields(text), " "))
}
