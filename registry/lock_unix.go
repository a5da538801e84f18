//go:build unix

package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"idlepush/registry/table"
)

// lockFolder keeps other processes from creating a store in dir at the same time: each would write
// a key of its own. It waits at most table.LockWait.
func lockFolder(dir string) (unlock func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(table.LockWait); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return d.Close, nil
		}
		switch {
		case !errors.Is(err, syscall.EWOULDBLOCK):
			err = fmt.Errorf("the data folder %s cannot be locked (%w): put it on a local disk", dir, err)
		case time.Now().After(until):
			err = fmt.Errorf("the data folder %s is in use by another process: stop that one first, or give this one a folder of its own", dir)
		default:
			continue
		}
		return nil, errors.Join(err, d.Close())
	}
}

// isOwn reports whether the file belongs to the user who runs this.
func isOwn(file fs.FileInfo) bool {
	stat, ok := file.Sys().(*syscall.Stat_t)
	return !ok || int(stat.Uid) == os.Geteuid()
}
