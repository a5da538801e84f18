package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"idlepush/registry"
	"idlepush/registry/backup"
)

// slowSync is how long a write to the disk takes if it is slow. Each new mail waits for one.
const slowSync = time.Second

// dataFolder tells whether the data folder can be written, and who else may read it.
func (x installation) dataFolder(context.Context) findings {
	f := findings{subject: "data"}
	dir, err := filepath.Abs(x.data)
	if err != nil {
		dir = x.data
	}
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		f.wrong("the data folder %s does not exist: give that of idlepush, by --data or IDLEPUSH_DATA", dir)
		return f
	case err != nil:
		f.wrong("the data folder cannot be looked at: %v", err)
		return f
	case !info.IsDir():
		f.wrong("%s is no folder: give that of idlepush, by --data or IDLEPUSH_DATA", dir)
		return f
	}
	switch took, err := trySync(dir); {
	case err != nil:
		f.wrong("nothing can be written in %s (%v): make room, make the file system writable, or run this as the user who runs idlepush", dir, err)
	case took >= slowSync:
		f.add("look", took, "a write to the disk of %s takes long, and every mail waits for one: is it a slow card, or a network drive?", dir)
	default:
		f.add("ok", took, "%s can be written", dir)
	}
	if room, known := diskRoom(dir); known {
		switch text := fmt.Sprintf("its disk has room for %d MB more", room>>20); {
		case room < lowRoom:
			f.wrong("%s: make room", text)
		case room < scarceRoom:
			f.look("%s", text)
		default:
			f.ok("%s", text)
		}
	}
	if x.store == nil {
		return f // why it cannot be opened says more
	}
	warnings, err := x.store.CheckModes()
	for _, w := range warnings {
		f.look("%s", allCodes().Sentence(w.Code, w.Params))
	}
	switch {
	case err != nil:
		f.wrong("%v", err)
	case len(warnings) == 0:
		f.ok("nobody else can read or write its files")
	}
	return f
}

// trySync writes a small file, and returns how long the disk took. The file is removed at once.
func trySync(dir string) (took time.Duration, err error) {
	file, err := os.CreateTemp(dir, "doctor-test-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	began := time.Now()
	_, err = file.Write(make([]byte, 4096))
	err = errors.Join(err, file.Sync(), file.Close())
	return time.Since(began), err
}

// openedStore tells whether the store works.
func (x installation) openedStore(context.Context) findings {
	f := findings{subject: "store"}
	if x.store == nil {
		f.wrong("%v", x.broken)
		return f
	}
	for _, w := range x.store.Warnings() {
		f.look("%s", allCodes().Sentence(w.Code, w.Params))
	}
	if err := x.store.Ready(); err != nil {
		f.wrong("it does not work (%v): look at the disk and the log", err)
		return f
	}
	size := ""
	if n := x.storeSize(); n > 0 {
		size = fmt.Sprintf(" (%d KB)", n>>10)
	}
	f.ok("it can be read, and its key fits%s", size)
	return f
}

// lateBackup is the age of the last daily backup from which on something must be wrong.
const lateBackup = 26 * time.Hour

// backups tells how old the last daily backup is.
func (x installation) backups(context.Context) findings {
	f := findings{subject: "backup"}
	folder := x.settings.backups.folder
	if folder == "" {
		f.ok("none is made by itself: set backup-folder, or run `%s FILE` now and then", backupCommand)
		return f
	}
	switch last, err := backup.Last(folder, time.Now()); {
	case err != nil:
		f.wrong("the folder that backup-folder names cannot be read: %v", err)
	case last.IsZero():
		f.wrong("there is none yet in the folder that backup-folder names: look at the log")
	case time.Since(last) > lateBackup:
		f.wrong("the last is %s old: look at the log", age(time.Since(last)))
	default:
		f.ok("the last is %s old", age(time.Since(last)))
	}
	return f
}

// storeSize returns the size of the store in bytes, or 0 if it is not known.
func (s settings) storeSize() int64 {
	info, err := os.Stat(filepath.Join(s.data, "idlepush.db"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// openStopped opens the store while no daemon runs.
func openStopped(s settings) (*registry.Store, error) {
	store, err := registry.Open(s.data, registry.Options{Key: s.key, Existing: true})
	if errors.Is(err, registry.ErrInUse) {
		return nil, s.errUnreachable()
	}
	return store, err
}
