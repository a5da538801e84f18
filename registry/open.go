package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The files of the data folder.
const (
	storeFile = "idlepush.db"
	keyFile   = "key"
	setupFile = "setup-token"
)

// lockWait is how long a second process waits for the first to end before it is told.
const lockWait = 1500 * time.Millisecond

// Options are those of Open. The zero Options are right for a program that keeps people's mail.
type Options struct {
	Key    []byte       // seals the secrets; nil: the key file in the folder, which is made with the store
	NoSync bool         // commits do not wait for the disk, so a power cut may cost everything: for tests
	Fault  func() error // asked before each transaction; its error fails that one, and nothing is written: for tests
}

// Open opens the store in the folder dir, which it makes with mode 0700 if it is not there or empty, or makes a new one where
// neither it nor its key file exists. It takes at most 2 s to find that another process has
// the store. Errors name the file and the way back: a store that is empty, cut short, damaged, newer than this program or
// without its key is never replaced.
func Open(dir string, o Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be made (%w): give another one, or let the user who runs this write there", dir, err)
	}
	// One that holds something already may be everybody's, and closing it is not ours to do.
	if list, err := os.ReadDir(dir); err == nil && len(list) == 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return nil, fmt.Errorf("the data folder %s cannot be closed to others (%w): give another one, or let it belong to the user who runs this", dir, err)
		}
	}
	path := filepath.Join(dir, storeFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(dir, o.Key); err != nil {
			return nil, err
		}
	}
	if o.Key == nil {
		var err error
		if o.Key, err = readKeyFile(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the key file %s that belongs to the store %s is missing: restore it from your backup, or give the key in the environment",
				filepath.Join(dir, keyFile), path)
		} else if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("the key file cannot be read (%w): run this as the user to whom the data folder belongs", err)
		} else if err != nil {
			return nil, err
		}
	}
	return open(dir, path, o)
}

// create makes a new store beside its place and moves it there when it is whole. The key file is written between:
// with the unfinished store beside it it comes from a first start that was cut short, without it from a store that is gone.
func create(dir string, key []byte) error {
	unlock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer unlock()
	path, unfinished, keyPath := filepath.Join(dir, storeFile), filepath.Join(dir, storeFile+".new"), filepath.Join(dir, keyFile)
	if _, err := os.Stat(path); err == nil {
		return nil // another process was first
	}
	_, noKey := os.Stat(keyPath)
	_, noStart := os.Stat(unfinished)
	if noKey == nil && noStart != nil {
		return fmt.Errorf("the store %s is missing, but its key file %s is there: restore the store from your backup, or, to start anew and lose what it held, remove the key file",
			path, keyPath)
	}
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the rest of an unfinished first start: %w", err)
	}
	fresh := key == nil
	if fresh {
		key = newKey()
	}
	seals, err := newSeals(key)
	if err != nil {
		return err
	}
	db, err := bolt.Open(unfinished, 0o600, engine(Options{}))
	if err != nil {
		return fmt.Errorf("make the store %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return upgrade(tx, seals, 0) })
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("make the store %s: %w", path, err)
	}
	if fresh {
		if err := writeKeyFile(keyPath, key); err != nil {
			return fmt.Errorf("write the key file: %w", err)
		}
	}
	if err := os.Rename(unfinished, path); err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	return syncDir(dir)
}

// engine gives bbolt's options. The freelist is written with each commit: without it Open would walk the whole file in a goroutine
// of its own.
func engine(o Options) *bolt.Options {
	return &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoSync: o.NoSync, NoGrowSync: o.NoSync}
}

func open(dir, path string, o Options) (*Store, error) {
	damaged := func(what error) error {
		return fmt.Errorf("the store %s is damaged (%w): stop idlepush, move the file away and restore it from your backup", path, what)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if info.Size() == 0 {
		return nil, damaged(errors.New("it is empty"))
	}
	s := &Store{dir: dir, hashes: make(chan struct{}, runtime.NumCPU()), accounts: make(signal, 1), outbox: make(signal, 1), fault: o.Fault}
	if s.seals, err = newSeals(o.Key); err != nil {
		return nil, err
	}
	if err = sound(path); err == nil {
		s.db, err = bolt.Open(path, 0o600, engine(o))
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("the store %s is in use by another process: stop that one first, or give this one a data folder of its own", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("open the store: %w", err)
	case err != nil:
		return nil, damaged(err)
	}
	if err := s.prepare(); err != nil {
		what := fmt.Errorf("the store %s: %w", path, err)
		if errors.Is(err, ErrCorrupt) {
			what = damaged(err)
		}
		return nil, errors.Join(what, s.db.Close())
	}
	return s, nil
}

// prepare proves that the store is one of ours, with this key, and brings it to the newest version. It writes nothing
// to one that is there already.
func (s *Store) prepare() error {
	var version int
	err := s.view(func(tx *bolt.Tx) (err error) {
		if version, err = schemaVersion(tx, s.seals); err == nil {
			s.began = tx.Bucket(notifications).Sequence()
		}
		return err
	})
	if err != nil || version == len(steps) {
		return err
	}
	return s.transact(func(tx *bolt.Tx) error { return upgrade(tx, s.seals, version) })
}

// writeFile writes a small private file so that it is there whole or not at all.
func writeFile(path, text string) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
