package table

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestBound(t *testing.T) {
	t.Parallel()
	t.Run("Left counts the reads and writes of a transaction", boundLeft)
	t.Run("a transaction that is too large fails", boundExceeded)
}

func boundLeft(t *testing.T) {
	t.Parallel()
	const bound = 10
	ann := person{"ann", []string{"Bonn", "Cork"}}
	for name, c := range map[string]struct {
		do   func(tx *Tx) error
		used int
	}{
		"nothing":                  {func(tx *Tx) error { return nil }, 0},
		"a row read":               {func(tx *Tx) error { _, err := words.Has(tx, "a"); return err }, 1},
		"a row written":            {putWord("a"), 1},
		"a row read and written":   {func(tx *Tx) error { _, _, err := words.Get(tx, "a"); return errors.Join(err, putWord("a")(tx)) }, 2},
		"a row written, then read": {func(tx *Tx) error { _, _, err := words.Get(tx, "a"); return errors.Join(putWord("a")(tx), err) }, 2},
		"a row written twice":      {func(tx *Tx) error { return errors.Join(putWord("a")(tx), putWord("a")(tx)) }, 1},
		"a scan":                   {func(tx *Tx) error { _, err := words.First(tx, Range{}, NoLimit); return err }, 1},
		"a scan of nothing":        {func(tx *Tx) error { _, err := words.Last(tx, Under(Text("a")).Before(Text("a")), 1); return err }, 0},
		"the same scan twice": {func(tx *Tx) error {
			_, e := words.Keys(tx, Range{}, 1)
			_, err := words.Keys(tx, Range{}, 1)
			return errors.Join(e, err)
		}, 2},
		"a row with three keys":     {func(tx *Tx) error { return people.Put(tx, 1, ann) }, 1 + 1 + 3},
		"a row that keeps its keys": {func(tx *Tx) error { return people.Put(tx, 7, ann) }, 1 + 1},
		"a row that loses three":    {func(tx *Tx) error { return people.Delete(tx, 7) }, 1 + 1 + 3 + 3},
		"a row that was not there":  {func(tx *Tx) error { return people.Delete(tx, 1) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			db := newDB(t, Options{Bound: bound})
			update(t, db, func(tx *Tx) error { return people.Put(tx, 7, ann) })
			put(t, db, "b")
			update(t, db, func(tx *Tx) error {
				err := c.do(tx)
				if left := tx.Left(); left != bound-c.used {
					t.Errorf("%d are left, want %d", left, bound-c.used)
				}
				return err
			})
		})
	}
}

func boundExceeded(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{Bound: 3})
	write := func(n int) error {
		return db.Update(func(tx *Tx) error {
			for i := range n {
				_ = words.Put(tx, Text([]string{"a", "b", "c", "d"}[i]), "")
			}
			return nil
		})
	}
	if err := write(4); !errors.Is(err, errTooLarge) {
		t.Errorf("4 writes: %v", err)
	}
	if err := write(3); err != nil {
		t.Errorf("3 writes: %v", err)
	}
	for name, read := range map[string]func(tx *Tx) error{
		"Get":   func(tx *Tx) error { _, _, err := words.Get(tx, "a"); return err },
		"First": func(tx *Tx) error { _, err := words.First(tx, Range{}, 1); return err },
	} {
		err := db.Update(func(tx *Tx) error {
			for range 3 {
				if _, err := words.Keys(tx, Range{}, 1); err != nil {
					t.Errorf("3 scans: %v", err)
				}
			}
			return read(tx)
		})
		if !errors.Is(err, errTooLarge) {
			t.Errorf("3 scans and a %s: %v", name, err)
		}
	}
	if err := db.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	view(t, db, func(tx *Tx) error {
		for i := range 10 {
			_, _, getErr := words.Get(tx, Text(fmt.Sprint(i)))
			_, err := words.First(tx, Range{}, 1)
			if err := errors.Join(getErr, err); err != nil {
				return err
			}
		}
		if left := tx.Left(); left != math.MaxInt {
			t.Errorf("a View has %d left", left)
		}
		return nil
	})
}
