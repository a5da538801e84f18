package table

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"idlepush/registry/testenv"
)

// commits returns the number of commits so far.
func commits(t testing.TB, db *DB) (n int) {
	t.Helper()
	if err := db.bolt.View(func(tx *bolt.Tx) error { n = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// holdCommit begins a transaction and keeps it until release is called.
func holdCommit(t testing.TB, db *DB) (release func()) {
	t.Helper()
	held, end := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		err := db.Update(func(*Tx) error {
			close(held)
			<-end
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	return func() {
		close(end)
		done.Wait()
	}
}

// awaitWaiting returns when n calls wait for the next commit.
func awaitWaiting(t testing.TB, db *DB, n int) {
	t.Helper()
	testenv.Await(t, "calls wait for the next commit", func() error {
		db.mu.Lock()
		defer db.mu.Unlock()
		waiting := 0
		if db.open != nil {
			waiting = len(db.open.writes)
		}
		if waiting != n {
			return fmt.Errorf("%d of %d", waiting, n)
		}
		return nil
	})
}

// together runs the functions in one commit, in order. It returns the error of each Update, and
// what it panicked with.
func together(t testing.TB, db *DB, fns ...func(*Tx) error) (errs []error, panics []any) {
	t.Helper()
	errs, panics = make([]error, len(fns)), make([]any, len(fns))
	release := holdCommit(t, db)
	var calls sync.WaitGroup
	for i, fn := range fns {
		calls.Go(func() { panics[i] = recovered(func() { errs[i] = db.Update(fn) }) })
		awaitWaiting(t, db, i+1)
	}
	release()
	calls.Wait()
	return errs, panics
}

func TestCommit(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	fail := func(tx *Tx) error { return errors.Join(words.Put(tx, "half", "half"), mine) }

	t.Run("calls that wait share a commit, and an error fails one of them only", func(t *testing.T) {
		db := newDB(t, Options{})
		before := commits(t, db)
		sees := func(tx *Tx) error {
			rows, err := words.First(tx, Range{}, NoLimit)
			if len(rows) != 1 || rows[0].Value != "a" {
				t.Errorf("a call sees %v of the calls before it", rows)
			}
			return err
		}
		errs, _ := together(t, db, putWord("a"), fail, sees, putWord("b"))
		if errs[0] != nil || !errors.Is(errs[1], mine) || errs[2] != nil || errs[3] != nil {
			t.Error(errs)
		}
		if got := all(t, db); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("there is %v", got)
		}
		if n := commits(t, db) - before; n != 1 {
			t.Errorf("%d commits", n)
		}
	})
	t.Run("calls that write nothing need no commit", func(t *testing.T) {
		db := newDB(t, Options{})
		before := commits(t, db)
		update(t, db, func(*Tx) error { return nil })
		if n := commits(t, db) - before; n != 0 {
			t.Errorf("%d commits", n)
		}
	})
	t.Run("what cannot be written is as if it had not been tried, and can be read meanwhile", func(t *testing.T) {
		var full error
		db := newDB(t, Options{Full: func() error { return full }})
		put(t, db, "before")
		full = errors.New("the disk is full")
		told := false
		err := db.Update(func(tx *Tx) error {
			tx.after = append(tx.after, func() { told = true })
			return putWord("meanwhile")(tx)
		})
		if !errors.Is(err, full) || !errors.Is(db.Ready(), full) || told {
			t.Errorf("%v, then %v; told: %v", err, db.Ready(), told)
		}
		if got := all(t, db); !slices.Equal(got, []string{"before"}) {
			t.Errorf("it holds %q", got)
		}
		full = nil
		put(t, db, "after")
		if got := all(t, db); !slices.Equal(got, []string{"after", "before"}) {
			t.Errorf("then it holds %q", got)
		}
	})
	t.Run("a failed commit fails all its calls, and the store is not ready until one succeeds", func(t *testing.T) {
		full := errors.New("the disk is full")
		var fault error
		db := newDB(t, Options{Fault: func() error { return fault }})
		put(t, db, "before")
		release := holdCommit(t, db)
		fault = full
		var calls sync.WaitGroup
		for i, fn := range []func(*Tx) error{putWord("a"), fail} {
			calls.Go(func() {
				if err := db.Update(fn); !errors.Is(err, full) || errors.Is(err, mine) {
					t.Errorf("call %d: %v", i, err)
				}
			})
			awaitWaiting(t, db, i+1)
		}
		release()
		calls.Wait()
		if err := db.View(func(*Tx) error { return nil }); !errors.Is(err, full) {
			t.Errorf("View: %v", err)
		}
		fault = nil
		for range 2 {
			if err := db.Ready(); !errors.Is(err, full) {
				t.Errorf("after it failed: %v", err)
			}
			all(t, db)
			update(t, db, func(*Tx) error { return nil }) // no commit
			_ = db.Update(fail)                           // no commit either
		}
		put(t, db, "after")
		if err := db.Ready(); err != nil {
			t.Errorf("after one succeeded: %v", err)
		}
		if got := all(t, db); !slices.Equal(got, []string{"after", "before"}) {
			t.Errorf("there is %v", got)
		}
	})
	t.Run("a call returns after its own commit, however many wait for the next", func(t *testing.T) {
		db := newDB(t, Options{})
		release := holdCommit(t, db)
		var first, second sync.WaitGroup
		nothing := func(*Tx) error { return nil }
		for range maxShared {
			first.Go(func() {
				if err := db.Update(nothing); err != nil {
					t.Error(err)
				}
			})
		}
		awaitWaiting(t, db, maxShared)
		gate := make(chan struct{})
		second.Go(func() {
			if err := db.Update(func(*Tx) error { <-gate; return nil }); err != nil {
				t.Error(err)
			}
		})
		awaitWaiting(t, db, 1)
		release()
		first.Wait() // during the second commit
		close(gate)
		second.Wait()
	})
	t.Run("many writers at once lose nothing", func(t *testing.T) {
		db := newDB(t, Options{})
		const writers, each = 16, 20
		var calls sync.WaitGroup
		for range writers {
			calls.Go(func() {
				for range each {
					err := db.Update(func(tx *Tx) error {
						row, _, err := people.Get(tx, 1)
						row.Name += "x"
						return errors.Join(err, people.Put(tx, 1, row))
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		calls.Wait()
		view(t, db, func(tx *Tx) error {
			row, _, err := people.Get(tx, 1)
			if len(row.Name) != writers*each {
				t.Errorf("%d of %d are kept", len(row.Name), writers*each)
			}
			return err
		})
	})
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var none []int
	bug := func(tx *Tx) error {
		_ = putWord("half")(tx)
		return fmt.Errorf("%d", none[3])
	}
	t.Run("of one call reaches its caller, and the others return an error", func(t *testing.T) {
		for at := range 3 {
			db := newDB(t, Options{})
			fns := []func(*Tx) error{putWord("a"), putWord("b"), putWord("c")}
			fns[at] = bug
			errs, panics := together(t, db, fns...)
			// The first call runs all of them.
			if !strings.Contains(fmt.Sprint(panics[0]), "index out of range") || panics[1] != nil || panics[2] != nil {
				t.Errorf("panics: %v", panics)
			}
			for _, err := range errs[1:] {
				if !errors.Is(err, errPanicked) || errors.Is(err, ErrCorrupt) {
					t.Errorf("a call that shared the commit returned %v", err)
				}
			}
			put(t, db, "after")
			if got := all(t, db); !slices.Equal(got, []string{"after"}) {
				t.Errorf("there is %v", got)
			}
		}
	})
	t.Run("of a View reaches its caller", func(t *testing.T) {
		db := newDB(t, Options{})
		if r := recovered(func() { _ = db.View(func(*Tx) error { return fmt.Errorf("%d", none[3]) }) }); r == nil {
			t.Error("it is lost")
		}
		put(t, db, "after") // and Close does not wait for its transaction
	})
	t.Run("in the encoding of keys and rows reaches the caller", func(t *testing.T) {
		db := newDB(t, Options{})
		put(t, db, "a")
		broken := New[brokenKey, string]("words")
		for name, read := range map[string]func(*Tx) error{
			"Keys":  func(tx *Tx) error { _, err := broken.Keys(tx, Range{}, 1); return err },
			"First": func(tx *Tx) error { _, err := broken.First(tx, Range{}, 1); return err },
		} {
			if r := recovered(func() { _ = db.View(read) }); r != "a bug" {
				t.Errorf("%s: %v", name, r)
			}
		}
	})
	t.Run("of a watcher reaches the caller after the commit", func(t *testing.T) {
		db := newDB(t, Options{})
		words.Watch(db, func(Text, *string, *string) { panic("a bug") })
		if r := recovered(func() { _ = db.Update(putWord("a")) }); r != "a bug" {
			t.Error(r)
		}
		if got := all(t, db); !slices.Equal(got, []string{"a"}) {
			t.Errorf("there is %v", got)
		}
	})
}

// brokenKey is a key with a bug.
type brokenKey struct{ Text }

func (brokenKey) Parse([]byte) (brokenKey, error) { panic("a bug") }

func TestWatch(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	var changes []string
	say := func(text *string) string {
		if text == nil {
			return "nothing"
		}
		return *text
	}
	watch := func(name string) {
		words.Watch(db, func(k Text, before, after *string) {
			changes = append(changes, fmt.Sprintf("%s: %s from %s to %s", name, k, say(before), say(after)))
		})
	}
	watch("one")
	set := func(k Text, w string) func(*Tx) error { return func(tx *Tx) error { return words.Put(tx, k, w) } }
	expect := func(t *testing.T, want ...string) {
		t.Helper()
		if !slices.Equal(changes, want) {
			t.Errorf("%q, want %q", changes, want)
		}
		changes = nil
	}
	t.Run("reports the changes of a commit in order", func(t *testing.T) {
		update(t, db, func(tx *Tx) error {
			return errors.Join(set("k", "a")(tx), set("j", "b")(tx), set("k", "c")(tx), words.Delete(tx, "j"), words.Delete(tx, "none"))
		})
		expect(t, "one: k from nothing to a", "one: j from nothing to b", "one: k from a to c", "one: j from b to nothing")
	})
	t.Run("reports nothing of a call that failed", func(t *testing.T) {
		errs, _ := together(t, db, set("k", "d"), func(tx *Tx) error { return errors.Join(set("k", "e")(tx), errors.New("mine")) }, set("k", "f"))
		if errs[0] != nil || errs[1] == nil || errs[2] != nil {
			t.Error(errs)
		}
		expect(t, "one: k from c to d", "one: k from d to f")
	})
	t.Run("reports nothing of another table", func(t *testing.T) {
		update(t, db, func(tx *Tx) error { return people.Put(tx, 1, person{Name: "ann"}) })
		expect(t)
	})
	t.Run("calls every watcher before Update returns, when others can read the change", func(t *testing.T) {
		watch("two")
		words.Watch(db, func(Text, *string, *string) { changes = append(changes, fmt.Sprint(len(all(t, db)), " words")) })
		update(t, db, func(tx *Tx) error { return words.Delete(tx, "k") })
		expect(t, "one: k from f to nothing", "two: k from f to nothing", "0 words")
	})
	t.Run("reports nothing of a commit that failed", watchFailedCommit)
	t.Run("reports a commit that failed once it was made", watchMadeCommit)
}

// watchMadeCommit has a commit fail when all is written, as if the disk did not answer then.
func watchMadeCommit(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	var changes []string
	words.Watch(db, func(k Text, _, _ *string) { changes = append(changes, string(k)) })
	err := db.Update(func(tx *Tx) error {
		tx.engine.OnCommit(func() { panic("no answer") })
		return putWord("a")(tx)
	})
	if err == nil || db.Ready() == nil {
		t.Error("it did not fail")
	}
	if got := all(t, db); !slices.Equal(got, changes) {
		t.Errorf("there is %v, and reported is %v", got, changes)
	}
}

func watchFailedCommit(t *testing.T) {
	t.Parallel()
	var fault error
	db := newDB(t, Options{Fault: func() error { return fault }})
	words.Watch(db, func(Text, *string, *string) { t.Error("it was called") })
	fault = errors.New("the disk is full")
	if err := db.Update(putWord("a")); !errors.Is(err, fault) {
		t.Error(err)
	}
	fault = nil
}

func TestClose(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	db, err := Create(path, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("waits for a running transaction", func(t *testing.T) {
		runs, end := make(chan struct{}), make(chan struct{})
		var calls sync.WaitGroup
		calls.Go(func() {
			err := db.Update(func(tx *Tx) error {
				close(runs)
				<-end
				return putWord("a")(tx)
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-runs
		calls.Go(func() { closeDB(t, db) })
		close(end)
		calls.Wait()
		if db, err = Open(path, unsynced()); err != nil {
			t.Fatal(err)
		}
		if got := all(t, db); !slices.Equal(got, []string{"a"}) {
			t.Errorf("there is %v", got)
		}
		closeDB(t, db)
	})
	t.Run("fails all later calls", func(t *testing.T) {
		nothing := func(*Tx) error { return nil }
		if update, view := db.Update(nothing), db.View(nothing); update == nil || view == nil {
			t.Errorf("%v, %v", update, view)
		}
	})
	t.Run("may be called again, while another DB has the file open", func(t *testing.T) {
		other, err := Open(path, unsynced())
		if err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
		if marked(t, path) {
			t.Error("the mark is there while the file is open")
		}
		closeDB(t, other)
	})
}

func TestWriter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		calls   int // of the last commit
		after   time.Duration
		expects bool
	}{
		{2, 0, true},
		{2, time.Millisecond, true},
		{2, time.Second, false},
		{1, 0, false},
		{1, time.Second, false},
	} {
		now := time.Now()
		var w writer
		w.ended(100, now)
		w.ended(c.calls, now)
		if got := w.expects(now.Add(c.after)); got != c.expects {
			t.Errorf("%v after a commit of %d calls it expects others: %v", c.after, c.calls, got)
		}
	}
}
