// Package table keeps typed rows in one file.
//
// A [Table] holds rows of one type in the order of their keys. An [Index] finds the same rows by
// other keys and follows every change of them. A [Sealed] column can be read only with the key that
// was passed to [Open], which is not in the file. A [Tx] is one transaction over all tables.
// Transactions that are written at the same time share a commit.
//
// Nothing above this package knows the engine, which is bbolt. So there are no cursors: a scan
// reads a bounded [Range] of keys. The size of a transaction has a bound, too: [Tx.Left] returns
// how much more it may read and write.
package table

import (
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
)

// NoLimit is the limit of a scan that reads the whole range.
const NoLimit = math.MaxInt

// Table is a set of rows of type V, ordered by keys of type K. Tables are declared once, as package
// variables. Their rows are encoded as CBOR (RFC 8949), which is half the work of JSON and does not
// expand bytes. The fields of V have their Go names, or those of a json tag.
type Table[K Key[K], V any] struct {
	name    string
	tagged  bool
	indexes []follower[K, V]
}

// follower is an index as its table sees it.
type follower[K, V any] interface {
	follow(tx *Tx, k K, primary []byte, before, after *V) error
}

// New declares a table. name is its name in the file.
func New[K Key[K], V any](name string) *Table[K, V] {
	return &Table[K, V]{name: name}
}

// NewTagged declares a table whose rows carry a tag that only the key of the store makes. It covers
// the name of the table, the key and the row. A row whose tag does not fit is as if it were not
// there, for all but [Table.Has], [Table.Keys], [Table.Unverified] and [Table.Damaged].
func NewTagged[K Key[K], V any](name string) *Table[K, V] {
	return &Table[K, V]{name: name, tagged: true}
}

// Name returns the name of the table in the file.
func (t *Table[K, V]) Name() string { return t.name }

// Get returns the row under k and reports whether there is one. Do not change what the row points
// to: other calls return the same.
func (t *Table[K, V]) Get(tx *Tx, k K) (V, bool, error) {
	row, verified, err := t.read(tx, encodeKey(k))
	if err != nil || !verified {
		var none V
		return none, false, err
	}
	return *row, true, nil
}

// Unverified returns the row under k even if its tag does not fit, and reports whether there is
// one. Whoever can write the file may have written it, so do not rely on it. If it cannot be
// decoded, it is zero.
func (t *Table[K, V]) Unverified(tx *Tx, k K) (V, bool, error) {
	row, _, err := t.read(tx, encodeKey(k))
	if err != nil || row == nil {
		var none V
		return none, false, err
	}
	return *row, true, nil
}

// Damaged returns the rows whose tags do not fit, in order. Unverified says what they are worth. A
// key that cannot be read is zero.
func (t *Table[K, V]) Damaged(tx *Tx) (list []Row[K, V], err error) {
	err = tx.scan(t.name, Range{}, false, NoLimit, func(key, data []byte) error {
		row, verified, err := t.open(tx, key, data)
		if err != nil || verified {
			return err
		}
		k, _ := parse[K](t.name, key)
		list = append(list, Row[K, V]{k, *row})
		return nil
	})
	return list, err
}

// read returns the row under key, or nil, and reports whether its tag fits.
func (t *Table[K, V]) read(tx *Tx, key []byte) (row *V, verified bool, err error) {
	if row, ok := tx.recall(t.name, key).(*V); ok {
		return row, true, tx.use('r', t.name, key)
	}
	data, err := tx.get(t.name, key)
	if err != nil || data == nil {
		return nil, false, err
	}
	if row, verified, err = t.open(tx, key, data); verified && err == nil {
		tx.remember(t.name, key, row, len(data), true)
	}
	return row, verified, err
}

// open decodes a row, and reports whether its tag fits. If not, a row that cannot be decoded is
// zero.
func (t *Table[K, V]) open(tx *Tx, key, data []byte) (row *V, verified bool, err error) {
	verified = true
	if t.tagged {
		data, verified = tx.db.verify(t.name, key, data)
	}
	row = new(V)
	if err := decode(data, row); err != nil && verified {
		return nil, false, fmt.Errorf("%w: a row of %s cannot be read: %w", ErrCorrupt, t.name, err)
	} else if err != nil {
		row = new(V)
	}
	return row, verified, nil
}

// Put writes the row under k. It replaces the row that is there. If the table is watched, do not
// change afterwards what the row points to.
func (t *Table[K, V]) Put(tx *Tx, k K, row V) error {
	data, err := encode(&row)
	if err != nil {
		return fmt.Errorf("encode a row of %s: %w", t.name, err)
	}
	return t.set(tx, k, &row, data)
}

