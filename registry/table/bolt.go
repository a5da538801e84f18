package table

import (
	"bytes"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// guard runs one call of bbolt, and no code of ours that may panic. On a damaged page bbolt panics,
// or reads memory that it has not mapped. Both become ErrCorrupt. Keys and values are in that
// memory, so call must copy those that it returns.
func (db *DB) guard(call func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			db.suspect.Store(true)
			err = fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	return call()
}

// engineTx is a transaction of bbolt. Several of ours share it if they are committed together.
type engineTx struct {
	*bolt.Tx
	db      *DB
	cursors []tableCursor
	last    []byte // the last result of read
}

// tableCursor is the cursor of one table, which read uses for every row.
type tableCursor struct {
	table string
	*bolt.Cursor
}

// cursor returns the cursor of the table, or nil if the file does not have the table.
func (tx *engineTx) cursor(table string) *bolt.Cursor {
	for _, c := range tx.cursors {
		if c.table == table {
			return c.Cursor
		}
	}
	b := tx.Bucket([]byte(table))
	if b == nil {
		return nil
	}
	c := b.Cursor()
	tx.cursors = append(tx.cursors, tableCursor{table, c})
	return c
}

// read returns the value under key, or nil if the key is not there. It is valid until the next
// call.
func (tx *engineTx) read(table string, key []byte) (data []byte, err error) {
	err = tx.db.guard(func() error {
		c := tx.cursor(table)
		if c == nil {
			return nil
		}
		if k, v := c.Seek(key); k != nil && bytes.Equal(k, key) {
			tx.last = append(tx.last[:0], v...)
			data = tx.last
		}
		return nil
	})
	return data, err
}

// walk calls fn for the values of the range until it returns false or an error. fn must not keep
// its arguments.
func (tx *engineTx) walk(table string, r Range, backwards bool, fn func(key, data []byte) (more bool, err error)) error {
	var c *bolt.Cursor
	var found bool
	key, data := []byte{}, []byte{}
	step := func(move func() (k, v []byte)) error {
		return tx.db.guard(func() error {
			k, v := move()
			found, key, data = k != nil, append(key[:0], k...), append(data[:0], v...)
			return nil
		})
	}
	next := func() (k, v []byte) {
		if backwards {
			return c.Prev()
		}
		return c.Next()
	}
	err := step(func() (k, v []byte) {
		b := tx.Bucket([]byte(table))
		if b == nil {
			return nil, nil
		}
		c = b.Cursor()
		return seek(c, r, backwards)
	})
	for err == nil && found && r.contains(key) {
		more, fail := fn(key, data)
		if fail != nil || !more {
			return fail
		}
		err = step(next)
	}
	return err
}

// seek moves the cursor to the first key of the range, or to its last if the walk goes backwards.
func seek(c *bolt.Cursor, r Range, backwards bool) (key, data []byte) {
	switch {
	case !backwards:
		return c.Seek(r.low)
	case r.high == nil:
		return c.Last()
	}
	if key, _ := c.Seek(r.high); key == nil {
		return c.Last()
	}
	return c.Prev()
}

// Names returns the names of the tables and indexes that the file has, in order.
func (tx *Tx) Names() (names []string, err error) {
	err = tx.db.guard(func() error {
		return tx.engine.ForEach(func(name []byte, _ *bolt.Bucket) error {
			names = append(names, string(name))
			return nil
		})
	})
	return names, err
}

// apply writes the changes of the transaction to that of the engine.
func (tx *Tx) apply() error {
	for _, w := range tx.writes {
		tx.db.cache.write(tx.engine.ID(), w)
		if err := tx.db.guard(func() error { return w.apply(tx.engine.Tx) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *tableWrites) apply(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte(w.table))
	if err != nil {
		return err
	}
	for _, row := range w.rows {
		if row.data == nil {
			err = b.Delete(row.key)
		} else {
			err = b.Put(row.key, row.data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
