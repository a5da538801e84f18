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
	// ErrCorrupt says that the file holds something that was not written to it: it is damaged.
	ErrCorrupt = errors.New("the store is damaged")

	// ErrInUse says that another process has the file open.
	ErrInUse = errors.New("the store is in use by another process")
)

// lockWait is how long Open waits for another process to close the file.
const lockWait = 1500 * time.Millisecond

// Options are those of Create and Open.
type Options struct {
	Key    []byte       // seals columns: KeySize bytes
	NoSync bool         // a commit does not wait for the disk: for tests
	Bound  int          // the most reads and writes of one transaction; 0: no bound
	Fault  func() error // asked before each transaction; its error fails that one: for tests
}

// Create makes a new file and opens it. It is an error if there is one.
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

// Open opens a file that Create has made. The error wraps ErrCorrupt if the file is damaged: that
// is found out by reading all of it, unless it is as Close has left it. If the file is larger than
// a megabyte and more than half of it is free, it is compacted; if that fails, as on a full disk,
// it stays as it is.
func Open(path string, o Options) (*DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explain(path, err)
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	trusted := closedAs(path, info)
	if !trusted {
		if err := boltcheck.Check(path, lockWait); err != nil {
			return nil, translate(path, err)
		}
	}
	db, err := open(path, o)
	if err != nil || !db.wasteful() {
		return db, err
	}
	if trusted { // what is compacted would look whole
		if err := boltcheck.CheckFile(db.file, db.bolt.Info().PageSize); err != nil {
			return nil, errors.Join(translate(path, err), db.bolt.Close())
		}
	}
	replaced, err := db.compact()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compact the file: %w", err), db.bolt.Close())
	}
	if !replaced {
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
	db := &DB{path: path, aead: aead, bound: o.Bound, fault: o.Fault, watchers: make(map[string][]any)}
	options := engine(o)
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
			_ = db.file.Close() // bbolt has, unless it has panicked
		}
		return nil, translate(path, boltcheck.Classify(err))
	}
	if err := db.begun(o.NoSync); err != nil {
		return nil, errors.Join(err, db.bolt.Close())
	}
	return db, nil
}

// begun proves that db has the lock of the file that is at its path, and not of one that another
// process has replaced meanwhile. Then it takes away what earlier runs have left.
func (db *DB) begun(noSync bool) error {
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
	_ = os.Remove(compactFile(db.path)) // it only takes room
	err = os.Remove(closedFile(db.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return explain(closedFile(db.path), err)
	case noSync:
		return nil
	}
	return SyncDir(db.path) // after a power cut the mark must not be there again
}

// engine returns bbolt's options. The list of free pages is written with each commit: without it
// bbolt would read the whole file to open it.
func engine(o Options) *bolt.Options {
	return &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoSync: o.NoSync, NoGrowSync: o.NoSync}
}

// translate makes an error of this package of one of the engine.
func translate(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, boltcheck.ErrDamaged):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return explain(path, err)
}

// explain says what an error of the system means for the file at path.
func explain(path string, err error) error {
	number, _ := errors.AsType[syscall.Errno](err)
	what := ""
	switch number {
	case syscall.EACCES, syscall.EPERM:
		what = "this user may not read and write it"
	case syscall.EROFS:
		what = "its file system cannot be written"
	case syscall.EMFILE, syscall.ENFILE:
		what = "too many other files are open"
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG:
		what = "there is no room for it"
	case syscall.ENOLCK, syscall.ENOTSUP, syscall.ENOSYS:
		what = "its file system has no locks"
	default:
		return err
	}
	return fmt.Errorf("open %s: %s: %w", path, what, number)
}

// Close waits for running transactions and closes the file. It leaves a mark beside it, by which
// Open knows that it need not read all of it; where the mark cannot be written, Open does.
func (db *DB) Close() error {
	db.writer.Lock()
	defer db.writer.Unlock()
	// While the file is locked, so that no other process has it open when the mark appears. A file
	// that is closed already has no state. One that Move has replaced leaves the other's mark.
	if info, err := db.file.Stat(); err == nil && db.Ready() == nil && !db.suspect.Load() && db.inPlace(info) {
		_ = os.WriteFile(closedFile(db.path), []byte(state(info)), 0o600)
	}
	if db.lost.Load() {
		return db.file.Close()
	}
	return db.bolt.Close()
}

// inPlace reports whether the file that db has open is the one at its path.
func (db *DB) inPlace(info fs.FileInfo) bool {
	at, err := os.Stat(db.path)
	return err == nil && os.SameFile(info, at)
}

// closedFile is the name of the mark that Close leaves. It is there only while nobody has the file
// open.
func closedFile(path string) string { return path + ".closed" }

// state tells a file from what it was before anything was written to it.
func state(info fs.FileInfo) string {
	return fmt.Sprintf("%d %d\n", info.Size(), info.ModTime().UnixNano())
}

func closedAs(path string, info fs.FileInfo) bool {
	closed, err := os.ReadFile(closedFile(path))
	return err == nil && string(closed) == state(info)
}

// Move gives a file that is closed another name in its folder, in the place of a file that has it.
// It is durable when Move returns.
func Move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	_ = os.Rename(closedFile(from), closedFile(to)) // without its mark it is read when it is opened
	return SyncDir(to)
}

// SyncDir makes durable which files are in the folder of path.
func SyncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
