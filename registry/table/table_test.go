package table

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	ann := person{"ann", []string{"Bonn", "Cork"}}

	t.Run("a row can be read in the transaction that wrote it and after it", func(t *testing.T) {
		read := func(tx *Tx) error {
			row, found, err := people.Get(tx, 1)
			if !found || !reflect.DeepEqual(row, ann) {
				t.Errorf("%v, %v", row, found)
			}
			if has, err := people.Has(tx, 1); !has || err != nil {
				t.Errorf("Has: %v, %v", has, err)
			}
			return err
		}
		update(t, db, func(tx *Tx) error { return errors.Join(people.Put(tx, 1, ann), read(tx)) })
		view(t, db, read)
	})
	t.Run("text that is not valid UTF-8 is kept as it is", func(t *testing.T) {
		odd := person{Name: "caf\xe9", Towns: []string{"\xff\xfe"}}
		var sealed Sealed
		update(t, db, func(tx *Tx) (err error) {
			if sealed, err = people.Place(tx, 3).Seal(odd); err != nil {
				return err
			}
			return people.Put(tx, 3, odd)
		})
		view(t, db, func(tx *Tx) error {
			row, _, err := people.Get(tx, 3)
			if !reflect.DeepEqual(row, odd) {
				t.Errorf("%q", row)
			}
			var open person
			if err := people.Place(tx, 3).Open(sealed, &open); err != nil || !reflect.DeepEqual(open, odd) {
				t.Errorf("sealed: %q, %v", open, err)
			}
			return err
		})
		update(t, db, func(tx *Tx) error { return people.Delete(tx, 3) })
	})
	t.Run("an error undoes what the transaction wrote", func(t *testing.T) {
		mine := errors.New("mine")
		err := db.Update(func(tx *Tx) error { return errors.Join(people.Put(tx, 2, ann), people.Delete(tx, 1), mine) })
		if !errors.Is(err, mine) {
			t.Error(err)
		}
		view(t, db, func(tx *Tx) error {
			keys, err := people.Keys(tx, Range{}, NoLimit)
			if len(keys) != 1 || keys[0] != 1 {
				t.Errorf("there are %v", keys)
			}
			return err
		})
	})
	t.Run("a deleted row is gone in the transaction and after it", func(t *testing.T) {
		read := func(tx *Tx) error {
			if _, found, err := people.Get(tx, 1); found || err != nil {
				t.Errorf("%v, %v", found, err)
			}
			has, err := people.Has(tx, 1)
			if has {
				t.Error("Has finds it")
			}
			return err
		}
		update(t, db, func(tx *Tx) error { return errors.Join(people.Delete(tx, 1), read(tx), people.Delete(tx, 7)) })
		view(t, db, read)
	})
	t.Run("a View cannot write", func(t *testing.T) {
		err := db.View(func(tx *Tx) error { return people.Put(tx, 1, ann) })
		if !errors.Is(err, errReadOnly) {
			t.Errorf("Put: %v", err)
		}
		if err := db.View(func(tx *Tx) error { return words.Delete(tx, "a") }); !errors.Is(err, errReadOnly) {
			t.Errorf("Delete: %v", err)
		}
	})
	t.Run("a key must have a size that the engine supports", func(t *testing.T) {
		for _, size := range []int{0, maxKey + 1} {
			err := db.Update(func(tx *Tx) error { return words.Put(tx, Text(strings.Repeat("k", size)), "") })
			if want := fmt.Sprintf("a key of words has %d bytes", size); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d bytes: %v", size, err)
			}
			if err := db.Ready(); err != nil {
				t.Errorf("%d bytes: not ready: %v", size, err)
			}
		}
		put(t, db, strings.Repeat("k", maxKey))
	})
	t.Run("a Put that failed fails the transaction, whatever its function returns", func(t *testing.T) {
		err := db.Update(func(tx *Tx) error {
			// The row has an index key that is too long. Its other index keys are written by then.
			_ = people.Put(tx, 3, person{"bob", []string{strings.Repeat("k", maxKey)}})
			return nil
		})
		if err == nil {
			t.Error("half a row was committed")
		}
		view(t, db, func(tx *Tx) error {
			_, found, err := named.Get(tx, "bob")
			if found {
				t.Error("an index leads to a row that is not there")
			}
			return err
		})
	})
	t.Run("a transaction cannot be used after its end", func(t *testing.T) {
		var ended []*Tx
		keep := func(tx *Tx) error { ended = append(ended, tx); return nil }
		update(t, db, keep)
		view(t, db, keep)
		_ = db.Update(func(tx *Tx) error { _ = keep(tx); return errors.New("undone") })
		for i, tx := range ended {
			for name, use := range map[string]func(){
				"Get":   func() { _, _, _ = people.Get(tx, 1) },
				"Put":   func() { _ = words.Put(tx, "k", "") },
				"First": func() { _, _ = people.First(tx, Range{}, 1) },
			} {
				if r := recovered(use); r == nil || !strings.Contains(fmt.Sprint(r), "has ended") {
					t.Errorf("%s of transaction %d: %v", name, i, r)
				}
			}
		}
	})
	t.Run("rows may encode themselves", tableSelfEncoded)
	t.Run("a key of another type is damage", tableWrongKey)
	t.Run("no row has an empty key", tableEmptyKey)
}

