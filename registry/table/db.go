package table

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// DB is an open file of tables. Its methods may be called from several goroutines.
type DB struct {
	path     string
	file     *os.File // the one that bolt has open
	bolt     *bolt.DB
	keys     derivedKeys
	bound    int
	fault    func() error
	full     func() error        // see Options.Full
	told     func(time.Duration) // see Options.Committed
	watchers map[string][]any    // by table
	cache    cache
	suspect  atomic.Bool // bbolt has panicked: the file is damaged
	lost     atomic.Bool // bbolt panicked as it began a transaction, and keeps its locks

	mu     sync.Mutex // guards the next three
	open   *batch     // the next Update joins it; nil: the next begins one
	failed error      // of the last commit
	count  int        // of the commits
	writer writer
}

// writer is locked during a commit.
type writer struct {
	sync.Mutex
	released time.Time // when the last commit ended, if it had several calls
	room     room
}

// comesAgain is how soon a caller that a commit has released writes again, if it does. Later, it is
// not known that anybody is about to write, and to wait for them is to wait for all that can run.
const comesAgain = 10 * time.Millisecond

// ended notes that a commit of so many calls has ended.
func (w *writer) ended(calls int, now time.Time) {
	if w.released = now; calls < 2 {
		w.released = time.Time{}
	}
}

// expects reports whether callers that the last commit has released may be about to write again.
func (w *writer) expects(now time.Time) bool { return now.Sub(w.released) < comesAgain }

// derivedKeys are derived from the key of the store.
type derivedKeys struct {
	seal   cipher.AEAD
	tag    []byte
	digest []byte
}

// Ready returns the error of the last commit, or nil if it succeeded or there was no commit yet.
func (db *DB) Ready() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.failed
}

// Commits returns how many commits have changed something since Open.
func (db *DB) Commits() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.count
}

// View runs fn in a transaction that reads one state of the store. fn must not wait for anything:
// as long as it runs, pages that others free cannot be reused.
func (db *DB) View(fn func(*Tx) error) error {
	if err := db.injectedFault(); err != nil {
		return err
	}
	tx, err := db.begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	t := &Tx{db: db, engine: &engineTx{Tx: tx, db: db}}
	defer t.end()
	return fn(t)
}

// Update runs fn in a transaction that may write, and returns after its commit. An error of fn
// undoes what it wrote.
//
// Several calls may share a commit. Each sees what those before it wrote. If the commit fails, all
// of them return its error. One of the callers runs all their functions: if one panics, so does
// that caller, and the others return an error. fn must not call Update or wait for another call.
func (db *DB) Update(fn func(*Tx) error) error {
	w := &write{fn: fn}
	db.mu.Lock()
	b := db.open
	begins := b == nil || len(b.writes) == maxShared
	if begins {
		b = &batch{done: make(chan struct{})}
		db.open = b
	}
	b.writes = append(b.writes, w)
	db.mu.Unlock()
	if begins {
		db.commit(b)
	}
	<-b.done
	return w.err
}

// batch holds the calls that share one commit. The call that begins it commits it.
type batch struct {
	writes []*write
	done   chan struct{}
}

type write struct {
	fn  func(*Tx) error
	err error
}

// maxShared is the largest number of calls that share a commit.
const maxShared = 256

var errPanicked = errors.New("write the store: another call that shared the commit panicked")

// commit waits until it may write, while others join the batch, and runs all calls of the batch.
func (db *DB) commit(b *batch) {
	db.writer.Lock()
	defer db.writer.Unlock()
	if db.writer.expects(time.Now()) {
		db.awaitOthers(b)
	}
	db.mu.Lock()
	if db.open == b {
		db.open = nil
	}
	db.mu.Unlock()
	defer func() { db.writer.ended(len(b.writes), time.Now()) }()
	failed := errPanicked
	defer func() {
		if failed != nil {
			for _, w := range b.writes {
				w.err = failed
			}
		}
		close(b.done)
	}()
	began := time.Now()
	after, written, err := db.run(b.writes)
	if failed = err; err != nil {
		failed = fmt.Errorf("write the store: %w", err)
	}
	if written || failed != nil {
		db.mu.Lock()
		if db.failed = failed; failed == nil {
			db.count++
		}
		db.mu.Unlock()
	}
	if written && failed == nil && db.told != nil {
		db.told(time.Since(began))
	}
	for _, notify := range after {
		notify()
	}
}

// awaitOthers yields to the callers that the last commit has released, as long as they join the
// batch with their next call.
func (db *DB) awaitOthers(b *batch) {
	joined := func() int {
		db.mu.Lock()
		defer db.mu.Unlock()
		return len(b.writes)
	}
	for before, now := 0, joined(); now > before; before, now = now, joined() {
		runtime.Gosched()
	}
}

// run runs the calls in one transaction of the engine. Its error undoes all of them; that of a call
// undoes only this call. after are the functions to call if the commit was made.
func (db *DB) run(writes []*write) (after []func(), written bool, err error) {
	if err := db.injectedFault(); err != nil {
		return nil, false, err
	}
	tx, err := db.begin(true)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = db.guard(tx.Rollback) }() // does nothing after Commit
	applied := false
	defer func() {
		if applied {
			db.cache.clear()
		}
	}()
	engine := &engineTx{Tx: tx, db: db}
	for _, w := range writes {
		t := &Tx{db: db, engine: engine, writable: true}
		if w.err = w.fn(t); w.err == nil {
			w.err = t.failed
		}
		t.end()
		if w.err != nil {
			continue
		}
		applied = applied || len(t.writes) > 0
		if err := t.apply(); err != nil {
			return nil, false, err
		}
		after = append(after, t.after...)
	}
	if !applied {
		return nil, false, nil
	}
	if !db.bolt.NoSync { // else nothing waits for the journal
		db.writer.room.extend(db.file, tx.Size())
	}
	made := tx.ID()
	err = db.guard(func() error {
		if db.full != nil {
			if err := db.full(); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
	if applied = err != nil; applied && !db.isAt(made) {
		after = nil
	}
	return after, true, err
}

// isAt reports whether the transaction with this id is the last that was made. bbolt goes on with
// one that is written, also if the disk then does not answer that it has it.
func (db *DB) isAt(id int) bool {
	tx, err := db.begin(false)
	if err != nil {
		return false
	}
	defer tx.Rollback()
	return tx.ID() == id
}

func (db *DB) begin(writable bool) (tx *bolt.Tx, err error) {
	if db.lost.Load() {
		return nil, fmt.Errorf("%w: it was overwritten while it was open", ErrCorrupt)
	}
	err = db.guard(func() (err error) {
		tx, err = db.bolt.Begin(writable)
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		db.lost.Store(true)
	}
	return tx, err
}

// injectedFault returns the error that a test has set for the next transaction.
func (db *DB) injectedFault() error {
	if db.fault == nil {
		return nil
	}
	return db.fault()
}
