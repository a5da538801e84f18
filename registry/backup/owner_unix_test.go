//go:build unix

package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestRestoreByRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("this needs root")
	}
	const nobody = 65534
	backup, _ := madeOf(t, passphrase)
	dir := t.TempDir()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (Keys{Dir: dir, Passphrase: asked(passphrase)}).Restore(bytes.NewReader(backup), false, noon); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"idlepush.db", "key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != nobody || owner.Gid != nobody {
			t.Errorf("%s belongs to %d, and the folder to another", name, owner.Uid)
		}
	}
}
