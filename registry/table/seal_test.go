package table

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

// safe is a row with a sealed column.
type safe struct{ Secret Sealed }

var (
	safes      = New[number, safe]("safes")
	otherSafes = New[number, safe]("other safes")
)

func TestSealed(t *testing.T) {
	t.Parallel()
	const secret = "correct horse battery staple"
	path, o := filepath.Join(t.TempDir(), "db"), unsynced()
	_, _ = rand.Read(o.Key)
	db, err := Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closeDB(t, db) }()
	var sealed, again Sealed
	update(t, db, func(tx *Tx) (err error) {
		if sealed, err = safes.Place(tx, 1).Seal(secret); err != nil {
			return err
		}
		if again, err = safes.Place(tx, 1).Seal(secret); err != nil {
			return err
		}
		return safes.Put(tx, 1, safe{sealed})
	})
	if bytes.Equal(sealed, again) || bytes.Contains(sealed, []byte("horse")) {
		t.Errorf("%q and %q", sealed, again)
	}
	open := func(t *testing.T, place func(tx *Tx) Place, sealed Sealed) (got string, err error) {
		t.Helper()
		view(t, db, func(tx *Tx) error { err = place(tx).Open(sealed, &got); return nil })
		return got, err
	}
	here := func(tx *Tx) Place { return safes.Place(tx, 1) }

	t.Run("it can be read in its row, even after the file was closed", func(t *testing.T) {
		closeDB(t, db)
		if db, err = Open(path, o); err != nil {
			t.Fatal(err)
		}
		view(t, db, func(tx *Tx) error {
			row, _, err := safes.Get(tx, 1)
			if got, err := open(t, here, row.Secret); got != secret || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			return err
		})
	})
	t.Run("it cannot be read in another row or table", func(t *testing.T) {
		for name, place := range map[string]func(tx *Tx) Place{
			"row":   func(tx *Tx) Place { return safes.Place(tx, 2) },
			"table": func(tx *Tx) Place { return otherSafes.Place(tx, 1) },
		} {
			if got, err := open(t, place, sealed); got != "" || !errors.Is(err, ErrCorrupt) {
				t.Errorf("another %s: %q, %v", name, got, err)
			}
		}
	})
	t.Run("a changed byte is found, wherever it is", func(t *testing.T) {
		for i := range sealed {
			changed := slices.Clone(sealed)
			changed[i] ^= 1
			if got, err := open(t, here, changed); got != "" || !errors.Is(err, ErrCorrupt) {
				t.Errorf("byte %d: %q, %v", i, got, err)
			}
			if _, err := open(t, here, sealed[:i]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d bytes: %v", i, err)
			}
		}
	})
	t.Run("it cannot be read with another key", func(t *testing.T) {
		closeDB(t, db)
		other := o
		other.Key = make([]byte, KeySize)
		if db, err = Open(path, other); err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, here, sealed); got != "" || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("it must be of the type that was sealed", func(t *testing.T) {
		var n int
		view(t, db, func(tx *Tx) error {
			text, err := here(tx).Seal("text")
			if openErr := here(tx).Open(text, &n); !errors.Is(openErr, ErrCorrupt) {
				t.Error(openErr)
			}
			if _, err := here(tx).Seal(func() {}); err == nil {
				t.Error("a function is sealed")
			}
			return err
		})
	})
	t.Run("a key has 32 bytes", func(t *testing.T) {
		for _, size := range []int{0, 16, 31, 33} {
			_, err := Create(filepath.Join(t.TempDir(), "db"), Options{Key: make([]byte, size)})
			if err == nil {
				t.Errorf("a key of %d bytes is accepted", size)
			}
		}
	})
}
