//go:build unix

package backup

import (
	"fmt"
	"os"
	"syscall"
)

// chownToFolder makes the owner of the data folder the owner of a file that root has made. The user
// of a service may exist only while it runs, so root may have to restore.
func chownToFolder(dir, path string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("make the owner of %s the owner of the store (%w): run this as that user", dir, err)
	}
	return nil
}
