//go:build unix

package backup

import (
	"fmt"
	"os"
	"syscall"
)

// giveToOwner gives a file of root's to the owner of the data folder, who could not open it: the
// user of a service may exist only while that runs, so that root restores.
func giveToOwner(dir, path string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("give the store to the owner of %s (%w): run this as that user", dir, err)
	}
	return nil
}
