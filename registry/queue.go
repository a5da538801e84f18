package registry

import (
	"time"

	"idlepush/registry/table"
)

// What a transaction needs of table.Tx.Left for each of these, at most.
const (
	queueCost        = 8  // a queue that it changes: queue, device and lane are read, the row and two index keys written
	deliveryCost     = 5  // a delivery: the row and an index key are read and written, and the next of its line is found
	rowCost          = 8  // the row of a notification: it is read and written, with index keys
	notificationCost = 14 // a notification: two ids are looked up, the sequence and the row are read and written, with five index keys
)

// queue is a device's queue while a transaction changes it.
type queue struct {
	device table.Row[ids, deviceRow]
	row    queueRow
	opens  time.Time // when the device's lane lets the next delivery out
}

func (q *queue) id() id { return q.device.Key.second }

// look sets when the queue is to be looked at.
func (q *queue) look(now time.Time) {
	q.row.Due, q.row.Holding = q.row.next(q.device.Value.Transport, q.opens, now)
}

// queueSet is the queues that a transaction changes. Each is read once, and written by save.
type queueSet struct {
	tx    *table.Tx
	now   time.Time
	list  map[id]*queue
	spare int  // what must be left for the end of the transaction, beside the queues
	left  bool // a notification is not yet in all of its queues
}

// change runs fn in a transaction that may change queues, and saves them. What fn inserts is in all
// queues when it returns.
func (c *core) change(now time.Time, fn func(*queueSet) error) error {
	left := false
	err := c.db.Update(func(tx *table.Tx) error {
		set := &queueSet{tx: tx, now: now, list: make(map[id]*queue)}
		if err := fn(set); err != nil {
			return err
		}
		left = set.left
		return set.save()
	})
	if err != nil || !c.behind.Swap(false) && !left {
		return err
	}
	if err = c.finish(now); err != nil {
		c.behind.Store(true) // the next change tries again
	}
	if !left {
		return nil // what failed was begun by another
	}
	return err
}

// room is how much more the transaction may read and write, beside the saving of the queues and
// what is spared.
func (s *queueSet) room() int { return s.tx.Left() - queueCost*len(s.list) - s.spare }

// get returns the queue of a device; nil: the device is gone.
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
	if q.row.Lines == nil {
		q.row.Lines = make(map[string]lineRow)
	}
	if q.opens, err = laneOpens(s.tx, q.row.Lane, s.now); err != nil {
		return nil, err
	}
	s.list[device] = q
	return q, nil
}

// must returns the queue of a device, or ErrNotFound.
func (s *queueSet) must(device id) (*queue, error) {
	q, err := s.get(device)
	if err == nil && q == nil {
		err = ErrNotFound
	}
	return q, err
}

// save writes the queues.
func (s *queueSet) save() error {
	for _, q := range s.list {
		q.row.trim(s.now)
		if err := queues.Put(s.tx, q.id(), q.row); err != nil {
			return err
		}
	}
	return nil
}

// enqueue puts the notification under k into the queues of row.Unqueued, as many of them as the
// transaction has room for, and takes those off the list.
func (s *queueSet) enqueue(k notificationKey, row *notificationRow) error {
	for len(row.Unqueued) > 0 {
		device := id(row.Unqueued[0])
		cost := deliveryCost
		if s.list[device] == nil {
			cost += queueCost
		}
		if s.room() < cost+rowCost {
			s.left = true
			return nil
		}
		q, err := s.get(device)
		if err != nil {
			return err
		}
		row.Unqueued = row.Unqueued[1:]
		if q == nil {
			continue
		}
		if err := s.add(q, k, *row); err != nil {
			return err
		}
	}
	return nil
}

// add puts a notification into one queue. One that was delivered there is delivered once more: it
// has more in it now.
func (s *queueSet) add(q *queue, k notificationKey, row notificationRow) error {
	at := deliveryKey{k, q.id()}
	d, found, err := deliveries.Get(s.tx, at)
	switch {
	case err != nil || found && d.State != Delivered:
		return err
	case found:
		d.State, d.Before = Pending, d.At
	default:
		d = deliveryRow{Kind: row.Kind, Expires: row.Expires, State: Pending}
	}
	return s.wait(q, at, d)
}

// wait writes a delivery that is pending, and puts it into its line, at the place that its sequence
// gives it. A queue that waits for its due time goes on waiting, for the delivery is not sent
// before those ahead of it; but if only other lines are held back, it does not wait for them.
func (s *queueSet) wait(q *queue, k deliveryKey, d deliveryRow) error {
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	name, seq := d.line(k).line, k.notification.seq
	l := q.row.Lines[name]
	if l.Head == 0 || seq < l.Head {
		l.Head = seq
		q.row.Lines[name] = l
	}
	if rides(q.device.Value.Transport, name) {
		return nil
	}
	at, holding := q.opens, false
	if l.held(s.now) {
		at, holding = l.Until, true
	}
	if q.row.Due.IsZero() || q.row.Holding && at.Before(q.row.Due) {
		q.row.Due, q.row.Holding = at, holding
	}
	return nil
}

// end writes a delivery that is pending no more, and takes it out of its line.
func (s *queueSet) end(q *queue, k deliveryKey, d deliveryRow) error {
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	return s.leave(q, d.line(k), k.notification.seq)
}

// leave lets the line begin with what waits behind the delivery of this sequence, which waits no
// more. If nothing is left that goes by itself, the queue is not due any more.
func (s *queueSet) leave(q *queue, line lineKey, seq uint64) error {
	l := q.row.Lines[line.line]
	if l.Head != seq {
		return nil
	}
	next, err := waiting.First(s.tx, table.Under(line), 1)
	if err != nil {
		return err
	}
	if l.Head = 0; len(next) > 0 {
		l.Head = next[0].Index.seq
	}
	q.row.Lines[line.line] = l
	if at, _ := q.row.next(q.device.Value.Transport, q.opens, s.now); at.IsZero() {
		q.row.Due = at
	}
	return nil
}

// insert stores a new notification and puts it into the queues of the devices. If they are too many
// for one transaction, some are left in the row, and change does the rest.
func (s *queueSet) insert(n Notification, devices []string) error {
	seq, err := nextSequence(s.tx, s.now)
	if err != nil {
		return err
	}
	k := notificationKey{n.scope(), seq}
	row, err := n.seal(s.tx, k)
	if err != nil {
		return err
	}
	row.Unqueued = devices
	if err := s.enqueue(k, &row); err != nil {
		return err
	}
	return notifications.Put(s.tx, k, row)
}

// finish puts notifications into the queues that they are still missing in.
func (c *core) finish(now time.Time) error {
	for more := true; more; {
		err := c.change(now, func(set *queueSet) error {
			list, err := unfinished.Rows(set.tx, table.Range{}, 1)
			if more = len(list) > 0; err != nil || !more {
				return err
			}
			n := list[0]
			if err := set.enqueue(n.Key, &n.Value); err != nil {
				return err
			}
			set.left = false // this goes on by itself
			return notifications.Put(set.tx, n.Key, n.Value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nextSequence returns the next sequence: the time, or one more than the last if the clock stands
// still or went back.
func nextSequence(tx *table.Tx, now time.Time) (uint64, error) {
	last, err := lastSequence(tx)
	if err != nil {
		return 0, err
	}
	seq := max(uint64(max(now.UnixNano(), 0)), last+1)
	return seq, metas.Put(tx, metaSequence, metaRow{Number: seq})
}

func lastSequence(tx *table.Tx) (uint64, error) {
	row, _, err := metas.Get(tx, metaSequence)
	return row.Number, err
}
