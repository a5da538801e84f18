package table

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// Index finds rows of a table by keys of type I. Each of its keys leads to one row; a row may have
// any number of them.
type Index[I Key[I], K Key[K], V any] struct {
	name  string
	table *Table[K, V]
	keys  func(k K, row V) []I
}

// NewIndex declares an index of t. keys returns the index keys of a row; it must depend on nothing
// else. If two rows have the same key, it leads to the row that got it last. It leads to no row
// once that one has lost it. If keys must be unique, check with [Index.Get] first.
//
// Indexes of a table may have the same name if no key of one is a key of another. The file keeps
// them together, so that a new row changes fewer pages.
func NewIndex[I Key[I], K Key[K], V any](t *Table[K, V], name string, keys func(k K, row V) []I) *Index[I, K, V] {
	x := &Index[I, K, V]{name: name, table: t, keys: keys}
	t.indexes = append(t.indexes, x)
	return x
}

// Name returns the name of the index in the file.
func (x *Index[I, K, V]) Name() string { return x.name }

// Get returns the key of the row that i leads to and reports whether there is one.
func (x *Index[I, K, V]) Get(tx *Tx, i I) (k K, found bool, err error) {
	key := encodeKey(i)
	if known, ok := tx.recall(x.name, key).(*K); ok {
		return *known, true, tx.use('r', x.name, key)
	}
	data, err := tx.get(x.name, key)
	if err != nil || data == nil {
		return k, false, err
	}
	if k, err = decodePrimary[K](x.name, key, data); err != nil {
		return k, false, err
	}
	tx.remember(x.name, key, &k, len(data), true)
	return k, true, nil
}

// Row returns the row that i leads to, with its key, and reports whether there is one. It does not
// find a row that has not this index key, as after somebody else wrote the file.
func (x *Index[I, K, V]) Row(tx *Tx, i I) (row Row[K, V], found bool, err error) {
	if row.Key, found, err = x.Get(tx, i); err != nil || !found {
		return row, false, err
	}
	row.Value, found, err = x.table.Get(tx, row.Key)
	return row, found && x.leads(i, row.Key, row.Value), err
}

// leads reports whether i is an index key of the row.
func (x *Index[I, K, V]) leads(i I, k K, row V) bool {
	return contains(x.encode(k, &row), encodeKey(i))
}

// Entry is a key of an index with the key of the row that it leads to.
type Entry[I, K any] struct {
	Index I
	Key   K
}

// First returns at most limit entries of the range, in order.
func (x *Index[I, K, V]) First(tx *Tx, r Range, limit int) ([]Entry[I, K], error) {
	return x.entries(tx, r, false, limit)
}

// Keys returns at most limit keys of the index in the range, in order.
func (x *Index[I, K, V]) Keys(tx *Tx, r Range, limit int) ([]I, error) {
	return keys[I](tx, x.name, r, limit, false)
}

// Last returns at most limit entries of the range, the last entry first.
func (x *Index[I, K, V]) Last(tx *Tx, r Range, limit int) ([]Entry[I, K], error) {
	return x.entries(tx, r, true, limit)
}

func (x *Index[I, K, V]) entries(tx *Tx, r Range, backwards bool, limit int) (list []Entry[I, K], err error) {
	err = tx.scan(x.name, r, backwards, limit, func(key, data []byte) error {
		var e Entry[I, K]
		if e.Index, err = parse[I](x.name, key); err != nil {
			return err
		}
		e.Key, err = decodePrimary[K](x.name, key, data)
		list = append(list, e)
		return err
	})
	return list, err
}

// Rows returns the rows that the first limit index keys of the range lead to, in the order of these
// keys. Like Row, it does not find all of them if somebody else wrote the file.
func (x *Index[I, K, V]) Rows(tx *Tx, r Range, limit int) (list []Row[K, V], err error) {
	entries, err := x.First(tx, r, limit)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		v, found, err := x.table.Get(tx, e.Key)
		if err != nil {
			return nil, err
		}
		if found && x.leads(e.Index, e.Key, v) {
			list = append(list, Row[K, V]{e.Key, v})
		}
	}
	return list, nil
}

// follow removes the keys that the row has lost and adds those that are new.
func (x *Index[I, K, V]) follow(tx *Tx, k K, primary []byte, before, after *V) error {
	old, fresh := x.encode(k, before), x.encode(k, after)
	for _, key := range old {
		if contains(fresh, key) {
			continue
		}
		// The key may lead to another row by now.
		at, err := tx.get(x.name, key)
		if err != nil {
			return err
		}
		if !bytes.Equal(at, encodePrimary(key, primary)) {
			continue
		}
		if err := tx.set(x.name, key, nil); err != nil {
			return err
		}
	}
	for _, key := range fresh {
		if contains(old, key) {
			continue
		}
		if err := tx.set(x.name, key, encodePrimary(key, primary)); err != nil {
			return err
		}
	}
	return nil
}

// encodePrimary returns the value under an index key, for the row under primary. Its first byte is
// the length of their common prefix, and then comes the rest of primary.
func encodePrimary(key, primary []byte) []byte {
	common := 0
	for common < min(len(key), len(primary), math.MaxUint8) && key[common] == primary[common] {
		common++
	}
	return append([]byte{byte(common)}, primary[common:]...)
}

// decodePrimary returns the key of the row from data, a value that encodePrimary has returned for
// key.
func decodePrimary[K Key[K]](index string, key, data []byte) (k K, err error) {
	if len(data) == 0 || int(data[0]) > len(key) {
		return k, fmt.Errorf("%w: a value of %s cannot be read", ErrCorrupt, index)
	}
	return parse[K](index, slices.Concat(key[:data[0]], data[1:]))
}

func (x *Index[I, K, V]) encode(k K, row *V) (list [][]byte) {
	if row == nil {
		return nil
	}
	for _, i := range x.keys(k, *row) {
		list = append(list, encodeKey(i))
	}
	return list
}

func contains(list [][]byte, key []byte) bool {
	return slices.ContainsFunc(list, func(k []byte) bool { return bytes.Equal(k, key) })
}
