package table

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"idlepush/registry/testenv"
)

func TestCache(t *testing.T) {
	t.Parallel()
	t.Run("a row is read as the file has it, whoever writes meanwhile", cacheFollows)
	t.Run("a View that began before a commit does not see it", cacheOldView)
	t.Run("what a failed commit has read and written is forgotten", cacheFailedCommit)
	t.Run("it holds a bounded number of rows, none of them large", cacheBound)
	t.Run("a scan reads from it, and fills only what room it has", cacheScan)
}

// sameAsFile returns an error unless First and Get return the rows of the file.
func sameAsFile(tx *Tx, size uint64) error {
	names := make(map[number]string)
	err := tx.scan(people.Name(), Range{}, false, NoLimit, func(key, data []byte) error {
		row, _, err := people.open(tx, key, data)
		if err != nil {
			return err
		}
		k, err := parse[number](people.Name(), key)
		names[k] = row.Name
		return err
	})
	if err != nil {
		return err
	}
	rows, err := people.First(tx, Range{}, NoLimit)
	if err != nil || len(rows) != len(names) {
		return fmt.Errorf("First returns %d rows, %w; the file has %d", len(rows), err, len(names))
	}
	for _, row := range rows {
		if name, there := names[row.Key]; !there || row.Value.Name != name {
			return fmt.Errorf("%d is %q by First; the file has %q, %v", row.Key, row.Value.Name, name, there)
		}
	}
	for k := range number(size) {
		row, found, err := people.Get(tx, k)
		if err != nil {
			return err
		}
		if name, there := names[k]; found != there || row.Name != name {
			return fmt.Errorf("%d is %q, %v; the file has %q, %v", k, row.Name, found, name, there)
		}
		if !found {
			continue
		}
		if by, found, err := named.Get(tx, Text(row.Name)); err != nil || !found || by != k {
			return fmt.Errorf("%q leads to %d, %v, %w; it is the name of %d", row.Name, by, found, err, k)
		}
	}
	return nil
}

