package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxRing is how long a mail may take to ring in a selftest. The slowest hardship takes 35 s: a
// connection that is silent is given up after 30 s.
const maxRing = 55 * time.Second

// loopbackWait is how long a connection to this process itself may take.
const loopbackWait = 10 * time.Second

// selftest meets hardships, each with an idlepush of its own.
type selftest struct {
	hardships []hardship
	maxRing   time.Duration // how long a mail may take to ring
	spoil     func(*bench)  // in tests: called before each hardship; may be nil
}

// trial is the result of one hardship.
type trial struct {
	text string // if idlepush kept its promise
	err  error
	log  bytes.Buffer // of idlepush
}

// runSelftest tries whether this build keeps its promise on this machine.
func runSelftest(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		return usageError{errors.New("selftest takes no settings")}
	}
	// If nobody reads the output any more, as with head, a write fails, and the folder is removed.
	signal.Ignore(syscall.SIGPIPE)
	return selftest{hardships: hardships, maxRing: maxRing}.run(ctx, stdout, stderr)
}

// run goes through all hardships at once and prints a line for each. It returns errFound if
// idlepush broke its promise in one; what it has logged there is written to log. It leaves nothing
// behind.
func (s selftest) run(ctx context.Context, out, log io.Writer) (err error) {
	if err := checkLoopback(); err != nil {
		return fmt.Errorf("selftest: nothing inside this process can be reached at 127.0.0.1 (%w): bring the loopback interface up, and let no firewall block it", err)
	}
	dir, err := os.MkdirTemp("", "idlepush-selftest")
	if err != nil {
		return fmt.Errorf("selftest: no folder for temporary files can be made (%w): set TMPDIR to a folder in which this user may write, such as /dev/shm", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	_, err = fmt.Fprintf(out, "idlepush %s is put through %d hardships, with mail servers, push services and phones inside this process.\n"+
		"Each new mail must ring once on each phone. This takes less than a minute, and leaves nothing behind.\n\n", version(), len(s.hardships))
	trials, done := make([]trial, len(s.hardships)), make([]chan struct{}, len(s.hardships))
	var meeting sync.WaitGroup
	defer meeting.Wait()
	trying, stop := context.WithCancel(ctx)
	defer stop()
	for i, h := range s.hardships {
		done[i] = make(chan struct{})
		meeting.Go(func() {
			defer close(done[i])
			trials[i].text, trials[i].err = s.meet(trying, h, filepath.Join(dir, strconv.Itoa(i)), &trials[i].log)
		})
	}
	for i := range trials {
		if err != nil {
			return fmt.Errorf("the selftest ended early, because nobody reads its output any more: %w", err)
		}
		if <-done[i]; ctx.Err() != nil {
			return nil
		}
		err = s.print(out, i, &trials[i])
	}
	return s.end(out, log, trials)
}

// checkLoopback returns an error if a part of this process cannot reach another.
func checkLoopback() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	conn, err := net.DialTimeout("tcp", l.Addr().String(), loopbackWait)
	if err != nil {
		return err
	}
	return conn.Close()
}

// meet goes through one hardship, with a mail before, during and after it. It returns the result as
// text.
func (s selftest) meet(ctx context.Context, h hardship, dir string, log io.Writer) (text string, err error) {
	b, err := newBench(dir, h, network{listen: loopback}, s.maxRing, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return "", fmt.Errorf("cannot be tried: %w", err)
	}
	if s.spoil != nil {
		s.spoil(b)
	}
	err = b.run(ctx, func(ctx context.Context) error {
		if err := b.begin(ctx); err != nil {
			return fmt.Errorf("before it: %w", err)
		}
		before := b.ledger.count()
		if err := h.meet(ctx, b); err != nil {
			return err
		}
		n, slowest := b.ledger.count()-before, b.ledger.slowest(before, b.phones).Seconds()
		if text = fmt.Sprintf("rang once on %d phones, after %.1f s", len(b.phones), slowest); n > 1 {
			text = fmt.Sprintf("%d mails rang once on %d phones, the slowest after %.1f s", n, len(b.phones), slowest)
		}
		b.arrive()
		if err := b.awaitRings(ctx, b.phones); err != nil {
			return fmt.Errorf("after it: %w", err)
		}
		return nil
	})
	return text, errors.Join(err, b.ledger.wrong(b.phones), b.violations())
}

// print prints the line of a hardship.
func (s selftest) print(out io.Writer, i int, t *trial) error {
	name, does := 0, 0
	for _, h := range s.hardships {
		name, does = max(name, len(h.name)), max(does, len(h.does))
	}
	verdict, text := "ok", t.text
	if t.err != nil {
		verdict, text = "FAILED", strings.ReplaceAll(t.err.Error(), "\n", "; ")
	}
	_, err := fmt.Fprintf(out, "%-6s  %-*s  %-*s  %s\n", verdict, name, s.hardships[i].name, does, s.hardships[i].does, text)
	return err
}

// end prints the result of all hardships, and the logs of those in which idlepush broke its
// promise.
func (s selftest) end(out, log io.Writer, trials []trial) error {
	failed := 0
	for i := range trials {
		if trials[i].err != nil {
			failed++
			fmt.Fprintf(log, "\nlog of %s:\n%s", s.hardships[i].name, trials[i].log.String())
		}
	}
	if failed > 0 {
		fmt.Fprintf(out, "\nidlepush broke its promise in %d of %d hardships\n", failed, len(trials))
		return errFound
	}
	fmt.Fprintf(out, "\nidlepush kept its promise in all %d hardships\n", len(trials))
	return nil
}
