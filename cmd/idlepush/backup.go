package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"idlepush/registry"
	"idlepush/registry/backup"
)

const backupCommand = "idlepush backup"

// minPassphrase is the fewest characters of a passphrase: it can be guessed offline.
const minPassphrase = 10

// stdio stands for a file name: standard input or output.
const stdio = "-"

// runBackup writes a backup to the file that the arguments name.
func runBackup(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	withKey := false
	s, path, err := syntax{command: backupCommand, settings: some("data", "key", "backup-passphrase"), operand: "FILE",
		flags: func(flags *flag.FlagSet) {
			flags.BoolVar(&withKey, "with-key", false, "put the key of the store into the backup, encrypted with a passphrase that is asked for")
		}}.parseOne("one file", args, getenv, stdout)
	if err != nil {
		return err
	}
	passphrase := string(s.backups.passphrase)
	if withKey && passphrase == "" {
		if passphrase, err = askPassphrase(ctx, stdin, stderr); err != nil {
			return err
		}
	}
	fill := func(w io.Writer) error { return s.writeBackup(ctx, passphrase, w) }
	says := stdout
	if path == stdio {
		if says = stderr; isTerminal(stdout) {
			return usageError{fmt.Errorf("a terminal cannot take a backup: name a file, or use `%s - > FILE`", backupCommand)}
		}
		err = verified(stdout, fill)
	} else {
		err = backup.WriteFile(path, fill)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(says, "The backup is written, and complete. %s\n", aboutKey(passphrase))
	return nil
}

// aboutKey says what one must keep beside a backup.
func aboutKey(passphrase string) string {
	if passphrase == "" {
		return "It is without the key: keep a copy of the file `key` of the data folder (or of the setting) somewhere else, for without it the backup is worth nothing."
	}
	return "It has the key, encrypted with the passphrase: without that it is worth nothing, and nobody can tell it again."
}

// askPassphrase asks for the passphrase of a backup, on a terminal twice: nobody sees a slip there.
func askPassphrase(ctx context.Context, stdin io.Reader, asks io.Writer) (string, error) {
	words, err := askSecret(ctx, stdin, asks, "A passphrase for the key, which you will need to restore the backup: ")
	if err == nil {
		err = checkPassphrase(words)
	}
	if err != nil || !isTerminal(stdin) {
		return words, err
	}
	again, err := askSecret(ctx, stdin, asks, "The same passphrase again: ")
	if err == nil && again != words {
		err = errors.New("the two passphrases differ: no backup was made")
	}
	return words, err
}

func checkPassphrase(words string) error {
	if utf8.RuneCountInString(words) < minPassphrase {
		return fmt.Errorf("want a passphrase of at least %d characters", minPassphrase)
	}
	if strings.TrimSpace(words) != words { // a file with it is read without spaces around it
		return errors.New("want a passphrase that does not begin or end with a space")
	}
	return nil
}

// verified copies a backup from fill to out, and verifies it on the way.
func verified(out io.Writer, fill func(io.Writer) error) error {
	return piped(fill, func(r io.Reader) error { return backup.Verify(io.TeeReader(r, out)) })
}

// piped has read take what fill writes. If both fail, it returns the error of fill, from which
// that of read follows, unless read ended first.
func piped(fill func(io.Writer) error, read func(io.Reader) error) error {
	r, w := io.Pipe()
	var group errgroup.Group
	group.Go(func() error {
		err := fill(w)
		w.CloseWithError(err)
		return err
	})
	err := read(r)
	r.CloseWithError(err)
	if failed := group.Wait(); failed != nil && !errors.Is(failed, err) {
		return failed
	}
	return err
}

// writeBackup writes a backup, with the key if there is a passphrase. It asks the daemon for it.
// If none runs, it reads the store itself.
func (s settings) writeBackup(ctx context.Context, passphrase string, w io.Writer) error {
	err := callDaemon(ctx, s.data, "/backup", passphrase, func(answer io.Reader) error {
		_, err := io.Copy(w, answer)
		return err
	})
	if !errors.Is(err, errNoDaemon) {
		return err
	}
	err = backup.Keys{Key: s.key, Dir: s.data}.WriteStopped(w, version(), passphrase, time.Now())
	if errors.Is(err, registry.ErrInUse) {
		return s.errUnreachable()
	}
	return err
}

// serveBackup serves what the commands backup and check ask of the daemon.
func serveBackup(mux *http.ServeMux, store *registry.Store, log *slog.Logger) {
	mux.HandleFunc("POST /backup", func(w http.ResponseWriter, r *http.Request) {
		var passphrase string
		if err := json.NewDecoder(r.Body).Decode(&passphrase); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		conn := http.NewResponseController(w)
		err := conn.Flush() // to encrypt the key takes seconds, on a small machine many
		if err == nil {
			err = backup.Write(steadyWriter{w, conn}, store, version(), passphrase, time.Now())
		}
		if err != nil { // the command misses the end
			log.Error("a backup was not written to its end", "err", err)
		}
	})
}

// backUpDaily makes a backup a day, if it is to, until ctx ends.
func (s settings) backUpDaily(ctx context.Context, store *registry.Store, log *slog.Logger) {
	if s.backups.folder == "" {
		return
	}
	write := func(w io.Writer) error {
		return backup.Write(w, store, version(), string(s.backups.passphrase), time.Now())
	}
	backup.Daily{Folder: s.backups.folder, Keep: s.backups.keep, Write: write, Log: log}.Run(ctx)
}

// steadyWait is how long a backup waits for a command that takes nothing of it. Meanwhile the
// store cannot use again what it frees.
const steadyWait = 30 * time.Second

// steadyWriter is an answer that may take long, but may not stand still.
type steadyWriter struct {
	http.ResponseWriter
	conn *http.ResponseController
}

func (w steadyWriter) Write(data []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(steadyWait)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(data)
}

// errUnreachable says that a daemon has the store, and does not answer.
func (s settings) errUnreachable() error {
	return fmt.Errorf("idlepush runs with the data folder %s, but its socket %s is not there: stop idlepush, run this, and start it again", s.data, socketFile)
}

// opened opens the file of a backup.
func opened(path string, stdin io.Reader) (io.ReadCloser, error) {
	if path == stdio {
		return io.NopCloser(stdin), nil
	}
	return os.Open(path)
}
