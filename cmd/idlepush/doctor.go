package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"idlepush"
)

const doctorCommand = "idlepush doctor"

// doctor is one call of the command doctor.
type doctor struct {
	settings
	problems []error // of the settings
	getenv   func(string) string
	stdin    io.Reader
	asks     io.Writer // questions go there
	report   *report
}

// runDoctor examines this installation, or the mailbox that the arguments name, and prints what it
// finds. It returns errFound if something is wrong.
func runDoctor(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	var box givenMailbox
	x := syntax{command: doctorCommand, settings: table(), operand: "[EMAIL]", flags: box.flags}
	s, operands, problems, err := x.parseAll(args, getenv, stdout)
	if err == nil && len(operands) > 1 {
		err = fmt.Errorf("want one mail address, or none: `%s EMAIL`", doctorCommand)
	}
	if err == nil && len(operands) == 1 {
		box.email = operands[0]
		err = box.complete()
	} else if err == nil && box != (givenMailbox{}) {
		err = fmt.Errorf("want the mail address of the mailbox, too: `%s EMAIL`", doctorCommand)
	}
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintf(stdout, "%s, %s\n\n", doctorCommand, time.Now().UTC().Format("2006-01-02 15:04 MST"))
	d := &doctor{settings: s, problems: problems, getenv: getenv, stdin: stdin, asks: stderr, report: &report{out: stdout}}
	if box.email == "" {
		err = d.installation(ctx)
	} else {
		err = d.mailbox(ctx, box)
	}
	if err != nil {
		return err
	}
	return d.report.end()
}

// installation asks the daemon. If none runs, it looks by itself.
func (d *doctor) installation(ctx context.Context) error {
	switch err := hearDaemon(ctx, d.data, "/doctor", struct{}{}, d.report.print); {
	case errors.Is(err, fs.ErrPermission):
		d.report.print(finding{idlepush.VerdictWrong, "idlepush", err.Error(), 0})
	case !errors.Is(err, errNoDaemon):
		return err
	}
	x, closed := stopped(d.settings, d.problems, d.getenv)
	defer closed()
	x.examine(ctx, d.report.print)
	return nil
}

// serveDoctor serves what the command doctor asks of the daemon, until ctx ends. One command at a
// time has the installation examined.
func serveDoctor(ctx context.Context, mux *http.ServeMux, x installation, mailboxes thisProcess) {
	var one sync.Mutex
	mux.HandleFunc("POST /doctor", tellCommand(ctx, func(ctx context.Context, _ struct{}, tell func(finding)) error {
		if !one.TryLock() {
			return errors.New("the installation is being examined: try again in half a minute")
		}
		defer one.Unlock()
		x.examine(ctx, tell)
		return nil
	}))
	mailboxes.serve(ctx, mux)
}

// flags declares the flags of a mailbox that is not, or not yet, one of the store's.
func (m *givenMailbox) flags(flags *flag.FlagSet) {
	flags.BoolVar(&m.wait, "wait", false, "wait in IDLE for a mail that you send to the mailbox")
	flags.StringVar(&m.host, "host", "", "the `name` of the mail server, in place of the one that is found")
	flags.IntVar(&m.port, "port", 0, "its `port` (default 993, or 143 unless security is tls)")
	flags.StringVar(&m.security, "security", "", "tls, starttls or none (default tls), with host")
	flags.StringVar(&m.username, "username", "", "the `name` to log in with (default the address, or what is found)")
}
