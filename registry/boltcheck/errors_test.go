package boltcheck

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	t.Run("a file that cannot be opened is not damaged", func(t *testing.T) {
		for name, c := range map[string]struct {
			path string
			want error
		}{
			"no file":  {filepath.Join(t.TempDir(), "none"), fs.ErrNotExist},
			"a folder": {t.TempDir(), syscall.EISDIR},
		} {
			if err := Check(c.path, lockWait); !errors.Is(err, c.want) || errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, err := range []error{syscall.ENOLCK, syscall.EIO, bolterrors.ErrTimeout, errors.New("mmap too large"), nil} {
			if got := Classify(err); got != err {
				t.Errorf("%v: %v", err, got)
			}
		}
	})
	t.Run("a file in use is not damaged", func(t *testing.T) {
		d.put(t, d.whole)
		db, err := bolt.Open(d.path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			if err := Check(d.path, lockWait); !errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			if took := time.Since(began); took < lockWait/2 || took > 2*lockWait {
				t.Errorf("it took %v", took)
			}
		})
		if err := CheckFile(openFile(t, d.path), d.page); err != nil {
			t.Errorf("CheckFile: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("an error of bbolt's Open about a damaged file is damage", func(t *testing.T) {
		for name, data := range map[string][]byte{
			"noise":     bytes.Repeat([]byte{7}, 4*d.page),
			"too small": d.whole[:d.page+1],
			"a version": append(append(bytes.Repeat([]byte{0}, pageHeader), 0xED, 0xDA, 0x0C, 0xED, 9), make([]byte, 4*d.page)...),
		} {
			d.put(t, data)
			_, err := bolt.Open(d.path, 0o600, nil)
			if err := Classify(err); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
