package registry

import (
	"math"
	"time"

	"idlepush/registry/table"
)

// Backlog returns how many deliveries wait to be sent and how many wait for the end of a hold.
// oldest is when the oldest of the former was made, zero without any. It reads the keys of all
// pending deliveries.
func (o Outbox) Backlog() (waits, held int, oldest time.Time, err error) {
	first := uint64(math.MaxUint64)
	err = o.db.View(func(tx *table.Tx) error {
		keys, err := waiting.Keys(tx, table.Range{}, table.NoLimit)
		for _, k := range keys {
			if _, isHeld := k.isHeldBack(); isHeld {
				held++
				continue
			}
			waits++
			first = min(first, k.seq)
		}
		return err
	})
	if waits > 0 {
		oldest = time.Unix(0, int64(first))
	}
	return waits, held, oldest, err
}
