package table

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	bolt "go.etcd.io/bbolt"
)

var (
	errReadOnly = errors.New("a View cannot write")
	errTooLarge = errors.New("the transaction has more reads and writes than the engine takes")
)

// maxKey is the size of the longest key, in bytes.
const maxKey = bolt.MaxKeySize

// Tx is one transaction. It reads the rows of the last commit and those that it has written itself.
// Its writes stay in memory until its function returns without an error. Use it in that function
// only, on its goroutine.
type Tx struct {
	db       *DB
	engine   *engineTx
	writable bool
	writes   []*tableWrites
	after    []func()        // notify the watchers after the commit
	failed   error           // of the last Put or Delete that failed
	used     map[string]bool // keys read and written; nil if the engine has no bound
	scans    int
	ended    bool
}

// tableWrites holds what a transaction has written into one table.
type tableWrites struct {
	table string
	rows  []pair // in order
}

// pair is a row, or an index key with its value. Its data is nil if it was removed.
type pair struct{ key, data []byte }

// find returns the index of the key, or the index at which to insert it.
func (w *tableWrites) find(key []byte) (i int, found bool) {
	return slices.BinarySearchFunc(w.rows, key, func(p pair, key []byte) int { return bytes.Compare(p.key, key) })
}

func (w *tableWrites) set(key, data []byte) {
	i, again := w.find(key)
	if again {
		w.rows[i].data = data
	} else {
		w.rows = slices.Insert(w.rows, i, pair{key, data})
	}
}

// within returns the writes in the range, in order.
func (w *tableWrites) within(r Range) []pair {
	from, _ := w.find(r.low)
	to := len(w.rows)
	if r.high != nil {
		to, _ = w.find(r.high)
	}
	return w.rows[from:to]
}

// findWrites returns the writes of the transaction to the table, or nil before the first.
func (tx *Tx) findWrites(table string) *tableWrites {
	for _, w := range tx.writes {
		if w.table == table {
			return w
		}
	}
	return nil
}

// ensureWrites returns the writes of the transaction to the table. It adds the table before the
// first.
func (tx *Tx) ensureWrites(table string) *tableWrites {
	w := tx.findWrites(table)
	if w == nil {
		w = &tableWrites{table: table}
		tx.writes = append(tx.writes, w)
	}
	return w
}

func (tx *Tx) end() { tx.ended = true }

// check panics if the transaction has ended. If bbolt panicked instead, guard would report damage.
func (tx *Tx) check() {
	if tx.ended {
		panic("table: the transaction has ended")
	}
}

// Left returns how many more reads and writes the transaction may do. A scan is one read. To write
// a row is one write, and one more for each index key that changes. If the table has an index, the
// previous row is read too, and each index key that is removed. The same read or write again does
// not count. A View has no bound.
func (tx *Tx) Left() int {
	if tx.db.bound == 0 || !tx.writable {
		return math.MaxInt
	}
	return tx.db.bound - len(tx.used) - tx.scans
}

// use counts a read or write. It returns errTooLarge if that is one too many.
func (tx *Tx) use(kind byte, table string, key []byte) error {
	if tx.db.bound == 0 || !tx.writable {
		return nil
	}
	if tx.used == nil {
		tx.used = make(map[string]bool)
	}
	tx.used[string(kind)+table+"\x00"+string(key)] = true
	if tx.Left() < 0 {
		return errTooLarge
	}
	return nil
}

// Named is a table or an index.
type Named interface{ Name() string }

// Make creates tables and indexes, so that the file has them before their first row. It does not
// change those that exist.
func (tx *Tx) Make(list ...Named) error {
	if !tx.writable {
		return errReadOnly
	}
	for _, t := range list {
		tx.ensureWrites(t.Name())
	}
	return nil
}

// get returns the value under key, or nil if the key is not there. The caller must not change it.
// It is valid until the next call.
func (tx *Tx) get(table string, key []byte) ([]byte, error) {
	tx.check()
	if w := tx.findWrites(table); w != nil {
		if i, found := w.find(key); found {
			return w.rows[i].data, nil
		}
	}
	if err := tx.use('r', table, key); err != nil {
		return nil, err
	}
	return tx.engine.read(table, key)
}

// recall returns the row under key if the cache has it, as a pointer, or nil.
func (tx *Tx) recall(table string, key []byte) any {
	tx.check()
	if tx.hasWritten(table, key) {
		return nil
	}
	return tx.db.cache.get(tx.engine.ID(), tx.writable, table, key)
}

// remember adds a row to the cache, which is read from size bytes. If the table is full there, the
// row takes the place of another, or is not kept.
func (tx *Tx) remember(table string, key []byte, row any, size int, replace bool) {
	if !tx.hasWritten(table, key) {
		tx.db.cache.add(tx.engine.ID(), tx.writable, table, key, row, size, replace)
	}
}

func (tx *Tx) hasWritten(table string, key []byte) bool {
	w := tx.findWrites(table)
	if w == nil {
		return false
	}
	_, found := w.find(key)
	return found
}

// set writes the value under key, or removes it if data is nil. It keeps both.
func (tx *Tx) set(table string, key, data []byte) error {
	tx.check()
	if !tx.writable {
		return errReadOnly
	}
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("a key of %s has %d bytes, want 1 to %d", table, len(key), maxKey)
	}
	if err := tx.use('w', table, key); err != nil {
		return err
	}
	tx.ensureWrites(table).set(key, data)
	return nil
}

// errSkipped is the error of a scan's function for a value that does not count.
var errSkipped = errors.New("not counted")

// scan calls fn for at most limit values of the range, in order or backwards. It stops at the first
// error of fn, and returns it. If that is errSkipped, it goes on, and the value does not count. fn
// must not keep its arguments.
func (tx *Tx) scan(table string, r Range, backwards bool, limit int, fn func(key, data []byte) error) error {
	tx.check()
	if r.empty() || limit <= 0 {
		return nil
	}
	if tx.scans++; tx.Left() < 0 {
		return errTooLarge
	}
	var written []pair
	if w := tx.findWrites(table); w != nil {
		written = w.within(r)
	}
	if backwards {
		written = slices.Clone(written)
		slices.Reverse(written)
	}
	taken := 0
	yield := func(key, data []byte) error {
		if data == nil {
			return nil
		}
		err := fn(key, data)
		if errors.Is(err, errSkipped) {
			return nil
		}
		taken++
		return err
	}
	err := tx.engine.walk(table, r, backwards, func(key, data []byte) (more bool, err error) {
		for len(written) > 0 && taken < limit {
			order := bytes.Compare(written[0].key, key)
			if backwards {
				order = -order
			}
			if order > 0 {
				break
			}
			w := written[0]
			written = written[1:]
			if err := yield(w.key, w.data); err != nil {
				return false, err
			}
			if order == 0 {
				return taken < limit, nil // the transaction has replaced this row
			}
		}
		if taken < limit {
			err = yield(key, data)
		}
		return taken < limit, err
	})
	for _, w := range written {
		if err != nil || taken == limit {
			break
		}
		err = yield(w.key, w.data)
	}
	return err
}
