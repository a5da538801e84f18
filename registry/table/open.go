package table

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"idlepush/registry/boltcheck"
)

var (
	// ErrCorrupt reports that the file is damaged.
	ErrCorrupt = errors.New("the store is damaged")

	// ErrInUse reports that another process has the file open.
	ErrInUse = errors.New("the store is in use by another process")
)

// LockWait is how long Open waits for another process to close the file.
const LockWait = 1500 * time.Millisecond

// Options are those of Create and Open.
type Options struct {
	Key     []byte       // seals columns; it has KeySize bytes
	Compact bool         // Open compacts the file in any case, and fails if that fails
	NoSync  bool         // commits do not wait for the disk; for tests
	Bound   int          // the most reads and writes of one transaction; 0: no bound
	Fault   func() error // called before each transaction, which fails with its error; for tests
	Full    func() error // called before a commit is written, which fails with its error

	// Committed is called after each commit that changed something, with how long it took; nil:
	// not.
	Committed func(time.Duration)
}

// Create creates a new file and opens it. It returns an error if the file exists.
func Create(path string, o Options) (*DB, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, explain(path, err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return open(path, o)
}

// Open opens a file that Create has made. It waits up to 1.5 s for another process to close it, and
// then returns ErrInUse. The error wraps ErrCorrupt if the file is damaged. To find that out, Open
// reads the whole file, unless Close has left it as it is.
//
// Open compacts the file if it is larger than a megabyte and more than half of it is free. If that
// fails, as on a full disk, the file stays as it is.
func Open(path string, o Options) (*DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explain(path, err)
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	trusted := isUnchanged(path, info)
	if !trusted {
		if err := boltcheck.Check(path, LockWait); err != nil {
			return nil, translate(path, err)
		}
	}
	db, err := open(path, o)
	if err != nil || !db.isWasteful() && !o.Compact {
		return db, err
	}
	if trusted { // a compacted copy of a damaged file would look whole
		if err := boltcheck.CheckFile(db.file, db.bolt.Info().PageSize); err != nil {
			return nil, errors.Join(translate(path, err), db.bolt.Close())
		}
	}
	replaced, err := db.compact()
	switch {
	case err != nil && (replaced || o.Compact):
		return nil, errors.Join(fmt.Errorf("compact the file: %w", err), db.bolt.Close())
	case !replaced:
		return db, nil
	}
	if err := db.bolt.Close(); err != nil {
		return nil, err
	}
	return open(path, o)
}

func open(path string, o Options) (*DB, error) {
	aead, err := newAEAD(o.Key)
	if err != nil {
		return nil, err
	}
	tagKey, err := newTagKey(o.Key)
	if err != nil {
		return nil, err
	}
	digestKey, err := newDigestKey(o.Key)
	if err != nil {
		return nil, err
	}
	db := &DB{path: path, keys: derivedKeys{aead, tagKey, digestKey}, bound: o.Bound, fault: o.Fault, full: o.Full, told: o.Committed, watchers: make(map[string][]any), cache: cache{tables: make(map[string]map[string]cachedRow)}}
	options := boltOptions(o)
	options.OpenFile = func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		db.file, err = os.OpenFile(name, flag, mode)
		return db.file, err
	}
	err = db.guard(func() (err error) {
		db.bolt, err = bolt.Open(path, 0o600, options)
		return err
	})
	if err != nil {
		if db.file != nil {
			_ = db.file.Close() // bbolt does that, unless it panics
		}
		return nil, translate(path, boltcheck.Classify(err))
	}
	if err := db.checkOpened(o.NoSync); err != nil {
		return nil, errors.Join(err, db.bolt.Close())
	}
	return db, nil
}

