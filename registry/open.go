package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/migrate"
	"idlepush/registry/table"
)

// The files of the data folder.
const (
	storeFile = "idlepush.db"
	keyFile   = "key"
	setupFile = "setup-token"
)

// migrations lead from each version of the layout to the next: migrations[0] from version 1 to 2.
var migrations []migrate.Step

// newestVersion returns the version that this program writes.
func newestVersion() int { return len(migrations) + 1 }

// Options are options of Open. The zero Options are right for a program that stores people's mail.
type Options struct {
	Key       []byte       // seals the secrets; nil: the key file in the folder
	NoSync    bool         // commits do not wait for the disk; for tests
	Bound     int          // the most reads and writes of one transaction; 0: no bound; for tests
	Fault     func() error // called before each transaction, which fails with its error; for tests
	Full      func() error // called before a commit is written, which fails with it; for tests
	Unlimited bool         // users may have any number of devices, mails and so on; for tests
	Existing  bool         // Open makes no store, and takes none of another user
	Compact   bool         // Open compacts the store however little of it is free
	QuickHash bool         // new passwords are hashed with little memory; for tests

	// Committed is called after each commit, with how long it took; nil: it is not.
	Committed func(time.Duration)
	// Received is called with how long each push took from its acceptance by the push service to a
	// device that reports, after that was written; nil: it is not.
	Received func(idlepush.Transport, time.Duration)
}

func (o Options) table() table.Options {
	return table.Options{Key: o.Key, Compact: o.Compact, NoSync: o.NoSync, Bound: o.Bound, Fault: o.Fault, Full: o.Full, Committed: o.Committed}
}

// Open opens the store in the folder dir. If dir does not exist, Open creates it with mode 0700. If
// neither the store nor its key file exists, Open creates both. If another process has the store,
// it returns an error that wraps ErrInUse, after at most 2 s.
//
// Others must not be able to read or write the files. If their modes can be changed, Open returns
// an error that says how; if not, there is a warning.
//
// Errors name the file and what to do. Open never replaces a store that is empty, cut short,
// damaged, newer than this program or without its key.
func Open(dir string, o Options) (*Store, error) {
	path := filepath.Join(dir, storeFile)
	if o.Existing {
		if err := checkExisting(path); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be made (%w): give another one, or let the user who runs this write there", dir, err)
	}
	// One that holds something already may be everybody's, and closing it is not ours to do.
	if list, err := os.ReadDir(dir); err == nil && len(list) == 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return nil, fmt.Errorf("the data folder %s cannot be closed to others (%w): give another one, or let it belong to the user who runs this", dir, err)
		}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(dir, o.Key); err != nil {
			return nil, err
		}
	}
	warnings, err := checkModes(dir, keepsModes)
	if err != nil {
		return nil, err
	}
	if o.Key == nil {
		if o.Key, err = readKeyFile(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the key file %s that belongs to the store %s is missing: put your copy of it back, or set the key in the environment",
				filepath.Join(dir, keyFile), path)
		} else if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("the key file cannot be read (%w): run this as the user to whom the data folder belongs", err)
		} else if err != nil {
			return nil, err
		}
	}
	s, err := openExisting(dir, path, o)
	if err != nil {
		return nil, err
	}
	s.warnings = append(warnings, s.warnings...)
	return s, nil
}

// checkExisting returns an error if there is no store, or if its owner could not open it any more:
// the files that another user writes, such as root, belong to that user.
func checkExisting(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the store %s does not exist: name the data folder of idlepush with --data", path)
	case err != nil:
		return explainOpen(path, err)
	case !isOwn(info):
		return fmt.Errorf("the store %s belongs to another user: run this as that user (docs/operate.md says how for a service of systemd)", path)
	}
	return nil
}

// create creates a new store in a temporary file, writes the key file, and renames the store. If a
// first start was interrupted, there is a key file beside the temporary file. A key file alone
// means that a store was lost.
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
	db, err := table.Create(unfinished, table.Options{Key: key})
	if err != nil {
		return fmt.Errorf("make the store %s: %w", path, err)
	}
	if err := errors.Join(db.Update(initialize), db.Close()); err != nil {
		return fmt.Errorf("make the store %s: %w", path, err)
	}
	if fresh {
		if err := writeKeyFile(keyPath, key); err != nil {
			return fmt.Errorf("write the key file: %w", err)
		}
	}
	if err := table.Move(unfinished, path); err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	return nil
}

// initialize writes the first rows of a new store.
func initialize(tx *table.Tx) error {
	if err := tx.Make(tables...); err != nil {
		return err
	}
	probe, err := metas.Place(tx, metaFormat).Seal("idlepush")
	if err != nil {
		return err
	}
	if err := metas.Put(tx, metaFormat, metaRow{Number: uint64(newestVersion()), Sealed: probe}); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	scalar, err := key.Bytes()
	if err != nil {
		return err
	}
	return sealMeta(tx, metaVAPID, scalar)
}

