package table

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"idlepush/registry/boltcheck"
)

func TestSnapshot(t *testing.T) {
	t.Parallel()
	t.Run("it is one state of the store, whole, while others write", snapshotUnderLoad)
	t.Run("of a closed file it changes nothing", snapshotOfClosed)
	t.Run("of a file that is missing, in use or damaged it says so", snapshotOfBad)
}

// written returns a function that writes a snapshot to a file in a new folder.
func written(t *testing.T) (path string, write func(Snapshot) error) {
	path = filepath.Join(t.TempDir(), "copy")
	return path, func(s Snapshot) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		n, err := s.WriteTo(f)
		if err == nil && n != s.Size() {
			err = fmt.Errorf("it wrote %d of %d bytes", n, s.Size())
		}
		return errors.Join(err, f.Close())
	}
}

func snapshotUnderLoad(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	for i := range 300 {
		put(t, db, fmt.Sprintf("%06d", i))
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	stop := make(chan struct{})
	defer close(stop)
	// Each commit removes the oldest word and adds one: every state has 300 in a row.
	writing.Go(func() {
		for i := 300; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			err := db.Update(func(tx *Tx) error {
				fresh := fmt.Sprintf("%06d", i)
				return errors.Join(words.Delete(tx, Text(fmt.Sprintf("%06d", i-300))), words.Put(tx, Text(fresh), fresh))
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	last := ""
	for range 10 {
		path, write := written(t)
		if err := db.Snapshot(write); err != nil {
			t.Fatal(err)
		}
		if err := boltcheck.Check(path, LockWait); err != nil {
			t.Error(err)
		}
		list := all(t, openDB(t, path))
		if len(list) != 300 || list[299] < last {
			t.Fatalf("it has %d words from %s to %s, after %s", len(list), list[0], list[len(list)-1], last)
		}
		first, _ := strconv.Atoi(list[0])
		if want := fmt.Sprintf("%06d", first+299); list[299] != want {
			t.Errorf("it has words from %s to %s", list[0], list[299])
		}
		last = list[299]
	}
	if last == "000299" {
		t.Error("nothing was written meanwhile")
	}
}

func snapshotOfClosed(t *testing.T) {
	t.Parallel()
	from := closedDB(t, "a", "b")
	before, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path, write := written(t)
	if err := SnapshotOf(from, write); err != nil {
		t.Fatal(err)
	}
	if list := all(t, openDB(t, path)); len(list) != 2 {
		t.Errorf("it has %v", list)
	}
	after, err := os.ReadFile(from)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file was changed, or %v", err)
	}
	if _, err := os.Stat(closedFile(from)); err != nil {
		t.Errorf("the next start reads it whole: %v", err)
	}
}

func snapshotOfBad(t *testing.T) {
	t.Parallel()
	unread := func(Snapshot) error {
		t.Error("there is a snapshot")
		return nil
	}
	if err := SnapshotOf(filepath.Join(t.TempDir(), "missing"), unread); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	path := closedDB(t, "a")
	openDB(t, path)
	if err := SnapshotOf(path, unread); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	for _, content := range []string{"", "nothing of tables"} {
		path := filepath.Join(t.TempDir(), "db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := SnapshotOf(path, unread); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestCompactInAnyCase(t *testing.T) {
	t.Parallel()
	path := closedDB(t)
	db, err := Open(path, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		put(t, db, fmt.Sprintf("%06d", i))
	}
	closeDB(t, db)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	o := unsynced()
	o.Compact = true
	if db, err = Open(path, o); err != nil {
		t.Fatal(err)
	}
	if n := len(all(t, db)); n != 400 {
		t.Errorf("%d words are left", n)
	}
	closeDB(t, db)
	if after, err := os.Stat(path); err != nil || after.Size() >= before.Size() {
		t.Errorf("it had %d bytes and has %d, %v", before.Size(), after.Size(), err)
	}
	// Where the new file should be is a folder.
	if err := os.MkdirAll(filepath.Join(compactFile(path), "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if db, err := Open(path, o); err == nil {
		t.Error("it is not said that it failed")
		closeDB(t, db)
	}
	if n := len(all(t, openDB(t, path))); n != 400 {
		t.Errorf("%d words are left", n)
	}
}
