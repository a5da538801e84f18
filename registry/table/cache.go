package table

import "sync"

// maxCached bounds what a cache holds of one table, in bytes as they are in the file.
const maxCached = 512 << 10

// cache holds rows that were read, so that they need not be found, verified and decoded again. It
// is filled by reads alone: a row in it is what reading the file would give. When a transaction
// writes a row, the row leaves the cache before the commit.
type cache struct {
	mu     sync.RWMutex
	tables map[string]*cachedTable
	newest int // the last transaction that wrote
}

type cachedTable struct {
	rows map[string]cachedRow
	size int // of the rows, in bytes
}

type cachedRow struct {
	row   any // a pointer to it
	size  int
	since int // the transaction from which on it is so
}

// get returns the row, or nil if it is not in the cache or not known to be so in the transaction.
func (c *cache) get(at int, writable bool, table string, key []byte) any {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t := c.tables[table]
	if t == nil {
		return nil
	}
	r, found := t.rows[string(key)]
	if !found || !writable && r.since > at {
		return nil
	}
	return r.row
}

// add adds a row that the transaction has read, unless another may have written it since.
func (c *cache) add(at int, writable bool, table string, key []byte, row any, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !writable && at < c.newest || size > maxCached {
		return
	}
	t := c.tables[table]
	if t == nil {
		t = &cachedTable{rows: make(map[string]cachedRow)}
		c.tables[table] = t
	}
	t.remove(key)
	for other := range t.rows { // any will do: one that is needed comes back
		if t.size+size <= maxCached {
			break
		}
		t.remove([]byte(other))
	}
	t.rows[string(key)], t.size = cachedRow{row, size, c.newest}, t.size+size
}

func (t *cachedTable) remove(key []byte) {
	if r, found := t.rows[string(key)]; found {
		delete(t.rows, string(key))
		t.size -= r.size
	}
}

// write removes the rows that the transaction is about to write.
func (c *cache) write(at int, w *tableWrites) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = at
	if t := c.tables[w.table]; t != nil {
		for _, row := range w.rows {
			t.remove(row.key)
		}
	}
}

// clear removes all rows, after a transaction that wrote some has failed.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables = make(map[string]*cachedTable)
}
