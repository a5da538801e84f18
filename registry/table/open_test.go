package table

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry/testenv"
)

// marked reports whether the file has the mark of Close.
func marked(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(closedFile(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// holdFile is the child that opens the file, reports it, and keeps it open until its input ends.
func holdFile(path string) error {
	db, err := Open(path, unsynced())
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, db.Close())
}

// checkInUse opens a file that is in use. It measures the time of a synctest bubble, so a slow
// machine does not matter.
func checkInUse(t *testing.T, path string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := Open(path, unsynced())
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if !errors.Is(err, ErrInUse) || strings.Contains(err.Error(), "damaged") {
			t.Error(err)
		}
	})
}

func TestOpenInUse(t *testing.T) {
	t.Parallel()
	t.Run("by another process", func(t *testing.T) {
		path := closedDB(t, "a")
		cmd := child(t, "hold the file", path)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
			t.Fatalf("the other process says %q, %v", line, err)
		}
		checkInUse(t, path)
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Errorf("the other process: %v", err)
		}
		openDB(t, path)
	})
	t.Run("by this process", func(t *testing.T) {
		path := closedDB(t, "a")
		openDB(t, path)
		checkInUse(t, path)
	})
	t.Run("by a process that replaces it", func(t *testing.T) {
		path := closedDB(t, "old")
		first, err := Open(path, unsynced())
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			second := make(chan error)
			go func() {
				db, err := open(path, unsynced())
				if err == nil {
					err = errors.Join(errors.New("it has opened the file that is no more"), db.Close())
				}
				second <- err
			}()
			synctest.Wait() // until Open waits for the lock
			if err := errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path), first.bolt.Close()); err != nil {
				t.Error(err)
			}
			if err := <-second; !errors.Is(err, ErrInUse) {
				t.Error(err)
			}
		})
		if got := all(t, openDB(t, path)); !slices.Equal(got, []string{"old"}) {
			t.Errorf("there is %v", got)
		}
	})
}

