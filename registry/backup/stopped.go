package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"idlepush/registry/table"
)

// WriteStopped is Write for the data folder, while no daemon has it. It reads the whole store
// first, and changes nothing.
func (k Keys) WriteStopped(to io.Writer, program, passphrase string, now time.Time) error {
	aged, err := k.encrypt(passphrase)
	if err != nil {
		return err
	}
	path := filepath.Join(k.Dir, storeFile)
	err = table.SnapshotOf(path, func(of table.Snapshot) error { return source{of, program, aged}.write(to, now) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the store %s does not exist: name the data folder of idlepush with --data", path)
	case errors.Is(err, table.ErrCorrupt):
		return fmt.Errorf("the store %s: %w: restore it from an earlier backup", path, err)
	}
	return err
}

// encrypt returns the key of the data folder as encrypt does.
func (k Keys) encrypt(passphrase string) ([]byte, error) {
	if k.Key != nil || passphrase == "" {
		return encrypt(k.Key, passphrase)
	}
	key, err := readKey(k.Dir)
	if err != nil {
		return nil, fmt.Errorf("the backup cannot have the key of the store: %w", err)
	}
	return encrypt(key, passphrase)
}
