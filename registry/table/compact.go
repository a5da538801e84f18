package table

import (
	"errors"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

const (
	// A file is compacted if more than half of it is free and it is larger than this, in bytes.
	smallFile = 1 << 20

	// compactStep bounds one transaction of a compaction, in bytes.
	compactStep = 1 << 20
)

// isWasteful reports whether the file is large enough to be compacted and more than half of it is
// free.
func (db *DB) isWasteful() bool {
	size, free := int64(0), int64(0)
	_ = db.guard(func() error {
		stats := db.bolt.Stats()
		free = int64(stats.FreePageN+stats.PendingPageN) * int64(db.bolt.Info().PageSize)
		return db.bolt.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil })
	})
	return size > smallFile && free > size/2
}

// compactFile returns the path of the file that a compaction writes.
func compactFile(path string) string { return path + ".compact" }

// compact copies the file to a new one without free pages, and replaces it. If replaced is false,
// the file is as it was. After an error with replaced, a power cut may leave either of the two.
func (db *DB) compact() (replaced bool, err error) {
	fresh := compactFile(db.path)
	err = db.copyTo(fresh)
	if err == nil {
		err = os.Rename(fresh, db.path)
	}
	if err != nil {
		_ = os.Remove(fresh)
		return false, err
	}
	return true, SyncDir(db.path)
}

func (db *DB) copyTo(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	options := boltOptions(Options{NoSync: true})
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(name, flag|os.O_EXCL, mode)
	}
	to, err := bolt.Open(path, 0o600, options)
	if err != nil {
		return err
	}
	err = db.guard(func() error { return bolt.Compact(to, db.bolt, compactStep) })
	return errors.Join(err, to.Sync(), to.Close())
}
