package main

import (
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
)

// printSettings is the flag of serve that has it print its settings instead of running.
const printSettings = "print-settings"

// serveSettings parses the arguments of serve. If they ask for it, it prints the settings, and
// printed is true.
func serveSettings(args []string, getenv func(string) string, out io.Writer) (s settings, printed bool, err error) {
	x := syntax{command: "idlepush serve", settings: table(), flags: func(flags *flag.FlagSet) {
		flags.BoolVar(&printed, printSettings, false, "print the settings, where each is from, and end")
	}}
	s, _, err = x.parse(args, getenv, out)
	if err == nil && printed {
		err = x.printAll(args, getenv, out)
	}
	return s, printed, err
}

// printAll prints each setting with its source. Of secrets it only says that they are set.
func (x syntax) printAll(args []string, getenv func(string) string, out io.Writer) error {
	given, _, err := x.parseFlags(args, out)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range x.settings {
		value, from, err := t.find(given, getenv)
		if err != nil {
			return err
		}
		switch {
		case value == "":
			value, from = "-", "not given"
		case t.secret:
			value = "(secret)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", t.name, value, from)
	}
	return w.Flush()
}
