package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	_ "time/tzdata" // the zones of quiet hours: the image has no files of them
)

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

const usage = `idlepush notifies your phones when mail arrives.

  idlepush serve                run the daemon
  idlepush demo                 show mail, pushes and the time between them, without any configuration
  idlepush selftest             try whether this build keeps its promise on this machine, without network
  idlepush doctor               examine this installation: what works, what does not, and what to do
  idlepush doctor EMAIL         examine a mailbox: its settings, each step of the connection, the login
  idlepush export NAME          print all that is kept of that person, as JSON
  idlepush setup-link           print a link by which the first admin is set up
  idlepush password-link NAME   print a link by which that person chooses a new password
  idlepush backup FILE          write all that the store has to a file, while idlepush runs
  idlepush restore FILE         make a store of a backup, here or on another machine
  idlepush check                read the whole store, or a backup, and change nothing
  idlepush compact              make the file of the store as small as it can be
  idlepush healthcheck          ask the idlepush on this machine whether it works
  idlepush version              print the version

  idlepush serve -help   lists the settings
`

// run runs the program and returns its exit code: 0 after a clean end, 1 if something failed, 2 for
// wrong usage.
func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	ctx, stop := untilSignal(stderr, farewell(args[0]))
	defer stop()
	var err error
	switch args[0] {
	case "serve":
		err = runServe(ctx, args[1:], getenv, stdout, stderr)
	case "demo":
		if len(args) > 1 {
			fmt.Fprint(stderr, "idlepush: demo takes no settings\n")
			return 2
		}
		err = demo(ctx, stdout)
	case "selftest":
		if err = runSelftest(ctx, args[1:], stdout, stderr); ctx.Err() != nil {
			return 1
		}
	case "doctor":
		err = runDoctor(ctx, args[1:], getenv, os.Stdin, stdout, stderr)
		if ctx.Err() != nil {
			return 1
		}
	case "password-link":
		err = runPasswordLink(ctx, args[1:], getenv, stdout)
	case "setup-link":
		err = runSetupLink(ctx, args[1:], getenv, stdout)
	case "healthcheck":
		err = runHealthcheck(ctx, args[1:], getenv, stdout)
	case "export":
		err = runExport(ctx, args[1:], getenv, stdout)
	case "backup":
		err = runBackup(ctx, args[1:], getenv, os.Stdin, stdout, stderr)
	case "restore":
		err = runRestore(ctx, args[1:], getenv, os.Stdin, stdout, stderr)
	case "check":
		err = runCheck(ctx, args[1:], getenv, os.Stdin, stdout, stderr)
	case "compact":
		err = runCompact(args[1:], getenv, stdout)
	case "version", "-version", "--version":
		printVersion(stdout, stderr)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprintf(stderr, "idlepush: unknown command %q\n\n%s", args[0], usage)
		return 2
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		return wrongUsage(usage.error, stderr)
	}
	switch {
	case errors.Is(err, errFound):
		return 1
	case err != nil:
		fmt.Fprintf(stderr, "idlepush: %v\n", err)
		return 1
	}
	return 0
}

// runServe runs the daemon, or prints its settings.
func runServe(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	s, printed, err := serveSettings(args, getenv, stdout)
	if err != nil {
		return usageError{err}
	}
	log := s.logger(stderr)
	for _, name := range unknownVariables(os.Environ()) {
		log.Warn("unknown environment variable is ignored; check its spelling", "name", name)
	}
	if printed {
		return nil
	}
	if err := errors.Join(checkTrustedCAs(getenv("SSL_CERT_FILE")), checkNoProxy(getenv)); err != nil {
		return usageError{err}
	}
	return serve(ctx, s, log, nil)
}

// usageError reports wrong usage of a command.
type usageError struct{ error }

func wrongUsage(err error, stderr io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(stderr, "idlepush: %v\n", err)
	return 2
}

// checkTrustedCAs checks SSL_CERT_FILE, from which Go reads certificate authorities. Go itself
// ignores a file that does not exist.
func checkTrustedCAs(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("SSL_CERT_FILE: %w: set it to a file with certificates in PEM, or unset it", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("SSL_CERT_FILE: %s has no certificate in PEM", file)
	}
	return nil
}

// checkNoProxy refuses the variables that name a proxy for outgoing requests. Addresses are checked
// when they are dialled, and a proxy would dial them unchecked. Nor could IMAP use it.
func checkNoProxy(getenv func(string) string) error {
	if getenv("NO_PROXY") == "*" || getenv("no_proxy") == "*" {
		return nil
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if getenv(name) != "" {
			return fmt.Errorf("%s is set, but idlepush uses no proxy: it connects to mail servers and push services itself, because it checks each address that it connects to. "+
				"Let it connect directly, and unset %[1]s for it, or set NO_PROXY to *", name)
		}
	}
	return nil
}

// farewell returns the text for a command that a signal interrupts.
func farewell(command string) string {
	switch command {
	case "serve", "demo":
		return "stopping; pushes in flight may take a few seconds to finish, a second signal exits at once"
	}
	return "interrupted"
}

// untilSignal returns a context that the first SIGINT, SIGTERM or SIGHUP cancels, for a clean end.
// It prints the text farewell. The second signal exits at once. The returned function stops this
// and waits for its goroutine.
func untilSignal(stderr io.Writer, farewell string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	var group sync.WaitGroup
	done := make(chan struct{})
	group.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			if n > 0 {
				os.Exit(1)
			}
			fmt.Fprintln(stderr, "idlepush: "+farewell)
			cancel()
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		group.Wait()
		cancel()
	}
}

func (s settings) logger(out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.log.level}
	if s.log.json {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// printVersion prints the version. If it is unknown, it says on notes why.
func printVersion(out, notes io.Writer) {
	fmt.Fprintln(out, version())
	if version() == development {
		fmt.Fprintln(notes, "idlepush: this program does not know its version, because it was not built in a git checkout, or with -buildvcs=false: "+
			"build it in a checkout with git installed, or take a release")
	}
}

// development is the version of a program that knows none.
const development = "development"

// version returns the version of the module, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return development
}
