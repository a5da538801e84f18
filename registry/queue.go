package registry

import (
	"time"

	"idlepush/registry/table"
)

// enqueue puts the notification under k into the queues of row.Unqueued, as many of them as the
// transaction has room for, and takes those off the list.
func (s *queueSet) enqueue(k notificationKey, row *notificationRow) error {
	for len(row.Unqueued) > 0 {
		device := id(row.Unqueued[0])
		cost := deliveryCost
		if s.list[device] == nil {
			cost += queueCost
		}
		if s.opsLeft() < cost+rowCost {
			s.incomplete = true
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
		if err := s.addNotification(q, k, *row); err != nil {
			return err
		}
	}
	return nil
}

// addNotification puts a notification into one queue. One that was delivered there is delivered once more: it
// has more in it now.
func (s *queueSet) addNotification(q *queue, k notificationKey, row notificationRow) error {
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
	return s.addPending(q, at, d)
}

// addPending writes a delivery that is pending, and puts it into its subqueue, at the place that its sequence
// gives it. A queue that waits for its due time goes on waiting, for the delivery is not sent
// before those ahead of it; but if only other subqueues are held back, it does not wait for them.
func (s *queueSet) addPending(q *queue, k deliveryKey, d deliveryRow) error {
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	name, seq := d.subqueue(k).subqueue, k.notification.seq
	l := q.row.Subqueues[name]
	if l.Head == 0 || seq < l.Head {
		l.Head = seq
		q.row.Subqueues[name] = l
	}
	if q.row.isPiggybacked(name) {
		return nil
	}
	at, holding := s.now, false
	if l.isHeld(s.now) {
		at, holding = l.HeldUntil, true
	}
	if q.row.Due.IsZero() || q.row.Holding && at.Before(q.row.Due) {
		q.row.Due, q.row.Holding = at, holding
	}
	return nil
}

// endDelivery writes a delivery that is pending no more, and takes it out of its subqueue.
func (s *queueSet) endDelivery(q *queue, k deliveryKey, d deliveryRow) error {
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	return s.dequeue(q, d.subqueue(k), k.notification.seq)
}

// dequeue lets the subqueue begin with what waits behind the delivery of this sequence, which waits no
// more. If nothing is left that goes by itself, the queue is not due any more.
func (s *queueSet) dequeue(q *queue, sub subqueueKey, seq uint64) error {
	l := q.row.Subqueues[sub.subqueue]
	if l.Head != seq {
		return nil
	}
	next, err := waiting.First(s.tx, table.Under(sub), 1)
	if err != nil {
		return err
	}
	if l.Head = 0; len(next) > 0 {
		l.Head = next[0].Index.seq
	}
	q.row.Subqueues[sub.subqueue] = l
	if at, _ := q.row.nextDue(s.now); at.IsZero() {
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