// checkOpened returns ErrInUse unless db has the lock of the file at its path: another process may
// have replaced that file meanwhile. Then it removes the leftovers of earlier runs.
func (db *DB) checkOpened(noSync bool) error {
	info, err := db.file.Stat()
	if err != nil {
		return err
	}
	at, err := os.Stat(db.path)
	if err != nil {
		return explain(db.path, err)
	}
	if !os.SameFile(info, at) {
		return ErrInUse
	}
	_ = os.Remove(compactFile(db.path)) // it only takes space
	err = os.Remove(closedFile(db.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return explain(closedFile(db.path), err)
	case noSync:
		return nil
	}
	return SyncDir(db.path) // or the mark may be back after a power cut
}

// boltOptions returns bbolt's options. bbolt writes the list of free pages with each commit:
// without that list it would read the whole file to open it. The list is its default, an array. The
// pages of a commit are then the first that are free, and lie close together.
func boltOptions(o Options) *bolt.Options {
	return &bolt.Options{Timeout: LockWait, NoSync: o.NoSync, NoGrowSync: o.NoSync}
}

// translate turns an error of the engine into one of this package.
func translate(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, boltcheck.ErrDamaged):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return explain(path, err)
}

// Cause is the reason for which the system refuses to open or to write a file.
type Cause string

// CauseOther is any reason but the others, and the Cause of an error that is not the system's.
const (
	CauseOther        Cause = ""
	CausePermission   Cause = "this user may not read and write it"
	CauseReadOnly     Cause = "its file system is read-only"
	CauseTooManyFiles Cause = "too many other files are open"
	CauseNoSpace      Cause = "its file system has no space left"
	CauseNoLocks      Cause = "its file system does not support locks"
)

// CauseOf returns the Cause of an error that wraps one of the system.
func CauseOf(err error) Cause {
	number, _ := errors.AsType[syscall.Errno](err)
	switch number {
	case syscall.EACCES, syscall.EPERM:
		return CausePermission
	case syscall.EROFS:
		return CauseReadOnly
	case syscall.EMFILE, syscall.ENFILE:
		return CauseTooManyFiles
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG:
		return CauseNoSpace
	case syscall.ENOLCK, syscall.ENOTSUP, syscall.ENOSYS:
		return CauseNoLocks
	}
	return CauseOther
}

// explain adds to an error of the system what it means for the file at path.
func explain(path string, err error) error {
	cause := CauseOf(err)
	if cause == CauseOther {
		return err
	}
	number, _ := errors.AsType[syscall.Errno](err)
	return fmt.Errorf("open %s: %s: %w", path, cause, number)
}

// Close waits for running transactions and closes the file. It leaves a mark beside the file, which
// tells Open that it need not read all of it. If the mark cannot be written, Open reads the file.
func (db *DB) Close() error {
	db.writer.Lock()
	defer db.writer.Unlock()
	// The mark is written while the file is locked: no other process may have it open then. A file
	// that is closed already cannot be inspected. If Move has replaced the file, the mark is
	// another's.
	if info, err := db.file.Stat(); err == nil && db.Ready() == nil && !db.suspect.Load() && db.isInPlace(info) {
		_ = writeNew(closedFile(db.path), state(info))
	}
	if db.lost.Load() {
		return db.file.Close()
	}
	return db.bolt.Close()
}

// isInPlace reports whether db has the file open that is at its path. info is of the open file.
func (db *DB) isInPlace(info fs.FileInfo) bool {
	at, err := os.Stat(db.path)
	return err == nil && os.SameFile(info, at)
}

// writeNew writes a private file. It fails if one exists, also if that is a link.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// closedFile returns the path of the mark that Close leaves. The mark exists only while no process
// has the file open.
func closedFile(path string) string { return path + ".closed" }

// state returns the content of the mark: the size and time of the file, which any write changes.
func state(info fs.FileInfo) string {
	return fmt.Sprintf("%d %d\n", info.Size(), info.ModTime().UnixNano())
}

// isUnchanged reports whether the file is as Close has left it.
func isUnchanged(path string, info fs.FileInfo) bool {
	closed, err := os.ReadFile(closedFile(path))
	return err == nil && string(closed) == state(info)
}

// Move renames a closed file within its folder. It replaces the file at to, if there is one. The
// change is durable when Move returns.
func Move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	_ = os.Rename(closedFile(from), closedFile(to)) // without the mark, Open reads the whole file
	return SyncDir(to)
}

// SyncDir makes the names of the files in the folder of path durable.
func SyncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
