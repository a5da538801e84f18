package table

import "sync"

const (
	maxCached    = 512     // rows of one table
	maxCachedRow = 8 << 10 // bytes of a row in the file; a larger one is not kept
)

// cache holds rows that were read, so that they need not be found, verified and decoded again, and
// the keys of rows that [Index.Get] has found. Only reads fill it: its rows are those of the file.
// When a transaction writes a row, the row leaves the cache before the commit. A scan adds rows
// only while there is room, so that a long one does not push out rows that are read again and
// again.
type cache struct {
	mu     sync.RWMutex
	tables map[string]map[string]cachedRow // by table and key
	newest int                             // the last transaction that wrote
}

type cachedRow struct {
	row   any // a pointer to it
	since int // the transaction from which on it is so
}

// get returns the row, or nil if it is not in the cache or not known to be so in the transaction.
func (c *cache) get(at int, writable bool, table string, key []byte) any {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, found := c.tables[table][string(key)]
	if !found || !writable && r.since > at {
		return nil
	}
	return r.row
}

// add adds a row that the transaction has read, unless another may have written it since. replace
// reports whether it may take the place of another row.
func (c *cache) add(at int, writable bool, table string, key []byte, row any, size int, replace bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !writable && at < c.newest || size > maxCachedRow {
		return
	}
	t := c.tables[table]
	if t == nil {
		t = make(map[string]cachedRow)
		c.tables[table] = t
	}
	if len(t) == maxCached && !replace {
		return
	}
	for other := range t { // any will do: one that is needed comes back
		if len(t) < maxCached {
			break
		}
		delete(t, other)
	}
	t[string(key)] = cachedRow{row, c.newest}
}

// write removes the rows that the transaction is about to write.
func (c *cache) write(at int, w *tableWrites) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = at
	for _, row := range w.rows {
		delete(c.tables[w.table], string(row.key))
	}
}

// clear removes all rows, after a transaction that wrote some has failed.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables = make(map[string]map[string]cachedRow)
}