// packed is a row that encodes itself. An empty row has no bytes.
type packed string

func (p packed) MarshalBinary() ([]byte, error) {
	if p == "unencodable" {
		return nil, errors.New("not possible")
	}
	return []byte(p), nil
}

func (p *packed) UnmarshalBinary(data []byte) error {
	if *p = packed(data); *p == "undecodable" {
		return errors.New("not possible")
	}
	return nil
}

func tableSelfEncoded(t *testing.T) {
	t.Parallel()
	packs := New[Text, packed]("packs")
	db := newDB(t, Options{})
	for _, want := range []packed{"", "text", "\x00\xff"} {
		read := func(tx *Tx) error {
			got, found, err := packs.Get(tx, "k")
			if got != want || !found {
				t.Errorf("%q, %v, want %q", got, found, want)
			}
			rows, listErr := packs.Last(tx, Range{}, 2)
			if len(rows) != 1 || rows[0].Value != want {
				t.Errorf("%v, want %q", rows, want)
			}
			return errors.Join(err, listErr)
		}
		update(t, db, func(tx *Tx) error { return errors.Join(packs.Put(tx, "k", want), read(tx)) })
		view(t, db, read)
	}
	if err := db.Update(func(tx *Tx) error { return packs.Put(tx, "k", "unencodable") }); err == nil {
		t.Error("a row that cannot be encoded was written")
	}
	update(t, db, func(tx *Tx) error { return packs.Put(tx, "k", "undecodable") })
	for name, read := range map[string]func(tx *Tx) error{
		"Get":   func(tx *Tx) error { _, _, err := packs.Get(tx, "k"); return err },
		"First": func(tx *Tx) error { _, err := packs.First(tx, Range{}, 1); return err },
	} {
		if err := db.View(read); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "packs") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func tableWrongKey(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	put(t, db, "no number")
	numbers := New[number, string]("words")
	for name, read := range map[string]func(tx *Tx) error{
		"First": func(tx *Tx) error { _, err := numbers.First(tx, Range{}, 1); return err },
		"Keys":  func(tx *Tx) error { _, err := numbers.Keys(tx, Range{}, 1); return err },
	} {
		if err := db.View(read); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "words") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func tableEmptyKey(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	for range 2 { // in an empty table, and in one with a row
		view(t, db, func(tx *Tx) error {
			row, found, err := words.Get(tx, "")
			if found || row != "" {
				t.Errorf("%q, %v", row, found)
			}
			return err
		})
		put(t, db, "word")
	}
}
