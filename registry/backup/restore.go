package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/table"
)

// Opened is a store that was made of a backup, and was read whole.
type Opened struct {
	About
	KeyFromBackup bool // it was opened with the key in the backup, by its passphrase
	Rows          int
	Warnings      []idlepush.Reason // see registry.Store.Warnings
}

// Keys are the sources of the key of the store in a backup.
type Keys struct {
	Key        []byte                 // if it is known
	Dir        string                 // the data folder, whose key file has it if Key is nil
	Passphrase func() (string, error) // of the backup's own key, which is used if there is no other
}

// find returns the key of a backup, and whether it is the backup's own.
func (k Keys) find(u unpacked) (key []byte, own bool, err error) {
	if k.Key != nil {
		return k.Key, false, nil
	}
	key, err = readKey(k.Dir)
	switch {
	case err == nil, !errors.Is(err, fs.ErrNotExist):
		return key, false, err
	case len(u.aged) == 0:
		return nil, false, fmt.Errorf("the backup is without the key of the store: put the file `key`, which was kept apart from it, into %s, with mode 0600, or pass the key as a setting", k.Dir)
	}
	passphrase, err := k.Passphrase()
	if err != nil {
		return nil, false, err
	}
	key, err = decrypt(u.aged, passphrase)
	return key, true, err
}

// readKey reads the key file of a data folder.
func readKey(dir string) (key []byte, err error) {
	text, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err == nil {
		if key, err = registry.ParseKey(string(text)); err != nil {
			err = fmt.Errorf("the key file %s: %w", filepath.Join(dir, keyFile), err)
		}
	}
	return key, err
}

// open makes a store of a backup in the folder work, and reads all of it. own is the key of the
// backup, if that was used.
func (k Keys) open(from io.Reader, work string, then func(*registry.Store) error) (o Opened, own []byte, err error) {
	u, err := unpack(from, filepath.Join(work, storeFile))
	if err != nil {
		return o, nil, err
	}
	key, isOwn, err := k.find(u)
	if err != nil {
		return o, nil, err
	}
	if isOwn {
		own = key
	}
	store, err := registry.Open(work, registry.Options{Key: key, Existing: true})
	if err != nil && u.HasKey && !isOwn {
		err = fmt.Errorf("it was opened with the key of the data folder or of the setting: to use the key in the backup, move the file %s away, or leave out the setting (%w)", filepath.Join(k.Dir, keyFile), err)
	}
	if err != nil {
		return o, nil, fmt.Errorf("the backup cannot be used: %w", err)
	}
	o = Opened{About: u.About, KeyFromBackup: isOwn, Warnings: store.Warnings()}
	if o.Rows, err = store.ReadAll(); err == nil {
		err = then(store)
	}
	return o, own, errors.Join(err, store.Close())
}

// Check opens the store of a backup in a folder of its own below parent, reads all of it, and
// removes it again.
func (k Keys) Check(from io.Reader, parent string) (o Opened, err error) {
	removeLeft(parent)
	work, err := os.MkdirTemp(parent, checkFolder)
	if err != nil {
		return o, fmt.Errorf("make a folder for a copy of the store (set TMPDIR to another place): %w", err)
	}
	defer os.RemoveAll(work)
	o, _, err = k.open(from, work, func(*registry.Store) error { return nil })
	return o, err
}

// checkFolder begins the name of the folder of a check.
const checkFolder = "idlepush-check-"

// removeLeft removes the folders of checks that were killed more than a day ago, as far as that
// works.
func removeLeft(parent string) {
	entries, _ := os.ReadDir(parent)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.IsDir() && strings.HasPrefix(entry.Name(), checkFolder) && time.Since(info.ModTime()) > day {
			_ = os.RemoveAll(filepath.Join(parent, entry.Name()))
		}
	}
}

// workFolder is the folder below the data folder in which a backup becomes a store.
const workFolder = "restore.new"

// Restore makes the store of a backup that of the data folder, which it makes if it is missing. If
// the folder has a store already, Restore fails, unless replace is set: then that store is kept
// beside the new one, as the file that it returns. After an error the folder is as it was.
func (k Keys) Restore(from io.Reader, replace bool, now time.Time) (o Opened, kept string, err error) {
	at := filepath.Join(k.Dir, storeFile)
	there, err := checkPlace(at, replace)
	if err != nil {
		return o, "", err
	}
	if os.Mkdir(k.Dir, 0o700) == nil {
		defer func() {
			if err != nil {
				_ = os.Remove(k.Dir)
			}
		}()
	}
	work := filepath.Join(k.Dir, workFolder)
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(work, 0o700)); err != nil {
		return o, "", fmt.Errorf("the data folder %s cannot be written (%w): give another one, or run this as the user to whom it belongs", k.Dir, err)
	}
	defer os.RemoveAll(work)
	o, own, err := k.open(from, work, func(s *registry.Store) error { return s.MarkRestored(now) })
	if err != nil {
		return o, "", err
	}
	if there { // to read the backup took a while
		if there, err = checkPlace(at, replace); err != nil {
			return o, "", err
		}
	}
	if err := chownToFolder(k.Dir, filepath.Join(work, storeFile)); err != nil {
		return o, "", err
	}
	if own != nil {
		path := filepath.Join(k.Dir, keyFile)
		if err := writeKey(filepath.Join(work, keyFile), path, own); err != nil {
			return o, "", err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, os.Remove(path))
			}
		}()
	}
	if there {
		kept = at + ".replaced-" + now.UTC().Format("20060102-150405")
		if err := table.Move(at, kept); err != nil {
			return o, "", fmt.Errorf("keep the store that is there: %w", err)
		}
	}
	err = place(filepath.Join(work, storeFile), at)
	if err != nil && there {
		err = errors.Join(err, table.Move(kept, at))
	}
	return o, kept, err
}

// checkPlace reports whether there is a store at the path. It returns an error if it is not to be
// replaced, or is in use.
func checkPlace(at string, replace bool) (there bool, err error) {
	if _, err := os.Lstat(at); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	err = table.SnapshotOf(at, func(table.Snapshot) error { return nil })
	switch {
	case errors.Is(err, table.ErrInUse):
		return true, fmt.Errorf("idlepush runs with the store %s: stop it first; nothing was changed", at)
	case !replace:
		return true, fmt.Errorf("there is a store already, %s: give another data folder, or add --replace, which keeps that store beside the new one; nothing was changed", at)
	case errors.Is(err, table.ErrCorrupt):
		return true, nil
	}
	return true, err
}

// writeKey writes a key file by way of a temporary one.
func writeKey(temporary, path string, key []byte) error {
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, encodeKey(key))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := chownToFolder(filepath.Dir(path), temporary); err != nil {
		return err
	}
	return place(temporary, path)
}
