package table

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"idlepush/registry/testenv"
)

// model is a copy of people and its indexes in maps.
type model struct {
	rows  map[number]person
	names map[Text]number // as [named]
}

func (m model) clone() model { return model{maps.Clone(m.rows), maps.Clone(m.names)} }

func (m model) set(k number, row *person) {
	before := m.rows[k].Name
	after := ""
	if delete(m.rows, k); row != nil {
		m.rows[k], after = *row, row.Name
	}
	if before != after && m.names[Text(before)] == k {
		delete(m.names, Text(before))
	}
	if before != after && after != "" {
		m.names[Text(after)] = k
	}
}

// scan returns the keys that a scan returns, of keys in order.
func scan[K any](keys []K, in func(K) bool, backwards bool, limit int) (list []K) {
	for _, k := range keys {
		if in(k) {
			list = append(list, k)
		}
	}
	if backwards {
		slices.Reverse(list)
	}
	return list[:min(limit, len(list))]
}

func (m model) towns() (list []inTown) {
	for k, row := range m.rows {
		for _, town := range row.Towns {
			list = append(list, inTown{town, k})
		}
	}
	slices.SortFunc(list, func(a, b inTown) int { return cmp.Or(cmp.Compare(a.town, b.town), cmp.Compare(a.who, b.who)) })
	return slices.Compact(list)
}

// caller makes random calls and compares their results with the model.
type caller struct {
	*rand.Rand
	keys int
}

func (c caller) key() number { return number(c.IntN(c.keys)) }

func (c caller) person() person {
	row := person{}
	if c.IntN(4) > 0 {
		row.Name = fmt.Sprint("name", c.IntN(c.keys))
	}
	for range c.IntN(4) {
		row.Towns = append(row.Towns, fmt.Sprint(c.IntN(9), strings.Repeat("-", 100)))
	}
	return row
}

// call makes one call and returns an error if its result differs from the model.
func (c caller) call(tx *Tx, m model) error {
	k := c.key()
	switch c.IntN(9) {
	case 0, 1, 2:
		row := c.person()
		m.set(k, &row)
		return people.Put(tx, k, row)
	case 3:
		m.set(k, nil)
		return people.Delete(tx, k)
	case 4:
		row, found, err := people.Get(tx, k)
		want, wanted := m.rows[k]
		return errors.Join(err, differs("Get", row, want), differs("found", found, wanted))
	case 5:
		name := Text(fmt.Sprint("name", c.IntN(c.keys)))
		at, found, err := named.Get(tx, name)
		want, wanted := m.names[name]
		return errors.Join(err, differs("index", at, want), differs("found", found, wanted))
	case 6:
		return c.rows(tx, m)
	case 7:
		return c.index(tx, m)
	default:
		low, high := c.key(), c.key()
		got, err := people.Keys(tx, Range{}.From(low).Before(high), 3)
		want := scan(slices.Sorted(maps.Keys(m.rows)), func(k number) bool { return low <= k && k < high }, false, 3)
		return errors.Join(err, differs("Keys", got, want))
	}
}

// limit returns a random limit of a scan. Most are small, so that scans end among the rows that a
// transaction has written.
func (c caller) limit() int { return []int{0, 1, 2, 7, NoLimit}[c.IntN(5)] }

func (c caller) rows(tx *Tx, m model) error {
	from, past, before, limit, backwards := c.key(), c.key(), c.key(), c.limit(), c.IntN(2) == 0
	r, in := Range{}, func(number) bool { return true }
	if c.IntN(3) > 0 {
		r = r.From(from).Past(past).Before(before)
		in = func(k number) bool { return from <= k && past < k && k < before }
	}
	read := people.First
	if backwards {
		read = people.Last
	}
	got, err := read(tx, r, limit)
	var want []Row[number, person]
	for _, k := range scan(slices.Sorted(maps.Keys(m.rows)), in, backwards, limit) {
		want = append(want, Row[number, person]{k, m.rows[k]})
	}
	return errors.Join(err, differs("rows", got, want))
}

func (c caller) index(tx *Tx, m model) error {
	limit, backwards, in := c.limit(), c.IntN(2) == 0, fmt.Sprint(c.IntN(9), strings.Repeat("-", 100))
	read := livingIn.First
	if backwards {
		read = livingIn.Last
	}
	got, err := read(tx, Under(town(in)), limit)
	var want []Entry[inTown, number]
	for _, e := range scan(m.towns(), func(k inTown) bool { return k.town == in }, backwards, limit) {
		want = append(want, Entry[inTown, number]{e, e.who})
	}
	return errors.Join(err, differs("entries", got, want))
}

func differs(what string, got, want any) error {
	if reflect.DeepEqual(got, want) || reflect.ValueOf(got).Kind() == reflect.Slice && reflect.ValueOf(got).Len()+reflect.ValueOf(want).Len() == 0 {
		return nil
	}
	return fmt.Errorf("%s: %v, want %v", what, got, want)
}

// TestRandomCalls makes random calls in transactions. Some of them fail and some share a commit,
// and sometimes the file is closed and opened.
func TestRandomCalls(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	for _, keys := range []int{3, 40, 400} {
		path := filepath.Join(t.TempDir(), "db")
		db, err := Create(path, unsynced())
		if err != nil {
			t.Fatal(err)
		}
		kept := model{make(map[number]person), make(map[Text]number)}
		undone := errors.New("undone")
		for round := range testenv.Tenth(400) {
			release := holdCommit(t, db)
			var calls sync.WaitGroup
			for i := range 1 + random.IntN(4) {
				// The model is changed in the order in which the calls join the commit.
				c, fails, n := caller{rand.New(rand.NewPCG(random.Uint64(), 0)), keys}, random.IntN(4) == 0, random.IntN(60)
				calls.Go(func() {
					err := db.Update(func(tx *Tx) error {
						m := kept.clone()
						for range n {
							if err := c.call(tx, m); err != nil {
								return err
							}
						}
						if fails {
							return undone
						}
						kept = m
						return nil
					})
					if err != nil && (!fails || !errors.Is(err, undone)) {
						t.Errorf("%d keys, round %d: %v", keys, round, err)
					}
				})
				awaitWaiting(t, db, i+1)
			}
			release()
			calls.Wait()
			c := caller{random, keys}
			view(t, db, func(tx *Tx) error { return errors.Join(c.rows(tx, kept), c.index(tx, kept)) })
			if t.Failed() {
				t.FailNow()
			}
			if random.IntN(10) == 0 {
				closeDB(t, db)
				if db, err = Open(path, unsynced()); err != nil {
					t.Fatal(err)
				}
			}
		}
		closeDB(t, db)
	}
}
