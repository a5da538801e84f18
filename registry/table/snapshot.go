package table

import (
	"errors"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"idlepush/registry/boltcheck"
)

// Snapshot is a file of tables as it was at one moment. Written to another file, it is one that
// Open takes.
type Snapshot interface {
	Size() int64 // of what WriteTo writes, in bytes
	io.WriterTo
}

// Snapshot calls fn with the last state of the store, while others go on reading and writing.
// Until fn returns, pages that they free cannot be reused, so fn must not wait for long.
func (db *DB) Snapshot(fn func(Snapshot) error) error {
	tx, err := db.begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return fn(tx)
}

// SnapshotOf is DB.Snapshot for a file that no process has open. It reads the whole file first,
// and changes nothing. It returns ErrInUse and ErrCorrupt as Open does.
func SnapshotOf(path string, fn func(Snapshot) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return explain(path, err)
	}
	if info.Size() == 0 {
		return fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	if err := boltcheck.Check(path, LockWait); err != nil {
		return translate(path, err)
	}
	file, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: LockWait})
	if err != nil {
		return translate(path, boltcheck.Classify(err))
	}
	return errors.Join(file.View(func(tx *bolt.Tx) error { return fn(tx) }), file.Close())
}