func cacheFollows(t *testing.T) {
	t.Parallel()
	const rows, writes, workers = 20, 100, 4
	db := newDB(t, Options{})
	random := testenv.Rand(t)
	seeds := random.Perm(workers * writes)
	mine := errors.New("mine")
	var calls sync.WaitGroup
	for w := range workers {
		calls.Go(func() {
			for i := range writes {
				err := db.Update(func(tx *Tx) error {
					k := number(seeds[w*writes+i] % rows)
					if err := sameAsFile(tx, rows); err != nil {
						return err
					}
					change := func() error { return people.Put(tx, k, person{Name: fmt.Sprint("row ", w, i)}) }
					if i%7 == 3 {
						change = func() error { return people.Delete(tx, k) }
					}
					if err := errors.Join(change(), sameAsFile(tx, rows)); err != nil || i%5 > 0 {
						return err
					}
					return mine
				})
				if err != nil && !errors.Is(err, mine) {
					t.Error(err)
				}
			}
		})
		calls.Go(func() {
			for range writes {
				err := db.View(func(tx *Tx) error { return errors.Join(sameAsFile(tx, rows), sameAsFile(tx, rows)) })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	calls.Wait()
	if err := db.View(func(tx *Tx) error {
		for name := range db.cache.tables[named.Name()] {
			by, found, err := named.Get(tx, Text(name))
			row, _, rowErr := people.Get(tx, by)
			if !found || row.Name != name {
				t.Errorf("%q is remembered to lead to %d, which is %q, %v", name, by, row.Name, errors.Join(err, rowErr))
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func cacheOldView(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	word := func(tx *Tx) string {
		row, _, err := words.Get(tx, "a")
		if err != nil {
			t.Error(err)
		}
		return row
	}
	write := func(row string) { update(t, db, func(tx *Tx) error { return words.Put(tx, "a", row) }) }
	write(strings.Repeat("x", 1<<20)) // a file that grew would wait for the View
	write("first")
	for _, isCached := range []bool{false, true} {
		err := db.View(func(old *Tx) error {
			before := "not read"
			if isCached {
				before = word(old)
			}
			write("second")
			for range 2 { // the first of them fills the cache
				if err := db.View(func(fresh *Tx) error {
					if got := word(fresh); got != "second" {
						t.Errorf("a new View reads %q", got)
					}
					return nil
				}); err != nil {
					return err
				}
				if got := word(old); got != "first" {
					t.Errorf("the old View reads %q, and %q before", got, before)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		write("first")
	}
}

// A call that panics undoes the calls that share its commit.
func cacheFailedCommit(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	update(t, db, func(tx *Tx) error { return words.Put(tx, "a", "old") })
	_, panics := together(t, db,
		func(tx *Tx) error { return words.Put(tx, "a", "new") },
		func(tx *Tx) error {
			if row, _, err := words.Get(tx, "a"); err != nil || row != "new" {
				t.Errorf("a call of the same commit reads %q, %v", row, err)
			}
			panic("a bug")
		})
	if panics[0] == nil {
		t.Error("it did not panic")
	}
	for name, do := range map[string]func(func(*Tx) error) error{"View": db.View, "Update": db.Update} {
		if err := do(func(tx *Tx) error {
			if row, _, err := words.Get(tx, "a"); err != nil || row != "old" {
				t.Errorf("then a %s reads %q, %v", name, row, err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

func cacheBound(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	isKept := func(k Text, row string) bool {
		update(t, db, func(tx *Tx) error { return words.Put(tx, k, row) })
		if err := db.View(func(tx *Tx) error {
			if got, _, err := words.Get(tx, k); err != nil || got != row {
				t.Errorf("%s has %d bytes, %v", k, len(got), err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		_, kept := db.cache.tables["words"][string(k.Append(nil))]
		return kept
	}
	for i := range maxCached + 100 {
		if !isKept(Text(fmt.Sprint(i)), "row") {
			t.Fatalf("row %d is not kept", i)
		}
	}
	if n := len(db.cache.tables["words"]); n != maxCached {
		t.Errorf("it has %d rows", n)
	}
	if isKept("large", strings.Repeat("x", maxCachedRow+1)) {
		t.Error("a large row is kept")
	}
}

func cacheScan(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	row := func(i int) Text { return Text(fmt.Sprintf("row %04d", i)) }
	const rows, hot = maxCached + 100, maxCached - 10 // the last ones are hot
	update(t, db, func(tx *Tx) error {
		for i := range rows {
			if err := words.Put(tx, row(i), "written"); err != nil {
				return err
			}
		}
		return nil
	})
	view := func(fn func(tx *Tx) error) {
		t.Helper()
		if err := db.View(fn); err != nil {
			t.Error(err)
		}
	}
	view(func(tx *Tx) error {
		for i := rows - hot; i < rows; i++ {
			if _, _, err := words.Get(tx, row(i)); err != nil {
				return err
			}
		}
		_, err := words.First(tx, Range{}, NoLimit)
		return err
	})
	kept := db.cache.tables["words"]
	for i := range rows {
		if _, found := kept[string(row(i))]; found != (i < maxCached-hot || i >= rows-hot) {
			t.Errorf("after a scan, row %d of %d is kept: %v", i, rows, found)
		}
		if _, found := kept[string(row(i))]; found {
			remembered := "remembered"
			kept[string(row(i))] = cachedRow{&remembered, 0}
		}
	}
	for name, scan := range map[string]func(*Tx, Range, int) ([]Row[Text, string], error){"First": words.First, "Last": words.Last} {
		view(func(tx *Tx) error {
			list, err := scan(tx, Range{}, NoLimit)
			for _, got := range list {
				want := "written"
				if _, found := kept[string(got.Key)]; found {
					want = "remembered"
				}
				if got.Value != want {
					t.Errorf("%s returns %s as it was %s", name, got.Key, got.Value)
				}
			}
			if len(list) != rows {
				t.Errorf("%s returns %d rows", name, len(list))
			}
			return err
		})
	}
}
