package table

import (
	"path/filepath"
	"testing"
)

func TestDigest(t *testing.T) {
	t.Parallel()
	digest := func(key byte, text string) (d [32]byte) {
		t.Helper()
		o := unsynced()
		o.Key = append([]byte{key}, o.Key[1:]...)
		db, err := Create(filepath.Join(t.TempDir(), "db"), o)
		if err != nil {
			t.Fatal(err)
		}
		view(t, db, func(tx *Tx) error {
			d = tx.Digest(text)
			return nil
		})
		closeDB(t, db)
		return d
	}
	one := digest(1, "ann@example.org")
	if again := digest(1, "ann@example.org"); again != one {
		t.Error("the same text has two digests")
	}
	if digest(1, "ben@example.org") == one {
		t.Error("two texts have the same digest")
	}
	if digest(2, "ann@example.org") == one {
		t.Error("another key makes the same digest")
	}
}
