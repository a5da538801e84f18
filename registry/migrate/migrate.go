// Package migrate brings a store of an earlier format to the newest.
//
// Each version that was released has a package here, such as migrate/v1, with its tables as they
// were: names, rows, keys and indexes. They are never changed. A [Step] uses those of two versions
// and nothing of registry, whose rows are the newest: a step that used them would change with them.
package migrate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"idlepush/registry/table"
)

// Step brings the rows of one version to those of the next, in as many transactions as it needs. It
// works on a copy: one that is cut short is begun anew, on another copy.
type Step func(*table.DB) error

// Upgrade applies the steps to the store at path, which is of this version, and then calls finish,
// which writes the new version, in a transaction of its own. The caller must have the store open,
// so that nothing changes it meanwhile, and close it afterwards.
//
// The upgraded store takes the place of the other at once, when it is whole. The store as it was is
// kept as [Kept] says. After an error, or if the process ends before, the store is as it was: the
// next start upgrades it. The folder of the store needs room for two more of it.
func Upgrade(path string, o table.Options, version int, steps []Step, finish func(*table.Tx) error) error {
	if err := errors.Join(Clean(path), os.Mkdir(workFolder(path), 0o700)); err != nil {
		return err
	}
	defer func() { _ = Clean(path) }() // it only takes room
	fresh, kept := filepath.Join(workFolder(path), "store"), filepath.Join(workFolder(path), "kept")
	if err := copyFile(fresh, path); err != nil {
		return fmt.Errorf("copy the store before its upgrade: %w", err)
	}
	if err := apply(fresh, o, version, steps, finish); err != nil {
		return err
	}
	if err := copyFile(kept, path); err != nil {
		return fmt.Errorf("keep the store as it was before its upgrade: %w", err)
	}
	if err := table.Move(kept, Kept(path, version)); err != nil {
		return err
	}
	return table.Move(fresh, path)
}

// Kept is the name under which Upgrade keeps the store at path as it was with this version. It
// opens with the same key, by that name or in its old place.
func Kept(path string, version int) string { return fmt.Sprintf("%s.v%d", path, version) }

// Clean removes what an upgrade that was cut short has left. The caller must have the store open.
func Clean(path string) error { return os.RemoveAll(workFolder(path)) }

// workFolder is where an upgrade works.
func workFolder(path string) string { return path + ".upgrade" }

func apply(path string, o table.Options, version int, steps []Step, finish func(*table.Tx) error) error {
	db, err := table.Open(path, o)
	if err != nil {
		return err
	}
	for i, step := range steps {
		if err := step(db); err != nil {
			return errors.Join(fmt.Errorf("upgrade the store to version %d: %w", version+i+1, err), db.Close())
		}
	}
	return errors.Join(db.Update(finish), db.Close())
}

// copyFile makes a whole copy of a file.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
