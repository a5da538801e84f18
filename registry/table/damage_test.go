package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"idlepush/registry/testenv"
)

// Offsets in a page of bbolt. See package boltcheck.
const (
	pageFlags  = 8
	pageCount  = 10
	firstValue = 16 // of a page; the child of a branch's first element is 8 bytes later
)

// damage changes a closed file in a way that its mark still fits.
func damage(t testing.TB, path string, change func(t testing.TB, data []byte, pages map[string][]int)) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(t, data, pages(t, path))
	if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, time.Time{}, info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if info, err = os.Stat(path); err != nil || !isUnchanged(path, info) {
		t.Fatalf("the mark does not fit, %v", err)
	}
}

// pages returns the offsets of the pages by bbolt's name for their kind.
func pages(t testing.TB, path string) map[string][]int {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	list := make(map[string][]int)
	err = db.View(func(tx *bolt.Tx) error {
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			if p == nil || err != nil {
				return err
			}
			list[p.Type] = append(list[p.Type], id*db.Info().PageSize)
		}
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return list
}

// loseFreePage removes a page from the list of free pages.
func loseFreePage(_ testing.TB, data []byte, pages map[string][]int) {
	at := data[pages["freelist"][0]+pageCount:]
	binary.NativeEndian.PutUint16(at, binary.NativeEndian.Uint16(at)-1)
}

// leadToItself makes a branch page its own child. bbolt follows that until the stack overflows,
// which ends the process.
func leadToItself(t testing.TB, data []byte, pages map[string][]int) {
	if len(pages["branch"]) == 0 {
		t.Fatal("there is no branch page")
	}
	at := pages["branch"][0]
	copy(data[at+firstValue+8:], data[at:at+8])
}

// unknownPage changes the kind of the leaf with the word 0500 to one on which bbolt panics.
func unknownPage(t testing.TB, data []byte, pages map[string][]int) {
	for _, at := range pages["leaf"] {
		if bytes.Contains(data[at:at+os.Getpagesize()], []byte("0500-")) {
			data[at+pageFlags] = 0x80
			return
		}
	}
	t.Fatal("there is no such leaf")
}

// manyWordsDB makes a file that has many pages.
func manyWordsDB(t testing.TB) (path string) {
	t.Helper()
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("%04d%s", i, strings.Repeat("-", 50)))
	}
	return closedDB(t, list...)
}

// readDamage is the child that reads all rows.
func readDamage(path string) error {
	db, err := Open(path, unsynced())
	if err != nil {
		return err
	}
	err = db.View(func(tx *Tx) error { _, err := words.First(tx, Range{}, NoLimit); return err })
	return errors.Join(err, db.Close())
}

func TestDamage(t *testing.T) {
	t.Parallel()
	t.Run("a damaged file whose mark fits", damagedFileMarkFits)
	t.Run("a file that is cut short while it is open", openFileCutShort)
	t.Run("a file that is overwritten while it is open", openFileOverwritten)
	t.Run("a value on a page that is missing", valueOnMissingPage)
	t.Run("flipped bits", flippedBits)
}

func damagedFileMarkFits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(testing.TB, []byte, map[string][]int){
		"a branch that leads to itself": leadToItself,
		"a page of unknown kind":        unknownPage,
	} {
		t.Run(name+" is found at the next start", func(t *testing.T) {
			path := manyWordsDB(t)
			damage(t, path, change)
			out, err := child(t, "read damage", path).CombinedOutput()
			if err == nil {
				t.Fatalf("it was not found: %s", out)
			}
			if marked(t, path) {
				t.Error("it has a mark again")
			}
			if _, err := Open(path, unsynced()); !errors.Is(err, ErrCorrupt) {
				t.Errorf("at the next start: %v", err)
			}
		})
	}
	t.Run("is found by a read of its page, and other pages can be read", func(t *testing.T) {
		path := manyWordsDB(t)
		damage(t, path, unknownPage)
		db := openDB(t, path)
		read := 0
		view(t, db, func(tx *Tx) error {
			for i := range 1000 {
				_, found, err := words.Get(tx, Text(fmt.Sprintf("%04d%s", i, strings.Repeat("-", 50))))
				if err != nil && !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
				if found {
					read++
				}
			}
			for name, read := range map[string]func(*Tx, Range, int) ([]Row[Text, string], error){"First": words.First, "Last": words.Last} {
				if _, err := read(tx, Range{}, NoLimit); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %v", name, err)
				}
			}
			return nil
		})
		if read == 0 || read == 1000 {
			t.Errorf("%d rows can be read", read)
		}
		err := db.Update(func(tx *Tx) error {
			for i := range 1000 {
				if err := words.Delete(tx, Text(fmt.Sprintf("%04d%s", i, strings.Repeat("-", 50)))); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("Update: %v", err)
		}
	})
}

