package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"idlepush/registry/table"
)

// unfinished ends the name of a file that is being written.
const unfinished = ".new"

// WriteFile has fill write a backup to a new file at path, which only its owner may read. The file
// is there once it is complete and on the disk. WriteFile returns an error if one is there
// already.
func WriteFile(path string, fill func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already: give another name", path)
	}
	half := path + unfinished
	f, err := os.OpenFile(half, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there: remove it, unless another backup is being written", half)
	}
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer os.Remove(half)
	err = fill(f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = Verify(f)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(half, path)
}

// Verify reads a whole backup, and returns an error if it is cut short or damaged.
func Verify(from io.Reader) error {
	_, err := unpack(from, "")
	return err
}

// place renames a file to a name that no file has.
func place(from, to string) error {
	err := os.Link(from, to)
	if err != nil && !errors.Is(err, fs.ErrExist) { // there is a file system without links
		if _, err = os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(from, to)
		} else if err == nil {
			err = fs.ErrExist
		}
	} else if err == nil {
		err = os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: give another name", to)
	}
	if err != nil {
		return err
	}
	return table.SyncDir(to)
}
