//go:build unix

package registry

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockFolder keeps other processes from making a store in dir at the same time; each would write a key of its own. It waits at most lockWait.
func lockFolder(dir string) (unlock func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return d.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(until) {
			d.Close()
			return nil, fmt.Errorf("the data folder %s is in use by another process (%w): stop that one first, or give this one a folder of its own", dir, err)
		}
	}
}