func openExisting(dir, path string, o Options) (*Store, error) {
	db, version, err := openTables(path, o)
	if err == nil && version < newestVersion() {
		err = migrate.Upgrade(path, o.table(), version, migrations[version-1:], writeVersion)
		if err = errors.Join(err, db.Close()); err == nil {
			db, _, err = openTables(path, o)
		}
	}
	if err != nil {
		return nil, explainOpen(path, err)
	}
	_ = migrate.Clean(path) // leftovers of an upgrade only take space
	receipts, err := newReceipts(o)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	c := &core{db: db, dir: dir, key: o.Key, receipts: receipts, bounds: defaultBounds, hashing: hashing{argonMemory, make(chan struct{}, runtime.NumCPU())}, unread: newUnreadCounts(), due: newDueQueues(), inFlight: newInFlight(), opened: newOpenedWishes(), accounts: make(signal, 1), outbox: make(signal, 1)}
	if o.Unlimited {
		c.bounds = bounds{}
	}
	if o.QuickHash {
		c.hashMemory = 8
	}
	c.watch()
	err = db.View(checkTables)
	if err == nil {
		err = c.beginRun()
	}
	if err == nil {
		err = c.enqueueMissing(time.Now())
	}
	if err == nil {
		err = c.contain(time.Now())
	}
	if err != nil {
		return nil, errors.Join(explainOpen(path, err), db.Close())
	}
	return c.store(), nil
}

// openTables opens the file and returns the version of its layout.
func openTables(path string, o Options) (db *table.DB, version int, err error) {
	if db, err = table.Open(path, o.table()); err != nil {
		return nil, 0, err
	}
	err = db.View(func(tx *table.Tx) (err error) {
		version, err = readFormat(tx)
		return err
	})
	if err != nil {
		return nil, 0, errors.Join(err, db.Close())
	}
	return db, version, nil
}

// writeVersion writes that the store has the newest version.
func writeVersion(tx *table.Tx) error {
	row, _, err := metas.Get(tx, metaFormat)
	if err != nil {
		return err
	}
	row.Number = uint64(newestVersion())
	if err := metas.Put(tx, metaFormat, row); err != nil {
		return err
	}
	return tx.Make(tables...)
}

// checkTables returns an error if the file lacks a table or index, or has an unknown one: if the
// name of a table was damaged, the table would look empty.
func checkTables(tx *table.Tx) error {
	names, err := tx.Names()
	if err != nil {
		return err
	}
	for _, t := range tables {
		i := slices.Index(names, t.Name())
		if i < 0 {
			return fmt.Errorf("%w: it lacks %s", ErrCorrupt, t.Name())
		}
		names = slices.Delete(names, i, i+1)
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: it has an unknown table %q", ErrCorrupt, names[0])
	}
	return nil
}

// readFormat returns the version of the layout. It returns an error if the file is not a store, is
// newer than this program, or does not fit the key.
func readFormat(tx *table.Tx) (version int, err error) {
	row, found, err := metas.Get(tx, metaFormat)
	if err != nil {
		return 0, err
	}
	if !found {
		early, err := metas.Has(tx, "schema")
		if err == nil && early {
			err = errors.New("it was made before the first release of idlepush and cannot be read any more: move the data folder away, start again, and set up the mailboxes and devices anew")
		} else if err == nil {
			err = errors.New("nothing in it is of idlepush: restore it from your backup, or give another data folder")
		}
		return 0, err
	}
	switch {
	case row.Number == 0:
		return 0, fmt.Errorf("%w: it has no format", ErrCorrupt)
	case row.Number > uint64(newestVersion()):
		return 0, fmt.Errorf("it has format %d, this program knows up to %d: run the newer idlepush that wrote it, or restore an older backup or the copy that an upgrade has kept (%s)",
			row.Number, newestVersion(), migrate.Kept(storeFile, newestVersion()))
	}
	var probe string
	if err := metas.Place(tx, metaFormat).Open(row.Sealed, &probe); err != nil {
		return 0, errors.New("the key does not fit it: use the key it was made with (the file `key` of the same backup)")
	}
	return int(row.Number), nil
}

// explainOpen returns an error that tells a person why the store cannot be opened and what to do.
// It speaks of damage only if damage was found.
func explainOpen(path string, err error) error {
	switch {
	case errors.Is(err, table.ErrInUse):
		return fmt.Errorf("%w (%s): stop that one first, or give this one a data folder of its own", ErrInUse, path)
	case errors.Is(err, ErrCorrupt):
		return fmt.Errorf("%w: stop idlepush, move the file %s away and restore it from your backup", err, path)
	}
	advice := ""
	switch table.CauseOf(err) {
	case table.CausePermission:
		advice = "run this as the user to whom the data folder belongs"
	case table.CauseReadOnly:
		advice = "make the file system writable, or give a data folder elsewhere"
	case table.CauseNoSpace:
		advice = "make room on its disk"
	case table.CauseTooManyFiles:
		advice = "raise the limit of open files (ulimit -n, or LimitNOFILE of the service)"
	case table.CauseNoLocks:
		advice = "put the data folder on a local disk"
	default:
		return fmt.Errorf("the store %s: %w", path, err)
	}
	return fmt.Errorf("the store cannot be opened (%w): %s", err, advice)
}

// writeFile writes a small private file. After a crash the file has either its old content or the
// new. It follows no link that is there.
func writeFile(path, text string) error {
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
	return table.SyncDir(path)
}
