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

// wasteful reports whether most of the file is free.
func (db *DB) wasteful() bool {
	size, free := int64(0), int64(0)
	_ = db.guard(func() error {
		stats := db.bolt.Stats()
		free = int64(stats.FreePageN+stats.PendingPageN) * int64(db.bolt.Info().PageSize)
		return db.bolt.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil })
	})
	return size > smallFile && free > size/2
}

// compactFile is the name of the file that a compaction writes.
func compactFile(path string) string { return path + ".compact" }

// compact writes what the file holds to a new one, which takes its place. If it does not, the file
// is as it was. After an error nobody knows which of them a power cut leaves.
func (db *DB) compact() (replaced bool, err error) {
	fresh := compactFile(db.path)
	if db.copyTo(fresh) != nil || os.Rename(fresh, db.path) != nil {
		_ = os.Remove(fresh)
		return false, nil
	}
	return true, SyncDir(db.path)
}

func (db *DB) copyTo(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	to, err := bolt.Open(path, 0o600, engine(Options{NoSync: true}))
	if err != nil {
		return err
	}
	err = db.guard(func() error { return bolt.Compact(to, db.bolt, compactStep) })
	return errors.Join(err, to.Sync(), to.Close())
}
