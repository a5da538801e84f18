package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"idlepush/registry"
	"idlepush/registry/backup"
)

// backupKeys returns the sources of the key of a backup. They ask for its passphrase, unless that
// is a setting.
func (s settings) backupKeys(ctx context.Context, path string, stdin io.Reader, asks io.Writer) backup.Keys {
	return backup.Keys{Key: s.key, Dir: s.data, Passphrase: func() (string, error) {
		switch {
		case s.backups.passphrase != "":
			return string(s.backups.passphrase), nil
		case path == stdio:
			return "", errors.New("the key in the backup needs its passphrase, and standard input has the backup: pass it by --backup-passphrase-file or IDLEPUSH_BACKUP_PASSPHRASE")
		}
		return askSecret(ctx, stdin, asks, "The passphrase of the backup: ")
	}}
}

// runRestore makes the store of a backup that of the data folder.
func runRestore(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	replace := false
	s, path, err := syntax{command: "idlepush restore", settings: some("data", "key", "backup-passphrase"), operand: "FILE",
		flags: func(flags *flag.FlagSet) {
			flags.BoolVar(&replace, "replace", false, "restore even if the data folder has a store, which is kept beside the new one")
		}}.parseOne("one file", args, getenv, stdout)
	if err != nil {
		return err
	}
	file, err := opened(path, stdin)
	if err != nil {
		return err
	}
	defer file.Close()
	o, kept, err := s.backupKeys(ctx, path, stdin, stderr).Restore(file, replace, time.Now())
	if err != nil {
		return err
	}
	if kept != "" {
		fmt.Fprintf(stdout, "The store that was there is kept as %s.\n", kept)
	}
	for _, w := range o.Warnings {
		fmt.Fprintf(stdout, "Look at this: %s\n", allCodes().Sentence(w.Code, w.Params))
	}
	fmt.Fprintf(stdout, "The store of %s is in %s, with all of its %d rows. Start idlepush there. If another idlepush still has the same mailboxes, stop that one first: otherwise every mail rings twice.\n",
		o.Made.Local().Format("2 January 2006 15:04"), s.data, o.Rows)
	return nil
}

// runCheck looks whether a backup can be restored, or else whether the store is whole. It changes
// neither.
func runCheck(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	x := syntax{command: "idlepush check", settings: some("data", "key", "backup-passphrase"), operand: "[FILE]"}
	s, files, err := x.parse(args, getenv, stdout)
	if err == nil && len(files) > 1 {
		err = fmt.Errorf("want one file, or none: `%s %s`", x.command, x.operand)
	}
	if err != nil {
		return usageError{err}
	}
	f := findings{subject: "store"}
	var o backup.Opened
	if len(files) == 1 {
		f.subject = "backup"
		o, err = s.checkBackup(ctx, files[0], stdin, stderr)
	} else {
		err = piped(func(w io.Writer) error { return s.writeBackup(ctx, "", w) }, func(r io.Reader) (err error) {
			o, err = s.backupKeys(ctx, stdio, nil, nil).Check(r, s.workPlace())
			return err
		})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		f.wrong("%v", err)
	} else {
		f.ok("all of its %d rows can be read, and the key fits", o.Rows)
	}
	if err == nil && len(files) == 1 {
		f.ok("it was made on %s by version %s, %s", o.Made.Local().Format("2 January 2006 at 15:04"), o.Program, saysKey(o))
	}
	for _, w := range o.Warnings {
		f.look("%s", allCodes().Sentence(w.Code, w.Params))
	}
	r := report{out: stdout}
	for _, one := range f.list {
		r.print(one)
	}
	return r.end()
}

// saysKey says whether a backup has its key, and whether the passphrase opens that.
func saysKey(o backup.Opened) string {
	switch {
	case !o.HasKey:
		return "without its key"
	case !o.KeyFromBackup:
		return "with its key; this check used the key of the data folder or of the setting. To try the passphrase, name an empty folder with --data"
	}
	return "with its key, which the passphrase opens"
}

func (s settings) checkBackup(ctx context.Context, path string, stdin io.Reader, asks io.Writer) (o backup.Opened, err error) {
	file, err := opened(path, stdin)
	if err != nil {
		return o, err
	}
	defer file.Close()
	return s.backupKeys(ctx, path, stdin, asks).Check(file, s.workPlace())
}

// workPlace returns the folder below which a backup is opened: the data folder, which has room for
// one and lets nobody else look, or that of temporary files if there is no data folder.
func (s settings) workPlace() string {
	if info, err := os.Stat(s.data); err == nil && info.IsDir() {
		return s.data
	}
	return os.TempDir()
}

// runCompact copies the store to a new file that has nothing free in it.
func runCompact(args []string, getenv func(string) string, stdout io.Writer) error {
	s, _, err := syntax{command: "idlepush compact", settings: some("data", "key")}.parse(args, getenv, stdout)
	if err != nil {
		return usageError{err}
	}
	before := s.storeSize()
	store, err := registry.Open(s.data, registry.Options{Key: s.key, Existing: true, Compact: true})
	if errors.Is(err, registry.ErrInUse) {
		return fmt.Errorf("idlepush runs with the data folder %s: stop it, run this, and start it again", s.data)
	}
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The store had %d KB, and has %d KB now.\n", before>>10, s.storeSize()>>10)
	return nil
}
