package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A table writes rows of columns. What it is written to has to remember errors.
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
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
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
	t := newTable(w, "Federations as they came out: contacts of a user, foreign servers on which a user has any, how many on each, and how often just one")
	t.row("users", "servers", "users simulated", "rooms simulated", "contacts", "at home", "near, of foreign", "foreign servers", "contacts on each", "alone there")
	for _, r := range results {
		n := float64(len(r.users))
		t.row(r.Users, r.Servers, len(r.users), len(r.rooms), float64(r.home+r.foreign)/n, percent(float64(r.home), float64(r.home+r.foreign)),
			percent(float64(r.near), float64(r.foreign)), float64(r.companies)/n, float64(r.foreign)/float64(max(r.companies, 1)), percent(float64(r.alone), float64(r.companies)))
	}
	t.Flush()

	t = newTable(w, "Stanzas of XMPP and packets of PSYC for each user and day; acknowledgements are packets, too")
	t.row("users", "stanzas", "PSYC", "acknowledgements", "fan-out", "acknowledgements", "fan-out of XMPP")
	for _, r := range results {
		one, fan := r.perUser(r.total[unicast]), r.perUser(r.total[fanOut])
		t.row(r.Users, r.perUser(r.total[plainXMPP]).packets, one.packets, one.acks, fan.packets, fan.acks,
			percent(fan.packets, r.perUser(r.total[plainXMPP]).packets))
	}
	t.Flush()

	t = newTable(w, "kB for each user and day; sampling error of the sums, with a confidence of 95 %; kB/s of the whole federation")
	t.row(append(append([]any{"users"}, names()...), "fan-out of XMPP", "error", "XMPP kB/s", "fan-out kB/s")...)
	for _, r := range results {
		cells := []any{r.Users}
		for p := range r.total {
			cells = append(cells, r.perUser(r.total[p]).bytes/1000)
		}
		perSecond := 1 / day.Seconds() / 1000
		t.row(append(cells, percent(r.total[fanOut].bytes, r.total[plainXMPP].bytes), r.accuracy(),
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

// accuracy says how far the sums may be off because of the sample.
func (r *result) accuracy() string {
	if r.userPart == 1 {
		return "exact"
	}
	return fmt.Sprintf("±%.1f %%", 100*slices.Max(r.error[:]))
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
