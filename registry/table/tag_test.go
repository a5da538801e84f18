package table

import (
	"path/filepath"
	"testing"
)

// door is a row of a table with tags.
type door struct{ Key string }

var (
	doors       = NewTagged[number, door]("doors")
	doorsByKey  = NewIndex(doors, "doors/key", func(_ number, row door) []Text { return []Text{Text(row.Key)} })
	untagged    = New[number, door]("doors") // as somebody writes who knows of no tags
	windows     = NewTagged[number, door]("windows")
	otherwindow = NewTagged[number, door]("doors")
)

func TestTags(t *testing.T) {
	t.Parallel()
	path, o := filepath.Join(t.TempDir(), "db"), unsynced()
	db, err := Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *Tx) error {
		for i := range number(4) {
			if err := doors.Put(tx, i, door{string(rune('a' + i))}); err != nil {
				return err
			}
		}
		return nil
	})
	closeDB(t, db)

	another := o
	another.Key = append([]byte{1}, o.Key[1:]...)
	if db, err = Open(path, another); err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *Tx) error { return otherwindow.Put(tx, 1, door{"b"}) })
	closeDB(t, db)
	if db, err = Open(path, o); err != nil {
		t.Fatal(err)
	}
	defer func() { closeDB(t, db) }()

	t.Run("a row whose tag does not fit is as if it were not there", func(t *testing.T) {
		view(t, db, func(tx *Tx) error {
			if _, found, err := doors.Get(tx, 1); err != nil || found {
				t.Errorf("Get: %v, %v", found, err)
			}
			if _, found, err := doorsByKey.Row(tx, "b"); err != nil || found {
				t.Errorf("Row: %v, %v", found, err)
			}
			if rows, err := doorsByKey.Rows(tx, Range{}, NoLimit); err != nil || len(rows) != 3 {
				t.Errorf("Rows: %v, %v", rows, err)
			}
			if rows, err := doors.First(tx, Range{}, 2); err != nil || len(rows) != 2 || rows[1].Key != 2 {
				t.Errorf("First takes the next one instead: %v, %v", rows, err)
			}
			if rows, err := doors.Last(tx, Range{}, 3); err != nil || len(rows) != 3 || rows[2].Key != 0 {
				t.Errorf("Last takes the next one instead: %v, %v", rows, err)
			}
			return nil
		})
	})
	t.Run("who asks for such rows finds them", func(t *testing.T) {
		view(t, db, func(tx *Tx) error {
			if there, err := doors.Has(tx, 1); err != nil || !there {
				t.Errorf("Has: %v, %v", there, err)
			}
			if keys, err := doors.Keys(tx, Range{}, NoLimit); err != nil || len(keys) != 4 {
				t.Errorf("Keys: %v, %v", keys, err)
			}
			if row, found, err := doors.Unverified(tx, 1); err != nil || !found || row.Key != "b" {
				t.Errorf("Unverified: %v, %v, %v", row, found, err)
			}
			if rows, err := doors.Damaged(tx); err != nil || len(rows) != 1 || rows[0].Key != 1 {
				t.Errorf("Damaged: %v, %v", rows, err)
			}
			return nil
		})
	})
	t.Run("a row without a tag, or of another table, is damaged", func(t *testing.T) {
		update(t, db, func(tx *Tx) error { return untagged.Put(tx, 7, door{"a long name, longer than a tag"}) })
		update(t, db, func(tx *Tx) error { return untagged.Put(tx, 8, door{}) })
		var raw []byte
		update(t, db, func(tx *Tx) error {
			if err := windows.Put(tx, 9, door{"w"}); err != nil {
				return err
			}
			data, err := tx.get("windows", encodeKey(number(9)))
			raw = append(raw, data...)
			return err
		})
		update(t, db, func(tx *Tx) error { return tx.set("doors", encodeKey(number(9)), raw) })
		view(t, db, func(tx *Tx) error {
			rows, err := doors.Damaged(tx)
			if len(rows) != 4 {
				t.Errorf("damaged are %v", rows)
			}
			return err
		})
	})
	t.Run("it can be removed with its index keys, or written anew", func(t *testing.T) {
		update(t, db, func(tx *Tx) error { return doors.Delete(tx, 1) })
		update(t, db, func(tx *Tx) error { return doors.Put(tx, 8, door{"h"}) })
		view(t, db, func(tx *Tx) error {
			if _, found, err := doorsByKey.Get(tx, "b"); err != nil || found {
				t.Errorf("its index key: %v, %v", found, err)
			}
			if row, found, err := doorsByKey.Row(tx, "h"); err != nil || !found || row.Key != 8 {
				t.Errorf("written anew: %v, %v", found, err)
			}
			return nil
		})
	})
	t.Run("a sealed column opens for the values that it was sealed with", func(t *testing.T) {
		view(t, db, func(tx *Tx) error {
			place := windows.Place(tx, 1)
			sealed, err := place.With("host", "993").Seal("secret")
			if err != nil {
				return err
			}
			var got string
			for _, other := range []Place{place, place.With("host"), place.With("host", "143"), place.With("host9", "93"), place.With("host993"), place.With("993", "host")} {
				if other.Open(sealed, &got) == nil {
					t.Errorf("it opens at %q", other.name)
				}
			}
			return place.With("host", "993").Open(sealed, &got)
		})
	})
}
