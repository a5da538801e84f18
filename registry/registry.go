// Package registry is the store: users, tokens, accounts, cursors, devices, notifications and each device's queue, in one
// bbolt file. It is the ground floor: it knows none of the other packages, and what they share goes through it.
//
// What commits together is decided here and nowhere else. Record puts new mail, its place in every device's queue and
// the moved cursor into one transaction, so a crash before it finds the mail again and a crash after it finds the delivery. Settle
// removes a row from a queue together with the outcome that ends it.
//
// Every method is atomic, takes and returns plain values, and checks before it writes, so that one that fails fails
// alone. Methods may be called from several goroutines; they block for as long as the disk takes. Writers that come
// while a commit is under way share the next one.
//
// Mail passwords, device addresses and message content are sealed with a key that lies outside the file; see seal.go. The file's
// layout is in schema.go.
package registry

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What a caller can decide on.
var (
	ErrNotFound  = errors.New("not found")
	ErrTaken     = errors.New("already taken")
	ErrStale     = errors.New("the row has changed since it was read")
	ErrDenied    = errors.New("wrong name, password or token")
	ErrCorrupt   = errors.New("the store is damaged")
	ErrSetupDone = errors.New("setup is done already")
	ErrLastAdmin = errors.New("nobody else is an admin")
)

// Store is the open store. Close it when no method is running any more.
type Store struct {
	db     *bolt.DB
	dir    string
	seals  seals
	hashes chan struct{} // a slot per argon2 hash that may run at once
	began  uint64        // the last sequence of an earlier run
	fault  func() error  // see Options; nil: none

	accounts signal
	outbox   signal

	ears      sync.Mutex // guards listeners
	listeners []*Listener

	mu     sync.Mutex // guards open
	open   *batch     // what the next call joins; nil: it begins one
	writer sync.Mutex // held by the one that commits; guards notes
	notes  []noted    // of the transaction that runs
}

type signal chan struct{}

func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// AccountsChanged says "look again" after an account was added, edited or removed. One reader; signals may merge.
func (s *Store) AccountsChanged() <-chan struct{} { return s.accounts }

// OutboxChanged says "look again" after a device got work or its work moved. One reader; signals may merge.
func (s *Store) OutboxChanged() <-chan struct{} { return s.outbox }

// Close waits for running transactions and closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Ready says why the store cannot be read; nil: it can.
func (s *Store) Ready() error {
	return s.view(func(tx *bolt.Tx) error {
		if tx.Bucket(meta).Get(metaSchema) == nil {
			return fmt.Errorf("%w: it has no schema version", ErrCorrupt)
		}
		return nil
	})
}

// batch is the calls that share one commit. The call that begins it commits it.
type batch struct {
	writes []*write
	done   chan struct{}
}

type write struct {
	fn  func(*bolt.Tx) error
	err error
}

// mostShared bounds one commit: the most calls that share it.
const mostShared = 256

// update runs fn in a transaction that it may share with others. fn must not write before it has made all checks that
// can fail; its error is its own and undoes nothing. Rows that cannot be written, and a failed commit, fail all.
func (s *Store) update(fn func(*bolt.Tx) error) error {
	w := &write{fn: fn}
	s.mu.Lock()
	b := s.open
	begins := b == nil || len(b.writes) == mostShared
	if begins {
		b = &batch{done: make(chan struct{})}
		s.open = b
	}
	b.writes = append(b.writes, w)
	s.mu.Unlock()
	if begins {
		s.commit(b)
	}
	<-b.done
	return w.err
}

// commit waits for the writer's place, meanwhile others join the batch, and runs them all.
func (s *Store) commit(b *batch) {
	s.writer.Lock()
	defer s.writer.Unlock()
	runtime.Gosched() // those whom the last commit let go join with their next call
	s.mu.Lock()
	if s.open == b {
		s.open = nil
	}
	s.mu.Unlock()
	s.notes = nil
	err := s.run(b.writes)
	if err != nil {
		for _, w := range b.writes {
			w.err = err
		}
	}
	close(b.done)
	if err == nil {
		s.tell(s.notes)
	}
}

func (s *Store) run(batch []*write) error {
	err := s.transact(func(tx *bolt.Tx) error {
		for _, w := range batch {
			w.err = w.fn(tx)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	return nil
}

// transact runs fn in a transaction of its own; an error or a panic undoes it.
func (s *Store) transact(fn func(*bolt.Tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = corrupt(r)
		}
	}()
	if err := s.failing(); err != nil {
		return err
	}
	return s.db.Update(fn)
}

// failing is the error that a test wants of the next transaction.
func (s *Store) failing() error {
	if s.fault == nil {
		return nil
	}
	return s.fault()
}

// view runs fn in a read transaction. fn must not wait for anything: a long read keeps old pages from being reused.
func (s *Store) view(fn func(*bolt.Tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = corrupt(r)
		}
	}()
	if err := s.failing(); err != nil {
		return err
	}
	return s.db.View(fn)
}

// corrupt makes an error of a panic: bbolt panics on a page that is not what it should be, put on a row that cannot be
// written.
func corrupt(r any) error {
	if err, ok := r.(error); ok {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, r)
}

// get decodes the row under key into row and reports whether there is one.
func get(b *bolt.Bucket, key []byte, row any) (bool, error) {
	v := b.Get(key)
	if v == nil {
		return false, nil
	}
	if err := json.Unmarshal(v, row); err != nil {
		return false, fmt.Errorf("%w: a row cannot be read: %w", ErrCorrupt, err)
	}
	return true, nil
}

// put encodes the row under key. It panics where that cannot be, which run turns into an error for all that share the
// commit: a half-written call must not be kept.
func put(b *bolt.Bucket, key []byte, row any) {
	v, err := json.Marshal(row)
	if err == nil {
		err = b.Put(key, v)
	}
	must(err)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// newID makes an opaque id of 26 lower-case letters and digits. All ids have this length, so that one is never the
// prefix of another.
func newID() string { return strings.ToLower(rand.Text()) }

// next gives the next sequence: the time, or one more than the last where the clock stands still or goes back. The
// bucket keeps the last, also when the row that it was for is gone.
func next(tx *bolt.Tx, now time.Time) uint64 {
	b := tx.Bucket(notifications)
	seq := max(uint64(max(now.UnixNano(), 0)), b.Sequence()+1)
	must(b.SetSequence(seq))
	return seq
}

func sequence(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }
