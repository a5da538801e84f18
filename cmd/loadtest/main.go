//go:build linux

// Loadtest measures idlepush as a whole, and prints its figures as ratios to those of a floor: bare
// loops of the same exchange that store nothing, measured in the same run. The mail server and the
// push services are in this process. The floor is a process of its own, and so is idlepush, as it
// is built from this checkout. docs/performance.md tells of the figures.
//
// It is for developers, and not part of the program. Run it in the checkout, on Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// rows are what can be measured, in the order of the table. Each gives some lines of it.
var rows = []struct {
	name    string
	measure func(context.Context, *lab) ([]line, error)
}{
	{"ring", ring},
	{"together", together},
	{"drain", drain},
	{"sessions", sessions},
	{"refresh", refresh},
	{"program", program},
	{"shape", shape},
	{"kept", kept},
}

func rowNames() (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

// rowTime is how long a row may take.
const rowTime = 15 * time.Minute

func main() {
	if len(os.Args) == 3 && os.Args[1] == floorCommand {
		if err := runFloor(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "loadtest: the floor:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
}

// run measures the rows that args name, or all of them, and prints the table of those that could be
// measured.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var o options
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.IntVar(&o.size, "n", 0, "accounts, sessions or deliveries of a row; 0: as many as in docs/performance.md")
	flags.IntVar(&o.rounds, "rounds", 5, "how often floor and idlepush are measured in turns")
	flags.StringVar(&o.profiles, "profile", "", "`folder` for the profiles of idlepush, .cpu and .heap; of several rounds, the last")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "Usage: loadtest [flags] [row ...]\n\nThe rows: %s\n\n", strings.Join(rowNames(), ", "))
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		if !slices.Contains(rowNames(), name) {
			return fmt.Errorf("there is no row %q: want some of %s", name, strings.Join(rowNames(), ", "))
		}
	}
	if o.rounds < 1 || o.size < 0 {
		return errors.New("want at least one round, and no negative number")
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	var table []line
	for _, r := range rows {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), r.name) || ctx.Err() != nil {
			continue
		}
		lines, failure := l.measure(ctx, r.name, r.measure)
		if failure != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", r.name, failure))
		}
		table = append(table, lines...)
	}
	printTable(out, table)
	return err
}
