package registry

import (
	"errors"
	"path/filepath"
	"testing"

	"idlepush/registry/table"
)

func TestReadAll(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	furnish(t, s)
	want := len(content(t, s))
	rows, err := s.ReadAll()
	if err != nil || rows < want {
		t.Errorf("%d of %d rows, %v", rows, want, err)
	}
	damages := map[string]func(tx *table.Tx) error{
		"a sealed column of another row": func(tx *table.Tx) error {
			list, err := notifications.First(tx, table.Range{}, 2)
			if err != nil {
				return err
			}
			list[0].Value.Sealed = list[1].Value.Sealed
			return notifications.Put(tx, list[0].Key, list[0].Value)
		},
		"a meta row": func(tx *table.Tx) error {
			return metas.Put(tx, metaVAPID, metaRow{Sealed: []byte{1, 2, 3}})
		},
	}
	for name, damage := range damages {
		other, err := Open(filepath.Join(t.TempDir(), "damaged"), unsynced)
		if err != nil {
			t.Fatal(err)
		}
		furnish(t, other)
		if err := other.db.Update(damage); err != nil {
			t.Fatal(err)
		}
		if _, err := other.ReadAll(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRestored(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	check := func(want bool) {
		t.Helper()
		if got, err := s.Restored(); got != want || err != nil {
			t.Errorf("restored: %v, %v", got, err)
		}
	}
	check(false)
	if err := s.MarkRestored(noon); err != nil {
		t.Fatal(err)
	}
	check(true)
	if err := s.ForgetRestored(); err != nil {
		t.Fatal(err)
	}
	check(false)
}
