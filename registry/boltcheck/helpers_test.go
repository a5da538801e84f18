package boltcheck

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// lockWait is how long a check waits for the lock.
const lockWait = time.Second

// damagedFile is a file to damage in many ways, one after the other.
type damagedFile struct {
	path  string
	whole []byte
	page  int // the size of one
	used  int // bytes in use; the rest lets the file grow
}

// newDamagedFile makes a file with all kinds of pages: branches, leaves and free pages. It has a
// bucket that is kept in its parent's page, an empty one, one in another bucket, and values that
// take several pages.
func newDamagedFile(t testing.TB) damagedFile {
	t.Helper()
	d := damagedFile{path: filepath.Join(t.TempDir(), "db"), page: os.Getpagesize()}
	db, err := bolt.Open(d.path, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(b *bolt.Bucket, from, to, size int) error {
		for i := from; i < to; i++ {
			if err := b.Put(fmt.Appendf(nil, "key %04d", i), bytes.Repeat([]byte{'v'}, size)); err != nil {
				return err
			}
		}
		return nil
	}
	steps := []func(tx *bolt.Tx) error{
		func(tx *bolt.Tx) error {
			many, err := tx.CreateBucket([]byte("many"))
			if err != nil {
				return err
			}
			large, err := tx.CreateBucket([]byte("large"))
			if err != nil {
				return err
			}
			small, err := tx.CreateBucket([]byte("small"))
			if err != nil {
				return err
			}
			if _, err := tx.CreateBucket([]byte("empty")); err != nil {
				return err
			}
			inner, err := many.CreateBucket([]byte("inner"))
			if err != nil {
				return err
			}
			return errors.Join(fill(many, 0, 600, 50), fill(large, 0, 3, 3*d.page), fill(small, 0, 3, 10), fill(inner, 0, 100, 100))
		},
		func(tx *bolt.Tx) error { return fill(tx.Bucket([]byte("many")), 100, 110, 60) },
		func(tx *bolt.Tx) error {
			for i := 200; i < 400; i++ {
				if err := tx.Bucket([]byte("many")).Delete(fmt.Appendf(nil, "key %04d", i)); err != nil {
					return err
				}
			}
			return nil
		},
		func(tx *bolt.Tx) error { return fill(tx.Bucket([]byte("many")), 0, 1, 60) },
	}
	for _, step := range steps {
		if err := db.Update(step); err != nil {
			t.Fatal(err)
		}
	}
	err = db.View(func(tx *bolt.Tx) error { d.used = int(tx.Size()); return nil })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if d.whole, err = os.ReadFile(d.path); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d damagedFile) put(t testing.TB, data []byte) {
	t.Helper()
	if err := os.WriteFile(d.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkRefused checks that Check reports data as damaged and does not change the file.
func (d damagedFile) checkRefused(t *testing.T, data []byte) {
	t.Helper()
	d.put(t, data)
	if err := Check(d.path, lockWait); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if after, err := os.ReadFile(d.path); err != nil || !bytes.Equal(after, data) {
		t.Errorf("the file has changed, %v", err)
	}
}

// pages returns the offsets of the pages of a kind, by bbolt's name for it.
func (d damagedFile) pages(t testing.TB, kind string) (list []int) {
	t.Helper()
	d.put(t, d.whole)
	db, err := bolt.Open(d.path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			if p == nil || err != nil {
				return err
			}
			if p.Type == kind {
				list = append(list, id*d.page)
			}
			id += p.OverflowCount
		}
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatalf("no page is %s", kind)
	}
	return list
}

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
