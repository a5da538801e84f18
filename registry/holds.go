package registry

import (
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// maxHolds bounds the deliveries that Devices.Holds looks at.
const maxHolds = 1000

// Holds counts the held deliveries of each of the devices: at most maxHolds of each mailbox. They
// are zero for a device that does not exist.
func (s Devices) Holds(devices []string, now time.Time) (list []ring.Holds, err error) {
	list = make([]ring.Holds, len(devices))
	err = s.db.View(func(tx *table.Tx) (err error) {
		for i := 0; i < len(devices) && err == nil; i++ {
			list[i], err = holdsOf(tx, devices[i], now)
		}
		return err
	})
	return list, err
}

func holdsOf(tx *table.Tx, device string, now time.Time) (h ring.Holds, err error) {
	q, _, err := queues.Get(tx, id(device))
	if err != nil {
		return h, err
	}
	for name, l := range q.Subqueues {
		sub := subqueueKey{id(device), name}
		of, held := sub.isHeldBack()
		if !held || of.subqueue == clearSubqueue || l.Head == 0 || !l.isHeld(now) {
			continue
		}
		rows, err := waiting.Rows(tx, table.Under(sub), maxHolds)
		for _, d := range rows {
			if err != nil {
				return h, err
			}
			err = addHold(tx, &h, d, now)
		}
		if err != nil {
			return h, err
		}
	}
	return h, nil
}

// addHold adds a held delivery.
func addHold(tx *table.Tx, h *ring.Holds, d table.Row[deliveryKey, deliveryRow], now time.Time) error {
	if !d.Value.waits() || !now.Before(d.Value.Expires) || d.Value.Decision == nil {
		return nil
	}
	count := 1
	if d.Value.Kind == idlepush.KindSummary {
		n, _, err := notifications.Get(tx, d.Key.notification)
		if err != nil {
			return err
		}
		count = n.Count - n.Read
	}
	h.Count += count
	if by := d.Value.Decision; by.Until.After(h.Until) {
		h.Until, h.Code = by.Until, by.Code
	}
	return nil
}
