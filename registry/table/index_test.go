package table

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
)

// Two indexes that share a name.
var (
	towns    = New[number, person]("towns")
	byName   = NewIndex(towns, "towns/keys", func(_ number, row person) []Text { return []Text{Text("n" + row.Name)} })
	byFriend = NewIndex(towns, "towns/keys", func(_ number, row person) (list []Text) {
		for _, other := range row.Towns {
			list = append(list, Text("f"+other))
		}
		return list
	})
)

// who returns the person that the index of names leads to.
func who(t *testing.T, db *DB, name Text) (k number, found bool) {
	t.Helper()
	view(t, db, func(tx *Tx) (err error) {
		k, found, err = named.Get(tx, name)
		row, has, rowErr := named.Row(tx, name)
		if rowErr != nil || has != found || found && (row.Key != k || row.Value.Name != string(name)) {
			t.Errorf("%s: Row returns %v, %v, %v", name, row, has, rowErr)
		}
		return err
	})
	return k, found
}

func TestIndex(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	write := func(k number, row person) {
		t.Helper()
		update(t, db, func(tx *Tx) error { return people.Put(tx, k, row) })
	}
	check := func(t *testing.T, name Text, want number) {
		t.Helper()
		if k, found := who(t, db, name); k != want || found != (want != 0) {
			t.Errorf("%s leads to %d, %v, want %d", name, k, found, want)
		}
	}
	t.Run("it follows a row that is written", func(t *testing.T) {
		write(1, person{Name: "ann"})
		check(t, "ann", 1)
		write(1, person{Name: "bob"})
		check(t, "ann", 0)
		check(t, "bob", 1)
	})
	t.Run("it follows a row that loses its key or is deleted", func(t *testing.T) {
		write(1, person{})
		check(t, "bob", 0)
		write(1, person{Name: "bob"})
		update(t, db, func(tx *Tx) error { return people.Delete(tx, 1) })
		check(t, "bob", 0)
	})
	t.Run("a key leads to the row that got it last", func(t *testing.T) {
		write(1, person{Name: "ann"})
		write(2, person{Name: "ann"})
		check(t, "ann", 2)
		write(1, person{Name: "ann", Towns: []string{"Bonn"}}) // keeps its key
		check(t, "ann", 2)
		write(1, person{Name: "bob"}) // loses a key that leads to another row
		check(t, "ann", 2)
		write(2, person{})
		check(t, "ann", 0)
	})
	t.Run("a row may have several keys, and a range finds it by each", func(t *testing.T) {
		write(1, person{"ann", []string{"Bonn", "Cork", "Cork"}})
		write(2, person{"bob", []string{"Cork", "Bonner"}})
		write(3, person{"cy", []string{"Cork"}})
		write(3, person{"cy", []string{"Cork", "Dun"}})
		for _, c := range []struct {
			r     Range
			limit int
			want  []number
		}{
			{Under(town("Cork")), NoLimit, []number{1, 2, 3}},
			{Under(town("Cork")), 2, []number{1, 2}},
			{Under(town("Cork")).Past(inTown{"Cork", 1}), 2, []number{2, 3}},
			{Under(town("Bonn")), NoLimit, []number{1}},
			{Under(town("Eu")), NoLimit, nil},
			{Range{}, NoLimit, []number{1, 2, 1, 2, 3, 3}},
		} {
			view(t, db, func(tx *Tx) error {
				rows, err := livingIn.Rows(tx, c.r, c.limit)
				var got []number
				for _, row := range rows {
					if want, _, _ := people.Get(tx, row.Key); !reflect.DeepEqual(row.Value, want) {
						t.Errorf("%d is %v", row.Key, row.Value)
					}
					got = append(got, row.Key)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%v, want %v", got, c.want)
				}
				return err
			})
		}
	})
	t.Run("entries are in order, or the last entry first", func(t *testing.T) {
		view(t, db, func(tx *Tx) error {
			first, err := livingIn.First(tx, Range{}, 2)
			if err != nil {
				return err
			}
			last, err := livingIn.Last(tx, Range{}, 2)
			want := []Entry[inTown, number]{{inTown{"Bonn", 1}, 1}, {inTown{"Bonner", 2}, 2}}
			if !slices.Equal(first, want) {
				t.Errorf("first: %v", first)
			}
			if want = []Entry[inTown, number]{{inTown{"Dun", 3}, 3}, {inTown{"Cork", 3}, 3}}; !slices.Equal(last, want) {
				t.Errorf("last: %v", last)
			}
			return err
		})
	})
	t.Run("it follows within a transaction", func(t *testing.T) {
		update(t, db, func(tx *Tx) error {
			for _, name := range []string{"dee", "eve", "fay"} {
				if err := people.Put(tx, 9, person{Name: name}); err != nil {
					return err
				}
				if k, found, err := named.Get(tx, Text(name)); k != 9 || !found || err != nil {
					t.Errorf("%s: %d, %v, %v", name, k, found, err)
				}
			}
			_, found, err := named.Get(tx, "eve")
			if found {
				t.Error("an old key leads somewhere")
			}
			return err
		})
		check(t, "dee", 0)
		check(t, "eve", 0)
		check(t, "fay", 9)
	})
	t.Run("indexes may share a name", indexSharedName)
	t.Run("the value of a key leaves out their common prefix", indexValue)
}

func indexSharedName(t *testing.T) {
	t.Parallel()
	db := newDB(t, Options{})
	for _, name := range []string{"Bonn", "Cork"} {
		update(t, db, func(tx *Tx) error { return towns.Put(tx, 1, person{name, []string{"Dun", "Bonn"}}) })
	}
	view(t, db, func(tx *Tx) error {
		named, err := byName.Keys(tx, Range{}, NoLimit)
		if want := []Text{"fBonn", "fDun", "nCork"}; err != nil || !slices.Equal(named, want) {
			t.Errorf("keys %q, %v, want %q", named, err, want)
		}
		row, found, err := byFriend.Row(tx, "fBonn")
		if row.Key != 1 || row.Value.Name != "Cork" || !found {
			t.Errorf("it leads to %v, %v", row, found)
		}
		return err
	})
}

func indexValue(t *testing.T) {
	t.Parallel()
	long := number(1).Append(bytes.Repeat([]byte{'x'}, 300))
	for name, c := range map[string]struct {
		key, primary []byte
		size         int
	}{
		"nothing in common":  {[]byte("ab"), []byte("xyz"), 1 + 3},
		"a common beginning": {[]byte("abc"), []byte("abx"), 1 + 1},
		"the same":           {[]byte("abc"), []byte("abc"), 1},
		"all of the key":     {[]byte("ab"), []byte("abc"), 1 + 1},
		"all of the row's":   {[]byte("abc"), []byte("ab"), 1},
		"no more than fits":  {long, long, 1 + len(long) - math.MaxUint8},
	} {
		t.Run(name, func(t *testing.T) {
			short := encodePrimary(c.key, c.primary)
			if len(short) != c.size {
				t.Errorf("%d bytes, want %d", len(short), c.size)
			}
			if k, err := decodePrimary[Text]("index", c.key, short); err != nil || string(k) != string(c.primary) {
				t.Errorf("%q, %v", k, err)
			}
		})
	}
	for _, damaged := range [][]byte{nil, {3}, {255, 'a'}} {
		if k, err := decodePrimary[Text]("index", []byte("ab"), damaged); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %q, %v", damaged, k, err)
		}
	}
}
