package registry

import (
	"bytes"
	"sync"

	"idlepush/registry/table"
	"idlepush/ring"
)

// maxOpened bounds the rows that openedWishes keeps.
const maxOpened = 256

// openedWishes keeps what rows of wishes say, so that a push need not open the same row again. Do
// not change what the wishes point to.
type openedWishes struct {
	mu   sync.Mutex
	rows map[viewerKey]openedRow
}

// openedRow is a sealed row, and its content.
type openedRow struct {
	sealed table.Sealed
	wishes ring.Wishes
}

func newOpenedWishes() *openedWishes { return &openedWishes{rows: make(map[viewerKey]openedRow)} }

// read returns what the user wishes of an account, as readWishes does.
func (o *openedWishes) read(tx *table.Tx, k viewerKey, a accountRow) (w ring.Wishes, err error) {
	row, found, err := wishes.Get(tx, k)
	if err != nil || !found || !row.isOf(a, k.user) {
		return w, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if kept := o.rows[k]; bytes.Equal(kept.sealed, row.Sealed) {
		return kept.wishes, nil
	}
	if err := wishes.Place(tx, k).Open(row.Sealed, &w); err != nil {
		return w, err
	}
	if len(o.rows) == maxOpened {
		clear(o.rows)
	}
	o.rows[k] = openedRow{row.Sealed, w}
	return w, nil
}
