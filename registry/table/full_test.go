package table

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A child runs these: a limit on the size of files stands for a full disk, and it belongs to a
// process.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	t.Run("fails one write as a whole, and nothing else", func(t *testing.T) { runChild(t, "fill the disk", closedDB(t, "a")) })
	t.Run("does not keep a wasteful file from being opened", func(t *testing.T) { runChild(t, "compact a full disk", wastefulDB(t, manyFillers)) })
}

// limitFileSize makes writes past size fail with EFBIG. 0 removes the limit.
func limitFileSize(size uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	if l.Cur = size; size == 0 {
		l.Cur = l.Max
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

func fillDisk(path string) error {
	db, err := Open(path, Options{Key: make([]byte, KeySize)})
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	// First the file cannot grow, then pages that it has already cannot be written.
	for i, size := range []int64{info.Size(), info.Size() / 2} {
		if err := limitFileSize(uint64(size)); err != nil {
			return err
		}
		if err := fillUntilFull(db, i); err != nil {
			return fmt.Errorf("with space for %d bytes: %w", size, err)
		}
		if err := limitFileSize(0); err != nil {
			return err
		}
		if err := errors.Join(db.Update(putWord("more")), db.Ready()); err != nil {
			return fmt.Errorf("once there is space again: %w", err)
		}
	}
	return errors.Join(db.Close(), os.Remove(closedFile(path)), openAndClose(path))
}

// openAndClose opens the file, which reads all of it, and closes it again.
func openAndClose(path string) error {
	db, err := Open(path, unsynced())
	if err != nil {
		return err
	}
	return db.Close()
}

func fillUntilFull(db *DB, round int) error {
	for i := range 100 {
		k := Text(fmt.Sprint(round, "/", i))
		err := db.Update(func(tx *Tx) error { return words.Put(tx, k, strings.Repeat("x", 10_000)) })
		if err == nil {
			continue
		}
		full := syscall.EFBIG.Error() // bbolt does not wrap it
		if !strings.Contains(err.Error(), full) || !strings.Contains(fmt.Sprint(db.Ready()), full) {
			return fmt.Errorf("%w, and not ready: %w", err, db.Ready())
		}
		return db.View(func(tx *Tx) error {
			half, err := words.Has(tx, k)
			kept, keptErr := words.Has(tx, "a")
			if half || !kept {
				return fmt.Errorf("the failed write is there: %v, the earlier row is there: %v", half, kept)
			}
			for err := range tx.engine.Check() {
				return err
			}
			return errors.Join(err, keptErr)
		})
	}
	return errors.New("100 writes succeeded")
}

// manyFillers make a file that is large enough to be compacted.
const manyFillers = 600

// wastefulDB makes a file that is mostly free and has the words a, b and z. It takes 4 KB for each
// filler.
func wastefulDB(t testing.TB, fillers int) (path string) {
	t.Helper()
	path = closedDB(t, "a", "b", "z")
	waste(t, path, fillers)
	return path
}

// waste makes so much of the file free, in units of 4 KB.
func waste(t testing.TB, path string, fillers int) {
	t.Helper()
	db, err := Open(path, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	filler := func(i int) Text { return Text(fmt.Sprint("filler", i)) }
	for _, step := range []func(tx *Tx, i int) error{
		func(tx *Tx, i int) error { return words.Put(tx, filler(i), strings.Repeat("x", 4000)) },
		func(tx *Tx, i int) error { return words.Delete(tx, filler(i)) },
	} {
		update(t, db, func(tx *Tx) error {
			for i := range fillers {
				if err := step(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	closeDB(t, db)
}

// fullDB makes a file that is large and has few free pages.
func fullDB(t testing.TB) (path string) {
	t.Helper()
	var list []string
	for i := range 60 {
		list = append(list, fmt.Sprint(i, strings.Repeat("x", 20_000)))
	}
	return closedDB(t, list...)
}

func compactFullDisk(path string) error {
	before, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := limitFileSize(8 << 10); err != nil {
		return err
	}
	if err := openAndClose(path); err != nil {
		return err
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		return fmt.Errorf("the file is another: %w", err)
	}
	if _, err := os.Stat(compactFile(path)); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the rest of the compaction: %w", err)
	}
	return nil
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	want := []string{"a", "b", "z"}
	size := func(t *testing.T, path string) int64 {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	t.Run("makes a file that is mostly free small", func(t *testing.T) {
		path := wastefulDB(t, manyFillers)
		before := size(t, path)
		db := openDB(t, path)
		if got := all(t, db); !slices.Equal(got, want) {
			t.Errorf("there is %v", got)
		}
		if after := size(t, path); before < smallFile || after > before/4 {
			t.Errorf("%d bytes, then %d", before, after)
		}
		put(t, db, "c")
		closeDB(t, db)
		if err := os.Remove(closedFile(path)); err != nil {
			t.Fatal(err)
		}
		if got := all(t, openDB(t, path)); !slices.Equal(got, []string{"a", "b", "c", "z"}) {
			t.Errorf("later there is %v", got)
		}
	})
	t.Run("leaves other files alone", func(t *testing.T) {
		for name, path := range map[string]string{"full": fullDB(t), "small": wastefulDB(t, 100)} {
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			openDB(t, path)
			if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("%s: it is another file, %v", name, err)
			}
		}
	})
	t.Run("is given up if it fails", func(t *testing.T) {
		path := wastefulDB(t, manyFillers)
		if err := os.MkdirAll(compactFile(path)+"/in the way", 0o700); err != nil {
			t.Fatal(err)
		}
		before := size(t, path)
		db := openDB(t, path)
		if got := all(t, db); !slices.Equal(got, want) || size(t, path) != before {
			t.Errorf("there is %v, in %d bytes", got, size(t, path))
		}
		put(t, db, "c")
	})
	t.Run("removes the leftovers of an earlier one", func(t *testing.T) {
		for name, path := range map[string]string{"wasteful": wastefulDB(t, manyFillers), "small": closedDB(t, want...)} {
			if err := os.WriteFile(compactFile(path), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := all(t, openDB(t, path)); !slices.Equal(got, want) {
				t.Errorf("%s: there is %v", name, got)
			}
			if _, err := os.Stat(compactFile(path)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: it is there: %v", name, err)
			}
		}
	})
	t.Run("does not make a damaged file look whole", func(t *testing.T) {
		path := wastefulDB(t, manyFillers)
		damage(t, path, loseFreePage)
		if _, err := Open(path, unsynced()); !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
}
