package table

import (
	"bytes"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// guard runs one call of bbolt, and nothing of ours. On a damaged page bbolt panics, or reads
// memory that it has not mapped: both become ErrCorrupt. Keys and values lie in that memory, so the
// call copies those that it returns.
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

// read returns the value under key; nil: there is none.
func (tx *Tx) read(table string, key []byte) (data []byte, err error) {
	err = tx.db.guard(func() error {
		if b := tx.bolt.Bucket([]byte(table)); b != nil {
			data = bytes.Clone(b.Get(key))
		}
		return nil
	})
	return data, err
}

// walk calls fn for the values of the range until it returns false. fn must not keep its arguments.
func (tx *Tx) walk(table string, r Range, backwards bool, fn func(key, data []byte) (more bool, err error)) error {
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
		b := tx.bolt.Bucket([]byte(table))
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

// seek goes to where the range begins, or backwards ends.
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
		return tx.bolt.ForEach(func(name []byte, _ *bolt.Bucket) error {
			names = append(names, string(name))
			return nil
		})
	})
	return names, err
}

// apply writes what the transaction has written into the engine's.
func (tx *Tx) apply() error {
	for table, w := range tx.writes {
		if err := tx.db.guard(func() error { return applyTable(tx.bolt, table, w) }); err != nil {
			return err
		}
	}
	return nil
}

func applyTable(tx *bolt.Tx, table string, w *tableWrites) error {
	b, err := tx.CreateBucketIfNotExists([]byte(table))
	if err != nil {
		return err
	}
	for _, key := range w.keys {
		data := w.values[key]
		if data == nil {
			err = b.Delete([]byte(key))
		} else {
			err = b.Put([]byte(key), data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
