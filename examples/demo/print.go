package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// A printer writes for people; with colours if it writes to a terminal. It keeps the first error of the writer.
type printer struct {
	w       io.Writer
	colours bool
	steps   int
	err     error
}

func newPrinter(f *os.File) *printer {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &printer{w: f, colours: terminal && os.Getenv("NO_COLOR") == ""}
}

// Colours of a terminal.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p *printer) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *printer) in(colour, s string) string {
	if !p.colours {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

func (p *printer) title(s string) { p.printf("%s\n\n", p.in(bold, s)) }

func (p *printer) step(s string) {
	p.steps++
	p.printf("\n%s\n\n", p.in(bold, fmt.Sprintf("%d  %s", p.steps, s)))
}

func (p *printer) heading(s string) { p.printf("\n   %s\n", p.in(yellow, s)) }

func (p *printer) text(lines ...string) {
	for _, l := range lines {
		p.printf("   %s\n", l)
	}
}

func (p *printer) line(label, s string) {
	p.printf("   %s %s\n", p.in(dim, fmt.Sprintf("%-5s", label)), s)
}

func (p *printer) good(s string) { p.printf("   %s\n", p.in(green, "ok    "+s)) }

func (p *printer) bad(s string) { p.printf("   %s\n", p.in(red, "WRONG "+s)) }

// xml prints one first-level element a line, and the children of long ones below it.
func (p *printer) xml(label string, data []byte) {
	for _, l := range lines(string(data)) {
		p.line(label, p.in(cyan, l))
		label = ""
	}
}

// lines breaks XML between elements, down to the second level.
func lines(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		if s[i] != '<' {
			continue
		}
		end := strings.IndexByte(s[i:], '>')
		if end < 0 {
			break
		}
		tag := s[i : i+end+1]
		if i > start && depth <= 1 && tag[1] != '/' && s[i-1] == '>' {
			out = append(out, s[start:i])
			start = i
		}
		switch {
		case tag[1] == '/':
			depth--
		case tag[1] == '?', strings.HasSuffix(tag, "/>"), strings.HasPrefix(tag, "<stream:stream"):
		default:
			depth++
		}
		i += end
	}
	return append(out, s[start:])
}

// packet prints a packet as it is on the wire, its control characters made visible.
func (p *printer) packet(pk packet) {
	label := pk.arrow()
	for l := range bytes.Lines(pk.data) {
		text := strings.TrimSuffix(string(l), "\n")
		p.line(label, p.in(green, visible.Replace(text)))
		label = ""
	}
}

// visible shows the control characters of packets: tabs, and the marks that stand for text that is native.
var visible = strings.NewReplacer("\t", "  ", "\x01", "\u2401", "\x02", "\u2402", "\x03", "\u2403", "\x04", "\u2404")

// table prints rows, the first being the head.
func (p *printer) table(rows [][]string) {
	tw := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(tw, "   %s\n", strings.Join(r, "\t"))
	}
	if err := tw.Flush(); err != nil && p.err == nil {
		p.err = err
	}
	p.printf("\n")
}
