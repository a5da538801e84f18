package registry

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// dueQueues has in memory when each queue with work is due, so that finding the next one does not
// read past those that are busy. It reads the store at the first call, and then follows the
// commits.
type dueQueues struct {
	mu    sync.Mutex
	read  bool
	keys  map[id]dueKey                    // by device
	lanes map[string]map[dueGroup][]dueKey // longest due first; without empty ones
}

func newDueQueues() *dueQueues {
	return &dueQueues{keys: make(map[id]dueKey), lanes: make(map[string]map[dueGroup][]dueKey)}
}

// watch follows the commits of db.
func (q *dueQueues) watch(db *table.DB) {
	queues.Watch(db, func(device id, _, after *queueRow) {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.remove(device); after != nil {
			q.add(after.dueKeys(device))
		}
	})
}

// add adds the keys of queues, each in place of the one that the queue has.
func (q *dueQueues) add(keys []dueKey) {
	for _, k := range keys {
		q.remove(k.device)
		k.at = k.at.Round(0) // without monotonic reading, as one that was read
		if q.lanes[k.lane] == nil {
			q.lanes[k.lane] = make(map[dueGroup][]dueKey)
		}
		list := q.lanes[k.lane][k.dueGroup]
		i, _ := slices.BinarySearchFunc(list, k, dueKey.compare)
		q.lanes[k.lane][k.dueGroup], q.keys[k.device] = slices.Insert(list, i, k), k
	}
}

// remove removes the key of a device, if there is one.
func (q *dueQueues) remove(device id) {
	k, found := q.keys[device]
	if !found {
		return
	}
	delete(q.keys, device)
	lane := q.lanes[k.lane]
	i, _ := slices.BinarySearchFunc(lane[k.dueGroup], k, dueKey.compare)
	if lane[k.dueGroup] = slices.Delete(lane[k.dueGroup], i, i+1); len(lane[k.dueGroup]) == 0 {
		delete(lane, k.dueGroup)
	}
	if len(lane) == 0 {
		delete(q.lanes, k.lane)
	}
}

// compare orders the keys of a group.
func (k dueKey) compare(o dueKey) int {
	return cmp.Or(k.at.Compare(o.at), strings.Compare(string(k.device), string(o.device)))
}

// readOnce reads the keys of all queues, unless that was done before.
func (q *dueQueues) readOnce(tx *table.Tx) error {
	if q.read {
		return nil
	}
	keys, err := due.Keys(tx, table.Range{}, table.NoLimit)
	if err != nil {
		return err
	}
	clear(q.keys)
	clear(q.lanes)
	q.add(keys)
	q.read = true
	return nil
}

// Due returns queues with work, longest due first, also those that are due only after now. Of the
// queues of a user in a lane, it returns the first, as many as room returns, and likewise of the
// slow ones. It asks room with an example, which is of no device and not due. busy has the devices
// to skip.
//
// Of a lane whose pause has not yet lasted its time, it returns one queue, of no user and device,
// that is due then.
func (o Outbox) Due(now time.Time, room func(example Queue) int, busy map[string]Queue) (list []Queue, err error) {
	o.due.mu.Lock() // first: what the transaction reads is no older
	defer o.due.mu.Unlock()
	err = o.db.View(func(tx *table.Tx) error {
		if err := o.due.readOnce(tx); err != nil {
			return err
		}
		for lane, groups := range o.due.lanes {
			pause, err := getLane(tx, lane)
			if err != nil {
				return err
			}
			if now.Before(pause.Until) {
				list = append(list, Queue{Lane: lane, Probe: true, Due: pause.Until})
				continue
			}
			for group, keys := range groups {
				of := Queue{User: string(group.user), Lane: lane, Slow: group.slow, Probe: pause.IsPaused()}
				for _, k := range firstIdle(keys, room(of), busy) {
					q := of
					q.Device, q.Due = string(k.device), k.at
					if q.Probe && !k.at.After(now) {
						if err := q.describe(tx, pause); err != nil {
							return err
						}
					}
					list = append(list, q)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Queue) int {
		return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.Device, b.Device), strings.Compare(a.Lane, b.Lane))
	})
	return list, nil
}

// firstIdle returns the first keys, at most limit, that are of no busy device.
func firstIdle(keys []dueKey, limit int, busy map[string]Queue) (list []dueKey) {
	for _, k := range keys {
		if len(list) >= limit {
			break
		}
		if _, isBusy := busy[string(k.device)]; !isBusy {
			list = append(list, k)
		}
	}
	return list
}

// describe reads what decides whether the queue is a good probe.
func (q *Queue) describe(tx *table.Tx, pause Lane) error {
	accused, _, err := devicesID.Get(tx, id(pause.Accused))
	if err != nil {
		return err
	}
	row, _, err := queues.Get(tx, id(q.Device))
	q.Proven = row.Status.State == idlepush.StateProven
	q.Accused, q.AccusedUser = pause.Accused, string(accused.user)
	return err
}