// Delete removes the row under k, if there is one.
func (t *Table[K, V]) Delete(tx *Tx, k K) error { return t.set(tx, k, nil, nil) }

// set writes the row, or removes it if row is nil. After an error some of its index keys may be
// written, so the error fails the transaction.
func (t *Table[K, V]) set(tx *Tx, k K, row *V, data []byte) error {
	err := t.change(tx, k, row, data)
	if err != nil {
		tx.failed = err
	}
	return err
}

func (t *Table[K, V]) change(tx *Tx, k K, row *V, data []byte) error {
	key := encodeKey(k)
	watchers := tx.db.watchers[t.name]
	if len(t.indexes) > 0 || len(watchers) > 0 {
		before, _, err := t.read(tx, key)
		if err != nil {
			return err
		}
		if before == nil && row == nil {
			return nil
		}
		for _, x := range t.indexes {
			if err := x.follow(tx, k, key, before, row); err != nil {
				return err
			}
		}
		for _, w := range watchers {
			tx.after = append(tx.after, func() { w.(func(K, *V, *V))(k, before, row) })
		}
	}
	if t.tagged && row != nil {
		data = append(tx.db.tag(t.name, key, data), data...)
	}
	return tx.set(t.name, key, data)
}

// Watch registers fn, which is then called after a commit, for each row of t that changed, in the
// order of the changes. It is also called if a commit fails and the store has the changes all the
// same. before is nil for a new row, after for a deleted one. fn must not change the rows, write to
// the store or wait. Call Watch before db is used.
func (t *Table[K, V]) Watch(db *DB, fn func(k K, before, after *V)) {
	db.watchers[t.name] = append(db.watchers[t.name], fn)
}

// Row is a row with its key.
type Row[K, V any] struct {
	Key   K
	Value V
}

// First returns at most limit rows of the range, in order. Do not change what they point to, as of
// Get.
func (t *Table[K, V]) First(tx *Tx, r Range, limit int) ([]Row[K, V], error) {
	return t.rows(tx, r, false, limit)
}

// Last is like First, but the last row is first.
func (t *Table[K, V]) Last(tx *Tx, r Range, limit int) ([]Row[K, V], error) {
	return t.rows(tx, r, true, limit)
}

func (t *Table[K, V]) rows(tx *Tx, r Range, backwards bool, limit int) (list []Row[K, V], err error) {
	err = tx.scan(t.name, r, backwards, limit, func(key, data []byte) error {
		row, known := tx.recall(t.name, key).(*V)
		if !known {
			var verified bool
			if row, verified, err = t.open(tx, key, data); err != nil {
				return err
			}
			if !verified {
				return errSkipped
			}
			tx.remember(t.name, key, row, len(data), false)
		}
		k, err := parse[K](t.name, key)
		list = append(list, Row[K, V]{k, *row})
		return err
	})
	return list, err
}

// Keys returns at most limit keys of the range, in order, without reading the rows. A key that
// cannot be read is an error, unless the rows carry tags, because then nothing relies on its row.
func (t *Table[K, V]) Keys(tx *Tx, r Range, limit int) ([]K, error) {
	return keys[K](tx, t.name, r, limit, t.tagged)
}

// Has reports whether there is a row under k, without reading it.
func (t *Table[K, V]) Has(tx *Tx, k K) (bool, error) {
	data, err := tx.get(t.name, encodeKey(k))
	return data != nil, err
}

func keys[K Key[K]](tx *Tx, name string, r Range, limit int, skip bool) (list []K, err error) {
	err = tx.scan(name, r, false, limit, func(key, _ []byte) error {
		k, err := parse[K](name, key)
		if err != nil && skip {
			return errSkipped
		}
		list = append(list, k)
		return err
	})
	return list, err
}

// encoding keeps the nanoseconds of times. Equal rows become equal bytes.
var encoding = func() cbor.EncMode {
	mode, err := cbor.EncOptions{Sort: cbor.SortBytewiseLexical, Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		panic(err) // the options are wrong
	}
	return mode
}()

// decoding reads all that encoding writes, even text that is not valid UTF-8.
var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err) // the options are wrong
	}
	return mode
}()

func encode(row any) ([]byte, error) { return encoding.Marshal(row) }

func decode(data []byte, row any) error { return decoding.Unmarshal(data, row) }
