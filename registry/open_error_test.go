package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"idlepush/registry/table"
)

// The names of these tests are part of paths, in which the errors are searched for words of damage.
func TestOpenError(t *testing.T) {
	t.Parallel()
	t.Run("what the system refuses has advice of its own", systemErrors)
	t.Run("a folder in place of a file is an error of its own", folderAsFile)
	t.Run("too many open files have advice of their own", tooManyFiles)
	t.Run("an empty, cut or overwritten file is reported", calledDamage)
	t.Run("the store is not ready after a commit failed until one succeeds", notReady)
}

// noDamage holds an error to what it says, and to what may be said of damage alone: who restores a
// backup loses what came since.
func noDamage(t testing.TB, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Error("it opened")
		return
	}
	helps(t, err, says...)
	for _, word := range []string{"damage", "corrupt", "restore", "backup"} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("the error says %q: %v", word, err)
		}
	}
}

func systemErrors(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	before := files(t, dir)
	for number, advice := range map[syscall.Errno]string{
		syscall.EROFS:   "make the file system writable",
		syscall.ENOSPC:  "make room on its disk",
		syscall.EDQUOT:  "make room on its disk",
		syscall.EFBIG:   "make room on its disk",
		syscall.EACCES:  "run this as the user",
		syscall.EPERM:   "run this as the user",
		syscall.EMFILE:  "LimitNOFILE",
		syscall.ENFILE:  "LimitNOFILE",
		syscall.ENOLCK:  "on a local disk",
		syscall.ENOTSUP: "on a local disk",
		syscall.ENOSYS:  "on a local disk",
		syscall.EIO:     "",
		syscall.ENOMEM:  "",
	} {
		path := filepath.Join(dir, storeFile)
		fault := func() error { return &fs.PathError{Op: "write", Path: path, Err: number} }
		_, err := Open(dir, Options{NoSync: true, Fault: fault})
		noDamage(t, err, path, number.Error(), advice)
	}
	unchanged(t, dir, before)
}

func folderAsFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{storeFile, keyFile} {
		dir := closedStore(t)
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, unsynced)
		noDamage(t, err, path, "is a directory")
		if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
			t.Fatal(err)
		}
		openStore(t, dir)
	}
}

// openTooMany is the child: it opens the store with each number of files that it may have open
// until that is enough. It reads the store whole, as after a crash.
func openTooMany(dir string) error {
	check := func() error {
		if err := os.RemoveAll(filepath.Join(dir, storeFile+".closed")); err != nil {
			return err
		}
		s, err := Open(dir, Options{})
		if err != nil {
			return err
		}
		return s.Close()
	}
	if err := check(); err != nil { // the Go runtime needs some for itself, once
		return err
	}
	for files := uint64(0); ; files++ {
		err := withFiles(files, check)
		if err == nil && files > 3 {
			fmt.Println("done")
			return nil
		}
		if !errors.Is(err, syscall.EMFILE) || strings.Contains(err.Error(), "damaged") || strings.Contains(err.Error(), "restore") {
			return fmt.Errorf("with %d files: %w", files, err)
		}
	}
}

// withFiles calls fn while the process may have so many files open at most.
func withFiles(most uint64, fn func() error) error {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: before.Max}); err != nil {
		return err
	}
	err := fn()
	return errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before))
}

func tooManyFiles(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	if out, err := child(t, "open too many files", dir).Output(); err != nil || string(out) != "done\n" {
		t.Errorf("%v: %s", err, out)
	}
	openStore(t, dir)
}

func calledDamage(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	path := filepath.Join(dir, storeFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"empty": nil, "cut short": whole[:4*os.Getpagesize()], "noise": []byte(strings.Repeat("noise ", 10_000))} {
		putFile(t, path, data)
		if _, err := Open(dir, unsynced); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		refused(t, dir, nil, "damaged", "backup")
	}
}

func notReady(t *testing.T) {
	t.Parallel()
	s, fault := faultyStore(t)
	ready := func(want bool, when string) {
		t.Helper()
		if err := s.Ready(); (err == nil) != want {
			t.Errorf("%s: %v", when, err)
		}
	}
	ready(true, "at first")
	*fault = func() error { return errFault }
	if err := s.Mail.PutHost("imap.example.org:993", Host{}); !errors.Is(err, errFault) {
		t.Errorf("the commit that was to fail: %v", err)
	}
	ready(false, "while it fails")
	*fault = nil
	if _, err := s.Devices.Lanes(); err != nil {
		t.Error(err)
	}
	if err := s.Ready(); !errors.Is(err, errFault) {
		t.Errorf("before one has succeeded: %v", err)
	}
	refusal := errors.New("changed its mind")
	if err := s.db.Update(func(*table.Tx) error { return refusal }); !errors.Is(err, refusal) {
		t.Error(err)
	}
	ready(false, "after one that wrote nothing")
	if err := s.Mail.PutHost("imap.example.org:993", Host{}); err != nil {
		t.Error(err)
	}
	ready(true, "after one has succeeded")
}
