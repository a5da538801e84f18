// Package migrate upgrades a store of an earlier format to the newest.
//
// Each released format has a package here, such as migrate/v1, with its tables: names, rows, keys
// and indexes. These packages never change. A [Step] uses the tables of two versions and nothing of
// package registry. That has the newest rows, so the step would change with them.
package migrate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"idlepush/registry/table"
)

// Step upgrades the rows of one version to the next, in as many transactions as it needs. It works
// on a copy of the store. After a crash it begins again, on a new copy.
type Step func(*table.DB) error

// Upgrade applies the steps to the store at path, which has the given version. Then it calls
// finish, which writes the new version, in a transaction of its own. The caller must have the store
// open, so that nothing changes it meanwhile, and close it afterwards.
//
// The upgraded store replaces the other in one step, when it is complete. [Kept] returns the path
// of the store from before. After an error or a crash the store is unchanged, and the next start
// upgrades it. The folder of the store needs space for two more copies of it.
func Upgrade(path string, o table.Options, version int, steps []Step, finish func(*table.Tx) error) error {
	if err := errors.Join(Clean(path), os.Mkdir(workFolder(path), 0o700)); err != nil {
		return err
	}
	defer func() { _ = Clean(path) }() // the leftovers only take space
	fresh, kept := filepath.Join(workFolder(path), "store"), filepath.Join(workFolder(path), "kept")
	if err := copyFile(fresh, path); err != nil {
		return fmt.Errorf("copy the store before its upgrade: %w", err)
	}
	if err := apply(fresh, o, version, steps, finish); err != nil {
		return err
	}
	if err := copyFile(kept, path); err != nil {
		return fmt.Errorf("keep a copy of the store from before its upgrade: %w", err)
	}
	if err := table.Move(kept, Kept(path, version)); err != nil {
		return err
	}
	return table.Move(fresh, path)
}

// Kept returns the path where Upgrade keeps the store at path from before the upgrade, which has
// this version. It opens with the same key, there or after it is moved back to path.
func Kept(path string, version int) string { return fmt.Sprintf("%s.v%d", path, version) }

// Clean removes the leftovers of an upgrade that a crash ended. The caller must have the store
// open.
func Clean(path string) error { return os.RemoveAll(workFolder(path)) }

// workFolder returns the path of the folder for the files of an upgrade.
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

// copyFile copies a file and syncs the copy. It returns an error if to exists.
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
