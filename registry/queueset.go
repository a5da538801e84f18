package registry

import (
	"maps"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// What each of these needs of table.Tx.Left, at most.
//
// Transactions are bounded, although bbolt takes one of any size. A second engine, etcd, takes
// about 100 reads and writes in one. A bounded transaction does not make other writers wait for
// long. The tests run again with that bound (bound_test.go).
const (
	// A queue: the queue and the device are read, the row and two index keys are written.
	queueCost = 7
	// A delivery: the row and an index key are read and written, and the next delivery is found.
	deliveryCost = 5
	// An outcome, with its lane, and with the end of the device, which others learn.
	settleCost = deliveryCost + 3 + tripCost + queueCost + removalCost + overCost + toldCost
	// The row of a notification: it is read and written, with index keys.
	rowCost = 8
	// A notification: two ids are looked up, the sequence and the row are read and written, with
	// five index keys.
	notificationCost = 14
)

// queue is a device's queue while a transaction changes it.
type queue struct {
	device table.Row[deviceKey, deviceRow]
	row    queueRow
}

func (q *queue) id() id { return q.device.Key.device }

// queueSet holds the queues that a transaction changes. Each is read once, and save writes it.
type queueSet struct {
	tx         *table.Tx
	now        time.Time
	list       map[id]*queue
	reserved   int      // what the end of the transaction needs, besides the queues
	incomplete bool     // a notification is not yet in all of its queues
	silent     int      // mails stored that did not ring
	trips      []tripBy // to pass on
}

// updateQueues runs fn in a transaction that may change queues, and saves them. When it returns,
// the notifications that fn inserted are in all their queues.
func (c *core) updateQueues(now time.Time, fn func(*queueSet) error) error {
	set, left := &queueSet{now: now, list: make(map[id]*queue)}, false
	defer c.inFlight.ended(set)
	err := c.db.Update(func(tx *table.Tx) error {
		set.tx = tx
		if err := fn(set); err != nil {
			return err
		}
		left = set.incomplete
		return set.save()
	})
	if err == nil {
		c.passOn(set.trips)
	}
	if err != nil || !c.hasUnqueued.Swap(false) && !left {
		return err
	}
	if err = c.enqueueMissing(now); err != nil {
		c.hasUnqueued.Store(true) // the next call tries again
	}
	if !left {
		return nil // it failed for another call
	}
	return err
}

// opsLeft returns how many more reads and writes fit the transaction, without the reserved ones and
// those that save the queues.
func (s *queueSet) opsLeft() int { return s.tx.Left() - queueCost*len(s.list) - s.reserved }

// get returns the queue of a device, or nil if there is no such device.
func (s *queueSet) get(device id) (*queue, error) {
	if q := s.list[device]; q != nil {
		return q, nil
	}
	d, found, err := devicesID.Row(s.tx, device)
	if err != nil || !found {
		return nil, err
	}
	q := &queue{device: d}
	if q.row, _, err = queues.Get(s.tx, device); err != nil {
		return nil, err
	}
	if q.row.Subqueues = maps.Clone(q.row.Subqueues); q.row.Subqueues == nil {
		q.row.Subqueues = make(map[string]subqueueRow)
	}
	s.list[device] = q
	return q, nil
}

// insert stores a new notification and adds it to the queues of the devices. If they are too many
// for one transaction, some stay in the row, and updateQueues adds the rest.
func (s *queueSet) insert(n idlepush.Notification, devices []string) error {
	k, row, err := s.newRow(n)
	if err != nil {
		return err
	}
	row.Unqueued = devices
	if err := s.enqueue(k, &row); err != nil {
		return err
	}
	return notifications.Put(s.tx, k, row)
}

// newRow returns the row of a new notification and its key.
func (s *queueSet) newRow(n idlepush.Notification) (k notificationKey, row notificationRow, err error) {
	seq, err := nextSequence(s.tx, s.now)
	if err != nil {
		return k, row, err
	}
	k = notificationKey{scopeOf(n), seq}
	row, err = sealNotification(s.tx, k, n)
	return k, row, err
}

// getExisting returns the queue of a device, or ErrNotFound if there is no such device.
func (s *queueSet) getExisting(device id) (*queue, error) {
	q, err := s.get(device)
	if err == nil && q == nil {
		err = ErrNotFound
	}
	return q, err
}

// save writes the queues.
func (s *queueSet) save() error {
	for _, q := range s.list {
		q.row.prune(s.now)
		if err := queues.Put(s.tx, q.id(), q.row); err != nil {
			return err
		}
	}
	return nil
}

// maxNotifiedAge bounds how long NotifiedAt is kept after the last delivery.
const maxNotifiedAge = time.Hour

// prune removes fields and subqueues that are no longer needed.
func (q *queueRow) prune(now time.Time) {
	for name, l := range q.Subqueues {
		if len(l.NotifiedAt) > 0 && now.Sub(l.NotifiedAt[len(l.NotifiedAt)-1]) > maxNotifiedAge {
			l.NotifiedAt = nil
		}
		if l.Head == 0 {
			l.Combined, l.HeldFrom, l.HeldUntil = "", time.Time{}, time.Time{}
		}
		if q.Subqueues[name] = l; l.Head == 0 && len(l.NotifiedAt) == 0 {
			delete(q.Subqueues, name)
		}
	}
}

// enqueueMissing adds notifications to the queues that still lack them.
func (c *core) enqueueMissing(now time.Time) error {
	return c.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		list, err := unfinished.Rows(set.tx, table.Range{}, 1)
		if err != nil || len(list) == 0 {
			return true, err
		}
		n := list[0]
		if err := set.enqueue(n.Key, &n.Value); err != nil {
			return false, err
		}
		set.incomplete = false // the next step goes on
		return false, notifications.Put(set.tx, n.Key, n.Value)
	})
}
