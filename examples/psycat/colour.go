package main

import (
	"errors"
	"flag"
	"io"
	"os"
)

// A palette holds the sequences that colour the parts of a packet; the zero value leaves them plain.
type palette struct{ method, header, name, op, escape, none string }

// colours are those of ECMA-48 that stand out on dark and light backgrounds.
var colours = palette{
	method: "\x1b[1m", header: "\x1b[2m", name: "\x1b[36m", op: "\x1b[33m", escape: "\x1b[31m", none: "\x1b[0m",
}

// colourFlag defines -colour. What it means for out is known after the flags were parsed.
func colourFlag(flags *flag.FlagSet, out io.Writer) func() palette {
	when := "auto"
	flags.Func("colour", "`when` to colour: auto (on a terminal, unless NO_COLOR is set), always, never (default auto)", func(v string) error {
		if v != "auto" && v != "always" && v != "never" {
			return errors.New("neither auto nor always nor never")
		}
		when = v
		return nil
	})
	return func() palette {
		if when == "always" || when == "auto" && os.Getenv("NO_COLOR") == "" && onTerminal(out) {
			return colours
		}
		return palette{}
	}
}

// onTerminal reports whether out is a terminal.
func onTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
