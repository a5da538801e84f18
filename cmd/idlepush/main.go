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
)

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

const usage = `idlepush rings your phones when mail arrives.

  idlepush serve   run the daemon
  idlepush demo    show mail, push and the milliseconds between, with nothing configured
  idlepush version

  idlepush serve -help   lists the settings
`

// run is the program; it returns the exit code: 0 after a clean end, 1 when something failed, 2 for wrong usage.
func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	ctx, stop := signalled(stderr)
	defer stop()
	var err error
	switch args[0] {
	case "serve":
		var s settings
		if s, err = parse("idlepush serve", args[1:], getenv, stdout); err != nil {
			return wrongUsage(err, stderr)
		}
		log := s.logger(stderr)
		for _, name := range strangers(os.Environ()) {
			log.Warn("this variable is no setting and does nothing: is it misspelt?", "name", name)
		}
		if err := trusted(getenv("SSL_CERT_FILE")); err != nil {
			return wrongUsage(err, stderr)
		}
		err = serve(ctx, s, log, nil)
	case "demo":
		if len(args) > 1 {
			fmt.Fprint(stderr, "idlepush demo needs no settings and takes none\n")
			return 2
		}
		err = demo(ctx, stdout)
	case "version", "-version", "--version":
		fmt.Fprintln(stdout, version())
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprintf(stderr, "idlepush: no command %q\n\n%s", args[0], usage)
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "idlepush: %v\n", err)
		return 1
	}
	return 0
}

func wrongUsage(err error, stderr io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(stderr, "idlepush: %v\n", err)
	return 2
}

// trusted checks the file that Go takes certificate authorities from: one that is not there it passes over without a word.
func trusted(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("SSL_CERT_FILE: %w: name a file with certificates in PEM, or unset it", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("SSL_CERT_FILE: %s holds no certificate in PEM", file)
	}
	return nil
}

// signalled gives a context that ends at the first SIGINT or SIGTERM, for a clean end, which it says; the second ends the process at once.
func signalled(stderr io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var listening sync.WaitGroup
	over := make(chan struct{})
	listening.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			case <-signals:
			}
			if n > 0 {
				os.Exit(1)
			}
			fmt.Fprintln(stderr, "idlepush: ending; pushes on their way may take a few seconds to finish, another signal ends it at once")
			cancel()
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		listening.Wait()
		cancel()
	}
}

func (s settings) logger(out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.logLevel}
	if s.logJSON {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// version is that of the module, or the commit it was built from.
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
	return "development"
}