func TestCreate(t *testing.T) {
	t.Parallel()
	path := closedDB(t, "a")
	if _, err := Create(path, unsynced()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if got := all(t, openDB(t, path)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("there is %v", got)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), unsynced()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of no file: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestCloseMark(t *testing.T) {
	t.Parallel()
	t.Run("exists while the file is closed", func(t *testing.T) {
		path := closedDB(t, "a")
		if !marked(t, path) {
			t.Error("it is missing after Close")
		}
		db := openDB(t, path)
		if marked(t, path) {
			t.Error("it is there while the file is open")
		}
		closeDB(t, db)
		if !marked(t, path) {
			t.Error("it is missing after the second Close")
		}
	})
	t.Run("stays that of a file with which Move has replaced it", func(t *testing.T) {
		path, other := closedDB(t, "a"), closedDB(t, "b")
		db := openDB(t, path)
		if err := Move(other, path); err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
		if info, err := os.Stat(path); err != nil || !isUnchanged(path, info) {
			t.Errorf("it is not, %v", err)
		}
	})
	t.Run("fits the file as Close has left it, and no other", func(t *testing.T) {
		path := closedDB(t, "a")
		check := func(want bool, when string) {
			t.Helper()
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := isUnchanged(path, info); got != want {
				t.Errorf("%s: %v", when, got)
			}
		}
		check(true, "as it was left")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		for when, change := range map[string]func() error{
			"written later": func() error { return os.Chtimes(path, time.Time{}, info.ModTime().Add(1)) },
			"longer": func() error {
				return errors.Join(os.Truncate(path, info.Size()+1), os.Chtimes(path, time.Time{}, info.ModTime()))
			},
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			check(false, when)
			if err := errors.Join(os.Truncate(path, info.Size()), os.Chtimes(path, time.Time{}, info.ModTime())); err != nil {
				t.Fatal(err)
			}
			check(true, "as it was again after it was "+when)
		}
		if err := os.WriteFile(closedFile(path), []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(false, "half a mark")
	})
	t.Run("is not written after a failed commit", func(t *testing.T) {
		path := closedDB(t, "a")
		o, full := unsynced(), false
		o.Fault = func() error {
			if full {
				return errors.New("the disk is full")
			}
			return nil
		}
		db, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		full = true
		if err := db.Update(putWord("b")); err == nil {
			t.Error("it did not fail")
		}
		closeDB(t, db)
		if marked(t, path) {
			t.Error("it is there")
		}
		openDB(t, path)
	})
	t.Run("may be missing", func(t *testing.T) {
		path := closedDB(t, "a")
		db, err := Open(path, unsynced())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(closedFile(path), 0o700); err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
		if err := os.Remove(closedFile(path)); err != nil {
			t.Fatal(err)
		}
		openDB(t, path)
	})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for number, want := range map[syscall.Errno]string{
		syscall.EACCES: "this user may not",
		syscall.EPERM:  "this user may not",
		syscall.EROFS:  "read-only",
		syscall.EMFILE: "too many other files",
		syscall.ENFILE: "too many other files",
		syscall.ENOSPC: "no space",
		syscall.EDQUOT: "no space",
		syscall.EFBIG:  "no space",
		syscall.ENOLCK: "does not support locks",
		syscall.ENOSYS: "does not support locks",
		syscall.EIO:    syscall.EIO.Error(),
	} {
		for _, err := range []error{number, &fs.PathError{Op: "open", Path: "/store", Err: number}} {
			got := translate("/store", err)
			if !strings.Contains(got.Error(), want) || !errors.Is(got, number) || errors.Is(got, ErrCorrupt) {
				t.Errorf("%v: %v", err, got)
			}
		}
	}
}

// notDamaged returns an error if err is not of this number, or mentions damage.
func notDamaged(what string, err error, number syscall.Errno) error {
	if !errors.Is(err, number) || errors.Is(err, ErrCorrupt) || strings.Contains(fmt.Sprint(err), "damage") {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func TestOpenError(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"open too many files", "lack permission", "use a read-only folder"} {
		t.Run(role, func(t *testing.T) {
			if role != "open too many files" && os.Geteuid() != 0 {
				testenv.Missing(t, "only root can become another user")
			}
			runChild(t, role, closedDB(t, "a"))
		})
	}
	t.Run("a folder", func(t *testing.T) {
		dir := t.TempDir()
		_, err := Open(dir, unsynced())
		if err := notDamaged("a folder", err, syscall.EISDIR); err != nil {
			t.Error(err)
		}
	})
}

// openTooManyFiles is the child that may open no file. The limit belongs to a process.
func openTooManyFiles(path string) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	_, err := Open(path, unsynced())
	return notDamaged("too many files", err, syscall.EMFILE)
}

// allowAll gives all users access to the folder of path.
func allowAll(path string) error {
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// lackPermission is the child that opens the file as another user.
func lackPermission(path string) error {
	if err := allowAll(path); err != nil {
		return err
	}
	for _, mode := range []os.FileMode{0o600, 0o604} { // cannot be read, or can only be read
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		for range 2 { // with and without the mark
			err := as(nobody, func() error {
				_, err := Open(path, unsynced())
				return notDamaged(mode.String(), err, syscall.EACCES)
			})
			if err = errors.Join(err, os.RemoveAll(closedFile(path))); err != nil {
				return err
			}
		}
	}
	return nil
}

// useReadOnlyFolder is the child that may write the file but not its folder.
func useReadOnlyFolder(path string) error {
	if err := errors.Join(allowAll(path), os.Chown(path, nobody, -1)); err != nil {
		return err
	}
	return as(nobody, func() error {
		_, err := Open(path, unsynced())
		if err := notDamaged("a mark that cannot be taken away", err, syscall.EACCES); err != nil {
			return err
		}
		if err := as(0, func() error { return os.Remove(closedFile(path)) }); err != nil {
			return err
		}
		db, err := Open(path, unsynced())
		if err != nil {
			return err
		}
		return errors.Join(db.Update(putWord("b")), db.Close())
	})
}

const nobody = 65534

// as runs fn as another user.
func as(user int, fn func() error) error {
	before := os.Geteuid()
	if err := syscall.Setreuid(0, user); err != nil {
		return err
	}
	return errors.Join(fn(), syscall.Setreuid(0, before))
}