func openFileCutShort(t *testing.T) {
	t.Parallel()
	path := manyWordsDB(t)
	db := openDB(t, path)
	if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(tx *Tx) error{
		"Get":   func(tx *Tx) error { _, _, err := words.Get(tx, "a"); return err },
		"First": func(tx *Tx) error { _, err := words.First(tx, Range{}, 1); return err },
		"Last":  func(tx *Tx) error { _, err := words.Last(tx, Range{}, 1); return err },
	} {
		if err := db.View(read); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func openFileOverwritten(t *testing.T) {
	t.Parallel()
	path := manyWordsDB(t)
	db := openDB(t, path)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	nothing := func(*Tx) error { return nil }
	for range 2 { // the second does not wait for bbolt's locks
		if read, write := db.View(nothing), db.Update(nothing); !errors.Is(read, ErrCorrupt) || !errors.Is(write, ErrCorrupt) {
			t.Errorf("%v, %v", read, write)
		}
	}
}

// A value may be in memory that is not mapped. Only a guarded read of it does not end the process.
func valueOnMissingPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	db, err := Create(path, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	put(t, db, strings.Repeat("x", 5000)) // takes several pages
	last, pages := lastPage(t, db)
	for n := number(0); pages == 1; last, pages = lastPage(t, db) { // until it is the last
		n++
		update(t, db, func(tx *Tx) error { return people.Put(tx, n, person{}) })
	}
	if err := os.Truncate(path, int64((last+pages-1)*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	view(t, db, func(tx *Tx) error {
		for name, read := range map[string]func() error{
			"Get":   func() error { _, _, err := words.Get(tx, Text(strings.Repeat("x", 5000))); return err },
			"First": func() error { _, err := words.First(tx, Range{}, 1); return err },
			"Last":  func() error { _, err := words.Last(tx, Range{}, 1); return err },
		} {
			if err := read(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := people.Keys(tx, Range{}, NoLimit)
		return err
	})
}

// lastPage returns the last page in use, and their number with those that it overflows into.
func lastPage(t testing.TB, db *DB) (last, pages int) {
	t.Helper()
	err := db.bolt.View(func(tx *bolt.Tx) error {
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			if p == nil || err != nil {
				return err
			}
			if p.Type != "free" {
				last, pages = id, 1+p.OverflowCount
				id += p.OverflowCount
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return last, pages
}

// flippedBits damages a file that has no mark. Every error of Open and later calls must be
// ErrCorrupt.
func flippedBits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	db, err := Create(path, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		update(t, db, func(tx *Tx) error {
			for k := range 100 {
				row := person{fmt.Sprint("name", k), []string{"Bonn", strings.Repeat("-", 10*i)}}
				if err := people.Put(tx, number(k), row); err != nil {
					return err
				}
			}
			return nil
		})
	}
	closeDB(t, db)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := testenv.Rand(t)
	refused := 0
	for range testenv.Tenth(2000) {
		data := append([]byte{}, whole...)
		var flips []int
		for range 1 + random.IntN(8) {
			at := random.IntN(len(data))
			data[at] ^= 1 << random.IntN(8)
			flips = append(flips, at)
		}
		if err := errors.Join(os.RemoveAll(closedFile(path)), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
		if !usable(t, path) {
			refused++
		}
		if t.Failed() {
			t.Fatalf("flipped at %v", flips)
		}
	}
	if refused == 0 {
		t.Error("no file was refused")
	}
}

// usable opens the file, reads all of it and writes to it. It reports whether Open succeeded.
func usable(t *testing.T, path string) bool {
	t.Helper()
	db, err := Open(path, unsynced())
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		return false
	}
	read := func(tx *Tx) error {
		_, firstErr := people.First(tx, Range{}, NoLimit)
		_, lastErr := livingIn.Last(tx, Range{}, NoLimit)
		_, rowsErr := named.Rows(tx, Range{}, NoLimit)
		return errors.Join(firstErr, lastErr, rowsErr)
	}
	write := func(tx *Tx) error {
		for k := range 50 {
			if err := people.Delete(tx, number(2*k)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, err := range []error{db.View(read), db.Update(write), db.View(read), db.Close()} {
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	}
	return true
}
